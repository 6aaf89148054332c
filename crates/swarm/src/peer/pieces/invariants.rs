//! What must hold of the ledger after every event; for tests and the simulator.

use super::state::{State, Tally};
use super::{Outlook, Pieces};
use content::PieceId;
use std::collections::BTreeSet;

impl Pieces {
    /// Panics where something does not hold.
    pub(in crate::peer) fn check_invariants(&self) {
        self.picker.check_invariants();
        let count = |which| self.states.iter().filter(|&&state| state == which).count();
        assert_eq!(self.searching, count(State::Searching));
        assert_eq!(self.unavailable, count(State::Unavailable));
        for piece in (0..self.catalogue.piece_count()).map(PieceId) {
            let is_wanted = self.state(piece) == State::Wanted;
            assert_eq!(self.picker.is_pickable(piece.0), is_wanted, "{piece:?} in the picker");
        }
        self.check_queues();
        self.check_entries();
    }

    /// Each piece that waits to be made or looked for is in one queue, once.
    fn check_queues(&self) {
        let queued = self.to_make.iter().chain(&self.to_search).copied();
        let local: Vec<PieceId> = queued.filter(|&p| self.state(p) == State::Local).collect();
        let each: BTreeSet<PieceId> = local.iter().copied().collect();
        assert_eq!(each.len(), local.len(), "no piece waits twice");
        let waiting = self.states.iter().filter(|&&state| state == State::Local).count();
        assert_eq!(waiting, local.len(), "each piece that waits is in a queue");
        let nothing_waits = self.from_source.is_empty() && !self.is_any_local();
        assert!(!self.is_halted || nothing_waits, "a halted rank looks for nothing more");
    }

    /// An entry that gathers has something to wait for, and each of its pieces is accounted for; no
    /// piece of another entry waits for anything.
    fn check_entries(&self) {
        for (entry, _) in self.catalogue.iter().filter(|(_, entry)| entry.file().is_some()) {
            let range = self.catalogue.pieces_of(entry);
            let states = &self.states[range.start as usize..range.end as usize];
            let count = |which| states.iter().filter(|&&state| state == which).count() as u32;
            let Some(&tally) = self.gathering.get(&entry) else {
                assert!(!states.iter().any(|state| state.waits()), "entry {} is closed", entry.0);
                continue;
            };
            let missing = states.len() as u32 - count(State::Have);
            let unavailable = count(State::Unavailable);
            assert_eq!(tally, Tally { missing, unavailable }, "of entry {}", entry.0);
            assert_eq!(tally.outlook(), Outlook::Open, "entry {} gathers in vain", entry.0);
            if !self.is_halted {
                assert_eq!(count(State::Idle), 0, "entry {} forgets a piece", entry.0);
            }
        }
    }

    /// Pieces in each of these states agree with what the roles have under way: in flight, being
    /// written, waiting for a hash, held back.
    pub(in crate::peer) fn check_roles(
        &self,
        in_flight: &BTreeSet<PieceId>,
        writing: &BTreeSet<PieceId>,
        needs_hash: impl Fn(PieceId) -> bool,
        is_held_back: impl Fn(PieceId) -> bool,
    ) {
        for piece in (0..self.catalogue.piece_count()).map(PieceId) {
            let state = self.state(piece);
            assert_eq!(state == State::InFlight, in_flight.contains(&piece), "{piece:?}");
            assert_eq!(state == State::Writing, writing.contains(&piece), "{piece:?}");
            assert!(state != State::NeedsHash || needs_hash(piece), "{piece:?} has its hash");
            assert!(state != State::HeldBack || is_held_back(piece), "{piece:?} has no route");
        }
    }

    /// Bytes of the pieces that are written.
    pub(in crate::peer) fn have_bytes(&self) -> u64 {
        let pieces = (0..self.catalogue.piece_count()).map(PieceId);
        let have = pieces.filter(|&piece| self.has(piece));
        have.map(|piece| u64::from(self.catalogue.piece_size(piece))).sum()
    }
}
