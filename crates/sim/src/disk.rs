//! The files of a simulated job, and what of them lies on one rank's disk.

use crate::scenario::{PIECE_BYTES, Scenario};
use content::{
    Bitfield, Catalogue, Entry, EntryIndex, FileContent, Geometry, Hash, Kind, Metadata, Name,
    PieceId, PieceLayer, PieceLen, Timestamp, VerifiedLayer,
};
use std::sync::Arc;
use swarm::peer::Offered;
use swarm::{Held, Offer, Origin};

/// The files of a job, as those who hold them offer them.
#[derive(Debug)]
pub(crate) struct Files {
    files: Vec<(Entry, VerifiedLayer)>,
}

impl Files {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            files: (0..scenario.files).map(|at| file(at, scenario.pieces_of_file(at))).collect(),
        }
    }

    /// The offers of one who holds all.
    pub(crate) fn offered(&self) -> Vec<Offered> {
        let offered = |(entry, layer): &(Entry, VerifiedLayer)| Offered {
            offer: Offer { entry: entry.clone(), held: Held::Whole, origin: Origin::Share(0) },
            layer: Some(Box::new(layer.clone())),
        };
        self.files.iter().map(offered).collect()
    }
}

/// A file of so many pieces. Its bytes do not exist, so any numbers will do for hashes.
fn file(number: u32, pieces: u32) -> (Entry, VerifiedLayer) {
    let piece_len = PieceLen::from_bytes(PIECE_BYTES).expect("a power of two");
    let geometry = Geometry::new(u64::from(pieces) * PIECE_BYTES, piece_len);
    let hash = |piece: u32| {
        let mut hash = [0x5A; 32];
        hash[..4].copy_from_slice(&piece.to_le_bytes());
        hash[4..8].copy_from_slice(&number.to_le_bytes());
        Hash(hash)
    };
    let layer = PieceLayer::new(geometry, (0..pieces).map(hash).collect());
    let layer = layer.expect("a hash a piece");
    let content = FileContent::hashed(&layer);
    let metadata = Metadata::new(0o644, Timestamp { seconds: 0, nanoseconds: 0 });
    let name = Name::new(format!("file{number:08}")).expect("a plain name");
    (Entry { name, kind: Kind::File(content), metadata }, layer.prove())
}

/// What lies on one rank's disk.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    catalogue: Option<Arc<Catalogue>>,
    /// Pieces that are there: shared, or verified and written.
    held: Bitfield,
    /// Pieces that came whole and good at least once.
    came: Bitfield,
    /// Entries that have their name.
    named: Bitfield,
    /// Nothing can be read.
    lost_all: bool,
    /// Entries that cannot be read.
    lost: Vec<EntryIndex>,
}

impl Disk {
    /// START: numbers have a meaning now. A seeder has everything.
    pub(crate) fn begin(&mut self, catalogue: Arc<Catalogue>, is_seeder: bool) {
        let (pieces, entries) = (catalogue.piece_count(), catalogue.entry_count());
        let set = if is_seeder { Bitfield::full } else { Bitfield::new };
        (self.held, self.came, self.named) = (set(pieces), set(pieces), set(entries));
        self.catalogue = Some(catalogue);
    }

    /// Whether START has come.
    pub(crate) fn has_begun(&self) -> bool {
        self.catalogue.is_some()
    }

    /// Pieces that are there.
    pub(crate) fn held(&self) -> &Bitfield {
        &self.held
    }

    /// From now on nothing can be read.
    pub(crate) fn lose_all(&mut self) {
        self.lost_all = true;
    }

    /// From now on an entry cannot be read.
    pub(crate) fn lose(&mut self, entry: EntryIndex) {
        self.lost.push(entry);
    }

    /// Pieces that are there and can be read.
    pub(crate) fn readable(&self) -> Bitfield {
        let Some(catalogue) = &self.catalogue else { return Bitfield::default() };
        let mut readable = self.held.clone();
        for &entry in &self.lost {
            readable.remove_range(catalogue.pieces_of(entry));
        }
        if self.lost_all { Bitfield::new(self.held.len()) } else { readable }
    }

    /// Whether a piece can be read, if it is there.
    pub(crate) fn is_readable(&self, piece: u32) -> bool {
        let Some(catalogue) = &self.catalogue else { return false };
        let of = catalogue.locate(PieceId(piece)).0;
        !self.lost_all && !self.lost.contains(&of)
    }

    /// Whether all is there under its name.
    pub(crate) fn is_complete(&self) -> bool {
        self.catalogue.is_some() && self.named.is_full()
    }

    /// A good piece came; says whether that was for the first time.
    pub(crate) fn comes(&mut self, piece: u32) -> bool {
        self.came.insert(piece)
    }

    /// Writes a piece; says whether it was not there.
    pub(crate) fn write(&mut self, piece: u32) -> bool {
        self.held.insert(piece)
    }

    /// Whether an entry may get its name: all of it is there, and it has none.
    pub(crate) fn may_name(&self, entry: EntryIndex) -> bool {
        let range = self.catalogue.as_ref().map(|catalogue| catalogue.pieces_of(entry));
        range.is_some_and(|range| self.held.contains_range(range)) && !self.named.get(entry.0)
    }

    pub(crate) fn name(&mut self, entry: EntryIndex) {
        self.named.insert(entry.0);
    }
}

/// What no machine wants: so do tests see that the oracles look.
#[cfg(test)]
impl Disk {
    pub(crate) fn forget(&mut self, piece: u32) {
        self.held.remove(piece);
    }

    pub(crate) fn unname(&mut self) {
        self.named = Bitfield::new(self.named.len());
    }
}
