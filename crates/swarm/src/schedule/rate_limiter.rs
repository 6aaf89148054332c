//! Rate limits, as token buckets: so many bytes a second, however late or early it is asked. They
//! count bytes, and know no piece and no rank.
//!
//! A piece is paid for before it moves, as if it took its time on a slow link: nothing goes ahead
//! at the beginning, and over any time no more than the cap allows for it moves, and one request
//! beside that; after a time in which this rank could do nothing, what it missed of a second.

use crate::Instant;
use std::time::Duration;

/// The most that a rank may send and receive; bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Piece bytes to others.
    pub upload: Option<u64>,
    /// Piece bytes from others.
    pub download: Option<u64>,
}

/// The time for which unused bytes are kept: a rank that looks so often has had every chance to use
/// them. Several ticks.
const SLACK: Duration = Duration::from_millis(50);
/// The longest time for which bytes are kept that came together while nobody could look: a machine
/// that is busy with something else now and then does not lower the rate.
const STALL: Duration = Duration::from_secs(1);
/// A request of a rank with a cap is for as much as the cap lets through in this time.
const REQUEST: Duration = Duration::from_millis(100);
/// A rank with a cap has no more under way than the cap lets through in this time.
const WINDOW: Duration = Duration::from_secs(1);
/// A rank with a cap promises others no more than the cap lets through in this time: an asker that
/// wants more has it sooner from others.
const PROMISED: Duration = Duration::from_millis(100);

const MICROS: u128 = 1_000_000;

/// A bucket that fills with time. Without a cap, as most are, it is always full, and small.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    bucket: Option<Box<Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    bytes_a_second: u64,
    /// In bytes times a million, which time and rate give without a rest.
    level: u128,
    capacity: u128,
    seen: Instant,
}

impl RateLimiter {
    /// A bucket for requests of at most this many bytes, that is empty now.
    pub(crate) fn new(limit: Option<u64>, request_bytes: u64, now: Instant) -> Self {
        let bucket = limit.map(|bytes_a_second| Bucket {
            bytes_a_second,
            level: 0,
            capacity: earned(bytes_a_second, SLACK) + u128::from(request_bytes) * MICROS,
            seen: now,
        });
        Self { bucket: bucket.map(Box::new) }
    }

    /// Whether there is a cap.
    pub(crate) fn is_limited(&self) -> bool {
        self.bucket.is_some()
    }

    /// Takes the time, which fills the bucket.
    pub(crate) fn keep_time(&mut self, now: Instant) {
        let Some(bucket) = &mut self.bucket else { return };
        let unseen = now.since(bucket.seen);
        let late = if unseen > SLACK { STALL } else { Duration::ZERO };
        let most = bucket.capacity + earned(bucket.bytes_a_second, late);
        let filled = bucket.level + earned(bucket.bytes_a_second, unseen);
        bucket.level = filled.min(most).max(bucket.level);
        bucket.seen = bucket.seen.max(now);
    }

    /// Bytes that may move now.
    pub(crate) fn available(&self) -> u64 {
        let level = |bucket: &Bucket| u64::try_from(bucket.level / MICROS).unwrap_or(u64::MAX);
        self.bucket.as_deref().map_or(u64::MAX, level)
    }

    /// Moves bytes, of those that were available.
    pub(crate) fn spend(&mut self, bytes: u64) {
        let Some(bucket) = &mut self.bucket else { return };
        let cost = u128::from(bytes) * MICROS;
        bucket.level = bucket.level.checked_sub(cost).expect("only what is available is spent");
    }

    /// The number of pieces of this length that a request asks for, of those that it would.
    pub(crate) fn batch(limit: Option<u64>, batch: usize, piece_bytes: u64) -> usize {
        let most = limit.map_or(u64::MAX, |limit| bytes_in(limit, REQUEST) / piece_bytes.max(1));
        batch.min(usize::try_from(most).unwrap_or(usize::MAX)).max(1)
    }

    /// The number of bytes that may be under way, of those that might; at least two requests.
    pub(crate) fn window(limit: Option<u64>, window_bytes: u64, request_bytes: u64) -> u64 {
        let most = limit.map_or(u64::MAX, |limit| bytes_in(limit, WINDOW));
        window_bytes.min(most.max(request_bytes.saturating_mul(2)))
    }

    /// Bytes that may be promised to others, beside those that were.
    pub(crate) fn promises(&self, promised_bytes: u64) -> u64 {
        let most = |bucket: &Bucket| bytes_in(bucket.bytes_a_second, PROMISED);
        self.bucket.as_deref().map_or(u64::MAX, most).saturating_sub(promised_bytes)
    }
}

fn earned(bytes_a_second: u64, time: Duration) -> u128 {
    u128::from(bytes_a_second) * time.as_micros()
}

fn bytes_in(bytes_a_second: u64, time: Duration) -> u64 {
    u64::try_from(earned(bytes_a_second, time) / MICROS).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PIECE: u64 = 1 << 18;

    fn at(micros: u64) -> Instant {
        Instant::after(Duration::from_micros(micros))
    }

    /// Moves as many pieces as it may, looking at these times; says when each went.
    fn moves(limit: u64, looks: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut limiter = RateLimiter::new(Some(limit), PIECE, Instant::ZERO);
        let mut moved = Vec::new();
        for micros in looks {
            limiter.keep_time(at(micros));
            while limiter.available() >= PIECE {
                limiter.spend(PIECE);
                moved.push(micros);
            }
        }
        moved
    }

    #[test]
    fn the_rate_is_kept_however_seldom_it_is_looked_at() {
        for every in [100, 9_973, 40_000, 500_000] {
            let moved = moves(5_000_000, (0..=10_000_000 / every).map(|n| n * every)).len() as u64;
            let rate = (moved * PIECE) as f64 / 10.0;
            assert!((4_900_000.0..=5_000_000.0).contains(&rate), "{rate} at {every} us");
        }
    }

    #[test]
    fn nothing_goes_before_it_is_paid_for() {
        let moved = moves(PIECE, (0..300).map(|n| n * 10_000));
        assert_eq!(moved, [1_000_000, 2_000_000]);
    }

    #[test]
    fn of_a_pause_a_second_is_made_up_for() {
        let looks = (0..100).map(|n| n * 10_000).chain((5_000..5_100).map(|n| n * 10_000));
        let after = moves(5_000_000, looks).into_iter().filter(|&micros| micros >= 50_000_000);
        // Two seconds' worth, of which nobody looked in one, and the one piece and 50 ms that a
        // bucket holds.
        assert!((38..=40).contains(&after.count()));
    }

    #[test]
    fn what_is_left_though_it_was_looked_at_is_not_kept() {
        let mut limiter = RateLimiter::new(Some(5_000_000), PIECE, Instant::ZERO);
        (0..100).for_each(|n| limiter.keep_time(at(n * 10_000)));
        assert_eq!(limiter.available(), PIECE + 250_000);
    }

    #[test]
    fn without_a_cap_all_may_move() {
        let mut limiter = RateLimiter::new(None, PIECE, Instant::ZERO);
        limiter.spend(u64::MAX);
        assert_eq!((limiter.available(), limiter.promises(7)), (u64::MAX, u64::MAX - 7));
        assert_eq!(RateLimiter::batch(None, 10, PIECE), 10);
        assert_eq!(RateLimiter::window(None, 100, PIECE), 100);
    }

    #[test]
    fn a_cap_below_a_piece_a_second_still_asks_for_one_and_the_next() {
        assert_eq!(RateLimiter::batch(Some(1), 10, PIECE), 1);
        assert_eq!(RateLimiter::window(Some(1), 80 << 20, PIECE), 2 * PIECE);
        assert_eq!(moves(1000, (0..600).map(|n| n * 1_000_000)).len(), 2);
    }

    proptest! {
        #[test]
        fn no_time_sees_more_than_its_share_and_a_piece(
            limit in 1_000_u64..20_000_000,
            gaps in prop::collection::vec(1_u64..100_000, 1..100),
        ) {
            let looks = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) });
            let moved = moves(limit, looks);
            for (first, &from) in moved.iter().enumerate() {
                for (last, &to) in moved.iter().enumerate().skip(first) {
                    let bytes = u128::from((last - first + 1) as u64 * PIECE) * MICROS;
                    let longest_gap = Duration::from_millis(100);
                    let share = earned(limit, Duration::from_micros(to - from) + longest_gap);
                    prop_assert!(bytes <= share + u128::from(PIECE) * MICROS);
                }
            }
        }
    }
}
