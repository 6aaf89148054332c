//! Where a rank stands among the others, and what of its host's and its rack's downloads is its.

use crate::Rank;
use content::Span;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// How near a rank is to another; nearer ones are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// On the same host.
    Host,
    /// In the same rack.
    Rack,
    /// In another rack.
    Far,
}

/// One of several equal shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Its number, from 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

/// Where a rank stands, as START says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The ranks of its host.
    pub host: Vec<Span>,
    /// The ranks of its rack; none where the job knows of one rack only.
    pub rack: Option<Vec<Span>>,
    /// Its share of what enters its host, among those of the host that want the same.
    pub of_host: Share,
    /// Its host's share of what enters its rack, among the hosts of those that want the same.
    pub of_rack: Share,
}

impl Default for Place {
    /// Alone on its host, and all others in its rack.
    fn default() -> Self {
        let whole = Share { index: 0, count: 1 };
        Self { host: Vec::new(), rack: None, of_host: whole, of_rack: whole }
    }
}

impl Place {
    /// Runs of ranks that are told of a host or a rack at most. Who is left out counts as farther
    /// away than it is, which costs time and breaks nothing.
    pub const MAX_SPANS: usize = 1024;

    /// Whether all others are in this rank's rack and none is on its host: in most jobs, and then
    /// nobody need be looked for.
    pub fn is_alone(&self) -> bool {
        let on_host: u64 = self.host.iter().map(|run| u64::from(run.count)).sum();
        on_host <= 1 && self.rack.is_none()
    }

    /// How near another rank is.
    pub fn nearness(&self, rank: Rank) -> Nearness {
        if has(&self.host, rank) {
            Nearness::Host
        } else if self.rack.as_ref().is_none_or(|rack| has(rack, rank)) {
            Nearness::Rack
        } else {
            Nearness::Far
        }
    }
}

/// Whether a rank is in one of some ascending runs.
fn has(runs: &[Span], rank: Rank) -> bool {
    let side = |run: &Span| match () {
        () if rank.0 < run.first => Ordering::Greater,
        () if rank.0 > run.last() => Ordering::Less,
        () => Ordering::Equal,
    };
    runs.binary_search_by(side).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_on_the_host_in_the_rack_or_far() {
        let span = |first, count| Span { first, count };
        let host = vec![span(3, 2), span(9, 1)];
        let rack = vec![span(3, 7)];
        let place = Place { host, rack: Some(rack), ..Place::default() };
        let nearness = |rank| place.nearness(Rank(rank));
        assert_eq!([3, 4, 9].map(nearness), [Nearness::Host; 3]);
        assert_eq!([5, 8].map(nearness), [Nearness::Rack; 2]);
        assert_eq!([0, 2, 10].map(nearness), [Nearness::Far; 3]);
        let alone = Place { rack: None, ..place };
        assert_eq!(alone.nearness(Rank(10)), Nearness::Rack, "there is one rack");
    }
}
