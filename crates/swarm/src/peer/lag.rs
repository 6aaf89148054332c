//! Whether this rank falls behind the others, as one with a slow link does.
//!
//! What a slow rank takes from the only holder is soon needed by all others, who then get it from
//! the slow one, late, or from that holder once more. So who falls behind takes what is common, and
//! from those who got it, too; the others have the holders of all for themselves.

use super::pieces::PLACES;

/// A rank falls behind where it got less than this part of what others got, ...
const PART: u32 = 2;
/// ... and so many pieces less: a few come sooner or later by chance.
const LEAST: u32 = 20;

/// What others got since they were first heard of, by place.
#[derive(Debug)]
pub(super) struct Lag {
    gains: [u32; PLACES],
    falls_behind: bool,
}

impl Lag {
    pub(super) fn new() -> Self {
        Self { gains: [0; PLACES], falls_behind: false }
    }

    /// A holder takes a place: what it has then it may have had from the beginning.
    pub(super) fn seat(&mut self, place: usize) {
        self.gains[place] = 0;
    }

    /// The holder at a place came to have a piece.
    pub(super) fn gained(&mut self, place: usize) {
        self.gains[place] += 1;
    }

    /// Looks again, by the pieces that this rank got. What is usual is the median of those who got
    /// anything: some want little, and some do nothing but serve.
    pub(super) fn look(&mut self, own: u32) {
        let mut gains: Vec<u32> = self.gains.into_iter().filter(|&gains| gains > 0).collect();
        gains.sort_unstable();
        let usual = gains.get(gains.len() / 2).copied().unwrap_or(0);
        self.falls_behind = own.saturating_mul(PART).saturating_add(LEAST) < usual;
    }

    /// Whether this rank falls behind.
    pub(super) fn falls_behind(&self) -> bool {
        self.falls_behind
    }

    /// Whether the holder at a place is to be left to the others: this rank falls behind, and that
    /// one got nothing, so what it has came from nobody else.
    pub(super) fn leaves(&self, place: usize) -> bool {
        self.falls_behind && self.gains[place] == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_got_less_than_half_of_what_is_usual_leaves_the_seeder_to_the_others() {
        let mut lag = Lag::new();
        (0..4).for_each(|place| lag.seat(place));
        for (place, gains) in [(1, 60), (2, 70), (3, 500)] {
            (0..gains).for_each(|_| lag.gained(place));
        }
        lag.look(25);
        assert!(!lag.falls_behind() && !lag.leaves(0), "70 is less than twice that and a few");
        lag.look(24);
        assert!(lag.falls_behind() && lag.leaves(0));
        assert!(![1, 2, 3].iter().any(|&place| lag.leaves(place)));
        lag.seat(3);
        lag.look(24);
        assert!(lag.leaves(3), "another one sits there, of whom nothing is known");
    }

    #[test]
    fn nobody_falls_behind_where_nobody_else_gets_anything() {
        let mut lag = Lag::new();
        lag.look(0);
        assert!(!lag.falls_behind());
    }
}
