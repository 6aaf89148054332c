//! The JSON report, as the contract describes it (design: "the command line"). A field that is
//! missing fails.

use serde::Deserialize;

/// The whole report.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Report {
    pub version: u32,
    pub outcome: String,
    pub seconds: f64,
    pub seconds_startup: f64,
    pub bytes_wanted: u64,
    pub bytes_delivered: u64,
    pub peers: Vec<PeerRow>,
    pub missing: Vec<String>,
    /// Only of a job whose source all ranks see.
    #[serde(default)]
    pub source_bytes_read: Option<u64>,
    /// Only where earlier jobs left something that this one has no use for.
    #[serde(default)]
    pub left_alone: Vec<String>,
    pub tracker: Tracker,
}

/// A rank's row.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct PeerRow {
    pub rank: u32,
    pub host: String,
    pub state: String,
    pub reason: Option<String>,
    pub files_wanted: u64,
    pub files_complete: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub bytes_reused: u64,
    pub bytes_wasted: u64,
    pub pieces_corrupt: u64,
    pub seconds: f64,
}

/// What the tracker says of itself.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Tracker {
    pub rank: u32,
    pub messages: u64,
}

impl Report {
    /// The row of a rank.
    ///
    /// # Panics
    ///
    /// Panics where it has none.
    pub fn peer(&self, rank: u32) -> &PeerRow {
        let row = self.peers.iter().find(|row| row.rank == rank);
        row.unwrap_or_else(|| panic!("no row of rank {rank} in {self:#?}"))
    }

    /// Bytes found in place, over all ranks.
    pub fn bytes_reused(&self) -> u64 {
        self.peers.iter().map(|row| row.bytes_reused).sum()
    }

    /// Bytes that came from other ranks, over all ranks.
    pub fn bytes_received(&self) -> u64 {
        self.peers.iter().map(|row| row.bytes_received).sum()
    }

    /// Checks what must hold in every report, whatever happened.
    pub(crate) fn check(&self, status: i32) {
        assert_eq!(self.version, 1, "{self:#?}");
        let expected = match self.outcome.as_str() {
            "complete" => 0,
            "refused" => 2,
            "degraded" | "failed" => 3,
            other => panic!("outcome '{other}'"),
        };
        assert_eq!(status, expected, "the status of '{}'", self.outcome);
        assert!(self.peers.is_sorted_by_key(|row| row.rank), "rows in order of ranks");
        for row in &self.peers {
            assert!(["complete", "incomplete", "lost"].contains(&row.state.as_str()), "{row:?}");
            assert!(row.files_complete <= row.files_wanted, "{row:?}");
            if row.state == "complete" {
                assert_eq!(row.files_complete, row.files_wanted, "{row:?}");
            }
        }
        if self.outcome == "complete" {
            let rows_complete = self.peers.iter().all(|row| row.state == "complete");
            assert!(rows_complete && self.missing.is_empty(), "{self:#?}");
            let there = self.bytes_delivered + self.bytes_reused();
            assert_eq!(self.bytes_wanted, there, "wanted = delivered + reused\n{self:#?}");
            let sent: u64 = self.peers.iter().map(|row| row.bytes_sent).sum();
            assert!(sent >= self.bytes_received(), "received more than was sent\n{self:#?}");
            let wasted: u64 = self.peers.iter().map(|row| row.bytes_wasted).sum();
            let corrupt: u64 = self.peers.iter().map(|row| row.pieces_corrupt).sum();
            assert!(corrupt == 0 || wasted > 0, "corrupt pieces are thrown away\n{self:#?}");
        }
    }
}
