//! From the last INIT to START.

use super::job::{FileSystem, Job};
use super::member::{Member, Serving};
use super::places::Places;
use super::{Phase, RollCall, Tracker, TrackerAction, TrackerConfig};
use super::{left_out, leftovers, nesting, resolve};
use crate::message::{FromTracker, Start, parts};
use crate::{Instant, Notice, Rank, Reason};
use content::{Bitfield, Catalogue, Entry, EntryIndex, Kind, Span};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// At most so many paths that some ranks lack are named: with `--share 'part{rank}'` each of
/// thousands may have another.
const MAX_MISSING_SHARES: usize = 8;

/// At most so many runs of ranks are named that lack one path.
const MAX_NAMED_SPANS: usize = 16;

impl Tracker {
    /// Names, for every source of a cast, the lowest rank that has it as its reader. Tells each
    /// rank that waits what to read, perhaps nothing. Then says which paths are missing where.
    pub(super) fn name_readers(&mut self, actions: &mut Vec<TrackerAction>) {
        if std::mem::replace(&mut self.readers_named, true) {
            return;
        }
        let mut taken: Vec<bool> = Vec::new();
        let live = || self.members.iter().enumerate().filter(|(_, member)| member.is_live());
        // An earlier tracker may have told some.
        for (_, member) in live() {
            let shares = member.hello().map_or(0, |hello| hello.shares.len());
            taken.resize(taken.len().max(shares), false);
            let read = member.reads().unwrap_or_default();
            for position in Span::all_checked(read, shares as u32).flatten() {
                taken[position as usize] = true;
            }
        }
        let mut told: Vec<(Rank, Vec<u32>)> = Vec::new();
        for (at, member) in live().filter(|(_, member)| member.reads().is_none()) {
            let Some(hello) = member.hello().filter(|hello| hello.waits_for_read) else {
                continue;
            };
            let mut reads = Vec::new();
            for (position, share) in hello.shares.iter().enumerate() {
                if share.is_there() && !std::mem::replace(&mut taken[position], true) {
                    reads.push(position as u32);
                }
            }
            told.push((Rank(at as u32), reads));
        }
        let seen_by_all = self.seen_by_all(&told);
        for (to, reads) in told {
            let parts = parts(Span::join(reads));
            let count = parts.len();
            actions.extend(parts.into_iter().enumerate().map(|(part, positions)| {
                let last = part + 1 == count;
                let message = match seen_by_all {
                    Some(_) => FromTracker::Walk { positions, last },
                    None => FromTracker::Read { positions, last },
                };
                TrackerAction::Send { to, message }
            }));
        }
        actions.extend(seen_by_all.flatten().map(Notice::Told).map(TrackerAction::Notice));
        actions.extend(self.missing_shares().into_iter().map(TrackerAction::Notice));
    }

    /// A notice for each path that some ranks lack which were told to share it; one for all the
    /// rest where there are many, as with `--share 'part{rank}'`.
    fn missing_shares(&self) -> Vec<Notice> {
        let mut by_path: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (at, member) in self.members.iter().enumerate() {
            let Some(hello) = member.hello().filter(|hello| !hello.waits_for_read) else {
                continue;
            };
            for share in hello.shares.iter().filter(|share| !share.is_there()) {
                by_path.entry(share.path.clone()).or_default().push(at as u32);
            }
        }
        let more = by_path.len().saturating_sub(MAX_MISSING_SHARES);
        let notice = |(path, ranks): (&String, &Vec<u32>)| {
            let spans = Span::join(ranks.iter().copied());
            let named: Vec<String> = spans.iter().take(MAX_NAMED_SPANS).map(span_text).collect();
            let rest = if spans.len() > named.len() { " and others" } else { "" };
            let ranks = format!("{}{rest}", named.join(", "));
            Notice::ShareMissing { path: path.clone(), ranks }
        };
        let named = by_path.iter().take(MAX_MISSING_SHARES).map(notice);
        named.chain((more > 0).then_some(Notice::MoreSharesMissing(more))).collect()
    }

    /// Every live peer has said INIT: resolves the catalogue and says START, or refuses.
    pub(super) fn start(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) {
        match plan(self.config, &self.taking_part()) {
            Err(mut reasons) => {
                let lost = self.members.iter().enumerate().filter(|(_, member)| member.is_lost());
                let lost: Vec<String> = lost.map(|(rank, _)| rank.to_string()).take(8).collect();
                if !lost.is_empty() {
                    let lost = lost.join(", ");
                    reasons.push(Reason::Told(format!("lost before the job began: rank {lost}")));
                }
                self.refuse(now, reasons, actions);
            }
            Ok(plan) => {
                actions.extend(plan.left_out.clone().map(Notice::Told).map(TrackerAction::Notice));
                self.launch(now, plan, actions);
            }
        }
    }

    fn launch(&mut self, now: Instant, plan: Plan, actions: &mut Vec<TrackerAction>) {
        let catalogue = Arc::new(plan.catalogue);
        let mut job = Box::new(Job::new(Arc::clone(&catalogue), self.config.spread));
        let members = self.taking_part();
        job.origins = leftovers::origins(&members, &catalogue);
        let standing_in = leftovers::standing_in(&members, &catalogue);
        actions.extend(standing_in.map(Notice::Told).map(TrackerAction::Notice));
        job.left_alone = leftovers::left_alone(self.config.purpose, &members, &catalogue);
        for ((&rank, wanted), assigned) in plan.ranks.iter().zip(plan.wants).zip(plan.assigned) {
            self.enrol(&mut job, rank, wanted, assigned);
        }
        self.members.iter_mut().for_each(|member| member.serve(&catalogue));
        (job.pending, job.free_bytes) = self.scarce(&catalogue);
        self.say_start(&job, &plan.ranks, actions);
        self.phase = Phase::Serving(job);
        self.roll = RollCall::default();
        self.roster = None;
        self.started = Some(now);
    }

    /// Takes a rank into the job with what it offers, what it wants, and what of that it is to
    /// write.
    pub(super) fn enrol(
        &mut self,
        job: &mut Job,
        rank: Rank,
        wanted: Bitfield,
        assigned: Bitfield,
    ) {
        self.number_place(rank);
        let member = &mut self.members[rank.index()];
        // A rank that cannot receive misses all that it wants.
        let missing = if member.destination().is_some() { &assigned } else { &wanted };
        let bytes = bytes_of_entries(&job.catalogue, missing);
        let offered = offered_pieces(member, &job.catalogue);
        member.serve(&job.catalogue);
        if let Some(serving) = member.serving_mut() {
            serving.enrol(wanted, assigned, bytes);
            offered.into_iter().for_each(|pieces| job.gain(rank, serving, pieces));
        }
        let held = held_assigned(member, &job.catalogue).map(|(_, held)| held).sum();
        member.serving_mut().into_iter().for_each(|serving| serving.take_progress(held));
    }

    /// Says START to ranks.
    pub(super) fn say_start(&self, job: &Job, ranks: &[Rank], actions: &mut Vec<TrackerAction>) {
        let shelf = job.shelf.as_ref();
        let hashes = parts(shelf.into_iter().flat_map(|shelf| shelf.hashes().iter().copied()));
        let mut sources = shelf.map_or(BTreeMap::new(), |_| self.sources(ranks));
        let inline = OnceCell::new();
        let inline = || -> &Vec<Arc<[Entry]>> {
            let all = || parts(job.catalogue.entries().iter().cloned());
            inline.get_or_init(|| all().into_iter().map(Arc::from).collect())
        };
        let mut origins = parts(job.origins.iter().copied());
        origins.retain(|part| !part.is_empty());
        let places = Places::of(&self.members, &job.catalogue);
        for &to in ranks {
            let mut say = |message| actions.push(TrackerAction::Send { to, message });
            // To itself this rank can say it all: that travels nowhere.
            if shelf.is_none() || to == self.config.rank {
                inline().iter().for_each(|part| say(FromTracker::Entries(Arc::clone(part))));
            } else {
                hashes.iter().for_each(|part| say(FromTracker::Parts(part.clone())));
                say(FromTracker::Sources(sources.remove(&to).unwrap_or_default()));
            }
            let assigned = self.members[to.index()].serving().map(Serving::assigned);
            let wanted: Vec<Span> = assigned.into_iter().flat_map(Bitfield::spans).collect();
            parts(wanted).into_iter().for_each(|part| say(FromTracker::Wanted(part)));
            if self.members[to.index()].writes() {
                origins.iter().for_each(|part| say(FromTracker::Origins(part.clone())));
            }
            if let Some((neighbours, topology)) = places.topology(to, &self.members[to.index()]) {
                say(FromTracker::Neighbours(neighbours));
                say(FromTracker::Topology(Box::new(topology)));
            }
            let admitted = !job.pending.contains_key(&to);
            say(FromTracker::Start(Start { entry_count: job.catalogue.entry_count(), admitted }));
        }
    }

    /// Gives a rank the numbers of its host and its rack.
    pub(super) fn number_place(&mut self, rank: Rank) {
        let member = &mut self.members[rank.index()];
        let Some(hello) = member.hello() else { return };
        let next = self.hosts.len() as u32;
        let host = *self.hosts.entry(hello.host.clone()).or_insert(next);
        let next = self.racks.len() as u32;
        let rack = *self.racks.entry(hello.rack.clone()).or_insert(next);
        member.locate(host, rack);
    }

    /// The ranks whose destination may be too small for all that goes to its file system, and what
    /// is free there. The bound is the data that is wanted less what lies there already; what
    /// stands complete under its name is known only after a survey, so whoever exceeds the bound
    /// surveys first.
    fn scarce(
        &self,
        catalogue: &Catalogue,
    ) -> (BTreeMap<Rank, FileSystem>, BTreeMap<FileSystem, u64>) {
        let mut free: BTreeMap<FileSystem, u64> = BTreeMap::new();
        let mut most: BTreeMap<FileSystem, u64> = BTreeMap::new();
        let mut systems = BTreeMap::new();
        for (at, member) in self.members.iter().enumerate().filter(|(_, member)| member.is_live()) {
            let Some(destination) = member.destination().filter(|_| member.writes()) else {
                continue;
            };
            let system = (member.host(), destination.file_system);
            let bytes = free.entry(system).or_insert(destination.free_bytes);
            *bytes = (*bytes).min(destination.free_bytes);
            *most.entry(system).or_default() += needed_bytes(member, catalogue);
            systems.insert(Rank(at as u32), system);
        }
        systems.retain(|_, system| most[system] > free[system]);
        (systems, free)
    }
}

/// What START says to all, worked out.
pub(super) struct Plan {
    pub(super) catalogue: Catalogue,
    ranks: Vec<Rank>,
    pub(super) wants: Vec<Bitfield>,
    pub(super) assigned: Vec<Bitfield>,
    /// What is left out of what ranks share, for people.
    left_out: Option<String>,
}

pub(super) fn plan(
    config: TrackerConfig,
    members: &[(Rank, &Member)],
) -> Result<Plan, Vec<Reason>> {
    resolve::check_purposes(config.purpose, members)?;
    nesting::check(config.sweep, members)?;
    resolve::check_locks(members)?;
    let catalogue = resolve::catalogue(members)?;
    resolve::check_memory(config.memory, &catalogue)?;
    let wants = resolve::wants(members, &catalogue)?;
    let left_out = left_out::check(members, &catalogue)?;
    let wanting = || members.iter().zip(&wants).filter(|(_, wanted)| !wanted.is_empty());
    if wanting().next().is_some()
        && wanting().all(|((_, member), _)| member.destination().is_none())
    {
        return Err(wanting()
            .map(|((rank, member), _)| {
                let told = |why| Reason::Told(format!("rank {rank} cannot receive: {why}"));
                member.refusal().map_or(Reason::NoDestination { rank: *rank }, told)
            })
            .take(8)
            .collect());
    }
    let assigned = resolve::assign(members, &wants, &catalogue);
    let ranks = members.iter().map(|(rank, _)| *rank).collect();
    Ok(Plan { catalogue, ranks, wants, assigned, left_out })
}

/// What a member holds of all that it offered. A partial of other content than the catalogue's is
/// no holding.
fn offered_pieces(member: &Member, catalogue: &Catalogue) -> Vec<Range<u32>> {
    let mut held = Vec::new();
    for (name, offered) in member.offers() {
        let Some(index) = catalogue.find(name) else { continue };
        let content = catalogue.entry(index).file();
        if content.is_none() || content != offered.entry().file() {
            continue;
        }
        let pieces = catalogue.pieces_of(index);
        match offered.sets() {
            None => held.push(pieces),
            Some(sets) => {
                let ranges = sets.iter().flat_map(|set| set.ranges(pieces.len() as u32));
                held.extend(ranges.map(|r| pieces.start + r.start..pieces.start + r.end));
            }
        }
    }
    held
}

pub(super) fn bytes_of_entries(catalogue: &Catalogue, entries: &Bitfield) -> u64 {
    entries.iter().map(|entry| catalogue.entry(EntryIndex(entry)).len()).sum()
}

/// For each entry that a member is to write, how many bytes it has of it.
fn held_assigned<'a>(
    member: &'a Member,
    catalogue: &'a Catalogue,
) -> impl Iterator<Item = (EntryIndex, u64)> + 'a {
    // What a cast's reader holds it shares; its own copy is still to be made.
    let shares = member.hello().is_some_and(|hello| hello.wants_own);
    let holds = !shares && member.holds_any();
    member.serving().into_iter().flat_map(move |serving| {
        serving.assigned().iter().map(EntryIndex).map(move |entry| {
            let pieces = if holds { catalogue.pieces_of(entry) } else { 0..0 };
            let held = serving.holdings().iter_in(pieces).map(content::PieceId);
            (entry, held.map(|piece| u64::from(catalogue.piece_size(piece))).sum())
        })
    })
}

/// The bytes that a member is to write at most; holes need no room, nor do further names of a file.
fn needed_bytes(member: &Member, catalogue: &Catalogue) -> u64 {
    let needed = held_assigned(member, catalogue).filter_map(|(entry, held)| {
        let entry = catalogue.entry(entry);
        let content = entry.file()?;
        if let Kind::HardLink { to, .. } = &entry.kind
            && catalogue.find(to).is_some_and(|file| member.is_to_write(file.0))
        {
            return None;
        }
        Some((content.geometry.len() - held).min(content.data_bytes()))
    });
    needed.sum()
}

fn span_text(span: &Span) -> String {
    match span.count {
        1 => span.first.to_string(),
        count => format!("{}-{}", span.first, span.first + count - 1),
    }
}
