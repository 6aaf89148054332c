//! Where each rank stands: who is on its host and in its rack, who tells whom of gains unasked, and
//! what each fetches for the others of its host and its rack.
//!
//! The hosts of a rack stand in a ring, and so do the racks. A rank's neighbours are those on its
//! own host, its likes on the hosts at distances of powers of two both ways round its rack, and its
//! likes in the racks at such distances: few, and every rank is few hops from every other. Its like
//! is who stands at the same part of the way through its host, or its rack. Pieces are shared out
//! by that place, too, so that likes fetch the same pieces for their hosts and their racks, and
//! tell each other of them.

use super::member::{Member, Serving};
use crate::Rank;
use crate::schedule::{Portion, Topology};
use content::{Bitfield, Catalogue, EntryIndex, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// On a host of so many ranks all are neighbours; of more, those at distances of powers of two.
const ALL_OF_HOST: usize = 16;

/// The likes of one rank on one host or in one rack.
const MAX_LIKES: usize = 4;

/// A rank that takes part.
#[derive(Debug)]
struct Stand<'a> {
    rack: u32,
    host: u32,
    rank: Rank,
    /// The pieces that it has.
    holdings: &'a Bitfield,
    /// The entries that it is to fetch.
    assigned: &'a Bitfield,
    /// Whether it is to fetch anything, and nobody on its host has all of that.
    brings: bool,
}

impl Stand<'_> {
    /// Whether it has all of some entries.
    fn has_all(&self, entries: &Bitfield, catalogue: &Catalogue) -> bool {
        let has = |entry| self.holdings.contains_range(catalogue.pieces_of(EntryIndex(entry)));
        !self.holdings.is_empty() && entries.iter().all(has)
    }
}

/// All ranks that take part, by rack, host and rank.
#[derive(Debug)]
pub(super) struct Places<'a> {
    stands: Vec<Stand<'a>>,
    /// For each host, where its ranks stand.
    hosts: Vec<Range<usize>>,
    /// For each rack, its hosts.
    racks: Vec<Range<usize>>,
    /// For those who want the same, in each rack, the hosts of them; without those where somebody
    /// has it: their links are busy with bringing it into the rack, the others' can let it out.
    alike: BTreeMap<(u32, &'a Bitfield), Vec<u32>>,
}

impl<'a> Places<'a> {
    /// Of the live ranks that have or want something.
    pub(super) fn of(members: &'a [Member], catalogue: &Catalogue) -> Self {
        let takes_part = |it: &&Serving| !it.wanted().is_empty() || !it.holdings().is_empty();
        let members = members.iter().zip((0..).map(Rank)).filter(|(member, _)| member.is_live());
        let stands = members.filter_map(|(member, rank)| {
            let serving = member.serving().filter(takes_part)?;
            Some(Stand {
                rack: member.rack(),
                host: member.host(),
                rank,
                holdings: serving.holdings(),
                assigned: serving.assigned(),
                brings: false,
            })
        });
        Self::new(stands.collect(), catalogue)
    }

    fn new(mut stands: Vec<Stand<'a>>, catalogue: &Catalogue) -> Self {
        stands.sort_unstable_by_key(|stand| (stand.rack, stand.host, stand.rank));
        let runs = |same: &dyn Fn(&Stand<'_>, &Stand<'_>) -> bool| -> Vec<Range<usize>> {
            let mut end = 0;
            let run = |run: &[Stand<'_>]| {
                end += run.len();
                end - run.len()..end
            };
            stands.chunk_by(same).map(run).collect()
        };
        let hosts = runs(&|a, b| (a.rack, a.host) == (b.rack, b.host));
        hosts.iter().for_each(|host| mark_who_brings(&mut stands[host.clone()], catalogue));
        let rack_of = |host: &Range<usize>| stands[host.start].rack;
        let mut end = 0;
        let racks = hosts.chunk_by(|a, b| rack_of(a) == rack_of(b)).map(|rack| {
            end += rack.len();
            end - rack.len()..end
        });
        let racks = racks.collect();
        let mut alike: BTreeMap<_, Vec<u32>> = BTreeMap::new();
        for stand in stands.iter().filter(|stand| stand.brings) {
            let hosts = alike.entry((stand.rack, stand.assigned)).or_default();
            if hosts.last() != Some(&stand.host) {
                hosts.push(stand.host);
            }
        }
        Self { hosts, racks, alike, stands }
    }

    fn position(&self, rank: Rank, rack: u32, host: u32) -> Option<usize> {
        let key = (rack, host, rank);
        self.stands.binary_search_by_key(&key, |at| (at.rack, at.host, at.rank)).ok()
    }

    /// The neighbours of a rank that takes part, and the hosts and racks as it sees them.
    pub(super) fn topology(&self, rank: Rank, member: &Member) -> Option<(Vec<Rank>, Topology)> {
        let at = self.position(rank, member.rack(), member.host())?;
        let host = self.hosts.partition_point(|host| host.end <= at);
        let rack = self.racks.partition_point(|rack| rack.end <= host);
        let stand = &self.stands[at];
        let on_host = &self.stands[self.hosts[host].clone()];
        let equals = || on_host.iter().filter(|other| other.assigned == stand.assigned);
        let alike = self.alike.get(&(stand.rack, stand.assigned)).map_or(&[][..], Vec::as_slice);
        let topology = Topology {
            host: spans(on_host),
            rack: (self.racks.len() > 1).then(|| spans(&self.stands[self.stands_of(rack)])),
            of_host: Portion {
                index: equals().position(|other| other.rank == rank).unwrap_or(0) as u32,
                count: equals().count() as u32,
            },
            of_rack: match alike.binary_search(&stand.host) {
                Ok(index) => Portion { index: index as u32, count: alike.len() as u32 },
                Err(_) => Portion { index: 0, count: 1 },
            },
        };
        let neighbours = self.neighbours(at, host, rack);
        Some((neighbours.into_iter().map(|at| self.stands[at].rank).collect(), topology))
    }

    /// Where the ranks of a rack stand.
    fn stands_of(&self, rack: usize) -> Range<usize> {
        let hosts = self.racks[rack].clone();
        self.hosts[hosts.start].start..self.hosts[hosts.end - 1].end
    }

    fn neighbours(&self, at: usize, host: usize, rack: usize) -> BTreeSet<usize> {
        let (own_host, own_rack) = (self.hosts[host].clone(), self.stands_of(rack));
        let mut all = BTreeSet::new();
        if own_host.len() <= ALL_OF_HOST {
            all.extend(own_host.clone());
        } else {
            let others = distant(at - own_host.start, own_host.len());
            all.extend(others.map(|other| own_host.start + other));
        }
        let hosts = self.racks[rack].clone();
        for other in distant(host - hosts.start, hosts.len()) {
            all.extend(self.likes(at, &own_host, &self.hosts[hosts.start + other]));
        }
        for other in distant(rack, self.racks.len()) {
            all.extend(self.likes(at, &own_rack, &self.stands_of(other)));
        }
        all.remove(&at);
        all
    }

    /// The likes of who stands at a place of one row, in another: of who fetches, among those
    /// who do, where there are any.
    fn likes(&self, at: usize, ours: &Range<usize>, theirs: &Range<usize>) -> Vec<usize> {
        let fetching = |row: &Range<usize>| -> Vec<usize> {
            row.clone().filter(|&at| self.stands[at].brings).collect()
        };
        let all = |row: &Range<usize>| row.clone().collect();
        let (mut own, mut other): (Vec<usize>, Vec<usize>) = (fetching(ours), fetching(theirs));
        if own.binary_search(&at).is_err() {
            (own, other) = (all(ours), all(theirs));
        } else if other.is_empty() {
            other = all(theirs);
        }
        let place = own.binary_search(&at).expect("it stands in its own row");
        likes(place, own.len(), other.len()).map(|like| other[like]).collect()
    }
}

/// Says of each rank of a host whether it brings anything there.
fn mark_who_brings(on_host: &mut [Stand<'_>], catalogue: &Catalogue) {
    for at in 0..on_host.len() {
        let wanted = on_host[at].assigned;
        on_host[at].brings =
            !wanted.is_empty() && !on_host.iter().any(|other| other.has_all(wanted, catalogue));
    }
}

/// The places of a ring at distances of powers of two from one, both ways round.
fn distant(at: usize, len: usize) -> impl Iterator<Item = usize> {
    let distances = std::iter::successors(Some(1), |distance| Some(distance * 2));
    let distances = distances.take_while(move |&distance| distance < len);
    distances.flat_map(move |distance| [(at + distance) % len, (at + len - distance) % len])
}

/// The likes of who stands at a place of a row, in another row: those whose parts of their row's
/// way overlap with its own part; the first few, where they are many.
fn likes(at: usize, own: usize, other: usize) -> Range<usize> {
    // Each of the shorter row has for likes a run of the longer one.
    let run = |short: usize| {
        let (least, most) = (own.min(other), own.max(other));
        let first = short * most / least;
        first..((short + 1) * most).div_ceil(least).min(first + MAX_LIKES)
    };
    if own <= other {
        return run(at);
    }
    let first = at * other / own;
    let last = ((at + 1) * other).div_ceil(own);
    let from = (first..last).find(|&like| run(like).contains(&at)).unwrap_or(last);
    from..(from..last).take_while(|&like| run(like).contains(&at)).last().map_or(from, |l| l + 1)
}

fn spans(stands: &[Stand<'_>]) -> Vec<Span> {
    let mut ranks: Vec<u32> = stands.iter().map(|stand| stand.rank.0).collect();
    ranks.sort_unstable();
    let mut spans = Span::join(ranks);
    spans.truncate(Topology::MAX_SPANS);
    spans
}

#[cfg(test)]
mod tests {
    use super::super::member::Standing;
    use super::*;

    /// The places of ranks from 0 that all want the same, by the racks and hosts of each.
    fn check(ranks: &[(u32, u32)]) -> Vec<(Vec<Rank>, Topology)> {
        check_with_holder(ranks, None)
    }

    /// The same, where one of them has it all.
    fn check_with_holder(ranks: &[(u32, u32)], holder: Option<Rank>) -> Vec<(Vec<Rank>, Topology)> {
        let catalogue = Catalogue::new(vec![crate::tracker::tests::file()]).unwrap();
        let wanted = Bitfield::full(1);
        let mut members: Vec<Member> = ranks
            .iter()
            .map(|&(rack, host)| {
                let mut member = Member::new(Standing::Live, crate::Instant::ZERO);
                member.locate(host, rack);
                member.serve(&catalogue);
                member.serving_mut().unwrap().enrol(wanted.clone(), wanted.clone(), 0);
                member
            })
            .collect();
        if let Some(holder) = holder {
            let holder = members[holder.index()].serving_mut().unwrap();
            (0..catalogue.piece_count()).for_each(|piece| assert!(holder.hold(piece)));
            holder.enrol(wanted.clone(), Bitfield::new(1), 0);
        }
        let places = Places::of(&members, &catalogue);
        let members = members.iter().zip((0..).map(Rank));
        members
            .map(|(member, rank)| places.topology(rank, member).expect("it takes part"))
            .collect()
    }

    #[test]
    fn neighbours_are_mutual_few_and_lead_everywhere_in_few_steps() {
        for len in 1..130u32 {
            let ranks: Vec<(u32, u32)> = (0..len).map(|at| (at / 16, at / 4)).collect();
            let of = check(&ranks);
            let steps = u32::BITS - (len - 1).leading_zeros();
            for (at, (neighbours, _)) in of.iter().enumerate() {
                assert!(neighbours.len() <= 3 + 3 * MAX_LIKES + 2 * steps as usize * MAX_LIKES);
                for other in neighbours {
                    assert_ne!(other.index(), at);
                    assert!(of[other.index()].0.contains(&Rank(at as u32)), "{at} of {len}");
                }
            }
            let mut reached = BTreeSet::from([Rank(0)]);
            for _ in 0..steps + 3 {
                let next = reached.iter().flat_map(|at| of[at.index()].0.clone());
                reached = reached.iter().copied().chain(next).collect();
            }
            assert_eq!(reached.len(), len as usize);
        }
    }

    #[test]
    fn those_who_want_the_same_share_what_enters_their_host_and_their_rack() {
        let of = check(&[(0, 0), (0, 1), (0, 0), (1, 2), (1, 2), (1, 3)]);
        let shares = |place: &Topology| {
            let share = |share: Portion| (share.index, share.count);
            (share(place.of_host), share(place.of_rack))
        };
        let all: Vec<_> = of.iter().map(|(_, place)| shares(place)).collect();
        let alone = (0, 1);
        assert_eq!(all[..3], [((0, 2), (0, 2)), (alone, (1, 2)), ((1, 2), (0, 2))]);
        assert_eq!(all[3..], [((0, 2), (0, 2)), ((1, 2), (0, 2)), (alone, (1, 2))]);
        let span = |first, count| Span { first, count };
        assert_eq!(of[0].1.host, [span(0, 1), span(2, 1)]);
        assert_eq!(of[0].1.rack, Some(vec![span(0, 3)]));
    }

    #[test]
    fn the_mates_of_a_holder_bring_nothing_and_have_no_share_of_what_enters_their_rack() {
        // Two racks of two hosts with two ranks each.
        let ranks: Vec<(u32, u32)> = (0..8).map(|at| (at / 4, at / 2)).collect();
        let of = check_with_holder(&ranks, Some(Rank(0)));
        let of_rack = |at: usize| (of[at].1.of_rack.index, of[at].1.of_rack.count);
        let whole = (0, 1);
        assert_eq!([1, 2, 3].map(of_rack), [whole; 3], "one host is left in that rack");
        assert_eq!([4, 5, 6, 7].map(of_rack), [(0, 2), (0, 2), (1, 2), (1, 2)]);
        assert_eq!((of[1].1.of_host.index, of[1].1.of_host.count), (0, 1));
        for (brings, likes) in [(2, [4, 5]), (3, [6, 7])] {
            assert!(likes.iter().all(|&like| of[brings].0.contains(&Rank(like))), "{of:?}");
        }
    }

    #[test]
    fn a_job_of_one_rack_tells_of_none() {
        assert!(check(&[(0, 0), (0, 1)]).iter().all(|(_, place)| place.rack.is_none()));
    }
}
