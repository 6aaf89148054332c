//! Whole jobs whose tracker is lost, at every stage: another rank takes over, all that live end,
//! and one true report is made.

mod world;

use std::time::Duration;
use swarm::{Channel, Outcome, PeerState, Rank};
use world::orders::orders;
use world::{Fault, Settings, Trigger, World, file};

const LIMIT: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(4);

/// A dedicated tracker, a seeder and three leechers, and what goes wrong.
fn job(seed: u64, faults: Vec<(Trigger, Fault)>) -> World {
    let files = [file("a", 90), file("b", 7)];
    let mut peers = vec![orders(&[], &[]), orders(&[], &files)];
    peers.extend((0..3).map(|_| orders(&["**"], &[])));
    let settings = Settings { patience: PATIENCE, ..Settings::new(seed, false) };
    let mut world = World::with(settings, peers, faults);
    world.run(LIMIT);
    world.audit();
    world
}

/// The job ends with this tracker, and every rank above it is complete.
fn expect(world: &World, tracker: u32) {
    let report = world.report.as_ref().unwrap();
    assert_eq!((report.tracker, report.outcome), (Rank(tracker), Outcome::Degraded));
    for row in &report.peers {
        let state = if row.rank.0 < tracker { PeerState::Lost } else { PeerState::Complete };
        assert_eq!(row.state, state, "{row:?}");
    }
}

fn kill(rank: u32, at: Trigger, told: bool) -> (Trigger, Fault) {
    (at, Fault::Kill { rank: Rank(rank), told })
}

#[test]
fn a_tracker_that_dies_at_any_time_is_succeeded_by_rank_1() {
    let stages = [
        ("before INIT", Trigger::Event(0)),
        ("gathering", Trigger::Message(Channel::Init, 5)),
        ("the first STARTs", Trigger::Message(Channel::Init, 14)),
        ("the last STARTs", Trigger::Message(Channel::Init, 18)),
        ("serving", Trigger::Message(Channel::Ack, 12)),
        ("the first STOPs", Trigger::Message(Channel::Update, 25)),
        ("FINISH", Trigger::Message(Channel::Finish, 1)),
        ("counters", Trigger::Message(Channel::Finish, 5)),
    ];
    for (stage, trigger) in stages {
        for seed in 0..20 {
            for told in [true, false] {
                let world = job(seed, vec![kill(0, trigger, told)]);
                let report = world.report.as_ref().unwrap();
                assert_eq!(report.tracker, Rank(1), "{stage}, seed {seed}, told: {told}");
                expect(&world, 1);
            }
        }
    }
}

#[test]
fn a_successor_that_dies_as_well_is_succeeded_by_the_next() {
    for seed in 0..20 {
        let two = vec![
            kill(0, Trigger::Message(Channel::Ack, 6), true),
            kill(2, Trigger::Message(Channel::Ack, 7), false),
        ];
        let world = job(seed, two);
        assert_eq!(world.report.as_ref().unwrap().tracker, Rank(1));
        let both = vec![
            kill(0, Trigger::Message(Channel::Ack, 20), true),
            kill(1, Trigger::Message(Channel::Ack, 24), true),
        ];
        assert_eq!(job(seed, both).report.as_ref().unwrap().tracker, Rank(2));
    }
}

#[test]
fn a_tracker_that_sleeps_for_longer_than_the_patience_is_succeeded_and_for_less_it_is_not() {
    for seed in 0..20 {
        let sleep = |time| {
            let fault = Fault::Sleep { rank: Rank(0), time };
            job(seed, vec![(Trigger::Message(Channel::Ack, 6), fault)])
        };
        expect(&sleep(PATIENCE * 2), 1);
        let short = sleep(PATIENCE / 2);
        assert_eq!(short.report.as_ref().unwrap().outcome, Outcome::Complete);
    }
}

#[test]
fn a_file_that_kept_changing_is_missing_under_a_successor_too() {
    for seed in 0..20 {
        for message in [3, 5, 9, 14] {
            let changing = [file("a", 9), file("log", 7)];
            let mut peers = vec![orders(&[], &[]), orders(&[], &changing)];
            peers[1].unsteady = vec!["log"];
            peers.extend((0..2).map(|_| orders(&["**"], &[])));
            let settings = Settings { patience: PATIENCE, ..Settings::new(seed, false) };
            let faults = vec![kill(0, Trigger::Message(Channel::Init, message), true)];
            let mut world = World::with(settings, peers, faults);
            world.run(LIMIT);
            let report = world.report.as_ref().unwrap();
            let missing: Vec<String> = report.missing.iter().map(ToString::to_string).collect();
            assert_eq!((report.tracker, missing), (Rank(1), vec!["log".to_owned()]), "seed {seed}");
        }
    }
}
