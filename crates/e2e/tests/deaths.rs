//! Ranks killed with SIGKILL in mid-transfer, under an MPI that goes on without them (Open MPI 5
//! with ULFM).

use e2e::{
    Cluster, Finished, MIB, Mpi, Report, Running, assert_same_tree, names_below, partials, skip,
};
use std::path::{Path, PathBuf};

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
const SIZE: u64 = 512 * MIB;

/// Whether the job can go on without a rank; says so where it cannot.
fn dead_are_outlived() -> bool {
    let outlives = Mpi::of_binary().outlives_its_dead();
    if !outlives {
        skip("this MPI ends the job when a rank dies");
    }
    outlives
}

fn into(cluster: &Cluster, rank: u32) -> PathBuf {
    cluster.path(format!("rank{rank}/into"))
}

/// Waits until each of these ranks has written at least so much of the file, and not all.
fn in_mid_transfer(cluster: &Cluster, running: &mut Running, ranks: &[u32], bytes: u64) {
    let has_begun = |rank: &u32| {
        partials(&into(cluster, *rank)).first().is_some_and(|partial| partial.1 >= bytes)
    };
    running.wait_for("it was in mid-transfer", |_| ranks.iter().all(has_begun));
}

/// The row of each of these ranks says that it was lost and why, and standard error names it.
fn lost(finished: &Finished, report: &Report, ranks: &[u32]) {
    for rank in ranks {
        let row = report.peer(*rank);
        assert_eq!(row.state, "lost", "rank {rank}\n{finished}");
        assert!(row.reason.as_ref().is_some_and(|why| !why.is_empty()), "{row:?}\n{finished}");
        finished.says(&[&format!("rank {rank} is lost")]);
    }
    let others = report.peers.iter().filter(|row| !ranks.contains(&row.rank));
    others.for_each(|row| assert_ne!(row.state, "lost", "{row:?}\n{finished}"));
}

/// These ranks have everything, say so, and nothing of the store's own is left.
fn complete<N: AsRef<str>>(
    cluster: &Cluster,
    finished: &Finished,
    report: &Report,
    ranks: &[u32],
    files: &[(N, &Path)],
) {
    for rank in ranks {
        let row = report.peer(*rank);
        assert_eq!((row.state.as_str(), &row.reason), ("complete", &None), "{finished}");
        assert_eq!(row.files_complete, row.files_wanted, "{finished}");
        assert_same_tree(&into(cluster, *rank), files.iter().map(|(n, p)| (n.as_ref(), p)));
    }
}

#[test]
fn where_a_leecher_is_killed_the_others_complete() {
    if !dead_are_outlived() {
        return;
    }
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let mut running = cluster.launch(5, RUN).start();
    in_mid_transfer(&cluster, &mut running, &[2, 3, 4], MIB);
    running.kill_rank(3);
    let finished = running.finish();
    let report = finished.ended_as("degraded");
    lost(&finished, &report, &[3]);
    complete(&cluster, &finished, &report, &[2, 4], &[("large.bin", &source)]);
    assert!(report.missing.is_empty(), "{finished}");
    assert!(!names_below(&into(&cluster, 3)).contains_key(Path::new("large.bin")));
}
