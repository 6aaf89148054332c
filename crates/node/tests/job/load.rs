//! What waiting costs.

use crate::support::*;
use std::time::Duration;
use swarm::Outcome;

#[test]
fn a_rank_that_waits_uses_little_of_its_core() {
    let world = World::new();
    world.file("source/data", b"content");
    let told = Cluster::new([idle(), seeder(world.path("source")), leecher(world.path("into"))])
        .late(2, Duration::from_secs(2))
        .run();
    told.expect(Outcome::Complete);
    for rank in &told.ranks[..2] {
        assert!(rank.took > Duration::from_secs(1), "it waited: {:?}", rank.took);
        assert!(rank.used * 10 < rank.took, "{:?} of {:?}", rank.used, rank.took);
    }
}
