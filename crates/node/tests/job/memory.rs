//! What a rank keeps in memory, where it was told how much that may be.

use crate::support::*;
use node::Job;
use swarm::{Outcome, PeerState};

/// Two that want what a third one shares, each with so much memory; one has an older version.
fn jobs(world: &World, memory: Option<u64>) -> [Job; 4] {
    let rank = |job| Job { memory, ..job };
    let into = |rank: u32| world.path(&format!("into{rank}"));
    let ranks = [idle(), seeder(world.path("source")), leecher(into(2)), leecher(into(3))];
    ranks.map(rank)
}

#[test]
fn the_buffers_of_a_rank_never_exceed_its_memory() {
    let world = World::new();
    let content = bytes(400 * PIECE + 77, 1);
    world.file("source/long", &content);
    world.file("source/dir/other", &bytes(100 * PIECE, 2));
    let mut older = content;
    (0..400).step_by(3).for_each(|piece| older[piece * PIECE] ^= 1);
    world.file("into3/long", &older);
    let memory = 1 << 20;
    let told = Cluster::new(jobs(&world, Some(memory))).run();
    told.expect(Outcome::Complete);
    for rank in 1..4 {
        let peak = told.ended(rank).peak_buffer_bytes;
        assert!((1..=memory).contains(&peak), "rank {rank}: {peak} of {memory}");
        assert_eq!(told.row(rank as u32).state, PeerState::Complete);
    }
    for rank in 2..4 {
        assert_eq!(tree(&world.path(&format!("into{rank}"))), tree(&world.path("source")));
    }
}

#[test]
fn without_a_bound_the_same_job_keeps_more() {
    let world = World::new();
    world.file("source/long", &bytes(400 * PIECE, 1));
    let told = Cluster::new(jobs(&world, None)).run();
    told.expect(Outcome::Complete);
    let peak = (2..4).map(|rank| told.ended(rank).peak_buffer_bytes).max();
    assert!(peak.is_some_and(|peak| peak > 1 << 20), "{peak:?}");
}

#[test]
fn too_little_memory_for_the_pieces_is_refused_with_what_would_do() {
    let world = World::new();
    world.file("source/data", &bytes(20 * PIECE, 1));
    let told = Cluster::new(jobs(&world, Some(8 * PIECE as u64))).run();
    let report = told.expect(Outcome::Refused);
    let why = report.reasons[0].to_string();
    assert!(why.contains("too little for pieces of 16 KiB: give 1 MiB at least"), "{why}");
}
