//! The upload role: owns what this rank serves, answers requests for it, and tells others of it.
//!
//! A bounded number of askers is served at once, a piece to each in turn, so that the first pieces
//! of a file spread before the last asker is served. A request waits in the [`queue`] until it may
//! be acknowledged; what is acknowledged is read and sent by the [`sender`]; the [`announcer`]
//! tells others what this rank gained and sent. The role fetches nothing, and knows no destination.

mod announcer;
mod in_flight;
mod queue;
mod sender;

pub(super) use announcer::Gain;

use super::{PeerAction, TransferId};
use crate::message::{Ack, Between, MAX_BATCH, Message, RequestNumber};
use crate::schedule::{Locality, RateLimiter, Topology};
use crate::{Instant, Rank};
use announcer::Announcer;
use content::{Bitfield, Catalogue, PieceId, Span};
use queue::{Queue, Waiting};
use sender::Sender;
use std::ops::Range;
use std::sync::Arc;

/// The upload role's state.
#[derive(Debug)]
pub(super) struct Upload {
    catalogue: Arc<Catalogue>,
    /// Pieces that this rank has and serves.
    serving: Bitfield,
    waiting: Queue,
    sender: Sender,
    announcer: Announcer,
    /// Whether what was sent is about to be told: what is asked for later is refused.
    closed: bool,
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// What is served follows.
    Serve,
    /// Nothing follows.
    Refuse,
}

impl Upload {
    /// A role that serves these pieces, and nobody yet.
    pub(super) fn new(
        catalogue: Arc<Catalogue>,
        serving: Bitfield,
        longest_piece: u64,
        window_bytes: u64,
        limiter: RateLimiter,
        now: Instant,
    ) -> Self {
        let sender = Sender::new(Arc::clone(&catalogue), longest_piece, window_bytes, limiter, now);
        Self {
            catalogue,
            serving,
            waiting: Queue::default(),
            sender,
            announcer: Announcer::default(),
            closed: false,
        }
    }

    /// Tells the neighbours what is served. Of that, `sendable` is what somebody will ask for.
    pub(super) fn begin(
        &mut self,
        sendable: &Bitfield,
        neighbours: &[Rank],
        topology: Arc<Topology>,
        actions: &mut Vec<PeerAction>,
    ) {
        self.announcer = Announcer::new(sendable, neighbours, topology);
        self.announcer.begin(&self.serving, actions);
    }

    /// The pieces that are served.
    pub(super) fn serving(&self) -> &Bitfield {
        &self.serving
    }

    /// Whether a piece is served.
    pub(super) fn serves(&self, piece: u32) -> bool {
        self.serving.get(piece)
    }

    /// Whether all pieces of a range are served.
    pub(super) fn serves_all(&self, range: Range<u32>) -> bool {
        self.serving.contains_range(range)
    }

    /// Payload bytes that left for certain.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.sender.bytes_sent()
    }

    /// Whether nothing is being read or sent, and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.sender.is_idle()
    }

    /// The number of gains that neighbours are told of at once.
    pub(super) fn told_at_once(&self) -> usize {
        self.announcer.told_at_once()
    }

    /// Time has passed: what waits for the cap, or for a rank that is late, may go on.
    pub(super) fn keep_time(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        let held_up = self.sender.keep_time(now) && !self.waiting.is_empty();
        if held_up || self.sender.may_wait_for_cap() {
            self.advance(actions);
        }
    }

    /// A tick: neighbours are to hear of gains, of however few.
    pub(super) fn on_tick(&mut self) {
        self.announcer.hurry();
    }

    /// Serves nothing more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Racks were learned: this rank has another topology, and other neighbours.
    pub(super) fn move_to(
        &mut self,
        topology: Arc<Topology>,
        neighbours: &[Rank],
        owns: impl Fn(u32) -> bool,
        actions: &mut Vec<PeerAction>,
    ) {
        self.announcer.move_to(topology, neighbours, &self.serving, owns, actions);
    }

    /// Serves one more piece from now on. Says whether it did not before.
    pub(super) fn serve(&mut self, piece: PieceId) -> bool {
        self.serving.insert(piece.0)
    }

    /// Others are to hear of a piece that is served.
    pub(super) fn announce(&mut self, gain: Gain) {
        self.announcer.gained(gain);
    }

    /// Serves none of these pieces any more: what was acknowledged of them is answered with
    /// nothing. Gives those that were served.
    pub(super) fn stop_serving(
        &mut self,
        mut pieces: Bitfield,
        actions: &mut Vec<PeerAction>,
    ) -> Bitfield {
        pieces.intersect_with(&self.serving);
        if !pieces.is_empty() {
            self.serving.subtract(&pieces);
            self.sender.withdraw(|piece| pieces.get(piece), actions);
            self.advance(actions);
        }
        pieces
    }

    /// A rank said something.
    pub(super) fn heard(&mut self, from: Rank) {
        self.announcer.heard(from);
    }

    /// The gains that a rank was not told of; it is told now.
    pub(super) fn gains_for(&mut self, rank: Rank) -> Vec<Span> {
        self.announcer.news_for(rank)
    }

    /// Takes a request.
    pub(super) fn request(
        &mut self,
        from: Rank,
        number: RequestNumber,
        pieces: &[Span],
        actions: &mut Vec<PeerAction>,
    ) {
        let limit = self.catalogue.piece_count();
        let bundles = Span::all_checked(pieces, limit).flat_map(|run| self.catalogue.bundles(run));
        let mut left = MAX_BATCH as u32;
        let bundles = bundles.map_while(|bundle| {
            left = left.checked_sub(bundle.count)?;
            Some(bundle)
        });
        let waiting = Waiting { from, number, bundles: bundles.collect() };
        if self.closed || self.waiting.is_full_for(from) {
            return self.acknowledge(&waiting, Answer::Refuse, actions);
        }
        self.waiting.push(waiting);
        self.advance(actions);
    }

    /// What was not sent yet of a request is no longer wanted.
    pub(super) fn cancel(
        &mut self,
        from: Rank,
        number: RequestNumber,
        actions: &mut Vec<PeerAction>,
    ) {
        if let Some(mut waiting) = self.waiting.take(|w| w.from == from && w.number == number) {
            // All of it is given back.
            waiting.bundles.clear();
            self.acknowledge(&waiting, Answer::Serve, actions);
        }
        self.sender.cancel(from, number, actions);
        self.advance(actions);
    }

    /// Whether somebody waits for what is being read.
    pub(super) fn awaits(&self, transfer: TransferId) -> bool {
        self.sender.pieces_of(transfer).is_some()
    }

    /// What is to be sent was read, or could not be.
    pub(super) fn loaded(
        &mut self,
        transfer: TransferId,
        read: Result<(), PieceId>,
        actions: &mut Vec<PeerAction>,
    ) {
        self.sender.loaded(transfer, read, actions);
        self.advance(actions);
    }

    /// A piece left.
    pub(super) fn sent(&mut self, transfer: TransferId, actions: &mut Vec<PeerAction>) {
        self.sender.sent(transfer);
        self.advance(actions);
    }

    /// A rank was lost: nothing more goes to it. What is being sent to it is given up.
    pub(super) fn lost(&mut self, rank: Rank, actions: &mut Vec<PeerAction>) {
        self.waiting.forget(rank);
        self.announcer.lost(rank);
        self.sender.lose(rank, actions);
        self.advance(actions);
    }

    /// Acknowledges, reads and sends as far as the bounds let it.
    fn advance(&mut self, actions: &mut Vec<PeerAction>) {
        loop {
            self.sender.flush(actions);
            let admitted = self.admit(actions);
            let loading = self.sender.load(actions);
            if !admitted && !loading {
                break;
            }
        }
    }

    /// Acknowledges the next waiting request that may be; says whether there was one.
    fn admit(&mut self, actions: &mut Vec<PeerAction>) -> bool {
        if self.waiting.is_empty() || self.sender.is_full() {
            return false;
        }
        // What no other rank has yet goes to this rack before it goes to others, which get it from
        // there: so it is sent once.
        let put_off = self.announcer.spreads_first() && self.is_busy_in_rack();
        let is_remote = |rank| self.announcer.locality(rank) == Locality::Remote;
        let may = |waiting: &Waiting| {
            self.sender.may_admit(waiting.from) && !(put_off && is_remote(waiting.from))
        };
        let Some(waiting) = self.waiting.take(may) else { return false };
        self.acknowledge(&waiting, Answer::Serve, actions);
        true
    }

    /// Whether this rank sends, or is about to, to others of its rack that are not late.
    fn is_busy_in_rack(&self) -> bool {
        let all = self.sender.ranks().chain(self.waiting.ranks());
        let mut prompt = all.filter(|&rank| !self.sender.is_late(rank));
        prompt.any(|rank| self.announcer.locality(rank) == Locality::Rack)
    }

    /// The number of pieces and bundles that are to be sent to others than a rank.
    fn backlog_beside(&self, rank: Rank) -> u32 {
        (self.sender.backlog_beside(rank) + self.waiting.bundles_beside(rank)) as u32
    }

    /// Tells neighbours of gains, but for what they have: `has` says whether a rank is known to
    /// have a piece.
    pub(super) fn push_gains(
        &mut self,
        has: impl Fn(Rank, u32) -> bool,
        actions: &mut Vec<PeerAction>,
    ) {
        if self.announcer.is_due() {
            let backlog = self.backlog_beside(Rank::TRACKER);
            self.announcer.push(backlog, has, actions);
        }
    }

    /// The pieces of a bundle, and those of them that were sent to another, which are given back:
    /// the asker will find them there.
    fn split_early(&self, asker: Rank, bundle: Span) -> (Vec<u32>, Vec<u32>) {
        let pieces = bundle.numbers();
        pieces.partition(|&piece| !self.announcer.is_early(asker, piece))
    }

    /// Answers a request; what does not follow is refused, but for what others have sooner.
    fn acknowledge(&mut self, waiting: &Waiting, answer: Answer, actions: &mut Vec<PeerAction>) {
        let follows = |&piece: &u32| answer == Answer::Serve && self.serving.get(piece);
        let (mut follow, mut refused, mut early) = (Vec::new(), Vec::new(), Vec::new());
        for &bundle in &waiting.bundles {
            let (pieces, sent) = self.split_early(waiting.from, bundle);
            let (own, others): (Vec<u32>, Vec<u32>) = pieces.into_iter().partition(follows);
            follow.extend(Span::join(own));
            refused.extend(others);
            early.extend(sent);
        }
        follow.truncate(self.sender.promised_soon(&follow));
        self.answer(waiting, follow, refused, &early, actions);
    }

    fn answer(
        &mut self,
        waiting: &Waiting,
        follows: Vec<Span>,
        refused: Vec<u32>,
        early: &[u32],
        actions: &mut Vec<PeerAction>,
    ) {
        self.sender.enqueue(waiting.from, waiting.number, &follows);
        let sent = self.announcer.sent_news_for(waiting.from, early);
        for piece in follows.iter().flat_map(|pieces| pieces.numbers()) {
            self.announcer.goes(waiting.from, piece);
        }
        let backlog = self.backlog_beside(waiting.from);
        let ack = Ack {
            request: waiting.number,
            follows: self.catalogue.join_bundles(follows),
            refused: Span::join(refused),
            gained: self.announcer.news_for(waiting.from),
            sent,
            backlog,
        };
        actions.push(PeerAction::Send {
            to: waiting.from,
            message: Message::Between(Between::Ack(ack)),
        });
    }

    /// Panics where something does not hold; for tests and the simulator.
    pub(super) fn check_invariants(&self) {
        self.sender.check_invariants();
        self.waiting.check_invariants();
    }
}
