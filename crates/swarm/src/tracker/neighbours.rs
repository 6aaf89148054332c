//! Who tells whom of gains unasked.
//!
//! Ranks stand in a ring, those of one host beside each other, and each has neighbours at distances
//! of powers of two both ways round: few, and every rank is few hops from every other.

use crate::Rank;
use crate::message::Neighbour;
use std::collections::BTreeSet;

/// The neighbours of the rank that stands at a place of the ring. Each place has a rank and its
/// host.
pub(super) fn neighbours(ring: &[(u32, Rank)], at: usize) -> Vec<Neighbour> {
    let len = ring.len();
    let mut places = BTreeSet::new();
    let mut distance = 1;
    while distance < len {
        places.insert((at + distance) % len);
        places.insert((at + len - distance) % len);
        distance *= 2;
    }
    places.remove(&at);
    let host = ring[at].0;
    places
        .into_iter()
        .map(|place| ring[place])
        .map(|(on, rank)| Neighbour { rank, near: on == host })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_mutual_few_and_lead_everywhere_in_few_steps() {
        for len in 1..130u32 {
            let ring: Vec<(u32, Rank)> = (0..len).map(|at| (at / 4, Rank(at + 1))).collect();
            let of = |at: u32| neighbours(&ring, at as usize);
            let steps = u32::BITS - (len - 1).leading_zeros();
            for at in 0..len {
                assert!(of(at).len() <= 2 * steps as usize);
                for other in of(at) {
                    let place = other.rank.0 - 1;
                    assert_ne!(place, at);
                    assert_eq!(other.near, place / 4 == at / 4);
                    assert!(of(place).iter().any(|back| back.rank.0 == at + 1));
                }
            }
            let mut reached = BTreeSet::from([0]);
            for _ in 0..steps {
                let next: Vec<u32> =
                    reached.iter().flat_map(|&at| of(at)).map(|n| n.rank.0 - 1).collect();
                reached.extend(next);
            }
            assert_eq!(reached.len(), len as usize);
        }
    }
}
