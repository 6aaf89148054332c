//! Who is lost, and what follows from it: ranks that died or were silent for too long, and the
//! tracker's own sleep.

use super::{Phase, Tracker, TrackerAction, report};
use crate::message::FromTracker;
use crate::time::asleep;
use crate::{Instant, Outcome, Rank};
use std::time::Duration;

impl Tracker {
    pub(super) fn on_lost(
        &mut self,
        now: Instant,
        rank: Rank,
        why: &str,
        actions: &mut Vec<TrackerAction>,
    ) {
        let Some(member) = self.members.get_mut(rank.index()) else { return };
        if !member.is_live() || rank == self.config.rank {
            return;
        }
        member.lose(now, why.to_owned());
        let mut held = None;
        match &mut self.phase {
            Phase::Ended => {}
            Phase::Gathering => {
                self.tell_live(&FromTracker::Lost(rank), actions);
                self.miss_reciter(rank, actions);
                self.miss_reader(now, rank, actions);
            }
            Phase::Serving(job) => {
                if let Some(serving) = member.serving_mut() {
                    held = Some(serving.holdings().clone());
                    job.lose_all(rank, serving);
                }
                self.tell_live(&FromTracker::Lost(rank), actions);
                self.admit(actions);
            }
            Phase::Collecting { job, outcome, reasons, .. } => {
                // All were told how the job ended, and that MPI can be finalized: no more.
                if let Some(job) = job.as_mut().filter(|_| *outcome != Outcome::Refused) {
                    member.serving_mut().into_iter().for_each(|it| job.lose_all(rank, it));
                    (*outcome, *reasons) = report::judge(self.config.purpose, job, &self.members);
                }
                let outcome = *outcome;
                self.tell_live(&FromTracker::Lost(rank), actions);
                self.tell_live(&FromTracker::Finish { outcome, lost: true }, actions);
            }
        }
        actions.push(TrackerAction::Notice(format!("rank {rank} is lost: {why}").into()));
        if let Some(held) = held {
            self.read_again(rank, held, actions);
        }
    }

    /// Tells a rank that was given up, and wakes, to end its part. It stays until all others end:
    /// a launcher may take the exit of one for the end of the job.
    pub(super) fn dismiss(&self, rank: Rank, actions: &mut Vec<TrackerAction>) {
        let mut say = |message| actions.push(TrackerAction::Send { to: rank, message });
        say(FromTracker::GivenUp);
        say(FromTracker::Finish { outcome: Outcome::Degraded, lost: true });
        if self.has_ended() {
            say(FromTracker::End);
        }
    }

    pub(super) fn on_tick(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) {
        self.hurry(now, actions);
        self.learn_racks(now, actions);
        if now < self.next_look || self.has_ended() {
            return;
        }
        let patience = self.config.patience;
        self.next_look = now + patience / 8;
        self.lose_silent(now, patience, actions);
        self.tell_refusals(now, actions);
        self.hurry_readers(now, actions);
        if let Phase::Collecting { finished, .. } = self.phase
            && now.since(finished) > patience
            && now >= self.not_before
        {
            // Whoever lives, and still cleans up, has given several signs of life since FINISH.
            self.lose_silent(now, patience / 2, actions);
            self.end(actions);
        }
    }

    /// While this rank was stopped (a job suspended as a whole, a debugger) it heard nothing, and
    /// the others are not to blame. They may have given it up, or be about to: it says that it
    /// lives, and concludes nothing before the word of another tracker must have come.
    pub(super) fn excuse_own_sleep(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) {
        let patience = self.config.patience;
        let slept = asleep(self.last_event, now, patience);
        self.last_event = now;
        if slept.is_zero() || self.has_ended() {
            return;
        }
        for member in &mut self.members {
            member.excuse(slept, now);
        }
        if let Phase::Collecting { finished, .. } = &mut self.phase {
            *finished = *finished + slept;
        }
        self.not_before = now + patience / 8;
        self.tell_live(&FromTracker::Alive, actions);
    }

    fn lose_silent(&mut self, now: Instant, limit: Duration, actions: &mut Vec<TrackerAction>) {
        let own = self.config.rank;
        let silent: Vec<Rank> = (0..self.config.ranks)
            .map(Rank)
            .filter(|&rank| rank != own && self.members[rank.index()].is_silent(now, limit))
            .collect();
        for rank in silent {
            let why = format!("silent for more than {} s", limit.as_secs_f64());
            self.on_lost(now, rank, &why, actions);
        }
    }
}
