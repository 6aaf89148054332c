//! `--owner` and `--xattrs`: what is kept where it is asked for.

use e2e::{Cluster, MIB, User, is_root, skip};
use rustix::fs::XattrFlags;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;
use std::process::Command;

const CAST: [&str; 3] = ["cast", "src", "rank{rank}/into"];
const RANKS: u32 = 3;

fn cast<'a>(more: &[&'a str]) -> Vec<&'a str> {
    CAST.iter().chain(more).copied().collect()
}

/// The paths of the source that have metadata to keep.
const PATHS: [&str; 6] = ["", "small", "large", "other-name", "below", "below/link"];

/// A tree of all kinds: small and large files, two names of one, a directory and a link.
fn source() -> Cluster {
    let cluster = Cluster::new();
    cluster.file("src/small", 1, 100);
    let large = cluster.file("src/large", 2, 3 * MIB);
    fs::hard_link(large, cluster.path("src/other-name")).unwrap();
    cluster.directory("src/below");
    symlink("../small", cluster.path("src/below/link")).unwrap();
    cluster
}

fn owner(path: &Path) -> (u32, u32) {
    let found = path.symlink_metadata().unwrap();
    (found.uid(), found.gid())
}

#[test]
fn owners_are_kept_by_root_compared_and_mended() {
    if !is_root() {
        return skip("only root gives files to others");
    }
    let cluster = source();
    for (id, path) in (5000..).zip(PATHS) {
        lchown(cluster.path("src").join(path), Some(id), Some(id + 100)).unwrap();
    }
    // A change of owner takes these bits away.
    fs::set_permissions(cluster.path("src/small"), fs::Permissions::from_mode(0o6755)).unwrap();
    cluster.launch(RANKS, cast(&["--owner"])).run().complete();
    for (rank, path) in (0..RANKS).flat_map(|rank| PATHS.map(|path| (rank, path))) {
        let copy = cluster.destination(rank).join("src").join(path);
        assert_eq!(owner(&copy), owner(&cluster.path("src").join(path)), "rank {rank}: {path}");
    }
    let small = cluster.destination(1).join("src/small");
    assert_eq!(small.metadata().unwrap().mode() & 0o7777, 0o6755);
    cluster.launch(RANKS, cast(&["--owner", "--check"])).run().complete();

    lchown(&small, Some(7), None).unwrap();
    let report = cluster.launch(RANKS, cast(&["--owner", "--check"])).run();
    report.ended_as("failed");
    assert!(report.to_string().contains("src/small: mode, owner"), "{report}");
    cluster.launch(RANKS, cast(&["--check"])).run().ended_as("failed");
    cluster.launch(RANKS, cast(&["--owner"])).run().complete();
    cluster.launch(RANKS, cast(&["--owner", "--check"])).run().complete();
    assert_eq!(owner(&small).0, 5001);
}

#[test]
fn without_the_option_what_arrives_belongs_to_whoever_receives() {
    if !is_root() {
        return skip("only root gives files to others");
    }
    let cluster = source();
    lchown(cluster.path("src/small"), Some(5000), Some(5000)).unwrap();
    cluster.launch(RANKS, cast(&[])).run().complete();
    assert_eq!(owner(&cluster.destination(1).join("src/small")), (0, 0));
    cluster.launch(RANKS, cast(&["--check"])).run().complete();
}

#[test]
fn owners_are_refused_to_others_than_root_with_what_to_do() {
    if !is_root() {
        return skip("root starts a job as somebody else");
    }
    let cluster = Cluster::for_any_user();
    fs::create_dir(cluster.path("src")).unwrap();
    fs::write(cluster.path("src/file"), "content").unwrap();
    let finished = cluster.launch(2, cast(&["--owner"])).user(User::Unprivileged).run();
    finished.refused(&["owners can be given by root alone", "leave --owner out"]);
}

/// An access control list: its owner and others may read, user 5000 may read and write.
fn acl(mask: u16) -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, !0), (2, 6, 5000), (4, 4, !0), (0x10, mask, !0), (0x20, 4, !0)];
    let words = entries.into_iter().flat_map(|(tag, may, id)| {
        [&tag.to_le_bytes()[..], &may.to_le_bytes(), &id.to_le_bytes()].concat()
    });
    2_u32.to_le_bytes().into_iter().chain(words).collect()
}

fn set(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn get(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let len = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(len);
    Some(value)
}

#[test]
fn extended_attributes_are_kept_compared_and_mended() {
    let cluster = source();
    let src = cluster.path("src");
    let mut given = vec![
        ("small", "user.origin", b"somewhere".to_vec()),
        ("small", "user.empty", Vec::new()),
        ("large", "user.large", vec![0xff; 3000]),
        ("below", "user.below", b"1".to_vec()),
    ];
    if is_root() {
        given.push(("small", "trusted.note", b"root's".to_vec()));
        given.push(("large", "system.posix_acl_access", acl(6)));
        given.push(("below", "system.posix_acl_default", acl(4)));
    }
    for (path, name, value) in &given {
        set(&src.join(path), name, value);
    }
    cluster.launch(RANKS, cast(&["--xattrs"])).run().complete();
    for rank in 0..RANKS {
        let copy = cluster.destination(rank).join("src");
        for (path, name, value) in &given {
            let found = get(&copy.join(path), name);
            assert_eq!(found.as_ref(), Some(value), "rank {rank}: {path} {name}");
        }
        assert_eq!(get(&copy.join("other-name"), "user.large"), Some(vec![0xff; 3000]));
        let mode = |path: &Path| path.metadata().unwrap().mode();
        assert_eq!(mode(&copy.join("large")), mode(&src.join("large")));
    }
    cluster.launch(RANKS, cast(&["--xattrs", "--check"])).run().complete();

    // One is lost, one is there that the source has not, and one is another.
    let copy = cluster.destination(2).join("src");
    rustix::fs::lremovexattr(copy.join("below"), "user.below").unwrap();
    set(&copy.join("small"), "user.more", b"x");
    set(&copy.join("large"), "user.large", b"y");
    let finished = cluster.launch(RANKS, cast(&["--xattrs", "--check"])).run();
    let report = finished.ended_as("failed");
    assert_eq!(report.missing, ["src/below", "src/large", "src/other-name", "src/small"]);
    assert!(finished.to_string().contains("src/small: xattrs"), "{finished}");
    let report = cluster.launch(RANKS, cast(&["--xattrs"])).run().complete();
    assert_eq!(report.bytes_received(), 0, "the content is there");
    cluster.launch(RANKS, cast(&["--xattrs", "--check"])).run().complete();
    assert_eq!(get(&copy.join("small"), "user.more"), None);
}

#[test]
fn a_file_with_more_attributes_than_can_be_told_is_refused_by_name() {
    let cluster = source();
    let full = cluster.path("src/small");
    for number in 0..6 {
        let set =
            rustix::fs::lsetxattr(&full, format!("user.{number}"), &[7; 3500], XattrFlags::empty());
        if set.is_err() {
            return skip("this file system has no room for 21 kB of extended attributes");
        }
    }
    cluster.launch(2, cast(&["--xattrs"])).run().refused(&["src/small", "leave --xattrs out"]);
}

#[test]
fn a_destination_that_keeps_no_attributes_is_refused_with_the_reason() {
    let cluster = source();
    let into = cluster.directory("rank1/into");
    let mut mount = Command::new("mount");
    let mounted = mount.args(["-t", "ramfs", "none"]).arg(&into).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return skip("mounting a ramfs takes root");
    }
    let finished = cluster.launch(2, cast(&["--xattrs"])).run();
    let unmounted = Command::new("umount").arg(&into).status().unwrap();
    assert!(unmounted.success());
    finished.ended_as("degraded");
    finished.incomplete(&[1], &["keeps no extended attributes", "leave --xattrs out"]);
}
