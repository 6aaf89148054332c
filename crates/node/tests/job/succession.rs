//! Jobs whose tracker dies or falls silent: another rank takes over, and the job ends in order.

use crate::support::*;
use std::thread::sleep;
use std::time::Duration;
use swarm::{Channel, Outcome, PeerState, Rank};

const PIECES: usize = 100;
const PATIENCE: Duration = Duration::from_secs(1);

/// A dedicated tracker, a seeder, and leechers that are slow enough to be hit.
fn jobs(world: &World, leechers: u32) -> Vec<node::Job> {
    let mut jobs = vec![idle(), seeder(world.path("source"))];
    jobs.extend((0..leechers).map(|at| leecher(world.path(&format!("into{}", at + 2)))));
    jobs
}

#[test]
fn where_the_tracker_dies_while_pieces_move_the_lowest_rank_takes_over_and_all_complete() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let told = Cluster::new(jobs(&world, 2))
        .hook(0, from_channel(2, Channel::Update, |_| die()))
        .hook(2, slow(Duration::from_millis(5)))
        .hook(3, slow(Duration::from_millis(5)))
        .run();
    let report = told.expect(Outcome::Degraded);
    assert_eq!(report.tracker, Rank(1));
    assert_eq!(
        told.row(0).state,
        PeerState::Lost,
        "a dedicated tracker has a row where it is lost"
    );
    for rank in 1..4 {
        assert!(told.ended(rank).lost);
        assert_eq!(told.ended(rank).is_tracker, rank == 1);
        assert_eq!(told.row(rank as u32).state, PeerState::Complete);
    }
    for rank in [2, 3] {
        assert_eq!(tree(&world.path(&format!("into{rank}"))), tree(&world.path("source")));
    }
    assert!(told.ranks[1].notices.join(" ").contains("rank 1 tracks from now on"));
}

#[test]
fn where_the_successor_dies_as_well_the_next_rank_takes_over() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let mut all = jobs(&world, 2);
    all.push(seeder(world.path("source")));
    let told = Cluster::new(all)
        .hook(0, from_channel(2, Channel::Update, |_| die()))
        .hook(1, from_channel(2, Channel::Init, |_| die()))
        .hook(2, slow(Duration::from_millis(5)))
        .hook(3, slow(Duration::from_millis(5)))
        .run();
    let report = told.expect(Outcome::Degraded);
    assert_eq!(report.tracker, Rank(2));
    for rank in [2, 3] {
        assert_eq!(tree(&world.path(&format!("into{rank}"))), tree(&world.path("source")));
    }
}

#[test]
fn where_the_tracker_dies_before_start_the_job_begins_anew() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let told =
        Cluster::new(jobs(&world, 1)).hook(0, from_channel(2, Channel::Init, |_| die())).run();
    let report = told.expect(Outcome::Degraded);
    assert_eq!(report.tracker, Rank(1));
    assert_eq!(tree(&world.path("into2")), tree(&world.path("source")));
}

#[test]
fn where_the_tracker_dies_when_all_is_there_another_makes_the_report() {
    let world = World::new();
    world.file("source/data", &bytes(5 * PIECE, 1));
    std::fs::create_dir(world.path("source/bare")).unwrap();
    let told = Cluster::new(jobs(&world, 1))
        .hook(2, without(0, Channel::Finish))
        .hook(0, from_channel(1, Channel::Finish, |_| die()))
        .run();
    let report = told.expect(Outcome::Degraded);
    assert_eq!(report.tracker, Rank(1));
    assert_eq!(told.row(2).state, PeerState::Complete);
    assert_eq!(tree(&world.path("into2")), tree(&world.path("source")), ".shoal is gone");
}

#[test]
fn a_tracker_that_sleeps_too_long_is_succeeded_and_ends_as_lost_when_it_wakes() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let told = Cluster::new(jobs(&world, 2))
        .patience(PATIENCE)
        .hook(0, from_channel(2, Channel::Update, |_| sleep(3 * PATIENCE)))
        .hook(2, slow(Duration::from_millis(40)))
        .hook(3, slow(Duration::from_millis(40)))
        .run();
    let report = told.expect(Outcome::Degraded);
    assert_eq!(report.tracker, Rank(1));
    assert_eq!(told.row(0).state, PeerState::Lost);
    let woken = told.ended(0);
    assert!(woken.lost && !woken.is_tracker, "{woken:?}");
    assert!(told.ranks[0].notices.join(" ").contains("this rank is given up"));
}
