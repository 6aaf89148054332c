//! The upload role: acknowledges requests and sends pieces, while the download role goes on.
//!
//! A bounded number of askers is served at once, a piece to each in turn, so that the first pieces
//! of a file spread before the last asker is served. What a request is acknowledged for follows in
//! exactly that order, one PIECE for each piece or bundle: its bytes, or nothing where it was
//! withdrawn. Reads run ahead within a window of bytes.

use super::gossip::Gossip;
use super::lane::{Lane, Slot, SlotState};
use super::outgoing::Outgoing;
use super::queue::{Queue, Waiting};
use super::{PeerAction, TransferId};
use crate::message::{Ack, Between, Message, RequestNumber};
use crate::schedule::{Locality, RateLimiter, Window};
use crate::{Instant, Rank};
use content::{Bitfield, Catalogue, Span};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Askers that are served at once. Few enough that each gets its batch soon and becomes a holder
/// itself; enough to keep a fat link busy while some askers are slow.
const MAX_LANES: usize = 32;

/// What is read ahead, or on its way to others, is what leaves in this time, ...
const WINDOW: Duration = Duration::from_millis(100);
/// ... but at least so many pieces, ...
const WINDOW_PIECES: u64 = 4;
/// ... and so many bytes.
const WINDOW_BYTES: u64 = 1 << 20;

/// This part of the most that may be on its way may be acknowledged and not have left: what waits
/// longer may find another holder meanwhile. Where the link is slow it is all that may be on its
/// way: an acknowledgement takes its time there.
const AHEAD_SHARE: u64 = 4;

/// Requests of one asker that are acknowledged at once: the next is ready when the first ends.
const MAX_ACKED: usize = 2;

/// The most pieces in a request: their runs, and those of an answer, fit a message. A longer one is
/// cut, which no peer of ours ever sends.
pub(super) const MAX_BATCH: usize = 2048;

/// The upload role's state.
#[derive(Debug)]
pub(super) struct Upload {
    catalogue: Arc<Catalogue>,
    window: Window,
    /// Bytes that may be acknowledged and not have left.
    most_ahead_bytes: u64,
    /// What this rank's cap lets it send.
    limiter: RateLimiter,
    waiting: Queue,
    lanes: BTreeMap<Rank, Lane>,
    /// The lanes in the order in which they are served next.
    turns: VecDeque<Rank>,
    outgoing: Outgoing,
    pub(super) gossip: Gossip,
    next_transfer: u64,
    bytes_sent: u64,
    /// Whether what was sent is about to be told: what is asked for later is refused.
    closed: bool,
}

impl Upload {
    pub(super) fn new(
        catalogue: Arc<Catalogue>,
        longest_piece: u64,
        window_bytes: u64,
        limiter: RateLimiter,
        now: Instant,
    ) -> Self {
        let least = [longest_piece * WINDOW_PIECES, WINDOW_BYTES];
        Self {
            catalogue,
            window: Window::new(WINDOW, least, window_bytes, now),
            most_ahead_bytes: window_bytes / AHEAD_SHARE,
            limiter,
            waiting: Queue::default(),
            lanes: BTreeMap::new(),
            turns: VecDeque::new(),
            outgoing: Outgoing::default(),
            gossip: Gossip::default(),
            // Uploads and downloads number their transfers apart: odd here, even there.
            next_transfer: 1,
            bytes_sent: 0,
            closed: false,
        }
    }

    /// Payload bytes that left for certain.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// Whether nothing is being read or sent, and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.lanes.is_empty() && self.outgoing.is_empty()
    }

    /// Time has passed: what waits for the cap, or for a rank that is late, may go on.
    pub(super) fn keep_time(
        &mut self,
        now: Instant,
        serving: &Bitfield,
        actions: &mut Vec<PeerAction>,
    ) {
        self.limiter.keep_time(now);
        self.window.keep_time(now);
        let held_up = self.outgoing.keep_time(now) && !self.waiting.is_empty();
        if held_up || (self.limiter.is_limited() && !self.lanes.is_empty()) {
            self.advance(serving, actions);
        }
    }

    /// Serves nothing more.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Takes a request.
    pub(super) fn request(
        &mut self,
        from: Rank,
        number: RequestNumber,
        pieces: &[Span],
        serving: &Bitfield,
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
            return self.acknowledge(&waiting, |_| false, actions);
        }
        self.waiting.push(waiting);
        self.advance(serving, actions);
    }

    /// What was not sent yet of a request is no longer wanted.
    pub(super) fn cancel(
        &mut self,
        from: Rank,
        number: RequestNumber,
        serving: &Bitfield,
        actions: &mut Vec<PeerAction>,
    ) {
        if let Some(mut waiting) = self.waiting.take(|w| w.from == from && w.number == number) {
            // All of it is given back.
            waiting.bundles.clear();
            self.acknowledge(&waiting, |piece| serving.get(piece), actions);
        }
        self.withdraw_slots(|to, slot| to == from && slot.request == number, actions);
        self.advance(serving, actions);
    }

    /// Which pieces a read is about; none where nobody waits for them any more.
    pub(super) fn pieces_of(&self, transfer: TransferId) -> Option<Span> {
        let lane = self.lanes.get(&self.outgoing.to(transfer)?)?;
        lane.slots.iter().find(|slot| slot.transfer == transfer).map(|slot| slot.pieces)
    }

    /// A piece was read, or could not be.
    pub(super) fn loaded(
        &mut self,
        transfer: TransferId,
        readable: bool,
        serving: &Bitfield,
        actions: &mut Vec<PeerAction>,
    ) {
        let to = self.outgoing.to(transfer);
        let slots = to.and_then(|to| self.lanes.get_mut(&to)).map(|lane| &mut lane.slots);
        let slot = slots.and_then(|slots| slots.iter_mut().find(|slot| slot.transfer == transfer));
        match slot {
            Some(slot) if slot.state == SlotState::Loading && readable => {
                slot.state = SlotState::Loaded;
            }
            slot => {
                slot.into_iter().for_each(|slot| slot.state = SlotState::Withdrawn);
                self.outgoing.release(transfer);
                actions.push(PeerAction::Discard { transfer });
            }
        }
        self.advance(serving, actions);
    }

    /// A piece left.
    pub(super) fn sent(
        &mut self,
        transfer: TransferId,
        serving: &Bitfield,
        actions: &mut Vec<PeerAction>,
    ) {
        let bytes = self.outgoing.release(transfer);
        self.bytes_sent += bytes;
        self.window.moved(bytes);
        self.advance(serving, actions);
    }

    /// A rank was lost: nothing more goes to it. What is being sent to it is given up.
    pub(super) fn lost(&mut self, rank: Rank, serving: &Bitfield, actions: &mut Vec<PeerAction>) {
        self.waiting.forget(rank);
        self.gossip.lost(rank);
        self.withdraw_slots(|to, _| to == rank, actions);
        self.lanes.remove(&rank);
        self.turns.retain(|&turn| turn != rank);
        self.outgoing.lose(rank);
        self.advance(serving, actions);
    }

    /// Pieces are no longer served: what was acknowledged of them is answered with nothing.
    pub(super) fn withdraw(
        &mut self,
        pieces: &Bitfield,
        serving: &Bitfield,
        actions: &mut Vec<PeerAction>,
    ) {
        let any = |slot: &Slot| slot.pieces.numbers().any(|p| pieces.get(p));
        self.withdraw_slots(|_, slot| any(slot), actions);
        self.advance(serving, actions);
    }

    fn withdraw_slots(
        &mut self,
        which: impl Fn(Rank, &Slot) -> bool,
        actions: &mut Vec<PeerAction>,
    ) {
        let mut loaded = Vec::new();
        for (&to, lane) in &mut self.lanes {
            for slot in lane.slots.iter_mut().filter(|slot| which(to, slot)) {
                if slot.state == SlotState::Loaded {
                    loaded.push(slot.transfer);
                }
                slot.state = SlotState::Withdrawn;
            }
        }
        for transfer in loaded {
            self.outgoing.release(transfer);
            actions.push(PeerAction::Discard { transfer });
        }
    }

    /// Acknowledges, reads and sends as far as the bounds let it.
    fn advance(&mut self, serving: &Bitfield, actions: &mut Vec<PeerAction>) {
        loop {
            self.flush(actions);
            let admitted = self.admit(serving, actions);
            let loading = self.load(actions);
            if !admitted && !loading {
                break;
            }
        }
    }

    /// Acknowledges the next waiting request that may be; says whether there was one.
    fn admit(&mut self, serving: &Bitfield, actions: &mut Vec<PeerAction>) -> bool {
        let full = |lane: &&Lane| lane.requests() >= MAX_ACKED;
        let ahead = self.ahead_bytes();
        if self.waiting.is_empty()
            || (ahead > 0 && ahead >= self.most_ahead_bytes.min(self.window.bytes()))
        {
            return false;
        }
        let may = |waiting: &Waiting| match self.lanes.get(&waiting.from) {
            _ if self.outgoing.is_late(waiting.from) => false,
            Some(lane) => !full(&lane),
            None => self.lanes.len() < MAX_LANES,
        };
        // What no other rank has yet goes to this rack before it goes to others, which get it from
        // there: so it is sent once.
        let put_off = self.gossip.spreads_first() && self.is_busy_in_rack();
        let is_far = |waiting: &Waiting| self.gossip.locality(waiting.from) == Locality::Remote;
        let now = |waiting: &Waiting| may(waiting) && !(put_off && is_far(waiting));
        let Some(waiting) = self.waiting.take(now) else { return false };
        self.acknowledge(&waiting, |piece| serving.get(piece), actions);
        true
    }

    /// Whether this rank sends, or is about to, to others of its rack that are not late.
    fn is_busy_in_rack(&self) -> bool {
        let sending = self.lanes.keys().copied().chain(self.outgoing.ranks());
        let mut all =
            sending.chain(self.waiting.ranks()).filter(|&rank| !self.outgoing.is_late(rank));
        all.any(|rank| self.gossip.locality(rank) == Locality::Rack)
    }

    /// Bytes that are acknowledged and did not leave, but for what waits for a late rank.
    fn ahead_bytes(&self) -> u64 {
        let prompt = self.lanes.iter().filter(|(to, _)| !self.outgoing.is_late(**to));
        let idle = prompt.flat_map(|(_, lane)| lane.idle());
        self.outgoing.prompt_bytes(self.window.bytes())
            + idle.map(|pieces| self.catalogue.bundle_size(pieces)).sum::<u64>()
    }

    /// Pieces and bundles that are to be sent to others than a rank.
    fn backlog_beside(&self, rank: Rank) -> u32 {
        let lanes = self.lanes.iter().filter(|(to, _)| **to != rank);
        let acked: usize = lanes.map(|(_, lane)| lane.slots.len()).sum();
        (acked + self.waiting.bundles_beside(rank) + self.outgoing.sending_count()) as u32
    }

    /// Tells neighbours of gains.
    pub(super) fn push_gains(
        &mut self,
        has: impl Fn(Rank, u32) -> bool,
        actions: &mut Vec<PeerAction>,
    ) {
        if self.gossip.is_due() {
            let backlog = self.backlog_beside(Rank::TRACKER);
            self.gossip.push(backlog, has, actions);
        }
    }

    /// The pieces of a bundle, and those of them that were sent to another, which are given back:
    /// the asker will find them there.
    fn split_early(&self, asker: Rank, bundle: Span) -> (Vec<u32>, Vec<u32>) {
        let pieces = bundle.numbers();
        pieces.partition(|&piece| !self.gossip.is_early(asker, piece))
    }

    /// Answers a request; what does not follow is refused, but for what others have sooner.
    fn acknowledge(
        &mut self,
        waiting: &Waiting,
        serves: impl Fn(u32) -> bool,
        actions: &mut Vec<PeerAction>,
    ) {
        let (mut follows, mut refused, mut early) = (Vec::new(), Vec::new(), Vec::new());
        for &bundle in &waiting.bundles {
            let (pieces, sent) = self.split_early(waiting.from, bundle);
            let (own, others): (Vec<u32>, Vec<u32>) =
                pieces.into_iter().partition(|&piece| serves(piece));
            follows.extend(Span::join(own));
            refused.extend(others);
            early.extend(sent);
        }
        follows.truncate(self.promised_soon(&follows));
        self.answer(waiting, follows, refused, &early, actions);
    }

    fn answer(
        &mut self,
        waiting: &Waiting,
        follows: Vec<Span>,
        refused: Vec<u32>,
        early: &[u32],
        actions: &mut Vec<PeerAction>,
    ) {
        if !follows.is_empty() && !self.lanes.contains_key(&waiting.from) {
            self.turns.push_back(waiting.from);
        }
        for &pieces in &follows {
            let transfer = TransferId(self.next_transfer);
            self.next_transfer += 2;
            let slot = Slot { request: waiting.number, pieces, transfer, state: SlotState::Idle };
            self.lanes.entry(waiting.from).or_default().slots.push_back(slot);
        }
        let sent = self.gossip.sent_news_for(waiting.from, early);
        for piece in follows.iter().flat_map(|pieces| pieces.numbers()) {
            self.gossip.goes(waiting.from, piece);
        }
        let backlog = self.backlog_beside(waiting.from);
        let ack = Ack {
            request: waiting.number,
            follows: self.catalogue.join_bundles(follows),
            refused: Span::join(refused),
            gained: self.gossip.news_for(waiting.from),
            sent,
            backlog,
        };
        actions.push(PeerAction::Send {
            to: waiting.from,
            message: Message::Between(Between::Ack(ack)),
        });
    }

    /// How many of these follow soon enough under this rank's cap; one always. The others
    /// are given back: whoever asked may have them sooner elsewhere.
    fn promised_soon(&self, bundles: &[Span]) -> usize {
        if !self.limiter.is_limited() {
            return bundles.len();
        }
        let size = |pieces: Span| self.catalogue.bundle_size(pieces);
        let idle = self.lanes.values().flat_map(Lane::idle).map(size);
        let mut room = self.limiter.promises(idle.sum());
        let fits = |pieces: &&Span| match room.checked_sub(size(**pieces)) {
            Some(rest) => {
                room = rest;
                true
            }
            None => false,
        };
        bundles.iter().take_while(fits).count().max(1)
    }

    /// Begins to read the next piece, a lane in turn; says whether it did.
    fn load(&mut self, actions: &mut Vec<PeerAction>) -> bool {
        for _ in 0..self.turns.len() {
            let rank = self.turns.pop_front().expect("there is a turn left");
            self.turns.push_back(rank);
            let lane = self.lanes.get_mut(&rank).expect("every turn has its lane");
            let Some(slot) = lane.slots.iter_mut().find(|slot| slot.state == SlotState::Idle)
            else {
                continue;
            };
            let bytes = self.catalogue.bundle_size(slot.pieces);
            // One asker may not fill the window: it may be hung.
            let for_it = self.outgoing.bytes_for(rank);
            let lane_full = for_it > 0 && for_it + bytes > self.window.bytes() / 2;
            let prompt = self.outgoing.prompt_bytes(self.window.bytes());
            let full = prompt > 0 && prompt + bytes > self.window.bytes();
            if lane_full || full || self.outgoing.is_late(rank) {
                continue;
            }
            if bytes > self.limiter.available() {
                // It stays this lane's turn.
                self.turns.rotate_right(1);
                return false;
            }
            self.limiter.spend(bytes);
            slot.state = SlotState::Loading;
            self.outgoing.load(slot.transfer, rank, bytes);
            actions.push(PeerAction::Load { transfer: slot.transfer, pieces: slot.pieces });
            return true;
        }
        false
    }

    /// Sends what is ready at the head of each lane. A lane with nothing left is closed.
    fn flush(&mut self, actions: &mut Vec<PeerAction>) {
        let mut closed = Vec::new();
        for (&to, lane) in &mut self.lanes {
            while let Some(head) = lane.slots.front() {
                let transfer = head.transfer;
                match head.state {
                    SlotState::Idle | SlotState::Loading => break,
                    SlotState::Loaded => {
                        self.outgoing.send(transfer);
                        actions.push(PeerAction::SendPiece { to, transfer });
                    }
                    SlotState::Withdrawn => actions.push(PeerAction::Withdraw { to, transfer }),
                }
                lane.slots.pop_front();
            }
            if lane.slots.is_empty() {
                closed.push(to);
            }
        }
        for rank in closed {
            self.lanes.remove(&rank);
            self.turns.retain(|&turn| turn != rank);
        }
    }

    /// What must always hold; for tests and the simulator.
    pub(super) fn check_invariants(&self) {
        self.outgoing.check_invariants();
        self.waiting.check_invariants();
        assert!(self.lanes.len() <= MAX_LANES);
        assert_eq!(self.lanes.len(), self.turns.len());
        for slot in self.lanes.values().flat_map(|lane| &lane.slots) {
            match slot.state {
                SlotState::Idle => assert!(!self.outgoing.is_busy(slot.transfer)),
                SlotState::Loading | SlotState::Loaded => {
                    assert!(self.outgoing.is_waiting(slot.transfer));
                }
                SlotState::Withdrawn => {}
            }
        }
    }
}
