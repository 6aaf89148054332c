//! Sources that are in use while they are cast: files, links and directories that come and go, and
//! files that never stand still. No job is refused over them, and nobody gets what never was.

use e2e::{Cluster, Node, assert_same_file, names_below, no_leftovers};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const CAST: [&str; 5] = ["cast", "rank0/tree", "rank{rank}/dest", "--threads", "1"];
/// So long that the writer gets its turn while one thread hashes it: some hundredths of a second.
const LOG_LEN: u64 = 160_000_000;
const STEADY_FILES: u64 = 2000;

/// Does something again and again while a job runs.
fn meanwhile<T>(churn: impl Fn(u64) + Send + Sync, job: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                churn(round);
            }
        });
        // Also where the job panics: the scope waits for the thread.
        struct Ends<'a>(&'a AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _ends = Ends(&is_over);
        job()
    })
}

fn tree(cluster: &Cluster) -> PathBuf {
    for at in 0..STEADY_FILES {
        cluster.file(format!("rank0/tree/steady{}/{at}", at % 20), at + 1, 1 + at * 7);
    }
    cluster.path("rank0/tree")
}

/// Makes and removes files, links, hard links and directories; each file that is there holds its
/// own name, or nothing yet.
fn come_and_go(tree: &Path) -> impl Fn(u64) + Send + Sync {
    let tree = tree.to_owned();
    move |round| {
        let below = tree.join(format!("live{}/below", round % 50));
        fs::create_dir_all(&below).unwrap();
        for at in 0..20 {
            let path = below.join(format!("{round}-{at}"));
            fs::write(&path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
        }
        symlink("nowhere", below.join(format!("{round}-link"))).unwrap();
        fs::hard_link(below.join(format!("{round}-1")), below.join(format!("{round}-hard")))
            .unwrap();
        fs::remove_file(below.join(format!("{round}-1"))).unwrap();
        if round >= 25 {
            let old = tree.join(format!("live{}", (round - 25) % 50));
            fs::remove_dir_all(old).unwrap();
        }
    }
}

#[test]
fn a_tree_of_which_files_come_and_go_is_cast_as_far_as_it_stands_still() {
    let cluster = Cluster::new();
    let tree = tree(&cluster);
    // Mostly the first time something vanishes at the wrong moment.
    let has_met_it = meanwhile(come_and_go(&tree), || {
        (0..10).any(|attempt| {
            let dest = format!("rank{{rank}}/dest{attempt}");
            let finished = cluster.launch(3, ["cast", "rank0/tree", &dest]).run();
            let report = finished.report();
            // What goes after it was hashed is missing in the end, and named.
            assert!(["complete", "failed"].contains(&&report.outcome[..]), "{finished}");
            let is_live = |name: &String| name.starts_with("tree/live");
            assert!(report.missing.iter().all(is_live), "{finished}");
            for rank in 0..3 {
                nothing_but_what_was(
                    &tree,
                    &cluster.path(format!("rank{rank}/dest{attempt}/tree")),
                );
            }
            finished.stderr.contains("vanished while")
        })
    });
    assert!(has_met_it, "nothing vanished while it was hashed");
}

/// A destination has all files that stand still, and of the others only what they ever held.
fn nothing_but_what_was(tree: &Path, dest: &Path) {
    for at in (0..STEADY_FILES).map(|at| format!("steady{}/{at}", at % 20)) {
        assert_same_file(&tree.join(&at), &dest.join(&at));
    }
    let names = names_below(dest).into_iter().filter(|(_, node)| *node == Node::File);
    for (name, _) in names.filter(|(name, _)| name.to_string_lossy().starts_with("live")) {
        let content = fs::read(dest.join(&name)).unwrap();
        let own = name.file_name().unwrap().as_encoded_bytes();
        let is_hard = own.ends_with(b"-hard") && content.ends_with(b"-1");
        assert!(content.is_empty() || content == own || is_hard, "{}", name.display());
    }
}

/// Makes a file longer each time. Only its inode is written: a disk that is behind with data does
/// not stop the writer.
fn growing(log: &Path) -> impl Fn(u64) + Send + Sync {
    let log = File::options().write(true).open(log).unwrap();
    move |_| log.set_len(log.metadata().unwrap().len() + 1).unwrap()
}

#[test]
fn a_log_that_is_written_all_the_time_is_missing_and_named_and_the_rest_is_cast() {
    let cluster = Cluster::new();
    let still = cluster.file("rank0/tree/still", 1, 300_000);
    let log = cluster.file("rank0/tree/log", 2, LOG_LEN);
    cluster.file("rank2/dest/tree/log", 3, 100_000);
    let old = fs::read(cluster.path("rank2/dest/tree/log")).unwrap();
    let grow = growing(&log);
    for option in [&[][..], &["--check"], &["--dry-run"]] {
        let args = [&CAST[..], option].concat();
        let finished = meanwhile(&grow, || cluster.launch(3, args).giving_way().run());
        let report = finished.ended_as("failed");
        assert_eq!(report.missing, ["tree/log"], "{finished}");
        finished.says(&["1 file kept changing while it was hashed", "tree/log'"]);
        assert_eq!(fs::read(cluster.path("rank2/dest/tree/log")).unwrap(), old);
    }
    for rank in 0..3 {
        let dest = cluster.path(format!("rank{rank}/dest"));
        assert_same_file(&still, &dest.join("tree/still"));
        no_leftovers(&dest);
        assert_eq!(dest.join("tree/log").exists(), rank == 2);
    }
    // Once it is left alone the same command brings it.
    cluster.launch(3, CAST).run().complete();
    assert_same_file(&log, &cluster.path("rank2/dest/tree/log"));
}

#[test]
fn a_rank_does_not_want_the_log_that_it_shares_itself() {
    let cluster = Cluster::new();
    let still = cluster.file("rank1/share/still", 1, 300_000);
    let log = cluster.file("rank1/share/log", 2, LOG_LEN);
    let grow = growing(&log);
    let run = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into", "--threads", "1"];
    let finished = meanwhile(&grow, || cluster.launch(3, run).giving_way().run());
    let report = finished.ended_as("failed");
    assert_eq!(report.missing, ["log"]);
    assert_eq!(report.peer(1).state, "complete");
    assert_same_file(&still, &cluster.destination(2).join("still"));
}
