//! The table that the tracker prints at the end.

use crate::{compared, human, words};
use std::fmt::Write;
use std::time::Duration;
use swarm::{Counters, Outcome, PeerRow, PeerState, Purpose, Report};

/// With more ranks than this only totals, what is lost or incomplete, and the slowest are shown.
const ROWS_MAX: usize = 64;
/// How many of the slowest.
const SLOWEST: usize = 5;
/// How many missing files are named; all are in the JSON.
const MISSING_SHOWN: usize = 10;
/// How many of the report's reasons are printed.
const REASONS_SHOWN: usize = 20;

/// The columns; what is true is set to the left.
const COLUMNS: [(&str, bool); 9] = [
    ("rank", false),
    ("host", true),
    ("state", true),
    ("files", false),
    ("received", false),
    ("sent", false),
    ("reused", false),
    ("time", false),
    ("rate", false),
];

type Cells = [String; COLUMNS.len()];

/// What goes to standard output: nothing where the job was refused, for a table of zeros would say
/// nothing.
pub fn table(report: &Report) -> String {
    if report.outcome == Outcome::Refused {
        return String::new();
    }
    let mut text = String::new();
    if report.peers.len() > ROWS_MAX {
        long_job(&mut text, report);
    } else {
        let rows: Vec<Cells> = report.peers.iter().map(|row| cells(row, report.purpose)).collect();
        write_table(&mut text, &rows);
    }
    for row in report.peers.iter().filter(|row| !compared::is_listed(report, row)) {
        if let Some(reason) = &row.reason {
            let (state, reason) = (row.state.word(), human::safe(&words::reason(reason)));
            let _ = writeln!(text, "{}: {state}: {reason}", place(row));
        }
    }
    if report.purpose == Purpose::Check {
        compared::write_lists(&mut text, report);
        let _ = writeln!(text, "{}", compared::summary(report));
        return text;
    }
    source(&mut text, report);
    missing(&mut text, report);
    left_alone(&mut text, report);
    if report.purpose == Purpose::DryRun {
        if report.peers.len() <= ROWS_MAX {
            compared::write_forecast(&mut text, &report.peers);
        }
        let _ = writeln!(text, "{}", compared::forecast(report));
        return text;
    }
    let _ = writeln!(text, "{}", summary(report));
    text
}

/// What goes to standard error, a line each: why it was refused, or what is missing.
pub fn reasons(report: &Report) -> Vec<String> {
    let shown = report.reasons.iter().take(REASONS_SHOWN);
    let mut lines: Vec<String> = shown.map(|reason| human::safe(&words::reason(reason))).collect();
    let more = report.reasons.len().saturating_sub(REASONS_SHOWN);
    if more > 0 {
        lines.push(format!("and {more} more reasons"));
    }
    if lines.is_empty() && report.outcome == Outcome::Refused {
        lines.push("the job was refused".to_owned());
    }
    lines
}

fn long_job(text: &mut String, report: &Report) {
    let (fine, unfinished): (Vec<&PeerRow>, Vec<&PeerRow>) =
        report.peers.iter().partition(|row| row.state == PeerState::Complete);
    let mut unfinished = unfinished;
    unfinished.retain(|row| !compared::is_listed(report, row));
    if !unfinished.is_empty() {
        let _ = writeln!(text, "lost or incomplete:");
        let rows: Vec<Cells> =
            unfinished.into_iter().map(|row| cells(row, report.purpose)).collect();
        write_table(text, &rows);
    }
    let mut slowest = fine;
    slowest.sort_by_key(|row| (std::cmp::Reverse(row.elapsed), row.rank));
    slowest.truncate(SLOWEST);
    if !slowest.is_empty() {
        let _ = writeln!(text, "the {} slowest:", slowest.len());
        let rows: Vec<Cells> = slowest.into_iter().map(|row| cells(row, report.purpose)).collect();
        write_table(text, &rows);
    }
    let _ = writeln!(text, "total:");
    write_table(text, &[totals(report)]);
}

fn cells(row: &PeerRow, purpose: Purpose) -> Cells {
    let counters = &row.counters;
    // Whoever was lost before it could tell what it had moved: 0 would be a lie.
    let never_told = row.state == PeerState::Lost && *counters == Counters::default();
    let bytes = |count| if never_told { "?".to_owned() } else { human::bytes(count) };
    [
        row.rank.to_string(),
        if row.host.is_empty() { "?".to_owned() } else { human::safe(&row.host) },
        row.state.word().to_owned(),
        format!("{}/{}", row.files_complete, row.files_wanted),
        bytes(counters.bytes_received),
        bytes(counters.bytes_sent),
        bytes(counters.bytes_reused),
        human::time(row.elapsed),
        rate(counters.bytes_delivered, row.elapsed, purpose),
    ]
}

/// Of what did not happen there is no rate.
fn rate(bytes: u64, elapsed: Duration, purpose: Purpose) -> String {
    human::rate(if purpose == Purpose::Transfer { bytes } else { 0 }, elapsed)
}

/// Over all ranks; each may have said any number.
fn total(report: &Report, value: fn(&PeerRow) -> u64) -> u64 {
    report.peers.iter().map(value).fold(0, u64::saturating_add)
}

fn totals(report: &Report) -> Cells {
    let sum = |value: fn(&PeerRow) -> u64| total(report, value);
    let hosts: std::collections::BTreeSet<&str> =
        report.peers.iter().map(|row| row.host.as_str()).filter(|host| !host.is_empty()).collect();
    [
        human::count(report.peers.len(), "rank"),
        human::count(hosts.len(), "host"),
        report.outcome.word().to_owned(),
        format!("{}/{}", sum(|row| row.files_complete), sum(|row| row.files_wanted)),
        human::bytes(sum(|row| row.counters.bytes_received)),
        human::bytes(sum(|row| row.counters.bytes_sent)),
        human::bytes(sum(|row| row.counters.bytes_reused)),
        human::time(report.elapsed),
        rate(report.bytes_delivered, report.elapsed, report.purpose),
    ]
}

fn write_table(text: &mut String, rows: &[Cells]) {
    if rows.is_empty() {
        return;
    }
    let heads: Cells = COLUMNS.map(|(head, _)| head.to_owned());
    let lines: Vec<&Cells> = std::iter::once(&heads).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for line in lines {
        let mut shown = String::new();
        for (column, cell) in line.iter().enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let width = widths[column];
            let _ = match COLUMNS[column].1 {
                true => write!(shown, "{gap}{cell:<width$}"),
                false => write!(shown, "{gap}{cell:>width$}"),
            };
        }
        let _ = writeln!(text, "{}", shown.trim_end());
    }
}

/// How much of a source that all ranks see was read, beside its size.
fn source(text: &mut String, report: &Report) {
    let Some(source) = report.source.filter(|source| source.bytes > 0) else { return };
    let share = source.bytes_read as f64 / source.bytes as f64;
    let _ = writeln!(text, "read from SRC: {share:.2} of its size");
}

fn missing(text: &mut String, report: &Report) {
    if report.missing.is_empty() {
        return;
    }
    let _ = writeln!(text, "missing:");
    for name in report.missing.iter().take(MISSING_SHOWN) {
        let _ = writeln!(text, "  {name}");
    }
    let more = report.missing.len().saturating_sub(MISSING_SHOWN);
    if more > 0 {
        let _ = writeln!(text, "  and {more} more");
    }
}

/// What earlier jobs left, which is no part of this one.
fn left_alone(text: &mut String, report: &Report) {
    let left = &report.left_alone;
    let Some(first) = left.names.first() else { return };
    let others = match left.count {
        1 => String::new(),
        count => format!(" and {}", human::count(count as usize - 1, "more file")),
    };
    let ranks = human::count(left.ranks as usize, "rank");
    let days = swarm::STALE_AFTER.as_secs() / (24 * 60 * 60);
    let _ = writeln!(
        text,
        "left alone: {first}{others}, unfinished on {ranks}, of earlier jobs; cleared by --delete, \
         else {days} days after it was last written"
    );
}

/// The last line: the outcome and what it came to.
fn summary(report: &Report) -> String {
    let of = |state| report.peers.iter().filter(|row| row.state == state).count();
    let reused = total(report, |row| row.counters.bytes_reused);
    let mut line =
        format!("{}: {}", report.outcome.word(), human::count(report.peers.len(), "rank"));
    for (state, number) in
        [(PeerState::Incomplete, of(PeerState::Incomplete)), (PeerState::Lost, of(PeerState::Lost))]
    {
        if number > 0 {
            let _ = write!(line, ", {number} {}", state.word());
        }
    }
    if !report.missing.is_empty() {
        let _ = write!(line, ", {} missing", human::count(report.missing.len(), "file"));
    }
    let delivered = report.bytes_delivered;
    let _ = write!(line, ", {} delivered", human::bytes(delivered));
    if reused > 0 {
        let _ = write!(line, ", {} reused", human::bytes(reused));
    }
    let removed = total(report, |row| row.counters.entries_removed);
    if removed > 0 {
        let _ = write!(line, ", {} removed", compared::entries(removed));
    }
    let _ = write!(line, " in {}", human::time(report.elapsed));
    if delivered > 0 && report.elapsed > Duration::ZERO {
        let _ = write!(line, " ({})", human::rate(delivered, report.elapsed));
    }
    line
}

fn place(row: &PeerRow) -> String {
    match row.host.as_str() {
        "" => format!("rank {}", row.rank),
        host => format!("rank {} on {}", row.rank, human::safe(host)),
    }
}
