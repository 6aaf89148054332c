//! Which hosts stand in one rack, by how long pieces take between them.
//!
//! A host's row says how long a piece takes to it from others. It comes from afar where it takes
//! far longer than the quickest to that host, *and* far longer than the quickest from the other: so
//! a host with a slow link, a slow disk or a cap is far from nobody. Only where an uplink is shared
//! by too many does it look otherwise, and that in one direction perhaps: so one far look outweighs
//! a near one the other way. Hosts that are near each other are put into one group, the surest
//! first, unless their groups are far from each other. What comes of it counts as racks only where
//! it is as clear as racks are: nearly all is near within, and far across, for each of them.

use std::collections::{BTreeMap, BTreeSet};

/// How long a piece takes from other hosts, in microseconds.
pub(super) type Row = BTreeMap<u32, u32>;

/// What takes so many times longer than the quickest of both hosts comes from another rack.
const FAR: u32 = 3;
/// What takes no longer than so many times as long comes from the same rack. Between both it may
/// be either.
const NEAR: u32 = 2;
/// So many times as many near pairs of hosts as far ones are needed to make one group of two.
const JOINED: u32 = 3;
/// To make one group of two, this part of all pairs between them must be near, ...
const PART: (u64, u64) = (2, 5);
/// ... or, where they are so many that nobody knows so many, so many for each host.
const EACH: (u64, u64) = (3, 4);
/// A group so many times smaller than another is a rest.
const FEW: u64 = 3;
/// So many times as many far pairs as near ones are needed across the racks.
const APART: u32 = 3;
/// So many times as many near pairs as far ones are needed within them.
const WITHIN: u32 = 4;
/// Of so many hosts that are known three must stand in a rack of two or more.
const PLACED: usize = 4;

/// What it takes to make one group of two.
#[derive(Debug, Clone, Copy)]
enum Sureness {
    /// Many near pairs: within a rack much is fetched.
    Full,
    /// One, where one of the groups is small beside the other.
    Rest,
}

/// Two hosts, the lower number first.
type Pair = (u32, u32);

/// Pairs of hosts that are near each other, or far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Pairs {
    near: u32,
    far: u32,
}

impl Pairs {
    fn add(&mut self, other: Self) {
        self.near += other.near;
        self.far += other.far;
    }
}

/// The racks of hosts, numbered from 0; none where it is not clear that there are several. A host
/// that fits none has none.
pub(super) fn racks(rows: &BTreeMap<u32, Row>) -> Option<BTreeMap<u32, u32>> {
    let (pairs, near) = pairs(rows);
    let mut groups = Groups::of(&pairs);
    for &(a, b) in &near {
        groups.join(a, b, Sureness::Full);
    }
    for &(a, b) in &near {
        groups.join(a, b, Sureness::Rest);
    }
    groups.racks(&pairs)
}

/// What is known of each pair of hosts, and the near ones, the surest first: those of which both
/// say so, and the quickest.
fn pairs(rows: &BTreeMap<u32, Row>) -> (BTreeMap<Pair, Pairs>, Vec<Pair>) {
    let mut quickest: BTreeMap<u32, u32> = BTreeMap::new();
    for (&from, &micros) in rows.values().flatten() {
        let least = quickest.entry(from).or_insert(micros);
        *least = micros.min(*least);
    }
    let mut pairs: BTreeMap<Pair, Pairs> = BTreeMap::new();
    let mut near = Vec::new();
    for (&to, row) in rows {
        let least = row.values().copied().min().unwrap_or(0);
        for (&from, &micros) in row {
            let usual = least.max(quickest[&from]).max(1);
            let pair = (from.min(to), from.max(to));
            let looks = pairs.entry(pair).or_default();
            if micros >= usual.saturating_mul(FAR) {
                looks.far += 1;
            } else if micros <= usual.saturating_mul(NEAR) {
                looks.near += 1;
                near.push((micros, pair));
            }
        }
    }
    near.retain(|(_, pair)| pairs[pair].far == 0);
    near.sort_unstable_by_key(|&(micros, pair)| (pairs[&pair].near < 2, micros, pair));
    for looks in pairs.values_mut() {
        let far = looks.far.min(1);
        *looks = Pairs { near: looks.near.min(1 - far), far };
    }
    (pairs, near.into_iter().map(|(_, pair)| pair).collect())
}

/// Hosts in groups, each named after one of its hosts.
#[derive(Debug)]
struct Groups {
    of: BTreeMap<u32, u32>,
    hosts: BTreeMap<u32, Vec<u32>>,
    /// For each group, the pairs between it and each other one of which anything is known.
    beside: BTreeMap<u32, BTreeMap<u32, Pairs>>,
}

impl Groups {
    /// Each host alone.
    fn of(pairs: &BTreeMap<Pair, Pairs>) -> Self {
        let hosts: BTreeSet<u32> = pairs.keys().flat_map(|&(a, b)| [a, b]).collect();
        let mut beside: BTreeMap<u32, BTreeMap<u32, Pairs>> = BTreeMap::new();
        for (&(a, b), &known) in pairs {
            beside.entry(a).or_default().insert(b, known);
            beside.entry(b).or_default().insert(a, known);
        }
        Self {
            of: hosts.iter().map(|&host| (host, host)).collect(),
            hosts: hosts.iter().map(|&host| (host, vec![host])).collect(),
            beside,
        }
    }

    /// Makes one group of those of two near hosts, unless they are far from each other.
    fn join(&mut self, a: u32, b: u32, sureness: Sureness) {
        let (a, b) = (self.of[&a], self.of[&b]);
        let between = self.beside[&a].get(&b).copied().unwrap_or_default();
        let (many, others) = (self.hosts[&a].len() as u64, self.hosts[&b].len() as u64);
        let is_enough = match sureness {
            Sureness::Full => {
                let part = (many * others * PART.0 / PART.1).min((many + others) * EACH.0 / EACH.1);
                u64::from(between.near) >= part
            }
            Sureness::Rest => many.min(others) * FEW <= many.max(others),
        };
        if a == b || !is_enough || between.far * JOINED > between.near {
            return;
        }
        // The smaller one moves, so no host moves often.
        let (stays, goes) =
            if self.hosts[&a].len() < self.hosts[&b].len() { (b, a) } else { (a, b) };
        let hosts = self.hosts.remove(&goes).expect("a group has hosts");
        self.of.extend(hosts.iter().map(|&host| (host, stays)));
        self.hosts.entry(stays).or_default().extend(hosts);
        for (other, known) in self.beside.remove(&goes).unwrap_or_default() {
            let of_other = self.beside.entry(other).or_default();
            of_other.remove(&goes);
            if other != stays {
                of_other.entry(stays).or_default().add(known);
                self.beside.entry(stays).or_default().entry(other).or_default().add(known);
            }
        }
    }

    /// The racks, where it is clear that there are several.
    fn racks(&self, pairs: &BTreeMap<Pair, Pairs>) -> Option<BTreeMap<u32, u32>> {
        let (mut within, mut across) = (Pairs::default(), Pairs::default());
        for (&(a, b), &known) in pairs {
            if self.of[&a] == self.of[&b] { within.add(known) } else { across.add(known) }
        }
        let racks = || self.hosts.iter().filter(|(_, hosts)| hosts.len() > 1);
        let is_apart = |rack: &u32| {
            let mut sum = Pairs::default();
            self.beside[rack].values().for_each(|&known| sum.add(known));
            let mixed = |known: &Pairs| known.near > 1 && known.far <= known.near * 2;
            let others = self.beside[rack].iter().filter(|(other, _)| self.hosts[other].len() > 1);
            sum.far > 1 && sum.far >= sum.near * APART && !others.map(|(_, it)| it).any(mixed)
        };
        let placed: usize = racks().map(|(_, hosts)| hosts.len()).sum();
        let is_clear = racks().count() > 1
            && placed * PLACED >= self.of.len() * (PLACED - 1)
            && across.far >= across.near * APART
            && within.near >= within.far * WITHIN
            && racks().all(|(rack, _)| is_apart(rack));
        let numbered = racks().zip(0..);
        is_clear.then(|| {
            numbered.flat_map(|((_, hosts), n)| hosts.iter().map(move |&host| (host, n))).collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the hosts see of each other, by how long a piece takes to one from another.
    fn rows(hosts: u32, micros: impl Fn(u32, u32) -> u32) -> BTreeMap<u32, Row> {
        let row = |to| {
            (0..hosts).filter(|&from| from != to).map(|from| (from, micros(to, from))).collect()
        };
        (0..hosts).map(|to| (to, row(to))).collect()
    }

    /// A piece within a rack takes 20 to 38 ms, by chance, and across so many times as long.
    fn in_racks(hosts: u32, size: u32, across: u32) -> BTreeMap<u32, Row> {
        rows(hosts, |to, from| {
            let near = 20_000 + (to * 7 + from * 5) % 10 * 2000;
            if to / size == from / size { near } else { near * across }
        })
    }

    fn by_size(hosts: u32, size: u32) -> Option<BTreeMap<u32, u32>> {
        Some((0..hosts).map(|host| (host, host / size)).collect())
    }

    #[test]
    fn racks_are_seen_where_pieces_take_far_longer_across() {
        for (hosts, size) in [(8, 4), (12, 3), (16, 4), (32, 8), (64, 32)] {
            assert_eq!(racks(&in_racks(hosts, size, 8)), by_size(hosts, size), "{hosts} by {size}");
        }
    }

    #[test]
    fn one_way_is_enough() {
        // From the second rack to the first nothing waits.
        let rows = rows(8, |to, from| if to / 4 == 1 && from / 4 == 0 { 90_000 } else { 10_000 });
        assert_eq!(racks(&rows), by_size(8, 4));
    }

    #[test]
    fn on_one_switch_there_are_none() {
        assert_eq!(racks(&in_racks(16, 4, 1)), None);
        assert_eq!(racks(&in_racks(16, 16, 8)), None);
        assert_eq!(racks(&BTreeMap::new()), None);
    }

    #[test]
    fn hosts_with_slow_links_are_no_rack() {
        for slow in 1..8 {
            let sends = rows(8, |_, from| if from < slow { 100_000 } else { 10_000 });
            assert_eq!(racks(&sends), None, "{slow} send slowly");
            let receives = rows(8, |to, _| if to < slow { 100_000 } else { 10_000 });
            assert_eq!(racks(&receives), None, "{slow} receive slowly");
            let both = rows(8, |to, from| if to.min(from) < slow { 100_000 } else { 10_000 });
            assert_eq!(racks(&both), None, "{slow} do both slowly");
        }
    }

    #[test]
    fn what_is_not_clear_is_no_rack() {
        // A third of what crosses seems near.
        let mixed = rows(16, |to, from| match (to / 4 == from / 4, (to + from) % 3) {
            (true, _) | (_, 0) => 10_000,
            _ => 90_000,
        });
        assert_eq!(racks(&mixed), None);
        let two = rows(2, |to, from| to + from);
        assert_eq!(racks(&two), None, "two hosts are near or far, compared with nothing");
    }

    #[test]
    fn a_slow_host_stands_in_its_rack_and_one_of_which_nothing_is_known_in_none() {
        let mut seen = in_racks(16, 4, 8);
        for row in seen.values_mut() {
            row.entry(5).and_modify(|micros| *micros *= 4);
        }
        assert_eq!(racks(&seen), by_size(16, 4));
        seen.remove(&15);
        seen.values_mut().for_each(|row| row.retain(|&from, _| from != 15));
        let found = racks(&seen).expect("the others are as before");
        assert_eq!((found.len(), found.get(&15)), (15, None));
    }
}
