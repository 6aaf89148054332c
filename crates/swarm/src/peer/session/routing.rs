//! What goes between the machines of a session: messages to the machine that they are for, and
//! what one machine does to what another needs to know. Decides nothing.

use super::Session;
use crate::message::{Ack, Between, FromTracker, Message, ToTracker};
use crate::peer::upload::Gain;
use crate::peer::{Fault, PeerAction, Stored, TransferId};
use crate::schedule::Topology;
use crate::{Instant, Rank};
use content::{Bitfield, Entry, EntryIndex, HashRange, PieceId, Span};
use std::ops::Range;
use std::sync::Arc;

/// A gain with at most so many known holders is told to the neighbours at once.
const RARE: usize = 2;

impl Session {
    /// Takes a message of the tracker.
    pub(in crate::peer) fn on_tracker(
        &mut self,
        now: Instant,
        message: FromTracker,
        actions: &mut Vec<PeerAction>,
    ) {
        match message {
            FromTracker::Admission(Ok(())) => self.admitted = true,
            FromTracker::Admission(Err(why)) => self.halt(&why, actions),
            FromTracker::Holders { question, holders, gone, last } => {
                let mut news = false;
                let limit = self.catalogue.piece_count();
                let (own, ranks) = (self.config.rank, self.config.ranks);
                let others = |at: Rank| at != own && at.0 < ranks;
                for holder in holders.into_iter().filter(|holder| others(holder.rank)) {
                    let ranges = holder.pieces.ranges(limit);
                    news |= self.learn(holder.rank, ranges.into_iter());
                }
                self.on_gone(&gone);
                self.download.answered(now, question, news, last);
            }
            FromTracker::Settle(number) => self.on_settle(number, actions),
            FromTracker::TellRates => {
                self.say(ToTracker::Rates(self.download.rates()), actions);
            }
            FromTracker::Moved { neighbours, topology } => {
                self.on_moved(now, &neighbours, *topology, actions);
            }
            FromTracker::ReadAgain(orders) => self.on_read_again(now, orders, actions),
            // Alive asks for nothing; the rest belongs to other phases, or to every one.
            _ => {}
        }
    }

    /// Takes a message of a peer.
    pub(in crate::peer) fn on_peer(
        &mut self,
        now: Instant,
        from: Rank,
        message: Between,
        actions: &mut Vec<PeerAction>,
    ) {
        if self.download.is_lost(from) {
            // It woke. What would go to it might never leave, and it is told to end.
            return;
        }
        self.upload.heard(from);
        match message {
            Between::Request { number, pieces, gained } => {
                self.on_gained(from, &gained, None, actions);
                self.upload.request(from, number, &pieces, actions);
            }
            Between::Cancel(number) => self.upload.cancel(from, number, actions),
            Between::AskHashes { entry, range } => {
                let known = self.pieces.hashes().range(entry, range).cloned();
                let message =
                    Message::Between(Between::Hashes { entry, index: range, range: known });
                actions.push(PeerAction::Send { to: from, message });
            }
            Between::Gained { pieces, backlog } => {
                self.on_gained(from, &pieces, Some(backlog), actions);
            }
            // Those are for whoever watches the tracker, or has the catalogue's parts.
            Between::Succeed { .. }
            | Between::Unseated
            | Between::AskPart(_)
            | Between::Part { .. } => {}
            Between::Ack(ack) => self.on_ack(now, from, &ack, actions),
            Between::Hashes { entry, index, range } => {
                self.on_hashes(now, from, entry, index, range, actions);
            }
        }
    }

    /// A holder acknowledged a request.
    pub(super) fn on_ack(
        &mut self,
        now: Instant,
        from: Rank,
        ack: &Ack,
        actions: &mut Vec<PeerAction>,
    ) {
        if self.download.is_holder(from) {
            self.learn(from, Span::all_checked(&ack.gained, self.catalogue.piece_count()));
        }
        self.download.on_ack(now, from, ack, &mut self.pieces, actions);
    }

    /// Hears that a rank has these pieces; says whether any is news.
    pub(super) fn learn(
        &mut self,
        rank: Rank,
        ranges: impl Iterator<Item = Range<u32>> + Clone,
    ) -> bool {
        let news = self.download.learn(rank, ranges.clone(), &mut self.pieces);
        if news {
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
            self.download.note_backlog(from, backlog);
        }
        // What is taken back costs messages, and what others gained comes to be known in rows.
        let less_busy = self.upload.told_at_once() as u32 * 2 / 3;
        self.download.retract(from, less_busy, &self.pieces, actions);
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
            Some(range) => match self.pieces.hashes_mut().learn(entry, range.clone()) {
                Some(true) => {
                    actions.push(PeerAction::Record(entry, range));
                    return self.on_hashes_known(now, entry, index);
                }
                learnt => learnt,
            },
            // Whoever serves a piece knows its hash.
            None => Some(false),
        };
        if self.pieces.hashes_mut().refused((entry, index), from) && learnt == Some(false) {
            self.punish(from, actions);
        }
    }

    /// A holder sent what does not verify.
    pub(in crate::peer) fn punish(&mut self, holder: Rank, actions: &mut Vec<PeerAction>) {
        self.download.punish(holder, &self.config, &mut self.pieces, actions);
    }

    /// Each piece that was to be stored was verified and written, or not.
    pub(super) fn on_stored(
        &mut self,
        now: Instant,
        transfer: TransferId,
        results: Vec<(PieceId, Result<Stored, Fault>)>,
        actions: &mut Vec<PeerAction>,
    ) {
        let holder = self.download.holder_of(transfer);
        let mut corrupt = false;
        for (piece, result) in results {
            match result {
                Ok(Stored::Written) => {
                    self.counters.bytes_delivered += self.wrote(now, piece, actions);
                }
                Ok(Stored::Corrupt) => {
                    self.download.on_corrupt(piece, &mut self.pieces);
                    corrupt = true;
                }
                Err(fault) => {
                    self.download.on_refused(piece, &mut self.pieces);
                    self.on_fault(self.catalogue.locate(piece).0, fault, actions);
                }
            }
        }
        if corrupt {
            self.punish(holder, actions);
        }
        self.download.stored(transfer, &mut self.pieces);
    }

    /// Racks were learned from the rates: this rank fetches for its own, and tells its neighbours
    /// there, as if START had said so.
    pub(super) fn on_moved(
        &mut self,
        now: Instant,
        neighbours: &[Rank],
        topology: Topology,
        actions: &mut Vec<PeerAction>,
    ) {
        if !self.download.move_to(topology, now, &mut self.pieces) {
            return;
        }
        let (own, ranks) = (self.config.rank, self.config.ranks);
        let others = |&rank: &Rank| rank != own && rank.0 < ranks && !self.download.is_lost(rank);
        let neighbours: Vec<Rank> = neighbours.iter().copied().filter(others).collect();
        let ownership = self.download.ownership();
        let topology = Arc::clone(ownership.topology());
        self.upload.move_to(topology, &neighbours, |piece| ownership.owns(piece), actions);
    }

    /// A rank is gone, for this peer's both roles.
    pub(in crate::peer) fn on_lost(&mut self, rank: Rank, actions: &mut Vec<PeerAction>) {
        self.upload.lost(rank, actions);
        self.pieces.hashes_mut().lost(rank);
        self.download.drop_holder(rank, &mut self.pieces);
    }

    /// A piece is here now: it is served, and the tracker will hear of it. Only what can be
    /// verified is: whoever serves a piece knows its hash.
    pub(in crate::peer) fn gain(&mut self, now: Instant, piece: PieceId) {
        let known = self.pieces.expected(piece).is_some();
        if known && self.upload.serve(piece) {
            let is_rare = self.pieces.picker().availability(piece.0) <= RARE;
            let is_brought = !self.pieces.picker().is_on_host(piece.0);
            // Nobody fetches zeros from afar, nor lets out what a mate on its host can.
            let is_owned = is_brought
                && self.download.ownership().owns(piece.0)
                && !self.pieces.is_zeros(piece);
            self.upload.announce(Gain { piece: piece.0, is_rare, is_brought, is_owned });
            self.download.gained(now);
            let opens = piece.0 == 0
                || !self.catalogue.travels_with_last(piece)
                || !self.upload.serves(piece.0 - 1);
            self.news.piece(now, piece.0, opens);
        }
    }

    /// A piece's content changed under us, or cannot be read: nothing of its entry is served any
    /// more that lies where this piece does, in the file that was offered or in what is written.
    pub(super) fn unserve(&mut self, now: Instant, piece: PieceId, actions: &mut Vec<PeerAction>) {
        let (entry, _) = self.catalogue.locate(piece);
        let mut pieces = Bitfield::new(self.catalogue.piece_count());
        let is_written = self.pieces.has(piece);
        for other in self.catalogue.pieces_of(entry) {
            if is_written || !self.pieces.has(PieceId(other)) {
                pieces.insert(other);
            }
        }
        if !self.stop_serving(now, pieces, actions) {
            return;
        }
        actions.push(self.no_longer_offered(entry));
    }

    /// What the user is told of a file that cannot be had from here any more.
    pub(in crate::peer) fn no_longer_offered(&self, entry: EntryIndex) -> PeerAction {
        let name = &self.catalogue.entry(entry).name;
        PeerAction::Notice(format!(
            "this rank no longer offers '{name}': it changed while it was served, or cannot be read"
        ))
    }

    /// Serves none of these pieces any more; says whether it did.
    pub(in crate::peer) fn stop_serving(
        &mut self,
        now: Instant,
        pieces: Bitfield,
        actions: &mut Vec<PeerAction>,
    ) -> bool {
        let stopped = self.upload.stop_serving(pieces, actions);
        if !stopped.is_empty() {
            self.news.lost(now, &stopped);
        }
        !stopped.is_empty()
    }

    /// The pieces that are served and that somebody will ask for: nobody asks for zeros.
    pub(super) fn sendable(&self) -> Bitfield {
        let mut sendable = self.upload.serving().clone();
        let sparse = |(_, entry): &(EntryIndex, &Entry)| {
            entry.file().is_some_and(|content| content.zero_bytes > 0)
        };
        for (index, _) in self.catalogue.iter().filter(sparse) {
            for piece in self.catalogue.pieces_of(index) {
                if self.pieces.is_zeros(PieceId(piece)) {
                    sendable.remove(piece);
                }
            }
        }
        sendable
    }
}
