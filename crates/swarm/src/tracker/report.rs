//! The truth about a job, rank by rank, from what its peers said.

use super::job::Job;
use super::member::{Member, Serving, Standing};
use super::unequal::{self, DifferingSets};
use crate::{Counters, Instant, LeftAlone, Outcome, PeerRow, PeerState};
use crate::{Purpose, Rank, Reason, Report};
use content::{Bitfield, Catalogue, EntryIndex, Kind, Name};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// Of how many ranks at most is said, outside the table, why they cannot receive.
pub(super) const REFUSALS_TOLD: usize = 8;

/// How a job ended, and why it did not end well.
pub(super) fn judge(purpose: Purpose, job: &Job, members: &[Member]) -> (Outcome, Vec<Reason>) {
    let complete = CompleteSets::new(members);
    if purpose == Purpose::Check {
        return unequal::judge(members, &complete);
    }
    let lost = members.iter().any(Member::is_lost);
    let (mut refused, mut obtainable, mut unobtainable) = (false, false, false);
    let mut interrupted: Vec<(usize, &str)> = Vec::new();
    for (rank, member) in members.iter().enumerate().filter(|(_, member)| member.is_live()) {
        let lacks = complete.lacks(member);
        if lacks.is_empty() {
            continue;
        }
        if let Some(why) = member.interrupted() {
            interrupted.push((rank, why));
        } else if shortfall(members, member, &lacks).is_some_and(|why| why.is_refusal) {
            refused = true;
        } else if lacks.iter().any(|entry| is_obtainable(job, EntryIndex(entry))) {
            obtainable = true;
        } else {
            unobtainable = true;
        }
    }
    let kept = match purpose {
        Purpose::Transfer => "what arrived is kept, and the same command resumes",
        Purpose::Check | Purpose::DryRun => "nothing was written",
    };
    if let Some(why) = interruption(members, &interrupted) {
        (Outcome::Failed, vec![Reason::Told(format!("{why}; {kept}"))])
    } else if refused && !lost && nothing_moved(job, members, &complete) {
        (Outcome::Refused, refusals(members))
    } else if obtainable {
        let missing = "some files that live ranks hold are missing";
        (Outcome::Failed, vec![Reason::Told(format!("{missing}; {kept}"))])
    } else if lost || (refused && !unobtainable) {
        (Outcome::Degraded, Vec::new())
    } else if unobtainable {
        let nobody = "some files have pieces that no rank holds any more";
        (Outcome::Failed, vec![Reason::Told(format!("{nobody}; {kept}"))])
    } else {
        (Outcome::Complete, Vec::new())
    }
}

/// What told ranks to stop that lack something; and which, where others go on.
fn interruption(members: &[Member], interrupted: &[(usize, &str)]) -> Option<String> {
    let (_, why) = interrupted.first()?;
    if members.iter().filter(|member| member.is_live()).all(|member| member.interrupted().is_some())
    {
        return Some((*why).to_owned());
    }
    let ranks: Vec<String> = interrupted.iter().map(|(rank, _)| rank.to_string()).take(8).collect();
    Some(format!("rank {} {why}", ranks.join(", ")))
}

/// Whether live ranks hold every piece of an entry.
fn is_obtainable(job: &Job, entry: EntryIndex) -> bool {
    job.nowhere.count_in(job.catalogue.pieces_of(entry)) == 0
}

/// Why a member lacks what it wants, beyond that nobody has it.
struct Shortfall {
    /// Whether it, or whoever was to write for it, cannot receive.
    is_refusal: bool,
    why: String,
}

/// The reason of a member itself, or of another that was to write what it lacks into the same
/// destination.
fn shortfall(members: &[Member], member: &Member, lacks: &Bitfield) -> Option<Shortfall> {
    if let Some(why) = cannot_receive(member) {
        return Some(Shortfall { is_refusal: true, why });
    }
    let destination = member.destination()?.id;
    let writes_for_it = |other: &Member| {
        let same = other.destination().is_some_and(|at| at.id == destination);
        same && other.serving().is_some_and(|it| it.assigned().intersects(lacks))
    };
    let writers = members.iter().enumerate().filter(|(_, other)| writes_for_it(other));
    let mut reasons = writers.filter_map(|(rank, writer)| {
        let whose = format!("rank {rank}, which writes into the same destination,");
        if writer.is_lost() {
            return Some(Shortfall { is_refusal: false, why: format!("{whose} was lost") });
        }
        let why = cannot_receive(writer)?;
        Some(Shortfall { is_refusal: true, why: format!("{whose} cannot receive: {why}") })
    });
    reasons.next()
}

/// Whether no rank that wants something was able to receive any of it, by itself or by a rank that
/// writes for it: then the job was refused after all, only later than usual, after the destinations
/// were surveyed.
fn nothing_moved(job: &Job, members: &[Member], complete: &CompleteSets) -> bool {
    let wants = |member: &Member| member.serving().is_some_and(|it| !it.wanted().is_empty());
    let mut wanting = members.iter().filter(|member| member.is_live() && wants(member)).peekable();
    wanting.peek().is_some()
        && wanting.all(|member| {
            let (counters, _) = last_counters(member);
            let why = shortfall(members, member, &complete.lacks(member));
            why.is_some_and(|why| why.is_refusal) && !has_received(job, member, &counters)
        })
}

/// Whether a member with these counters has any of what it wants; entries without content are none
/// of it.
pub(super) fn has_received(job: &Job, member: &Member, counters: &Counters) -> bool {
    let Counters { bytes_delivered, bytes_reused, bytes_received, .. } = counters;
    let has_content = |entry| !job.catalogue.entry(EntryIndex(entry)).is_empty();
    [bytes_delivered, bytes_reused, bytes_received].iter().any(|bytes| **bytes > 0)
        || member.serving().is_some_and(|it| it.complete().iter().any(has_content))
}

/// Why no rank can receive, but for what was said of a rank already.
fn refusals(members: &[Member]) -> Vec<Reason> {
    let is_told = |member: &Member| member.serving().is_some_and(Serving::is_refusal_told);
    let told = members.iter().filter(|member| is_told(member)).count();
    let untold = members.iter().enumerate().filter(|(_, member)| !is_told(member));
    let each = untold
        .filter_map(|(rank, m)| Some(format!("rank {rank} cannot receive: {}", cannot_receive(m)?)))
        .take(REFUSALS_TOLD.saturating_sub(told));
    let nobody = "no rank that wants something can receive it".to_owned();
    each.chain((told > 0).then_some(nobody)).map(Reason::Told).collect()
}

fn cannot_receive(member: &Member) -> Option<String> {
    let at_init = member.refusal().map(str::to_owned);
    at_init.or_else(|| member.stop().and_then(|(_, stop)| stop.cannot_receive.clone()))
}

fn last_counters(member: &Member) -> (Counters, bool) {
    match (member.counters(), member.stop()) {
        (Some(counters), _) => (counters, true),
        (None, Some((_, stop))) => (stop.counters, false),
        (None, None) => (Counters::default(), false),
    }
}

/// What is complete in each destination, whoever wrote it.
pub(super) struct CompleteSets {
    by_destination: BTreeMap<u128, Bitfield>,
}

impl CompleteSets {
    fn new(members: &[Member]) -> Self {
        let mut by_destination: BTreeMap<u128, Bitfield> = BTreeMap::new();
        for member in members {
            let complete = member.serving().map(Serving::complete);
            let Some((destination, complete)) = member.destination().zip(complete) else {
                continue;
            };
            by_destination
                .entry(destination.id)
                .and_modify(|set| set.union_with(complete))
                .or_insert_with(|| complete.clone());
        }
        Self { by_destination }
    }

    /// The entries that a member wants and its destination lacks.
    pub(super) fn lacks(&self, member: &Member) -> Bitfield {
        let Some(serving) = member.serving() else { return Bitfield::default() };
        let mut lacks = serving.wanted().clone();
        if let Some(set) = member.destination().and_then(|at| self.by_destination.get(&at.id)) {
            lacks.subtract(set);
        }
        lacks
    }
}

/// Makes the report. The caller adds what it knows of the tracker itself.
pub(super) fn make(
    purpose: Purpose,
    members: &[Member],
    job: Option<&Job>,
    (outcome, reasons): (Outcome, Vec<Reason>),
    started: Option<Instant>,
    stopped: Instant,
) -> Report {
    let begun = started.unwrap_or(stopped);
    let complete = CompleteSets::new(members);
    let mut removals = Removals::new(purpose, outcome);
    let differing = (purpose == Purpose::Check).then(|| DifferingSets::new(members));
    let mut missing = job.map(|job| Bitfield::new(job.catalogue.entry_count()));
    let mut peers = Vec::with_capacity(members.len());
    for (rank, member) in members.iter().enumerate() {
        if *member.standing() == Standing::NoPeer {
            continue;
        }
        let lacks = complete.lacks(member);
        if let (Some(missing), true) = (&mut missing, member.is_live()) {
            missing.union_with(&lacks);
        }
        let mut row = row(Rank(rank as u32), members, job, &reasons, &lacks, begun..stopped);
        row.counters.entries_removed = removals.of(member, row.counters.entries_removed);
        if let Some(differing) = differing.as_ref().filter(|_| is_unexplained(member, &lacks)) {
            row.state = PeerState::Incomplete;
            row.reason = Some(Reason::Told(differing.why(member, &lacks)));
        }
        peers.push(row);
    }
    let missing = job
        .zip(missing)
        .map(|(job, set)| names(&job.catalogue, &set, purpose == Purpose::Check))
        .unwrap_or_default();
    let unequal = job.filter(|_| purpose == Purpose::Check).map(|job| {
        let rows = peers.iter().filter(|row| row.state == PeerState::Incomplete);
        let rows = rows.filter_map(|row| {
            let lacks = complete.lacks(&members[row.rank.index()]);
            Some((row.rank, lacks, row.reason.as_ref()?.to_string()))
        });
        unequal::lists(job, members, rows)
    });
    Report {
        purpose,
        outcome,
        reasons,
        elapsed: stopped.since(begun),
        startup: begun.since(Instant::ZERO),
        bytes_wanted: total(members.iter().filter_map(Member::serving).map(Serving::wanted_bytes)),
        bytes_delivered: total(peers.iter().map(|peer| peer.counters.bytes_delivered)),
        peers,
        missing,
        unequal: unequal.unwrap_or_default(),
        source: None,
        left_alone: job.map_or_else(LeftAlone::default, |job| job.left_alone.clone()),
        tracker: Rank::TRACKER,
        tracker_messages: 0,
    }
}

/// What is removed from destinations, as far as a forecast of it is true.
struct Removals {
    is_forecast: bool,
    outcome: Outcome,
    /// Destinations from which somebody removes.
    counted: BTreeSet<u128>,
}

impl Removals {
    fn new(purpose: Purpose, outcome: Outcome) -> Self {
        Self { is_forecast: purpose == Purpose::DryRun, outcome, counted: BTreeSet::new() }
    }

    /// What a member removes, given what it counted. A run removes only where the job is complete,
    /// and of several ranks that share a destination one does.
    fn of(&mut self, member: &Member, counted: u64) -> u64 {
        if !self.is_forecast || counted == 0 {
            return counted;
        }
        let first = member.destination().is_some_and(|at| self.counted.insert(at.id));
        if first && self.outcome == Outcome::Complete { counted } else { 0 }
    }
}

/// Whether a member lacks something only because it is not there, or otherwise.
fn is_unexplained(member: &Member, lacks: &Bitfield) -> bool {
    let told = cannot_receive(member).is_some() || member.interrupted().is_some();
    let differs = !lacks.is_empty() || unequal::extra(member).count > 0;
    member.is_live() && differs && !told
}

/// A sum of what ranks said, which may be anything.
fn total(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn row(
    rank: Rank,
    members: &[Member],
    job: Option<&Job>,
    reasons: &[Reason],
    lacks: &Bitfield,
    times: Range<Instant>,
) -> PeerRow {
    let member = &members[rank.index()];
    let files = |set: &Bitfield| job.map_or(0, |job| file_count(&job.catalogue, set));
    let files_wanted = member.serving().map_or(0, |serving| files(serving.wanted()));
    let (state, reason, ended) = match member.standing() {
        Standing::Lost { at, why } => (PeerState::Lost, Some(Reason::Told(why.clone())), Some(*at)),
        _ => {
            let whole = lacks.is_empty() && job.is_some();
            let state = if whole { PeerState::Complete } else { PeerState::Incomplete };
            let reason = (!whole).then(|| why_incomplete(members, member, job, reasons, lacks));
            // Who was interrupted may not have said STOP in time.
            let cut = (job.is_some() && member.interrupted().is_some()).then_some(times.end);
            (state, reason, member.stop().map(|(at, _)| *at).or(cut))
        }
    };
    PeerRow {
        rank,
        host: member.hello().map(|hello| hello.host.clone()).unwrap_or_default(),
        state,
        reason,
        files_wanted,
        files_complete: files_wanted - files(lacks),
        files_to_write: files(&unequal::to_write(member)),
        counters: last_counters(member).0,
        elapsed: ended.map_or(Duration::ZERO, |at| at.since(times.start)),
    }
}

/// Why a rank of a refused job got nothing: the reasons are nowhere else in the report's rows.
fn refused(reasons: &[Reason]) -> Reason {
    match reasons.first() {
        Some(first) => Reason::JobRefused(Box::new(first.clone())),
        None => "the job was refused".into(),
    }
}

fn why_incomplete(
    members: &[Member],
    member: &Member,
    job: Option<&Job>,
    reasons: &[Reason],
    lacks: &Bitfield,
) -> Reason {
    let Some(_) = job else {
        let why = cannot_receive(member).or_else(|| member.interrupted().map(str::to_owned));
        return why.map_or_else(|| refused(reasons), Reason::Told);
    };
    if let Some(Shortfall { why, .. }) = shortfall(members, member, lacks) {
        return Reason::Told(why);
    }
    if let Some(why) = member.interrupted() {
        return Reason::Told(why.to_owned());
    }
    let count = lacks.count();
    let mut why = match count {
        1 => "1 entry could not be completed: no rank holds all its pieces".to_owned(),
        _ => format!("{count} entries could not be completed: no rank holds all their pieces"),
    };
    let shunned = member.serving().map(Serving::shunned).filter(|shunned| !shunned.is_empty());
    if let Some(shunned) = shunned {
        let shunned: Vec<String> = shunned.iter().take(8).map(Rank::to_string).collect();
        why += &format!(" whose pieces verify; rank {} sent others", shunned.join(", "));
    }
    Reason::Told(why)
}

fn file_count(catalogue: &Catalogue, set: &Bitfield) -> u64 {
    set.iter().filter(|&entry| catalogue.entry(EntryIndex(entry)).file().is_some()).count() as u64
}

/// The names of a set's entries; those of directories only where `directories` says so.
fn names(catalogue: &Catalogue, set: &Bitfield, directories: bool) -> Vec<Name> {
    let entries = set.iter().map(|entry| catalogue.entry(EntryIndex(entry)));
    let named = entries.filter(|entry| directories || entry.kind != Kind::Directory);
    named.map(|entry| entry.name.clone()).collect()
}
