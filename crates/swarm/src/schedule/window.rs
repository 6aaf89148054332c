//! The window: the bytes that may be under way, which are as many as move in a given time, within
//! bounds. It counts bytes, and knows no piece and no rank.
//!
//! A window that is too short for a link leaves it idle while messages travel; one that is too long
//! makes rows of pieces that all come late, and are asked of the only holder again meanwhile. What
//! is right follows from how fast bytes move, and nobody knows that beforehand.

use crate::Instant;
use std::time::Duration;

/// The time between two looks at how much has moved.
const LOOK: Duration = Duration::from_millis(50);

/// A window of bytes.
#[derive(Debug)]
pub(crate) struct Window {
    /// The time whose movement the window holds.
    time: Duration,
    /// The fewest bytes of the window.
    least: u64,
    /// The most bytes of the window.
    most: u64,
    /// Bytes that have moved since the last look.
    moved: u64,
    looked: Instant,
    bytes: u64,
}

impl Window {
    /// A window that begins with its least: the greater of two, where `most` lets it.
    pub(crate) fn new(time: Duration, least: [u64; 2], most: u64, now: Instant) -> Self {
        let least = least[0].max(least[1]).min(most);
        Self { time, least, most, moved: 0, looked: now, bytes: least }
    }

    /// Bytes that may be under way.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the window would hold more on a faster link.
    pub(crate) fn is_short(&self) -> bool {
        self.bytes < self.most
    }

    /// Counts bytes that have moved.
    pub(crate) fn moved(&mut self, bytes: u64) {
        self.moved += bytes;
    }

    /// Takes the time, and looks again where it is time to.
    pub(crate) fn keep_time(&mut self, now: Instant) {
        let passed = now.since(self.looked);
        if passed < LOOK {
            return;
        }
        let worth = u128::from(self.moved) * self.time.as_micros() / passed.as_micros();
        let worth = u64::try_from(worth).unwrap_or(u64::MAX).clamp(self.least, self.most);
        // Pieces come in bursts: one look says little.
        self.bytes = self.bytes / 4 * 3 + worth / 4;
        self.bytes = self.bytes.clamp(self.least, self.most);
        self.moved = 0;
        self.looked = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::after(Duration::from_millis(ms))
    }

    #[test]
    fn a_window_comes_to_hold_what_moves_in_its_time() {
        let mut window = Window::new(Duration::from_millis(200), [70, 100], 5_000, at(0));
        assert_eq!(window.bytes(), 100);
        window.moved(600);
        window.keep_time(at(20));
        assert_eq!(window.bytes(), 100, "too early to tell");
        for look in 1..40 {
            window.moved(600);
            window.keep_time(at(100 * look));
        }
        assert!((1_150..=1_200).contains(&window.bytes()), "6 bytes a millisecond");
    }

    #[test]
    fn it_stays_within_its_bounds() {
        let mut window = Window::new(Duration::from_millis(200), [70, 100], 5_000, at(0));
        for look in 1..40 {
            window.moved(50_000);
            window.keep_time(at(100 * look));
        }
        assert!((4_990..=5_000).contains(&window.bytes()));
        for look in 40..80 {
            window.keep_time(at(100 * look));
        }
        assert_eq!(window.bytes(), 100);
    }

    #[test]
    fn a_bound_below_the_least_holds() {
        assert_eq!(Window::new(LOOK, [100, 7], 10, at(0)).bytes(), 10);
    }
}
