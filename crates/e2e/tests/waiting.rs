//! Ranks that wait, or find their destination taken by another job.

use e2e::{Cluster, Load, MIB, Running, assert_same_tree};
use std::time::{Duration, Instant};

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];

/// Waits until every one of these ranks has begun to write, then lets some ranks hang.
fn hang_in_mid_transfer(cluster: &Cluster, running: &mut Running, receivers: &[u32], hang: &[u32]) {
    running.wait_for_mid_transfer(cluster, receivers);
    hang.iter().for_each(|rank| running.hang_rank(*rank));
}

#[test]
fn ranks_that_wait_use_less_than_a_tenth_of_a_core() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, 512 * MIB);
    let mut running = cluster.launch(4, RUN).load(Load::Alone).start();
    hang_in_mid_transfer(&cluster, &mut running, &[2, 3], &[1]);
    // What is on its way may still be hashed and written; until a second or two have passed without
    // anything new, a rank looks often.
    std::thread::sleep(Duration::from_secs(4));
    let waiting = [0, 2, 3].map(|rank| running.rank(rank));
    let (before, began) = (waiting.map(|process| process.cpu_time().unwrap()), Instant::now());
    std::thread::sleep(Duration::from_secs(3));
    let (after, wall) = (waiting.map(|process| process.cpu_time().unwrap()), began.elapsed());
    running.wake_rank(1);

    let report = running.finish().complete();
    for rank in [2, 3] {
        let into = cluster.path(format!("rank{rank}/into"));
        assert_same_tree(&into, [("large.bin", &source)]);
    }
    assert_eq!(report.bytes_delivered, 2 * 512 * MIB);
    for (index, process) in waiting.iter().enumerate() {
        let used = after[index] - before[index];
        println!("rank {:?} used {used:.2?} of {wall:.2?}", process.rank);
        assert!(used < wall / 10, "rank {:?} used {used:?} of {wall:?}", process.rank);
    }
}

#[test]
fn a_destination_that_another_job_uses_is_refused() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, 512 * MIB);
    let mut first = cluster.launch(3, RUN).start();
    hang_in_mid_transfer(&cluster, &mut first, &[2], &[0, 1, 2]);
    // Another directory for the second job's report, the same destination.
    let other = Cluster::new();
    other.file("rank1/share/other.bin", 2, 1000);
    let taken = cluster.path("rank2/into");
    let share = ["run", "--share", "rank1/share", "--want", ""];
    let take = ["run", "--into", taken.to_str().unwrap()];
    let second = other.launch(2, share).and(1, take).load(Load::Beside).run();
    (0..3).for_each(|rank| first.wake_rank(rank));
    second.refused(&["rank2/into"]);
    first.finish().complete();
    assert_same_tree(&taken, [("large.bin", &source)]);
}
