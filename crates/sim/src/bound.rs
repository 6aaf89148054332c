//! The least time in which anything could do a job: what its makespan is measured against.

use crate::fault::FaultKind;
use crate::scenario::Scenario;

/// How fast each rank's link is, as a share of an equal one; slow from the start counts.
struct Rates {
    up: Vec<f64>,
    down: Vec<f64>,
}

impl Rates {
    /// By host, the fastest of its ranks: pieces of one may come from its neighbours.
    fn of(scenario: &Scenario) -> Self {
        let hosts = scenario.hosts.min(scenario.peers) as usize;
        let mut rates = Self { up: vec![0.0; hosts], down: vec![0.0; hosts] };
        let mut slowness = vec![1.0; scenario.peers as usize + 1];
        for fault in scenario.all_faults().into_iter().filter(|fault| fault.at == 0) {
            if let FaultKind::Slow(factor) = fault.kind {
                slowness[fault.rank as usize] = factor as f64;
            }
        }
        let links = scenario.links_of_ranks();
        for rank in 1..=scenario.peers {
            let host = scenario.host_of(rank) as usize;
            let (up, down) = links[rank as usize];
            let slow = 1000.0 * slowness[rank as usize];
            rates.up[host] = rates.up[host].max(f64::from(up) / slow);
            rates.down[host] = rates.down[host].max(f64::from(down) / slow);
        }
        rates
    }
}

impl Scenario {
    /// The least number of rounds in which anything could do it: `n − 1 + ⌈log2 h⌉` for `n` pieces,
    /// one seeder and `h` hosts; for several seeders the last piece goes out first in round `n / k`
    /// and spreads from `k` hosts. Neither a host that receives all, nor a rack that all must
    /// enter, is faster than its link. Links of other rates count with their rates, rounded down;
    /// of the faults only a slowness from the start counts.
    pub fn bound(&self) -> u64 {
        let pieces = f64::from(self.pieces);
        let hosts = u64::from(self.hosts.min(self.peers));
        let sources = u64::from(self.seeders).min(hosts);
        if sources == hosts {
            return 0;
        }
        let rates = Rates::of(self);
        // Ranks are dealt to the hosts in turn, so the first hosts have the seeders.
        let (seeding, fetching) = (&rates.up[..sources as usize], &rates.down[sources as usize..]);
        let spread = (hosts.div_ceil(sources) as f64).log2().ceil() - 1.0;
        let equal = seeding.iter().all(|&rate| rate == 1.0);
        let left = pieces / seeding.iter().sum::<f64>();
        let left = if equal { left.ceil() } else { left };
        let fastest = rates.up.iter().copied().fold(0.0, f64::max);
        let slowest = fetching.iter().copied().fold(f64::INFINITY, f64::min);
        let seeded_racks = (1..=self.seeders).map(|rank| self.rack_of(rank)).max();
        let entered = seeded_racks.is_some_and(|last| last + 1 < self.racks);
        let uplink = if entered { (pieces / f64::from(self.uplink)).ceil() } else { 0.0 };
        (left + spread / fastest).max(pieces / slowest).max(uplink) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(change: impl Fn(&mut Scenario)) -> u64 {
        let mut scenario = Scenario::new(8, 100);
        change(&mut scenario);
        scenario.check().unwrap();
        scenario.bound()
    }

    #[test]
    fn equal_links_are_bound_by_the_contract() {
        assert_eq!(bound(|_| ()), 100 - 1 + 3);
        assert_eq!(bound(|s| s.hosts = 4), 100 - 1 + 2);
        assert_eq!(bound(|s| s.seeders = 4), 100, "each receives one at a time");
        assert_eq!(bound(|s| (s.racks, s.uplink) = (2, 1)), 102);
        assert_eq!(bound(|s| (s.hosts, s.seeders) = (4, 4)), 0);
    }

    #[test]
    fn a_link_slower_than_the_others_bounds_the_job() {
        let links = |text: &str| vec![text.parse().unwrap()];
        assert_eq!(bound(|s| s.links = links("3=1/0.5")), 200, "it receives");
        assert_eq!(bound(|s| s.links = links("3=0.5/1")), 102, "nobody needs it to send");
        assert_eq!(bound(|s| s.links = links("1=0.5")), 202, "it is the only seeder");
        assert_eq!(bound(|s| s.links = links("1-8=2")), 51);
        assert_eq!(bound(|s| s.faults = vec!["slow:3@0:10".parse().unwrap()]), 1000);
        assert_eq!(bound(|s| s.faults = vec!["slow:3@1:10".parse().unwrap()]), 102);
    }
}
