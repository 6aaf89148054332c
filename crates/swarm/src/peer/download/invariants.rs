//! What must hold of the download role after every event; for tests and the simulator.

use super::{Download, TransferState};
use content::PieceId;
use std::collections::{BTreeMap, BTreeSet};

impl Download {
    /// Panics where something does not hold.
    pub(in crate::peer) fn check_invariants(&self) {
        self.holders.check_invariants();
        self.check_window();
        self.check_requests();
    }

    /// The pieces that are in flight, and those that are being written.
    pub(in crate::peer) fn under_way(&self) -> (BTreeSet<PieceId>, BTreeSet<PieceId>) {
        let (mut in_flight, mut writing) = (BTreeSet::new(), BTreeSet::new());
        for request in self.requests.values().filter(|request| !request.cancelled) {
            in_flight.extend(&request.asked);
        }
        for transfer in self.transfers.values() {
            match transfer.state {
                TransferState::Coming => in_flight.extend(&transfer.claimed),
                TransferState::Storing => writing.extend(&transfer.claimed),
            }
        }
        (in_flight, writing)
    }

    fn check_window(&self) {
        let asked = self.requests.values().filter(|request| !request.cancelled);
        let asked: u64 = asked.map(|request| self.bytes_of(&request.asked)).sum();
        let coming: u64 = self.transfers.values().map(|transfer| transfer.bytes).sum();
        assert_eq!(self.used_bytes, asked + coming, "the window counts what is under way");
    }

    /// What is fetched is what requests and transfers are about, and each holder's counts agree
    /// with its requests.
    fn check_requests(&self) {
        let mut fetched: Vec<PieceId> = Vec::new();
        let mut open = BTreeMap::new();
        for transfer in self.transfers.values() {
            *open.entry(transfer.request).or_insert(0) += 1;
            assert!(transfer.claimed.is_sorted(), "what is awaited is searched");
            assert!(!(transfer.state == TransferState::Storing && transfer.claimed.is_empty()));
            fetched.extend(&transfer.claimed);
        }
        let (mut requests, mut unacknowledged) = (BTreeMap::new(), BTreeMap::new());
        for (number, request) in &self.requests {
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
        let waiting = self.requests.iter();
        let waiting = waiting.filter(|(_, r)| !r.acknowledged && !r.retracted && !r.cancelled);
        let slot = |rank| self.holders.get(rank).expect("it has requests").slot();
        let waiting = waiting.map(|(&number, request)| (number, slot(request.holder)));
        assert!(waiting.eq(self.waiting.iter().copied()), "what may be taken back");
        let each: BTreeSet<PieceId> = fetched.iter().copied().collect();
        assert_eq!(each.len(), fetched.len(), "each piece is fetched once at a time");
        for (rank, holder) in self.holders.iter() {
            assert_eq!(holder.requests(), requests.remove(&rank).unwrap_or(0), "at {rank}");
            assert_eq!(holder.unacknowledged(), unacknowledged.remove(&rank).unwrap_or(0));
        }
        assert!(requests.keys().all(|&rank| self.holders.is_lost(rank)), "no holder is forgotten");
    }
}
