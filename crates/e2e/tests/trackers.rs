//! The tracker is killed, or hangs, in mid-transfer: another rank takes over, and tells the end.

use e2e::{Cluster, MIB, Mpi, skip};

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
const NAME: &str = "large.bin";
/// At the rate below a seeder needs some seconds to give it away once.
const SIZE: u64 = 128 * MIB;
const RATE: [&str; 4] = ["--limit-upload", "40MB", "--patience", "3"];

fn slowly() -> impl Iterator<Item = &'static str> {
    RUN.into_iter().chain(RATE)
}

/// Whether the job can go on without a rank; says so where it cannot.
fn dead_are_outlived() -> bool {
    let outlives = Mpi::tested().outlives_its_dead();
    if !outlives {
        skip("this MPI ends the job when a rank dies");
    }
    outlives
}

#[test]
fn where_the_tracker_is_killed_another_takes_over_and_all_complete() {
    if !dead_are_outlived() {
        return;
    }
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let mut running = cluster.launch(5, slowly()).start();
    running.wait_for_mid_transfer(&cluster, &[2, 3, 4]);
    running.kill_rank(0);
    let finished = running.finish();
    let report = finished.ended_as("degraded");
    assert_eq!(report.tracker.rank, 1, "{finished}");
    assert_eq!(report.peer(0).state, "lost", "{finished}");
    finished.complete_at(&cluster, &[2, 3, 4], &[(NAME, &source)]);
    assert!(report.missing.is_empty(), "{finished}");
}

#[test]
fn where_the_tracker_and_its_successor_are_killed_the_next_one_takes_over() {
    if !dead_are_outlived() {
        return;
    }
    let cluster = Cluster::new();
    let source = cluster.file("rank2/share/large.bin", 1, SIZE);
    let mut running = cluster.launch(6, slowly()).start();
    running.wait_for_mid_transfer(&cluster, &[1, 3, 4, 5]);
    running.kill_rank(0);
    running.wait_for("another took over", |job| job.stderr().contains("rank 0 is lost"));
    running.kill_rank(1);
    let finished = running.finish();
    let report = finished.ended_as("degraded");
    assert_eq!(report.tracker.rank, 2, "{finished}");
    for rank in [0, 1] {
        assert_eq!(report.peer(rank).state, "lost", "{finished}");
    }
    finished.complete_at(&cluster, &[3, 4, 5], &[(NAME, &source)]);
}

#[test]
fn where_the_tracker_of_a_cast_is_killed_those_with_its_pieces_go_on() {
    if !dead_are_outlived() {
        return;
    }
    let cluster = Cluster::new();
    let source = cluster.file("rank0/large.bin", 1, SIZE);
    cluster.file("rank2/large.bin", 1, SIZE);
    let args = ["cast", "rank{rank}/large.bin", "rank{rank}/into"];
    let mut running = cluster.launch(4, args.into_iter().chain(RATE)).start();
    running.wait_for_mid_transfer(&cluster, &[1, 3]);
    running.kill_rank(0);
    let finished = running.finish();
    let report = finished.ended_as("degraded");
    assert_eq!(report.peer(0).state, "lost", "{finished}");
    finished.complete_at(&cluster, &[1, 2, 3], &[(NAME, &source)]);
}

#[test]
fn where_the_tracker_hangs_another_takes_over_and_it_ends_when_it_wakes() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let mut running = cluster.launch(5, slowly()).start();
    running.wait_for_mid_transfer(&cluster, &[2, 3, 4]);
    running.hang_rank(0);
    let finished = running.finish();
    let report = finished.ended_as("degraded");
    assert_eq!(report.tracker.rank, 1, "{finished}");
    assert_eq!(report.peer(0).state, "lost", "{finished}");
    finished.complete_at(&cluster, &[2, 3, 4], &[(NAME, &source)]);
}

#[test]
fn a_tracker_that_wakes_when_another_reigns_says_nothing_any_more() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, 2 * SIZE);
    let mut running = cluster.launch(5, slowly()).start();
    running.wait_for_mid_transfer(&cluster, &[2, 3, 4]);
    running.hang_rank(0);
    running.wait_for("another took over", |job| job.stderr().contains("rank 0 is lost"));
    running.wake_rank(0);
    let finished = running.finish();
    let report = finished.ended_as("degraded");
    assert_eq!(report.tracker.rank, 1, "{finished}");
    finished.complete_at(&cluster, &[2, 3, 4], &[(NAME, &source)]);
}
