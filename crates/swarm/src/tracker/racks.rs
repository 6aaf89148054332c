//! Racks that nobody told of, learned from the rates that ranks see.
//!
//! Who sees two groups among its holders, near ones and far ones, says so. Where several do, all
//! are asked how long pieces take from whom, and where that shows racks (`nearness.rs`) each rank
//! is told where it stands, as START would have said it. Where it does not, they are asked again
//! later: uplinks are slow only while they are full. Nobody who sees nothing is ever asked, so a
//! job on one switch pays nothing.

mod learning;

pub(super) use learning::RackLearning;

use super::places::Places;
use super::{Phase, Tracker, TrackerAction};
use crate::message::{FromTracker, Rate};
use crate::{Instant, Purpose, Rank};
use learning::{Racks, Step};

impl Tracker {
    /// A rank tells how long pieces take from its holders.
    pub(super) fn on_rates(&mut self, from: Rank, rates: Vec<Rate>) {
        let told = self.racks.len() > 1 || self.config.purpose != Purpose::Transfer;
        if !matches!(self.phase, Phase::Serving(_)) || told {
            return;
        }
        let is_other = |rate: &Rate| rate.rank.0 < self.config.ranks && rate.rank != from;
        let rates = rates.into_iter().filter(is_other).take(Rate::MAX_TOLD);
        self.learning.take(from, rates.collect());
    }

    /// Asks for rates, and tells of racks once all had the time to answer.
    pub(super) fn learn_racks(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) {
        if !matches!(self.phase, Phase::Serving(_)) {
            return;
        }
        match self.learning.advance(now, &self.members) {
            Some(Step::Ask) => self.tell_live(&FromTracker::TellRates, actions),
            Some(Step::Tell(racks)) => self.tell_racks(&racks, actions),
            None => {}
        }
    }

    /// Tells all where they stand.
    fn tell_racks(&mut self, racks: &Racks, actions: &mut Vec<TrackerAction>) {
        for member in &mut self.members {
            member.move_to(racks.of_host(member.host()));
        }
        let Phase::Serving(job) = &self.phase else { return };
        let places = Places::of(&self.members, &job.catalogue);
        for to in (0..self.config.ranks).map(Rank) {
            if let Some((neighbours, topology)) = places.topology(to, &self.members[to.index()]) {
                let message = FromTracker::Moved { neighbours, topology: Box::new(topology) };
                actions.push(TrackerAction::Send { to, message });
            }
        }
        let count = racks.count();
        let text = format!(
            "by the rates that ranks see, the hosts stand in {count} racks; say rack = \"NAME\" in \
             the plan, and none of the time is spent on finding that out"
        );
        actions.push(TrackerAction::Notice(text.into()));
    }
}
