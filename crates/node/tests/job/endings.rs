//! What a rank knows when it leaves.

use crate::support::*;
use std::time::Duration;
use swarm::{Channel, Outcome};

#[test]
fn a_colocated_tracker_knows_of_a_loss_after_finish() {
    let world = World::new();
    let jobs = (0..3)
        .map(|rank| caster(world.file("data", b"content"), world.path(&format!("into{rank}"))));
    let told = Cluster::new(jobs).hook(2, from_channel(0, Channel::Finish, |_| die())).run();
    assert_eq!(told.row(2).state, swarm::PeerState::Lost);
    assert!(told.ended(0).lost && told.ended(1).lost, "MPI_Finalize would hang: {told:#?}");
}

#[test]
fn a_job_without_a_loss_says_so() {
    let world = World::new();
    world.file("source/data", b"content");
    let told =
        Cluster::new([idle(), seeder(world.path("source")), leecher(world.path("into"))]).run();
    told.expect(Outcome::Complete);
    assert!((0..3).all(|rank| !told.ended(rank).lost));
    assert!(told.took < Duration::from_secs(2), "{:?}", told.took);
}

#[test]
fn peers_that_want_nothing_end_at_once() {
    let world = World::new();
    world.file("source/data", b"content");
    let told = Cluster::new([idle(), seeder(world.path("source")), idle()]).run();
    told.expect(Outcome::Complete);
    assert!(told.took < Duration::from_secs(2), "{:?}", told.took);
}
