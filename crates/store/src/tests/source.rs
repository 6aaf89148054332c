//! Another kind of source than a file: bytes in memory, with a version that tells of a change. It
//! is hashed, offered, served, copied from and read in parts by the same code.

use super::*;
use crate::digest::{self, Digest, Unhashed};
use content::{Entry, FileContent, Geometry, Metadata, PieceIndex, PieceLayer};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Content in memory, as it is now.
#[derive(Debug, Default)]
struct Content {
    bytes: Mutex<Vec<u8>>,
    version: AtomicU64,
    /// Bytes that were read of it.
    read: AtomicU64,
}

/// The content, as it was found.
#[derive(Debug, Clone)]
struct InMemory {
    content: Arc<Content>,
    version: u64,
    /// A run of zeros that need not be read.
    hole: Range<u64>,
}

impl InMemory {
    fn new(bytes: Vec<u8>) -> Self {
        let content = Arc::new(Content { bytes: Mutex::new(bytes), ..Content::default() });
        Self { content, version: 0, hole: 0..0 }
    }

    fn replace(&self, bytes: Vec<u8>) {
        *lock(&self.content.bytes) = bytes;
        self.content.version.fetch_add(1, Ordering::Relaxed);
    }
}

impl Source for InMemory {
    fn place(&self) -> String {
        "memory:17".to_owned()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.content.bytes).len() as u64)
    }

    fn open(&self, _: ReadingOrder) -> io::Result<Arc<dyn OpenSource>> {
        Ok(Arc::new(self.clone()))
    }

    fn is_gone(&self, _: &io::Error) -> bool {
        false
    }
}

impl OpenSource for InMemory {
    fn change(&self) -> io::Result<Change> {
        let is_same = self.content.version.load(Ordering::Relaxed) == self.version;
        Ok(if is_same { Change::None } else { Change::Content })
    }
}

impl ReadAt for InMemory {
    fn read_exactly_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        let bytes = lock(&self.content.bytes);
        let there = bytes.get(offset as usize..offset as usize + buffer.len());
        if let Some(there) = there {
            buffer.copy_from_slice(there);
            self.content.read.fetch_add(there.len() as u64, Ordering::Relaxed);
        }
        Ok(there.is_some())
    }

    fn next_data(&self, offset: u64) -> Option<u64> {
        Some(if self.hole.contains(&offset) { self.hole.end } else { offset })
    }
}

/// Hashes a source as an entry of a job.
fn shared(source: &InMemory) -> SharedEntry {
    let geometry = Geometry::new(source.len().unwrap(), PieceLen::MIN);
    let digests = digest::digest(&[Unhashed { source, geometry }], 2, &AtomicU64::new(0)).unwrap();
    let [Digest::Hashes(hashes)] = &digests[..] else { panic!("it has hashes: {digests:?}") };
    let layer = PieceLayer::new(geometry, hashes.clone()).unwrap();
    let entry = Entry {
        name: name("file"),
        kind: Kind::File(FileContent::hashed(&layer)),
        metadata: Metadata::new(0o644, Timestamp { seconds: 1_000_000, nanoseconds: 5 }),
    };
    SharedEntry {
        entry,
        source: Arc::new(source.clone()),
        layer: Some(Box::new(layer.prove())),
        share: 0,
        steadiness: Steadiness::Steady,
    }
}

/// A job that shares a source.
fn job(source: &InMemory) -> Job {
    let entries = vec![shared(source)];
    let shared = Shared { entries, left_out: vec![], notices: vec![] };
    Job::sharing(tempfile::tempdir().unwrap(), shared)
}

#[test]
fn what_is_in_memory_is_hashed_served_and_arrives() {
    let content = bytes(5 * PIECE + 3, 1);
    let job = job(&InMemory::new(content.clone()));
    assert_eq!(job.run(&job.receiver()), (6, 0));
    assert!(fs::read(job.target().join("file")).unwrap() == content);
}

#[test]
fn a_rank_makes_its_own_copy_from_what_it_shares_out_of_memory() {
    let content = bytes(5 * PIECE + 3, 1);
    let source = InMemory::new(content.clone());
    let job = job(&source);
    assert_eq!(job.run(&job.receiver_with(vec![shared(&source)], vec![])), (0, 6));
    assert!(fs::read(job.target().join("file")).unwrap() == content);
}

#[test]
fn a_source_that_changes_is_served_no_longer_and_named() {
    let source = InMemory::new(bytes(3 * PIECE, 1));
    let job = job(&source);
    job.piece(PieceId(0));
    source.replace(bytes(3 * PIECE, 2));
    let refused = job.seeder.read(PieceId(1), &mut vec![0; PIECE]).unwrap_err();
    assert!(matches!(&refused, ReadError::Changed { place } if place == "memory:17"), "{refused}");
    let geometry = Geometry::new(3 * PIECE as u64, PieceLen::MIN);
    let unhashed = [Unhashed { source: &source, geometry }];
    let digests = digest::digest(&unhashed, 2, &AtomicU64::new(0)).unwrap();
    assert_eq!(digests, [Digest::Changed]);
}

#[test]
fn a_hole_of_a_source_is_not_read() {
    let mut content = bytes(64 * PIECE, 1);
    let hole = 16 * PIECE as u64..48 * PIECE as u64;
    content[16 * PIECE..48 * PIECE].fill(0);
    let source = InMemory { hole, ..InMemory::new(content.clone()) };
    let found = shared(&source);
    assert_eq!(source.content.read.load(Ordering::Relaxed), 32 * PIECE as u64);
    let plain = shared(&InMemory::new(content));
    assert_eq!(found.entry, plain.entry);
}

#[test]
fn a_part_of_a_source_is_read_once_hashed_and_kept_in_a_partial() {
    let content = bytes(3 * PIECE, 1);
    let source = InMemory::new(content.clone());
    let job = job(&source);
    source.content.read.store(0, Ordering::Relaxed);
    let destination = Destination::open(&job.target(), "the test").unwrap();
    let partials = EarlyPartials::default();
    partials.settle(&destination).unwrap();
    let entry = job.catalogue.entry(EntryIndex(0)).clone();
    let part = SourcePart::new(entry, Arc::new(source.clone()), Some(&partials));
    let mut buffer = Vec::new();
    for piece in [0, 2] {
        let hash = part.read(PieceIndex(piece), &mut buffer).unwrap();
        assert_eq!(hash, job.hash(PieceId(piece)));
    }
    assert_eq!(source.content.read.load(Ordering::Relaxed), 2 * PIECE as u64);
    let kept = fs::read(job.part_path("file", Part::Data)).unwrap();
    assert!(kept[..PIECE] == content[..PIECE] && kept[2 * PIECE..] == content[2 * PIECE..]);
    source.replace(bytes(3 * PIECE, 2));
    let refused = part.read(PieceIndex(1), &mut buffer).unwrap_err().to_string();
    assert!(refused.starts_with("'memory:17' is not the file that was found"), "{refused}");
}
