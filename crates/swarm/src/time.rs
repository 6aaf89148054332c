//! The protocol's time: a number that whoever drives the machines passes in.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point of time, in microseconds since the process (or the simulation) began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant {
    micros: u64,
}

impl Instant {
    /// The beginning.
    pub const ZERO: Self = Self { micros: 0 };

    /// The point `elapsed` after the beginning.
    pub fn after(elapsed: Duration) -> Self {
        Self { micros: u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX) }
    }

    /// The time from `earlier` to here; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros.saturating_sub(earlier.micros))
    }
}

/// How long a machine was asleep that has not heard of the time since `last`; nothing where that is
/// short beside the patience.
pub(crate) fn asleep(last: Instant, now: Instant, patience: Duration) -> Duration {
    let gap = now.since(last);
    if gap > patience / 4 { gap } else { Duration::ZERO }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self { micros: self.micros.saturating_add(micros) }
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self { micros: self.micros.saturating_sub(micros) }
    }
}
