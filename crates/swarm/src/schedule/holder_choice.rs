//! The choice of the holder to ask next. Counts requests, and knows no piece.
//!
//! The holder with the fewest requests under way comes first, among those the nearest, among those
//! the one with the least to send to others; equals take turns. A second request waits at a holder
//! only where that hides the time of messages, or where it is the only holder of use.

use super::topology::Locality;
use crate::Rank;

/// Requests under way at a holder that is the only one of use: the next are there when the first
/// ends.
const MAX_REQUESTS_AT_ONE: u16 = 4;

/// The requests that may be under way at each of several holders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// One: a window full of requests at the seeder would leave no room for those who got its
    /// pieces.
    No,
    /// Two: the next waits there while the first is answered, which hides the time that both
    /// messages take on links that are full.
    Yes,
}

/// The holders among which one is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rivals {
    /// One holder alone has something to choose.
    None,
    /// Several have.
    Several,
}

/// A holder in good standing, as the choice sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// The holder's rank.
    pub(crate) rank: Rank,
    /// Its distance.
    pub(crate) locality: Locality,
    /// Requests that it has not answered in full.
    pub(crate) requests: u16,
    /// Of those, the ones that it has not acknowledged.
    pub(crate) unacknowledged: u16,
    /// Pieces that it has to send to others.
    pub(crate) backlog: u32,
    /// Whether it has a piece that may be chosen.
    pub(crate) is_useful: bool,
    /// Whether a piece takes much longer from it than usual, or it is not known how long one takes.
    pub(crate) is_slow: bool,
    /// Whether it is to be left to other ranks where there is another choice.
    pub(crate) is_for_others: bool,
}

/// What makes a holder worse to ask than another, the weightiest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    is_for_others: bool,
    requests: u16,
    locality: Locality,
    backlog: u32,
    had_its_turn: bool,
}

/// Whether a holder may be chosen at all, by the slots of those in good standing that are of use
/// and of those without a request under way; gives its rivals. Nearly always each holder of use is
/// asked already, and then none need be looked at.
pub(crate) fn rivals(of_use: u64, idle: u64, ahead: Ahead) -> Option<Rivals> {
    match of_use.count_ones() {
        0 => None,
        1 => Some(Rivals::None),
        _ if ahead == Ahead::No && of_use & idle == 0 => None,
        _ => Some(Rivals::Several),
    }
}

/// Chooses one of all holders in good standing, where `turn` was chosen last. Gives its rank, and
/// the number of holders among which the window is to be shared.
pub(crate) fn choose(
    candidates: impl Iterator<Item = Candidate>,
    rivals: Rivals,
    ahead: Ahead,
    turn: Rank,
) -> Option<(Rank, usize)> {
    let most = if ahead == Ahead::Yes { 2 } else { 1 };
    let mut sharing = 0;
    let mut best: Option<(Cost, Rank)> = None;
    for holder in candidates {
        // One that is slow, or may be, has enough to do with one request.
        let has_enough = ahead == Ahead::Yes && holder.requests > 0 && holder.is_slow;
        let cost = Cost {
            is_for_others: holder.is_for_others,
            requests: if has_enough { holder.requests.max(most) } else { holder.requests },
            locality: holder.locality,
            backlog: holder.backlog,
            had_its_turn: holder.rank <= turn,
        };
        let is_open = holder.unacknowledged == 0 && holder.requests < MAX_REQUESTS_AT_ONE;
        let is_better = best.is_none_or(|(least, _)| cost < least);
        // One that is better, and has nothing to choose, shares in no window.
        if !(is_open && is_better) {
            sharing += 1;
        } else if holder.is_useful {
            sharing += 1;
            best = Some((cost, holder.rank));
        }
    }
    let (cost, rank) = best?;
    (cost.requests < most || rivals == Rivals::None).then_some((rank, sharing))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Rank = Rank(3);

    fn holder(rank: u32) -> Candidate {
        Candidate {
            rank: Rank(rank),
            locality: Locality::Rack,
            requests: 0,
            unacknowledged: 0,
            backlog: 0,
            is_useful: true,
            is_slow: false,
            is_for_others: false,
        }
    }

    fn chosen(holders: &[Candidate], ahead: Ahead) -> Option<u32> {
        let all = holders.iter().copied();
        choose(all, Rivals::Several, ahead, TURN).map(|(rank, _)| rank.0)
    }

    #[test]
    fn the_fewest_requests_come_before_the_nearest_and_those_before_the_least_busy() {
        let near = Candidate { locality: Locality::Host, requests: 1, ..holder(1) };
        let far = Candidate { locality: Locality::Remote, ..holder(2) };
        assert_eq!(chosen(&[near, far], Ahead::Yes), Some(2));
        let near = Candidate { requests: 0, backlog: 9, ..near };
        assert_eq!(chosen(&[near, far], Ahead::Yes), Some(1));
        let busy = Candidate { backlog: 10, ..near };
        let less_busy = Candidate { rank: Rank(7), backlog: 9, ..near };
        assert_eq!(chosen(&[busy, less_busy], Ahead::Yes), Some(7));
    }

    #[test]
    fn equals_take_turns() {
        assert_eq!(chosen(&[holder(1), holder(3), holder(4), holder(6)], Ahead::No), Some(4));
        assert_eq!(chosen(&[holder(1), holder(3)], Ahead::No), Some(1), "the round begins anew");
    }

    #[test]
    fn a_second_request_waits_only_on_slow_links_and_not_at_a_slow_holder() {
        let asked = |rank| Candidate { requests: 1, ..holder(rank) };
        assert_eq!(chosen(&[asked(4), asked(5)], Ahead::No), None);
        assert_eq!(chosen(&[asked(4), asked(5)], Ahead::Yes), Some(4));
        let slow = Candidate { is_slow: true, ..asked(4) };
        assert_eq!(chosen(&[slow, asked(5)], Ahead::Yes), Some(5));
        assert_eq!(chosen(&[slow], Ahead::Yes), None);
        let unacknowledged = Candidate { unacknowledged: 1, ..asked(4) };
        assert_eq!(chosen(&[unacknowledged], Ahead::Yes), None);
    }

    #[test]
    fn the_only_holder_of_use_has_up_to_four_requests() {
        let only = |requests| {
            let all = [Candidate { requests, ..holder(4) }].into_iter();
            choose(all, Rivals::None, Ahead::No, TURN).is_some()
        };
        assert!([0, 1, 2, 3].into_iter().all(only));
        assert!(!only(4));
    }

    #[test]
    fn a_holder_for_others_is_asked_only_where_there_is_no_other() {
        let seeder = Candidate { is_for_others: true, locality: Locality::Host, ..holder(4) };
        assert_eq!(chosen(&[seeder, holder(5)], Ahead::No), Some(5));
        assert_eq!(chosen(&[seeder], Ahead::No), Some(4));
    }

    #[test]
    fn all_but_the_better_ones_without_use_share_the_window() {
        let useless = |rank| Candidate { is_useful: false, ..holder(rank) };
        let shares = |all: &[Candidate]| {
            choose(all.iter().copied(), Rivals::Several, Ahead::No, TURN)
                .map(|(_, sharing)| sharing)
        };
        assert_eq!(shares(&[holder(4), holder(5), useless(1)]), Some(3));
        assert_eq!(shares(&[useless(4), holder(5)]), Some(1));
        assert_eq!(shares(&[useless(4)]), None);
    }

    #[test]
    fn where_each_holder_of_use_is_asked_none_is_looked_at() {
        assert_eq!(rivals(0, 0b111, Ahead::Yes), None);
        assert_eq!(rivals(0b110, 0b001, Ahead::No), None);
        assert_eq!(rivals(0b110, 0b001, Ahead::Yes), Some(Rivals::Several));
        assert_eq!(rivals(0b110, 0b100, Ahead::No), Some(Rivals::Several));
        assert_eq!(rivals(0b010, 0, Ahead::No), Some(Rivals::None));
    }
}
