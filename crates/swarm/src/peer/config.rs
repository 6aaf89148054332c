//! What a peer is told when it begins. What bounds its memory is brought down to what a catalogue
//! leaves of it.

use super::Limits;
use crate::{Purpose, Rank};
use std::time::Duration;

/// What a peer is told when it begins.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Its rank.
    pub rank: Rank,
    /// How many ranks the job has.
    pub ranks: u32,
    /// The rank that tracks at first.
    pub tracker: Rank,
    /// The most pieces asked from one holder at once, and before the tracker is updated.
    pub batch: u32,
    /// The most bytes that are asked for, on their way or not yet written.
    pub window_bytes: u64,
    /// The most bytes that are read ahead or on their way to others.
    pub upload_window_bytes: u64,
    /// What an entry of the catalogue takes of the memory that both windows would have, in bytes:
    /// of many small files, tables are what fills it. Half of a window stays in any case.
    pub entry_bytes: u64,
    /// Its caps.
    pub limits: Limits,
    /// Whether what the catalogue lacks is looked for, where the job is a look. So it is only where
    /// this rank wants something.
    pub delete: bool,
    /// What the job is for.
    pub purpose: Purpose,
    /// A tracker silent for so long is lost.
    pub patience: Duration,
}

impl PeerConfig {
    /// Takes what so many entries need of memory out of both windows, of each its part, and half of
    /// it at most.
    pub(super) fn leave_room(&mut self, entries: u32) {
        let both = self.window_bytes.saturating_add(self.upload_window_bytes).max(1);
        let taken = self.entry_bytes.saturating_mul(u64::from(entries)).min(both / 2);
        let left = |window: u64| {
            let left = u128::from(window) * u128::from(both - taken) / u128::from(both);
            u64::try_from(left).expect("a part of it is less")
        };
        self.window_bytes = left(self.window_bytes);
        self.upload_window_bytes = left(self.upload_window_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_take_their_room_from_both_windows_down_to_half() {
        let left = |entries, entry_bytes| {
            let mut config = PeerConfig {
                window_bytes: 4_000,
                upload_window_bytes: 2_000,
                entry_bytes,
                rank: Rank(1),
                ranks: 2,
                tracker: Rank(0),
                batch: 10,
                limits: Limits::default(),
                delete: false,
                purpose: Purpose::Transfer,
                patience: Duration::from_secs(1),
            };
            config.leave_room(entries);
            (config.window_bytes, config.upload_window_bytes)
        };
        assert_eq!(left(50, 0), (4_000, 2_000));
        assert_eq!(left(50, 30), (3_000, 1_500));
        assert_eq!(left(u32::MAX, u64::MAX), (2_000, 1_000));
    }
}
