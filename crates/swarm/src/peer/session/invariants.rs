//! What must hold of a session after every event; for tests and the simulator.

use super::Session;
use content::HashRange;

impl Session {
    /// Panics where something does not hold.
    pub(in crate::peer) fn check_invariants(&self) {
        self.pieces.check_invariants();
        self.download.check_invariants();
        self.upload.check_invariants();
        self.check_pieces();
        if self.inspection.is_none() {
            let counted = self.have_bytes();
            assert_eq!(self.pieces.have_bytes(), counted, "each byte is delivered or reused, once");
        }
    }

    /// Each piece's state agrees with what the roles have under way.
    fn check_pieces(&self) {
        let (in_flight, writing) = self.download.under_way();
        let needs_hash = |piece| {
            let (entry, index) = self.catalogue.locate(piece);
            self.pieces.hashes().is_needed((entry, HashRange::covering(index)))
        };
        let is_held_back = |piece| self.entries.is_held_back(self.catalogue.locate(piece).0);
        self.pieces.check_roles(&in_flight, &writing, needs_hash, is_held_back);
        for (entry, _) in self.catalogue.iter().filter(|(_, entry)| entry.file().is_some()) {
            if !self.entries.is_halted() {
                let gathers = self.entries.is_fetching(entry);
                assert_eq!(self.pieces.gathers(entry), gathers, "entry {}", entry.0);
            }
        }
    }
}
