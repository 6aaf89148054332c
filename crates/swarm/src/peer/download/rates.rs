//! What this rank knows of how near others are, where nobody told: how long a piece takes from each
//! holder.
//!
//! A rack's uplink is slow while it is shared, and then what comes through it takes many times
//! longer than what comes from within the rack. A rank that sees two such groups among its holders
//! says so to the tracker, which alone knows whether others see the same (`tracker/racks.rs`). It
//! concludes nothing itself.

use crate::Instant;
use crate::message::Rate;
use std::time::Duration;

/// A holder that sent so many pieces is known well enough.
pub(super) const ENOUGH: u32 = 4;

/// What takes so many times longer than from the quickest holder comes from afar, it seems.
const FAR_FACTOR: u32 = 3;
/// Fewer holders that are near, or far, say nothing.
const LEAST: usize = 2;

/// A rank says what it sees not sooner than this after its first look, and again after this time,
/// after twice that, ...
const FIRST: Duration = Duration::from_millis(500);
/// ... and so often in all.
const MAX_TOLD: u32 = 6;

/// When this rank tells what it sees.
#[derive(Debug, Default)]
pub(super) struct Rates {
    /// Whether START told of no racks.
    is_wanted: bool,
    due: Option<Instant>,
    told: u32,
}

impl Rates {
    /// What this rank sees is of interest where START told of no racks.
    pub(super) fn new(is_wanted: bool) -> Self {
        Self { is_wanted, ..Self::default() }
    }

    /// Whether racks may be learned from what ranks see.
    pub(super) fn are_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Whether the tracker is to be told now, unasked: there are two groups of holders.
    pub(super) fn is_due(&mut self, now: Instant, rates: &[Rate]) -> bool {
        let due = *self.due.get_or_insert(now + FIRST);
        if now < due || self.told >= MAX_TOLD || !is_split(rates) {
            return false;
        }
        self.due = Some(now + FIRST * 2u32.pow(self.told));
        self.told += 1;
        true
    }
}

/// Whether some holders are near and others far, by how long a piece takes from them.
fn is_split(rates: &[Rate]) -> bool {
    let mut all: Vec<u32> = rates.iter().map(|rate| rate.micros).collect();
    all.sort_unstable();
    // One may be quick by chance.
    let Some(usual) = all.get(LEAST - 1) else { return false };
    let far = usual.max(&1).saturating_mul(FAR_FACTOR);
    all.iter().filter(|&&micros| micros >= far).count() >= LEAST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rank;

    fn rates(micros: &[u32]) -> Vec<Rate> {
        let rates = micros.iter().zip(1..);
        rates.map(|(&micros, rank)| Rate { rank: Rank(rank), micros }).collect()
    }

    #[test]
    fn two_groups_are_two_near_holders_and_two_that_take_three_times_as_long() {
        assert!(is_split(&rates(&[10, 12, 36, 40])));
        assert!(!is_split(&rates(&[10, 12, 35, 40])), "one far holder may be a slow rank");
        assert!(!is_split(&rates(&[2, 12, 30, 35])), "one near holder may be quick by chance");
        assert!(!is_split(&rates(&[10, 12, 20, 29])), "rows are of several lengths everywhere");
        assert!(!is_split(&[]) && !is_split(&rates(&[7])));
    }

    #[test]
    fn the_tracker_is_told_now_and_then_and_not_for_ever() {
        let seen = rates(&[10, 10, 90, 90]);
        let mut told = Rates::default();
        let at = |ms: u64| Instant::after(Duration::from_millis(ms));
        let times: Vec<u64> =
            (0..600).map(|n| n * 100).filter(|&ms| told.is_due(at(ms), &seen)).collect();
        assert_eq!(times, [500, 1000, 2000, 4000, 8000, 16_000]);
        assert!(!Rates::default().is_due(at(500), &seen), "not at the first look");
    }
}
