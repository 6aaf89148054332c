//! Jobs in which a rank dies, or falls silent.

use crate::support::*;
use std::thread::sleep;
use std::time::Duration;
use swarm::{Channel, Outcome, PeerState};

const PIECES: usize = 100;
const PATIENCE: Duration = Duration::from_secs(1);

#[test]
fn a_peer_that_dies_while_it_receives_is_lost_and_the_others_complete() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let into = |rank: u32| world.path(&format!("into{rank}"));
    let jobs = [idle(), seeder(world.path("source"))].into_iter();
    let told = Cluster::new(jobs.chain((2..5).map(|rank| leecher(into(rank)))))
        .hook(3, die_at_piece(30))
        .run();
    told.expect(Outcome::Degraded);
    assert_eq!(told.row(3).state, PeerState::Lost);
    for rank in [2, 4] {
        assert_eq!(tree(&into(rank)), tree(&world.path("source")));
        assert!(told.ended(rank as usize).lost);
    }
    assert!(told.report().missing.is_empty());
}

#[test]
fn where_the_last_holder_dies_its_files_are_named_and_the_rest_arrives() {
    let world = World::new();
    world.file("a/doomed", &bytes(PIECES * PIECE, 1));
    world.file("b/safe", &bytes(PIECES * PIECE, 2));
    let doomed = world.path("a");
    // It dies at the fourth message of those who want its pieces.
    let jobs = [idle(), seeder(doomed), seeder(world.path("b"))].into_iter();
    let jobs = jobs.chain([leecher(world.path("into3")), leecher(world.path("into4"))]);
    let mut requests = 0;
    let hook: Hook = Box::new(move |seen| {
        requests += seen
            .arrivals
            .iter()
            .filter(|arrival| {
                matches!(arrival, node::Arrival::Message { channel: Channel::DthUth, .. })
            })
            .count();
        if requests >= 4 {
            die();
        }
    });
    let told = Cluster::new(jobs).hook(1, hook).run();
    let report = told.expect(Outcome::Degraded);
    let missing: Vec<String> = report.missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["doomed"]);
    for rank in [3, 4] {
        let into = tree(&world.path(&format!("into{rank}")));
        assert_eq!(into["safe"], Content(bytes(PIECES * PIECE, 2)));
        assert!(!into.contains_key("doomed"));
        let row = told.row(rank);
        assert_eq!((row.state, row.files_complete), (PeerState::Incomplete, 1));
    }
}

#[test]
fn a_rank_that_had_the_file_before_stands_in_for_a_seeder_that_dies_at_once() {
    let world = World::new();
    let content = bytes(PIECES * PIECE, 1);
    world.file("source/data", &content);
    world.file("there/data", &content);
    let hook: Hook = Box::new(|seen| {
        let asks = |arrival: &_| {
            matches!(arrival, node::Arrival::Message { channel: Channel::DthUth, .. })
        };
        if seen.arrivals.iter().any(asks) {
            die();
        }
    });
    let jobs = [seeder(world.path("source")), leecher(world.path("there"))];
    let told = Cluster::new([idle()].into_iter().chain(jobs).chain([leecher(world.path("into"))]))
        .hook(1, hook)
        .run();
    told.expect(Outcome::Degraded);
    assert_eq!(tree(&world.path("into")), one_file("data", &content));
    assert_eq!(told.row(2).counters.bytes_reused, content.len() as u64);
}

#[test]
fn a_rank_that_sleeps_too_long_is_lost_and_ends_when_it_wakes() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let jobs = [idle(), seeder(world.path("source")), leecher(world.path("a"))];
    let told = Cluster::new(jobs.into_iter().chain([leecher(world.path("b"))]))
        .patience(PATIENCE)
        .hook(2, when_piece(10, || sleep(4 * PATIENCE)))
        .run();
    told.expect(Outcome::Degraded);
    assert_eq!(told.row(2).state, PeerState::Lost);
    assert_eq!(tree(&world.path("b")), tree(&world.path("source")));
    let (woken, other) = (&told.ranks[2], &told.ranks[3]);
    assert!(other.took < 3 * PATIENCE, "nobody waits for it: {:?}", other.took);
    assert!(told.ended(2).lost && woken.took < 6 * PATIENCE, "{woken:#?}");
}

#[test]
fn a_rank_that_hangs_in_the_end_costs_its_row_and_nobody_elses() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let jobs = [idle(), seeder(world.path("source")), leecher(world.path("a"))];
    let told = Cluster::new(jobs.into_iter().chain([leecher(world.path("b"))]))
        .patience(PATIENCE)
        .hook(2, from_channel(0, Channel::Finish, |_| sleep(3 * PATIENCE)))
        .run();
    assert_eq!(told.row(2).state, PeerState::Lost);
    for rank in [0, 1, 3] {
        assert!(told.ended(rank).lost, "every live rank learns that one was lost");
        assert!(told.ranks[rank].notices.iter().all(|notice| !notice.contains("tracker")));
    }
    told.expect(Outcome::Degraded);
}

#[test]
fn a_peer_that_dies_before_it_says_init_is_not_waited_for() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let hook: Hook = Box::new(|_| die());
    let jobs = [idle(), seeder(world.path("source")), leecher(world.path("a"))];
    let told = Cluster::new(jobs.into_iter().chain([leecher(world.path("b"))])).hook(2, hook).run();
    told.expect(Outcome::Degraded);
    assert_eq!(tree(&world.path("b")), tree(&world.path("source")));
}
