//! Randomness that comes from a seed, so that a run can be repeated to the letter.

/// The SplitMix64 generator: small, seedable with any number, good enough to break ties.
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Begins a sequence.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    ///
    /// # Panics
    ///
    /// Panics where `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0);
        // The bias of a multiply-shift over 64 bits is far below what a tie-break can notice.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}
