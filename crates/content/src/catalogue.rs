//! The catalogue: all entries of a job, numbered, and their pieces numbered through.
//!
//! After START every rank has the same catalogue, so messages speak of [`EntryIndex`] and
//! [`PieceId`] alone. A piece has one number in the whole job: what a rank holds is one bitfield,
//! and the picker sees one row of pieces whether the job is one huge file or many small ones.

use crate::bundle::Bundles;
use crate::{Bitfield, Entry, Geometry, Name, PieceIndex, Span};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The number of an entry in the catalogue, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryIndex(pub u32);

/// The number of a piece in the whole catalogue, from 0: the pieces of entry 0, then those of entry
/// 1, ...
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PieceId(pub u32);

/// Why entries cannot make a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// More than [`Catalogue::MAX_ENTRIES`].
    #[error("{0} entries are more than the {max} that one job may have", max = Catalogue::MAX_ENTRIES)]
    TooManyEntries(usize),
    /// More than [`Catalogue::MAX_PIECES`].
    #[error("more than {max} pieces in one job", max = Catalogue::MAX_PIECES)]
    TooManyPieces,
}

/// The numbered entries of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    entries: Vec<Entry>,
    /// For each entry the number of its first piece; one more element for the end.
    first_piece: Vec<u32>,
    bundles: Bundles,
}

impl Catalogue {
    /// The most entries: numbers fit in `u32` with room, and the names of so many still fit in
    /// memory.
    pub const MAX_ENTRIES: usize = 1 << 24;
    /// The most pieces: one bitfield over all of them is 32 MiB, which every rank can hold a few
    /// of.
    pub const MAX_PIECES: u64 = 1 << 28;

    /// Numbers the entries in the order given.
    ///
    /// # Errors
    ///
    /// Refuses more entries or pieces than the limits.
    pub fn new(entries: Vec<Entry>) -> Result<Self, CatalogueError> {
        if entries.len() > Self::MAX_ENTRIES {
            return Err(CatalogueError::TooManyEntries(entries.len()));
        }
        let mut first_piece = Vec::with_capacity(entries.len() + 1);
        let mut next: u64 = 0;
        for entry in &entries {
            first_piece.push(next as u32);
            let pieces = entry.file().map_or(0, |content| content.geometry.piece_count_wide());
            next = next.saturating_add(pieces);
            if next > Self::MAX_PIECES {
                return Err(CatalogueError::TooManyPieces);
            }
        }
        first_piece.push(next as u32);
        let bundles = Bundles::of(&entries, next as u32);
        Ok(Self { entries, first_piece, bundles })
    }

    /// All entries in order of their numbers.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (EntryIndex, &Entry)> {
        self.entries.iter().enumerate().map(|(i, entry)| (EntryIndex(i as u32), entry))
    }

    /// How many entries.
    pub fn entry_count(&self) -> u32 {
        self.entries.len() as u32
    }

    /// How many pieces all entries have together.
    pub fn piece_count(&self) -> u32 {
        self.first_piece[self.entries.len()]
    }

    /// The entry with this number; `None` where there is none.
    pub fn get(&self, entry: EntryIndex) -> Option<&Entry> {
        self.entries.get(entry.0 as usize)
    }

    /// The entry with this number.
    ///
    /// # Panics
    ///
    /// Panics where there is none; check a number that another rank sent with [`Self::get`] first.
    pub fn entry(&self, entry: EntryIndex) -> &Entry {
        &self.entries[entry.0 as usize]
    }

    /// The entry of this name, where the entries are in order of their names, as a tracker numbers
    /// them.
    pub fn find(&self, name: &Name) -> Option<EntryIndex> {
        let at = self.entries.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        Some(EntryIndex(at as u32))
    }

    /// The numbers of an entry's pieces; empty for what has no content.
    ///
    /// # Panics
    ///
    /// Panics where there is no such entry.
    pub fn pieces_of(&self, entry: EntryIndex) -> Range<u32> {
        self.first_piece[entry.0 as usize]..self.first_piece[entry.0 as usize + 1]
    }

    /// The number of a piece of an entry.
    ///
    /// # Panics
    ///
    /// Panics where there is no such entry or piece.
    pub fn piece_id(&self, entry: EntryIndex, piece: PieceIndex) -> PieceId {
        let range = self.pieces_of(entry);
        let id = range.start + piece.0;
        assert!(id < range.end, "entry {} has no piece {}", entry.0, piece.0);
        PieceId(id)
    }

    /// Which piece of which entry a number stands for.
    ///
    /// # Panics
    ///
    /// Panics where there is no such piece; check a number that another rank sent against
    /// [`Self::piece_count`] first.
    pub fn locate(&self, piece: PieceId) -> (EntryIndex, PieceIndex) {
        assert!(piece.0 < self.piece_count(), "piece {} of {}", piece.0, self.piece_count());
        let entry = self.first_piece.partition_point(|&first| first <= piece.0) - 1;
        (EntryIndex(entry as u32), PieceIndex(piece.0 - self.first_piece[entry]))
    }

    /// How a file entry is cut.
    ///
    /// # Panics
    ///
    /// Panics where the entry is no file.
    pub fn geometry(&self, entry: EntryIndex) -> Geometry {
        self.entry(entry).file().expect("only files have a geometry").geometry
    }

    /// How many bytes a piece has.
    ///
    /// # Panics
    ///
    /// Panics where there is no such piece.
    pub fn piece_size(&self, piece: PieceId) -> u32 {
        let (entry, index) = self.locate(piece);
        self.geometry(entry).size(index)
    }

    /// Cuts a run of pieces into what travels as one: a slice of one file, or a bundle of small
    /// files that are neighbours, up to 1 MiB. The row of pieces is cut alike on every rank; a run
    /// that begins or ends within a bundle has a part of it.
    ///
    /// # Panics
    ///
    /// Panics where the run ends beyond the last piece.
    pub fn bundles(&self, run: Range<u32>) -> impl Iterator<Item = Span> + '_ {
        assert!(run.end <= self.piece_count(), "a run of another catalogue");
        self.bundles.cut(run)
    }

    /// Joins what travels as one into runs that [`Self::bundles`] cuts in the same way.
    pub fn join_bundles(&self, bundles: impl IntoIterator<Item = Span>) -> Vec<Span> {
        self.bundles.join(bundles)
    }

    /// Whether a piece travels with the one before it, where both travel.
    ///
    /// # Panics
    ///
    /// Panics where there is no such piece.
    pub fn travels_with_last(&self, piece: PieceId) -> bool {
        self.bundles.is_joined(piece.0)
    }

    /// How many pieces the bundle with the most has; 1 where no small files are neighbours.
    pub fn most_in_bundle(&self) -> u32 {
        self.bundles.most()
    }

    /// How many bytes the longest piece or bundle has; 0 where there is none.
    pub fn longest_bundle(&self) -> u64 {
        self.bundles.longest()
    }

    /// How many bytes the pieces of a bundle have together.
    ///
    /// # Panics
    ///
    /// Panics where it ends beyond the last piece.
    pub fn bundle_size(&self, bundle: Span) -> u64 {
        let pieces = bundle.first..bundle.first + bundle.count;
        pieces.map(|piece| u64::from(self.piece_size(PieceId(piece)))).sum()
    }

    /// The bytes of the longest piece; 0 where there is none.
    pub fn longest_piece(&self) -> u64 {
        let files = self.entries.iter().filter_map(Entry::file).map(|content| content.geometry);
        let longest = files.map(|file| u64::from(file.piece_len().bytes()).min(file.len()));
        longest.max().unwrap_or(0)
    }

    /// How many bytes the pieces of a set have together.
    ///
    /// # Panics
    ///
    /// Panics where the set is not over this catalogue's pieces.
    pub fn bytes_of(&self, pieces: &Bitfield) -> u64 {
        assert_eq!(pieces.len(), self.piece_count(), "a set of another catalogue");
        let mut bytes = 0;
        for (index, entry) in self.iter().filter(|(_, entry)| !entry.is_empty()) {
            let range = self.pieces_of(index);
            let last = range.end - 1;
            let geometry = self.geometry(index);
            let whole = u64::from(geometry.piece_len().bytes());
            bytes += u64::from(pieces.count_in(range)) * whole;
            if pieces.get(last) {
                bytes -= whole
                    - u64::from(
                        geometry.size(PieceIndex(last - self.first_piece[index.0 as usize])),
                    );
            }
            debug_assert!(entry.file().is_some());
        }
        bytes
    }
}
