//! The report as data: the keys and their order are a contract (`shoal --json`). It writes no file
//! and chooses no format.

use content::Name;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use swarm::{PeerRow, Reason, Report};

/// A job's report. Keys are only ever added; a change of what one means is a new version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The version of this layout.
    pub version: u32,
    /// `complete`, `refused`, `degraded` or `failed`.
    pub outcome: String,
    /// From START to the last STOP.
    pub seconds: f64,
    /// From the start of the process to START.
    pub seconds_startup: f64,
    /// Bytes wanted over all ranks: delivered, reused and still missing.
    pub bytes_wanted: u64,
    /// Bytes verified and written anew over all ranks.
    pub bytes_delivered: u64,
    /// A row a rank, in order of ranks; none for a dedicated tracker.
    pub peers: Vec<PeerDocument>,
    /// Wanted names that some live rank lacks. Bytes that are not UTF-8 are `\xNN`.
    pub missing: Vec<String>,
    /// Bytes that were read of a source that all ranks see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_bytes_read: Option<u64>,
    /// Names of what earlier jobs left unfinished, and this one had no use for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_alone: Vec<String>,
    /// The tracker.
    pub tracker: TrackerDocument,
}

/// One rank's row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerDocument {
    /// Which rank.
    pub rank: u32,
    /// The host it runs on; empty where it was lost before it could say.
    pub host: String,
    /// `complete`, `incomplete` or `lost`.
    pub state: String,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// Regular files it wanted.
    pub files_wanted: u64,
    /// Of those, how many are complete under their own name.
    pub files_complete: u64,
    /// Piece bytes that came from other ranks, wasted ones too.
    pub bytes_received: u64,
    /// Piece bytes that went to other ranks.
    pub bytes_sent: u64,
    /// Bytes found in place and verified.
    pub bytes_reused: u64,
    /// Bytes received and thrown away: corrupt, late or duplicate.
    pub bytes_wasted: u64,
    /// Pieces that did not verify.
    pub pieces_corrupt: u64,
    /// From START until it had all it wanted.
    pub seconds: f64,
}

/// The tracker's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrackerDocument {
    /// The rank that tracked at the end.
    pub rank: u32,
    /// Control messages that it received and sent.
    pub messages: u64,
}

impl Document {
    /// The version of this layout.
    pub const VERSION: u32 = 1;

    /// A report as data.
    pub fn of(report: &Report) -> Self {
        Self::worded(report, Reason::to_string)
    }

    /// The same with reasons in a program's own words, for a user of its options, say.
    pub fn worded(report: &Report, words: impl Fn(&Reason) -> String) -> Self {
        Self {
            version: Self::VERSION,
            outcome: report.outcome.word().to_owned(),
            seconds: seconds(report.elapsed),
            seconds_startup: seconds(report.startup),
            bytes_wanted: report.bytes_wanted,
            bytes_delivered: report.bytes_delivered,
            peers: report.peers.iter().map(|row| PeerDocument::of(row, &words)).collect(),
            missing: report.missing.iter().map(name).collect(),
            source_bytes_read: report.source.map(|source| source.bytes_read),
            left_alone: report.left_alone.names.iter().map(name).collect(),
            tracker: TrackerDocument { rank: report.tracker.0, messages: report.tracker_messages },
        }
    }
}

impl PeerDocument {
    fn of(row: &PeerRow, words: &impl Fn(&Reason) -> String) -> Self {
        Self {
            rank: row.rank.0,
            host: row.host.clone(),
            state: row.state.word().to_owned(),
            reason: row.reason.as_ref().map(words),
            files_wanted: row.files_wanted,
            files_complete: row.files_complete,
            bytes_received: row.counters.bytes_received,
            bytes_sent: row.counters.bytes_sent,
            bytes_reused: row.counters.bytes_reused,
            bytes_wasted: row.counters.bytes_wasted,
            pieces_corrupt: row.counters.pieces_corrupt,
            seconds: seconds(row.elapsed),
        }
    }
}

/// A name as it is; bytes that are not UTF-8 as `\xNN`, and a backslash as `\\`, so that no two
/// names look alike. Control characters are for the format to escape.
fn name(name: &Name) -> String {
    match str::from_utf8(name.as_bytes()) {
        Ok(text) => text.replace('\\', "\\\\"),
        Err(_) => name.to_string(),
    }
}

/// Seconds to the microsecond: more digits are noise.
pub(crate) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}
