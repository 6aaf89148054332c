//! Destinations and shares that refuse to cooperate: no permission, no space, files and links in
//! the way.

use e2e::{
    Cluster, KIB, MIB, Node, Tmpfs, User, assert_same_file, assert_same_tree, is_root, names_below,
    no_leftovers, skip,
};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];

#[test]
fn a_destination_that_is_a_file_on_every_rank_is_refused() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 1000);
    for rank in 1..=3 {
        cluster.text(format!("rank{rank}/into"), "I am a file");
    }
    cluster.launch(4, RUN).run().refused(&["into"]);
    for rank in 1..=3 {
        let text = fs::read_to_string(cluster.path(format!("rank{rank}/into"))).unwrap();
        assert_eq!(text, "I am a file");
    }
}

#[test]
fn a_rank_whose_destination_is_a_file_is_left_out_alone() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/a.bin", 1, MIB);
    cluster.text("rank2/into", "I am a file");
    let finished = cluster.launch(4, RUN).run();
    let report = finished.ended_as("degraded");
    assert_eq!(report.peer(2).state, "incomplete");
    let reason = report.peer(2).reason.clone().unwrap_or_default();
    assert!(reason.contains("into"), "the reason names the path: {reason}");
    assert_eq!(report.peer(3).state, "complete");
    assert_same_tree(&cluster.path("rank3/into"), [("a.bin", &source)]);
    assert_eq!(fs::read_to_string(cluster.path("rank2/into")).unwrap(), "I am a file");
    assert_eq!(report.missing, ["a.bin"]);
}

#[test]
fn a_destination_below_a_file_is_refused() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 1000);
    cluster.text("file", "I am a file");
    let args = ["run", "--share", "rank{rank}/share", "--into", "file/below"];
    cluster.launch(3, args).run().refused(&["file/below"]);
    assert_eq!(fs::read_to_string(cluster.path("file")).unwrap(), "I am a file");
}

#[test]
fn a_destination_without_permission_is_refused() {
    if is_root() && !can_be_nobody() {
        return skip("root needs setpriv to become a user for whom permissions count");
    }
    let cluster = Cluster::for_any_user();
    let share = cluster.file("rank1/share/a.bin", 1, 1000);
    fs::set_permissions(share, Permissions::from_mode(0o644)).unwrap();
    for rank in 1..=2 {
        let into = cluster.directory(format!("rank{rank}/into"));
        fs::set_permissions(into, Permissions::from_mode(0o555)).unwrap();
    }
    let finished = cluster.launch(3, RUN).user(User::Unprivileged).run();
    finished.refused(&["into", "ermission denied"]);
    assert!(names_below(&cluster.path("rank2/into")).is_empty());
}

#[test]
fn a_lock_that_another_job_is_about_to_leave_is_waited_for() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 8 * MIB);
    let slow: Vec<&str> = RUN.into_iter().chain(["--limit-upload", "200kB"]).collect();
    let mut first = cluster.launch(3, &slow).start();
    first.wait_for_mid_transfer(&cluster, &[2]);
    // It is in use and stays so: refused, after a few seconds.
    let finished = cluster.launch(3, RUN).run();
    finished.refused(&["in use by another job", "waiting up to 5 s for it to end"]);
    // Now it ends while the next one waits.
    let mut second = cluster.launch(3, RUN).start();
    second.wait_for("the second job waits", |it| it.stderr().contains("waiting up to 5 s"));
    first.kill_all();
    let finished = second.finish();
    finished.complete();
    no_leftovers(&cluster.path("rank2/into"));
}

#[test]
fn a_file_system_without_inodes_is_told_from_one_without_room() {
    let cluster = Cluster::new();
    for file in 0..40 {
        cluster.text(format!("src/f{file}"), "x");
    }
    let into = cluster.directory("rank1/into");
    let Some(_mounted) = Tmpfs::mount_with(&into, "size=16m,nr_inodes=20") else {
        return skip("a tmpfs can only be mounted by root");
    };
    let cast = ["cast", "src", "rank{rank}/into"];
    let finished = cluster.launch(2, cast).run();
    assert_eq!(finished.ended_as("degraded").peer(0).state, "complete");
    finished.incomplete(&[1], &["no inodes are left to make", "no more files"]);
    assert!(!finished.stderr.contains("no space"), "{finished}");
    // Not even the store's own directory.
    let _ = fs::remove_dir_all(into.join("src"));
    (0..30).for_each(|file| drop(fs::write(into.join(format!("other{file}")), "")));
    let finished = cluster.launch(2, cast).run();
    finished.ended_as("degraded");
    finished.incomplete(&[1], &["no inodes are left for"]);
}

#[test]
fn a_full_destination_leaves_that_rank_out_and_the_others_complete() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/a.bin", 1, 8 * MIB);
    let full = cluster.directory("rank2/into");
    let Some(_mounted) = Tmpfs::mount(&full, MIB) else {
        return skip("a tmpfs can only be mounted by root");
    };
    let report = cluster.launch(4, RUN).run().ended_as("degraded");
    assert_eq!(report.peer(2).state, "incomplete");
    let reason = report.peer(2).reason.clone().unwrap_or_default();
    assert!(reason.contains("space"), "the reason says what is short: {reason}");
    assert_eq!(report.peer(2).bytes_received, 0, "checked before the first byte moves");
    assert_same_tree(&cluster.path("rank3/into"), [("a.bin", &source)]);
    no_leftovers(&full);
}

#[test]
fn full_destinations_on_every_rank_are_refused() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 8 * MIB);
    let into = cluster.directory("full");
    let Some(_mounted) = Tmpfs::mount(&into, MIB) else {
        return skip("a tmpfs can only be mounted by root");
    };
    let args = ["run", "--share", "rank{rank}/share", "--into", "full/rank{rank}"];
    cluster.launch(3, args).run().refused(&["space"]);
    let files = names_below(&into).into_values().filter(|node| *node == Node::File).count();
    assert_eq!(files, 0);
}

#[test]
fn nothing_is_written_through_a_link_that_leads_out() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/sub/a.bin", 1, 100 * KIB);
    let beside = cluster.file("rank1/share/b.bin", 2, 100 * KIB);
    let outside = cluster.directory("outside");
    cluster.text("outside/precious", "keep me");
    cluster.directory("rank2/into");
    symlink(&outside, cluster.path("rank2/into/sub")).unwrap();
    let finished = cluster.launch(4, RUN).run();

    let names: Vec<_> = names_below(&outside).into_keys().collect();
    assert_eq!(names, [std::path::PathBuf::from("precious")], "{finished}");
    assert_eq!(fs::read_to_string(cluster.path("outside/precious")).unwrap(), "keep me");
    // Either the link gave way to a real directory, or this rank says what is in its way.
    if finished.status == 0 {
        let sub = cluster.path("rank2/into/sub");
        assert!(fs::symlink_metadata(&sub).unwrap().is_dir());
        assert_same_file(&source, &sub.join("a.bin"));
    } else {
        let report = finished.report();
        let reason = report.peer(2).reason.clone().unwrap_or_default();
        assert!(reason.contains("sub"), "{finished}");
    }
    let both = [("sub/a.bin", &source), ("b.bin", &beside)];
    assert_same_tree(&cluster.path("rank3/into"), both);
}

#[test]
fn a_link_under_a_files_own_name_is_not_written_through() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/a.bin", 1, 300 * KIB);
    let victim = cluster.text("victim", "keep me");
    cluster.directory("rank2/into");
    symlink(&victim, cluster.path("rank2/into/a.bin")).unwrap();
    let finished = cluster.launch(3, RUN).run();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "keep me", "{finished}");
    if finished.status == 0 {
        assert_same_file(&source, &cluster.path("rank2/into/a.bin"));
    }
}

#[test]
fn a_destination_that_is_itself_a_link_is_followed() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/a.bin", 1, 300 * KIB);
    let real = cluster.directory("real");
    cluster.directory("rank2");
    symlink(&real, cluster.path("rank2/into")).unwrap();
    cluster.launch(3, RUN).run().complete();
    assert_same_tree(&real, [("a.bin", &source)]);
}

#[test]
fn a_share_that_cannot_be_read_is_refused_with_its_path() {
    if is_root() && !can_be_nobody() {
        return skip("root needs setpriv to become a user for whom permissions count");
    }
    let cluster = Cluster::for_any_user();
    cluster.file("rank1/share/a.bin", 1, 1000);
    let share = cluster.path("rank1/share");
    fs::set_permissions(&share, Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(cluster.directory("rank2"), Permissions::from_mode(0o777)).unwrap();
    let finished = cluster.launch(3, RUN).user(User::Unprivileged).run();
    fs::set_permissions(&share, Permissions::from_mode(0o755)).unwrap();
    finished.refused(&["rank1/share", "ermission denied"]);
    assert!(names_below(&cluster.path("rank2/into")).is_empty());
}

#[test]
fn a_shared_file_that_cannot_be_read_is_never_passed_over_in_silence() {
    if is_root() && !can_be_nobody() {
        return skip("root needs setpriv to become a user for whom permissions count");
    }
    let cluster = Cluster::for_any_user();
    let fine = cluster.file("rank1/share/fine.bin", 1, 1000);
    let secret = cluster.file("rank1/share/secret.bin", 2, 1000);
    fs::set_permissions(fine, Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(cluster.directory("rank2"), Permissions::from_mode(0o777)).unwrap();
    let finished = cluster.launch(3, RUN).user(User::Unprivileged).run();
    assert_ne!(finished.status, 0, "{finished}");
    finished.says(&["secret.bin", "ermission denied"]);
    assert!(!cluster.path("rank2/into/secret.bin").exists());
}

/// Whether root can run a job as nobody.
fn can_be_nobody() -> bool {
    let args = ["--reuid", "65534", "--regid", "65534", "--clear-groups", "true"];
    let status = std::process::Command::new("setpriv").args(args).status();
    status.is_ok_and(|status| status.success())
}
