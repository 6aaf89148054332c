//! The rule by which a piece enters a host and a rack once: each piece has one owner there, who
//! alone fetches it from outside.
//!
//! Each rank owns a portion of what enters its host, and each host of what enters its rack. A rank
//! asks other hosts only for pieces that it owns on its host, and other racks only for those that
//! its host owns in its rack, too; what its host or its rack has it asks nowhere else. A rank that
//! has nothing left to do while its neighbours bring nothing new fetches for others, too: first
//! each piece gets one backup beside its owner, then more, at last everybody fetches everything.
//! The rule knows no holder and asks nobody.

use super::topology::{Locality, Portion, Topology};
use crate::Instant;
use std::sync::Arc;
use std::time::Duration;

/// The number of backups a piece with which everybody fetches it from everywhere.
const MAX_BACKUPS: u32 = 3;

/// A rank waits for its neighbours for so many times as long as a piece took it so far.
const WAIT_FACTOR: u32 = 8;
/// The shortest time for which a rank waits for its neighbours.
const MIN_WAIT: Duration = Duration::from_millis(100);
/// The longest time for which a rank waits for its neighbours. It waits so long where nothing came
/// yet, too.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// 2^32 over the golden ratio: its multiples fill a circle evenly, however many there are.
const GOLDEN: u32 = 0x9E37_79B9;

/// The pieces that one rank fetches from afar.
#[derive(Debug, Default)]
pub(crate) struct Ownership {
    topology: Arc<Topology>,
    /// The number of ranks that may fetch a piece in place of its owner.
    backups: u32,
    began: Instant,
    /// The time at which the last piece came, or the last backups were admitted.
    progress: Instant,
    /// The number of pieces that came.
    gains: u32,
}

impl Ownership {
    /// The ownership of a rank in this topology, which waits for its neighbours from now on.
    pub(crate) fn new(topology: Topology, now: Instant) -> Self {
        let mut ownership = Self { began: now, ..Self::default() };
        ownership.move_to(topology, now);
        ownership
    }

    /// Takes a topology in the place of the one so far.
    pub(crate) fn move_to(&mut self, topology: Topology, now: Instant) {
        self.topology = Arc::new(topology.checked());
        self.backups = 0;
        self.progress = now;
    }

    /// The topology that the rule follows.
    pub(crate) fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// Whether this rank leaves anything to others.
    pub(crate) fn is_limited(&self) -> bool {
        !self.is_open() && !self.topology.is_alone()
    }

    /// Whether everybody fetches everything.
    pub(crate) fn is_open(&self) -> bool {
        self.backups >= MAX_BACKUPS
    }

    /// The largest distance from which this rank may fetch a piece that nobody nearer has.
    pub(crate) fn max_distance(&self, piece: u32) -> Locality {
        let Topology { of_host, of_rack, rack, .. } = &*self.topology;
        let (in_rack, rest) = draw(piece.wrapping_mul(GOLDEN), of_rack);
        let (on_host, salt) = draw(rest, of_host);
        if !self.fetches(of_host, on_host, salt) {
            Locality::Host
        } else if rack.is_some() && !self.fetches(of_rack, in_rack, salt) {
            Locality::Rack
        } else {
            Locality::Remote
        }
    }

    /// Whether this rank owns a piece in its rack.
    pub(crate) fn owns(&self, piece: u32) -> bool {
        let Topology { of_host, of_rack, .. } = &*self.topology;
        let (in_rack, rest) = draw(piece.wrapping_mul(GOLDEN), of_rack);
        (in_rack, draw(rest, of_host).0) == (of_rack.index, of_host.index)
    }

    /// Whether the one with this portion fetches a piece of the portion `owner`: as its owner, or
    /// as a backup.
    fn fetches(&self, portion: &Portion, owner: u32, salt: u32) -> bool {
        let others = portion.count - 1;
        let after_owner = match portion.index.checked_sub(owner) {
            Some(after) => after,
            None => portion.index + portion.count - owner,
        };
        // The backups of one owner's pieces are many, so that none has much to do.
        after_owner == 0
            || (0..self.backups.min(others))
                .any(|n| after_owner == 1 + salt.wrapping_add(n) % others)
    }

    /// The number of pieces that came.
    pub(crate) fn gains(&self) -> u32 {
        self.gains
    }

    /// Counts a piece that came.
    pub(crate) fn gained(&mut self, now: Instant) {
        self.progress = now;
        self.gains += 1;
    }

    /// Admits one more backup a piece, where this rank, which has nothing to do, waited long
    /// enough. Says whether it did: it may fetch more for others from now on.
    pub(crate) fn admit_backup(&mut self, now: Instant) -> bool {
        let usual = self.progress.since(self.began) / self.gains.max(1);
        let wait = (usual * WAIT_FACTOR).clamp(MIN_WAIT, MAX_WAIT);
        let wait = if self.gains == 0 { MAX_WAIT } else { wait };
        let due = self.is_limited() && now.since(self.progress) > wait;
        if due {
            self.backups += 1;
            self.progress = now;
        }
        due
    }
}

/// The portion that a point on the circle is in, and the point within it, on a circle again.
fn draw(point: u32, portion: &Portion) -> (u32, u32) {
    let wide = u64::from(point) * u64::from(portion.count);
    ((wide >> 32) as u32, wide as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rank;
    use content::Span;

    const PIECES: u32 = 960;

    /// The ownerships of a rack's ranks: so many hosts, with so many ranks each.
    fn rack(hosts: u32, ranks: u32) -> Vec<Ownership> {
        let all = (0..hosts).flat_map(|host| (0..ranks).map(move |rank| (host, rank)));
        let topology = |(host, rank): (u32, u32)| Topology {
            host: vec![Span { first: host * ranks, count: ranks }],
            rack: Some(vec![Span { first: 0, count: hosts * ranks }]),
            of_host: Portion { index: rank, count: ranks },
            of_rack: Portion { index: host, count: hosts },
        };
        all.map(|at| Ownership::new(topology(at), Instant::ZERO)).collect()
    }

    fn fetching(rack: &[Ownership], piece: u32, from: Locality) -> usize {
        rack.iter().filter(|ownership| ownership.max_distance(piece) >= from).count()
    }

    #[test]
    fn each_piece_enters_a_rack_through_one_rank_and_each_host_through_one() {
        let rack = rack(5, 3);
        for piece in 0..PIECES {
            assert_eq!(fetching(&rack, piece, Locality::Remote), 1);
            assert_eq!(fetching(&rack, piece, Locality::Rack), 5);
            assert_eq!(rack.iter().filter(|ownership| ownership.owns(piece)).count(), 1);
        }
        for ownership in &rack {
            let own = (0..PIECES).filter(|&piece| ownership.owns(piece)).count();
            assert!((58..=70).contains(&own), "{own} of 960 pieces for one of 15");
        }
    }

    #[test]
    fn a_rank_that_waits_in_vain_admits_backups_and_at_last_everybody() {
        let mut rack = rack(5, 1);
        for (backups, owners) in [(1, 2), (2, 3)] {
            for ownership in &mut rack {
                let late = ownership.progress + MAX_WAIT;
                assert!(!ownership.admit_backup(late), "not yet");
                assert!(ownership.admit_backup(late + Duration::from_millis(1)));
            }
            assert!(rack.iter().all(|ownership| ownership.backups == backups));
            assert!((0..PIECES).all(|p| fetching(&rack, p, Locality::Remote) == owners));
        }
        for ownership in &mut rack {
            assert!(ownership.admit_backup(Instant::after(MAX_WAIT * 10)));
            assert!(ownership.is_open() && !ownership.is_limited());
        }
    }

    #[test]
    fn the_wait_is_as_long_as_pieces_take() {
        let mut rack = rack(2, 1);
        let ownership = &mut rack[0];
        (1..=10).for_each(|n| ownership.gained(Instant::after(Duration::from_millis(50 * n))));
        assert!(!ownership.admit_backup(Instant::after(Duration::from_millis(500 + 400))));
        assert!(ownership.admit_backup(Instant::after(Duration::from_millis(500 + 401))));
    }

    #[test]
    fn one_switch_with_one_rank_a_host_limits_nobody() {
        assert!(!Ownership::new(Topology::default(), Instant::ZERO).is_limited());
        let topology = Topology { of_rack: Portion { index: 3, count: 3 }, ..Topology::default() };
        let ownership = Ownership::new(topology, Instant::ZERO);
        assert_eq!(
            ownership.max_distance(1),
            Locality::Remote,
            "and a portion that cannot be is none"
        );
        assert_eq!(ownership.topology.locality(Rank(7)), Locality::Rack);
    }

    #[test]
    fn a_rank_that_learns_of_its_rack_later_leaves_to_others_what_they_own() {
        let mut ownership = Ownership::new(Topology::default(), Instant::ZERO);
        assert!((0..PIECES).all(|piece| ownership.max_distance(piece) == Locality::Remote));
        let rack = rack(5, 1).remove(2).topology;
        ownership.move_to(Topology::clone(&rack), Instant::after(MAX_WAIT * 5));
        assert!(ownership.is_limited() && ownership.topology.locality(Rank(7)) == Locality::Remote);
        assert!((0..PIECES).any(|piece| ownership.max_distance(piece) == Locality::Rack));
        assert!(!ownership.admit_backup(Instant::after(MAX_WAIT * 6)), "its wait begins anew");
    }
}
