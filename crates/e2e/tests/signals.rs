//! SIGINT and SIGTERM, to the launcher, to every rank, to one: the job ends in order, tells what it
//! has, and the same command resumes. The launcher of Open MPI kills its ranks soon after, and that
//! of version 5 forwards nothing more, so only the JSON is sure to come.

use e2e::{Cluster, Finished, MIB, Running, assert_same_tree, no_leftovers, partials};
use rustix::process::Signal;
use std::path::Path;
use std::time::{Duration, Instant};

const LEN: u64 = 40 * MIB;
const RANKS: std::ops::Range<u32> = 2..5;

const TRACKER: [&str; 3] = ["run", "--into", "unused"];
const LEECHER: [&str; 3] = ["run", "--into", "rank{rank}/into"];

/// A tracker, a seeder that is slow enough to be interrupted, and three leechers.
fn start(cluster: &Cluster, cap: &str) -> Running {
    let seeder = ["run", "--share", "rank1/share", "--want", "", "--limit-upload", cap];
    cluster.launch(1, TRACKER).and(1, seeder).and(3, LEECHER).start()
}

/// The same command but for its cap, to its end.
fn resume(cluster: &Cluster, source: &Path) {
    let report = start(cluster, "10GB").finish().complete();
    // What was on the disk when the signal came is not fetched again.
    assert!(report.bytes_reused() >= 3 * MIB, "{report:#?}");
    for rank in RANKS {
        let into = cluster.path(format!("rank{rank}/into"));
        assert_same_tree(&into, [("data.bin", source)]);
        no_leftovers(&into);
    }
}

/// Waits until every leecher has a part.
fn wait_for_parts(cluster: &Cluster, running: &mut Running) {
    let has_part = |rank: u32| {
        let found = partials(&cluster.path(format!("rank{rank}/into")));
        found.first().is_some_and(|partial| partial.1 >= 2 * MIB)
    };
    assert!(running.wait_until(|_| RANKS.into_iter().all(has_part)), "the job ended too soon");
}

/// Sends the signal to the launcher, or to the ranks.
fn signal(running: &Running, to: To, signal: Signal) {
    let processes = match to {
        To::Launcher => vec![running.launcher()],
        To::AllRanks => running.ranks(),
        To::Rank(rank) => vec![running.rank(rank)],
    };
    processes.into_iter().for_each(|process| process.signal(signal));
}

#[derive(Clone, Copy)]
enum To {
    Launcher,
    AllRanks,
    Rank(u32),
}

/// Interrupts a job in mid-transfer, holds what must be so whoever got the signal, and resumes.
fn interrupt(to: To, with: Signal) -> Finished {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/data.bin", 1, LEN);
    let mut running = start(&cluster, "4MB");
    wait_for_parts(&cluster, &mut running);
    signal(&running, to, with);
    let began = Instant::now();
    let finished = running.finish();
    println!("ended {:?} after the signal", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(10), "{finished}");
    let report = finished.interrupted();
    assert_eq!(report.missing, ["data.bin"], "{finished}");
    assert_eq!(report.peer(1).state, "complete", "{finished}");
    let mut told = 0;
    for rank in RANKS {
        let row = report.peer(rank);
        assert_eq!((row.state.as_str(), row.files_complete), ("incomplete", 0), "{finished}");
        assert!(row.reason.as_ref().unwrap().starts_with("interrupted by SIG"), "{finished}");
        assert!(!cluster.path(format!("rank{rank}/into/data.bin")).exists(), "{finished}");
        told += row.bytes_received;
    }
    assert!(told > 0 && told < 3 * LEN, "{finished}");
    resume(&cluster, &source);
    finished
}

#[test]
fn sigint_to_the_launcher_ends_the_job_in_order_and_it_resumes() {
    interrupt(To::Launcher, Signal::INT);
}

#[test]
fn sigterm_to_the_launcher_ends_the_job_in_order_and_it_resumes() {
    interrupt(To::Launcher, Signal::TERM);
}

#[test]
fn sigterm_to_every_rank_ends_the_job_in_order_with_its_own_status() {
    let finished = interrupt(To::AllRanks, Signal::TERM);
    assert_eq!(finished.status, 3, "{finished}");
    assert!(finished.stdout.contains("interrupted by SIGTERM"), "{finished}");
}

#[test]
fn sigint_to_the_tracker_alone_ends_the_job() {
    let finished = interrupt(To::Rank(0), Signal::INT);
    assert_eq!(finished.status, 3, "{finished}");
    assert!(finished.stdout.contains("interrupted by SIGINT"), "{finished}");
}

#[test]
fn sigterm_to_one_rank_takes_it_out_and_the_others_complete() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/data.bin", 1, LEN / 2);
    let mut running = start(&cluster, "4MB");
    wait_for_parts(&cluster, &mut running);
    signal(&running, To::Rank(3), Signal::TERM);
    let report = running.finish().ended_as("failed");
    assert_eq!(report.peer(3).state, "incomplete", "{report:#?}");
    assert_eq!(report.peer(3).reason.as_deref(), Some("interrupted by SIGTERM"));
    for rank in [2, 4] {
        assert_eq!(report.peer(rank).state, "complete", "{report:#?}");
        let into = cluster.path(format!("rank{rank}/into"));
        assert_same_tree(&into, [("data.bin", &source)]);
    }
    resume(&cluster, &source);
}

#[test]
fn a_signal_before_start_ends_the_job_with_a_report_and_leaves_nothing() {
    let cluster = Cluster::new();
    // Hashing takes a while, and START waits for it.
    cluster.file("rank1/share/data.bin", 1, 2048 * MIB);
    let mut running = start(&cluster, "4MB");
    let hashes = |running: &Running| {
        let seeder = running.ranks().into_iter().find(|process| process.rank == Some(1));
        seeder.is_some_and(|process| process.cpu_time() > Some(Duration::from_millis(400)))
    };
    assert!(running.wait_until(hashes));
    signal(&running, To::AllRanks, Signal::TERM);
    let finished = running.finish();
    let report = finished.interrupted();
    assert_eq!(finished.status, 3, "{finished}");
    finished.says(&["interrupted by SIGTERM before anything was transferred"]);
    assert!(report.peers.iter().all(|row| row.state == "incomplete"), "{finished}");
    for rank in RANKS {
        assert!(!cluster.path(format!("rank{rank}/into")).exists(), "{finished}");
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/data.bin", 1, LEN);
    let mut running = start(&cluster, "4MB");
    wait_for_parts(&cluster, &mut running);
    // The tracker hangs, so that nobody ends in order.
    running.rank(0).stop();
    let leecher = running.rank(2);
    leecher.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(600));
    assert!(running.ranks().contains(&leecher), "it left on the first signal");
    leecher.signal(Signal::TERM);
    let began = Instant::now();
    running.wait_until(|running| !running.ranks().contains(&leecher));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    running.kill_all();
}
