//! What the loop does when nothing happens: it looks again a few times, then sleeps, longer and
//! longer, so that ranks may outnumber cores and a waiting rank costs next to nothing.

use crossbeam_channel::{Receiver, Select};
use std::thread;
use std::time::{Duration, Instant};

/// Empty rounds before the loop begins to yield, ...
const SPINS: u32 = 2;
/// ... and before it begins to sleep.
const YIELDS: u32 = 6;
/// The first sleep; each is half as long again as the one before.
const FIRST_SLEEP: Duration = Duration::from_micros(20);
/// The longest sleep while pieces are on their way on a fast link: some transports move a piece in
/// fragments, one or two for each time they are looked after.
const LONGEST_NAP: Duration = Duration::from_micros(100);
/// Empty rounds after which it sleeps longer all the same, a second or so.
const NAPS: u32 = 10_000;
/// The longest sleep otherwise: what a message waits at most on a rank that was idle.
const LONGEST_SLEEP: Duration = Duration::from_millis(2);

/// On a slow link naps are longer: so long that no more than this comes or leaves meanwhile, which
/// every socket holds, ...
const NAP_BYTES: u64 = 32 << 10;
/// ... and never longer than this.
const LONGEST_SLOW_NAP: Duration = Duration::from_millis(1);
/// Whoever naps so long does not spin or yield before: what comes next is not that near.
const LEISURE: Duration = Duration::from_micros(300);
/// How often it is looked how much has moved.
const LOOK: Duration = Duration::from_millis(100);
/// A pause counts as no more than this between two things that happen.
const LONGEST_GAP: Duration = Duration::from_millis(2);

/// How long nothing has happened, and what is known of the pace at which things do.
#[derive(Debug)]
pub(crate) struct Idle {
    rounds: u32,
    sleep: Duration,
    /// When something happened last, and how long it takes from one thing to the next, on the
    /// average.
    last: Instant,
    gap: Duration,
    /// Bytes of pieces that came and left since it was looked last.
    moved: u64,
    looked: Instant,
    /// How long `NAP_BYTES` take.
    nap: Duration,
}

impl Default for Idle {
    fn default() -> Self {
        let now = Instant::now();
        let (rounds, moved, sleep) = (0, 0, FIRST_SLEEP);
        Self { rounds, sleep, last: now, gap: Duration::ZERO, moved, looked: now, nap: LONGEST_NAP }
    }
}

impl Idle {
    /// Something happened.
    pub(crate) fn reset(&mut self) {
        self.rounds = 0;
        self.sleep = FIRST_SLEEP;
        let now = Instant::now();
        let gap = now.duration_since(self.last).min(LONGEST_GAP);
        self.last = now;
        self.gap = (self.gap * 7 + gap) / 8;
        let passed = now.duration_since(self.looked);
        if passed >= LOOK {
            let nap = passed.as_micros() * u128::from(NAP_BYTES) / u128::from(self.moved.max(1));
            let nap = Duration::from_micros(u64::try_from(nap).unwrap_or(u64::MAX));
            self.nap = nap.clamp(LONGEST_NAP, LONGEST_SLOW_NAP);
            self.moved = 0;
            self.looked = now;
        }
    }

    /// Bytes of a piece came or left.
    pub(crate) fn moved(&mut self, bytes: u64) {
        self.moved += bytes;
    }

    /// The longest sleep while pieces are on their way: short where many bytes move, which some
    /// transports do in fragments, and where much is said; long where a link is what all wait for.
    fn longest_nap(&self) -> Duration {
        self.nap.min(self.gap / 2).max(LONGEST_NAP)
    }

    /// Nothing happened: waits, but no longer than until a worker is done, and only briefly while
    /// the transport has something under way.
    pub(crate) fn wait<T>(&mut self, workers: Option<&Receiver<T>>, drained: bool) {
        // What is under way with a hung rank never ends: that is no reason to stay awake for ever.
        let naps = !drained && self.rounds < NAPS;
        let nap = self.longest_nap();
        let longest = if naps { nap } else { LONGEST_SLEEP };
        if self.rounds == 0 && nap >= LEISURE {
            self.rounds = YIELDS;
            self.sleep = nap / 2;
        }
        self.rounds = self.rounds.saturating_add(1);
        match self.rounds {
            0..=SPINS => std::hint::spin_loop(),
            rounds if rounds <= YIELDS => thread::yield_now(),
            _ => {
                self.sleep = (self.sleep + self.sleep / 2).clamp(FIRST_SLEEP, longest);
                let Some(workers) = workers else { return thread::sleep(self.sleep) };
                let mut select = Select::new();
                select.recv(workers);
                // Whether it was the worker or the time: the next round sees.
                let _ = select.ready_timeout(self.sleep);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(gap: Duration, nap: Duration) -> Idle {
        Idle { gap, nap, ..Idle::default() }
    }

    #[test]
    fn naps_are_long_only_where_little_moves_and_little_is_said() {
        let [short, long] = [Duration::from_micros(50), Duration::from_millis(2)];
        assert_eq!(idle(long, LONGEST_SLOW_NAP).longest_nap(), LONGEST_SLOW_NAP);
        assert_eq!(idle(short, LONGEST_SLOW_NAP).longest_nap(), LONGEST_NAP);
        assert_eq!(idle(long, LONGEST_NAP).longest_nap(), LONGEST_NAP);
        assert_eq!(Idle::default().longest_nap(), LONGEST_NAP, "nothing is known yet");
    }
}
