//! How near the least possible time the last peer has everything, and what a slow one costs.

use sim::{Scenario, run};

fn ratio(peers: u32, pieces: u32, seed: u64) -> f64 {
    let run = run(&Scenario { seed, ..Scenario::new(peers, pieces) }, &mut |_| ());
    assert_eq!(run.finding, None);
    run.figures.ratio
}

#[test]
fn on_one_switch_the_last_peer_ends_within_a_tenth_of_the_bound() {
    for seed in 1..4 {
        // The ends of the pipeline weigh more with few pieces; with 1000 it is within a twentieth.
        for (peers, pieces) in [(8, 300), (64, 300)] {
            let ratio = ratio(peers, pieces, seed);
            assert!(ratio < 1.1, "{peers} peers, seed {seed}: {ratio:.3}");
        }
    }
}

#[test]
fn the_traffic_of_the_tracker_does_not_grow_with_the_peers() {
    let messages = |peers| {
        let run = run(&Scenario::new(peers, 200), &mut |_| ());
        run.figures.tracker_messages_per_peer
    };
    let (few, many) = (messages(8), messages(64));
    assert!(many < few * 1.5, "{few:.0} messages a peer for 8, {many:.0} for 64");
}
