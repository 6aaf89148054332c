//! How far a running job is, as data. It asks nobody.

use crate::document::seconds;
use node::{Phase, Progress};
use serde::{Deserialize, Serialize};

/// A running job at one moment, over all ranks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `preparing`, `transferring` or `finishing`.
    pub phase: String,
    /// Since the process began.
    pub seconds: f64,
    /// Bytes wanted by all ranks together; 0 before START.
    pub bytes_wanted: u64,
    /// Of those, bytes that are there and verified.
    pub bytes_have: u64,
    /// Peers that have not been lost.
    pub peers: u32,
    /// Peers that have all they want.
    pub peers_done: u32,
}

impl Snapshot {
    /// Progress as data.
    pub fn of(progress: &Progress) -> Self {
        let phase = match progress.phase {
            Phase::Preparing => "preparing",
            Phase::Transferring => "transferring",
            Phase::Finishing => "finishing",
        };
        Self {
            phase: phase.to_owned(),
            seconds: seconds(progress.elapsed),
            bytes_wanted: progress.bytes_wanted,
            bytes_have: progress.bytes_have,
            peers: progress.peers,
            peers_done: progress.peers_done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_snapshot_is_written_and_read_again() {
        let progress = Progress {
            phase: Phase::Transferring,
            bytes_wanted: 300,
            bytes_have: 100,
            peers: 3,
            peers_done: 1,
            elapsed: Duration::from_nanos(1_500_000_400),
        };
        let text = serde_json::to_string(&Snapshot::of(&progress)).unwrap();
        assert_eq!(
            text,
            r#"{"phase":"transferring","seconds":1.5,"bytes_wanted":300,"bytes_have":100,"peers":3,"peers_done":1}"#
        );
        assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), Snapshot::of(&progress));
    }
}
