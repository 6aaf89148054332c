//! Reads a rank's part of a source that all ranks see, before START: each piece once, hashed while
//! it is in cache, and written where the file is to grow. Tells nobody but its caller.

use super::digest;
use super::partial::{self, Part, PartName};
use super::source::{Change, OpenSource, ReadingOrder, Source};
use super::sparse::{KnownHole, SparseWriter};
use super::{Destination, WriteError, lock};
use content::merkle::piece_hash;
use content::{Entry, Geometry, Hash, Name, PieceIndex, ZeroPieces};
use rustix::fs::OFlags;
use std::collections::BTreeSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// Partials that grow before the job begins, from a source of which each rank reads a part.
#[derive(Default)]
pub struct EarlyPartials {
    place: OnceLock<Place>,
    /// Set when the job begins, or comes to nothing: whoever still reads then writes no more.
    is_over: RwLock<bool>,
    /// What was made here; locked while a file is opened, for two may want the same.
    made: Mutex<BTreeSet<PartName>>,
    writer: SparseWriter,
}

struct Place {
    shoal: OwnedFd,
    into: PathBuf,
    /// Why nothing can be written there.
    sealed: Option<String>,
}

/// The part of an entry's source that this rank reads.
pub struct SourcePart<'a> {
    entry: Entry,
    source: Arc<dyn Source>,
    /// Where it is kept, if it is.
    kept_in: Option<&'a EarlyPartials>,
    zeros: ZeroPieces,
    hole: KnownHole,
    /// The same, of what it grows in.
    grown_hole: KnownHole,
    open: Mutex<Option<Open>>,
}

#[derive(Clone)]
struct Open {
    source: Arc<dyn OpenSource>,
    /// The file that it grows in, where it is kept.
    grows: Option<Arc<File>>,
}

/// Why a piece of a source was not read, or not kept.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The source cannot be read.
    #[error("'{place}' cannot be read: {source}")]
    Unreadable {
        /// The file, or another source.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// The source is not what the rank found that looked through it.
    #[error(
        "'{place}' is not the file that was found when the job began: it changed, or the ranks do not \
         see the same; start again once it is left alone, or have one rank read it"
    )]
    Changed {
        /// The file, or another source.
        place: String,
    },
    /// What was read cannot be written.
    #[error(transparent)]
    Unwritten(#[from] WriteError),
    /// The job has begun, or come to nothing.
    #[error("it is too late")]
    Over,
}

impl EarlyPartials {
    /// Lets what is read grow in a destination.
    ///
    /// # Errors
    ///
    /// Gives the system's error where the directory cannot be opened once more.
    pub fn settle(&self, destination: &Destination) -> io::Result<()> {
        let shoal = destination.shoal.try_clone()?;
        let sealed = destination.sealed.clone();
        let place = Place { shoal, into: destination.root.path().to_owned(), sealed };
        let _ = self.place.set(place);
        Ok(())
    }

    /// Nothing is written any more once this returns.
    pub fn end(&self) {
        *self.is_over.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// The job came to nothing: ends it, and removes what was made here.
    pub fn abandon(&self) {
        self.end();
        let Some(place) = self.place.get() else { return };
        for name in std::mem::take(&mut *lock(&self.made)) {
            let _ = partial::remove(&place.shoal, &name.file(Part::Data));
        }
    }

    fn error(&self, name: &Name, error: io::Error) -> WriteError {
        let into = self.place.get().map(|place| place.into.clone()).unwrap_or_default();
        WriteError::new(into.join(name.to_string()), error)
    }

    /// Opens what a file grows in. What an earlier run left of it is kept.
    fn open(&self, entry: &Entry) -> Result<Arc<File>, SourceError> {
        let place = self.place.get().ok_or(SourceError::Over)?;
        if let Some(why) = place.sealed.clone() {
            return Err(WriteError::Sealed { why }.into());
        }
        let made = &mut *lock(&self.made);
        let name = PartName::of(&entry.name);
        let data = name.file(Part::Data);
        let opened = match partial::open(&place.shoal, &data, OFlags::RDWR) {
            Ok(file) if file.metadata().is_ok_and(|it| is_own(&it, entry)) => {
                return Ok(Arc::new(file));
            }
            _ => partial::create(&place.shoal, &data).map_err(io::Error::from),
        };
        let grown = opened.and_then(|file| file.set_len(entry.len()).map(|()| file));
        let file = grown.map_err(|error| self.error(&entry.name, error))?;
        made.insert(name);
        Ok(Arc::new(file))
    }

    /// Writes into what a file grows in, unless the job has gone on or is over.
    fn write(
        &self,
        entry: &Entry,
        write: impl FnOnce(&SparseWriter) -> io::Result<()>,
    ) -> Result<(), SourceError> {
        let is_over = self.is_over.read().unwrap_or_else(PoisonError::into_inner);
        if *is_over {
            return Err(SourceError::Over);
        }
        Ok(write(&self.writer).map_err(|error| self.error(&entry.name, error))?)
    }
}

impl<'a> SourcePart<'a> {
    /// A part of a source of this rank; nothing is opened yet. Each piece is also written into the
    /// partial of the entry, where it is kept in some.
    pub fn new(entry: Entry, source: Arc<dyn Source>, kept_in: Option<&'a EarlyPartials>) -> Self {
        let geometry = entry.file().expect("only files are read").geometry;
        let zeros = ZeroPieces::of(geometry);
        let (hole, grown_hole) = (KnownHole::default(), KnownHole::default());
        Self { entry, source, kept_in, zeros, hole, grown_hole, open: Mutex::default() }
    }

    /// Its entry.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Reads a piece, and writes it where it is to be kept. Gives its hash.
    ///
    /// # Errors
    ///
    /// Says why not; see [`SourceError`].
    ///
    /// # Panics
    ///
    /// Panics where the file has no such piece.
    pub fn read(&self, piece: PieceIndex, buffer: &mut Vec<u8>) -> Result<Hash, SourceError> {
        let geometry = self.geometry();
        let unreadable = |error| self.unreadable(error);
        let Open { source, grows } = self.open()?;
        let (offset, len) = (geometry.offset(piece), geometry.size(piece) as usize);
        let is_hole = |_: &Hash| self.hole.has(source.as_ref(), offset, len as u64);
        let hole = self.zeros.hash(piece).filter(is_hole);
        let whole = match hole {
            Some(_) => true,
            None => {
                let buffer = digest::sized(buffer, len);
                source.read_exactly_at(buffer, offset).map_err(unreadable)?
            }
        };
        let change = source.change().map_err(unreadable)?;
        if !whole || change == Change::Content {
            return Err(SourceError::Changed { place: self.source.place() });
        }
        if let (Some(grows), Some(partials)) = (grows, self.kept_in) {
            partials.write(&self.entry, |writer| match hole {
                // Nobody else writes to this place.
                Some(_) if self.grown_hole.has(grows.as_ref(), offset, len as u64) => Ok(()),
                Some(_) => writer.clear(&grows, offset, len as u64),
                None => writer.write(&grows, &buffer[..len], offset),
            })?;
        }
        Ok(hole.unwrap_or_else(|| piece_hash(geometry, &buffer[..len])))
    }

    /// No more of it is read: closes it.
    pub fn close(&self) {
        let open = lock(&self.open).take();
        drop(open);
    }

    fn geometry(&self) -> Geometry {
        self.entry.file().expect("only files are read").geometry
    }

    fn unreadable(&self, source: io::Error) -> SourceError {
        SourceError::Unreadable { place: self.source.place(), source }
    }

    fn open(&self) -> Result<Open, SourceError> {
        let open = &mut *lock(&self.open);
        if let Some(open) = open {
            return Ok(open.clone());
        }
        // Others read the pieces before and after: what is read ahead here would be read twice.
        let order = match self.geometry().is_single_piece() {
            true => ReadingOrder::Unknown,
            false => ReadingOrder::Scattered,
        };
        let source = self.source.open(order).map_err(|error| self.unreadable(error))?;
        let grows = self.kept_in.map(|partials| partials.open(&self.entry)).transpose()?;
        Ok(open.insert(Open { source, grows }).clone())
    }
}

/// Whether a file is what an earlier run left of an entry, and has no other name elsewhere: that
/// one would get what is written.
fn is_own(found: &Metadata, entry: &Entry) -> bool {
    found.is_file() && found.len() == entry.len() && found.nlink() == 1
}
