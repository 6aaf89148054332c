//! Stragglers: ranks that get their pieces much later than others, as one with a slow link does.
//!
//! A piece that a straggler takes from the only holder is soon needed by all others, who then get
//! it from the straggler, late, or from that holder once more. So a straggler takes what is common,
//! and from those who got it, too; the others have the holders of all for themselves. The rule
//! compares counts of pieces, and knows no rank.

use super::picker::SLOTS;

/// A straggler got less than one part in so many of what others got.
const PART: u32 = 2;
/// A straggler got so many pieces less than that part: a few come sooner or later by chance.
const LEAST: u32 = 20;

/// The pieces that others got since they were first heard of, by slot, beside those that this rank
/// got.
#[derive(Debug)]
pub(crate) struct Straggler {
    gains: [u32; SLOTS],
    is_straggler: bool,
}

impl Straggler {
    pub(crate) fn new() -> Self {
        Self { gains: [0; SLOTS], is_straggler: false }
    }

    /// Gives a slot to a holder. The pieces that it has then it may have had from the beginning.
    pub(crate) fn seat(&mut self, slot: usize) {
        self.gains[slot] = 0;
    }

    /// Counts a piece that the holder in a slot came to have.
    pub(crate) fn gained(&mut self, slot: usize) {
        self.gains[slot] += 1;
    }

    /// Compares this rank, which got `own` pieces, with the median of those who got anything: some
    /// want little, and some do nothing but serve.
    pub(crate) fn compare(&mut self, own: u32) {
        let mut gains: Vec<u32> = self.gains.into_iter().filter(|&gains| gains > 0).collect();
        gains.sort_unstable();
        let usual = gains.get(gains.len() / 2).copied().unwrap_or(0);
        self.is_straggler = own.saturating_mul(PART).saturating_add(LEAST) < usual;
    }

    /// Whether this rank is a straggler.
    pub(crate) fn is_straggler(&self) -> bool {
        self.is_straggler
    }

    /// Whether the holder in a slot is to be left to the others: this rank is a straggler, and that
    /// holder got nothing, so what it has came from nobody else.
    pub(crate) fn leaves(&self, slot: usize) -> bool {
        self.is_straggler && self.gains[slot] == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_that_got_less_than_half_of_the_median_leaves_the_seeder_to_the_others() {
        let mut straggler = Straggler::new();
        (0..4).for_each(|slot| straggler.seat(slot));
        for (slot, gains) in [(1, 60), (2, 70), (3, 500)] {
            (0..gains).for_each(|_| straggler.gained(slot));
        }
        straggler.compare(25);
        assert!(
            !straggler.is_straggler() && !straggler.leaves(0),
            "70 is less than twice that and a few"
        );
        straggler.compare(24);
        assert!(straggler.is_straggler() && straggler.leaves(0));
        assert!(![1, 2, 3].iter().any(|&slot| straggler.leaves(slot)));
        straggler.seat(3);
        straggler.compare(24);
        assert!(straggler.leaves(3), "another one sits there, of whom nothing is known");
    }

    #[test]
    fn nobody_is_a_straggler_where_nobody_else_gets_anything() {
        let mut straggler = Straggler::new();
        straggler.compare(0);
        assert!(!straggler.is_straggler());
    }
}
