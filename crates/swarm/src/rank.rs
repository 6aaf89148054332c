//! The number of a process in the job.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A process of the job, from 0 (MPI standard, section 6.2: a rank in `MPI_COMM_WORLD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rank(pub u32);

impl Rank {
    /// The rank that tracks at first.
    pub const TRACKER: Self = Self(0);
    /// More processes than any launcher starts; a number above it in a message is refused.
    pub const LIMIT: u32 = 1 << 22;

    /// The rank as an index into a table with one row a rank.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a rank is among a few in ascending order, or else where it would be. All are looked at,
/// with no branch: the processor fetches them at once, where a search by halves waits for each
/// look before it knows the next.
pub(crate) fn find(ranks: &[Rank], rank: Rank) -> Result<usize, usize> {
    let less: u32 = ranks.iter().map(|&other| u32::from(other < rank)).sum();
    let at = less as usize;
    if ranks.get(at) == Some(&rank) { Ok(at) } else { Err(at) }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
