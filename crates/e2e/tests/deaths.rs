//! Ranks killed with SIGKILL in mid-transfer: under an MPI that goes on without them (Open MPI 5
//! with ULFM), and under those that end the job, where the next run resumes.

use e2e::{Cluster, Finished, MIB, Mpi, assert_same_file, names_below, partials, skip};
use std::path::Path;

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
const NAME: &str = "large.bin";
/// At the rate below a seeder needs some seconds to give it away once.
const SIZE: u64 = 128 * MIB;
const RATE: [&str; 2] = ["--limit-upload", "40MB"];

/// Whether the job can go on without a rank; says so where it cannot.
fn dead_are_outlived() -> bool {
    let outlives = Mpi::tested().outlives_its_dead();
    if !outlives {
        skip("this MPI ends the job when a rank dies");
    }
    outlives
}

fn slowly() -> impl Iterator<Item = &'static str> {
    RUN.into_iter().chain(RATE)
}

/// Runs a job of so many ranks, and kills some once each of the receivers has begun to write.
fn kill_in_mid_transfer(
    cluster: &Cluster,
    ranks: u32,
    receivers: &[u32],
    doomed: &[u32],
) -> Finished {
    let mut running = cluster.launch(ranks, slowly()).start();
    running.wait_for_mid_transfer(cluster, receivers);
    running.kill_ranks(doomed);
    running.finish()
}

/// No file has its own name there, but something of it was kept for the next run.
fn has_a_part_only(cluster: &Cluster, rank: u32, name: &str) {
    let into = cluster.destination(rank);
    assert!(!names_below(&into).contains_key(Path::new(name)), "rank {rank}");
    assert!(partials(&into).iter().any(|partial| partial.1 > 0), "rank {rank}");
}

#[test]
fn where_a_leecher_is_killed_the_others_complete() {
    if !dead_are_outlived() {
        return;
    }
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let finished = kill_in_mid_transfer(&cluster, 5, &[2, 3, 4], &[3]);
    let report = finished.ended_as("degraded");
    finished.lost(&[3]);
    finished.complete_at(&cluster, &[2, 4], &[(NAME, &source)]);
    assert!(report.missing.is_empty(), "{finished}");
    has_a_part_only(&cluster, 3, NAME);

    let finished = cluster.launch(5, RUN).run();
    let report = finished.complete();
    finished.complete_at(&cluster, &[2, 3, 4], &[(NAME, &source)]);
    assert!(report.peer(3).bytes_reused > 0, "what it had is kept\n{finished}");
}

#[test]
fn where_a_seeder_is_killed_that_another_replaces_all_complete() {
    if !dead_are_outlived() {
        return;
    }
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    cluster.file("rank2/share/large.bin", 1, SIZE);
    let finished = kill_in_mid_transfer(&cluster, 5, &[3, 4], &[1]);
    let report = finished.ended_as("degraded");
    finished.lost(&[1]);
    finished.complete_at(&cluster, &[3, 4], &[(NAME, &source)]);
    assert!(report.missing.is_empty(), "{finished}");
}

#[test]
fn where_the_only_seeder_is_killed_all_else_completes_and_what_is_missing_is_named() {
    if !dead_are_outlived() {
        return;
    }
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let other = cluster.file("rank2/share/other/file.bin", 2, 64 * MIB);
    let small = cluster.file("rank2/share/small.txt", 3, 1000);
    let finished = kill_in_mid_transfer(&cluster, 5, &[3, 4], &[1]);
    let report = finished.ended_as("degraded");
    finished.lost(&[1]);
    finished.incomplete(&[2, 3, 4], &["no rank holds all its pieces"]);
    assert_eq!(report.missing, [NAME], "{finished}");
    for rank in [3, 4] {
        let row = report.peer(rank);
        assert_eq!((row.files_complete, row.files_wanted), (2, 3), "{finished}");
        assert_same_file(&other, &cluster.destination(rank).join("other/file.bin"));
        assert_same_file(&small, &cluster.destination(rank).join("small.txt"));
        has_a_part_only(&cluster, rank, NAME);
    }

    let finished = cluster.launch(5, RUN).run();
    let report = finished.complete();
    let all = [(NAME, &source), ("other/file.bin", &other), ("small.txt", &small)];
    finished.complete_at(&cluster, &[3, 4], &all);
    assert!(report.peer(3).bytes_reused > 64 * MIB + 1000, "{finished}");
}

#[test]
fn where_three_ranks_are_killed_at_once_the_others_complete() {
    if !dead_are_outlived() {
        return;
    }
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    cluster.file("rank2/share/large.bin", 1, SIZE);
    let finished = kill_in_mid_transfer(&cluster, 8, &[3, 4, 5, 6, 7], &[1, 3, 6]);
    let report = finished.ended_as("degraded");
    finished.lost(&[1, 3, 6]);
    finished.complete_at(&cluster, &[4, 5, 7], &[(NAME, &source)]);
    assert!(report.missing.is_empty(), "{finished}");
}

#[test]
fn where_an_mpi_ends_the_job_when_a_rank_is_killed_the_next_run_resumes() {
    if Mpi::tested().outlives_its_dead() {
        return skip("this MPI goes on when a rank dies");
    }
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    for doomed in [3, 1, 0] {
        (2..=4).for_each(|rank| drop(std::fs::remove_dir_all(cluster.destination(rank))));
        let finished = kill_in_mid_transfer(&cluster, 5, &[2, 3, 4], &[doomed]);
        assert_ne!(finished.status, 0, "{finished}");
        // Others may have come to their end before the launcher ended them.
        for rank in 2..=4 {
            let copy = cluster.destination(rank).join(NAME);
            if copy.exists() {
                assert_same_file(&source, &copy);
            }
        }

        let finished = cluster.launch(5, RUN).run();
        let report = finished.complete();
        finished.complete_at(&cluster, &[2, 3, 4], &[(NAME, &source)]);
        assert!(report.bytes_reused() > 0, "{finished}");
    }
}

#[test]
fn where_the_launcher_is_killed_no_rank_is_left_and_the_next_run_resumes() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let mut running = cluster.launch(4, slowly()).start();
    running.wait_for_mid_transfer(&cluster, &[2, 3]);
    running.kill_launcher();
    let finished = running.finish();
    assert!(!finished.has_report(), "{finished}");
    [2, 3].iter().for_each(|rank| has_a_part_only(&cluster, *rank, NAME));

    let finished = cluster.launch(4, RUN).run();
    let report = finished.complete();
    finished.complete_at(&cluster, &[2, 3], &[(NAME, &source)]);
    assert!(report.bytes_reused() > 0, "{finished}");
}
