//! What comes: acknowledgements, and the pieces that follow them. Asks for nothing.

use super::{Download, Transfer, TransferState};
use crate::message::{Ack, RequestNumber};
use crate::peer::pieces::{LateClaim, Pieces};
use crate::peer::{PeerAction, PeerConfig, TransferId};
use crate::schedule::Locality;
use crate::{Instant, Rank};
use content::{Hash, PieceId, Span};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Download {
    /// A holder acknowledged a request: its pieces are on their way.
    pub(in crate::peer) fn on_ack(
        &mut self,
        now: Instant,
        from: Rank,
        ack: &Ack,
        ledger: &mut Pieces,
        actions: &mut Vec<PeerAction>,
    ) {
        let limit = self.catalogue.piece_count();
        let is_far = self.ownership.topology().locality(from) == Locality::Remote;
        let Some(request) = self.requests.get_mut(&ack.request) else { return };
        if request.holder != from || request.acknowledged {
            return;
        }
        request.acknowledged = true;
        request.progress = now;
        let cancelled = request.cancelled;
        let asked = std::mem::take(&mut request.asked);
        let superseded = std::mem::take(&mut request.superseded);
        self.waits_no_more(ack.request);
        if self.holders.acknowledged(from, now, ack.backlog) {
            ledger.picker_mut().wake();
        }
        for piece in Span::all_checked(&ack.sent, limit).flatten() {
            ledger.picker_mut().promise(piece);
        }
        let mut open: BTreeSet<PieceId> = asked.iter().chain(&superseded).copied().collect();
        let catalogue = Arc::clone(&self.catalogue);
        let follows = Span::all_checked(&ack.follows, limit);
        let follows = follows.flat_map(|run| catalogue.bundles(run));
        // What was not asked for, or is told twice, is nothing to wait for.
        let mut is_open = |pieces: &Span| {
            let mut numbers = pieces.numbers().map(PieceId);
            numbers.clone().all(|piece| open.contains(&piece))
                && numbers.all(|piece| open.remove(&piece))
        };
        let follows: Vec<Span> = follows.filter(|pieces| is_open(pieces)).collect();
        for &pieces in &follows {
            let claimed = pieces.numbers().map(PieceId);
            let claimed = claimed.filter(|piece| !cancelled && !superseded.contains(piece));
            self.expect(ack.request, from, pieces, claimed.collect(), actions);
        }
        let request = self.requests.get_mut(&ack.request).expect("still there");
        request.open = follows.len();
        if !cancelled {
            let refused = ack.refused.iter().filter_map(|span| span.checked(limit)).flatten();
            for piece in refused.filter(|&piece| open.contains(&PieceId(piece))) {
                self.holders.unlearn(from, piece, ledger.picker_mut());
            }
            // What neither follows nor is refused is given back: its holder could not send it soon.
            for piece in asked.into_iter().filter(|piece| open.contains(piece)) {
                self.used_bytes -= u64::from(self.catalogue.piece_size(piece));
                ledger.release(piece);
                // What went to one other rack comes from there.
                if is_far && ack.sent.iter().any(|sent| sent.contains(piece.0)) {
                    self.holders.unlearn(from, piece.0, ledger.picker_mut());
                }
            }
        }
        self.close_when_answered(ack.request, ledger);
    }

    /// Posts the receive of what was acknowledged.
    fn expect(
        &mut self,
        request: RequestNumber,
        from: Rank,
        pieces: Span,
        claimed: Vec<PieceId>,
        actions: &mut Vec<PeerAction>,
    ) {
        let transfer = TransferId(self.next_transfer);
        self.next_transfer += 2;
        let bytes = self.catalogue.bundle_size(pieces);
        // A cancelled request gave its room back; what comes nevertheless takes it again.
        self.used_bytes += bytes - self.bytes_of(&claimed);
        let state = TransferState::Coming;
        let record = Transfer { request, holder: from, pieces, bytes, claimed, state };
        self.transfers.insert(transfer, record);
        actions.push(PeerAction::Receive { from, transfer, pieces });
    }

    /// A request whose every piece has ended is over: so is the batch.
    fn close_when_answered(&mut self, number: RequestNumber, ledger: &mut Pieces) {
        let Some(request) = self.requests.get(&number) else { return };
        if !request.acknowledged || request.open > 0 {
            return;
        }
        let holder = request.holder;
        self.requests.remove(&number);
        ledger.picker_mut().wake();
        self.holders.answered(holder);
    }

    /// A transfer is over: its room is free.
    pub(super) fn end_transfer(&mut self, transfer: TransferId, ledger: &mut Pieces) {
        let Some(record) = self.transfers.remove(&transfer) else { return };
        self.used_bytes -= record.bytes;
        ledger.picker_mut().wake();
        if let Some(request) = self.requests.get_mut(&record.request) {
            request.open -= 1;
        }
        self.close_when_answered(record.request, ledger);
    }

    /// A posted receive got what it waited for, or zero bytes where that was withdrawn.
    pub(in crate::peer) fn on_received(
        &mut self,
        now: Instant,
        transfer: TransferId,
        len: u32,
        config: &PeerConfig,
        ledger: &mut Pieces,
        actions: &mut Vec<PeerAction>,
    ) {
        let Some(record) = self.transfers.get_mut(&transfer) else {
            return actions.push(PeerAction::Discard { transfer });
        };
        let (pieces, holder, number) = (record.pieces, record.holder, record.request);
        let (numbers, bytes) = (record.pieces(), record.bytes);
        let claimed = std::mem::take(&mut record.claimed);
        let whole = u64::from(len) == bytes;
        self.counters.bytes_received += u64::from(len);
        self.window.moved(u64::from(len));
        let request = self.requests.get_mut(&number);
        request.into_iter().for_each(|request| request.progress = now);
        self.holders.sent(holder, now);
        let mut expected: Vec<(PieceId, Hash)> = Vec::new();
        for piece in numbers.filter(|_| whole) {
            let awaited = claimed.binary_search(&piece).is_ok();
            if ledger.lacks(piece) && (awaited || self.take_over(piece, ledger)) {
                let hash = ledger.expected(piece);
                expected.push((piece, hash.expect("asked for with its hash known")));
            }
        }
        let useful: Vec<PieceId> = expected.iter().map(|&(piece, _)| piece).collect();
        let wasted = u64::from(len) - self.bytes_of(&useful);
        self.counters.bytes_wasted += wasted;
        if !claimed.is_empty() && len == 0 {
            self.on_withdrawn(number, holder, &claimed, ledger);
        } else if !claimed.is_empty() && !whole {
            self.punish(holder, config, ledger, actions);
        }
        for piece in claimed.into_iter().filter(|piece| useful.binary_search(piece).is_err()) {
            ledger.release(piece);
        }
        if useful.is_empty() {
            actions.push(PeerAction::Discard { transfer });
            return self.end_transfer(transfer, ledger);
        }
        let record = self.transfers.get_mut(&transfer).expect("looked up above");
        record.state = TransferState::Storing;
        useful.iter().for_each(|&piece| ledger.begin_writing(piece));
        record.claimed = useful;
        actions.push(PeerAction::Store { transfer, pieces, expected });
    }

    /// A holder sends nothing in the place of these pieces. A single piece it has no more. Of a
    /// bundle it may lack one alone: it will say which when it is asked for each.
    fn on_withdrawn(
        &mut self,
        request: RequestNumber,
        holder: Rank,
        pieces: &[PieceId],
        ledger: &mut Pieces,
    ) {
        if self.requests.get(&request).is_some_and(|request| request.retracted) {
            return;
        }
        match pieces {
            [piece] => self.holders.unlearn(holder, piece.0, ledger.picker_mut()),
            pieces => self.alone.extend(pieces),
        }
    }

    /// Makes what came late the one claim to its piece: whoever else was asked for it meanwhile
    /// will be late. Else a slow network, on which requests outlast the stall time, would be asked
    /// for the same pieces for ever. Says whether the piece is of use.
    fn take_over(&mut self, piece: PieceId, ledger: &mut Pieces) -> bool {
        match ledger.claim_late(piece) {
            LateClaim::Taken => true,
            LateClaim::Useless => false,
            LateClaim::InFlight => {
                let bytes = u64::from(self.catalogue.piece_size(piece));
                self.supersede(piece, bytes);
                true
            }
        }
    }
}
