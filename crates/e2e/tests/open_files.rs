//! A hard limit of open files: what MPI leaves of it is enough.

use e2e::{Cluster, KIB, MIB, assert_same_tree};
use std::path::PathBuf;

/// Short pieces, so that files of 40 KiB have several and do not travel together.
const CAST: [&str; 7] =
    ["cast", "source", "rank{rank}/into", "--threads", "4", "--piece-length", "16KiB"];

/// Many files, one of them of many pieces, and one below many directories.
fn source(cluster: &Cluster) -> Vec<(String, PathBuf)> {
    let deep = format!("source/{}end", "d/".repeat(100));
    let many = (0..300).map(|number| (format!("source/{}/{number}", number % 7), 40 * KIB));
    let all = many.chain([("source/large".to_owned(), 8 * MIB), (deep, KIB)]);
    let file = |(name, len): (String, u64)| (name.clone(), cluster.file(&name, len, len));
    all.map(file).collect()
}

#[test]
fn a_tree_arrives_whatever_the_limit_of_open_files() {
    for most in [256, 128, 64] {
        let cluster = Cluster::new();
        let files = source(&cluster);
        cluster.launch(3, CAST).open_files(most).run().complete();
        for rank in [0, 2] {
            let copies = files.iter().map(|(name, path)| (name, path));
            assert_same_tree(&cluster.path(format!("rank{rank}/into")), copies);
        }
        let check = CAST.iter().chain(&["--check"]);
        cluster.launch(3, check).open_files(most).run().complete();
    }
}

#[test]
fn a_job_resumes_under_a_limit_of_open_files() {
    let cluster = Cluster::new();
    let files = source(&cluster);
    cluster.launch(3, CAST).run().complete();
    std::fs::remove_dir_all(cluster.path("rank1/into/source/d")).unwrap();
    for number in 0..300 {
        cluster.file(format!("rank2/into/source/{}/{number}", number % 7), 9, 20 * KIB);
    }
    cluster.launch(3, CAST.iter().chain(&["--delete"])).open_files(64).run().complete();
    for rank in [1, 2] {
        let copies = files.iter().map(|(name, path)| (name, path));
        assert_same_tree(&cluster.path(format!("rank{rank}/into")), copies);
    }
}

#[test]
fn many_shares_of_many_ranks_meet_under_a_limit_of_open_files() {
    let cluster = Cluster::new();
    let mut files = Vec::new();
    for number in 0..300_u64 {
        let name = format!("{number}");
        let path = cluster.file(format!("rank{}/share/{name}", 1 + number % 3), number, 40 * KIB);
        files.push((number, name, path));
    }
    let run = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
    let run = run.iter().chain(&["--piece-length", "16KiB"]);
    cluster.launch(4, run).open_files(64).run().complete();
    for rank in 1..4 {
        let others = files.iter().filter(|(number, ..)| 1 + number % 3 != rank);
        let into = cluster.path(format!("rank{rank}/into"));
        assert_same_tree(&into, others.map(|(_, name, path)| (name, path)));
    }
}
