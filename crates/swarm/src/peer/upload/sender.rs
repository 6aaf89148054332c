//! What is acknowledged and has not left: a queue for each asker, served in turn, a piece at a
//! time.
//!
//! Reads run ahead within a window of bytes, and within this rank's cap. What was acknowledged
//! leaves in that order, one PIECE for each piece or bundle: its bytes, or nothing where it was
//! withdrawn. It answers no request.

use super::in_flight::InFlight;
use crate::message::RequestNumber;
use crate::peer::{PeerAction, TransferId};
use crate::schedule::{RateLimiter, Window};
use crate::{Instant, Rank};
use content::{Catalogue, PieceId, Span};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Askers that are served at once. Few enough that each gets its batch soon and becomes a holder
/// itself; enough to keep a fat link busy while some askers are slow.
const MAX_QUEUES: usize = 32;

/// The window holds the bytes that leave in this time.
const WINDOW: Duration = Duration::from_millis(100);
/// The fewest pieces in the window.
const WINDOW_PIECES: u64 = 4;
/// The fewest bytes in the window.
const WINDOW_BYTES: u64 = 1 << 20;

/// This part of the most that may be on its way may be acknowledged and not have left: what waits
/// longer may find another holder meanwhile. Where the link is slow it is all that may be on its
/// way: an acknowledgement takes its time there.
const AHEAD_SHARE: u64 = 4;

/// Requests of one asker that are acknowledged at once: the next is ready when the first ends.
const MAX_ACKED: usize = 2;

/// All that is acknowledged and has not left.
#[derive(Debug)]
pub(super) struct Sender {
    catalogue: Arc<Catalogue>,
    window: Window,
    /// Bytes that may be acknowledged and not have left.
    most_ahead_bytes: u64,
    /// What this rank's cap lets it send.
    limiter: RateLimiter,
    queues: BTreeMap<Rank, SendQueue>,
    /// The askers in the order in which they are served next.
    turns: VecDeque<Rank>,
    in_flight: InFlight,
    next_transfer: u64,
    bytes_sent: u64,
}

/// What is acknowledged to one asker and has not been sent, in the order of the acknowledgements.
#[derive(Debug, Default)]
struct SendQueue {
    slots: VecDeque<Slot>,
}

/// A piece or a bundle that is acknowledged.
#[derive(Debug)]
struct Slot {
    request: RequestNumber,
    /// What travels as one.
    pieces: Span,
    transfer: TransferId,
    state: SlotState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlotState {
    /// Not read yet.
    Idle,
    Loading,
    Loaded,
    /// Is to be answered with nothing.
    Withdrawn,
}

impl SendQueue {
    /// The number of acknowledged requests that have pieces left.
    fn requests(&self) -> usize {
        let mut count = 0;
        let mut last = None;
        for slot in &self.slots {
            count += usize::from(last.replace(slot.request) != Some(slot.request));
        }
        count
    }

    /// What is not read yet.
    fn idle(&self) -> impl Iterator<Item = Span> {
        let idle = self.slots.iter().filter(|slot| slot.state == SlotState::Idle);
        idle.map(|slot| slot.pieces)
    }
}

impl Sender {
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
            queues: BTreeMap::new(),
            turns: VecDeque::new(),
            in_flight: InFlight::default(),
            // Uploads and downloads number their transfers apart: odd here, even there.
            next_transfer: 1,
            bytes_sent: 0,
        }
    }

    /// Payload bytes that left for certain.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// Whether nothing is acknowledged, being read or sent.
    pub(super) fn is_idle(&self) -> bool {
        self.queues.is_empty() && self.in_flight.is_empty()
    }

    /// Takes the time. Says whether a rank is late that was not.
    pub(super) fn keep_time(&mut self, now: Instant) -> bool {
        self.limiter.keep_time(now);
        self.window.keep_time(now);
        self.in_flight.keep_time(now)
    }

    /// Whether something may wait for this rank's cap.
    pub(super) fn may_wait_for_cap(&self) -> bool {
        self.limiter.is_limited() && !self.queues.is_empty()
    }

    /// Whether a rank lets its pieces wait.
    pub(super) fn is_late(&self, rank: Rank) -> bool {
        self.in_flight.is_late(rank)
    }

    /// The ranks to which something goes, or is about to; a rank may come twice.
    pub(super) fn ranks(&self) -> impl Iterator<Item = Rank> {
        self.queues.keys().copied().chain(self.in_flight.ranks())
    }

    /// Whether as much is acknowledged as may be.
    pub(super) fn is_full(&self) -> bool {
        let ahead = self.ahead_bytes();
        ahead > 0 && ahead >= self.most_ahead_bytes.min(self.window.bytes())
    }

    /// Whether one more request of a rank may be acknowledged.
    pub(super) fn may_admit(&self, rank: Rank) -> bool {
        match self.queues.get(&rank) {
            _ if self.in_flight.is_late(rank) => false,
            Some(queue) => queue.requests() < MAX_ACKED,
            None => self.queues.len() < MAX_QUEUES,
        }
    }

    /// Bytes that are acknowledged and did not leave, but for what waits for a late rank.
    fn ahead_bytes(&self) -> u64 {
        let prompt = self.queues.iter().filter(|(to, _)| !self.in_flight.is_late(**to));
        let idle = prompt.flat_map(|(_, queue)| queue.idle());
        self.in_flight.prompt_bytes(self.window.bytes())
            + idle.map(|pieces| self.catalogue.bundle_size(pieces)).sum::<u64>()
    }

    /// The number of pieces and bundles that are to be sent to others than a rank.
    pub(super) fn backlog_beside(&self, rank: Rank) -> usize {
        let others = self.queues.iter().filter(|(to, _)| **to != rank);
        let acknowledged: usize = others.map(|(_, queue)| queue.slots.len()).sum();
        acknowledged + self.in_flight.sending_count()
    }

    /// Which pieces a read is about; none where nobody waits for them any more.
    pub(super) fn pieces_of(&self, transfer: TransferId) -> Option<Span> {
        let queue = self.queues.get(&self.in_flight.to(transfer)?)?;
        queue.slots.iter().find(|slot| slot.transfer == transfer).map(|slot| slot.pieces)
    }

    /// The number of these that follow soon enough under this rank's cap; one always. The others
    /// are given back: whoever asked may have them sooner elsewhere.
    pub(super) fn promised_soon(&self, bundles: &[Span]) -> usize {
        if !self.limiter.is_limited() {
            return bundles.len();
        }
        let size = |pieces: Span| self.catalogue.bundle_size(pieces);
        let idle = self.queues.values().flat_map(SendQueue::idle).map(size);
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

    /// Acknowledged pieces and bundles follow from now on.
    pub(super) fn enqueue(&mut self, to: Rank, request: RequestNumber, follows: &[Span]) {
        if !follows.is_empty() && !self.queues.contains_key(&to) {
            self.turns.push_back(to);
        }
        for &pieces in follows {
            let transfer = TransferId(self.next_transfer);
            self.next_transfer += 2;
            let slot = Slot { request, pieces, transfer, state: SlotState::Idle };
            self.queues.entry(to).or_default().slots.push_back(slot);
        }
    }

    /// A piece was read, or could not be.
    pub(super) fn loaded(
        &mut self,
        transfer: TransferId,
        read: Result<(), PieceId>,
        actions: &mut Vec<PeerAction>,
    ) {
        let to = self.in_flight.to(transfer);
        let slots = to.and_then(|to| self.queues.get_mut(&to)).map(|queue| &mut queue.slots);
        let slot = slots.and_then(|slots| slots.iter_mut().find(|slot| slot.transfer == transfer));
        match slot {
            Some(slot) if slot.state == SlotState::Loading && read.is_ok() => {
                slot.state = SlotState::Loaded;
            }
            slot => {
                slot.into_iter().for_each(|slot| slot.state = SlotState::Withdrawn);
                self.in_flight.release(transfer);
                actions.push(PeerAction::Discard { transfer });
            }
        }
    }

    /// A piece left.
    pub(super) fn sent(&mut self, transfer: TransferId) {
        let bytes = self.in_flight.release(transfer);
        self.bytes_sent += bytes;
        self.window.moved(bytes);
    }

    /// What was not sent yet of a request is answered with nothing.
    pub(super) fn cancel(
        &mut self,
        from: Rank,
        number: RequestNumber,
        actions: &mut Vec<PeerAction>,
    ) {
        self.withdraw_slots(|to, slot| to == from && slot.request == number, actions);
    }

    /// What is acknowledged with any of some pieces is answered with nothing.
    pub(super) fn withdraw(
        &mut self,
        is_withdrawn: impl Fn(u32) -> bool,
        actions: &mut Vec<PeerAction>,
    ) {
        self.withdraw_slots(|_, slot| slot.pieces.numbers().any(&is_withdrawn), actions);
    }

    /// A rank was lost: nothing more goes to it. What is being sent to it is given up.
    pub(super) fn lose(&mut self, rank: Rank, actions: &mut Vec<PeerAction>) {
        self.withdraw_slots(|to, _| to == rank, actions);
        self.queues.remove(&rank);
        self.turns.retain(|&turn| turn != rank);
        self.in_flight.lose(rank);
    }

    fn withdraw_slots(
        &mut self,
        which: impl Fn(Rank, &Slot) -> bool,
        actions: &mut Vec<PeerAction>,
    ) {
        let mut loaded = Vec::new();
        for (&to, queue) in &mut self.queues {
            for slot in queue.slots.iter_mut().filter(|slot| which(to, slot)) {
                if slot.state == SlotState::Loaded {
                    loaded.push(slot.transfer);
                }
                slot.state = SlotState::Withdrawn;
            }
        }
        for transfer in loaded {
            self.in_flight.release(transfer);
            actions.push(PeerAction::Discard { transfer });
        }
    }

    /// Begins to read the next piece, an asker in turn; says whether it did.
    pub(super) fn load(&mut self, actions: &mut Vec<PeerAction>) -> bool {
        for _ in 0..self.turns.len() {
            let rank = self.turns.pop_front().expect("there is a turn left");
            self.turns.push_back(rank);
            let queue = self.queues.get_mut(&rank).expect("every turn has its queue");
            let Some(slot) = queue.slots.iter_mut().find(|slot| slot.state == SlotState::Idle)
            else {
                continue;
            };
            let bytes = self.catalogue.bundle_size(slot.pieces);
            // One asker may not fill the window: it may be hung.
            let for_it = self.in_flight.bytes_for(rank);
            let queue_full = for_it > 0 && for_it + bytes > self.window.bytes() / 2;
            let prompt = self.in_flight.prompt_bytes(self.window.bytes());
            let full = prompt > 0 && prompt + bytes > self.window.bytes();
            if queue_full || full || self.in_flight.is_late(rank) {
                continue;
            }
            if bytes > self.limiter.available() {
                // It stays this asker's turn.
                self.turns.rotate_right(1);
                return false;
            }
            self.limiter.spend(bytes);
            slot.state = SlotState::Loading;
            self.in_flight.load(slot.transfer, rank, bytes);
            actions.push(PeerAction::Load { transfer: slot.transfer, pieces: slot.pieces });
            return true;
        }
        false
    }

    /// Sends what is ready at the head of each queue. A queue with nothing left is closed.
    pub(super) fn flush(&mut self, actions: &mut Vec<PeerAction>) {
        let mut closed = Vec::new();
        for (&to, queue) in &mut self.queues {
            while let Some(head) = queue.slots.front() {
                let transfer = head.transfer;
                match head.state {
                    SlotState::Idle | SlotState::Loading => break,
                    SlotState::Loaded => {
                        self.in_flight.send(transfer);
                        actions.push(PeerAction::SendPiece { to, transfer });
                    }
                    SlotState::Withdrawn => actions.push(PeerAction::Withdraw { to, transfer }),
                }
                queue.slots.pop_front();
            }
            if queue.slots.is_empty() {
                closed.push(to);
            }
        }
        for rank in closed {
            self.queues.remove(&rank);
            self.turns.retain(|&turn| turn != rank);
        }
    }

    /// Panics where something does not hold; for tests and the simulator.
    pub(super) fn check_invariants(&self) {
        self.in_flight.check_invariants();
        assert!(self.queues.len() <= MAX_QUEUES);
        assert_eq!(self.queues.len(), self.turns.len());
        for slot in self.queues.values().flat_map(|queue| &queue.slots) {
            match slot.state {
                SlotState::Idle => assert!(!self.in_flight.is_busy(slot.transfer)),
                SlotState::Loading | SlotState::Loaded => {
                    assert!(self.in_flight.is_waiting(slot.transfer));
                }
                SlotState::Withdrawn => {}
            }
        }
    }
}
