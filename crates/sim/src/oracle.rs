//! What must hold whatever goes wrong. A broken promise becomes a [`Finding`], the first of which
//! ends the run.
//!
//! The promises: a machine's invariants hold after every event (its own assertions; they panic). A
//! peer serves, and gives a name to, nothing that it has not got. No piece is written twice. Queues
//! and buffers stay within their bounds (`limits`). A job that has not ended moves on, sooner than
//! its faults excuse. At the end every live rank that can receive has every piece that any live rank
//! holds, no rank is called complete that is not, the outcome is what became of the ranks, and no
//! more pieces came twice than the faults excuse: none without faults.
//!
//! In a big run a look at all invariants of a machine costs more than its event. There they are
//! looked at after every ten-thousandth event, and those of all machines when all have stopped; all
//! else is looked at after every event in every run.

use crate::limits::Limits;
use crate::node::{Life, Node};
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

/// Who has not come to an end, for people.
pub(crate) fn stuck(nodes: &[Node], reported: bool) -> String {
    let open = nodes.iter().enumerate().skip(1).filter(|(_, node)| node.life == Life::Live);
    let told: Vec<String> = open
        .take(8)
        .map(|(rank, node)| {
            let (held, posted) = (node.disk.held(), node.receiving);
            format!("rank {rank} has {} of {} pieces, awaits {posted}", held.count(), held.len())
        })
        .collect();
    let report = if reported { "the report is out" } else { "there is no report" };
    format!("{report}; {}", told.join("; "))
}

/// Looks at everything when the job is over.
pub(crate) fn at_the_end(
    limits: &Limits,
    nodes: &[Node],
    report: Option<&Report>,
    duplicates: u64,
) -> Option<String> {
    let Some(report) = report else { return Some("the job ended without a report".into()) };
    let most = limits.duplicates;
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
