//! Racks that nobody told of, learned from the rates that ranks see.
//!
//! Who sees two groups among its holders, near ones and far ones, says so. Where several do, all
//! are asked how long pieces take from whom, and where that shows racks (`nearness.rs`) each rank
//! is told where it stands, as START would have said it. Where it does not, they are asked again
//! later: uplinks are slow only while they are full. Nobody who sees nothing is ever asked, so a
//! job on one switch pays nothing.

use super::nearness::{self, Row};
use super::places::Places;
use super::{Phase, Tracker, TrackerAction};
use crate::message::{FromTracker, Rate};
use crate::{Instant, Purpose, Rank};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// All have so long to tell their rates.
const WAIT: Duration = Duration::from_millis(250);
/// Where no racks are seen all are asked again after this time, then after twice that, ...
const REST: Duration = Duration::from_millis(500);
/// ... and so often in all.
const MAX_ASKED: u32 = 6;

/// At least so many ranks must see two groups, ...
const LEAST_SEEING: usize = 2;
/// ... and one of so many that fetch.
const SEEING_PART: usize = 8;

/// What is known of the rates that ranks see.
#[derive(Debug, Default)]
pub(super) struct Learning {
    rates: BTreeMap<Rank, Vec<Rate>>,
    /// Who saw two groups.
    seeing: BTreeSet<Rank>,
    /// Since when all have been asked.
    asked: Option<Instant>,
    times: u32,
    rest_until: Instant,
    /// How many racks were found.
    found: u32,
}

impl Tracker {
    /// A rank tells how long pieces take from its holders.
    pub(super) fn on_rates(&mut self, from: Rank, rates: Vec<Rate>) {
        let told = self.racks.len() > 1 || self.config.purpose != Purpose::Transfer;
        let learning = &mut self.learning;
        if !matches!(self.phase, Phase::Serving(_)) || told {
            return;
        }
        let is_other = |rate: &Rate| rate.rank.0 < self.config.ranks && rate.rank != from;
        let rates = rates.into_iter().filter(is_other).take(Rate::MAX_TOLD);
        learning.rates.insert(from, rates.collect());
        if learning.asked.is_none() {
            learning.seeing.insert(from);
        }
    }

    /// Asks for rates, and looks for racks once all had the time to answer.
    pub(super) fn learn_racks(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) {
        let learning = &mut self.learning;
        if learning.seeing.len() < LEAST_SEEING {
            return;
        }
        match (&self.phase, learning.asked) {
            (Phase::Serving(_), Some(asked)) if now.since(asked) >= WAIT => {
                learning.asked = None;
                learning.rest_until = now + REST * 2u32.pow(learning.times - 1);
                let racks = nearness::racks(&self.rows()).unwrap_or_default();
                let count = racks.values().max().map_or(0, |last| last + 1);
                // Two that looked like one show later: what is between them stays full.
                if count > self.learning.found {
                    self.learning.found = count;
                    self.tell_racks(&racks, count, actions);
                }
            }
            (Phase::Serving(_), None)
                if now >= learning.rest_until && learning.times < MAX_ASKED =>
            {
                let fetching =
                    self.members.iter().filter(|it| it.is_live() && it.fetches()).count();
                if learning.seeing.len() * SEEING_PART >= fetching {
                    learning.asked = Some(now);
                    learning.times += 1;
                    self.tell_live(&FromTracker::TellRates, actions);
                }
            }
            _ => {}
        }
    }

    /// How long a piece takes between hosts, the least of their ranks.
    fn rows(&mut self) -> BTreeMap<u32, Row> {
        let mut rows: BTreeMap<u32, Row> = BTreeMap::new();
        for (from, rates) in std::mem::take(&mut self.learning.rates) {
            let host = self.members[from.index()].host();
            let row = rows.entry(host).or_default();
            for Rate { rank, micros } in rates {
                let other = &self.members[rank.index()];
                if other.is_live() && other.host() != host {
                    let least = row.entry(other.host()).or_insert(micros);
                    *least = micros.min(*least);
                }
            }
        }
        rows
    }

    /// Tells all where they stand. A host that fits no rack stands alone: then it fetches for
    /// itself, as before.
    fn tell_racks(
        &mut self,
        racks: &BTreeMap<u32, u32>,
        count: u32,
        actions: &mut Vec<TrackerAction>,
    ) {
        for member in &mut self.members {
            let host = member.host();
            member.move_to(racks.get(&host).copied().unwrap_or(count + host));
        }
        let Phase::Serving(job) = &self.phase else { return };
        let places = Places::of(&self.members, &job.catalogue);
        for to in (0..self.config.ranks).map(Rank) {
            if let Some((neighbours, topology)) = places.topology(to, &self.members[to.index()]) {
                let message = FromTracker::Moved { neighbours, topology: Box::new(topology) };
                actions.push(TrackerAction::Send { to, message });
            }
        }
        let text = format!(
            "by the rates that ranks see, the hosts stand in {count} racks; say rack = \"NAME\" in \
             the plan, and none of the time is spent on finding that out"
        );
        actions.push(TrackerAction::Notice(text.into()));
    }
}
