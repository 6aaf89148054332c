//! Whom each peer asks for a large catalogue: ranks that need it too, and get it sooner.
//!
//! The peers make a tree: those of a host below its first, the hosts of a rack below the rack's
//! first, the racks below the tracker. So it leaves the tracker twice at most, and enters each rack
//! and each host once, and no rank sends it to more than six. Whoever has something to give stands
//! first, for the others wait for it. The tracker answers whoever got nothing from those above it.

use super::{Phase, Tracker, TrackerAction};
use crate::Rank;
use crate::message::FromTracker;
use content::Hash;
use std::collections::BTreeMap;

/// Ranks, hosts or racks directly below each: the fewest copies that one link carries in a tree
/// that is still flat.
const BELOW: usize = 2;

/// A host's ranks, or what stands below a rack's or the tracker's place.
type Hosts = Vec<Vec<Rank>>;

impl Tracker {
    /// For each of some ranks whom it is to ask, the nearest first. Whoever asks only the tracker
    /// has none.
    pub(super) fn sources(&self, ranks: &[Rank]) -> BTreeMap<Rank, Vec<Rank>> {
        let mut order: Vec<Rank> =
            ranks.iter().copied().filter(|&rank| rank != self.config.rank).collect();
        order.sort_by_key(|rank| (!self.members[rank.index()].holds_any(), *rank));
        let mut racks: Vec<Hosts> = Vec::new();
        let (mut rack_at, mut host_at) = (BTreeMap::new(), BTreeMap::new());
        for rank in order {
            let member = &self.members[rank.index()];
            let at = *rack_at.entry(member.rack()).or_insert(racks.len());
            if at == racks.len() {
                racks.push(Vec::new());
            }
            let hosts = &mut racks[at];
            let at = *host_at.entry((member.rack(), member.host())).or_insert(hosts.len());
            if at == hosts.len() {
                hosts.push(Vec::new());
            }
            hosts[at].push(rank);
        }
        chains(&racks)
    }

    /// Gives a rank a part of the catalogue: it is one of the first, or got it from nobody.
    pub(super) fn on_ask_part(&self, from: Rank, hash: Hash, actions: &mut Vec<TrackerAction>) {
        let Phase::Serving(job) = &self.phase else { return };
        let part = job.shelf.as_ref().and_then(|shelf| shelf.part(&job.catalogue, hash));
        if let Some(entries) = part {
            let message = FromTracker::Part { hash, entries };
            actions.push(TrackerAction::Send { to: from, message });
        }
    }
}

/// For each rank all that stand above it.
fn chains(racks: &[Hosts]) -> BTreeMap<Rank, Vec<Rank>> {
    let mut chains: BTreeMap<Rank, Vec<Rank>> = BTreeMap::new();
    for (rack_at, rack) in racks.iter().enumerate() {
        for (host_at, host) in rack.iter().enumerate() {
            for (at, &rank) in host.iter().enumerate() {
                // The tracker stands above the first racks, as if it were the one before them.
                let above = match (at, host_at, rack_at) {
                    (0, 0, 0..BELOW) => None,
                    (0, 0, _) => Some(racks[rack_at / BELOW - 1][0][0]),
                    (0, _, _) => Some(rack[(host_at - 1) / BELOW][0]),
                    _ => Some(host[(at - 1) / BELOW]),
                };
                let chain = above.map_or(Vec::new(), |above| {
                    std::iter::once(above).chain(chains[&above].iter().copied()).collect()
                });
                chains.insert(rank, chain);
            }
        }
    }
    chains
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many racks of so many hosts of so many ranks.
    fn tree(racks: u32, hosts: u32, ranks: u32) -> (Vec<Hosts>, BTreeMap<Rank, Vec<Rank>>) {
        let all: Vec<Rank> = (1..=racks * hosts * ranks).map(Rank).collect();
        let by_host: Vec<Vec<Rank>> = all.chunks(ranks as usize).map(<[Rank]>::to_vec).collect();
        let racks: Vec<Hosts> = by_host.chunks(hosts as usize).map(<[_]>::to_vec).collect();
        let chains = chains(&racks);
        (racks, chains)
    }

    #[test]
    fn one_rank_of_a_rack_and_of_a_host_gets_it_from_without_and_two_from_the_tracker() {
        let (ranks, hosts) = (8, 10);
        let (_, chains) = tree(9, hosts, ranks);
        let host = |rank: Rank| (rank.0 - 1) / ranks;
        let rack = |rank: Rank| host(rank) / hosts;
        let asks = |rank: Rank| chains[&rank].first().copied();
        let count = |which: &dyn Fn(Rank) -> bool| chains.keys().filter(|&&r| which(r)).count();
        assert_eq!(count(&|rank| asks(rank).is_none()), BELOW);
        assert_eq!(count(&|rank| asks(rank).is_none_or(|of| rack(of) != rack(rank))), 9);
        assert_eq!(count(&|rank| asks(rank).is_none_or(|of| host(of) != host(rank))), 90);
        for &of in chains.keys() {
            assert!(count(&|rank| asks(rank) == Some(of)) <= 3 * BELOW);
        }
    }

    #[test]
    fn ten_thousand_ranks_are_few_steps_from_the_tracker() {
        for (racks, hosts, ranks) in [(1, 1, 10_000), (1, 10_000, 1), (10_000, 1, 1), (20, 20, 25)]
        {
            let (_, chains) = tree(racks, hosts, ranks);
            assert_eq!(chains.len(), 10_000);
            assert!(chains.values().all(|chain| chain.len() <= 13));
        }
    }

    #[test]
    fn a_rank_alone_asks_the_tracker() {
        assert_eq!(tree(1, 1, 1).1[&Rank(1)], []);
    }
}
