//! `--dry-run`: what a run would do is told, and nothing is written.

use e2e::{Cluster, KIB, MIB, Tmpfs, User, is_root, names_below, skip};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
const DRY: [&str; 6] =
    ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into", "--dry-run"];

#[test]
fn what_would_move_is_told_and_nothing_is_made() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/dir/long", 1, 3 * MIB);
    cluster.file("rank1/share/short", 2, 10 * KIB);
    let finished = cluster.launch(3, DRY).run();
    let report = finished.complete();
    assert!(!cluster.path("rank2").exists());
    let all = 3 * MIB + 10 * KIB;
    assert_eq!((report.bytes_wanted, report.bytes_delivered), (all, all));
    assert_eq!((report.bytes_received(), report.bytes_reused()), (0, 0));
    let last = "complete: dry run: 1 rank would receive up to 3.01 MiB in 2 files, 0 B in place; \
                nothing was written";
    assert!(finished.stdout.lines().any(|line| line == last), "{finished}");
    // The run does as was said.
    let report = cluster.launch(3, RUN).run().complete();
    assert_eq!(report.bytes_delivered, all);
    let report = cluster.launch(3, DRY).run().complete();
    assert_eq!((report.bytes_delivered, report.bytes_reused()), (0, all));
    fs::remove_file(cluster.path("rank2/into/short")).unwrap();
    let report = cluster.launch(3, DRY).run().complete();
    assert_eq!((report.bytes_delivered, report.bytes_reused()), (10 * KIB, 3 * MIB));
    assert!(!cluster.path("rank2/into/short").exists());
    assert!(!cluster.path("rank2/into/.shoal").exists());
}

#[test]
fn what_a_run_would_be_refused_for_refuses_the_dry_run_too() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 1000);
    let unmatched = ["run", "--share", "rank{rank}/share", "--want", "*.h5", "--into", "into"];
    let unmatched: Vec<&str> = unmatched.into_iter().chain(["--dry-run"]).collect();
    cluster.launch(3, unmatched).run().refused(&["*.h5"]);
    assert!(!cluster.path("into").exists());
    cluster.text("rank2/into", "I am a file");
    cluster.launch(3, DRY).run().refused(&["into"]);
    // As in a run, a rank that cannot receive is left out alone.
    let report = cluster.launch(4, DRY).run().ended_as("degraded");
    assert_eq!(report.peer(2).state, "incomplete");
    assert!(!cluster.path("rank3").exists());
}

#[test]
fn an_obstacle_below_the_destination_is_named() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/dir/a.bin", 1, 1000);
    cluster.file("rank1/share/b.bin", 2, 1000);
    cluster.text("rank2/into/b.bin/mine", "I am in the way");
    let finished = cluster.launch(3, DRY).run();
    let dry = finished.ended_as("degraded").peer(2).reason.clone().unwrap_or_default();
    assert!(dry.contains("a directory with content where a file must go"), "{dry}");
    let run = cluster.launch(3, RUN).run().ended_as("degraded").peer(2).reason.clone();
    assert_eq!(run.as_deref(), Some(&*dry), "the run says what was foretold");
}

#[test]
fn a_destination_without_room_is_told_before_anything_is_made() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 8 * MIB);
    let full = cluster.directory("rank2/into");
    let Some(_mounted) = Tmpfs::mount(&full, MIB) else {
        return skip("a tmpfs can only be mounted by root");
    };
    cluster.launch(3, DRY).run().refused(&["must be written to"]);
    assert!(names_below(&full).is_empty());
}

#[test]
fn where_no_rank_has_room_the_run_is_refused_as_was_forecast_and_leaves_nothing() {
    let cluster = Cluster::new();
    cluster.file("src/big", 1, 8 * MIB);
    cluster.text("src/sub/small", "x");
    cluster.text("src/sub/none", "");
    cluster.directory("src/empty");
    std::os::unix::fs::symlink("big", cluster.path("src/link")).unwrap();
    let full = [0, 1].map(|rank| cluster.directory(format!("rank{rank}/into")));
    let mounted = full.each_ref().map(|full| Tmpfs::mount(full, MIB));
    if mounted.iter().any(Option::is_none) {
        return skip("a tmpfs can only be mounted by root");
    }
    let cast = ["cast", "src", "rank{rank}/into", "--delete"];
    for more in [&["--dry-run"][..], &[]] {
        let args: Vec<&str> = cast.iter().chain(more).copied().collect();
        let finished = cluster.launch(2, &args).run();
        finished.refused(&["rank 0 cannot receive", "rank 1 cannot receive", "must be written"]);
        full.iter().for_each(|full| assert!(names_below(full).is_empty(), "{finished}"));
    }
    // What stands there without content is no room.
    for full in &full {
        fs::create_dir_all(full.join("src/sub")).unwrap();
        fs::write(full.join("src/sub/none"), "").unwrap();
    }
    for more in [&["--dry-run"][..], &[]] {
        let args: Vec<&str> = cast.iter().chain(more).copied().collect();
        cluster.launch(2, &args).run().refused(&["must be written"]);
    }
    // One has room: the other is refused alone, and nothing is removed.
    drop(mounted);
    fs::create_dir_all(full[0].join("src/old")).unwrap();
    let _mounted = Tmpfs::mount(&full[1], MIB);
    for more in [&["--dry-run"][..], &[]] {
        let args: Vec<&str> = cast.iter().chain(more).copied().collect();
        let finished = cluster.launch(2, &args).run();
        assert_eq!(finished.ended_as("degraded").peer(0).state, "complete");
        assert!(!finished.stdout.contains("removed"), "{finished}");
        assert!(names_below(&full[1]).is_empty() && full[0].join("src/old").exists(), "{finished}");
    }
}

#[test]
fn removals_are_forecast_as_they_are_done() {
    let cluster = Cluster::new();
    cluster.file("share/a", 1, KIB);
    cluster.text("into/old/x", "x");
    // Two ranks share a destination; one of them removes.
    let run = |rank: &str, more: &[&str]| {
        let plan = format!(
            "[[peer]]\nranks = '1'\nshare = ['share']\ninto = '{rank}'\n\
             [[peer]]\nranks = '2-3'\nshare = []\ninto = 'into'\n"
        );
        cluster.text("plan.toml", &plan);
        let args: Vec<&str> = ["run", "--plan", "plan.toml", "--delete"].into_iter().collect();
        cluster.launch(4, args.iter().chain(more)).run()
    };
    // Rank 1 has all that it wants, and is swept like the others.
    cluster.text("own/old", "x");
    let finished = run("own", &["--dry-run"]);
    finished.complete();
    assert!(finished.stdout.contains("3 entries would be removed"), "{finished}");
    let finished = run("own", &[]);
    finished.complete();
    assert!(finished.stdout.contains(", 3 entries removed"), "{finished}");
    // A job that is not complete removes nothing.
    cluster.text("into/old/x", "x");
    cluster.text("blocked", "I am a file");
    for more in [&["--dry-run"][..], &[]] {
        cluster.file("share/b", 2, KIB);
        let plan = "[[peer]]\nranks = '1'\nshare = ['share']\nwant = []\n\
                    [[peer]]\nranks = '2'\nshare = []\ninto = 'into'\n\
                    [[peer]]\nranks = '3'\nshare = []\ninto = 'blocked'\n";
        cluster.text("plan.toml", plan);
        let args: Vec<&str> = ["run", "--plan", "plan.toml", "--delete"].into_iter().collect();
        let finished = cluster.launch(4, args.iter().chain(more)).run();
        finished.ended_as("degraded");
        assert!(!finished.stdout.contains("removed"), "{finished}");
        assert!(cluster.path("into/old/x").exists());
    }
}

#[test]
fn a_destination_without_permission_is_refused() {
    if is_root() && std::process::Command::new("setpriv").arg("--version").output().is_err() {
        return skip("root needs setpriv to become a user for whom permissions count");
    }
    let cluster = Cluster::for_any_user();
    let share = cluster.file("rank1/share/a.bin", 1, 1000);
    fs::set_permissions(share, Permissions::from_mode(0o644)).unwrap();
    let into = cluster.directory("rank2");
    fs::set_permissions(into, Permissions::from_mode(0o555)).unwrap();
    let finished = cluster.launch(3, DRY).user(User::Unprivileged).run();
    finished.refused(&["into", "ermission denied"]);
}

#[test]
fn cast_tells_what_it_would_copy() {
    let cluster = Cluster::new();
    cluster.file("source/a", 1, 100 * KIB);
    let report =
        cluster.launch(2, ["cast", "source", "rank{rank}/into", "--dry-run"]).run().complete();
    assert_eq!(report.bytes_delivered, 200 * KIB);
    assert!(!cluster.path("rank0").exists() && !cluster.path("rank1").exists());
}
