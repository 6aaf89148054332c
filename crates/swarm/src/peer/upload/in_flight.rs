//! What is being read for others or on its way to them: each piece has a buffer until it has left.
//!
//! A piece on its way to a rank that hangs stays there until that rank is given up, and nothing can
//! take it back. So ranks to which a piece takes far longer than usual are *late*: what they hold
//! up counts against nobody else, and they get nothing more until it has left.

use crate::peer::TransferId;
use crate::{Instant, Rank};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A rank is late when a piece is on its way to it for so many times longer than usual, ...
const LATE_FACTOR: u32 = 4;
/// ... but not sooner than this: a busy machine lets a rank wait so long now and then.
const MIN_LATE: Duration = Duration::from_millis(50);
/// A piece takes so long until it is known how long one takes.
const FIRST_GUESS: Duration = Duration::from_millis(100);
/// How often it is looked who is late.
const LOOK: Duration = Duration::from_millis(10);

/// A piece that is being read or sent.
#[derive(Debug)]
struct Busy {
    to: Rank,
    bytes: u64,
    /// Since when it is on its way; none while it is read, or waits for those before it.
    sending: Option<Instant>,
}

/// All pieces that are being read or sent.
#[derive(Debug)]
pub(super) struct InFlight {
    now: Instant,
    looked: Instant,
    busy: BTreeMap<TransferId, Busy>,
    bytes: u64,
    /// For each asker, the bytes of what is read for it or on its way to it.
    bytes_for: BTreeMap<Rank, u64>,
    /// How long a piece is on its way, on the average of late.
    usual: Duration,
    late: BTreeSet<Rank>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self {
            now: Instant::ZERO,
            looked: Instant::ZERO,
            busy: BTreeMap::new(),
            bytes: 0,
            bytes_for: BTreeMap::new(),
            usual: FIRST_GUESS,
            late: BTreeSet::new(),
        }
    }
}

impl InFlight {
    /// Time has passed; says whether a rank is late that was not.
    pub(super) fn keep_time(&mut self, now: Instant) -> bool {
        self.now = now;
        if now.since(self.looked) < LOOK {
            return false;
        }
        self.looked = now;
        let limit = (self.usual * LATE_FACTOR).max(MIN_LATE);
        let sending = self.busy.values().filter_map(|busy| Some((busy.to, busy.sending?)));
        let late = sending.filter(|&(_, since)| now.since(since) > limit).map(|(to, _)| to);
        let before = self.late.len();
        self.late.extend(late);
        self.late.len() > before
    }

    /// Whether nothing is being read or sent.
    pub(super) fn is_empty(&self) -> bool {
        self.busy.is_empty()
    }

    /// Whether a rank lets its pieces wait.
    pub(super) fn is_late(&self, rank: Rank) -> bool {
        self.late.contains(&rank)
    }

    /// The ranks for which something is read or on its way.
    pub(super) fn ranks(&self) -> impl Iterator<Item = Rank> + '_ {
        self.bytes_for.keys().copied()
    }

    /// Bytes that are read for a rank or on their way to it.
    pub(super) fn bytes_for(&self, rank: Rank) -> u64 {
        self.bytes_for.get(&rank).copied().unwrap_or(0)
    }

    /// Bytes that are read for ranks which are not late, or on their way to them; and what is held
    /// up beyond `bound` bytes.
    pub(super) fn prompt_bytes(&self, bound: u64) -> u64 {
        let late: u64 = self.late.iter().map(|&rank| self.bytes_for(rank)).sum();
        self.bytes - late.min(bound)
    }

    /// How many pieces are on their way.
    pub(super) fn sending_count(&self) -> usize {
        self.busy.values().filter(|busy| busy.sending.is_some()).count()
    }

    /// To whom a piece goes.
    pub(super) fn to(&self, transfer: TransferId) -> Option<Rank> {
        self.busy.get(&transfer).map(|busy| busy.to)
    }

    /// A piece is to be read.
    pub(super) fn load(&mut self, transfer: TransferId, to: Rank, bytes: u64) {
        self.bytes += bytes;
        *self.bytes_for.entry(to).or_default() += bytes;
        self.busy.insert(transfer, Busy { to, bytes, sending: None });
    }

    /// A piece that was read goes out.
    pub(super) fn send(&mut self, transfer: TransferId) {
        let busy = self.busy.get_mut(&transfer).expect("what was read is busy");
        busy.sending = Some(self.now);
    }

    /// A buffer is free again; gives the bytes that it held.
    pub(super) fn release(&mut self, transfer: TransferId) -> u64 {
        let Some(Busy { to, bytes, sending }) = self.busy.remove(&transfer) else { return 0 };
        self.bytes -= bytes;
        let for_it = self.bytes_for.get_mut(&to).expect("counted when it became busy");
        *for_it -= bytes;
        if *for_it == 0 {
            self.bytes_for.remove(&to);
        }
        if let Some(since) = sending
            && !self.late.remove(&to)
        {
            self.usual = (self.usual * 7 + self.now.since(since)) / 8;
        }
        bytes
    }

    /// A rank is lost: what is on its way to it is given up. What is read for it is dropped when it
    /// comes.
    pub(super) fn lose(&mut self, rank: Rank) {
        let sending = self.busy.iter().filter(|(_, b)| b.to == rank && b.sending.is_some());
        let given_up: Vec<TransferId> = sending.map(|(&transfer, _)| transfer).collect();
        self.late.insert(rank);
        for transfer in given_up {
            self.release(transfer);
            self.late.insert(rank);
        }
        self.late.remove(&rank);
    }

    /// Whether a piece is read and not on its way.
    pub(super) fn is_waiting(&self, transfer: TransferId) -> bool {
        self.busy.get(&transfer).is_some_and(|busy| busy.sending.is_none())
    }

    /// Whether a piece has a buffer.
    pub(super) fn is_busy(&self, transfer: TransferId) -> bool {
        self.busy.contains_key(&transfer)
    }

    /// What must always hold; for tests and the simulator.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.bytes, self.busy.values().map(|busy| busy.bytes).sum::<u64>());
        assert_eq!(self.bytes, self.bytes_for.values().sum::<u64>());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u64 = 1000;

    fn at(ms: u64) -> Instant {
        Instant::after(Duration::from_millis(ms))
    }

    fn send(in_flight: &mut InFlight, number: u64, to: u32) {
        in_flight.load(TransferId(number), Rank(to), PIECE);
        in_flight.send(TransferId(number));
    }

    #[test]
    fn a_rank_that_lets_a_piece_wait_far_longer_than_usual_is_late_until_it_has_left() {
        let mut in_flight = InFlight::default();
        for number in 0..50 {
            in_flight.keep_time(at(20 * number));
            send(&mut in_flight, number, 1);
            in_flight.keep_time(at(20 * number + 20));
            in_flight.release(TransferId(number));
        }
        send(&mut in_flight, 50, 2);
        send(&mut in_flight, 51, 1);
        assert!(!in_flight.keep_time(at(1060)), "three times as long is nothing yet");
        in_flight.release(TransferId(51));
        assert!(in_flight.keep_time(at(1110)));
        assert!(in_flight.is_late(Rank(2)) && !in_flight.is_late(Rank(1)));
        assert_eq!(in_flight.prompt_bytes(10 * PIECE), 0, "it holds up nobody else");
        assert_eq!(in_flight.prompt_bytes(PIECE / 2), PIECE / 2, "up to a bound");
        assert!(!in_flight.keep_time(at(1200)), "that is known");
        in_flight.release(TransferId(50));
        assert!(!in_flight.is_late(Rank(2)));
        in_flight.check_invariants();
    }

    #[test]
    fn what_goes_to_a_lost_rank_is_given_up_and_what_is_read_for_it_comes_first() {
        let mut in_flight = InFlight::default();
        send(&mut in_flight, 1, 2);
        in_flight.load(TransferId(3), Rank(2), PIECE);
        in_flight.lose(Rank(2));
        assert!(!in_flight.is_busy(TransferId(1)) && in_flight.is_waiting(TransferId(3)));
        assert_eq!(in_flight.bytes_for(Rank(2)), PIECE);
        in_flight.release(TransferId(3));
        assert!(in_flight.is_empty());
        in_flight.check_invariants();
    }
}
