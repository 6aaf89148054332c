//! Pieces that are zeros throughout, by their hashes: nobody asks for them. Asks for nothing
//! itself.

use super::session::Session;
use content::{Bitfield, Entry, EntryIndex, PieceId, ZeroPieces};

impl Session {
    /// The pieces that are served and that somebody will ask for: nobody asks for zeros.
    pub(super) fn sendable(&self) -> Bitfield {
        let mut sendable = self.upload.serving().clone();
        let sparse = |(_, entry): &(EntryIndex, &Entry)| {
            entry.file().is_some_and(|content| content.zero_bytes > 0)
        };
        for (index, _) in self.catalogue.iter().filter(sparse) {
            for piece in self.catalogue.pieces_of(index) {
                if self.is_zeros(PieceId(piece)) {
                    sendable.remove(piece);
                }
            }
        }
        sendable
    }

    /// Whether a piece of a file that has such is zeros throughout.
    pub(super) fn is_zeros(&self, piece: PieceId) -> bool {
        let (entry, index) = self.catalogue.locate(piece);
        let content = self.catalogue.entry(entry).file().expect("only files have pieces");
        content.zero_bytes > 0
            && self
                .hashes
                .expected(&self.catalogue, piece)
                .is_some_and(|hash| ZeroPieces::of(content.geometry).has(index, hash))
    }
}
