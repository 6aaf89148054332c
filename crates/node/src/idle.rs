//! What the loop does when nothing happens: it looks again a few times, then sleeps, longer and
//! longer, so that ranks may outnumber cores and a waiting rank costs next to nothing.

use crossbeam_channel::{Receiver, Select};
use std::thread;
use std::time::Duration;

/// Empty rounds before the loop begins to yield, ...
const SPINS: u32 = 2;
/// ... and before it begins to sleep.
const YIELDS: u32 = 6;
/// The first sleep; each is half as long again as the one before.
const FIRST_SLEEP: Duration = Duration::from_micros(20);
/// The longest sleep while pieces are on their way: some transports move a piece in fragments, one
/// or two for each time they are looked after.
const LONGEST_NAP: Duration = Duration::from_micros(100);
/// Empty rounds after which it sleeps longer all the same, a second or so.
const NAPS: u32 = 10_000;
/// The longest sleep otherwise: what a message waits at most on a rank that was idle.
const LONGEST_SLEEP: Duration = Duration::from_millis(2);

/// How long nothing has happened.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    rounds: u32,
    sleep: Duration,
}

impl Idle {
    /// Something happened.
    pub(crate) fn reset(&mut self) {
        self.rounds = 0;
        self.sleep = FIRST_SLEEP;
    }

    /// Nothing happened: waits, but no longer than until a worker is done, and only briefly while
    /// the transport has something under way.
    pub(crate) fn wait<T>(&mut self, workers: Option<&Receiver<T>>, drained: bool) {
        // What is under way with a hung rank never ends: that is no reason to stay awake for ever.
        let naps = !drained && self.rounds < NAPS;
        let longest = if naps { LONGEST_NAP } else { LONGEST_SLEEP };
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
