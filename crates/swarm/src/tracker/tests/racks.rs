//! Racks that nobody told of are learned from the rates.

use super::*;
use crate::message::Rate;
use crate::schedule::Topology;

/// What a rank of eight sees, the first four of which stand in one rack.
fn seen(by: u32) -> ToTracker {
    let micros = |rank: u32| if (rank - 1) / 4 == (by - 1) / 4 { 10_000 } else { 80_000 };
    let others = (1..9).filter(|&rank| rank != by);
    ToTracker::Rates(others.map(|rank| Rate { rank: Rank(rank), micros: micros(rank) }).collect())
}

fn is_asked(bench: &mut Bench, rank: u32) -> bool {
    bench.sent(rank).contains(&FromTracker::TellRates)
}

fn places(bench: &mut Bench) -> Vec<Option<Topology>> {
    let place = |message| match message {
        FromTracker::Moved { topology, .. } => Some(*topology),
        _ => None,
    };
    (1..9).map(|rank| bench.sent(rank).into_iter().find_map(place)).collect()
}

#[test]
fn two_that_see_two_groups_make_the_tracker_ask_all_and_tell_each_where_it_stands() {
    let mut bench = Bench::new(9);
    bench.say(5, seen(5));
    bench.pass(Duration::from_secs(1));
    assert!(!is_asked(&mut bench, 1), "one alone may err");
    bench.say(6, seen(6));
    bench.pass(Duration::from_millis(100));
    assert!((1..9).all(|rank| is_asked(&mut bench, rank)));
    (2..9).for_each(|rank| bench.say(rank, seen(rank)));
    bench.say(1, ToTracker::Rates(Vec::new()));
    bench.pass(Duration::from_millis(300));
    let told = places(&mut bench);
    let span = |first| vec![Span { first, count: 4 }];
    for (place, rank) in told.iter().zip(1..) {
        let place = place.as_ref().expect("all are told");
        assert_eq!(place.rack, Some(span(if rank < 5 { 1 } else { 5 })), "rank {rank}");
    }
    assert!(bench.actions.iter().any(
        |action| matches!(action, TrackerAction::Notice(notice) if notice.to_string().contains("in 2 racks"))
    ));
}

#[test]
fn where_no_racks_are_seen_all_are_asked_again_ever_more_rarely_and_not_for_ever() {
    let mut bench = Bench::new(9);
    let slow = |by: u32| {
        let others = (1..9).filter(|&rank| rank != by);
        let micros = |rank: u32| if rank > 4 { 90_000 } else { 10_000 };
        let rates = others.map(|rank| Rate { rank: Rank(rank), micros: micros(rank) });
        ToTracker::Rates(rates.collect())
    };
    let mut asked = 0;
    for _ in 0..1000 {
        (1..9).for_each(|rank| bench.say(rank, slow(rank)));
        bench.pass(Duration::from_millis(100));
        asked += u32::from(is_asked(&mut bench, 1));
        assert_eq!(places(&mut bench), vec![None; 8], "four slow ranks are no rack");
    }
    assert_eq!(asked, 6);
}

#[test]
fn rates_of_ranks_that_are_not_there_are_nothing() {
    let mut bench = Bench::new(9);
    let rates = |by: u32| {
        let rates = [by, 9, u32::MAX].map(|rank| Rate { rank: Rank(rank), micros: by });
        ToTracker::Rates(rates.to_vec())
    };
    for _ in 0..20 {
        (1..9).for_each(|rank| bench.say(rank, rates(rank)));
        bench.pass(Duration::from_millis(100));
    }
    assert_eq!(places(&mut bench), vec![None; 8]);
}
