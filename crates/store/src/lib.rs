//! The store: what a rank shares, what it holds, and where wanted files grow until they are whole.
//!
//! Before START, [`share`] walks and hashes what the rank offers, [`Destination::open`] makes and
//! locks the directory for what it wants, and [`Destination::partials`] proves what earlier runs
//! left there. After START a [`Store`] reads and writes pieces. A wanted file grows under
//! `INTO/.shoal/` and appears under its own name by a rename once it is whole, so that nobody ever
//! sees half of it. The store verifies what it finds on the disk; what it is given to write must
//! have been verified. A [`Comparison`] stands beside the store: it compares a destination with the
//! catalogue and writes nothing. Neither knows anything of messages and of other ranks.

mod beneath;
mod cache;
mod claim;
mod comparison;
mod destination;
mod digest;
mod error;
mod extra;
mod file_source;
mod finish;
mod hasher;
mod left_out;
mod link;
mod links;
mod locate;
mod look;
mod metadata;
mod notice;
mod open_files;
mod partial;
mod read;
mod replace;
mod resume;
mod salvage;
mod share;
mod share_spec;
mod source;
mod source_part;
mod sparse;
mod stamp;
mod state;
mod survey;
mod tally;
mod tenant;
mod tree;
mod unkept;
mod unused;
mod walk;
mod whole;
mod xattrs;

#[cfg(test)]
mod tests;

pub use beneath::Near;
pub use comparison::{Compared, Comparison};
pub use destination::{Destination, DestinationError};
pub use digest::{PieceBody, over_pieces};
pub use error::{MetadataError, ReadError, WriteError};
pub use extra::{Bounds, Extras};
pub use file_source::FileSource;
pub use locate::{Mounts, real_path};
pub use look::Look;
pub use notice::Notice;
pub use resume::{Matters, Partial};
pub use salvage::Salvage;
pub use share::{
    ShareError, ShareOptions, Shared, SharedEntry, Steadiness, exists, look_through, share,
};
pub use share_spec::{Keeps, Links, Naming, Share};
pub use source::{Change, OpenSource, ReadAt, ReadingOrder, Source};
pub use source_part::{EarlyPartials, SourceError, SourcePart};
pub use survey::Survey;
pub use tally::Tally;
pub use unused::Clearing;

use content::{
    Bitfield, Catalogue, Entry, EntryIndex, FileContent, HashRange, Name, PieceId, Twins,
};
use error::show;
use hasher::Hasher;
use open_files::{Key, OpenFiles};
use partial::{Described, Part, PartName};
use replace::Replacing;
use rustix::fs::OFlags;
use sparse::SparseWriter;
use state::{Phase, State, States};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use swarm::EntryShares;
use unkept::Unkept;
use unused::Unused;

/// Everything that a rank holds and writes in one job. Many threads may use it at once, no two of
/// them for the same piece, and no two to survey or finish the same entry.
pub struct Store {
    catalogue: Arc<Catalogue>,
    wanted: Bitfield,
    /// The sources of shared files, by entry number.
    shared: HashMap<u32, Arc<dyn Source>>,
    /// Sources on this rank that may have the content of a wanted entry, by entry number.
    local: HashMap<u32, Arc<dyn Source>>,
    /// What is made from what.
    twins: Twins,
    /// What could not be kept as it was.
    unkept: Unkept,
    destination: Option<Destination>,
    /// The names that had files in `.shoal` at the start.
    leftovers: HashSet<PartName>,
    /// Partials that this job has no use for.
    unused: Unused,
    /// From which shares the entries come.
    origins: EntryShares,
    states: States,
    files: OpenFiles,
    writer: SparseWriter,
    hasher: Hasher,
}

impl Store {
    /// Begins with what the rank has. `wanted` is over entry numbers: what this rank must write.
    /// `local_sources` may have the content of the entry of that name, which are
    /// looked at only then. Partials that no longer fit the catalogue are material for
    /// [`Self::salvage`] where their name is wanted.
    ///
    /// # Panics
    ///
    /// Panics where `wanted` is not over the catalogue's entries, or something is wanted without a
    /// destination.
    pub fn new(
        catalogue: Arc<Catalogue>,
        wanted: Bitfield,
        shared: Vec<SharedEntry>,
        local_sources: Vec<(Name, Arc<dyn Source>)>,
        partials: Vec<Partial>,
        destination: Option<Destination>,
    ) -> Self {
        assert_eq!(wanted.len(), catalogue.entry_count(), "a set of another catalogue");
        assert!(wanted.is_empty() || destination.is_some(), "wanted files need a destination");
        let mut store = Self {
            wanted,
            shared: HashMap::new(),
            local: HashMap::new(),
            twins: Twins::default(),
            unkept: Unkept::default(),
            leftovers: destination.as_ref().map(Destination::leftovers).unwrap_or_default(),
            unused: Unused::default(),
            origins: EntryShares::default(),
            destination,
            states: States::default(),
            files: OpenFiles::within_limit(),
            writer: SparseWriter::default(),
            hasher: Hasher::default(),
            catalogue,
        };
        let catalogue = Arc::clone(&store.catalogue);
        let numbers: HashMap<&Name, EntryIndex> =
            catalogue.iter().map(|(index, entry)| (&entry.name, index)).collect();
        for (name, source) in local_sources {
            if let Some(&index) = numbers.get(&name) {
                store.add_local(index, source);
            }
        }
        let own: HashSet<Name> = match partials[..] {
            [] => HashSet::new(),
            [..] => shared.iter().map(|shared| shared.entry.name.clone()).collect(),
        };
        for shared in shared {
            if let Some(&index) = numbers.get(&shared.entry.name) {
                store.add_shared(index, shared);
            }
        }
        let mut held = Bitfield::new(catalogue.entry_count());
        store.shared.keys().for_each(|&entry| {
            held.insert(entry);
        });
        store.twins = Twins::new(&catalogue, &store.wanted, &held);
        for partial in partials {
            let is_shared = own.contains(&partial.entry.name);
            match numbers.get(&partial.entry.name) {
                Some(&index) => store.add_partial(index, partial, is_shared),
                None => store.leave(&partial.entry.name, partial.is_stale),
            }
        }
        store.expect_sealed();
        store
    }

    /// Lets what grows here say from which share it comes.
    pub fn coming_from(mut self, origins: EntryShares) -> Self {
        self.origins = origins;
        self
    }

    /// Says what gives way where something of another kind than an entry stands: with bounds, for
    /// `--delete`, also directories with content.
    pub fn replacing(self, bounds: Option<Bounds>) -> Self {
        if let Some(destination) = &self.destination {
            destination.root.replace(Replacing::new(Arc::clone(&self.catalogue), bounds));
        }
        self
    }

    /// Lets a large file that stands at the destination be hashed by several threads.
    pub fn hashing_with(mut self, threads: usize) -> Self {
        self.hasher = Hasher::new(threads);
        self
    }

    fn add_local(&mut self, index: EntryIndex, source: Arc<dyn Source>) {
        if self.wanted.get(index.0) {
            self.local.insert(index.0, source);
        }
    }

    /// A shared file is read in place; where it is wanted too, its copy is made from it.
    fn add_shared(&mut self, index: EntryIndex, shared: SharedEntry) {
        let asked = self.catalogue.entry(index);
        if shared.entry.file().is_none() || asked.file().is_none() {
            return;
        }
        let same = shared.has_content_of(asked);
        self.add_local(index, Arc::clone(&shared.source));
        if same {
            self.shared.insert(index.0, shared.source);
        }
    }

    /// A partial of what the rank itself shares by now, and does not want, helps nobody any more.
    fn add_partial(&mut self, index: EntryIndex, partial: Partial, is_shared: bool) {
        let is_wanted = self.wanted.get(index.0);
        let asked = self.catalogue.entry(index);
        if is_shared && !is_wanted {
            self.leave(&partial.entry.name, true);
        } else if partial.fits(asked) {
            self.states.begin(index, Phase::Kept(Box::new(partial)));
        } else if !is_wanted || asked.file().is_none() {
            self.leave(&partial.entry.name, partial.is_stale);
        }
    }

    /// Keeps in mind what earlier jobs left of a name, and this one has no use for.
    fn leave(&mut self, name: &Name, is_stale: bool) {
        let shoal = self.destination.as_ref().map(|destination| &destination.shoal);
        self.unused.add(shoal, name, is_stale);
    }

    /// Directories that earlier runs may have sealed, and that files must go into all the same.
    fn expect_sealed(&self) {
        /// What the owner needs to put something into a directory.
        const ENTER_AND_WRITE: u32 = 0o300;
        let Some(destination) = &self.destination else { return };
        let directories = self.catalogue.entries().iter().filter(|entry| {
            entry.kind == content::Kind::Directory
                && entry.metadata.mode & ENTER_AND_WRITE != ENTER_AND_WRITE
        });
        let names = directories.map(|entry| entry.name.as_bytes().to_vec());
        destination.root.expect_sealed(names.collect());
    }

    /// Writes a piece that was verified, one of a few in one go. A run of zeros becomes a hole. A
    /// small file has its name then.
    ///
    /// # Errors
    ///
    /// Says why it cannot be written; see [`WriteError`].
    ///
    /// # Panics
    ///
    /// Panics where `bytes` is not as long as the piece, or the entry is finished.
    pub fn write_near(
        &self,
        piece: PieceId,
        bytes: &[u8],
        near: &mut Near,
    ) -> Result<(), WriteError> {
        let (entry, index) = self.catalogue.locate(piece);
        let geometry = self.catalogue.geometry(entry);
        assert_eq!(bytes.len(), geometry.size(index) as usize, "the bytes of another piece");
        let state = self.states.get(entry);
        let file = {
            let state = &mut *lock(&state);
            if self.is_written_at_once(entry, state) {
                return self.write_whole(entry, state, bytes, near);
            }
            self.grow(entry, state)?
        };
        let written = self.writer.write(&file, bytes, geometry.offset(index));
        written.map_err(|error| self.write_error(entry, error))
    }

    /// Keeps piece hashes that were proven, so that a later run knows which pieces are whole. A
    /// file of a single piece needs none.
    ///
    /// # Errors
    ///
    /// Says why they cannot be written; see [`WriteError`].
    ///
    /// # Panics
    ///
    /// Panics where the entry is finished, or is no file with a root.
    pub fn record(&self, entry: EntryIndex, range: &HashRange) -> Result<(), WriteError> {
        if self.catalogue.geometry(entry).is_single_piece() {
            return Ok(());
        }
        let asked = self.catalogue.entry(entry);
        assert!(asked.file().is_some_and(|file| file.root.is_some()), "hashes proven by no root");
        let state = self.states.get(entry);
        let state = &mut *lock(&state);
        self.grow(entry, state)?;
        let name = PartName::of(&asked.name);
        let appended = partial::append_range(&self.destination().shoal, &name, range);
        appended.map_err(|error| self.write_error(entry, error))
    }

    /// Everybody has stopped. The lock's holder removes what nobody can resume from, and `.shoal`
    /// where no partial is left in it; the lock is released. What is finished can still be read.
    pub fn close(&self) {
        if let Some(destination) = &self.destination {
            destination.close();
        }
    }

    /// Everybody has stopped: removes what earlier jobs left here and this one has no use for, all
    /// or some of it. Says so where there was any.
    pub fn clear_leftovers(&self, which: Clearing) -> Option<String> {
        let destination = self.destination.as_ref()?;
        let removed = match self.unused.clear(&destination.shoal, which) {
            0 => return None,
            1 => "1 file was removed".to_owned(),
            count => format!("{count} files were removed"),
        };
        let into = show(destination.root.path());
        Some(format!("{removed} that earlier jobs had left unfinished in '{into}'"))
    }

    /// What the user should know in the end of what could not be kept as it was, in full sentences.
    pub fn unkept(&self) -> Vec<String> {
        self.unkept.sentences(&self.catalogue)
    }

    /// The job was refused after START, before anything was written: leaves no trace of it.
    pub fn abandon(&self) {
        if let Some(destination) = &self.destination {
            destination.abandon();
        }
    }

    /// The file that an entry grows in; made where there is none yet.
    fn grow(&self, entry: EntryIndex, state: &mut State) -> Result<Arc<File>, WriteError> {
        if let Phase::Growing = state.phase {
            let opened = self.open_own(entry, state);
            return opened.map_err(|error| self.write_error(entry, error));
        }
        let destination = self.destination();
        let shoal = &destination.shoal;
        let asked = self.catalogue.entry(entry);
        let name = PartName::of(&asked.name);
        let kept = match &state.phase {
            Phase::Kept(partial) => Some(&partial.layer),
            Phase::Untouched => None,
            Phase::Growing | Phase::Done(_) => panic!("'{}' is finished", asked.name),
        };
        let data = name.file(Part::Data);
        let has_sidecar = has_sidecar(asked);
        let made = || -> io::Result<File> {
            if let Some(layer) = kept {
                if has_sidecar {
                    partial::rewrite_sidecar(shoal, &self.described(entry), layer)?;
                }
                return Ok(partial::open(shoal, &data, OFlags::RDWR)?);
            }
            if has_sidecar {
                partial::write_sidecar(shoal, &self.described(entry))?;
            }
            let file = partial::create(shoal, &data)?;
            file.set_len(asked.len())?;
            Ok(file)
        };
        let file = Arc::new(made().map_err(|error| self.write_error(entry, error))?);
        self.files.keep_file(Key::Own(entry.0), &file);
        state.phase = Phase::Growing;
        Ok(file)
    }

    /// Opens what an entry has grown to.
    fn open_own(&self, entry: EntryIndex, state: &State) -> io::Result<Arc<File>> {
        let destination = self.destination();
        let name = &self.catalogue.entry(entry).name;
        let part = |flags| {
            let data = PartName::of(name).file(Part::Data);
            Ok(partial::open(&destination.shoal, &data, flags)?)
        };
        match state.phase {
            Phase::Untouched => panic!("'{name}' is not on this rank"),
            Phase::Done(_) => self.open(Key::Own(entry.0), || destination.root.open_file(name)),
            Phase::Growing => self.open(Key::Own(entry.0), || part(OFlags::RDWR)),
            // Not kept open: what is open under this key can be written.
            Phase::Kept(_) => part(OFlags::RDONLY).map(Arc::new),
        }
    }

    /// An open file, or one that is opened now.
    fn open(&self, key: Key, open: impl FnOnce() -> io::Result<File>) -> io::Result<Arc<File>> {
        if let Some(file) = self.files.file(key) {
            return Ok(file);
        }
        let file = Arc::new(open()?);
        // What is read in one go need not stay open for the next.
        if !self.catalogue.geometry(key.entry()).is_single_piece() {
            self.files.keep_file(key, &file);
        }
        Ok(file)
    }

    /// An open source, or one that is opened now.
    fn open_source(&self, key: Key, source: &dyn Source) -> io::Result<Arc<dyn OpenSource>> {
        if let Some(open) = self.files.source(key) {
            return Ok(open);
        }
        let open = source.open(ReadingOrder::Unknown)?;
        if !self.catalogue.geometry(key.entry()).is_single_piece() {
            self.files.keep_source(key, &open);
        }
        Ok(open)
    }

    fn destination(&self) -> &Destination {
        self.destination.as_ref().expect("a rank without a destination writes nothing")
    }

    fn described(&self, entry: EntryIndex) -> Described<'_> {
        Described { entry: self.catalogue.entry(entry), share: self.origins.share_of(entry) }
    }

    /// An entry that this rank must write as a file.
    fn wanted_file(&self, index: EntryIndex) -> (&Entry, FileContent) {
        let entry = self.catalogue.entry(index);
        assert!(self.wanted.get(index.0), "'{}' is not wanted here", entry.name);
        let content = entry.file().expect("only files have content");
        (entry, *content)
    }

    fn write_error(&self, entry: EntryIndex, error: impl Into<io::Error>) -> WriteError {
        WriteError::new(self.destination().place(&self.catalogue.entry(entry).name), error)
    }
}

/// Whether an entry that grows is described beside its data. A file of a single piece has nothing
/// to resume from: its piece is there, or is not.
fn has_sidecar(entry: &Entry) -> bool {
    entry.file().is_some_and(|file| file.root.is_some() && !file.geometry.is_single_piece())
}

/// Locks. A panic elsewhere aborts the process, so that no lock guards anything half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A random number from the system.
fn random() -> io::Result<u128> {
    let mut bytes = [0; 16];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    assert_eq!(filled, bytes.len(), "so few bytes come at once, or not at all");
    Ok(u128::from_le_bytes(bytes))
}
