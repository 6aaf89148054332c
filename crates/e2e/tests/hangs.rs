//! Ranks that hang (SIGSTOP) for longer than the patience of the others, or for shorter.

use e2e::{Cluster, Finished, MIB, assert_same_file};
use std::thread::sleep;
use std::time::Duration;

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
const NAME: &str = "large.bin";
/// At the rate below a seeder needs some seconds to give it away once.
const SIZE: u64 = 128 * MIB;
const RATE: [&str; 2] = ["--limit-upload", "40MB"];

fn with_patience(seconds: &str) -> impl Iterator<Item = &str> {
    RUN.into_iter().chain(RATE).chain(["--patience", seconds])
}

/// Runs a job of five ranks, and lets one hang once each of the receivers has begun to write.
fn hang_in_mid_transfer(cluster: &Cluster, receivers: &[u32], hung: u32) -> Finished {
    let mut running = cluster.launch(5, with_patience("3")).start();
    running.wait_for_mid_transfer(cluster, receivers);
    running.hang_rank(hung);
    running.finish()
}

#[test]
fn a_leecher_that_hangs_is_lost_and_the_others_complete() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let finished = hang_in_mid_transfer(&cluster, &[2, 3, 4], 3);
    let report = finished.ended_as("degraded");
    finished.lost(&[3]);
    finished.complete_at(&cluster, &[2, 4], &[(NAME, &source)]);
    assert!(report.missing.is_empty(), "{finished}");
    assert!(
        report.peer(3).reason.as_deref().is_some_and(|why| why.contains("silent")),
        "{finished}"
    );
    // It left its destination as it was, and unlocked: the next run goes on there.
    cluster.launch(5, RUN).run().complete();
}

#[test]
fn a_seeder_that_hangs_is_replaced_by_another() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    cluster.file("rank2/share/large.bin", 1, SIZE);
    let finished = hang_in_mid_transfer(&cluster, &[3, 4], 1);
    finished.ended_as("degraded");
    finished.lost(&[1]);
    finished.complete_at(&cluster, &[3, 4], &[(NAME, &source)]);
}

#[test]
fn where_the_only_seeder_hangs_all_else_completes_and_what_is_missing_is_named() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let other = cluster.file("rank2/share/other.bin", 2, 64 * MIB);
    let finished = hang_in_mid_transfer(&cluster, &[3, 4], 1);
    let report = finished.ended_as("degraded");
    finished.lost(&[1]);
    finished.incomplete(&[2, 3, 4], &["no rank holds all its pieces"]);
    assert_eq!(report.missing, [NAME], "{finished}");
    for rank in [3, 4] {
        assert_same_file(&other, &cluster.destination(rank).join("other.bin"));
    }
    let finished = cluster.launch(5, RUN).run();
    finished.complete();
    finished.complete_at(&cluster, &[3, 4], &[(NAME, &source), ("other.bin", &other)]);
}

#[test]
fn the_reader_of_a_cast_hangs_and_another_with_the_same_files_stands_in() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/large.bin", 1, SIZE);
    cluster.file("rank3/large.bin", 1, SIZE);
    let args = ["cast", "rank{rank}/large.bin", "rank{rank}/into", "--patience", "3"];
    let args = args.into_iter().chain(RATE);
    let mut running = cluster.launch(5, args).start();
    running.wait_for_mid_transfer(&cluster, &[0, 2, 4]);
    running.hang_rank(1);
    let finished = running.finish();
    finished.ended_as("degraded");
    finished.lost(&[1]);
    finished.complete_at(&cluster, &[0, 2, 3, 4], &[(NAME, &source)]);
}

#[test]
fn ranks_that_hang_for_less_than_the_patience_cost_nothing_but_time() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let mut running = cluster.launch(5, with_patience("12")).start();
    running.wait_for_mid_transfer(&cluster, &[2, 3, 4]);
    // A leecher, the seeder, and the tracker, each for a while; and the first two at once.
    for hung in [&[3][..], &[1], &[0], &[1, 2]] {
        // The job is short: it may be over before the last of these.
        let there = hung.iter().all(|rank| running.ranks().iter().any(|p| p.rank == Some(*rank)));
        if !there {
            break;
        }
        hung.iter().for_each(|rank| running.hang_rank(*rank));
        sleep(Duration::from_secs(2));
        hung.iter().for_each(|rank| running.wake_rank(*rank));
    }
    let finished = running.finish();
    finished.complete();
    finished.lost(&[]);
    finished.complete_at(&cluster, &[2, 3, 4], &[(NAME, &source)]);
}

#[test]
fn a_rank_that_wakes_too_late_ends_by_itself_and_the_others_go_on() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let mut running = cluster.launch(5, with_patience("2")).start();
    running.wait_for_mid_transfer(&cluster, &[2, 3, 4]);
    let woken = running.rank(3);
    running.hang_rank(3);
    running.wait_for("rank 3 was lost", |job| job.stderr().contains("rank 3 is lost"));
    running.wake_rank(3);
    running.wait_until(|_| !woken.is_alive());
    let finished = running.finish();
    finished.ended_as("degraded");
    finished.lost(&[3]);
    finished.complete_at(&cluster, &[2, 4], &[(NAME, &source)]);
    assert!(!cluster.destination(3).join(NAME).exists(), "{finished}");
}
