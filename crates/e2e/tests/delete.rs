//! `--delete`: what the catalogue lacks is removed, where that is safe, and nothing else is.

use e2e::{Bind, Cluster, KIB, assert_same_tree, skip};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

const RUN: [&str; 6] =
    ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into", "--delete"];

fn with<'a>(args: &[&'a str], more: &'a str) -> Vec<&'a str> {
    args.iter().copied().chain([more]).collect()
}

fn time(path: &Path) -> (i64, i64) {
    let stat = fs::symlink_metadata(path).unwrap();
    (stat.mtime(), stat.mtime_nsec())
}

#[test]
fn extra_files_links_and_directories_go_and_the_times_of_directories_stay() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/dir/a", 1, 100 * KIB);
    cluster.age("rank1/share/dir", 0o755, 3);
    cluster.text("precious/file", "x");
    for rank in 2..=3 {
        cluster.text(format!("rank{rank}/into/dir/old/b"), "b");
        cluster.text(format!("rank{rank}/into/c"), "c");
        // What a link leads to is none of its business.
        let link = cluster.path(format!("rank{rank}/into/dir/way-out"));
        symlink(cluster.path("precious"), link).unwrap();
    }
    let finished = cluster.launch(4, with(&RUN, "--check")).run();
    let report = finished.ended_as("failed");
    assert_eq!(report.peer(2).reason.as_deref(), Some("1 missing, 1 different, 4 extra"));
    assert!(finished.stdout.contains("\n  dir/old/b: extra\n"), "{finished}");
    let finished = cluster.launch(4, with(&RUN, "--dry-run")).run();
    finished.complete();
    assert!(finished.stdout.contains("8 entries would be removed"), "{finished}");
    assert!(cluster.path("rank2/into/dir/old/b").exists());
    let finished = cluster.launch(4, RUN).run();
    finished.complete();
    assert!(finished.stdout.contains(", 8 entries removed"), "{finished}");
    for rank in 2..=3 {
        assert_same_tree(&cluster.destination(rank), [("dir/a", &source)]);
        let dir = cluster.path(format!("rank{rank}/into/dir"));
        assert_eq!(time(&dir), time(&cluster.path("rank1/share/dir")));
    }
    assert!(cluster.path("precious/file").exists());
    cluster.launch(4, with(&RUN, "--check")).run().complete();
}

#[test]
fn extra_files_are_left_alone_without_it_and_where_the_job_is_not_complete() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a", 1, 100 * KIB);
    cluster.text("rank2/into/old", "x");
    cluster.launch(3, &RUN[..5]).run().complete();
    assert!(cluster.path("rank2/into/old").exists());
    cluster.launch(3, with(&RUN[..5], "--check")).run().complete();
    // Rank 3 cannot receive: perhaps somebody is going to look for what was thought to be extra.
    cluster.text("rank3/into", "I am a file");
    cluster.launch(4, RUN).run().ended_as("degraded");
    assert!(cluster.path("rank2/into/old").exists());
}

#[test]
fn what_another_rank_shares_from_below_a_destination_refuses_the_job() {
    let cluster = Cluster::new();
    for rank in 1..=2 {
        cluster.file(format!("data/rank{rank}/a"), rank, 100);
    }
    let gather = ["run", "--share", "data/rank{rank}", "--prefix", "of{rank}/", "--into", "data"];
    let finished = cluster.launch(3, with(&gather, "--delete")).run();
    finished.refused(&["--delete would remove what rank 1 shares", "data/rank1"]);
    assert!(cluster.path("data/rank1/a").exists() && cluster.path("data/rank2/a").exists());
    // Also where a link hides it, and where only a look was asked for.
    symlink("data", cluster.path("alias")).unwrap();
    let gather = ["run", "--share", "alias/rank{rank}", "--into", "data", "--want", "nothing*"];
    let args: Vec<&str> = gather.into_iter().chain(["--delete", "--check"]).collect();
    cluster.launch(3, args).run().refused(&["--delete would remove"]);
    let nested = ["run", "--share", "data", "--prefix", "p/", "--into", "data", "--delete"];
    cluster.launch(3, nested).run().refused(&["under another name"]);
    assert!(cluster.path("data/rank1/a").exists());
}

#[test]
fn a_destination_in_what_another_rank_shares_refuses_the_job() {
    let cluster = Cluster::new();
    cluster.file("data/in/a", 1, 100);
    let plan = "[[peer]]\nranks = '1'\nshare = ['data']\nwant = []\n\
                [[peer]]\nranks = '2'\nshare = []\ninto = 'data/in'\n";
    cluster.text("plan.toml", plan);
    let run = ["run", "--plan", "plan.toml", "--delete"];
    let refused = cluster.launch(3, run).run();
    refused.refused(&["data/in', the destination of rank 2, lies in what rank 1 shares, 'data'"]);
    // What a rank leaves out of what it shares is nobody's but its own destination.
    cluster.file("source/a", 2, 100);
    for rank in 0..2 {
        cluster.text(format!("source/copy{rank}/source/old"), "x");
    }
    let cast = ["cast", "source", "source/copy{rank}", "--delete"];
    cluster
        .launch(2, cast)
        .run()
        .refused(&["lies in what rank 0 shares, 'source'", "source/copy1"]);
    cluster.launch(2, ["cast", "source", "source", "--delete"]).run().refused(&["into itself"]);
    assert!(cluster.path("source/copy1/source/old").exists() && cluster.path("data/in/a").exists());
    cluster.launch(2, ["cast", "source", "source/copy0", "--delete"]).run().complete();
    assert!(!cluster.path("source/copy0/source/old").exists());
}

#[test]
fn what_another_rank_shares_by_another_mount_refuses_the_job() {
    let cluster = Cluster::new();
    cluster.file("data/set/a", 1, 100);
    cluster.file("other/b", 2, 100);
    let seen = cluster.directory("seen");
    let Some(_mounted) = Bind::mount(&cluster.path("data"), &seen) else {
        return skip("nothing can be mounted here");
    };
    let plan = |share: &str, into: &str| {
        let plan = format!(
            "[[peer]]\nranks = '1'\nshare = ['{share}', 'other']\nwant = []\n\
             [[peer]]\nranks = '2'\nshare = []\ninto = '{into}'\n"
        );
        cluster.text("plan.toml", &plan);
        cluster.launch(3, ["run", "--plan", "plan.toml", "--delete"]).run()
    };
    plan("data/set", "seen")
        .refused(&["--delete would remove what rank 1 shares: 'data/set' lies"]);
    plan("seen/set", "data")
        .refused(&["--delete would remove what rank 1 shares: 'seen/set' lies"]);
    plan("data", "seen").refused(&["--delete would remove what rank 1 shares: 'data' lies in"]);
    // A single file, and what is only mounted below a share.
    plan("data/set/a", "seen/set").refused(&["what rank 1 shares: 'data/set/a'"]);
    plan(".", "data").refused(&["lies in what rank 1 shares"]);
    // A cast sweeps only what it makes: there `set` is another one.
    cluster.file("data/x/set/x/c", 3, 100);
    let cast = ["cast", "data/x/set/x", "seen", "--delete"];
    cluster.launch(2, cast).run().refused(&["lies in what this cast makes in"]);
    for file in ["data/set/a", "data/x/set/x/c"] {
        assert!(cluster.path(file).exists(), "{file}");
    }
    // Beside each other they are apart, by whatever mount.
    cluster.directory("data/into");
    plan("data/set", "seen/into").complete();
    assert!(cluster.path("data/into/a").exists() && cluster.path("data/set/a").exists());
}

#[test]
fn a_source_that_all_ranks_see_is_not_removed_from_anothers_destination() {
    let cluster = Cluster::new();
    cluster.file("data/sub/a", 1, 100);
    let plan = "[[peer]]\nranks = '1'\nshare = ['data/sub']\nwant = []\n\
                [[peer]]\nranks = '2'\nshare = []\ninto = 'data'\n";
    cluster.text("plan.toml", plan);
    let finished =
        cluster.launch(3, ["run", "--plan", "plan.toml", "--shared-fs", "--delete"]).run();
    finished.refused(&["--delete would remove what rank 1 shares"]);
    assert!(cluster.path("data/sub/a").exists());
}

#[test]
fn cast_removes_only_below_what_it_makes_and_never_its_own_source() {
    let cluster = Cluster::new();
    let source = cluster.file("source/sub/a", 1, 100 * KIB);
    let cast = ["cast", "source", "rank{rank}/into", "--delete"];
    for rank in 0..2 {
        cluster.text(format!("rank{rank}/into/source/sub/old"), "x");
        cluster.text(format!("rank{rank}/into/neighbour"), "y");
    }
    cluster.launch(2, cast).run().complete();
    for rank in 0..2 {
        let into = cluster.destination(rank);
        let neighbour = cluster.path(format!("rank{rank}/into/neighbour"));
        let same = [("source/sub/a", &source), ("neighbour", &neighbour)];
        assert_same_tree(&into, same);
    }
    // Into the directory that the source lies in: its copy is the source itself.
    cluster.text("source/more", "z");
    cluster.launch(2, ["cast", "source", ".", "--delete"]).run().complete();
    assert!(cluster.path("source/sub/a").exists() && cluster.path("source/more").exists());
    // The source lies below what would be swept.
    let inner = cluster.file("x/y/x/a", 2, 100);
    cluster.launch(2, ["cast", "x/y/x", ".", "--delete"]).run().refused(&["under another name"]);
    assert!(inner.exists());
}

#[test]
fn ranks_that_share_a_destination_remove_once() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a", 1, 100 * KIB);
    cluster.file("rank1/share/b", 2, 100 * KIB);
    cluster.text("into/old/x", "x");
    let args = ["run", "--share", "rank{rank}/share", "--into", "into", "--delete"];
    let finished = cluster.launch(4, args).run();
    finished.complete();
    assert!(finished.stdout.contains(", 2 entries removed"), "{finished}");
    let share = |file: &str| cluster.path(format!("rank1/share/{file}"));
    assert_same_tree(&cluster.path("into"), [("a", share("a")), ("b", share("b"))]);
}
