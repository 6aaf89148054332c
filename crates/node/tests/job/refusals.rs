//! Jobs that are refused before anything is transferred.

use crate::support::*;
use node::Job;
use std::time::Duration;
use swarm::{Outcome, PeerState};

/// Holds that a job is refused with a reason, and that no destination was made.
fn expect_refused(world: &World, told: &Told, reason: &str) {
    let report = told.expect(Outcome::Refused);
    let reasons = told.reasons();
    assert!(reasons.contains(reason), "'{reason}' is not in '{reasons}'");
    assert!(!world.path("into").exists(), "a trace: {:?}", tree(&world.path("into")).keys());
    assert_eq!(report.bytes_delivered, 0);
}

#[test]
fn two_contents_under_one_name_are_refused_with_both_ranks() {
    let world = World::new();
    world.file("a/data", &bytes(100_000, 1));
    world.file("b/data", &bytes(100_000, 2));
    let into = leecher(world.path("into/deeper/still"));
    let told = Cluster::new([idle(), seeder(world.path("a")), seeder(world.path("b")), into]).run();
    expect_refused(&world, &told, "data");
    let reasons = told.reasons();
    assert!(reasons.contains("rank 1") && reasons.contains("rank 2"), "{reasons}");
}

#[test]
fn a_pattern_without_a_match_is_refused() {
    let world = World::new();
    world.file("source/data", b"content");
    let job = wanting("*.h5", world.path("into"), idle());
    let told = Cluster::new([idle(), seeder(world.path("source")), job]).run();
    expect_refused(&world, &told, "*.h5");
}

#[test]
fn nothing_shared_at_all_is_refused() {
    let world = World::new();
    let told = Cluster::new([idle(), idle(), leecher(world.path("into"))]).run();
    expect_refused(&world, &told, "");
    assert!(!told.report().reasons.is_empty());
}

#[test]
fn a_problem_with_the_orders_of_a_peer_is_told_with_its_rank() {
    let world = World::new();
    world.file("source/data", b"content");
    let bad = Job { problem: Some("the plan is bad".into()), ..idle() };
    let told =
        Cluster::new([idle(), seeder(world.path("source")), bad, leecher(world.path("into"))])
            .run();
    expect_refused(&world, &told, "rank 2: the plan is bad");
}

#[test]
fn a_problem_with_the_orders_of_a_dedicated_tracker_refuses_the_job_too() {
    let world = World::new();
    world.file("source/data", b"content");
    let bad = Job { problem: Some("the plan is bad".into()), ..idle() };
    let told = Cluster::new([bad, seeder(world.path("source")), leecher(world.path("into"))]).run();
    expect_refused(&world, &told, "the plan is bad");
}

#[test]
fn a_destination_that_another_job_has_is_refused_and_left_alone() {
    let world = World::new();
    world.file("source/data", b"content");
    let other = store::Destination::open(&world.path("busy"), "job 17, host x").unwrap();
    let before = tree(&world.path("busy"));
    let jobs = [seeder(world.path("source")), leecher(world.path("busy"))];
    let told = Cluster::new([idle()].into_iter().chain(jobs)).run();
    expect_refused(&world, &told, "job 17, host x");
    assert_eq!(tree(&world.path("busy")), before);
    drop(other);
}

#[test]
fn a_rank_that_still_hashes_a_huge_share_does_not_hold_up_the_refusal() {
    let world = World::new();
    let huge = world.path("huge/data");
    std::fs::create_dir(world.path("huge")).unwrap();
    let file = std::fs::File::create(&huge).unwrap();
    file.set_len(8 << 30).unwrap();
    let bad = Job { problem: Some("the plan is bad".into()), ..idle() };
    let hashing = wanting("**", world.path("into"), seeder(world.path("huge")));
    let told = Cluster::new([idle(), Job { threads: 1, ..hashing }, bad])
        .late(2, Duration::from_millis(200))
        .run();
    expect_refused(&world, &told, "the plan is bad");
    assert!(told.took < Duration::from_secs(3), "{:?}", told.took);
}

#[test]
fn a_refused_rank_whose_destination_is_slow_to_open_is_not_taken_for_dead() {
    let world = World::new();
    // Whoever opens it waits two seconds for the identity that another seems to be writing.
    world.file("slow/.shoal/id", b"");
    let bad = Job { problem: Some("the plan is bad".into()), ..idle() };
    let told = Cluster::new([idle(), leecher(world.path("slow")), bad])
        .patience(Duration::from_secs(1))
        .run();
    expect_refused(&world, &told, "the plan is bad");
    assert!(told.row(1).state != PeerState::Lost, "{told:#?}");
}

#[test]
fn a_rank_that_cannot_receive_is_refused_alone() {
    let world = World::new();
    let content = bytes(100_000, 1);
    world.file("source/data", &content);
    let obstacle = world.file("obstacle", b"not a directory");
    let jobs = [seeder(world.path("source")), leecher(obstacle), leecher(world.path("into"))];
    let told = Cluster::new([idle()].into_iter().chain(jobs)).run();
    told.expect(Outcome::Degraded);
    let reason = told.row(2).reason.as_ref().unwrap().to_string();
    assert!(reason.contains("not a directory"), "{reason}");
    assert_eq!(tree(&world.path("into")), one_file("data", &content));
}
