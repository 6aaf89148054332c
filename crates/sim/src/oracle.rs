//! What must hold whatever goes wrong. A broken promise becomes a [`Finding`], the first of which
//! ends the run.
//!
//! The promises: a machine's invariants hold after every event (its own assertions; they panic). A
//! peer serves, and gives a name to, nothing that it has not got. No piece is written twice. Queues
//! and buffers stay within their bounds (`limits`). A job that has not ended moves on, sooner than
//! its faults excuse. At the end every live rank that can receive has every piece that any live
//! rank holds, no rank is called complete that is not, or lost that nothing ailed, one rank
//! reports, the outcome is what became of the ranks, and no more pieces came twice than the faults
//! excuse: without any, one in ten thousand.
//!
//! In a big run a look at all invariants of a machine costs more than its event. There they are
//! looked at after every ten-thousandth event, and those of all machines when all have stopped; all
//! else is looked at after every event in every run.

use crate::network::Micros;
use crate::node::{Life, Node};
use crate::scenario::Scenario;
use content::Bitfield;
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
            let (held, posted) = (node.desk.disk.held(), node.desk.receiving);
            format!("rank {rank} has {} of {} pieces, awaits {posted}", held.count(), held.len())
        })
        .collect();
    let report = if reported { "the report is out" } else { "there is no report" };
    format!("{report}; {}", told.join("; "))
}

/// What is known when the job is over.
pub(crate) struct Ended<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) nodes: &'a [Node],
    pub(crate) report: Option<&'a Report>,
    /// The ranks that made one.
    pub(crate) reports: &'a [u32],
    /// When FINISH was said.
    pub(crate) stopped: Option<Micros>,
    pub(crate) duplicates: u64,
    pub(crate) duplicates_max: u64,
}

/// A rank at the end.
struct Rank<'a> {
    number: usize,
    node: &'a Node,
    /// What the report says of it.
    state: PeerState,
}

impl Rank<'_> {
    /// Whether it lived to the end, by all accounts.
    fn is_live(&self) -> bool {
        self.node.life == Life::Exited && self.state != PeerState::Lost
    }
}

/// Looks at everything when the job is over.
pub(crate) fn at_the_end(ended: &Ended<'_>) -> Option<String> {
    let Some(report) = ended.report else {
        let dead = ended.nodes.iter().all(|node| node.life == Life::Dead);
        return (!dead).then(|| "the job ended without a report".into());
    };
    if let Some(what) = reporters(ended, report) {
        return Some(what);
    }
    let (duplicates, most) = (ended.duplicates, ended.duplicates_max);
    if duplicates > most {
        return Some(format!("{duplicates} pieces came twice, and the faults excuse {most}"));
    }
    let mut states = vec![None; ended.nodes.len()];
    report.peers.iter().for_each(|row| states[row.rank.index()] = Some(row.state));
    let mut ranks = Vec::new();
    for (number, node) in ended.nodes.iter().enumerate().skip(1) {
        let Some(state) = states[number] else {
            return Some(format!("the report has no row for rank {number}"));
        };
        ranks.push(Rank { number, node, state });
    }
    missing(&ranks)
        .or_else(|| ranks.iter().find_map(lies))
        .or_else(|| ranks.iter().find_map(|rank| lost(ended, rank)))
        .or_else(|| wrong_outcome(ended, &ranks, report))
}

/// Another report than one, by a rank that is not lost. A rank that died may have made one before.
fn reporters(ended: &Ended<'_>, report: &Report) -> Option<String> {
    let (&last, earlier) = ended.reports.split_last()?;
    let lost = report.peers.iter().any(|row| row.rank.0 == last && row.state == PeerState::Lost);
    let lives = |&&rank: &&u32| ended.nodes[rank as usize].life != Life::Dead;
    match earlier.iter().find(lives) {
        Some(other) => Some(format!("ranks {other} and {last} both report")),
        None if lost => Some(format!("rank {last} reports, and calls itself lost")),
        None => None,
    }
}

/// A live rank that lacks what another has. Who sends corrupt pieces is soon asked for none.
fn missing(ranks: &[Rank<'_>]) -> Option<String> {
    let live = || ranks.iter().filter(|rank| rank.is_live() && rank.node.desk.disk.has_begun());
    let mut there = Bitfield::new(live().next()?.node.desk.disk.held().len());
    for rank in live().filter(|rank| rank.node.desk.corrupt_percent == 0) {
        there.union_with(&rank.node.desk.disk.readable());
    }
    for rank in live().filter(|rank| !rank.node.desk.full) {
        let mut lacks = there.clone();
        lacks.subtract(rank.node.desk.disk.held());
        if !lacks.is_empty() {
            return Some(format!("rank {} lacks {lacks:?}, which others hold", rank.number));
        }
    }
    None
}

/// A rank that is called complete and is not, or the other way round.
fn lies(rank: &Rank<'_>) -> Option<String> {
    let whole = rank.node.desk.disk.is_complete();
    let number = rank.number;
    match rank.state {
        PeerState::Complete if !whole => {
            Some(format!("rank {number} is called complete, and is not"))
        }
        PeerState::Incomplete if whole && rank.node.life == Life::Exited => {
            Some(format!("rank {number} is complete, and is not called so"))
        }
        _ => None,
    }
}

/// A rank that is called lost without a reason, or is not called so and died before the others had
/// stopped.
fn lost(ended: &Ended<'_>, rank: &Rank<'_>) -> Option<String> {
    let number = rank.number;
    let mut faults = ended.scenario.all_faults().into_iter();
    let mut excused = || faults.any(|fault| fault.rank as usize == number && fault.kind.silences());
    if rank.state == PeerState::Lost {
        return (!excused()).then(|| format!("rank {number} is called lost, and nothing ailed it"));
    }
    let died = rank.node.desk.died.zip(ended.stopped).is_some_and(|(died, stopped)| died < stopped);
    died.then(|| format!("rank {number} died, and is not called lost"))
}

/// An outcome that is not what became of the ranks.
fn wrong_outcome(ended: &Ended<'_>, ranks: &[Rank<'_>], report: &Report) -> Option<String> {
    let all = ranks.iter().all(|rank| rank.node.desk.disk.is_complete());
    // The tracker's row, too, where it was lost.
    let lost = report.peers.iter().any(|row| row.state == PeerState::Lost);
    let word = report.outcome.word();
    match report.outcome {
        Outcome::Complete if !all => Some(format!("the outcome is {word}, and files are missing")),
        Outcome::Complete if lost => Some(format!("the outcome is {word}, and a rank was lost")),
        Outcome::Failed | Outcome::Degraded if all && !lost => {
            Some(format!("the outcome is {word}, and nothing is missing"))
        }
        // Who alone had START may be lost with the tracker: then the job begins anew.
        Outcome::Refused
            if ranks.iter().any(|rank| {
                rank.state != PeerState::Lost && rank.number <= ended.scenario.seeders as usize
            }) =>
        {
            Some(format!("a job that should run was refused: {:?}", report.reasons))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
