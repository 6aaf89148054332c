//! Destinations in which nothing can be written: what stands there counts all the same.

use e2e::{Cluster, Finished, KIB, Tmpfs, User, is_root, skip};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const CAST: [&str; 3] = ["cast", "tree", "rank{rank}/into"];

fn launch(cluster: &Cluster, user: User, more: &[&str]) -> Finished {
    cluster.launch(3, CAST.iter().chain(more)).user(user).run()
}

fn tree(cluster: &Cluster) {
    cluster.file("tree/dir/file", 1, 300 * KIB);
    fs::hard_link(cluster.path("tree/dir/file"), cluster.path("tree/dir/second")).unwrap();
    cluster.file("tree/small", 2, KIB);
    symlink("small", cluster.path("tree/link")).unwrap();
    cluster.age("tree/dir", 0o755, 3);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A comparison, a dry run and a run find all complete, and nothing is written.
fn all_complete(cluster: &Cluster, user: User) {
    for more in [&["--check"][..], &["--dry-run"], &[]] {
        let report = launch(cluster, user, more).complete();
        assert_eq!((report.bytes_delivered, report.bytes_received()), (0, 0));
        assert_eq!(report.peer(1).files_complete, 3);
    }
}

/// A dry run and a run say why rank 1 is not complete.
fn one_incomplete(cluster: &Cluster, user: User, mentions: &[&str]) {
    launch(cluster, user, &["--check"]).ended_as("failed");
    for more in [&["--dry-run"][..], &[]] {
        let finished = launch(cluster, user, more);
        finished.ended_as("degraded");
        finished.incomplete(&[1], mentions);
        for rank in [0, 2] {
            assert_eq!(finished.report().peer(rank).state, "complete", "{finished}");
        }
    }
}

#[test]
fn a_complete_destination_on_a_read_only_file_system_is_complete() {
    let cluster = Cluster::new();
    tree(&cluster);
    let into = cluster.directory("rank1/into");
    let Some(_mounted) = Tmpfs::mount(&into, 8 << 20) else {
        return skip("a tmpfs can only be mounted by root");
    };
    launch(&cluster, User::Same, &[]).complete();
    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&into).status();
    assert!(remount.unwrap().success());
    all_complete(&cluster, User::Same);
    // What differs there cannot be mended, and the others are not kept from it.
    mode(&cluster.path("tree/small"), 0o711);
    one_incomplete(&cluster, User::Same, &["read-only file system", "not all that is wanted"]);
    cluster.file("tree/small", 5, 2 * KIB);
    one_incomplete(&cluster, User::Same, &["read-only file system", "not all that is wanted"]);
    assert_eq!(into.join("tree/small").metadata().unwrap().len(), KIB);
}

#[test]
fn a_link_that_is_missing_on_a_read_only_file_system_is_named() {
    let cluster = Cluster::new();
    tree(&cluster);
    let into = cluster.directory("rank1/into");
    let Some(_mounted) = Tmpfs::mount(&into, 8 << 20) else {
        return skip("a tmpfs can only be mounted by root");
    };
    launch(&cluster, User::Same, &[]).complete();
    fs::remove_file(into.join("tree/dir/second")).unwrap();
    fs::copy(into.join("tree/dir/file"), into.join("tree/dir/second")).unwrap();
    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&into).status();
    assert!(remount.unwrap().success());
    launch(&cluster, User::Same, &["--check"]).ended_as("failed");
    let finished = launch(&cluster, User::Same, &[]);
    finished.ended_as("degraded");
    finished.incomplete(&[1], &["read-only file system"]);
}

fn can_be_nobody() -> bool {
    Command::new("setpriv").arg("--version").output().is_ok()
}

/// A cluster for another user, with a tree that everybody may read.
fn for_nobody() -> Option<Cluster> {
    if !is_root() || !can_be_nobody() {
        skip("this needs root, and setpriv to become another user");
        return None;
    }
    let cluster = Cluster::for_any_user();
    tree(&cluster);
    for name in ["tree/dir/file", "tree/small"] {
        mode(&cluster.path(name), 0o644);
    }
    for rank in 0..3 {
        mode(&cluster.directory(format!("rank{rank}")), 0o777);
    }
    Some(cluster)
}

#[test]
fn a_complete_tree_of_another_user_is_complete() {
    let Some(cluster) = for_nobody() else { return };
    launch(&cluster, User::Same, &[]).complete();
    all_complete(&cluster, User::Unprivileged);
    for rank in [0, 2] {
        let into = cluster.destination(rank);
        let chown = Command::new("chown").args(["-R", "65534:65534"]).arg(into).status();
        assert!(chown.unwrap().success());
    }
    all_complete(&cluster, User::Unprivileged);
    mode(&cluster.path("tree/small"), 0o664);
    one_incomplete(&cluster, User::Unprivileged, &["ermission denied", "not all that is wanted"]);
}

#[test]
fn a_file_of_another_user_is_made_anew_where_its_mode_differs_and_its_directory_admits_that() {
    let Some(cluster) = for_nobody() else { return };
    launch(&cluster, User::Unprivileged, &[]).complete();
    for rank in 0..3 {
        let chown = |path: &str| {
            let path = cluster.destination(rank).join(path);
            assert!(Command::new("chown").arg("0:0").arg(path).status().unwrap().success());
        };
        chown("tree/small");
    }
    all_complete(&cluster, User::Unprivileged);
    mode(&cluster.path("tree/small"), 0o664);
    launch(&cluster, User::Unprivileged, &[]).complete();
    all_complete(&cluster, User::Unprivileged);
    let mended = cluster.destination(1).join("tree/small").metadata().unwrap();
    assert_ne!((mended.uid(), mended.mode() & 0o777), (0, 0o644));
}
