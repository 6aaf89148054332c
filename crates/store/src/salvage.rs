//! Pieces that are on this rank already, in an older file or the same source: found, verified, put
//! in place.

use super::open_files::Key;
use super::partial::{self, Part, PartName};
use super::source::{ReadAt, Source};
use super::{Store, WriteError, lock, sparse};
use content::merkle::piece_hash;
use content::{EntryIndex, Geometry, Hash, PieceId, PieceIndex, ZeroPieces};
use rustix::fs::OFlags;
use std::fs::File;
use std::io;
use std::ops::DerefMut;
use std::sync::Arc;

/// What became of an attempt to salvage a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Salvage {
    /// It was in what stood at the destination, or in an old partial, and is written now.
    Reused,
    /// It was in a source on this rank, or in a file of the same content, or is zeros throughout,
    /// and is written now.
    Copied,
    /// It is nowhere here.
    Absent,
}

/// What an entry's pieces may be found in.
pub(super) struct Candidates {
    /// What stands under its name.
    pub(super) standing: Option<Found>,
    /// Whether the data of an old partial was put aside.
    pub(super) aside: bool,
    /// A source on this rank, of the right length.
    pub(super) local: Option<Arc<dyn Source>>,
}

/// A file under the name of an entry.
pub(super) struct Found {
    /// The hashes of its pieces, where it has the entry's length; else they are found out piece by
    /// piece.
    pub(super) hashes: Option<Vec<Hash>>,
}

impl Candidates {
    pub(super) fn new(
        standing: Option<Found>,
        aside: bool,
        local: Option<Arc<dyn Source>>,
    ) -> Self {
        Self { standing, aside, local }
    }
}

impl Store {
    /// Looks for a piece in what [`Self::survey`] found, and in a file of the same content, and
    /// writes it where it is there and verifies. What is zeros throughout is not looked for: it
    /// becomes a hole. `take` gives a buffer of a length, where one is needed.
    ///
    /// # Errors
    ///
    /// Says why it cannot be written; what cannot be read counts as absent.
    ///
    /// # Panics
    ///
    /// Panics where the entry is finished.
    pub fn salvage<B: DerefMut<Target = [u8]>>(
        &self,
        piece: PieceId,
        expected: Hash,
        take: impl FnOnce(usize) -> B,
    ) -> Result<Salvage, WriteError> {
        let (entry, index) = self.catalogue.locate(piece);
        self.bring(piece, expected, take, |buffer| {
            match self.search(entry, index, expected, buffer) {
                Salvage::Absent if self.is_in_twin(entry, index, expected, buffer) => {
                    Salvage::Copied
                }
                found => found,
            }
        })
    }

    /// Reads a piece from a source that should have it in its place, and writes it where it
    /// verifies. `take` gives a buffer of a length, where one is needed.
    ///
    /// # Errors
    ///
    /// Says why it cannot be written; what cannot be read counts as absent.
    ///
    /// # Panics
    ///
    /// Panics where the entry is finished.
    pub fn copy<B: DerefMut<Target = [u8]>>(
        &self,
        piece: PieceId,
        expected: Hash,
        source: &dyn Source,
        take: impl FnOnce(usize) -> B,
    ) -> Result<Salvage, WriteError> {
        let (entry, index) = self.catalogue.locate(piece);
        let geometry = self.catalogue.geometry(entry);
        let zeros = &ZeroPieces::of(geometry);
        self.bring(piece, expected, take, |buffer| {
            let mut wanted = Wanted { geometry, index, expected, zeros, buffer };
            match wanted.is_in(self.open_source(Key::Local(entry.0), source)) {
                true => Salvage::Copied,
                false => Salvage::Absent,
            }
        })
    }

    /// Writes a piece that a search finds. Nothing is searched for zeros.
    fn bring<B: DerefMut<Target = [u8]>>(
        &self,
        piece: PieceId,
        expected: Hash,
        take: impl FnOnce(usize) -> B,
        search: impl FnOnce(&mut [u8]) -> Salvage,
    ) -> Result<Salvage, WriteError> {
        let (entry, index) = self.catalogue.locate(piece);
        let geometry = self.catalogue.geometry(entry);
        if ZeroPieces::of(geometry).has(index, expected) {
            self.clear(piece)?;
            return Ok(Salvage::Copied);
        }
        let mut buffer = take(geometry.size(index) as usize);
        let found = search(&mut buffer);
        if found != Salvage::Absent {
            self.write(piece, &buffer)?;
        }
        Ok(found)
    }

    /// Looks for a piece in what the survey found; then the buffer has its bytes.
    fn search(
        &self,
        entry: EntryIndex,
        index: PieceIndex,
        expected: Hash,
        buffer: &mut [u8],
    ) -> Salvage {
        let state = self.states.find(entry);
        let Some(candidates) = state.and_then(|state| lock(&state).candidates.clone()) else {
            return Salvage::Absent;
        };
        let geometry = self.catalogue.geometry(entry);
        let zeros = &ZeroPieces::of(geometry);
        let mut wanted = Wanted { geometry, index, expected, zeros, buffer };
        let hashes = candidates.standing.as_ref().map(|found| &found.hashes);
        let may_stand = hashes.is_some_and(|hashes| {
            hashes.as_ref().is_none_or(|hashes| hashes[index.0 as usize] == expected)
        });
        if may_stand && wanted.is_in(self.open_standing(entry))
            || candidates.aside && wanted.is_in(self.open_aside(entry))
        {
            Salvage::Reused
        } else if let Some(source) = &candidates.local
            && wanted.is_in(self.open_source(Key::Local(entry.0), source.as_ref()))
        {
            Salvage::Copied
        } else {
            Salvage::Absent
        }
    }

    /// Whether a piece is in the file of equal content that the entry is made from, and verifies;
    /// then the buffer has its bytes.
    fn is_in_twin(
        &self,
        entry: EntryIndex,
        index: PieceIndex,
        expected: Hash,
        buffer: &mut [u8],
    ) -> bool {
        let Some((source, _)) = self.twins.source(entry) else { return false };
        let is_done = || self.states.find(source).is_some_and(|state| lock(&state).is_done());
        if !self.shared.contains_key(&source.0) && !is_done() {
            return false;
        }
        let read = self.read(self.catalogue.piece_id(source, index), buffer);
        read.is_ok() && piece_hash(self.catalogue.geometry(entry), buffer) == expected
    }

    /// Writes a piece of zeros. What was never written is a hole already.
    fn clear(&self, piece: PieceId) -> Result<(), WriteError> {
        let (entry, index) = self.catalogue.locate(piece);
        let geometry = self.catalogue.geometry(entry);
        let (offset, len) = (geometry.offset(index), geometry.size(index));
        let file = self.grow(entry, &mut lock(&self.states.get(entry)))?;
        let cleared = match sparse::is_hole(file.as_ref(), offset, u64::from(len)) {
            true => Ok(()),
            false => self.writer.clear(&file, offset, u64::from(len)),
        };
        cleared.map_err(|error| self.write_error(entry, error))
    }

    fn open_standing(&self, entry: EntryIndex) -> io::Result<Arc<File>> {
        let name = &self.catalogue.entry(entry).name;
        self.open(Key::Standing(entry.0), || self.destination().root.open_file(name))
    }

    fn open_aside(&self, entry: EntryIndex) -> io::Result<Arc<File>> {
        let name = PartName::of(&self.catalogue.entry(entry).name).file(Part::Old);
        let open = || Ok(partial::open(&self.destination().shoal, &name, OFlags::RDONLY)?);
        self.open(Key::Old(entry.0), open)
    }
}

/// A piece that is looked for.
struct Wanted<'a> {
    geometry: Geometry,
    index: PieceIndex,
    expected: Hash,
    zeros: &'a ZeroPieces,
    buffer: &'a mut [u8],
}

impl Wanted<'_> {
    /// Whether a source has the piece in its place; then the buffer has its bytes.
    fn is_in(&mut self, source: io::Result<Arc<impl ReadAt + ?Sized>>) -> bool {
        let Ok(source) = source else { return false };
        let (offset, len) = (self.geometry.offset(self.index), self.buffer.len());
        // It is not zeros: those are not looked for.
        let is_data = self.zeros.hash(self.index).is_some();
        if is_data && sparse::is_hole(source.as_ref(), offset, len as u64) {
            return false;
        }
        source.read_exactly_at(self.buffer, offset).unwrap_or(false)
            && piece_hash(self.geometry, self.buffer) == self.expected
    }
}
