//! A tracker that took over: what its peers told the lost one they tell again.
//!
//! Whoever had START recalls what it has and does, in the catalogue's numbers; whoever had not
//! introduces itself as at first. Where this rank had no START itself, one that had recites the
//! catalogue. A job that nobody had START of begins anew. Questions are answered at once, from what
//! is known; but only when every live rank has rejoined are the rest given their START, is space
//! given away, and can a piece be said to be gone.

use super::gather::bytes_of_entries;
use super::job::{FileSystem, Job};
use super::member::{Member, Standing};
use super::{Phase, RollCall, Tracker, TrackerAction, TrackerConfig, resolve};
use crate::message::{FromTracker, Recall, Rejoined, Stop, ToTracker};
use crate::{Counters, Extra, Instant, Outcome, Rank, Succession};
use content::{Bitfield, Catalogue, Entry, Span};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Messages of one rank that may wait until it has rejoined; more come from no peer of ours.
const MAX_WAITING: usize = 1 << 12;

/// What is known before every live rank has rejoined.
#[derive(Debug, Default)]
pub(super) struct Rejoining {
    roll: RollCall,
    /// The digest of the catalogue, once that is known.
    digest: Option<u64>,
    /// The rank that was asked for the catalogue.
    reciter: Option<Rank>,
    recited: Vec<Entry>,
}

impl Tracker {
    /// Takes over from a tracker that is lost; gives what is to be done first. The rank's own peer
    /// is to say INIT again to it, too.
    pub fn succeed(
        config: TrackerConfig,
        succession: Succession,
        now: Instant,
    ) -> (Self, Vec<TrackerAction>) {
        let own = config.rank;
        let mut tracker = Self::new(TrackerConfig { colocated: true, ..config }, now);
        tracker.members.iter_mut().for_each(|member| member.joined = false);
        tracker.rejoining = Some(Box::default());
        // The lost ones, too: if they wake, they must know.
        let others = (0..tracker.config.ranks).map(Rank).filter(|&rank| rank != own);
        let reign = |to| TrackerAction::Send { to, message: FromTracker::Reign };
        let mut actions: Vec<TrackerAction> = others.map(reign).collect();
        for (&rank, why) in &succession.lost {
            let Some(member) = tracker.members.get_mut(rank.index()) else { continue };
            member.standing = Standing::Lost { at: now, why: why.clone() };
            if rank > own {
                tracker.tell_live(&FromTracker::Lost(rank), &mut actions);
            }
        }
        if let Some((last, why)) = succession.lost.range(..own).next_back() {
            actions.push(TrackerAction::Notice(
                format!("rank {last} is lost: {why}; rank {own} tracks from now on").into(),
            ));
        }
        if let Some(catalogue) = succession.catalogue {
            tracker.serve(succession.started.unwrap_or(now), catalogue);
        }
        tracker.count_sent(&actions);
        (tracker, actions)
    }

    /// The catalogue is known: the job that it belongs to goes on.
    fn serve(&mut self, started: Instant, catalogue: Arc<Catalogue>) {
        self.members.iter_mut().for_each(|member| member.begin(&catalogue));
        if let Some(rejoining) = &mut self.rejoining {
            rejoining.digest = Some(Rejoined::digest(&catalogue));
        }
        self.phase = Phase::Serving(Box::new(Job::new(catalogue, self.config.spread)));
        self.roll = RollCall::default();
        self.started = Some(started);
    }

    /// Takes a message of a live rank that has not rejoined yet.
    pub(super) fn welcome(
        &mut self,
        now: Instant,
        from: Rank,
        message: ToTracker,
        actions: &mut Vec<TrackerAction>,
    ) {
        match message {
            ToTracker::Introduced => {
                self.take(now, from, message, actions);
                self.join(now, from, actions);
            }
            ToTracker::Recall(recall) => self.on_recall(now, from, recall, actions),
            ToTracker::Rejoined(rejoined) => self.on_rejoined(now, from, rejoined, actions),
            ToTracker::Entries(entries) => self.on_entries(from, entries),
            ToTracker::Recited => self.on_recited(now, from, actions),
            ToTracker::HelloPart(_)
            | ToTracker::Hello(_)
            | ToTracker::Offers(_)
            | ToTracker::Trouble(_) => self.take(now, from, message, actions),
            // Told once, perhaps before all else: it travels on a channel of its own.
            ToTracker::Counters(counters) => {
                self.members[from.index()].counters = Some(counters);
            }
            ToTracker::Update(ref gains) if gains.is_empty() => {
                self.take(now, from, message, actions);
            }
            message => {
                let waiting = &mut self.members[from.index()].waiting;
                if waiting.len() < MAX_WAITING {
                    waiting.push(message);
                }
            }
        }
    }

    /// All is known that a rank had to say again: what it said meanwhile counts now.
    fn join(&mut self, now: Instant, rank: Rank, actions: &mut Vec<TrackerAction>) {
        self.number_place(rank);
        let member = &mut self.members[rank.index()];
        member.joined = true;
        for message in std::mem::take(&mut member.waiting) {
            if self.members[rank.index()].is_live() {
                self.take(now, rank, message, actions);
            }
        }
    }

    fn on_recall(
        &mut self,
        now: Instant,
        from: Rank,
        recall: Recall,
        actions: &mut Vec<TrackerAction>,
    ) {
        let own = self.config.rank;
        let lost = Span::all_checked(&recall.lost, self.config.ranks);
        // Whoever speaks lives.
        let others = |rank: &Rank| *rank != own && *rank != from;
        let lost: Vec<Rank> = lost.flatten().map(Rank).filter(others).collect();
        for rank in lost {
            let why = format!("it was lost before rank {own} took over");
            self.on_lost(now, rank, &why, actions);
        }
        let member = &mut self.members[from.index()];
        if recall.told_to_read {
            member.read.get_or_insert_default().extend(&recall.read);
        }
        let Phase::Serving(job) = &mut self.phase else {
            if member.recalled.len() < MAX_WAITING {
                let recall = Recall { lost: Vec::new(), read: Vec::new(), ..recall };
                member.recalled.push(ToTracker::Recall(recall));
            }
            return;
        };
        let (pieces, entries) = (job.catalogue.piece_count(), job.catalogue.entry_count());
        insert(&mut member.own, &recall.own, entries);
        insert(&mut member.assigned, &recall.assigned, entries);
        insert(&mut member.complete, &recall.complete, entries);
        for range in Span::all_checked(&recall.pieces, pieces) {
            job.gain(from, member, range);
        }
    }

    fn on_rejoined(
        &mut self,
        now: Instant,
        from: Rank,
        rejoined: Box<Rejoined>,
        actions: &mut Vec<TrackerAction>,
    ) {
        let Some(rejoining) = &mut self.rejoining else { return };
        if matches!(self.phase, Phase::Collecting { .. } | Phase::Ended) {
            return;
        }
        if rejoined.given_up {
            return self.on_lost(now, from, "it was given up before", actions);
        }
        let Some(digest) = rejoined.catalogue else {
            return self.on_ended(now, from, rejoined.finished, actions);
        };
        if rejoining.digest.is_some_and(|known| known != digest) {
            return self.on_lost(now, from, "it has another catalogue", actions);
        }
        let member = &mut self.members[from.index()];
        let Phase::Serving(job) = &self.phase else {
            member.recalled.push(ToTracker::Rejoined(rejoined));
            return self.ask_for_catalogue(actions);
        };
        member.need_bytes = rejoined.need_bytes;
        member.awaits_admission = rejoined.awaits_admission;
        member.finished = rejoined.finished.is_some();
        member.stop = rejoined.stop.map(|stop| (now, stop));
        member.wanted_bytes = bytes_of_entries(&job.catalogue, &member.assigned);
        member.have_bytes = rejoined.have_bytes.min(member.wanted_bytes);
        self.join(now, from, actions);
    }

    /// A rank had no START, and was told FINISH: the job was refused, or interrupted.
    fn on_ended(
        &mut self,
        now: Instant,
        from: Rank,
        finished: Option<Outcome>,
        actions: &mut Vec<TrackerAction>,
    ) {
        if let Phase::Gathering = self.phase {
            let what = match finished {
                Some(Outcome::Refused) | None => "refused",
                Some(_) => "ended",
            };
            let why =
                format!("the last tracker had {what} the job, and was lost before it said why");
            let outcome = finished.unwrap_or(Outcome::Refused);
            return self.conclude(now, outcome, vec![why.into()], actions);
        }
        let member = &mut self.members[from.index()];
        member.finished = true;
        let stop = Stop {
            cannot_receive: None,
            counters: Counters::default(),
            extra: Extra::default(),
            updates: 0,
        };
        member.stop = Some((now, stop));
        self.join(now, from, actions);
    }

    /// Asks the lowest live rank that had START for the catalogue.
    fn ask_for_catalogue(&mut self, actions: &mut Vec<TrackerAction>) {
        let Some(rejoining) = self.rejoining.as_mut().filter(|r| r.reciter.is_none()) else {
            return;
        };
        let knows = |(_, member): &(usize, &Member)| member.is_live() && member.had_start();
        let Some((rank, _)) = self.members.iter().enumerate().find(knows) else { return };
        let to = Rank(rank as u32);
        rejoining.reciter = Some(to);
        rejoining.recited.clear();
        actions.push(TrackerAction::Send { to, message: FromTracker::Recite });
    }

    /// A rank is lost before START: another is asked for the catalogue, if it was asked.
    pub(super) fn miss_reciter(&mut self, rank: Rank, actions: &mut Vec<TrackerAction>) {
        if let Some(rejoining) = self.rejoining.as_mut().filter(|r| r.reciter == Some(rank)) {
            rejoining.reciter = None;
            self.ask_for_catalogue(actions);
        }
    }

    fn on_entries(&mut self, from: Rank, entries: Vec<Entry>) {
        if let Some(rejoining) = self.rejoining.as_mut().filter(|r| r.reciter == Some(from))
            && rejoining.recited.len() + entries.len() <= Catalogue::MAX_ENTRIES
        {
            rejoining.recited.extend(entries);
        }
    }

    /// The catalogue is told: what was recalled makes sense now.
    fn on_recited(&mut self, now: Instant, from: Rank, actions: &mut Vec<TrackerAction>) {
        let Some(rejoining) = self.rejoining.as_mut().filter(|r| r.reciter == Some(from)) else {
            return;
        };
        let told = self.members[from.index()].digest();
        let catalogue = Catalogue::new(std::mem::take(&mut rejoining.recited)).ok();
        let whole = |catalogue: &Catalogue| Some(Rejoined::digest(catalogue)) == told;
        let Some(catalogue) = catalogue.filter(whole) else {
            return self.on_lost(now, from, "it has no whole catalogue", actions);
        };
        self.serve(now, Arc::new(catalogue));
        for rank in (0..self.config.ranks).map(Rank) {
            for message in std::mem::take(&mut self.members[rank.index()].recalled) {
                if self.members[rank.index()].is_live() {
                    self.welcome(now, rank, message, actions);
                }
            }
        }
    }

    /// Once every live rank has rejoined a job that goes on: who had no START gets it, and space is
    /// given away.
    pub(super) fn complete_roster(&mut self, actions: &mut Vec<TrackerAction>) {
        let (Some(rejoining), Phase::Serving(_)) = (&mut self.rejoining, &self.phase) else {
            return;
        };
        if !rejoining.roll.all(&self.members, |member| member.joined) {
            return;
        }
        self.rejoining = None;
        let Phase::Serving(mut job) = std::mem::replace(&mut self.phase, Phase::Gathering) else {
            unreachable!("just seen")
        };
        self.settle_wants(&job);
        (job.pending, job.free_bytes) = self.awaiting();
        self.enlist(&mut job, actions);
        self.retire_finished(&mut job);
        self.members.iter_mut().for_each(|member| member.offers.clear());
        self.phase = Phase::Serving(job);
        self.admit(actions);
    }

    /// What those want that had START: they told only what they are to write.
    fn settle_wants(&mut self, job: &Job) {
        let (ranks, members) = self.live_members(|member| !member.introduced);
        let (wants, _) = resolve::all_wants(&members, &job.catalogue);
        for (rank, wanted) in ranks.into_iter().zip(wants) {
            let member = &mut self.members[rank.index()];
            if member.destination().is_none() {
                member.wanted_bytes = bytes_of_entries(&job.catalogue, &wanted);
                member.have_bytes = member.have_bytes.min(member.wanted_bytes);
            }
            member.wanted = wanted;
        }
    }

    /// Those that had no START get it now. Nobody writes what another was told to write.
    fn enlist(&mut self, job: &mut Job, actions: &mut Vec<TrackerAction>) {
        let (ranks, members) = self.live_members(|member| member.introduced);
        if ranks.is_empty() {
            return;
        }
        let (wants, _) = resolve::all_wants(&members, &job.catalogue);
        let mut taken: BTreeMap<u128, Bitfield> = BTreeMap::new();
        for writer in self.members.iter().filter(|member| member.is_live() && !member.introduced) {
            let Some(destination) = writer.destination() else { continue };
            let all = || Bitfield::new(job.catalogue.entry_count());
            taken.entry(destination.id).or_insert_with(all).union_with(&writer.assigned);
        }
        let open = members.iter().zip(&wants).map(|((_, member), wanted)| {
            let mut open = wanted.clone();
            let taken = member.destination().and_then(|at| taken.get(&at.id));
            taken.into_iter().for_each(|taken| open.subtract(taken));
            open
        });
        let open: Vec<Bitfield> = open.collect();
        let assigned = resolve::assign(&members, &open, &job.catalogue);
        for ((&rank, wanted), assigned) in ranks.iter().zip(wants).zip(assigned) {
            self.enrol(job, rank, wanted, assigned);
            self.await_survey(job, rank);
        }
        self.say_start(job, &ranks, actions);
    }

    /// What is free was given away without this rank: it is to survey before it writes.
    fn await_survey(&self, job: &mut Job, rank: Rank) {
        let member = &self.members[rank.index()];
        let Some(destination) = member.destination().filter(|_| !member.assigned.is_empty()) else {
            return;
        };
        job.pending.insert(rank, (member.host, destination.file_system));
    }

    /// The ranks that wait for an admission, and what is free where they would write: what was
    /// there at first, less what was given away.
    fn awaiting(&self) -> (BTreeMap<Rank, FileSystem>, BTreeMap<FileSystem, u64>) {
        let mut pending = BTreeMap::new();
        let mut free: BTreeMap<FileSystem, u64> = BTreeMap::new();
        let mut given: BTreeMap<FileSystem, u64> = BTreeMap::new();
        for (at, member) in self.members.iter().enumerate().filter(|(_, member)| member.is_live()) {
            let Some(destination) = member.destination() else { continue };
            let system = (member.host, destination.file_system);
            let bytes = free.entry(system).or_insert(destination.free_bytes);
            *bytes = (*bytes).min(destination.free_bytes);
            if member.awaits_admission {
                pending.insert(Rank(at as u32), system);
            } else {
                *given.entry(system).or_default() += member.need_bytes.unwrap_or(0);
            }
        }
        for (system, bytes) in given {
            free.entry(system).and_modify(|free| *free = free.saturating_sub(bytes));
        }
        (pending, free)
    }

    /// Where somebody still fetches, who has heard FINISH serves nobody any more.
    fn retire_finished(&mut self, job: &mut Job) {
        let fetches = |member: &Member| member.is_live() && !member.has_stopped();
        if !self.members.iter().any(fetches) {
            return;
        }
        for (at, member) in self.members.iter_mut().enumerate().filter(|(_, m)| m.finished) {
            job.lose(Rank(at as u32), member, 0..job.catalogue.piece_count());
        }
    }

    fn live_members(&self, which: impl Fn(&Member) -> bool) -> (Vec<Rank>, Vec<(Rank, &Member)>) {
        let all = self.members.iter().zip(0..).map(|(member, rank)| (Rank(rank), member));
        let members: Vec<_> = all.filter(|(_, m)| m.is_live() && which(m)).collect();
        (members.iter().map(|(rank, _)| *rank).collect(), members)
    }
}

impl Member {
    /// Whether it has recalled a job that this tracker has no catalogue of.
    fn had_start(&self) -> bool {
        self.digest().is_some()
    }

    fn digest(&self) -> Option<u64> {
        self.recalled.iter().find_map(|message| match message {
            ToTracker::Rejoined(rejoined) => rejoined.catalogue,
            _ => None,
        })
    }
}

fn insert(set: &mut Bitfield, spans: &[Span], limit: u32) {
    for range in Span::all_checked(spans, limit) {
        set.insert_range(range);
    }
}
