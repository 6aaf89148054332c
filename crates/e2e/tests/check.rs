//! `--check`: what is missing or different is told, and nothing is written.

use e2e::{Cluster, KIB, MIB, assert_same_tree};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
const CHECK: [&str; 6] =
    ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into", "--check"];

/// Everything below a directory, with all that may not change: inode, times, mode.
fn state(below: &Path) -> Vec<(PathBuf, u64, [i64; 4], u32)> {
    let mut all = Vec::new();
    let mut open = vec![below.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(stat) = fs::symlink_metadata(&path) else { continue };
        if stat.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|item| item.unwrap().path()));
        }
        let times = [stat.mtime(), stat.mtime_nsec(), stat.ctime(), stat.ctime_nsec()];
        all.push((path, stat.ino(), times, stat.mode()));
    }
    all.sort();
    all
}

#[test]
fn what_is_missing_or_different_is_named_rank_by_rank_and_nothing_is_written() {
    let cluster = Cluster::new();
    let long = cluster.file("rank1/share/dir/long", 1, 3 * MIB);
    let short = cluster.file("rank1/share/short", 2, 10 * KIB);
    cluster.launch(4, RUN).run().complete();
    cluster.launch(4, CHECK).run().complete();
    // Rank 2 has a damaged piece and an old time, rank 3 lacks a file.
    let copy = cluster.path("rank2/into/dir/long");
    let mut bytes = fs::read(&copy).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&copy, bytes).unwrap();
    fs::remove_file(cluster.path("rank3/into/short")).unwrap();
    let before = [2, 3].map(|rank| state(&cluster.destination(rank)));
    let finished = cluster.launch(4, CHECK).run();
    assert_eq!([2, 3].map(|rank| state(&cluster.destination(rank))), before);
    let report = finished.ended_as("failed");
    assert_eq!(report.missing, ["dir/long", "short"]);
    assert_eq!(report.peer(2).reason.as_deref(), Some("1 different"));
    // Its directory's time moved with it.
    assert!(report.peer(3).reason.as_deref().is_some_and(|why| why.contains("1 missing")));
    assert_eq!((report.peer(2).files_complete, report.peer(2).files_wanted), (1, 2));
    let still_missing = 3 * MIB + 10 * KIB;
    assert_eq!(report.bytes_wanted, report.bytes_reused() + still_missing);
    assert_eq!((report.bytes_delivered, report.bytes_received()), (0, 0));
    for line in ["rank 2: incomplete: 1 different", "  dir/long: content, time", "  short: missing"]
    {
        assert!(finished.stdout.lines().any(|it| it == line), "no '{line}' in\n{finished}");
    }
    // The same command without --check moves what differs, and no more.
    let report = cluster.launch(4, RUN).run().complete();
    assert!(report.bytes_received() < 2 * MIB, "{report:#?}");
    cluster.launch(4, CHECK).run().complete();
    for rank in 2..=3 {
        let into = cluster.destination(rank);
        assert_same_tree(&into, [("dir/long", &long), ("short", &short)]);
    }
}

#[test]
fn a_destination_that_is_absent_is_not_made_and_equal_lists_are_printed_once() {
    let cluster = Cluster::new();
    for file in 0..30 {
        cluster.file(format!("rank1/share/file{file:02}"), file, 100);
    }
    symlink("file00", cluster.path("rank1/share/link")).unwrap();
    let finished = cluster.launch(4, CHECK).run();
    let report = finished.ended_as("failed");
    assert_eq!(report.missing.len(), 31);
    assert!(!cluster.path("rank2").exists() && !cluster.path("rank3").exists());
    let lines: Vec<&str> = finished.stdout.lines().collect();
    let lists = lines.iter().filter(|line| line.contains(": incomplete: "));
    assert_eq!(lists.collect::<Vec<_>>(), [&"rank 2-3: incomplete: 31 missing"]);
    assert!(lines.contains(&"  file19: missing") && lines.contains(&"  and 11 more"));
    assert!(!lines.contains(&"  file20: missing"), "{finished}");
}

#[test]
fn a_read_only_destination_and_parts_of_an_earlier_run_are_looked_at() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a", 1, 100 * KIB);
    cluster.launch(3, RUN).run().complete();
    let into = cluster.destination(2);
    fs::create_dir(into.join(".shoal")).unwrap();
    fs::write(into.join(".shoal/data-of-something"), "part").unwrap();
    fs::set_permissions(&into, Permissions::from_mode(0o555)).unwrap();
    let before = state(&into);
    cluster.launch(3, CHECK).run().complete();
    assert_eq!(state(&into), before);
    fs::set_permissions(&into, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn cast_compares_what_it_would_make_also_on_the_rank_that_reads_the_source() {
    let cluster = Cluster::new();
    cluster.file("source/a", 1, 100 * KIB);
    cluster.directory("source/empty");
    let cast = ["cast", "source", "rank{rank}/into"];
    let check = ["cast", "source", "rank{rank}/into", "--check"];
    let report = cluster.launch(2, check).run().ended_as("failed");
    assert_eq!(report.missing, ["source", "source/a", "source/empty"]);
    assert!(!cluster.path("rank0").exists());
    cluster.launch(2, cast).run().complete();
    cluster.launch(2, check).run().complete();
    // A neighbour is none of its business.
    cluster.text("rank1/into/neighbour", "x");
    cluster.launch(2, check).run().complete();
}

#[test]
fn ranks_that_share_a_destination_look_at_it_together() {
    let cluster = Cluster::new();
    for file in 0..6 {
        cluster.file(format!("rank1/share/file{file}"), file, 10 * KIB);
    }
    let args = ["run", "--share", "rank{rank}/share", "--into", "into"];
    cluster.launch(4, args).run().complete();
    fs::remove_file(cluster.path("into/file3")).unwrap();
    let check: Vec<&str> = args.into_iter().chain(["--check"]).collect();
    let report = cluster.launch(4, check).run().ended_as("failed");
    assert_eq!(report.missing, ["file3"]);
    for rank in 2..=3 {
        assert_eq!(report.peer(rank).reason.as_deref(), Some("1 missing"));
    }
    // Together they read each file once.
    assert_eq!(report.bytes_reused(), 5 * 10 * KIB);
}

#[test]
fn ranks_that_were_told_otherwise_are_refused_before_anything_is_made() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a", 1, 100 * KIB);
    let finished = cluster.launch(2, CHECK).and(1, RUN).run();
    finished.refused(&["--check", "rank 2"]);
    assert!(!cluster.path("rank2/into").exists());
}

#[test]
fn a_name_with_other_content_that_is_a_hard_link_at_the_source_is_compared() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a", 1, 10 * KIB);
    fs::hard_link(cluster.path("rank1/share/a"), cluster.path("rank1/share/b")).unwrap();
    cluster.launch(3, RUN).run().complete();
    fs::remove_file(cluster.path("rank2/into/b")).unwrap();
    cluster.text("rank2/into/b", "something else");
    let finished = cluster.launch(3, CHECK).run();
    let report = finished.ended_as("failed");
    assert_eq!(report.missing, ["b"], "{finished}");
    let line = "  b: content, link, mode, time";
    assert!(finished.stdout.lines().any(|it| it == line), "{finished}");
    let dry = RUN.into_iter().chain(["--dry-run"]);
    cluster.launch(3, dry).run().complete();
    cluster.launch(3, RUN).run().complete();
    cluster.launch(3, CHECK).run().complete();
}
