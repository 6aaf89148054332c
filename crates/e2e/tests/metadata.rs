//! Modes, times and inodes: what a run that ended well left, a comparison calls equal.

use e2e::{Cluster, Finished, KIB, MIB, Made, Tmpfs, skip};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

const CAST: [&str; 3] = ["cast", "tree", "rank{rank}/into"];

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().unwrap().ino()
}

fn set(path: &Path, mode: u32, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::open(path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Casts the tree to three ranks, and compares.
fn cast_and_check(cluster: &Cluster) -> Finished {
    let cast = cluster.launch(3, CAST).run();
    cast.complete();
    check(cluster);
    cast
}

fn check(cluster: &Cluster) {
    cluster.launch(3, CAST.iter().chain(&["--check"])).run().complete();
}

/// `private`, `plain` and `program`, of equal content and different modes and times.
fn equal_files(cluster: &Cluster) -> [(&'static str, u32); 3] {
    let files = [("private", 0o600), ("plain", 0o644), ("program", 0o755)];
    for (number, (name, mode)) in files.into_iter().enumerate() {
        let path = cluster.file(Path::new("tree").join(name), 1, 3 * KIB);
        set(&path, mode, 1_000_000_000 + number as u64);
    }
    files
}

#[test]
fn names_of_one_inode_get_inodes_of_their_own_where_the_source_has_files_of_its_own() {
    let cluster = Cluster::new();
    let files = equal_files(&cluster);
    cast_and_check(&cluster);
    // As `hardlink --ignore-time` and its like leave them: one file that only its owner may read.
    for rank in 0..3 {
        let into = cluster.destination(rank).join("tree");
        for name in ["plain", "program"] {
            fs::remove_file(into.join(name)).unwrap();
            fs::hard_link(into.join("private"), into.join(name)).unwrap();
        }
    }
    let report = cast_and_check(&cluster).report();
    assert_eq!(report.bytes_received(), 0, "all content was there");
    for rank in 0..3 {
        let into = cluster.destination(rank).join("tree");
        for (name, wanted) in files {
            assert_eq!(mode(&into.join(name)), wanted, "{name} of rank {rank}");
            assert_eq!(into.join(name).metadata().unwrap().nlink(), 1);
        }
    }
}

#[test]
fn a_source_that_broke_its_links_ends_those_of_the_destination() {
    let cluster = Cluster::new();
    let first = cluster.file("tree/first", 1, 100 * KIB);
    let second = cluster.path("tree/second");
    fs::hard_link(&first, &second).unwrap();
    cast_and_check(&cluster);
    fs::remove_file(&second).unwrap();
    fs::copy(&first, &second).unwrap();
    set(&second, 0o666, 1_200_000_000);
    cast_and_check(&cluster);
    for rank in 0..3 {
        let [a, b] = ["tree/first", "tree/second"].map(|name| cluster.destination(rank).join(name));
        assert_ne!(inode(&a), inode(&b));
        assert_eq!([mode(&a), mode(&b)], [mode(&first), 0o666]);
    }
}

#[test]
fn a_copy_made_of_hard_links_keeps_its_content_modes_and_times() {
    let cluster = Cluster::new();
    equal_files(&cluster);
    symlink("plain", cluster.path("tree/link")).unwrap();
    cast_and_check(&cluster);
    // `cp -al DEST DEST.bak`
    let names = ["private", "plain", "program", "link"];
    let state = |below: &Path| {
        let found = names.map(|name| below.join(name).symlink_metadata().unwrap());
        found.map(|found| (found.ino(), found.mode(), found.mtime(), found.len()))
    };
    let mut before = Vec::new();
    for rank in 0..3 {
        let backup = cluster.directory(format!("rank{rank}/backup"));
        for name in names {
            let standing = cluster.destination(rank).join("tree").join(name);
            fs::hard_link(standing, backup.join(name)).unwrap();
        }
        before.push(state(&backup));
    }
    // Another mode, another time, other content, and a link that moved with them.
    set(&cluster.path("tree/private"), 0o444, 1_000_000_000);
    set(&cluster.path("tree/plain"), 0o644, 1_300_000_000);
    set(&cluster.file("tree/program", 2, 5 * KIB), 0o700, 1_000_000_002);
    fs::remove_file(cluster.path("tree/link")).unwrap();
    symlink("plain", cluster.path("tree/link")).unwrap();
    cast_and_check(&cluster);
    for rank in 0..3 {
        let backup = cluster.path(format!("rank{rank}/backup"));
        assert_eq!(state(&backup), before[rank as usize], "the backup of rank {rank}");
        assert_eq!(mode(&cluster.destination(rank).join("tree/private")), 0o444);
    }
}

#[test]
fn two_ranks_that_disagree_about_a_links_mode_leave_two_files_and_no_difference() {
    let cluster = Cluster::new();
    // Rank 0 shares one of the names alone, with another mode.
    set(&cluster.file("rank0/share/first", 1, KIB), 0o600, 1_000_000_000);
    let first = cluster.file("rank1/share/first", 1, KIB);
    set(&first, 0o644, 1_000_000_000);
    fs::hard_link(&first, cluster.path("rank1/share/second")).unwrap();
    let run = ["run", "--tracker", "colocated", "--share", "rank{rank}/share", "--into"];
    let run = run.iter().chain(&["rank{rank}/into"]);
    cluster.launch(4, run.clone()).run().complete();
    cluster.launch(4, run.chain(&["--check"])).run().complete();
    for rank in 2..4 {
        let into = cluster.destination(rank);
        assert_eq!(["first", "second"].map(|name| mode(&into.join(name))), [0o600, 0o644]);
    }
}

/// A time of anything, also of a symbolic link.
fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Casts a tree of old, new and far times to a file system made so, which keeps not all of them.
fn keeps_what_it_can(make: &[&str], bytes: u64) {
    let cluster = Cluster::new();
    let skipped = || skip(&format!("this needs root, a loop device, and {make:?}"));
    let tree = cluster.directory("tree");
    let into = cluster.directory("rank1/into");
    // What is shared lies where all times are kept.
    let Some(_source) = Tmpfs::mount(&tree, 4 * MIB) else { return skipped() };
    let image = cluster.path("image");
    let Some(_mounted) = Made::mount(&image, &into, bytes, make) else { return skipped() };
    let far = 1 << 36;
    for (name, len, time) in [
        ("now", 3 * KIB, 1_700_000_001),
        ("later", 300 * KIB, 2_500_000_000),
        ("last", 0, far),
        ("before", KIB, -1_000_000_001),
        ("dir/below", 3 * MIB, 1_700_000_003),
    ] {
        set_time(&cluster.file(Path::new("tree").join(name), 1, len), time, 987_654_321);
    }
    fs::hard_link(tree.join("now"), tree.join("dir/now")).unwrap();
    symlink("now", tree.join("link")).unwrap();
    set_time(&tree.join("link"), 2_500_000_001, 123_456_789);
    set_time(&tree.join("dir"), far, 5);
    set_time(&tree, 1_700_000_005, 5);
    let kept = "kept as far as this file system can";
    for round in 0..2 {
        let cast = cast_and_check(&cluster);
        let notices = cast.stderr.lines().filter(|line| line.contains(kept));
        assert_eq!(
            notices.filter(|line| line.contains("[rank 1 ")).count(),
            1,
            "round {round}\n{cast}"
        );
        let reused = cast.report().peer(1).bytes_reused;
        assert_eq!(reused > 0, round > 0, "{cast}");
    }
    // Another time is another time, also in whole seconds.
    for name in ["tree/now", "tree/last", "tree/link"] {
        set_time(&into.join(name), 1_700_000_000, 0);
    }
    let checked = cluster.launch(3, CAST.iter().chain(&["--check"])).run();
    checked.ended_as("failed");
    for line in ["  tree/now: time", "  tree/last: time", "  tree/link: time"] {
        assert!(checked.stdout.lines().any(|it| it == line), "no '{line}' in\n{checked}");
    }
    cast_and_check(&cluster);
}

#[test]
fn a_file_system_of_whole_seconds_until_2038_keeps_what_it_can_and_that_counts_as_equal() {
    keeps_what_it_can(&["mkfs.ext4", "-q", "-F", "-I", "128"], 32 * MIB);
}

#[test]
fn an_ext2_of_whole_seconds_keeps_what_it_can_and_that_counts_as_equal() {
    keeps_what_it_can(&["mkfs.ext2", "-q", "-F", "-I", "128"], 32 * MIB);
}

#[test]
fn a_file_system_until_2446_keeps_what_it_can_and_that_counts_as_equal() {
    keeps_what_it_can(&["mkfs.ext4", "-q", "-F", "-I", "256"], 32 * MIB);
}

#[test]
fn an_xfs_until_2038_keeps_what_it_can_and_that_counts_as_equal() {
    keeps_what_it_can(&["mkfs.xfs", "-q", "-f", "-m", "bigtime=0"], 512 * MIB);
}

/// An access control list in which this user may do everything; of a directory, for what is made
/// in it.
fn default_list(user: u32) -> Vec<u8> {
    const NOBODY: u32 = u32::MAX;
    let entries = [(1, 7, NOBODY), (2, 7, user), (4, 5, NOBODY), (16, 7, NOBODY), (32, 5, NOBODY)];
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend([u16::to_le_bytes(tag), u16::to_le_bytes(permissions)].concat());
        list.extend(id.to_le_bytes());
    }
    list
}

/// Whether an access control list names a user.
fn names_user(path: &Path, attribute: &str, user: u32) -> bool {
    let mut list = [0; 256];
    let len = rustix::fs::getxattr(path, attribute, &mut list).unwrap_or(0);
    let mut entries = list[..len].get(4..).unwrap_or_default().chunks(8);
    entries.any(|entry| entry[..2] == [2, 0] && entry[4..] == user.to_le_bytes())
}

#[test]
fn a_destination_hands_down_its_group_and_its_access_control_list() {
    const GROUP: u32 = 1234;
    const USER: u32 = 4321;
    if !e2e::is_root() {
        return skip("only root may give a directory any group");
    }
    let cluster = Cluster::new();
    equal_files(&cluster);
    cluster.file("tree/dir/deep/large", 2, 300 * KIB);
    for (name, mode) in [("tree/dir/deep", 0o750), ("tree/dir", 0o755), ("tree", 0o755)] {
        cluster.age(name, mode, 3);
    }
    let mut lists = true;
    for rank in 0..3 {
        let into = cluster.directory(format!("rank{rank}/into"));
        std::os::unix::fs::chown(&into, None, Some(GROUP)).unwrap();
        fs::set_permissions(&into, Permissions::from_mode(0o2775)).unwrap();
        let (name, list) = ("system.posix_acl_default", default_list(USER));
        lists &= rustix::fs::setxattr(&into, name, &list, rustix::fs::XattrFlags::empty()).is_ok();
    }
    if !lists {
        skip("this file system has no access control lists: groups alone are tested");
    }
    for round in 0..2 {
        let cast = cast_and_check(&cluster);
        assert_eq!(cast.report().bytes_reused() > 0, round > 0, "{cast}");
        for rank in 0..3 {
            let into = cluster.destination(rank);
            for (name, wanted) in
                [("tree", 0o2755), ("tree/dir", 0o2755), ("tree/dir/deep", 0o2750)]
            {
                let path = into.join(name);
                assert_eq!((mode(&path), path.metadata().unwrap().gid()), (wanted, GROUP));
                assert_eq!(names_user(&path, "system.posix_acl_default", USER), lists, "{name}");
            }
            for name in ["tree/private", "tree/program", "tree/dir/deep/large"] {
                let path = into.join(name);
                assert_eq!(path.metadata().unwrap().gid(), GROUP, "{name}");
                assert_eq!(names_user(&path, "system.posix_acl_access", USER), lists, "{name}");
            }
            assert_eq!(mode(&into.join("tree/private")), 0o600, "the mode is the source's");
        }
    }
    // What a later run has to mend keeps both.
    cluster.age("tree/dir", 0o700, 5);
    cluster.age("tree/plain", 0o640, 5);
    cast_and_check(&cluster);
    let into = cluster.destination(1);
    assert_eq!(mode(&into.join("tree/dir")), 0o2700);
    assert_eq!(names_user(&into.join("tree/plain"), "system.posix_acl_access", USER), lists);
}
