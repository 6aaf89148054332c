//! A tracker that took over: what its peers told the lost one they tell again.
//!
//! Whoever had START recalls what it has and does, in the catalogue's numbers; whoever had not
//! introduces itself as at first. Where this rank had no START itself, one that had recites the
//! catalogue. A job that nobody had START of begins anew. Questions are answered at once, from what
//! is known; but only when every live rank has rejoined are the rest given their START, is space
//! given away, and can a piece be said to be gone.

use super::gather::bytes_of_entries;
use super::job::{FileSystem, Job};
use super::member::{Member, Recollection, Serving};
use super::{Phase, RollCall, Tracker, TrackerAction, TrackerConfig, resolve};
use crate::message::{FromTracker, Recall, Rejoined, ToTracker};
use crate::{Instant, Outcome, Rank, Succession};
use content::{Bitfield, Catalogue, Entry, Span};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who has rejoined, until every live rank has.
#[derive(Debug, Default)]
pub(super) struct Roster {
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
        tracker.members.iter_mut().for_each(|member| *member = Member::rejoining(now));
        tracker.roster = Some(Box::default());
        // The lost ones, too: if they wake, they must know.
        let others = (0..tracker.config.ranks).map(Rank).filter(|&rank| rank != own);
        let reign = |to| TrackerAction::Send { to, message: FromTracker::Reign };
        let mut actions: Vec<TrackerAction> = others.map(reign).collect();
        for (&rank, why) in &succession.lost {
            let Some(member) = tracker.members.get_mut(rank.index()) else { continue };
            member.lose(now, why.clone());
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
            // Nobody has recalled anything yet.
            tracker.serve(succession.started.unwrap_or(now), catalogue);
        }
        tracker.count_sent(&actions);
        (tracker, actions)
    }

    /// The catalogue is known: the job that it belongs to goes on. Gives what each rank recalled of
    /// it before.
    fn serve(&mut self, started: Instant, catalogue: Arc<Catalogue>) -> Vec<Recollection> {
        let recalled = self.members.iter_mut().map(|member| member.open(&catalogue)).collect();
        if let Some(roster) = &mut self.roster {
            roster.digest = Some(Rejoined::digest(&catalogue));
        }
        self.phase = Phase::Serving(Box::new(Job::new(catalogue, self.config.spread)));
        self.roll = RollCall::default();
        self.started = Some(started);
        recalled
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
            ToTracker::Introduced => self.on_introduced(now, from, actions),
            ToTracker::Recall(recall) => self.on_recall(now, from, recall, actions),
            ToTracker::Rejoined(rejoined) => self.on_rejoined(now, from, rejoined, actions),
            ToTracker::Entries(entries) => self.on_entries(from, entries),
            ToTracker::Recited => self.on_recited(now, from, actions),
            ToTracker::HelloPart(_)
            | ToTracker::Hello(_)
            | ToTracker::Offers(_)
            | ToTracker::Unsteady(_)
            | ToTracker::LeftOut(_)
            | ToTracker::Trouble(_) => self.take(now, from, message, actions),
            // Told once, perhaps before all else: it travels on a channel of its own.
            ToTracker::Counters(counters) => {
                self.members[from.index()].take_counters(counters);
            }
            ToTracker::Update(ref gains) if gains.is_empty() => {
                self.take(now, from, message, actions);
            }
            message => self.members[from.index()].keep_waiting(message),
        }
    }

    /// A rank has said all that it offers.
    fn on_introduced(&mut self, now: Instant, from: Rank, actions: &mut Vec<TrackerAction>) {
        let waiting = self.members[from.index()].introduce();
        self.join(now, from, waiting, actions);
    }

    /// All is known that a rank had to say again: what it said meanwhile counts now.
    fn join(
        &mut self,
        now: Instant,
        rank: Rank,
        waiting: Vec<ToTracker>,
        actions: &mut Vec<TrackerAction>,
    ) {
        self.number_place(rank);
        for message in waiting {
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
            member.recall_reads(&recall.read);
        }
        let (Phase::Serving(job), Some(serving)) = (&mut self.phase, member.serving_mut()) else {
            return member.keep_recall(recall);
        };
        serving.take_recall(&recall);
        for range in Span::all_checked(&recall.pieces, job.catalogue.piece_count()) {
            job.gain(from, serving, range);
        }
    }

    fn on_rejoined(
        &mut self,
        now: Instant,
        from: Rank,
        rejoined: Box<Rejoined>,
        actions: &mut Vec<TrackerAction>,
    ) {
        let Some(roster) = &mut self.roster else { return };
        if matches!(self.phase, Phase::Collecting { .. } | Phase::Ended) {
            return;
        }
        if rejoined.given_up {
            return self.on_lost(now, from, "it was given up before", actions);
        }
        let Some(digest) = rejoined.catalogue else {
            return self.on_ended(now, from, rejoined.finished, actions);
        };
        if roster.digest.is_some_and(|known| known != digest) {
            return self.on_lost(now, from, "it has another catalogue", actions);
        }
        let member = &mut self.members[from.index()];
        let (Phase::Serving(job), Some(serving)) = (&self.phase, member.serving_mut()) else {
            member.keep_rejoined(rejoined);
            return self.ask_for_catalogue(actions);
        };
        let wanted_bytes = bytes_of_entries(&job.catalogue, serving.assigned());
        serving.take_rejoined(now, *rejoined, wanted_bytes);
        let waiting = member.rejoin();
        self.join(now, from, waiting, actions);
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
        member.serving_mut().into_iter().for_each(|serving| serving.take_finished(now));
        let waiting = member.rejoin();
        self.join(now, from, waiting, actions);
    }

    /// Asks the lowest live rank that had START for the catalogue.
    fn ask_for_catalogue(&mut self, actions: &mut Vec<TrackerAction>) {
        let Some(roster) = self.roster.as_mut().filter(|r| r.reciter.is_none()) else {
            return;
        };
        let knows = |(_, member): &(usize, &Member)| {
            member.is_live() && member.recalled_catalogue().is_some()
        };
        let Some((rank, _)) = self.members.iter().enumerate().find(knows) else { return };
        let to = Rank(rank as u32);
        roster.reciter = Some(to);
        roster.recited.clear();
        actions.push(TrackerAction::Send { to, message: FromTracker::Recite });
    }

    /// A rank is lost before START: another is asked for the catalogue, if it was asked.
    pub(super) fn miss_reciter(&mut self, rank: Rank, actions: &mut Vec<TrackerAction>) {
        if let Some(roster) = self.roster.as_mut().filter(|r| r.reciter == Some(rank)) {
            roster.reciter = None;
            self.ask_for_catalogue(actions);
        }
    }

    fn on_entries(&mut self, from: Rank, entries: Vec<Entry>) {
        if let Some(roster) = self.roster.as_mut().filter(|r| r.reciter == Some(from))
            && roster.recited.len() + entries.len() <= Catalogue::MAX_ENTRIES
        {
            roster.recited.extend(entries);
        }
    }

    /// The catalogue is told: what was recalled makes sense now.
    fn on_recited(&mut self, now: Instant, from: Rank, actions: &mut Vec<TrackerAction>) {
        // A job that was interrupted meanwhile does not begin again.
        let is_gathering = matches!(self.phase, Phase::Gathering);
        let Some(roster) =
            self.roster.as_mut().filter(|it| is_gathering && it.reciter == Some(from))
        else {
            return;
        };
        let told = self.members[from.index()].recalled_catalogue();
        let catalogue = Catalogue::new(std::mem::take(&mut roster.recited)).ok();
        let whole = |catalogue: &Catalogue| Some(Rejoined::digest(catalogue)) == told;
        let Some(catalogue) = catalogue.filter(whole) else {
            return self.on_lost(now, from, "it has no whole catalogue", actions);
        };
        let recalled = self.serve(now, Arc::new(catalogue));
        for (rank, recollection) in (0..).map(Rank).zip(recalled) {
            for message in recollection.into_messages() {
                if self.members[rank.index()].is_live() {
                    self.welcome(now, rank, message, actions);
                }
            }
        }
    }

    /// Once every live rank has rejoined a job that goes on: who had no START gets it, and space is
    /// given away.
    pub(super) fn complete_roster(&mut self, actions: &mut Vec<TrackerAction>) {
        let (Some(roster), Phase::Serving(_)) = (&mut self.roster, &self.phase) else {
            return;
        };
        if !roster.roll.all(&self.members, Member::has_joined) {
            return;
        }
        self.roster = None;
        let Phase::Serving(mut job) = std::mem::replace(&mut self.phase, Phase::Gathering) else {
            unreachable!("just seen")
        };
        self.settle_wants(&job);
        (job.pending, job.free_bytes) = self.awaiting();
        self.enlist(&mut job, actions);
        self.retire_finished(&mut job);
        self.members.iter_mut().for_each(|member| member.serve(&job.catalogue));
        self.phase = Phase::Serving(job);
        self.admit(actions);
    }

    /// What those want that had START: they told only what they are to write.
    fn settle_wants(&mut self, job: &Job) {
        let (ranks, members) = self.live_members(|member| !member.is_latecomer());
        let (wants, _) = resolve::all_wants(&members, &job.catalogue);
        for (rank, wanted) in ranks.into_iter().zip(wants) {
            let member = &mut self.members[rank.index()];
            let receives = member.destination().is_some();
            let Some(serving) = member.serving_mut() else { continue };
            if !receives {
                serving.want_bytes(bytes_of_entries(&job.catalogue, &wanted));
            }
            serving.want(wanted);
        }
    }

    /// Those that had no START get it now. Nobody writes what another was told to write.
    fn enlist(&mut self, job: &mut Job, actions: &mut Vec<TrackerAction>) {
        let (ranks, members) = self.live_members(Member::is_latecomer);
        if ranks.is_empty() {
            return;
        }
        let (wants, _) = resolve::all_wants(&members, &job.catalogue);
        let mut taken: BTreeMap<u128, Bitfield> = BTreeMap::new();
        let writers = self.members.iter().filter(|it| it.is_live() && !it.is_latecomer());
        for writer in writers {
            let assigned = writer.serving().map(Serving::assigned);
            let Some((destination, assigned)) = writer.destination().zip(assigned) else {
                continue;
            };
            let all = || Bitfield::new(job.catalogue.entry_count());
            taken.entry(destination.id).or_insert_with(all).union_with(assigned);
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
        let Some(destination) = member.destination().filter(|_| member.writes()) else {
            return;
        };
        job.pending.insert(rank, (member.host(), destination.file_system));
    }

    /// The ranks that wait for an admission, and what is free where they would write: what was
    /// there at first, less what was given away.
    fn awaiting(&self) -> (BTreeMap<Rank, FileSystem>, BTreeMap<FileSystem, u64>) {
        let mut pending = BTreeMap::new();
        let mut free: BTreeMap<FileSystem, u64> = BTreeMap::new();
        let mut given: BTreeMap<FileSystem, u64> = BTreeMap::new();
        for (at, member) in self.members.iter().enumerate().filter(|(_, member)| member.is_live()) {
            let Some(destination) = member.destination() else { continue };
            let system = (member.host(), destination.file_system);
            let bytes = free.entry(system).or_insert(destination.free_bytes);
            *bytes = (*bytes).min(destination.free_bytes);
            if member.serving().is_some_and(Serving::awaits_admission) {
                pending.insert(Rank(at as u32), system);
            } else {
                *given.entry(system).or_default() +=
                    member.serving().and_then(Serving::need_bytes).unwrap_or(0);
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
        for (at, member) in self.members.iter_mut().enumerate() {
            if let Some(serving) = member.serving_mut().filter(|it| it.is_finished()) {
                job.lose_all(Rank(at as u32), serving);
            }
        }
    }

    fn live_members(&self, which: impl Fn(&Member) -> bool) -> (Vec<Rank>, Vec<(Rank, &Member)>) {
        let all = self.members.iter().zip(0..).map(|(member, rank)| (Rank(rank), member));
        let members: Vec<_> = all.filter(|(_, m)| m.is_live() && which(m)).collect();
        (members.iter().map(|(rank, _)| *rank).collect(), members)
    }
}
