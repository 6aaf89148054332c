//! The report as JSON, in the contract's keys and order. It writes no file.

use content::Name;
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;
use swarm::{PeerRow, Report};

/// The version of this layout.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    outcome: &'static str,
    seconds: f64,
    seconds_startup: f64,
    bytes_wanted: u64,
    bytes_delivered: u64,
    peers: Vec<Peer<'a>>,
    missing: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_bytes_read: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_alone: Vec<Cow<'a, str>>,
    tracker: Tracker,
}

#[derive(Serialize)]
struct Peer<'a> {
    rank: u32,
    host: &'a str,
    state: &'static str,
    reason: Option<&'a str>,
    files_wanted: u64,
    files_complete: u64,
    bytes_received: u64,
    bytes_sent: u64,
    bytes_reused: u64,
    bytes_wasted: u64,
    pieces_corrupt: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct Tracker {
    rank: u32,
    messages: u64,
}

/// The report as one line of JSON.
pub fn text(report: &Report) -> String {
    let document = Document {
        version: VERSION,
        outcome: report.outcome.word(),
        seconds: seconds(report.elapsed),
        seconds_startup: seconds(report.startup),
        bytes_wanted: report.bytes_wanted,
        bytes_delivered: report.bytes_delivered,
        peers: report.peers.iter().map(peer).collect(),
        missing: report.missing.iter().map(name).collect(),
        source_bytes_read: report.source.map(|source| source.bytes_read),
        left_alone: report.left_alone.names.iter().map(name).collect(),
        tracker: Tracker { rank: report.tracker.0, messages: report.tracker_messages },
    };
    let mut text = serde_json::to_string(&document).expect("a tree of numbers and strings");
    text.push('\n');
    text
}

fn peer(row: &PeerRow) -> Peer<'_> {
    Peer {
        rank: row.rank.0,
        host: &row.host,
        state: row.state.word(),
        reason: row.reason.as_deref(),
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

/// A name as it is; bytes that are not UTF-8 as `\xNN`, and a backslash as `\\`, so that no two
/// names look alike. Control characters are for JSON to escape.
fn name(name: &Name) -> Cow<'_, str> {
    match str::from_utf8(name.as_bytes()) {
        Ok(text) if text.contains('\\') => Cow::Owned(text.replace('\\', "\\\\")),
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(name.to_string()),
    }
}

/// Seconds to the microsecond: more digits are noise.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}
