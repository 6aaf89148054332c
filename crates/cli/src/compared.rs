//! What a look at the destinations found (`--check`), or what a run would do (`--dry-run`), as
//! text. It compares nothing itself.

use crate::human;
use content::Span;
use std::fmt::Write;
use swarm::report::Unequal;
use swarm::{PeerRow, PeerState, Report};

/// Lists that are shown; of ranks that have others to show, only the number is told.
const LISTS_SHOWN: usize = 16;

/// Whether a row says no more than a list does.
pub fn is_listed(report: &Report, row: &PeerRow) -> bool {
    row.state == PeerState::Incomplete && !report.unequal.is_empty()
}

/// Appends the lists: whose they are, what differs, and how.
pub fn write_lists(text: &mut String, report: &Report) {
    for list in report.unequal.iter().take(LISTS_SHOWN) {
        write_list(text, list);
    }
    let more: usize = report.unequal.iter().skip(LISTS_SHOWN).map(|list| list.ranks.len()).sum();
    if more > 0 {
        let ranks = human::count(more, "rank");
        let _ = writeln!(text, "and {ranks} more with other lists");
    }
}

fn write_list(text: &mut String, list: &Unequal) {
    let ranks = Span::join(list.ranks.iter().map(|rank| rank.0));
    let ranks: Vec<String> = ranks.iter().map(span).collect();
    let (ranks, reason) = (ranks.join(","), human::safe(&list.reason));
    let _ = writeln!(text, "rank {ranks}: incomplete: {reason}");
    for (name, what) in &list.names {
        let _ = writeln!(text, "  {name}: {}", what.words());
    }
    for name in &list.extra {
        let _ = writeln!(text, "  {}: extra", human::safe(name));
    }
    if list.more > 0 {
        let _ = writeln!(text, "  and {} more", list.more);
    }
}

fn span(span: &Span) -> String {
    match span.count {
        1 => span.first.to_string(),
        _ => format!("{}-{}", span.first, span.last()),
    }
}

/// The last line: the outcome and what it came to.
pub fn summary(report: &Report) -> String {
    let of = |state| report.peers.iter().filter(|row| row.state == state).count();
    let ranks = human::count(report.peers.len(), "rank");
    let mut line = format!("{}: {ranks} compared", report.outcome.word());
    for state in [PeerState::Incomplete, PeerState::Lost] {
        if of(state) > 0 {
            let _ = write!(line, ", {} {}", of(state), state.word());
        }
    }
    if !report.missing.is_empty() {
        let names = human::count(report.missing.len(), "name");
        let _ = write!(line, ", {names} missing or different");
    }
    let equal = report.peers.iter().map(|row| row.counters.bytes_reused);
    let equal = human::bytes(equal.fold(0, u64::saturating_add));
    let _ = write!(line, ", {equal} in place; nothing was written");
    line
}

/// What each rank would get, a line a rank; nothing for ranks of which there is nothing to say.
pub fn write_forecast(text: &mut String, rows: &[PeerRow]) {
    for row in rows {
        let receives = (row.files_to_write > 0).then(|| would_receive(row));
        let removed = row.counters.entries_removed;
        let removes = (removed > 0).then(|| format!("would remove {}", entries(removed)));
        let said: Vec<String> = receives.into_iter().chain(removes).collect();
        if !said.is_empty() {
            let _ = writeln!(text, "rank {}: {}", row.rank, said.join(", "));
        }
    }
}

fn would_receive(row: &PeerRow) -> String {
    let files = human::count(row.files_to_write as usize, "file");
    let bytes = human::bytes(row.counters.bytes_delivered);
    format!("would receive up to {bytes} in {files}")
}

/// So many entries.
pub fn entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

/// The last line of a dry run.
pub fn forecast(report: &Report) -> String {
    let receiving = report.peers.iter().filter(|row| row.files_to_write > 0);
    let files: u64 = receiving.clone().map(|row| row.files_to_write).sum();
    let (ranks, files) = (receiving.count(), human::count(files as usize, "file"));
    let would = match ranks {
        0 => "no rank would receive anything".to_owned(),
        _ => {
            let (ranks, bytes) =
                (human::count(ranks, "rank"), human::bytes(report.bytes_delivered));
            format!("{ranks} would receive up to {bytes} in {files}")
        }
    };
    let reused = report.peers.iter().map(|row| row.counters.bytes_reused);
    let reused = human::bytes(reused.fold(0, u64::saturating_add));
    let removed = report.peers.iter().map(|row| row.counters.entries_removed);
    let would = match removed.fold(0, u64::saturating_add) {
        0 => would,
        removed => format!("{would}, {} would be removed", entries(removed)),
    };
    let outcome = report.outcome.word();
    format!("{outcome}: dry run: {would}, {reused} in place; nothing was written")
}
