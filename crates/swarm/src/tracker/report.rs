//! The truth about a job, rank by rank, from what its peers said.

use super::job::Job;
use super::member::{Member, Standing};
use crate::{Counters, Instant, Outcome, PeerRow, PeerState, Rank, Report};
use content::{Bitfield, Catalogue, EntryIndex, Kind, Name};
use std::collections::BTreeMap;
use std::time::Duration;

/// How a job ended, and why it did not end well.
pub(super) fn judge(job: &Job, members: &[Member]) -> (Outcome, Vec<String>) {
    let complete = CompleteSets::new(members);
    let lost = members.iter().any(Member::is_lost);
    let mut refused = false;
    let mut failed = false;
    for member in members.iter().filter(|member| member.is_live()) {
        if complete.lacks(member).is_empty() {
            continue;
        }
        match cannot_receive(member) {
            Some(_) => refused = true,
            None => failed = true,
        }
    }
    let everything_refused = refused && !lost && nothing_moved(members);
    match (lost, refused, failed) {
        _ if everything_refused => (Outcome::Refused, refusals(members)),
        (true, _, _) | (false, true, false) => (Outcome::Degraded, Vec::new()),
        (false, _, true) => (Outcome::Failed, vec![missing_sentence(job)]),
        (false, false, false) => (Outcome::Complete, Vec::new()),
    }
}

fn missing_sentence(_: &Job) -> String {
    "some files have pieces that no rank holds any more; what arrived is kept, and the same command resumes".into()
}

/// Whether no rank that wants something was able to receive any of it: then the job was refused
/// after all, only later than usual, after the destinations were surveyed.
fn nothing_moved(members: &[Member]) -> bool {
    let mut wanting =
        members.iter().filter(|member| member.is_live() && !member.wanted.is_empty()).peekable();
    wanting.peek().is_some()
        && wanting.all(|member| {
            let (counters, _) = last_counters(member);
            let moved = counters.bytes_delivered + counters.bytes_reused + counters.bytes_received;
            cannot_receive(member).is_some() && moved == 0 && member.complete.is_empty()
        })
}

fn refusals(members: &[Member]) -> Vec<String> {
    let each = members.iter().enumerate();
    each.filter_map(|(rank, m)| Some(format!("rank {rank} cannot receive: {}", cannot_receive(m)?)))
        .take(8)
        .collect()
}

fn cannot_receive(member: &Member) -> Option<String> {
    let at_init = member.refusal().map(str::to_owned);
    at_init.or_else(|| member.stop.as_ref().and_then(|(_, stop)| stop.cannot_receive.clone()))
}

fn last_counters(member: &Member) -> (Counters, bool) {
    match (&member.counters, &member.stop) {
        (Some(counters), _) => (*counters, true),
        (None, Some((_, stop))) => (stop.counters, false),
        (None, None) => (Counters::default(), false),
    }
}

/// What is complete in each destination, whoever wrote it.
struct CompleteSets {
    by_destination: BTreeMap<u128, Bitfield>,
}

impl CompleteSets {
    fn new(members: &[Member]) -> Self {
        let mut by_destination: BTreeMap<u128, Bitfield> = BTreeMap::new();
        for member in members {
            let Some(destination) = member.destination() else { continue };
            by_destination
                .entry(destination.id)
                .and_modify(|set| set.union_with(&member.complete))
                .or_insert_with(|| member.complete.clone());
        }
        Self { by_destination }
    }

    /// The entries that a member wants and its destination lacks.
    fn lacks(&self, member: &Member) -> Bitfield {
        let mut lacks = member.wanted.clone();
        if let Some(set) = member.destination().and_then(|at| self.by_destination.get(&at.id)) {
            lacks.subtract(set);
        }
        lacks
    }
}

/// Makes the report. The caller adds what it knows of the tracker itself.
pub(super) fn make(
    members: &[Member],
    job: Option<&Job>,
    outcome: Outcome,
    started: Option<Instant>,
    stopped: Instant,
) -> Report {
    let begun = started.unwrap_or(stopped);
    let complete = CompleteSets::new(members);
    let mut missing = job.map(|job| Bitfield::new(job.catalogue.entry_count()));
    let mut peers = Vec::with_capacity(members.len());
    for (rank, member) in members.iter().enumerate() {
        if member.standing == Standing::NoPeer {
            continue;
        }
        let lacks = complete.lacks(member);
        if let (Some(missing), true) = (&mut missing, member.is_live()) {
            missing.union_with(&lacks);
        }
        peers.push(row(Rank(rank as u32), member, job, &lacks, begun));
    }
    let missing =
        job.zip(missing).map(|(job, set)| names(&job.catalogue, &set)).unwrap_or_default();
    Report {
        outcome,
        reasons: Vec::new(),
        elapsed: stopped.since(begun),
        startup: begun.since(Instant::ZERO),
        bytes_wanted: members.iter().map(|member| member.wanted_bytes).sum(),
        bytes_delivered: peers.iter().map(|peer| peer.counters.bytes_delivered).sum(),
        peers,
        missing,
        tracker: Rank::TRACKER,
        tracker_messages: 0,
    }
}

fn row(
    rank: Rank,
    member: &Member,
    job: Option<&Job>,
    lacks: &Bitfield,
    begun: Instant,
) -> PeerRow {
    let files = |set: &Bitfield| job.map_or(0, |job| file_count(&job.catalogue, set));
    let files_wanted = files(&member.wanted);
    let (state, reason, ended) = match &member.standing {
        Standing::Lost { at, why } => (PeerState::Lost, Some(why.clone()), Some(*at)),
        _ => {
            let refused = cannot_receive(member);
            let whole = lacks.is_empty() && job.is_some();
            let state = if whole { PeerState::Complete } else { PeerState::Incomplete };
            let reason = refused.or_else(|| (!whole).then(|| why_incomplete(job, lacks)));
            (state, if whole { None } else { reason }, member.stop.as_ref().map(|(at, _)| *at))
        }
    };
    PeerRow {
        rank,
        host: member.hello.as_ref().map(|hello| hello.host.clone()).unwrap_or_default(),
        state,
        reason,
        files_wanted,
        files_complete: files_wanted - files(lacks),
        counters: last_counters(member).0,
        elapsed: ended.map_or(Duration::ZERO, |at| at.since(begun)),
    }
}

fn why_incomplete(job: Option<&Job>, lacks: &Bitfield) -> String {
    match job {
        None => "the job was refused".into(),
        Some(_) => format!(
            "{} entries could not be completed: no rank holds all of their pieces",
            lacks.count()
        ),
    }
}

fn file_count(catalogue: &Catalogue, set: &Bitfield) -> u64 {
    set.iter().filter(|&entry| catalogue.entry(EntryIndex(entry)).file().is_some()).count() as u64
}

/// The names of a set's entries but for directories.
fn names(catalogue: &Catalogue, set: &Bitfield) -> Vec<Name> {
    let entries = set.iter().map(|entry| catalogue.entry(EntryIndex(entry)));
    entries.filter(|entry| entry.kind != Kind::Directory).map(|entry| entry.name.clone()).collect()
}
