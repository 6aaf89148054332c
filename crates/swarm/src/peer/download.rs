//! The download role: asks holders for batches of pieces within a window, and copes with what does
//! not come.

use super::pieces::LateClaim;
use super::session::Session;
use super::{Fault, PeerAction, Stored, TransferId};
use crate::message::{Ack, RequestNumber, ToTracker};
use crate::schedule::Locality;
use crate::{Instant, Rank};
use content::{Catalogue, EntryIndex, Hash, HashRange, PieceId, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// Requests and transfers under way.
#[derive(Debug, Default)]
pub(super) struct Download {
    pub(super) requests: BTreeMap<RequestNumber, Request>,
    pub(super) transfers: BTreeMap<TransferId, Transfer>,
    /// Requests that may be taken back where another holder is less busy, with the slots of their
    /// holders: the others need not be looked through with every message.
    pub(super) waiting: Vec<(RequestNumber, usize)>,
    /// Pieces of bundles that were withdrawn: one of them cannot be had there, and who asks for
    /// each on its own finds out which.
    pub(super) alone: BTreeSet<PieceId>,
    /// Bytes asked for, on their way, or not yet written.
    pub(super) used_bytes: u64,
    pub(super) next_request: u32,
    next_transfer: u64,
}

/// A request that was not answered in full.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) holder: Rank,
    /// Pieces asked for and not acknowledged.
    pub(super) asked: Vec<PieceId>,
    /// Of those, pieces that came meanwhile from elsewhere: what follows of them is dropped.
    pub(super) superseded: Vec<PieceId>,
    pub(super) acknowledged: bool,
    /// Nothing of it is wanted any more: what comes is dropped.
    pub(super) cancelled: bool,
    /// It is taken back unless it was acknowledged meanwhile: another holder is less busy.
    pub(super) retracted: bool,
    /// Transfers that have not ended.
    pub(super) open: usize,
    pub(super) progress: Instant,
}

/// What was acknowledged and travels as one: a piece or a bundle.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) request: RequestNumber,
    pub(super) holder: Rank,
    pub(super) pieces: Span,
    pub(super) bytes: u64,
    /// The pieces that are awaited from it, or being written; the others were meanwhile taken
    /// elsewhere.
    pub(super) claimed: Vec<PieceId>,
    pub(super) state: TransferState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferState {
    /// On its way.
    Coming,
    /// Being verified and written.
    Storing,
}

impl Transfer {
    /// Its pieces, one after the other.
    fn pieces(&self) -> impl Iterator<Item = PieceId> + use<> {
        self.pieces.numbers().map(PieceId)
    }
}

impl Download {
    /// A request is acknowledged, or taken back.
    pub(super) fn waits_no_more(&mut self, number: RequestNumber) {
        self.waiting.retain(|(waiting, _)| *waiting != number);
    }

    /// Whether nothing is asked for, on its way, or being written.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.transfers.is_empty()
    }

    /// Takes a piece of so many bytes from the request or the transfer with which it is in flight.
    fn supersede(&mut self, piece: PieceId, bytes: u64) {
        for other in self.transfers.values_mut() {
            if let Ok(at) = other.claimed.binary_search(&piece) {
                other.claimed.remove(at);
                return;
            }
        }
        for request in self.requests.values_mut().filter(|request| !request.cancelled) {
            if let Some(at) = request.asked.iter().position(|&asked| asked == piece) {
                request.superseded.push(request.asked.remove(at));
                self.used_bytes -= bytes;
                return;
            }
        }
        unreachable!("what is in flight has a request or a transfer")
    }
}

impl Session {
    pub(super) fn bytes_of(&self, pieces: &[PieceId]) -> u64 {
        pieces.iter().map(|&piece| u64::from(self.catalogue.piece_size(piece))).sum()
    }

    /// A holder acknowledged a request: its pieces are on their way.
    pub(super) fn on_ack(
        &mut self,
        now: Instant,
        from: Rank,
        ack: &Ack,
        actions: &mut Vec<PeerAction>,
    ) {
        let limit = self.catalogue.piece_count();
        if self.holders.get(from).is_some() {
            self.learn(from, Span::all_checked(&ack.gained, limit));
        }
        let is_far = self.ownership.topology().locality(from) == Locality::Remote;
        let Some(request) = self.download.requests.get_mut(&ack.request) else { return };
        if request.holder != from || request.acknowledged {
            return;
        }
        request.acknowledged = true;
        request.progress = now;
        let cancelled = request.cancelled;
        let asked = std::mem::take(&mut request.asked);
        let superseded = std::mem::take(&mut request.superseded);
        self.download.waits_no_more(ack.request);
        if self.holders.acknowledged(from, now, ack.backlog) {
            self.pieces.picker_mut().wake();
        }
        for piece in Span::all_checked(&ack.sent, limit).flatten() {
            self.pieces.picker_mut().promise(piece);
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
        let request = self.download.requests.get_mut(&ack.request).expect("still there");
        request.open = follows.len();
        if !cancelled {
            let refused = ack.refused.iter().filter_map(|span| span.checked(limit)).flatten();
            for piece in refused.filter(|&piece| open.contains(&PieceId(piece))) {
                self.holders.unlearn(from, piece, self.pieces.picker_mut());
            }
            // What neither follows nor is refused is given back: its holder could not send it soon.
            for piece in asked.into_iter().filter(|piece| open.contains(piece)) {
                self.download.used_bytes -= u64::from(self.catalogue.piece_size(piece));
                self.pieces.release(piece);
                // What went to one other rack comes from there.
                if is_far && ack.sent.iter().any(|sent| sent.contains(piece.0)) {
                    self.holders.unlearn(from, piece.0, self.pieces.picker_mut());
                }
            }
        }
        self.close_when_answered(ack.request);
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
        let transfer = TransferId(self.download.next_transfer);
        self.download.next_transfer += 2;
        let bytes = self.catalogue.bundle_size(pieces);
        // A cancelled request gave its room back; what comes nevertheless takes it again.
        self.download.used_bytes += bytes - self.bytes_of(&claimed);
        let state = TransferState::Coming;
        let record = Transfer { request, holder: from, pieces, bytes, claimed, state };
        self.download.transfers.insert(transfer, record);
        actions.push(PeerAction::Receive { from, transfer, pieces });
    }

    /// A request whose every piece has ended is over: so is the batch.
    fn close_when_answered(&mut self, number: RequestNumber) {
        let Some(request) = self.download.requests.get(&number) else { return };
        if !request.acknowledged || request.open > 0 {
            return;
        }
        let holder = request.holder;
        self.download.requests.remove(&number);
        self.pieces.picker_mut().wake();
        self.holders.answered(holder);
    }

    /// A transfer is over: its room is free.
    pub(super) fn end_transfer(&mut self, transfer: TransferId) {
        let Some(record) = self.download.transfers.remove(&transfer) else { return };
        self.download.used_bytes -= record.bytes;
        self.pieces.picker_mut().wake();
        if let Some(request) = self.download.requests.get_mut(&record.request) {
            request.open -= 1;
        }
        self.close_when_answered(record.request);
    }

    /// A posted receive got what it waited for, or zero bytes where that was withdrawn.
    pub(super) fn on_received(
        &mut self,
        now: Instant,
        transfer: TransferId,
        len: u32,
        actions: &mut Vec<PeerAction>,
    ) {
        let Some(record) = self.download.transfers.get_mut(&transfer) else {
            return actions.push(PeerAction::Discard { transfer });
        };
        let (pieces, holder, number) = (record.pieces, record.holder, record.request);
        let (numbers, bytes) = (record.pieces(), record.bytes);
        let claimed = std::mem::take(&mut record.claimed);
        let whole = u64::from(len) == bytes;
        self.counters.bytes_received += u64::from(len);
        self.window.moved(u64::from(len));
        let request = self.download.requests.get_mut(&number);
        request.into_iter().for_each(|request| request.progress = now);
        self.holders.sent(holder, now);
        let mut expected: Vec<(PieceId, Hash)> = Vec::new();
        for piece in numbers.filter(|_| whole) {
            let awaited = claimed.binary_search(&piece).is_ok();
            if self.pieces.lacks(piece) && (awaited || self.take_over(piece)) {
                let hash = self.hashes.expected(&self.catalogue, piece);
                expected.push((piece, hash.expect("asked for with its hash known")));
            }
        }
        let useful: Vec<PieceId> = expected.iter().map(|&(piece, _)| piece).collect();
        let wasted = u64::from(len) - self.bytes_of(&useful);
        self.counters.bytes_wasted += wasted;
        if !claimed.is_empty() && len == 0 {
            self.on_withdrawn(number, holder, &claimed);
        } else if !claimed.is_empty() && !whole {
            self.punish(holder, actions);
        }
        for piece in claimed.into_iter().filter(|piece| useful.binary_search(piece).is_err()) {
            self.pieces.release(piece);
        }
        if useful.is_empty() {
            actions.push(PeerAction::Discard { transfer });
            return self.end_transfer(transfer);
        }
        let record = self.download.transfers.get_mut(&transfer).expect("looked up above");
        record.state = TransferState::Storing;
        useful.iter().for_each(|&piece| self.pieces.begin_writing(piece));
        record.claimed = useful;
        actions.push(PeerAction::Store { transfer, pieces, expected });
    }

    /// A holder sends nothing in the place of these pieces. A single piece it has no more. Of a
    /// bundle it may lack one alone: it will say which when it is asked for each.
    fn on_withdrawn(&mut self, request: RequestNumber, holder: Rank, pieces: &[PieceId]) {
        if self.download.requests.get(&request).is_some_and(|request| request.retracted) {
            return;
        }
        match pieces {
            [piece] => self.holders.unlearn(holder, piece.0, self.pieces.picker_mut()),
            pieces => self.download.alone.extend(pieces),
        }
    }

    /// Makes what came late the one claim to its piece: whoever else was asked for it meanwhile
    /// will be late. Else a slow network, on which requests outlast the stall time, would be asked
    /// for the same pieces for ever. Says whether the piece is of use.
    fn take_over(&mut self, piece: PieceId) -> bool {
        match self.pieces.claim_late(piece) {
            LateClaim::Taken => true,
            LateClaim::Useless => false,
            LateClaim::InFlight => {
                let bytes = u64::from(self.catalogue.piece_size(piece));
                self.download.supersede(piece, bytes);
                true
            }
        }
    }

    /// Each piece that was to be stored was verified and written, or not.
    pub(super) fn on_stored(
        &mut self,
        now: Instant,
        transfer: TransferId,
        results: Vec<(PieceId, Result<Stored, Fault>)>,
        actions: &mut Vec<PeerAction>,
    ) {
        let record =
            self.download.transfers.get(&transfer).expect("stored once, after it was received");
        let holder = record.holder;
        let mut corrupt = false;
        for (piece, result) in results {
            let bytes = u64::from(self.catalogue.piece_size(piece));
            match result {
                Ok(Stored::Written) => {
                    self.counters.bytes_delivered += bytes;
                    self.wrote(now, piece, actions);
                }
                Ok(Stored::Corrupt) => {
                    self.counters.pieces_corrupt += 1;
                    self.counters.bytes_wasted += bytes;
                    self.pieces.release(piece);
                    corrupt = true;
                }
                Err(fault) => {
                    self.pieces.fail(piece);
                    self.counters.bytes_wasted += bytes;
                    self.on_fault(self.catalogue.locate(piece).0, fault, actions);
                }
            }
        }
        if corrupt {
            self.punish(holder, actions);
        }
        self.end_transfer(transfer);
    }

    pub(super) fn punish(&mut self, holder: Rank, actions: &mut Vec<PeerAction>) {
        if self.holders.strike(holder, self.pieces.picker_mut()) {
            let own = self.config.rank;
            let text =
                format!("rank {holder} sent pieces that do not verify; rank {own} asks it no more");
            actions.push(PeerAction::Notice(text));
            self.say(ToTracker::Shun(holder), actions);
        }
    }

    /// Hears that a rank has these pieces; says whether any is news.
    pub(super) fn learn(
        &mut self,
        rank: Rank,
        ranges: impl Iterator<Item = Range<u32>> + Clone,
    ) -> bool {
        let locality = self.ownership.topology().locality(rank);
        let news = self.holders.learn(rank, locality, ranges.clone(), self.pieces.picker_mut());
        if news {
            self.hashes.wake();
            self.revive(ranges);
        }
        news
    }

    /// A peer tells of its gains.
    pub(super) fn on_gained(
        &mut self,
        from: Rank,
        pieces: &[Span],
        backlog: Option<u32>,
        actions: &mut Vec<PeerAction>,
    ) {
        let pieces = Span::all_checked(pieces, self.catalogue.piece_count());
        if pieces.clone().next().is_none() {
            return;
        }
        self.learn(from, pieces);
        if let Some(backlog) = backlog {
            self.holders.note_backlog(from, backlog);
        }
        self.retract(from, actions);
    }

    /// Hashes came, or the word that a holder does not know them.
    pub(super) fn on_hashes(
        &mut self,
        now: Instant,
        from: Rank,
        entry: EntryIndex,
        index: u32,
        range: Option<HashRange>,
        actions: &mut Vec<PeerAction>,
    ) {
        let learnt = match range.filter(|range| range.index == index) {
            Some(range) => match self.hashes.learn(entry, range.clone()) {
                Some(true) => {
                    actions.push(PeerAction::Record(entry, range));
                    return self.on_hashes_known(now, entry, index);
                }
                learnt => learnt,
            },
            // Whoever serves a piece knows its hash.
            None => Some(false),
        };
        if self.hashes.refused((entry, index), from) && learnt == Some(false) {
            self.punish(from, actions);
        }
    }

    /// The number of the next request: all before it are under way or over.
    pub(super) fn next_request(&self) -> u32 {
        self.download.next_request
    }
}

/// The numbers of the pieces whose hashes a range has.
pub(super) fn pieces_of_range(catalogue: &Catalogue, entry: EntryIndex, range: u32) -> Range<u32> {
    let first = catalogue.pieces_of(entry).start;
    let pieces = HashRange::pieces(catalogue.geometry(entry), range);
    first + pieces.start..first + pieces.end
}
