//! The report as JSON, in the contract's keys and order, and how it gets into its file whole or
//! not at all.

use anyhow::{Context, Result, bail};
use content::Name;
use serde::Serialize;
use std::borrow::Cow;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
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

/// A name as it is; one that is not UTF-8 with `\xNN`. Control characters are for JSON to escape.
fn name(name: &Name) -> Cow<'_, str> {
    match str::from_utf8(name.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(name.to_string()),
    }
}

/// Seconds to the microsecond: more digits are noise.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

/// Finds out before the job whether the report could be written.
///
/// # Errors
///
/// Names the directory that is missing, or says that the target is one.
pub fn check_target(path: &Path) -> Result<()> {
    if path.is_dir() {
        bail!("--json {}: it is a directory; name a file", path.display());
    }
    let parent = parent_of(path);
    if !parent.is_dir() {
        bail!("--json {}: there is no directory {}", path.display(), parent.display());
    }
    Ok(())
}

/// Writes the report's text. A regular file is replaced as a whole; anything else (a pipe,
/// `/dev/stdout`) is written to as it is.
///
/// # Errors
///
/// Names the path, and the directory where that is missing.
pub fn write(path: &Path, text: &str, stdout: &mut dyn Write) -> Result<()> {
    let written = if path == Path::new("/dev/stdout") {
        // Opened anew, a redirected standard output would be overwritten from its beginning.
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
    } else if path.starts_with("/dev") || path.starts_with("/proc") {
        OpenOptions::new().append(true).open(path).and_then(|mut file| fill(&mut file, text))
    } else {
        match fs::metadata(path) {
            // Through links: the file is replaced, not the link to it.
            Ok(metadata) if metadata.is_file() => {
                fs::canonicalize(path).and_then(|path| replace(&path, text))
            }
            Ok(_) => OpenOptions::new().write(true).open(path).and_then(|mut f| fill(&mut f, text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_target(path)?;
                replace(path, text)
            }
            Err(error) => Err(error),
        }
    };
    written.with_context(|| format!("cannot write the report to {}", path.display()))
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Like any new file, for whomever the umask lets read it; tempfile's own choice is the owner
    // alone.
    let mut file = tempfile::Builder::new()
        .prefix(".shoal-report-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent_of(path))?;
    fill(file.as_file_mut(), text)?;
    file.persist(path)?;
    Ok(())
}

fn fill(file: &mut File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
