//! What the store's tests have in common: trees to share, and a job of one source and one receiver.

mod destination;
mod escape;
mod extra;
mod grow;
mod holes;
mod inodes;
mod link;
mod look;
mod replace;
mod resume;
mod salvage;
mod serve;
mod share;
mod source;
mod tree;
mod whole;

use super::*;
use content::{Hash, Kind, PieceLen, Timestamp};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use tempfile::TempDir;

const PIECE: usize = PieceLen::MIN.bytes() as usize;

/// Bytes that repeat nowhere.
fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; len];
    for chunk in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    bytes
}

fn buffer(len: usize) -> Vec<u8> {
    vec![0; len]
}

fn options() -> ShareOptions {
    ShareOptions { piece_len: Some(PieceLen::MIN), threads: 3, except: None, cache: None }
}

fn whole(path: &Path, naming: Naming) -> Share {
    Share {
        path: path.to_owned(),
        prefix: Vec::new(),
        naming,
        links: Links::default(),
        keeps: Keeps::default(),
    }
}

fn share_inside(path: &Path) -> Shared {
    share(&[whole(path, Naming::Inside)], &options(), &AtomicU64::new(0)).unwrap()
}

fn names(shared: &Shared) -> Vec<String> {
    shared.entries.iter().map(|shared| shared.entry.name.to_string()).collect()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn set_time(path: &Path, seconds: i64, nanoseconds: u32) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode_and_time(path: &Path) -> (u32, i64, i64) {
    let found = path.symlink_metadata().unwrap();
    (found.mode() & 0o7777, found.mtime(), found.mtime_nsec())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A source directory and a destination, and what the source offers.
struct Job {
    /// Holds both directories.
    home: TempDir,
    catalogue: Arc<Catalogue>,
    layers: Vec<Option<content::VerifiedLayer>>,
    seeder: Store,
}

impl Job {
    /// Shares what `fill` puts into a directory.
    fn new(fill: impl FnOnce(&Path)) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("from")).unwrap();
        fill(&home.path().join("from"));
        Self::again(home)
    }

    /// A job of a single file.
    fn of_file(content: &[u8]) -> Self {
        Self::new(|from| fs::write(from.join("file"), content).unwrap())
    }

    /// The same directories in another job.
    fn again(home: TempDir) -> Self {
        let shared = share_inside(&home.path().join("from"));
        Self::sharing(home, shared)
    }

    fn sharing(home: TempDir, shared: Shared) -> Self {
        let entries = shared.entries.iter().map(|shared| shared.entry.clone()).collect();
        let layers = shared.entries.iter().map(layer).collect();
        let catalogue = Arc::new(Catalogue::new(entries).unwrap());
        let nothing = Bitfield::new(catalogue.entry_count());
        let seeder = Store::new(catalogue.clone(), nothing, shared.entries, vec![], vec![], None);
        Self { home, catalogue, layers, seeder }
    }

    fn source(&self) -> PathBuf {
        self.home.path().join("from")
    }

    fn target(&self) -> PathBuf {
        self.home.path().join("into")
    }

    /// A receiver that wants everything.
    fn receiver(&self) -> Store {
        self.receiver_with(vec![], vec![])
    }

    fn receiver_with(&self, shared: Vec<SharedEntry>, local: Vec<(Name, PathBuf)>) -> Store {
        let destination = Destination::open(&self.target(), "the test").unwrap();
        let partials = destination.partials(&|_| true, 2, &AtomicU64::new(0));
        let wanted = Bitfield::full(self.catalogue.entry_count());
        let at = |(name, path): (Name, PathBuf)| -> (Name, Arc<dyn Source>) {
            let found = self.catalogue.iter().find(|(_, entry)| entry.name == name);
            let entry = found.expect("an entry of the catalogue").1;
            (name, Arc::new(FileSource::of_entry(path, entry)))
        };
        let local = local.into_iter().map(at).collect();
        Store::new(self.catalogue.clone(), wanted, shared, local, partials, Some(destination))
            .replacing(None)
    }

    /// The destination beside the catalogue.
    fn comparison(&self) -> Comparison {
        let look = Look::open(&self.target(), "here", swarm::Purpose::Check).unwrap();
        let all = Bitfield::full(self.catalogue.entry_count());
        Comparison::new(self.catalogue.clone(), &all, &[], &[], look)
    }

    fn piece(&self, piece: PieceId) -> Vec<u8> {
        let mut buffer = vec![0; self.catalogue.piece_size(piece) as usize];
        self.seeder.read(piece, &mut buffer).unwrap();
        buffer
    }

    fn hash(&self, piece: PieceId) -> Hash {
        let (entry, index) = self.catalogue.locate(piece);
        self.layers[entry.0 as usize].as_ref().unwrap().piece_hash(index).unwrap()
    }

    fn record_all(&self, to: &Store, entry: EntryIndex) {
        for range in self.layers[entry.0 as usize].iter().flat_map(content::VerifiedLayer::ranges) {
            to.record(entry, range).unwrap();
        }
    }

    fn files(&self) -> impl Iterator<Item = EntryIndex> {
        self.catalogue.iter().filter(|(_, entry)| entry.file().is_some()).map(|(index, _)| index)
    }

    /// Fetches what a survey says is missing of one file; returns how many pieces were fetched and
    /// salvaged.
    fn fetch(&self, to: &Store, entry: EntryIndex) -> (u32, u32) {
        let held = match to.survey(entry).unwrap() {
            Survey::Complete(_) | Survey::Linked => return (0, 0),
            Survey::Partial(held) => held,
            _ => Bitfield::new(self.catalogue.pieces_of(entry).len() as u32),
        };
        let (mut fetched, mut salvaged) = (0, 0);
        self.record_all(to, entry);
        for (index, piece) in self.catalogue.pieces_of(entry).enumerate() {
            let piece = PieceId(piece);
            if held.get(index as u32) {
                continue;
            }
            if to.salvage(piece, self.hash(piece), buffer).unwrap() == Salvage::Absent {
                to.write(piece, &self.piece(piece)).unwrap();
                fetched += 1;
            } else {
                salvaged += 1;
            }
        }
        to.finish(entry).unwrap();
        (fetched, salvaged)
    }

    /// Fetches everything, to the end; returns how many pieces were fetched and salvaged.
    fn run(&self, to: &Store) -> (u32, u32) {
        let counts: Vec<(u32, u32)> = self.files().map(|entry| self.fetch(to, entry)).collect();
        to.seal().unwrap();
        to.close();
        counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    }

    /// Asserts that both directories have the same content, modes and times, and that nothing else
    /// is left.
    fn assert_same(&self) {
        let (from, into) = (share_inside(&self.source()), share_inside(&self.target()));
        let entries = |shared: &Shared| -> Vec<Entry> {
            shared.entries.iter().map(|shared| shared.entry.clone()).collect()
        };
        assert_eq!(entries(&from), entries(&into));
        assert!(!self.target().join(".shoal").exists());
    }

    fn store_files(&self) -> Vec<String> {
        let listed = fs::read_dir(self.target().join(".shoal")).unwrap();
        let mut names: Vec<String> =
            listed.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn part_path(&self, of: &str, part: Part) -> PathBuf {
        self.target().join(".shoal").join(PartName::of(&name(of)).file(part))
    }
}

/// The piece hashes of a shared file: of a single piece its root.
fn layer(shared: &SharedEntry) -> Option<content::VerifiedLayer> {
    let content = shared.entry.file().filter(|content| !content.geometry.is_empty())?;
    let single = || content::VerifiedLayer::new(content.geometry, content.root.unwrap());
    Some(shared.layer.as_deref().cloned().unwrap_or_else(single))
}

/// The place of an entry by its name.
fn number(catalogue: &Catalogue, of: &str) -> EntryIndex {
    catalogue.iter().find(|(_, entry)| entry.name == name(of)).unwrap().0
}
