//! From how far away a piece may be fetched, so that it enters a host and a rack once.
//!
//! Of what enters its host each rank has a share, and each host of what enters its rack. A rank
//! asks other hosts only for pieces of its own share, and other racks only for those of which its
//! host has the rack's share, too; what its host or its rack has it asks nowhere else. Whoever has
//! nothing left to do while its neighbours bring nothing new fetches for others, too: first each
//! piece gets one deputy for its owner, then more, at last everybody fetches everything.

use crate::Instant;
use crate::message::{Nearness, Place, Share};
use std::sync::Arc;
use std::time::Duration;

/// With so many deputies a piece everybody fetches it from everywhere.
const MAX_DEPUTIES: u32 = 3;

/// A rank waits for its neighbours for so many times as long as a piece took it so far, ...
const WAIT_FACTOR: u32 = 8;
/// ... but not for a shorter time than this, ...
const MIN_WAIT: Duration = Duration::from_millis(100);
/// ... and not for a longer one, which is how long it waits where nothing came yet, too.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// More shares than there can be ranks: no share of so many makes sense.
const MAX_SHARES: u32 = 1 << 30;

/// Alone.
const WHOLE: Share = Share { index: 0, count: 1 };

/// 2^32 over the golden ratio: its multiples fill a circle evenly, however many there are.
const GOLDEN: u32 = 0x9E37_79B9;

/// From how far away a rank fetches.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) place: Arc<Place>,
    /// Whether all others are in this rank's rack, none on its host.
    is_alone: bool,
    /// How many ranks may fetch a piece for its owner.
    deputies: u32,
    began: Instant,
    /// The last piece that came, or the last deputies that were let in.
    progress: Instant,
    /// Pieces that came.
    gains: u32,
}

impl Reach {
    pub(super) fn new(place: Place, now: Instant) -> Self {
        let mut reach = Self { began: now, ..Self::default() };
        reach.move_to(place, now);
        reach
    }

    /// The rank stands elsewhere from now on.
    pub(super) fn move_to(&mut self, place: Place, now: Instant) {
        let is_sound = |share: &Share| share.index < share.count && share.count <= MAX_SHARES;
        let share = |share: Share| if is_sound(&share) { share } else { WHOLE };
        let (of_host, of_rack) = (share(place.of_host), share(place.of_rack));
        self.place = Arc::new(Place { of_host, of_rack, ..place });
        self.is_alone = self.place.is_alone();
        self.deputies = 0;
        self.progress = now;
    }

    /// How near another rank is.
    pub(super) fn nearness(&self, rank: crate::Rank) -> Nearness {
        if self.is_alone { Nearness::Rack } else { self.place.nearness(rank) }
    }

    /// Whether this rank leaves anything to others.
    pub(super) fn is_limited(&self) -> bool {
        !self.is_open() && !self.place.is_alone()
    }

    /// Whether everybody fetches everything.
    pub(super) fn is_open(&self) -> bool {
        self.deputies >= MAX_DEPUTIES
    }

    /// Who is the farthest that this rank may ask for a piece which is not nearer.
    pub(super) fn of(&self, piece: u32) -> Nearness {
        let Place { of_host, of_rack, rack, .. } = &*self.place;
        let (in_rack, rest) = draw(piece.wrapping_mul(GOLDEN), of_rack);
        let (on_host, salt) = draw(rest, of_host);
        match () {
            () if !self.fetches(of_host, on_host, salt) => Nearness::Host,
            () if rack.is_some() && !self.fetches(of_rack, in_rack, salt) => Nearness::Rack,
            () => Nearness::Far,
        }
    }

    /// Whether a piece is of this rank's own share of what its rack needs.
    pub(super) fn owns(&self, piece: u32) -> bool {
        let Place { of_host, of_rack, .. } = &*self.place;
        let (in_rack, rest) = draw(piece.wrapping_mul(GOLDEN), of_rack);
        (in_rack, draw(rest, of_host).0) == (of_rack.index, of_host.index)
    }

    /// Whether who has a share fetches what belongs to another: its own, or as a deputy.
    fn fetches(&self, share: &Share, owner: u32, salt: u32) -> bool {
        let others = share.count - 1;
        let behind =
            if share.index < owner { share.index + share.count } else { share.index } - owner;
        // The deputies of one owner's pieces are many, so that none has much to do.
        behind == 0
            || (0..self.deputies.min(others)).any(|n| behind == 1 + salt.wrapping_add(n) % others)
    }

    /// Pieces that came.
    pub(super) fn gains(&self) -> u32 {
        self.gains
    }

    /// A piece came.
    pub(super) fn gained(&mut self, now: Instant) {
        self.progress = now;
        self.gains += 1;
    }

    /// This rank has nothing to do: says whether it fetches more for others from now on.
    pub(super) fn widen(&mut self, now: Instant) -> bool {
        let usual = self.progress.since(self.began) / self.gains.max(1);
        let wait = (usual * WAIT_FACTOR).clamp(MIN_WAIT, MAX_WAIT);
        let wait = if self.gains == 0 { MAX_WAIT } else { wait };
        let due = self.is_limited() && now.since(self.progress) > wait;
        if due {
            self.deputies += 1;
            self.progress = now;
        }
        due
    }
}

/// Which of some shares a place on the circle is in, and where in it, on a circle again.
fn draw(place: u32, share: &Share) -> (u32, u32) {
    let wide = u64::from(place) * u64::from(share.count);
    ((wide >> 32) as u32, wide as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rank;
    use content::Span;

    const PIECES: u32 = 960;

    /// The reaches of a rack's ranks: so many hosts, with so many ranks each.
    fn rack(hosts: u32, ranks: u32) -> Vec<Reach> {
        let all = (0..hosts).flat_map(|host| (0..ranks).map(move |rank| (host, rank)));
        let place = |(host, rank): (u32, u32)| Place {
            host: vec![Span { first: host * ranks, count: ranks }],
            rack: Some(vec![Span { first: 0, count: hosts * ranks }]),
            of_host: Share { index: rank, count: ranks },
            of_rack: Share { index: host, count: hosts },
        };
        all.map(|at| Reach::new(place(at), Instant::ZERO)).collect()
    }

    fn fetching(rack: &[Reach], piece: u32, from: Nearness) -> usize {
        rack.iter().filter(|reach| reach.of(piece) >= from).count()
    }

    #[test]
    fn each_piece_enters_a_rack_through_one_rank_and_each_host_through_one() {
        let rack = rack(5, 3);
        for piece in 0..PIECES {
            assert_eq!(fetching(&rack, piece, Nearness::Far), 1);
            assert_eq!(fetching(&rack, piece, Nearness::Rack), 5);
            assert_eq!(rack.iter().filter(|reach| reach.owns(piece)).count(), 1);
        }
        for reach in &rack {
            let own = (0..PIECES).filter(|&piece| reach.owns(piece)).count();
            assert!((58..=70).contains(&own), "{own} of 960 pieces for one of 15");
        }
    }

    #[test]
    fn who_waits_in_vain_lets_deputies_in_and_at_last_everybody() {
        let mut rack = rack(5, 1);
        for (deputies, owners) in [(1, 2), (2, 3)] {
            for reach in &mut rack {
                let late = reach.progress + MAX_WAIT;
                assert!(!reach.widen(late), "not yet");
                assert!(reach.widen(late + Duration::from_millis(1)));
            }
            assert!(rack.iter().all(|reach| reach.deputies == deputies));
            assert!((0..PIECES).all(|p| fetching(&rack, p, Nearness::Far) == owners));
        }
        for reach in &mut rack {
            assert!(reach.widen(Instant::after(MAX_WAIT * 10)));
            assert!(reach.is_open() && !reach.is_limited());
        }
    }

    #[test]
    fn the_wait_is_as_long_as_pieces_take() {
        let mut rack = rack(2, 1);
        let reach = &mut rack[0];
        (1..=10).for_each(|n| reach.gained(Instant::after(Duration::from_millis(50 * n))));
        assert!(!reach.widen(Instant::after(Duration::from_millis(500 + 400))));
        assert!(reach.widen(Instant::after(Duration::from_millis(500 + 401))));
    }

    #[test]
    fn one_switch_with_one_rank_a_host_limits_nobody() {
        assert!(!Reach::new(Place::default(), Instant::ZERO).is_limited());
        let place = Place { of_rack: Share { index: 3, count: 3 }, ..Place::default() };
        let reach = Reach::new(place, Instant::ZERO);
        assert_eq!(reach.of(1), Nearness::Far, "and a share that cannot be is none");
        assert_eq!(reach.nearness(Rank(7)), Nearness::Rack);
    }

    #[test]
    fn who_is_told_of_its_rack_later_leaves_to_others_what_is_theirs() {
        let mut reach = Reach::new(Place::default(), Instant::ZERO);
        assert!((0..PIECES).all(|piece| reach.of(piece) == Nearness::Far));
        let rack = rack(5, 1).remove(2).place;
        reach.move_to(Place::clone(&rack), Instant::after(MAX_WAIT * 5));
        assert!(reach.is_limited() && reach.nearness(Rank(7)) == Nearness::Far);
        assert!((0..PIECES).any(|piece| reach.of(piece) == Nearness::Rack));
        assert!(!reach.widen(Instant::after(MAX_WAIT * 6)), "its wait begins anew");
    }
}
