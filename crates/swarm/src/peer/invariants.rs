//! What must hold of a session after every event; for tests and the simulator.

use super::download::TransferState;
use super::session::Session;
use content::{EntryIndex, HashRange, PieceId};
use std::collections::{BTreeMap, BTreeSet};

impl Session {
    /// Panics where something does not hold.
    pub(super) fn check_invariants(&self) {
        self.picker.check_invariants();
        self.holders.check_invariants();
        self.upload.check_invariants();
        self.check_window();
        self.check_requests();
        self.check_places();
        let counted = self.counters.bytes_delivered + self.counters.bytes_reused;
        assert_eq!(self.entries.have_bytes(), counted, "each byte is delivered or reused, once");
    }

    fn check_window(&self) {
        let asked = self.download.requests.values().filter(|request| !request.cancelled);
        let asked: u64 = asked.map(|request| self.bytes_of(&request.asked)).sum();
        let coming: u64 = self.download.transfers.values().map(|transfer| transfer.bytes).sum();
        assert_eq!(self.download.used_bytes, asked + coming, "the window counts what is under way");
    }

    /// What is fetched is what requests and transfers are about, and each holder's counts agree
    /// with its requests.
    fn check_requests(&self) {
        let mut fetched: Vec<PieceId> = Vec::new();
        let mut open = BTreeMap::new();
        for transfer in self.download.transfers.values() {
            *open.entry(transfer.request).or_insert(0) += 1;
            assert!(transfer.claimed.is_sorted(), "what is awaited is searched");
            assert!(!(transfer.state == TransferState::Storing && transfer.claimed.is_empty()));
            fetched.extend(&transfer.claimed);
        }
        let (mut requests, mut unacknowledged) = (BTreeMap::new(), BTreeMap::new());
        for (number, request) in &self.download.requests {
            assert_eq!(request.open, open.remove(number).unwrap_or(0), "request {}", number.0);
            let answered = request.asked.is_empty() && request.superseded.is_empty();
            assert_eq!(request.acknowledged, answered, "request {}", number.0);
            assert!(!request.acknowledged || request.open > 0, "request {} is over", number.0);
            *requests.entry(request.holder).or_insert(0) += 1;
            if !request.acknowledged {
                *unacknowledged.entry(request.holder).or_insert(0) += 1;
                fetched.extend(request.asked.iter().filter(|_| !request.cancelled));
            }
        }
        assert!(open.is_empty(), "a transfer without its request");
        let waiting = self.download.requests.iter();
        let waiting = waiting.filter(|(_, r)| !r.acknowledged && !r.retracted && !r.cancelled);
        let place = |rank| self.holders.get(rank).expect("it has requests").place();
        let waiting = waiting.map(|(&number, request)| (number, place(request.holder)));
        assert!(waiting.eq(self.download.waiting.iter().copied()), "what may be taken back");
        let each: BTreeSet<PieceId> = fetched.iter().copied().collect();
        assert_eq!(each.len(), fetched.len(), "each piece is fetched once at a time");
        assert_eq!(each, *self.download.fetching());
        for (rank, holder) in self.holders.iter() {
            assert_eq!(holder.requests(), requests.remove(&rank).unwrap_or(0), "at {rank}");
            assert_eq!(holder.unacknowledged(), unacknowledged.remove(&rank).unwrap_or(0));
        }
        assert!(requests.keys().all(|&rank| self.holders.is_lost(rank)), "no holder is forgotten");
    }

    /// Every piece that is wanted and not written is in exactly one place; no other is in any.
    fn check_places(&self) {
        let salvages = self.entries.to_be_salvaged();
        for (index, entry) in self.catalogue.iter().filter(|(_, entry)| entry.file().is_some()) {
            let wanted = self.entries.wants(index);
            let (mut missing, mut gone) = (0, 0);
            for piece in self.catalogue.pieces_of(index).map(PieceId) {
                let written = self.entries.is_written(piece);
                let places = [
                    self.picker.is_pickable(piece.0),
                    self.download.fetching().contains(&piece),
                    salvages.contains(&piece),
                    wanted && !written && self.entries.is_gone(piece),
                    wanted && !written && self.awaits_hash(index, piece),
                    wanted && !written && self.entries.is_held_back(index),
                ];
                let count = places.iter().filter(|&&place| place).count();
                let name = &entry.name;
                if wanted {
                    missing += u32::from(!written);
                    gone += u32::from(places[3]);
                    assert_eq!(count, usize::from(!written), "{places:?}: {piece:?} of {name}");
                } else {
                    assert!(!places[0], "{piece:?} of {name} is pickable, and not wanted");
                }
            }
            self.entries.check_counts(index, missing, gone);
        }
    }

    fn awaits_hash(&self, entry: EntryIndex, piece: PieceId) -> bool {
        let (_, index) = self.catalogue.locate(piece);
        self.hashes.is_needed((entry, HashRange::covering(index))) && !self.entries.is_gone(piece)
    }
}
