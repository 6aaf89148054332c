//! What is known of holders, and when it is forgotten.

use super::*;

fn learn(holders: &mut Holders, picker: &mut Picker, rank: u32, pieces: Range<u32>) -> bool {
    holders.learn(Rank(rank), Locality::Rack, std::iter::once(pieces), picker)
}

#[test]
fn a_new_holder_takes_the_place_of_one_with_nothing_to_pick() {
    let mut picker = Picker::new(4, 0, 1);
    let mut holders = Holders::new(Rank(0));
    picker.add(1);
    for rank in 0..MAX_HOLDERS as u32 {
        assert!(learn(&mut holders, &mut picker, rank, 1..2));
    }
    assert!(!learn(&mut holders, &mut picker, 100, 1..2), "all of them are of use");
    learn(&mut holders, &mut picker, 5, 0..1);
    holders.unlearn(Rank(5), 1, &mut picker);
    holders.asked(Rank(5));
    assert!(!learn(&mut holders, &mut picker, 100, 1..2), "one has a request to answer");
    holders.answered(Rank(5));
    holders.check_invariants();
    assert!(learn(&mut holders, &mut picker, 100, 1..2));
    assert!(holders.get(Rank(5)).is_none());
    picker.check_invariants();
}

#[test]
fn strikes_are_remembered_where_a_holder_loses_its_place() {
    let mut picker = Picker::new(4, 0, 1);
    let mut holders = Holders::new(Rank(0));
    learn(&mut holders, &mut picker, 1, 0..4);
    assert!(!holders.strike(Rank(1), &mut picker));
    holders.forget(Rank(1), &mut picker);
    learn(&mut holders, &mut picker, 1, 0..4);
    assert!(!holders.strike(Rank(1), &mut picker));
    assert!(holders.strike(Rank(1), &mut picker));
    assert!(!learn(&mut holders, &mut picker, 1, 0..4));
    picker.check_invariants();
}

#[test]
fn hashes_are_asked_of_the_next_holder_where_one_does_not_answer() {
    let mut picker = Picker::new(4, 0, 1);
    let mut holders = Holders::new(Rank(0));
    for rank in 1..4 {
        learn(&mut holders, &mut picker, rank, 0..4);
    }
    let mut before = None;
    let asked = std::iter::from_fn(|| {
        before = holders.knowing(0..4, before, &picker);
        before
    });
    let asked: Vec<u32> = asked.take(4).map(|rank| rank.0).collect();
    assert_eq!(asked, [1, 2, 3, 1]);
}

#[test]
fn nobody_is_asked_twice_at_once_but_the_only_one_of_use() {
    let mut picker = Picker::new(4, 0, 1);
    let mut holders = Holders::new(Rank(0));
    picker.add(1);
    learn(&mut holders, &mut picker, 1, 1..2);
    learn(&mut holders, &mut picker, 2, 2..3);
    for _ in 0..2 {
        let next = holders.next(&picker, Ahead::No).map(|(rank, _)| rank);
        assert_eq!(next, Some(Rank(1)), "only it has what is wanted");
        holders.asked(Rank(1));
        holders.acknowledged(Rank(1), Instant::ZERO, 0);
        holders.check_invariants();
    }
    picker.add(2);
    assert_eq!(holders.next(&picker, Ahead::No).map(|(rank, _)| rank), Some(Rank(2)));
    holders.asked(Rank(2));
    assert_eq!(holders.next(&picker, Ahead::No), None, "both have enough to do");
    holders.answered(Rank(2));
    holders.stall(Rank(2));
    let next = holders.next(&picker, Ahead::No).map(|(rank, _)| rank);
    assert_eq!(next, Some(Rank(1)), "who stalls is of no use");
    holders.check_invariants();
    picker.check_invariants();
}
