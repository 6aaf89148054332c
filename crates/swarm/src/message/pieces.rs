//! Which pieces somebody has, in the shorter of two forms.

use content::{Bitfield, Span};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A set of piece numbers on the wire: runs while they are few, else bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PieceSet {
    /// Runs of consecutive pieces.
    Runs(Vec<Span>),
    /// A bit a piece from `first` on, the lowest bit of each byte first.
    Bits {
        /// The piece of the first bit.
        first: u32,
        /// The bits.
        bytes: Vec<u8>,
    },
}

impl PieceSet {
    /// The most pieces that one set covers, so that it fits a part of a message.
    pub const MAX_PIECES: u32 = 1 << 17;
    /// The most encoded bytes of a run: two varints.
    const RUN_BYTES: usize = 8;

    /// The pieces of `set` within `range`.
    ///
    /// # Panics
    ///
    /// Panics where the range has more than [`Self::MAX_PIECES`] or ends beyond the set's length.
    pub fn of(set: &Bitfield, range: Range<u32>) -> Self {
        assert!(range.len() <= Self::MAX_PIECES as usize);
        let bits_len = range.len().div_ceil(8);
        let enough = bits_len / Self::RUN_BYTES + 1;
        let runs: Vec<Span> = set.spans_in(range.clone()).take(enough + 1).collect();
        if runs.len() <= enough {
            return Self::Runs(runs);
        }
        let mut bytes = vec![0; bits_len];
        for piece in set.iter_in(range.clone()) {
            let bit = piece - range.start;
            bytes[bit as usize / 8] |= 1 << (bit % 8);
        }
        Self::Bits { first: range.start, bytes }
    }

    /// What the set takes in memory, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Runs(runs) => runs.len() * size_of::<Span>(),
            Self::Bits { bytes, .. } => bytes.len(),
        }
    }

    /// The pieces as ranges below `limit`; what lies beyond is left out.
    pub fn ranges(&self, limit: u32) -> Vec<Range<u32>> {
        match self {
            Self::Runs(runs) => Span::all_checked(runs, limit).collect(),
            Self::Bits { first, bytes } => {
                let set = bytes.iter().enumerate().flat_map(|(i, byte)| {
                    (0..8)
                        .filter(move |bit| byte >> bit & 1 == 1)
                        .map(move |bit| i as u64 * 8 + bit)
                });
                let pieces = set
                    .map(|bit| u64::from(*first) + bit)
                    .take_while(|&piece| piece < u64::from(limit))
                    .map(|piece| piece as u32);
                Span::join(pieces).into_iter().filter_map(|run| run.checked(limit)).collect()
            }
        }
    }
}
