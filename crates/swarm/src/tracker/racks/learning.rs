//! When ranks are asked how long pieces take, and what their answers show of racks. Sends nothing.

use crate::message::Rate;
use crate::tracker::member::Member;
use crate::tracker::nearness::{self, Row};
use crate::{Instant, Rank};
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
pub(in crate::tracker) struct RackLearning {
    rates: BTreeMap<Rank, Vec<Rate>>,
    /// Ranks that saw two groups.
    seeing: BTreeSet<Rank>,
    /// Since when all have been asked.
    asked: Option<Instant>,
    times: u32,
    rest_until: Instant,
    /// How many racks were found.
    found: u32,
}

/// The next thing to do.
#[derive(Debug)]
pub(super) enum Step {
    /// All are to tell their rates.
    Ask,
    /// More racks were found than before: all are to hear where they stand.
    Tell(Racks),
}

/// Where hosts stand.
#[derive(Debug)]
pub(super) struct Racks {
    by_host: BTreeMap<u32, u32>,
    count: u32,
}

impl Racks {
    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The rack of a host. A host that fits none stands alone: then it fetches for itself, as
    /// before.
    pub(super) fn of_host(&self, host: u32) -> u32 {
        self.by_host.get(&host).copied().unwrap_or(self.count + host)
    }
}

impl RackLearning {
    /// A rank tells how long pieces take from its holders: asked, or because it sees two groups.
    pub(super) fn take(&mut self, from: Rank, rates: Vec<Rate>) {
        self.rates.insert(from, rates);
        if self.asked.is_none() {
            self.seeing.insert(from);
        }
    }

    /// What is to be done now, if anything: to ask, or once all had the time to answer, to tell.
    pub(super) fn advance(&mut self, now: Instant, members: &[Member]) -> Option<Step> {
        if self.seeing.len() < LEAST_SEEING {
            return None;
        }
        match self.asked {
            Some(asked) if now.since(asked) >= WAIT => {
                self.asked = None;
                self.rest_until = now + REST * 2u32.pow(self.times - 1);
                self.find(members).map(Step::Tell)
            }
            None if now >= self.rest_until && self.times < MAX_ASKED => {
                let fetching = members.iter().filter(|it| it.is_live() && it.fetches()).count();
                if self.seeing.len() * SEEING_PART < fetching {
                    return None;
                }
                self.asked = Some(now);
                self.times += 1;
                Some(Step::Ask)
            }
            _ => None,
        }
    }

    /// The racks that the rates show, where those are more than before: two that looked like one
    /// show later, for what is between them stays full.
    fn find(&mut self, members: &[Member]) -> Option<Racks> {
        let by_host = nearness::racks(&self.take_rows(members)).unwrap_or_default();
        let count = by_host.values().max().map_or(0, |last| last + 1);
        if count <= self.found {
            return None;
        }
        self.found = count;
        Some(Racks { by_host, count })
    }

    /// How long a piece takes between hosts, the least of their ranks.
    fn take_rows(&mut self, members: &[Member]) -> BTreeMap<u32, Row> {
        let mut rows: BTreeMap<u32, Row> = BTreeMap::new();
        for (from, rates) in std::mem::take(&mut self.rates) {
            let host = members[from.index()].host();
            let row = rows.entry(host).or_default();
            for Rate { rank, micros } in rates {
                let other = &members[rank.index()];
                if other.is_live() && other.host() != host {
                    let least = row.entry(other.host()).or_insert(micros);
                    *least = micros.min(*least);
                }
            }
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::member::Standing;

    fn members() -> Vec<Member> {
        (0..4).map(|_| Member::new(Standing::Live, Instant::ZERO)).collect()
    }

    #[test]
    fn nobody_is_asked_where_one_rank_alone_sees_two_groups() {
        let mut learning = RackLearning::default();
        learning.take(Rank(1), Vec::new());
        assert!(learning.advance(Instant::ZERO + REST, &members()).is_none());
        learning.take(Rank(2), Vec::new());
        let step = learning.advance(Instant::ZERO + REST, &members());
        assert!(matches!(step, Some(Step::Ask)));
    }

    #[test]
    fn where_no_racks_show_all_are_asked_a_few_times_after_ever_longer_rests() {
        let (mut learning, members) = (RackLearning::default(), members());
        [1, 2].into_iter().for_each(|rank| learning.take(Rank(rank), Vec::new()));
        let mut asked = Vec::new();
        for at in 0..4000 {
            let now = Instant::ZERO + Duration::from_millis(at * 10);
            match learning.advance(now, &members) {
                Some(Step::Ask) => asked.push(now),
                Some(Step::Tell(racks)) => panic!("{racks:?}"),
                None => {}
            }
        }
        let rests: Vec<Duration> = asked.windows(2).map(|two| two[1].since(two[0])).collect();
        let grown = (0..MAX_ASKED - 1).map(|times| WAIT + REST * 2u32.pow(times));
        assert_eq!(rests, grown.collect::<Vec<_>>());
    }
}
