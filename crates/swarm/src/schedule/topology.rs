//! The hosts and racks as one rank sees them: the locality of each other rank, and this rank's
//! portion of what its host and its rack fetch from afar. It does not know where others stand
//! within their hosts.

use crate::Rank;
use content::Span;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// The distance between two ranks; nearer is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Locality {
    /// On the same host.
    Host,
    /// In the same rack.
    Rack,
    /// In another rack.
    Remote,
}

/// One of several equal portions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Portion {
    /// Its number, from 0.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

/// The hosts and racks, seen from one rank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Topology {
    /// The ranks of this rank's host.
    pub host: Vec<Span>,
    /// The ranks of this rank's rack; none where the job knows of one rack only.
    pub rack: Option<Vec<Span>>,
    /// This rank's portion of what enters its host, among those of the host that want the same.
    pub of_host: Portion,
    /// Its host's portion of what enters its rack, among the hosts of those that want the same.
    pub of_rack: Portion,
}

impl Portion {
    /// All of it.
    pub(super) const WHOLE: Self = Self { index: 0, count: 1 };

    /// More portions than there can be ranks: no portion of so many makes sense.
    const MAX_COUNT: u32 = 1 << 30;

    fn checked(self) -> Self {
        let is_sound = self.index < self.count && self.count <= Self::MAX_COUNT;
        if is_sound { self } else { Self::WHOLE }
    }
}

impl Default for Topology {
    /// A rank alone on its host, with all others in its rack.
    fn default() -> Self {
        Self { host: Vec::new(), rack: None, of_host: Portion::WHOLE, of_rack: Portion::WHOLE }
    }
}

impl Topology {
    /// The most runs of ranks that are told of a host or a rack. A rank that is left out counts as
    /// farther away than it is, which costs time and breaks nothing.
    pub const MAX_SPANS: usize = 1024;

    /// Whether all others are in this rank's rack and none is on its host. That is so in most jobs,
    /// and then nobody need be looked for.
    pub fn is_alone(&self) -> bool {
        self.rack.is_none()
            && match &*self.host {
                [] => true,
                [run] => run.count <= 1,
                runs => runs.iter().map(|run| u64::from(run.count)).sum::<u64>() <= 1,
            }
    }

    /// The same, with portions that can be: one that cannot is taken for the whole.
    pub(crate) fn checked(self) -> Self {
        let (of_host, of_rack) = (self.of_host.checked(), self.of_rack.checked());
        Self { of_host, of_rack, ..self }
    }

    /// The distance to another rank.
    pub fn locality(&self, rank: Rank) -> Locality {
        if self.is_alone() {
            Locality::Rack
        } else if has(&self.host, rank) {
            Locality::Host
        } else if self.rack.as_ref().is_none_or(|rack| has(rack, rank)) {
            Locality::Rack
        } else {
            Locality::Remote
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
        let topology = Topology { host, rack: Some(rack), ..Topology::default() };
        let locality = |rank| topology.locality(Rank(rank));
        assert_eq!([3, 4, 9].map(locality), [Locality::Host; 3]);
        assert_eq!([5, 8].map(locality), [Locality::Rack; 2]);
        assert_eq!([0, 2, 10].map(locality), [Locality::Remote; 3]);
        let one_rack = Topology { rack: None, ..topology };
        assert_eq!(one_rack.locality(Rank(10)), Locality::Rack, "there is one rack");
    }
}
