//! What must hold whatever goes wrong. A broken promise becomes a [`Finding`], the first of which
//! ends the run.
//!
//! The promises: a machine's invariants hold after every event (its own assertions; they panic). A
//! peer serves, and gives a name to, nothing that it has not got. No piece is written twice. Queues
//! stay within their bounds. A job that has not ended moves on, sooner than its faults excuse. At
//! the end every live rank that can receive has every piece that any live rank holds, no rank is
//! called complete that is not, the outcome is what became of the ranks, and no more pieces came
//! twice than the faults excuse: none without faults.

use crate::fault::FaultKind;
use crate::network::Micros;
use crate::node::{Life, Node};
use crate::scenario::Scenario;
use std::fmt;
use swarm::{Outcome, PeerState, Report};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// When, in rounds after START.
    pub round: u64,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}: {}", self.round, self.what)
    }
}

/// Control messages to one rank that may be on their way at once, besides one from each rank:
/// START, answers, a few requests of each of the peers that know it.
const LETTERS_PER_RANK: u64 = 64;

/// The longest nothing may happen that brings a job nearer to its end, as a multiple of the
/// patience: a silence is noticed, what was asked is asked elsewhere, and what is gone is found
/// out, each within less than one.
const SILENCES: u64 = 4;

/// The time within which something must be written, given a name, lost, or ended.
pub(crate) fn longest_quiet(scenario: &Scenario) -> Micros {
    let faults = scenario.all_faults();
    let slowness = faults.iter().filter_map(|fault| match fault.kind {
        FaultKind::Slow(factor) => Some(factor),
        _ => None,
    });
    let hangs = faults.iter().filter_map(|fault| match fault.kind {
        FaultKind::Hang(rounds) => Some(rounds),
        _ => None,
    });
    // Everybody waits for all that one slow rank sends to each of the others at once.
    let queue = u64::from(scenario.peers) * u64::from(scenario.window.max(2 * scenario.batch));
    let piece = scenario.round_us * slowness.max().unwrap_or(1);
    let messages = 16 * scenario.latency_us + scenario.disk_us;
    queue.min(u64::from(scenario.pieces) * 2) * piece
        + messages
        + hangs.max().unwrap_or(0) * scenario.round_us
        + SILENCES * scenario.patience_s * 1_000_000
}

/// Who has not come to an end, for people.
pub(crate) fn stuck(nodes: &[Node], reported: bool) -> String {
    let open = nodes.iter().enumerate().skip(1).filter(|(_, node)| node.life == Life::Live);
    let told: Vec<String> = open
        .take(8)
        .map(|(rank, node)| {
            let (held, posted) = (node.disk.held(), node.posted());
            format!("rank {rank} has {} of {} pieces, awaits {posted}", held.count(), held.len())
        })
        .collect();
    let report = if reported { "the report is out" } else { "there is no report" };
    format!("{report}; {}", told.join("; "))
}

/// Control messages that may be on their way at once.
pub(crate) fn letters_max(scenario: &Scenario) -> u64 {
    let faults = scenario.all_faults().len() as u64;
    (u64::from(scenario.peers) + 1) * (LETTERS_PER_RANK + faults)
}

/// Pieces that may come twice. A rank that hangs, is slow or late, or whose last pieces arrive
/// after the news of its death, may have been asked for two batches by each of the peers that it
/// serves at once, and has a window of its own; what is asked elsewhere meanwhile comes twice.
pub(crate) fn duplicates_max(scenario: &Scenario) -> u64 {
    let excuse = |kind| !{
        matches!(
            kind,
            FaultKind::Corrupt(_) | FaultKind::Full | FaultKind::Lose | FaultKind::LoseFile(_)
        )
    };
    let excused = scenario.all_faults().into_iter().filter(|fault| excuse(fault.kind)).count();
    let served = u64::from(scenario.peers.min(SERVED_AT_ONCE));
    let each = 2 * served * u64::from(scenario.batch) + u64::from(scenario.window);
    excused as u64 * each
}

/// Askers that an upload role serves at once, and some that it acknowledged before.
const SERVED_AT_ONCE: u32 = 16;

/// Looks at everything when the job is over.
pub(crate) fn at_the_end(
    scenario: &Scenario,
    nodes: &[Node],
    report: Option<&Report>,
    duplicates: u64,
) -> Option<String> {
    let Some(report) = report else { return Some("the job ended without a report".into()) };
    let most = duplicates_max(scenario);
    if duplicates > most {
        return Some(format!("{duplicates} pieces came twice, and the faults excuse {most}"));
    }
    missing(nodes, report).or_else(|| lies(nodes, report)).or_else(|| wrong_outcome(nodes, report))
}

fn state(report: &Report, rank: usize) -> Option<PeerState> {
    report.peers.iter().find(|row| row.rank.index() == rank).map(|row| row.state)
}

/// Peers that lived to the end, by all accounts.
fn live<'a>(nodes: &'a [Node], report: &'a Report) -> impl Iterator<Item = (usize, &'a Node)> + 'a {
    let live = move |(rank, node): &(usize, &Node)| {
        node.life == Life::Live && state(report, *rank) != Some(PeerState::Lost)
    };
    nodes.iter().enumerate().skip(1).filter(live)
}

/// A live rank that lacks what another has.
fn missing(nodes: &[Node], report: &Report) -> Option<String> {
    let begun = || live(nodes, report).filter(|(_, node)| node.disk.has_begun());
    let mut there = begun().next()?.1.disk.readable();
    begun().for_each(|(_, node)| there.union_with(&node.disk.readable()));
    for (rank, node) in begun().filter(|(_, node)| !node.full) {
        let mut lacks = there.clone();
        lacks.subtract(node.disk.held());
        if !lacks.is_empty() {
            return Some(format!("rank {rank} lacks {lacks:?}, which others hold"));
        }
    }
    None
}

/// A rank that is called complete and is not, or the other way round.
fn lies(nodes: &[Node], report: &Report) -> Option<String> {
    for (rank, node) in nodes.iter().enumerate().skip(1) {
        let Some(row) = report.peers.iter().find(|row| row.rank.index() == rank) else {
            return Some(format!("the report has no row for rank {rank}"));
        };
        let whole = node.disk.is_complete();
        match row.state {
            PeerState::Complete if !whole => {
                return Some(format!("rank {rank} is called complete, and is not"));
            }
            PeerState::Incomplete if whole && node.life == Life::Live => {
                return Some(format!("rank {rank} is complete, and is not called so"));
            }
            _ => {}
        }
    }
    None
}

/// An outcome that is not what became of the ranks.
fn wrong_outcome(nodes: &[Node], report: &Report) -> Option<String> {
    let all = nodes.iter().skip(1).all(|node| node.disk.is_complete());
    let lost = report.peers.iter().any(|row| row.state == PeerState::Lost);
    let word = report.outcome.word();
    match report.outcome {
        Outcome::Complete if !all => Some(format!("the outcome is {word}, and files are missing")),
        Outcome::Complete if lost => Some(format!("the outcome is {word}, and a rank was lost")),
        Outcome::Failed | Outcome::Degraded if all && !lost => {
            Some(format!("the outcome is {word}, and nothing is missing"))
        }
        Outcome::Refused => {
            Some(format!("a job that should run was refused: {:?}", report.reasons))
        }
        _ => None,
    }
}
