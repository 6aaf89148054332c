//! The download role: asks holders for batches of pieces within a window, and copes with what does
//! not come.

use super::session::Session;
use super::{Fault, PeerAction, Stored, TransferId};
use crate::message::{Ack, Between, Message, RequestNumber, ToTracker};
use crate::peer::holders::Standing;
use crate::{Instant, Rank};
use content::{EntryIndex, HashRange, PieceId, Span};
use std::collections::{BTreeMap, BTreeSet};

/// Requests and transfers under way.
#[derive(Debug, Default)]
pub(super) struct Download {
    pub(super) requests: BTreeMap<RequestNumber, Request>,
    pub(super) transfers: BTreeMap<TransferId, Transfer>,
    /// Pieces that a live request or transfer is about.
    fetching: BTreeSet<PieceId>,
    /// Bytes asked for, on their way, or not yet written.
    pub(super) used_bytes: u64,
    next_request: u32,
    next_transfer: u64,
}

/// A request that was not answered in full.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) holder: Rank,
    /// Pieces asked for and not acknowledged.
    pub(super) asked: Vec<PieceId>,
    pub(super) acknowledged: bool,
    /// Nothing of it is wanted any more: what comes is dropped.
    pub(super) cancelled: bool,
    /// Transfers that have not ended.
    open: usize,
    pub(super) progress: Instant,
}

/// A piece that was acknowledged.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) request: RequestNumber,
    pub(super) holder: Rank,
    pub(super) piece: PieceId,
    bytes: u64,
    pub(super) state: TransferState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferState {
    /// On its way, and wanted.
    Coming,
    /// On its way; the piece was meanwhile taken elsewhere.
    Late,
    /// Being verified and written.
    Storing,
}

impl Download {
    /// Whether nothing is asked for, on its way, or being written.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.transfers.is_empty()
    }

    /// Whether a piece is asked for or on its way.
    pub(super) fn fetches(&self, piece: PieceId) -> bool {
        self.fetching.contains(&piece)
    }
}

impl Session {
    /// Asks for as much as the window lets it, and the tracker for holders where none is known.
    pub(super) fn pump(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        self.tell_need(actions);
        self.salvage_more(actions);
        if !self.entries.is_halted() {
            self.ask_hashes(now, actions);
            if self.admitted {
                self.ask_pieces(now, actions);
            }
        }
        self.ask_tracker(now, actions);
    }

    fn ask_hashes(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if !self.hashes.any_needed() {
            return;
        }
        let from = match self.catalogue.piece_count() {
            0 => EntryIndex(0),
            _ => self.catalogue.locate(PieceId(self.picker.cursor())).0,
        };
        for (entry, range) in self.hashes.to_ask(now, from) {
            let first = self.catalogue.pieces_of(entry).start;
            let pieces = HashRange::pieces(self.catalogue.geometry(entry), range);
            let Some(to) = self.holders.knowing(first + pieces.start..first + pieces.end) else {
                continue;
            };
            self.hashes.asked((entry, range), to, now);
            let message = Message::Between(Between::AskHashes { entry, range });
            actions.push(PeerAction::Send { to, message });
        }
    }

    fn ask_pieces(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        while let Some(holder) = self.holders.next(&self.picker) {
            let mut room = self.config.window_bytes.saturating_sub(self.download.used_bytes);
            let nothing_used = self.download.used_bytes == 0;
            let pieces = &self.holders.get(holder).expect("just chosen").pieces;
            let mut first = true;
            let catalogue = &self.catalogue;
            let (picked, cut) = self.picker.pick(pieces, self.batch, |piece| {
                let bytes = u64::from(catalogue.piece_size(PieceId(piece)));
                // A window smaller than a piece still takes one.
                let fits = bytes <= room || (nothing_used && first);
                first = false;
                room = room.saturating_sub(bytes);
                fits
            });
            if picked.is_empty() || (cut && !nothing_used) {
                // Part of a batch would make many small requests: wait for more room.
                picked.into_iter().for_each(|piece| self.picker.add(piece));
                return;
            }
            self.request(now, holder, picked, actions);
        }
    }

    fn request(&mut self, now: Instant, to: Rank, pieces: Vec<u32>, actions: &mut Vec<PeerAction>) {
        let number = RequestNumber(self.download.next_request);
        self.download.next_request += 1;
        let spans = Span::join(pieces.iter().copied());
        let asked: Vec<PieceId> = pieces.into_iter().map(PieceId).collect();
        self.download.used_bytes += self.bytes_of(&asked);
        self.download.fetching.extend(&asked);
        let request = Request {
            holder: to,
            asked,
            acknowledged: false,
            cancelled: false,
            open: 0,
            progress: now,
        };
        self.download.requests.insert(number, request);
        let holder = self.holders.get_mut(to).expect("only holders are asked");
        holder.requests += 1;
        holder.unacknowledged += 1;
        let message = Message::Between(Between::Request { number, pieces: spans });
        actions.push(PeerAction::Send { to, message });
    }

    pub(super) fn bytes_of(&self, pieces: &[PieceId]) -> u64 {
        pieces.iter().map(|&piece| u64::from(self.catalogue.piece_size(piece))).sum()
    }

    /// Asks the tracker where pieces are missing that no known holder can be asked for.
    fn ask_tracker(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        let idle_window = self.download.used_bytes < self.config.window_bytes / 2;
        let starving = !self.picker.pickable().is_empty() || self.hashes.any_needed();
        if !(idle_window && starving) || self.entries.is_halted() {
            return;
        }
        let Some(missing) = self.entries.missing() else { return };
        let Some(question) = self.questions.next(now) else { return };
        let (first, count) = (EntryIndex(missing.start), missing.end - missing.start);
        self.say(ToTracker::Ask { question, first, count }, actions);
    }

    /// A holder acknowledged a request: its pieces are on their way.
    pub(super) fn on_ack(
        &mut self,
        now: Instant,
        from: Rank,
        ack: Ack,
        actions: &mut Vec<PeerAction>,
    ) {
        let limit = self.catalogue.piece_count();
        let gained: Vec<_> = ack.gained.iter().filter_map(|span| span.checked(limit)).collect();
        if self.holders.get(from).is_some() {
            self.holders.learn(from, false, &gained, &mut self.picker);
        }
        let Some(request) = self.download.requests.get_mut(&ack.request) else { return };
        if request.holder != from || request.acknowledged {
            return;
        }
        request.acknowledged = true;
        request.progress = now;
        let cancelled = request.cancelled;
        let asked = std::mem::take(&mut request.asked);
        if let Some(holder) = self.holders.get_mut(from) {
            holder.unacknowledged -= 1;
        }
        let follows =
            ack.follows.iter().filter_map(|span| span.checked(limit)).flatten().map(PieceId);
        let follows: Vec<PieceId> = follows.filter(|piece| asked.contains(piece)).collect();
        for &piece in &follows {
            let state = if cancelled { TransferState::Late } else { TransferState::Coming };
            self.expect(ack.request, from, piece, state, actions);
        }
        let request = self.download.requests.get_mut(&ack.request).expect("still there");
        request.open = follows.len();
        if !cancelled {
            for piece in asked.into_iter().filter(|piece| !follows.contains(piece)) {
                self.download.used_bytes -= u64::from(self.catalogue.piece_size(piece));
                self.holders.unlearn(from, piece.0, &mut self.picker);
                self.release(piece);
            }
        }
        self.close_when_answered(ack.request);
    }

    /// Posts the receive of an acknowledged piece.
    fn expect(
        &mut self,
        request: RequestNumber,
        from: Rank,
        piece: PieceId,
        state: TransferState,
        actions: &mut Vec<PeerAction>,
    ) {
        let transfer = TransferId(self.download.next_transfer);
        self.download.next_transfer += 2;
        let bytes = u64::from(self.catalogue.piece_size(piece));
        if state == TransferState::Late {
            // A cancelled request gave its room back; what comes nevertheless takes it again.
            self.download.used_bytes += bytes;
        }
        let record = Transfer { request, holder: from, piece, bytes, state };
        self.download.transfers.insert(transfer, record);
        actions.push(PeerAction::Receive { from, transfer, piece });
    }

    /// A piece may be fetched again, from whomever.
    pub(super) fn release(&mut self, piece: PieceId) {
        self.download.fetching.remove(&piece);
        let (entry, _) = self.catalogue.locate(piece);
        if self.entries.wants(entry) && !self.entries.is_written(piece) {
            self.picker.add(piece.0);
        }
    }

    /// A request whose every piece has ended is over: so is the batch.
    fn close_when_answered(&mut self, number: RequestNumber) {
        let Some(request) = self.download.requests.get(&number) else { return };
        if !request.acknowledged || request.open > 0 {
            return;
        }
        let holder = request.holder;
        self.download.requests.remove(&number);
        self.news.batch_ended();
        if let Some(holder) = self.holders.get_mut(holder) {
            holder.requests -= 1;
            if holder.requests == 0 && holder.standing == Standing::Stalled {
                holder.standing = Standing::Good;
            }
        }
    }

    /// A transfer is over: its room is free.
    pub(super) fn end_transfer(&mut self, transfer: TransferId) {
        let Some(record) = self.download.transfers.remove(&transfer) else { return };
        self.download.used_bytes -= record.bytes;
        if let Some(request) = self.download.requests.get_mut(&record.request) {
            request.open -= 1;
        }
        self.close_when_answered(record.request);
    }

    /// A posted receive got its piece, or zero bytes for one that was withdrawn.
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
        let (piece, holder, late) =
            (record.piece, record.holder, record.state == TransferState::Late);
        let whole = u64::from(len) == record.bytes;
        self.counters.bytes_received += u64::from(len);
        if let Some(request) = self.download.requests.get_mut(&record.request) {
            request.progress = now;
        }
        // What comes late is still good where nobody else was asked for it meanwhile.
        let wanted =
            if late { self.picker.pickable().get(piece.0) } else { self.still_wanted(piece) };
        if whole && wanted {
            if late {
                self.picker.remove(piece.0);
                self.download.fetching.insert(piece);
            }
            let expected = self
                .hashes
                .expected(&self.catalogue, piece)
                .expect("asked for with its hash known");
            let record = self.download.transfers.get_mut(&transfer).expect("looked up above");
            record.state = TransferState::Storing;
            return actions.push(PeerAction::Store { transfer, piece, expected });
        }
        self.counters.bytes_wasted += u64::from(len);
        actions.push(PeerAction::Discard { transfer });
        if !late {
            if len == 0 {
                self.holders.unlearn(holder, piece.0, &mut self.picker);
            } else if !whole {
                self.punish(holder, actions);
            }
            self.release(piece);
        }
        self.end_transfer(transfer);
    }

    fn still_wanted(&self, piece: PieceId) -> bool {
        self.entries.wants(self.catalogue.locate(piece).0) && !self.entries.is_written(piece)
    }

    /// A piece that came was verified and written, or not.
    pub(super) fn on_stored(
        &mut self,
        now: Instant,
        transfer: TransferId,
        result: Result<Stored, Fault>,
        actions: &mut Vec<PeerAction>,
    ) {
        let record =
            self.download.transfers.get(&transfer).expect("stored once, after it was received");
        let (piece, holder, bytes) = (record.piece, record.holder, record.bytes);
        match result {
            Ok(Stored::Written) => {
                self.download.fetching.remove(&piece);
                self.counters.bytes_delivered += bytes;
                self.wrote(now, piece, actions);
            }
            Ok(Stored::Corrupt) => {
                self.counters.pieces_corrupt += 1;
                self.counters.bytes_wasted += bytes;
                self.release(piece);
                self.punish(holder, actions);
            }
            Err(fault) => {
                self.download.fetching.remove(&piece);
                self.counters.bytes_wasted += bytes;
                self.on_fault(self.catalogue.locate(piece).0, fault, actions);
            }
        }
        self.end_transfer(transfer);
    }

    fn punish(&mut self, holder: Rank, actions: &mut Vec<PeerAction>) {
        if self.holders.strike(holder, &mut self.picker) {
            let own = self.config.rank;
            let text =
                format!("rank {holder} sent pieces that do not verify; rank {own} asks it no more");
            actions.push(PeerAction::Notice(text));
        }
    }

    /// Hashes came, or the word that a holder does not know them.
    pub(super) fn on_hashes(
        &mut self,
        _now: Instant,
        from: Rank,
        entry: EntryIndex,
        index: u32,
        range: Option<HashRange>,
        actions: &mut Vec<PeerAction>,
    ) {
        let Some(range) = range.filter(|range| range.index == index) else {
            return self.hashes.refused((entry, index));
        };
        match self.hashes.learn(entry, range.clone()) {
            Some(true) => {
                actions.push(PeerAction::Record(entry, range));
                self.on_hashes_known(entry, index);
            }
            Some(false) => self.punish(from, actions),
            None => {}
        }
    }

    /// What must always hold of requests and transfers.
    pub(super) fn check_download(&self) {
        let asked = self.download.requests.values().filter(|request| !request.cancelled);
        let asked: u64 = asked.map(|request| self.bytes_of(&request.asked)).sum();
        let coming: u64 = self.download.transfers.values().map(|transfer| transfer.bytes).sum();
        assert_eq!(self.download.used_bytes, asked + coming, "the window counts what is under way");
        for piece in &self.download.fetching {
            assert!(!self.picker.pickable().get(piece.0), "piece {} is fetched once", piece.0);
            assert!(!self.entries.is_written(*piece), "piece {} is there already", piece.0);
        }
        let (mut requests, mut unacknowledged) = (BTreeMap::new(), BTreeMap::new());
        for request in self.download.requests.values() {
            *requests.entry(request.holder).or_insert(0) += 1;
            *unacknowledged.entry(request.holder).or_insert(0) +=
                usize::from(!request.acknowledged);
        }
        for (rank, holder) in self.holders.iter() {
            assert_eq!(holder.requests, *requests.get(&rank).unwrap_or(&0), "requests at {rank}");
            assert_eq!(holder.unacknowledged, *unacknowledged.get(&rank).unwrap_or(&0));
        }
    }
}
