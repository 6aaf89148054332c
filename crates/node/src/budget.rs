//! How the memory that a rank may use for pieces (`--memory`) is divided among those who keep them.

use content::{Catalogue, PieceLen};

/// What each part of a rank may keep in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Bytes that are asked for, on their way, or not yet written.
    pub(crate) window: u64,
    /// Bytes that are read ahead or on their way to others.
    pub(crate) upload_window: u64,
    /// Bytes of the pieces that came last, which are served from memory.
    pub(crate) kept: u64,
    /// Bytes that each entry of the catalogue takes from all of these, down to half of them.
    pub(crate) entry: u64,
    /// Bytes of all pooled buffers, where there is a bound.
    pub(crate) pool: Option<u64>,
}

/// Without a bound: ten of the longest pieces that the default rule makes to receive, and what goes
/// with it. Together with what else a rank has, 30 MB for 50,000 entries, it is below 100 MB.
const UNBOUNDED: Budget =
    Budget { window: 40 << 20, upload_window: 16 << 20, kept: 32 << 20, entry: 640, pool: None };

/// The parts of a bound that the three windows share as they do without one; the rest is for pieces
/// that are hashed or copied here, and for buffers a little longer than their piece.
const SHARED: u64 = 4;
const OF: u64 = 5;

impl Budget {
    /// The parts of so many bytes.
    pub(crate) fn of(memory: Option<u64>) -> Self {
        let Some(memory) = memory else { return UNBOUNDED };
        let all = UNBOUNDED.window + UNBOUNDED.upload_window + UNBOUNDED.kept;
        let share = |part: u64| {
            let bytes = u128::from(memory) * u128::from(part * SHARED) / u128::from(all * OF);
            u64::try_from(bytes).expect("a part of it is less")
        };
        Self {
            window: share(UNBOUNDED.window),
            upload_window: share(UNBOUNDED.upload_window),
            kept: share(UNBOUNDED.kept),
            // A bound on buffers is one on buffers alone.
            entry: 0,
            pool: Some(memory),
        }
    }

    /// The part of an entry's bytes that is taken from the two windows.
    pub(crate) fn windows_entry(self) -> u64 {
        let windows = self.window + self.upload_window;
        self.entry * windows / (windows + self.kept).max(1)
    }

    /// Bytes of pieces that are kept beside the tables of so many entries.
    pub(crate) fn kept_beside(self, entries: u32) -> u64 {
        let all = self.window + self.upload_window + self.kept;
        let taken = (self.entry * u64::from(entries)).min(all / 2);
        self.kept - self.kept * taken / all.max(1)
    }

    /// Of so many workers, those that fit: each may hold a piece to copy and a piece to hash.
    pub(crate) fn workers(self, threads: usize, catalogue: &Catalogue) -> usize {
        let Some(memory) = self.pool else { return threads };
        let longest = catalogue.longest_bundle().max(1);
        let fitting = memory * 3 / 20 / (2 * longest);
        threads.min(usize::try_from(fitting).unwrap_or(usize::MAX)).max(1)
    }

    /// Of so many threads that hash before the transfer, those that fit; each has a piece in
    /// memory.
    pub(crate) fn hashers(self, threads: usize, told: Option<PieceLen>) -> usize {
        let Some(memory) = self.pool else { return threads };
        let longest = told.map_or(LONGEST_DEFAULT, |told| u64::from(told.bytes()));
        threads.min(usize::try_from(memory / longest).unwrap_or(usize::MAX)).max(1)
    }
}

/// The longest piece that the default rule makes.
const LONGEST_DEFAULT: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_those_of_the_default_and_leave_room() {
        let default = Budget::of(None);
        assert_eq!((default.window, default.pool), (40 << 20, None));
        let same = Budget::of(Some(110 << 20));
        let parts = (same.window, same.upload_window, same.kept);
        assert_eq!(parts, (40 << 20, 16 << 20, 32 << 20));
        for memory in [1, 1 << 20, 12_345_678, u64::MAX] {
            let budget = Budget::of(Some(memory));
            let parts = u128::from(budget.window) + u128::from(budget.upload_window);
            assert!(parts + u128::from(budget.kept) <= u128::from(memory) * 4 / 5);
        }
    }

    #[test]
    fn tables_take_their_room_from_the_buffers_down_to_half() {
        let default = Budget::of(None);
        assert_eq!(default.kept_beside(0), 32 << 20);
        assert!(default.kept_beside(50_000) < 22 << 20);
        assert_eq!(default.kept_beside(u32::MAX), 16 << 20);
        assert_eq!(default.windows_entry(), 640 * 56 / 88);
        let told = Budget::of(Some(110 << 20));
        assert_eq!((told.kept_beside(50_000), told.windows_entry()), (32 << 20, 0));
    }

    #[test]
    fn so_many_hash_as_fit() {
        assert_eq!(Budget::of(None).hashers(16, None), 16);
        assert_eq!(Budget::of(Some(32 << 20)).hashers(16, None), 8);
        assert_eq!(Budget::of(Some(1 << 20)).hashers(16, None), 1);
    }
}
