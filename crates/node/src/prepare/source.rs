//! A source that all ranks see, before START: what this rank finds of it, and the part that it
//! reads, on the thread of the preparation. It decides nothing: the tracker deals the parts.

use super::LocalSource;
use crate::job::{Command, Job};
use crate::trouble::{Trouble, Words};
use content::{Entry, Hash, PieceIndex};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use store::{EarlyPartials, SourceError, SourcePart, over_pieces};
use swarm::Purpose;
use swarm::message::{Keep, PiecesRead, ReadFault, ReadOrder, SharedFs, Unread};

/// What was read is told when so much time has passed, ...
const TELL_AFTER: Duration = Duration::from_millis(100);
/// ... or there is so much of it: a message is full soon.
const TELL_PIECES: usize = 512;

/// What is told of an order.
pub(super) enum Told {
    Read(Vec<PiecesRead>),
    Unread(Unread),
}

/// Reads all pieces of some orders with several threads, in order, and tells of each. An order that
/// fails is given up with all that follow it.
pub(super) fn read(
    orders: &[ReadOrder],
    sources: &[LocalSource],
    growing: &EarlyPartials,
    (threads, words): (usize, Words),
    tell: &(dyn Fn(Told) + Sync),
) {
    let mut files = Vec::with_capacity(orders.len());
    for order in orders {
        let entry = &order.entry;
        let find = |source: &LocalSource| source.find(entry);
        let Some(source) = sources.iter().find_map(find) else {
            tell(Told::Unread(absent(entry)));
            return;
        };
        let kept_in = (order.keep == Keep::Written).then_some(growing);
        let left = AtomicU32::new(order.pieces.count);
        files.push((SourcePart::new(entry.clone(), source, kept_in), order.pieces.first, left));
    }
    let telling = Telling::default();
    let has_failed = AtomicBool::new(false);
    let counts = orders.iter().map(|order| order.pieces.count);
    over_pieces(counts, threads, &|at, piece, buffer| {
        let (file, first, left) = &files[at];
        let piece = first + piece.0;
        match file.read(PieceIndex(piece), buffer) {
            Ok(hash) => {
                if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    file.close();
                }
                telling.add(file.entry(), (at, piece), hash, tell);
                ControlFlow::Continue(())
            }
            Err(SourceError::Over) => ControlFlow::Break(()),
            Err(error) => {
                if !has_failed.swap(true, Ordering::AcqRel) {
                    telling.flush(tell);
                    tell(Told::Unread(unread(file.entry(), &error, words)));
                }
                ControlFlow::Break(())
            }
        }
    });
    telling.flush(tell);
}

fn absent(entry: &Entry) -> Unread {
    Unread {
        name: entry.name.clone(),
        fault: ReadFault::Source,
        why: format!(
            "'{}' is not there, or has another length: it changed, or this rank sees another source",
            entry.name
        ),
    }
}

fn unread(entry: &Entry, error: &SourceError, words: Words) -> Unread {
    let fault = match error {
        SourceError::Unwritten(_) => ReadFault::Destination,
        _ => ReadFault::Source,
    };
    Unread { name: entry.name.clone(), fault, why: words.of(&Trouble::Source(error)) }
}

/// What was read and is not told yet: by the number of its order, and its own.
struct Telling(Mutex<Waiting>);

struct Waiting {
    since: Instant,
    pieces: BTreeMap<(usize, u32), (Entry, Hash)>,
}

impl Default for Telling {
    fn default() -> Self {
        Self(Mutex::new(Waiting { since: Instant::now(), pieces: BTreeMap::new() }))
    }
}

impl Telling {
    fn add(&self, entry: &Entry, at: (usize, u32), hash: Hash, tell: &(dyn Fn(Told) + Sync)) {
        let mut waiting = self.0.lock().expect("no thread panicked");
        waiting.pieces.insert(at, (entry.clone(), hash));
        let is_due = waiting.pieces.len() >= TELL_PIECES || waiting.since.elapsed() >= TELL_AFTER;
        drop(waiting);
        if is_due {
            self.flush(tell);
        }
    }

    fn flush(&self, tell: &(dyn Fn(Told) + Sync)) {
        let mut waiting = self.0.lock().expect("no thread panicked");
        waiting.since = Instant::now();
        let pieces = std::mem::take(&mut waiting.pieces);
        drop(waiting);
        let mut runs: Vec<(usize, PiecesRead)> = Vec::new();
        for ((at, piece), (entry, hash)) in pieces {
            match runs.last_mut() {
                Some((last, run))
                    if *last == at
                        && run.first as usize + run.hashes.len() == piece as usize
                        && run.hashes.len() < PiecesRead::MAX_HASHES =>
                {
                    run.hashes.push(hash);
                }
                _ => runs.push((at, PiecesRead { entry, first: piece, hashes: vec![hash] })),
            }
        }
        if !runs.is_empty() {
            tell(Told::Read(runs.into_iter().map(|(_, run)| run).collect()));
        }
    }
}

/// Whether other ranks may see what this one finds at the paths of its shares.
pub(super) fn shared_fs(job: &Job, present: &[bool]) -> SharedFs {
    if job.purpose != Purpose::Transfer {
        return SharedFs::No;
    }
    if job.shared_fs {
        return SharedFs::Asked;
    }
    let paths = job.shares.iter().zip(present).filter(|(_, there)| **there);
    let paths: Vec<&Path> = paths.map(|(share, _)| share.path.as_path()).collect();
    if job.command != Command::Cast || paths.is_empty() {
        return SharedFs::No;
    }
    if paths.iter().all(|path| super::is_on_network(path)) {
        return SharedFs::OnNetwork;
    }
    let marks: Option<Vec<u64>> = paths.iter().map(|path| mark(path)).collect();
    // FNV-1a over the marks.
    let fold = |digest: u64, mark: u64| (digest ^ mark).wrapping_mul(0x0100_0000_01B3);
    marks.map_or(SharedFs::No, |marks| {
        SharedFs::At(marks.into_iter().fold(0xCBF2_9CE4_8422_2325, fold))
    })
}

/// What tells a file or directory apart from others, on this host and on those that see the same;
/// none where the file system has no number of its own.
fn mark(path: &Path) -> Option<u64> {
    let (found, system) = (path.metadata().ok()?, rustix::fs::statvfs(path).ok()?);
    let marks = [
        system.f_fsid,
        found.ino(),
        found.len(),
        found.mtime() as u64,
        found.mtime_nsec() as u64,
        found.ctime() as u64,
        found.ctime_nsec() as u64,
    ];
    let spread =
        |digest: u64, mark: u64| (digest.rotate_left(5) ^ mark).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (system.f_fsid != 0).then(|| marks.into_iter().fold(0, spread))
}
