//! Whole jobs of real machines in a world of queues: who ends with what, and what the report says.

mod world;

use std::time::Duration;
use swarm::{Outcome, PeerState, Rank};
use world::orders::{Standing, orders};
use world::{World, file, version};

const LIMIT: Duration = Duration::from_secs(600);

fn states(world: &World) -> Vec<(PeerState, u64, u64)> {
    let report = world.report.as_ref().unwrap();
    report.peers.iter().map(|row| (row.state, row.files_wanted, row.files_complete)).collect()
}

#[test]
fn four_peers_with_different_files_all_end_with_all() {
    for seed in 0..50 {
        let files: Vec<_> =
            (1..5).map(|rank| file(&format!("dir/{rank}"), 40 * rank + 7)).collect();
        let mut peers = vec![orders(&[], &[])];
        peers.extend(files.iter().map(|file| orders(&["**"], std::slice::from_ref(file))));
        let mut world = World::new(seed, false, peers);
        world.run(LIMIT);
        let report = world.report.as_ref().unwrap();
        assert_eq!(report.outcome, Outcome::Complete, "seed {seed}: {:?}", report.reasons);
        assert_eq!(states(&world), vec![(PeerState::Complete, 3, 3); 4]);
        assert_eq!(report.bytes_wanted, report.bytes_delivered);
        let sent: u64 = report.peers.iter().map(|row| row.counters.bytes_sent).sum();
        let received: u64 = report.peers.iter().map(|row| row.counters.bytes_received).sum();
        assert_eq!(sent, received);
        assert_eq!(received, report.bytes_delivered, "nothing is sent twice");
    }
}

#[test]
fn holes_are_not_sent() {
    for seed in 0..20 {
        // Pieces 0, 4, ... and the last, which is one byte short.
        let (data, zeros) = (176 * 16384 - 1, 524 * 16384);
        let sparse = file("sparse", 700);
        assert_eq!(sparse.len(), data + zeros);
        let mut peers = vec![orders(&[], &[]), orders(&[], std::slice::from_ref(&sparse))];
        peers.extend((0..4).map(|_| orders(&["**"], &[])));
        peers[3].partials = vec![(sparse.clone(), (100..200).collect())];
        peers[4].standing = vec![("sparse".into(), Standing::Candidate((600..700).collect()))];
        let mut world = World::new(seed, false, peers);
        world.run(LIMIT);
        let report = world.report.as_ref().unwrap();
        assert_eq!(report.outcome, Outcome::Complete, "seed {seed}: {:?}", report.reasons);
        let rows: Vec<_> = report.peers.iter().map(|row| &row.counters).collect();
        for counters in &rows[1..] {
            assert_eq!(counters.bytes_delivered + counters.bytes_reused, sparse.len());
        }
        let received: Vec<u64> = rows.iter().map(|counters| counters.bytes_received).collect();
        assert_eq!(received, [0, data, data - 25 * 16384, data - (26 * 16384 - 1), data]);
    }
}

#[test]
fn holes_need_no_room_and_data_does() {
    let data = 176 * 16384 - 1;
    for (free, outcome) in [(data, Outcome::Complete), (data - 1, Outcome::Refused)] {
        let sparse = file("sparse", 700);
        let mut peers = vec![orders(&[], &[]), orders(&[], &[sparse]), orders(&["**"], &[])];
        peers[2].free_bytes = Some(free);
        let mut world = World::new(1, false, peers);
        world.run(LIMIT);
        assert_eq!(world.report.as_ref().unwrap().outcome, outcome, "{free} bytes are free");
    }
}

#[test]
fn one_seeder_and_many_leechers_trade_among_themselves() {
    for seed in 0..4 {
        let big = file("big", 700);
        let mut peers = vec![orders(&[], &[]), orders(&[], std::slice::from_ref(&big))];
        peers.extend((0..14).map(|_| orders(&["big"], &[])));
        let mut world = World::new(seed, false, peers);
        world.run(LIMIT);
        let report = world.report.as_ref().unwrap();
        assert_eq!(report.outcome, Outcome::Complete, "seed {seed}");
        let len = big.len();
        let seeder = report.peers.iter().find(|row| row.rank == Rank(1)).unwrap();
        assert!(
            seeder.counters.bytes_sent < 7 * len,
            "the seeder sent {}",
            seeder.counters.bytes_sent / len
        );
    }
}

#[test]
fn halves_of_an_earlier_run_become_whole() {
    let lost = file("lost", 900);
    let mut peers = vec![orders(&[], &[]), orders(&["**"], &[]), orders(&["**"], &[])];
    peers[1].partials = vec![(lost.clone(), (0..450).collect())];
    peers[2].partials = vec![(lost, (400..900).collect())];
    let mut world = World::new(1, false, peers);
    world.run(LIMIT);
    let report = world.report.as_ref().unwrap();
    assert_eq!(report.outcome, Outcome::Complete, "{:?}", report.reasons);
    assert_eq!(report.peers[0].counters.bytes_reused, 450 * 16384);
    assert_eq!(report.peers[0].counters.bytes_delivered, 450 * 16384 - 1);
}

#[test]
fn what_nobody_holds_is_missing_and_what_somebody_holds_arrives() {
    let broken = file("broken", 100);
    let mut peers = vec![orders(&[], &[]), orders(&["**"], &[file("a", 3)]), orders(&["**"], &[])];
    peers[1].partials = vec![(broken.clone(), (0..60).collect())];
    peers[1].has_lost_share = true;
    let mut world = World::new(3, false, peers);
    world.run(LIMIT);
    let report = world.report.as_ref().unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(report.missing.iter().map(ToString::to_string).collect::<Vec<_>>(), ["broken"]);
    assert_eq!(world.written(2), 63, "rank 2 has what there is");
    let missing = 40 * 16384 - 1 + 40 * 16384 - 1;
    let there: u64 = report
        .peers
        .iter()
        .map(|row| row.counters.bytes_delivered + row.counters.bytes_reused)
        .sum();
    assert_eq!(report.bytes_wanted, there + missing);
}

#[test]
fn a_partial_of_other_content_is_no_conflict() {
    let mut peers =
        vec![orders(&[], &[]), orders(&[], &[version("f", 30, 1)]), orders(&["**"], &[])];
    peers[2].partials = vec![(version("f", 30, 2), vec![0, 1, 2])];
    let mut world = World::new(5, false, peers);
    world.run(LIMIT);
    assert_eq!(world.report.as_ref().unwrap().outcome, Outcome::Complete);
}

#[test]
fn two_contents_under_one_name_are_refused_with_both_ranks() {
    let peers = vec![
        orders(&[], &[]),
        orders(&["**"], &[version("f", 3, 1)]),
        orders(&["**"], &[version("f", 3, 2)]),
    ];
    let mut world = World::new(5, false, peers);
    world.run(LIMIT);
    let report = world.report.as_ref().unwrap();
    assert_eq!(report.outcome, Outcome::Refused);
    assert!(
        report.reasons[0].to_string().contains("ranks 1 and 2 share different contents as 'f'"),
        "{:?}",
        report.reasons
    );
    assert_eq!(world.written(1) + world.written(2), 0);
}

#[test]
fn a_pattern_without_match_is_refused_and_a_deeper_one_suggested() {
    let peers = vec![orders(&[], &[]), orders(&[], &[file("a/b.h5", 3)]), orders(&["*.h5"], &[])];
    let mut world = World::new(5, false, peers);
    world.run(LIMIT);
    let reasons: Vec<String> =
        world.report.as_ref().unwrap().reasons.iter().map(ToString::to_string).collect();
    assert!(
        reasons[0].contains("rank 2 wants '*.h5'") && reasons[0].contains("'**/*.h5'"),
        "{reasons:?}"
    );
}

#[test]
fn in_a_cast_the_lowest_rank_reads_and_every_rank_gets_a_copy() {
    let source = file("model", 300);
    let mut peers = vec![orders(&["**"], &[]); 5];
    peers.iter_mut().for_each(|orders| orders.cast = true);
    peers[2].shares = vec![source.clone()];
    peers[4].shares = vec![source];
    let mut world = World::new(9, true, peers);
    world.run(LIMIT);
    let report = world.report.as_ref().unwrap();
    assert_eq!(report.outcome, Outcome::Complete, "{:?}", report.reasons);
    assert_eq!(states(&world), vec![(PeerState::Complete, 1, 1); 5]);
    assert_eq!(report.peers[2].counters.bytes_received, 0);
    assert_eq!(report.peers[4].counters.bytes_received, 0, "it has the source and copies it");
}

#[test]
fn ranks_that_share_a_destination_write_each_file_once() {
    let files: Vec<_> = (0..20).map(|i| file(&format!("{i:02}"), 3)).collect();
    let mut peers = vec![orders(&[], &[]), orders(&[], &files)];
    for _ in 0..4 {
        peers.push(world::Orders { destination: Some(77), ..orders(&["**"], &[]) });
    }
    let mut world = World::new(2, false, peers);
    world.run(LIMIT);
    assert_eq!(world.report.as_ref().unwrap().outcome, Outcome::Complete);
    assert_eq!(states(&world)[1..], vec![(PeerState::Complete, 20, 20); 4]);
    assert_eq!((2..6).map(|rank| world.written(rank)).sum::<usize>(), 60);
}

#[test]
fn a_rank_that_cannot_receive_is_refused_alone() {
    let mut peers = vec![
        orders(&[], &[]),
        orders(&[], &[file("f", 30)]),
        orders(&["**"], &[]),
        orders(&["**"], &[]),
    ];
    peers[2].cannot_receive = Some("read-only");
    let mut world = World::new(2, false, peers);
    world.run(LIMIT);
    let report = world.report.as_ref().unwrap();
    assert_eq!(report.outcome, Outcome::Degraded);
    assert_eq!(report.peers[1].reason, Some("read-only".into()));
    assert_eq!(states(&world)[1..], [(PeerState::Incomplete, 1, 0), (PeerState::Complete, 1, 1)]);
}

#[test]
fn a_full_disk_stops_one_rank_and_nobody_else() {
    for seed in 0..20 {
        let mut peers = vec![orders(&[], &[]), orders(&[], &[file("f", 300)])];
        peers.extend(vec![orders(&["**"], &[]); 3]);
        peers[3].disk_pieces = Some(70);
        let mut world = World::new(seed, false, peers);
        world.run(LIMIT);
        let report = world.report.as_ref().unwrap();
        assert_eq!(report.outcome, Outcome::Degraded, "seed {seed}");
        assert_eq!(report.peers[2].reason, Some("no space left on device".into()));
        assert_eq!(world.written(2) + world.written(4), 600);
    }
}

#[test]
fn a_holder_that_sends_rubbish_is_not_asked_again() {
    for seed in 0..20 {
        let mut peers = vec![orders(&[], &[]); 2];
        peers[1].shares = vec![file("f", 300)];
        peers.extend(vec![orders(&["**"], &[]); 2]);
        peers.push(orders(&[], &[file("f", 300)]));
        peers[4].corrupts = true;
        let mut world = World::new(seed, false, peers);
        world.run(LIMIT);
        let report = world.report.as_ref().unwrap();
        assert_eq!(report.outcome, Outcome::Complete, "seed {seed}");
        let corrupt: u64 = report.peers.iter().map(|row| row.counters.pieces_corrupt).sum();
        assert!((1..=40).contains(&corrupt), "{corrupt} corrupt pieces");
    }
}

#[test]
fn a_share_that_changes_is_no_longer_offered_and_another_holder_serves() {
    let mut peers =
        vec![orders(&[], &[]), orders(&[], &[file("f", 300)]), orders(&[], &[file("f", 300)])];
    peers.extend(vec![orders(&["**"], &[]); 2]);
    peers[1].good_reads = Some(20);
    let mut world = World::new(4, false, peers);
    world.run(LIMIT);
    assert_eq!(world.report.as_ref().unwrap().outcome, Outcome::Complete);
    assert!(
        world.notices.iter().any(|text| text.contains("no longer offers 'f'")),
        "{:?}",
        world.notices
    );
}

#[test]
fn a_dead_leecher_does_not_stop_the_others() {
    for seed in 0..30 {
        let mut peers = vec![orders(&[], &[]), orders(&[], &[file("f", 600)])];
        peers.extend(vec![orders(&["**"], &[]); 4]);
        let mut world = World::new(seed, false, peers);
        world.run_until(LIMIT, |world| world.written(3) > 100);
        world.kill(Rank(3));
        world.run(LIMIT);
        let report = world.report.as_ref().unwrap();
        assert_eq!(report.outcome, Outcome::Degraded, "seed {seed}");
        assert_eq!(report.peers[2].state, PeerState::Lost);
        assert_eq!(report.peers.iter().filter(|row| row.state == PeerState::Complete).count(), 4);
    }
}

#[test]
fn when_the_only_seeder_dies_what_is_left_is_shared_and_the_rest_is_named() {
    for seed in 0..30 {
        let mut peers =
            vec![orders(&[], &[]), orders(&[], &[file("f", 600)]), orders(&[], &[file("g", 50)])];
        peers.extend(vec![orders(&["**"], &[]); 3]);
        let mut world = World::new(seed, false, peers);
        world.run_until(LIMIT, |world| world.written(3) > 150);
        world.kill(Rank(1));
        world.run(LIMIT);
        let report = world.report.as_ref().unwrap();
        assert_eq!(report.outcome, Outcome::Degraded, "seed {seed}");
        let held: Vec<_> = (3..6).map(|rank| world.pieces(rank)).collect();
        assert!(held.iter().all(|pieces| *pieces == held[0]), "seed {seed}: all have all there is");
        let missing: Vec<String> = report.missing.iter().map(ToString::to_string).collect();
        let whole = held[0].len() == 650;
        assert_eq!(missing, if whole { vec![] } else { vec!["f"] }, "seed {seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let mut peers = vec![orders(&[], &[]), orders(&[], &[file("f", 200)])];
        peers.extend(vec![orders(&["**"], &[]); 3]);
        let mut world = World::new(seed, false, peers);
        world.run(LIMIT);
        world.log
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
