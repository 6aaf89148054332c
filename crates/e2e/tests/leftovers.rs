//! What an interrupted job leaves under `.shoal/`: it helps to complete what a later job shares,
//! and is no part of a job that does not share it.

use e2e::{
    Cluster, MIB, assert_same_file, assert_same_tree, have_pieces_of, no_leftovers, partials,
};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const RANKS: u32 = 4;
const PIECE: u64 = MIB;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A cast of a source that rank 0 alone has, and everybody's destination.
fn cast(source: &str) -> [String; 5] {
    let source = format!("rank{{rank}}/{source}");
    ["cast", &source, "rank{rank}/into", "--piece-length", "1MiB"].map(str::to_owned)
}

/// Runs a job so slowly that it can be killed in the middle, and kills it there. What rank 0 copied
/// from its own source is taken away.
fn interrupt(cluster: &Cluster, args: &[String]) {
    let slow = ["--limit-upload".to_owned(), "2MB".to_owned()];
    let mut running = cluster.launch(RANKS, args.iter().cloned().chain(slow)).start();
    running.wait_for_mid_transfer(cluster, &(1..RANKS).collect::<Vec<_>>());
    running.kill_all();
    let _ = fs::remove_dir_all(cluster.destination(0));
}

fn into(cluster: &Cluster) -> Vec<PathBuf> {
    (0..RANKS).map(|rank| cluster.destination(rank)).collect()
}

/// A cast of 64 MiB was killed in the middle, its source is gone, and two destinations are new.
fn poisoned() -> Cluster {
    let cluster = Cluster::new();
    cluster.file("rank0/old/ckpt", 1, 64 * MIB);
    interrupt(&cluster, &cast("old"));
    fs::remove_dir_all(cluster.path("rank0/old")).unwrap();
    for rank in [1, 2] {
        fs::remove_dir_all(cluster.destination(rank)).unwrap();
    }
    assert_eq!(partials(&cluster.destination(3)).len(), 1);
    cluster
}

#[test]
fn an_unrelated_cast_neither_shows_nor_spreads_nor_misses_what_an_earlier_one_left() {
    let cluster = poisoned();
    let new = cluster.file("rank0/new", 2, 2);
    let dry: Vec<String> = cast("new").into_iter().chain(["--dry-run".to_owned()]).collect();
    let forecast = cluster.launch(RANKS, dry).run().complete();
    assert_eq!(forecast.left_alone, ["old/ckpt"]);
    let finished = cluster.launch(RANKS, cast("new")).run();
    let report = finished.complete();
    assert_eq!(report.left_alone, ["old/ckpt"], "{finished}");
    assert!(finished.to_string().contains("left alone: old/ckpt, unfinished on"), "{finished}");
    assert!(report.bytes_received() < 100, "{finished}");
    assert_eq!((report.bytes_wanted, &report.missing), (8, &vec![]), "{finished}");
    for into in into(&cluster) {
        assert_same_file(&new, &into.join("new"));
        assert!(!into.join("old").exists());
    }
    for rank in [1, 2] {
        no_leftovers(&cluster.destination(rank));
    }
    assert_eq!(partials(&cluster.destination(3)).len(), 1, "it is left alone");
    let check: Vec<String> = cast("new").into_iter().chain(["--check".to_owned()]).collect();
    cluster.launch(RANKS, check).run().complete();
}

#[test]
fn with_delete_what_no_job_can_use_is_cleared_at_once() {
    let cluster = poisoned();
    let new = cluster.file("rank0/new", 2, 2);
    let args: Vec<String> = cast("new").into_iter().chain(["--delete".to_owned()]).collect();
    let finished = cluster.launch(RANKS, args).run();
    let report = finished.complete();
    finished.says(&["1 file was removed that earlier jobs had left unfinished", "rank3/into"]);
    assert_eq!(report.left_alone, Vec::<String>::new());
    for into in into(&cluster) {
        assert_same_tree(&into, [("new", &new)]);
    }
}

#[test]
fn what_nobody_went_on_with_for_two_weeks_is_cleared_by_any_job_and_nothing_younger() {
    let cluster = poisoned();
    let old = cluster.destination(3).join(".shoal");
    let age = |days: u32| {
        let sidecars = fs::read_dir(&old).unwrap().map(|item| item.unwrap().path());
        let mut sidecars = sidecars.filter(|path| path.extension().is_some_and(|it| it == "meta"));
        let sidecar = File::open(sidecars.next().expect("a partial has a sidecar")).unwrap();
        sidecar.set_modified(SystemTime::now() - days * DAY).unwrap();
    };
    cluster.file("rank0/new", 2, 2);
    age(13);
    let report = cluster.launch(RANKS, cast("new")).run().complete();
    assert_eq!(report.left_alone, ["old/ckpt"]);
    age(15);
    let finished = cluster.launch(RANKS, cast("new")).run();
    assert_eq!(finished.complete().left_alone, Vec::<String>::new());
    finished.says(&["1 file was removed that earlier jobs had left unfinished"]);
    into(&cluster).iter().for_each(|into| no_leftovers(into));
}

#[test]
fn a_file_deleted_at_a_shared_source_is_not_delivered_out_of_what_was_left_of_it() {
    let cluster = Cluster::new();
    let keep = cluster.file("src/keep", 1, 1000);
    let gone = cluster.file("src/gone", 2, 64 * MIB);
    let args = |more: &[&str]| {
        let words = ["cast", "src", "rank{rank}/into", "--shared-fs", "--piece-length", "1MiB"];
        words.iter().chain(more).map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    interrupt(&cluster, &args(&[]));
    // The ranks have all of it together.
    for rank in 0..RANKS {
        if let Some((partial, _)) = partials(&cluster.destination(rank)).first() {
            have_pieces_of(&gone, partial, PIECE, |piece| piece % 2 == u64::from(rank) % 2);
        }
    }
    fs::remove_file(gone).unwrap();
    cluster.launch(RANKS, args(&["--delete"])).run().complete();
    for into in into(&cluster) {
        assert_same_tree(&into.join("src"), [("keep", &keep)]);
        no_leftovers(&into);
    }
    cluster.launch(RANKS, args(&["--check", "--delete"])).run().complete();
}

#[test]
fn a_finished_copy_at_one_destination_is_not_sent_to_those_that_have_parts_of_it() {
    let cluster = Cluster::new();
    let old = cluster.file("rank0/old/ckpt", 1, 64 * MIB);
    interrupt(&cluster, &cast("old"));
    let finished = cluster.destination(0).join("old/ckpt");
    fs::create_dir_all(finished.parent().unwrap()).unwrap();
    fs::rename(old, finished).unwrap();
    fs::remove_dir_all(cluster.path("rank0/old")).unwrap();
    cluster.file("rank0/new", 2, 2);
    let report = cluster.launch(RANKS, cast("new")).run().complete();
    assert!(report.bytes_received() < 100, "{report:?}");
}

#[test]
fn where_a_directory_became_a_file_what_was_left_below_it_is_no_reason_to_refuse() {
    let cluster = Cluster::new();
    cluster.file("rank0/src/x/y", 1, 64 * MIB);
    interrupt(&cluster, &cast("src"));
    fs::remove_dir_all(cluster.path("rank0/src/x")).unwrap();
    let file = cluster.file("rank0/src/x", 2, 10);
    let report = cluster.launch(RANKS, cast("src")).run().complete();
    assert_eq!(report.left_alone, ["src/x/y"]);
    for into in into(&cluster) {
        assert_same_file(&file, &into.join("src/x"));
    }
}

#[test]
fn a_file_that_became_a_directory_is_no_reason_either() {
    let cluster = Cluster::new();
    cluster.file("rank0/src/x", 1, 64 * MIB);
    interrupt(&cluster, &cast("src"));
    fs::remove_file(cluster.path("rank0/src/x")).unwrap();
    let below = cluster.file("rank0/src/x/y", 2, 10);
    let report = cluster.launch(RANKS, cast("src")).run().complete();
    assert_eq!(report.left_alone, ["src/x"], "no directory is made of it");
    for into in into(&cluster) {
        assert_same_file(&below, &into.join("src/x/y"));
    }
    let deleting = cast("src").into_iter().chain(["--delete".to_owned()]);
    let finished = cluster.launch(RANKS, deleting).run();
    assert_eq!(finished.complete().left_alone, Vec::<String>::new());
    into(&cluster).iter().for_each(|into| no_leftovers(into));
}

#[test]
fn a_log_that_was_rotated_after_an_interrupted_cast_is_no_reason_to_fail() {
    let cluster = Cluster::new();
    let log = cluster.file("rank0/logs/log", 1, 64 * MIB);
    interrupt(&cluster, &cast("logs"));
    // It goes away under another name, compressed; a new one begins.
    fs::remove_file(&log).unwrap();
    let packed = cluster.file("rank0/logs/log.1.gz", 2, 3 * MIB);
    let log = cluster.file("rank0/logs/log", 3, 100);
    cluster.launch(RANKS, cast("logs")).run().complete();
    for into in into(&cluster) {
        assert_same_tree(&into.join("logs"), [("log", &log), ("log.1.gz", &packed)]);
        no_leftovers(&into);
    }
}

const SHARES: [&str; 7] =
    ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into", "--piece-length", "1MiB"];

/// A job was killed when ranks 2 and 3 each had a half of what rank 1 shares.
fn halves() -> (Cluster, PathBuf) {
    let cluster = Cluster::new();
    let share = cluster.file("rank1/share/data", 1, 64 * MIB);
    cluster.file("rank2/share/own", 2, 10);
    let mut running =
        cluster.launch(RANKS, SHARES.iter().chain(&["--limit-upload", "2MB"])).start();
    running.wait_for_mid_transfer(&cluster, &[2, 3]);
    running.kill_all();
    for (rank, parity) in [(2, 0), (3, 1)] {
        let (partial, _) = partials(&cluster.destination(rank)).remove(0);
        have_pieces_of(&share, &partial, PIECE, |piece| piece % 2 == parity);
    }
    let original = cluster.path("original");
    fs::rename(share, &original).unwrap();
    (cluster, original)
}

fn assert_has(original: &Path, cluster: &Cluster, ranks: [u32; 2]) {
    for rank in ranks {
        assert_same_file(original, &cluster.destination(rank).join("data"));
    }
}

#[test]
fn the_same_job_again_is_completed_from_what_was_left_where_its_source_is_gone() {
    let (cluster, original) = halves();
    fs::remove_dir(cluster.path("rank1/share")).unwrap();
    let finished = cluster.launch(RANKS, SHARES).run();
    finished.complete();
    finished.says(&["'data', which nobody shares any more, is completed from what an earlier"]);
    assert_has(&original, &cluster, [2, 3]);
    assert_has(&original, &cluster, [1, 1]);
}

#[test]
fn where_nothing_is_shared_any_more_what_was_left_counts_as_shared() {
    let (cluster, original) = halves();
    fs::remove_dir(cluster.path("rank1/share")).unwrap();
    fs::remove_dir_all(cluster.path("rank2/share")).unwrap();
    cluster.launch(RANKS, SHARES).run().complete();
    assert_has(&original, &cluster, [2, 3]);
}

#[test]
fn a_file_that_was_removed_from_a_share_that_is_there_is_not_completed() {
    let (cluster, _) = halves();
    let report = cluster.launch(RANKS, SHARES).run().complete();
    assert_eq!(report.left_alone, ["data"]);
    for rank in 1..RANKS {
        assert!(!cluster.destination(rank).join("data").exists());
    }
}

#[test]
fn another_share_that_is_missing_is_not_made_of_what_was_left() {
    let (cluster, _) = halves();
    let other = ["run", "--share", "rank{rank}/other", "--into", "rank{rank}/into"];
    cluster.launch(RANKS, other).run().refused(&["rank1/other' exists on no rank"]);
    assert_eq!(partials(&cluster.destination(2)).len(), 1, "a refusal loses nothing");
}

#[test]
fn the_same_cast_again_is_completed_where_the_node_with_the_source_is_gone() {
    let cluster = Cluster::new();
    let source = cluster.file("rank0/old/ckpt", 1, 64 * MIB);
    interrupt(&cluster, &cast("old"));
    for (rank, third) in [(1, 0), (2, 1), (3, 2)] {
        let (partial, _) = partials(&cluster.destination(rank)).remove(0);
        have_pieces_of(&source, &partial, PIECE, |piece| piece % 3 == third);
    }
    let original = cluster.path("original");
    fs::rename(source, &original).unwrap();
    fs::remove_dir(cluster.path("rank0/old")).unwrap();
    cluster.launch(RANKS, cast("old")).run().complete();
    for into in into(&cluster) {
        assert_same_file(&original, &into.join("old/ckpt"));
        no_leftovers(&into);
    }
}

#[test]
fn what_is_left_of_a_file_that_the_rank_itself_has_by_now_and_shares_is_cleared() {
    let (cluster, original) = halves();
    fs::create_dir_all(cluster.path("rank1/share")).unwrap();
    for rank in [1, 2] {
        fs::copy(&original, cluster.path(format!("rank{rank}/share/data"))).unwrap();
    }
    let report = cluster.launch(RANKS, SHARES).run().complete();
    assert_eq!(report.left_alone, Vec::<String>::new());
    no_leftovers(&cluster.destination(2));
    let shared = cluster.path("rank1/share/data");
    assert_has(&shared, &cluster, [3, 3]);
}

#[test]
fn what_is_left_of_a_file_that_the_rank_itself_now_shares_as_something_else_is_cleared() {
    let (cluster, _) = halves();
    fs::create_dir_all(cluster.path("rank1/share")).unwrap();
    for rank in [1, 2] {
        symlink("elsewhere", cluster.path(format!("rank{rank}/share/data"))).unwrap();
    }
    let report = cluster.launch(RANKS, SHARES).run().complete();
    assert_eq!(report.left_alone, ["data"], "rank 3 keeps its half, and shares nothing");
    no_leftovers(&cluster.destination(2));
}
