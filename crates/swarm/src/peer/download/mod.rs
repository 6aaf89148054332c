//! The download role: owns what is asked for and on its way, and what is known of holders. It asks
//! holders for batches of pieces within a window, and copes with what does not come.
//!
//! It chooses among the pieces that the ledger (`pieces/`) lets it ask for, by the policies of the
//! schedule, and tells the ledger what became of each. It writes nothing and serves nobody.

mod asking;
mod holders;
mod invariants;
mod questions;
mod rates;
mod receiving;
mod stall;

pub(super) use asking::Order;

use super::pieces::Pieces;
use super::{PeerAction, PeerConfig, TransferId};
use crate::message::{MAX_BATCH, Message, Rate, RequestNumber, ToTracker};
use crate::schedule::{Order as PieceOrder, Ownership, RateLimiter, Topology, Window};
use crate::{Counters, Instant, Rank};
use content::{Catalogue, EntryIndex, PieceId, Span};
use holders::Holders;
use questions::Questions;
use rates::Rates;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The window holds the bytes that come in this time: a question and its answer pass two links that
/// are full, and each holder has several askers.
const WINDOW: Duration = Duration::from_millis(250);
/// The fewest pieces in the window.
const WINDOW_PIECES: u64 = 20;
/// The fewest bytes in the window.
const WINDOW_BYTES: u64 = 5 << 20;

/// The download role's state.
#[derive(Debug)]
pub(super) struct Download {
    catalogue: Arc<Catalogue>,
    requests: BTreeMap<RequestNumber, Request>,
    transfers: BTreeMap<TransferId, Transfer>,
    /// Requests that may be taken back where another holder is less busy, with the slots of their
    /// holders: the others need not be looked through with every message.
    waiting: Vec<(RequestNumber, usize)>,
    /// Pieces of bundles that were withdrawn: one of them cannot be had there, and who asks for
    /// each on its own finds out which.
    alone: BTreeSet<PieceId>,
    /// Bytes asked for, on their way, or not yet written.
    used_bytes: u64,
    next_request: u32,
    next_transfer: u64,
    holders: Holders,
    /// The distances from which pieces may be fetched.
    ownership: Ownership,
    /// When the tracker is told how near others seem.
    rates: Rates,
    questions: Questions,
    /// Pieces and bundles in a batch: as many as were asked for, but so few that two batches fit
    /// the window.
    batch: usize,
    /// What this rank's cap lets it ask for.
    limiter: RateLimiter,
    /// Bytes asked for, on their way, or not yet written, at most.
    window: Window,
    /// The bytes of the longest piece or bundle.
    longest_piece: u64,
    counters: Counters,
}

/// A request that was not answered in full.
#[derive(Debug)]
struct Request {
    holder: Rank,
    /// Pieces asked for and not acknowledged.
    asked: Vec<PieceId>,
    /// Of those, pieces that came meanwhile from elsewhere: what follows of them is dropped.
    superseded: Vec<PieceId>,
    acknowledged: bool,
    /// Nothing of it is wanted any more: what comes is dropped.
    cancelled: bool,
    /// It is taken back unless it was acknowledged meanwhile: another holder is less busy.
    retracted: bool,
    /// Transfers that have not ended.
    open: usize,
    progress: Instant,
}

/// What was acknowledged and travels as one: a piece or a bundle.
#[derive(Debug)]
struct Transfer {
    request: RequestNumber,
    holder: Rank,
    pieces: Span,
    bytes: u64,
    /// The pieces that are awaited from it, or being written; the others were meanwhile taken
    /// elsewhere.
    claimed: Vec<PieceId>,
    state: TransferState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TransferState {
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
    /// A role that has asked for nothing, and knows of no holder.
    pub(super) fn new(config: &PeerConfig, catalogue: Arc<Catalogue>, now: Instant) -> Self {
        let longest_piece = catalogue.longest_bundle().max(1);
        let fitting = config.window_bytes / 2 / longest_piece;
        // However many files its bundles have, a request is answered in one message.
        let most = (MAX_BATCH as u64) / u64::from(catalogue.most_in_bundle());
        let batch = u64::from(config.batch).min(fitting).clamp(1, most) as usize;
        let limit = config.limits.download;
        let batch = RateLimiter::batch(limit, batch, longest_piece);
        let request_bytes = longest_piece * batch as u64;
        let window_bytes = RateLimiter::window(limit, config.window_bytes, request_bytes);
        let least = [longest_piece * WINDOW_PIECES, WINDOW_BYTES];
        Self {
            catalogue,
            requests: BTreeMap::new(),
            transfers: BTreeMap::new(),
            waiting: Vec::new(),
            alone: BTreeSet::new(),
            used_bytes: 0,
            next_request: 0,
            next_transfer: 0,
            holders: Holders::new(config.rank),
            ownership: Ownership::default(),
            rates: Rates::default(),
            questions: Questions::new(),
            batch,
            limiter: RateLimiter::new(limit, request_bytes, now),
            window: Window::new(WINDOW, least, window_bytes, now),
            longest_piece,
            counters: Counters::default(),
        }
    }

    /// START told of the hosts and racks.
    pub(super) fn begin(&mut self, topology: Topology, now: Instant, pieces: &mut Pieces) {
        self.ownership = Ownership::new(topology, now);
        self.rates = Rates::new(self.ownership.topology().rack.is_none());
        pieces.picker_mut().limit(&self.ownership);
    }

    /// Racks were learned from the rates: from now on this rank fetches for its own, as if START
    /// had said so. Says whether that was to be expected.
    pub(super) fn move_to(
        &mut self,
        topology: Topology,
        now: Instant,
        pieces: &mut Pieces,
    ) -> bool {
        if !self.rates.are_wanted() {
            return false;
        }
        self.ownership.move_to(topology, now);
        self.holders.seat_anew(&self.ownership, pieces.picker_mut());
        pieces.picker_mut().limit(&self.ownership);
        true
    }

    /// The hosts and racks, and the pieces that this rank owns there.
    pub(super) fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Whether a rank is gone for good.
    pub(super) fn is_lost(&self, rank: Rank) -> bool {
        self.holders.is_lost(rank)
    }

    /// Whether a rank is a known holder.
    pub(super) fn is_holder(&self, rank: Rank) -> bool {
        self.holders.get(rank).is_some()
    }

    /// Whether a rank is known to have a piece.
    pub(super) fn is_held_by(&self, rank: Rank, piece: u32, pieces: &Pieces) -> bool {
        self.holders.get(rank).is_some_and(|holder| holder.has(piece, pieces.picker()))
    }

    /// Whether a known holder surely knows the hashes of a range.
    pub(super) fn may_learn(&self, entry: EntryIndex, range: u32, pieces: &Pieces) -> bool {
        let of_range = pieces.pieces_of_range(entry, range);
        self.holders.knowing(of_range, None, pieces.picker()).is_some()
    }

    /// Ranks that are not asked any more.
    pub(super) fn banned(&self) -> impl Iterator<Item = Rank> + '_ {
        self.holders.banned()
    }

    /// The time that a piece takes from each holder.
    pub(super) fn rates(&self) -> Vec<Rate> {
        self.holders.rates()
    }

    /// The number of the last question to the tracker.
    pub(super) fn last_question(&self) -> u32 {
        self.questions.last_asked()
    }

    /// The number of the last question that the tracker answered.
    pub(super) fn last_answered(&self) -> u32 {
        self.questions.last_answered()
    }

    /// What was counted of what came.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Time has passed: the cap and the window follow.
    pub(super) fn keep_time(&mut self, now: Instant) {
        self.limiter.keep_time(now);
        self.window.keep_time(now);
    }

    /// A tick: looks who falls behind, and sets the order of the choice.
    pub(super) fn look(&mut self, pieces: &mut Pieces) {
        let order = match self.holders.look(self.ownership.gains()) {
            true => PieceOrder::CommonFirst,
            false => PieceOrder::RarestFirst,
        };
        pieces.picker_mut().set_order(order);
    }

    /// The rates of holders, where the tracker is to be told of them now, unasked.
    pub(super) fn rates_due(&mut self, now: Instant) -> Option<ToTracker> {
        if !self.rates.are_wanted() {
            return None;
        }
        let rates = self.holders.rates();
        self.rates.is_due(now, &rates).then_some(ToTracker::Rates(rates))
    }

    /// A piece came to be served here.
    pub(super) fn gained(&mut self, now: Instant) {
        self.ownership.gained(now);
    }

    /// A part of the tracker's answer to a question came, with news or without.
    pub(super) fn answered(&mut self, now: Instant, question: u32, news: bool, last: bool) {
        self.questions.answered(now, question, news, last);
    }

    /// Another rank tracks: what was asked of the last one is asked anew.
    pub(super) fn ask_again(&mut self) {
        self.questions.ask_again();
    }

    /// Whether a request before this one is under way.
    pub(super) fn is_any_open_before(&self, number: RequestNumber) -> bool {
        self.requests.keys().next().is_some_and(|&oldest| oldest < number)
    }

    /// A rank says how many pieces it has to send to others.
    pub(super) fn note_backlog(&mut self, rank: Rank, backlog: u32) {
        self.holders.note_backlog(rank, backlog);
    }

    /// A request is acknowledged, or taken back.
    fn waits_no_more(&mut self, number: RequestNumber) {
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

    fn bytes_of(&self, pieces: &[PieceId]) -> u64 {
        pieces.iter().map(|&piece| u64::from(self.catalogue.piece_size(piece))).sum()
    }

    /// A piece that came did not verify: it is asked for again.
    pub(super) fn on_corrupt(&mut self, piece: PieceId, ledger: &mut Pieces) {
        self.counters.pieces_corrupt += 1;
        self.counters.bytes_wasted += u64::from(self.catalogue.piece_size(piece));
        ledger.release(piece);
    }

    /// The disk refused a piece that came.
    pub(super) fn on_refused(&mut self, piece: PieceId, ledger: &mut Pieces) {
        self.counters.bytes_wasted += u64::from(self.catalogue.piece_size(piece));
        ledger.fail(piece);
    }

    /// The rank from which a transfer came whose pieces are being written.
    pub(super) fn holder_of(&self, transfer: TransferId) -> Rank {
        self.transfers.get(&transfer).expect("stored once, after it was received").holder
    }

    /// Each piece of a transfer was written, or not.
    pub(super) fn stored(&mut self, transfer: TransferId, ledger: &mut Pieces) {
        self.end_transfer(transfer, ledger);
    }

    /// A holder sent what does not verify. Where it did so too often it is asked no more.
    pub(super) fn punish(
        &mut self,
        holder: Rank,
        config: &PeerConfig,
        ledger: &mut Pieces,
        actions: &mut Vec<PeerAction>,
    ) {
        if self.holders.strike(holder, ledger.picker_mut()) {
            let own = config.rank;
            let text =
                format!("rank {holder} sent pieces that do not verify; rank {own} asks it no more");
            actions.push(PeerAction::Notice(text));
            let message = Message::ToTracker(ToTracker::Shun(holder));
            actions.push(PeerAction::Send { to: config.tracker, message });
        }
    }

    /// Hears that a rank has these pieces; says whether any is news.
    pub(super) fn learn(
        &mut self,
        rank: Rank,
        ranges: impl Iterator<Item = Range<u32>>,
        ledger: &mut Pieces,
    ) -> bool {
        let locality = self.ownership.topology().locality(rank);
        let news = self.holders.learn(rank, locality, ranges, ledger.picker_mut());
        if news {
            ledger.hashes_mut().wake();
        }
        news
    }

    /// The number of the next request: all before it are under way or over.
    pub(super) fn next_request(&self) -> RequestNumber {
        RequestNumber(self.next_request)
    }
}
