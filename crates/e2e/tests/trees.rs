//! Trees as they are: hard links, equal contents, what changed since the last time.

use e2e::{Cluster, MIB, assert_same_file, no_leftovers, skip};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display())).ino()
}

#[test]
fn hard_links_arrive_as_hard_links_and_their_content_once() {
    let cluster = Cluster::new();
    let size = 5 * MIB + 3;
    let first = cluster.file("rank0/tree/bin/first", 1, size);
    cluster.directory("rank0/tree/lib");
    for name in ["bin/second", "lib/third"] {
        fs::hard_link(&first, cluster.path("rank0/tree").join(name)).unwrap();
    }
    // A further name of a symbolic link is a symbolic link of its own: it has no content.
    let link = cluster.path("rank0/tree/lib/link");
    symlink("../bin/first", &link).unwrap();
    fs::hard_link(&link, cluster.path("rank0/tree/lib/other-link")).unwrap();
    let args = ["cast", "rank{rank}/tree", "rank{rank}/dest"];
    let report = cluster.launch(4, args).run().complete();
    for rank in 0..4 {
        let dest = cluster.path(format!("rank{rank}/dest"));
        let names =
            ["bin/first", "bin/second", "lib/third"].map(|name| dest.join("tree").join(name));
        names.iter().for_each(|name| assert_same_file(&first, name));
        assert!(names.iter().all(|name| inode(name) == inode(&names[0])), "rank {rank}");
        assert_eq!(names[0].metadata().unwrap().nlink(), 3);
        for link in ["link", "other-link"] {
            let target = fs::read_link(dest.join("tree/lib").join(link)).unwrap();
            assert_eq!(target, Path::new("../bin/first"));
        }
        no_leftovers(&dest);
        let row = report.peer(rank);
        assert_eq!((row.files_wanted, row.files_complete), (3, 3));
        assert!(row.bytes_received - row.bytes_wasted <= size, "{row:?}");
    }
    let report = cluster.launch(4, args).run().complete();
    assert_eq!((report.bytes_delivered, report.bytes_reused()), (0, 4 * 3 * size));
}

#[test]
fn a_copy_of_its_own_becomes_a_link_once_the_source_has_one() {
    let cluster = Cluster::new();
    let first = cluster.file("rank1/share/first", 1, 100_000);
    let second = cluster.path("rank1/share/second");
    fs::copy(&first, &second).unwrap();
    cluster.launch(3, RUN).run().complete();
    let [a, b] = ["first", "second"].map(|name| cluster.destination(2).join(name));
    assert_ne!(inode(&a), inode(&b));
    fs::remove_file(&second).unwrap();
    fs::hard_link(&first, &second).unwrap();
    let report = cluster.launch(3, RUN).run().complete();
    assert_eq!(inode(&a), inode(&b));
    assert_eq!(report.bytes_received(), 0);
}

#[test]
fn a_link_that_cannot_be_made_is_a_file_and_the_user_is_told_once_in_the_end() {
    /// No link to an immutable file can be made, not by root either.
    struct Immutable(std::path::PathBuf);
    impl Drop for Immutable {
        fn drop(&mut self) {
            let _ = Command::new("chattr").arg("-i").arg(&self.0).status();
        }
    }
    let cluster = Cluster::new();
    let first = cluster.file("rank1/share/first", 1, 300_000);
    for name in ["link1", "link2", "link3", "link4"] {
        fs::hard_link(&first, cluster.path("rank1/share").join(name)).unwrap();
    }
    let want = [&RUN[..], &["--want", "first"]].concat();
    cluster.launch(3, want).run().complete();
    let immutable = Immutable(cluster.destination(2).join("first"));
    let made = Command::new("chattr").arg("+i").arg(&immutable.0).stderr(Stdio::null()).status();
    if !made.is_ok_and(|status| status.success()) {
        return skip("chattr +i needs root, and a file system that knows it");
    }
    let finished = cluster.launch(3, RUN).run();
    let report = finished.complete();
    assert_eq!(report.bytes_received(), 0, "the content is here");
    drop(immutable);
    let names = ["first", "link1", "link2", "link3", "link4"].map(|name| (name, &first));
    finished.complete_at(&cluster, &[2], &names);
    assert_eq!(cluster.destination(2).join("first").metadata().unwrap().nlink(), 1);
    let said = "hard links are files of their own here";
    assert_eq!(finished.stderr.matches(said).count(), 1, "{finished}");
}

#[test]
fn a_link_whose_file_is_not_wanted_is_a_file() {
    let cluster = Cluster::new();
    let first = cluster.file("rank1/share/first", 1, 300_000);
    fs::hard_link(&first, cluster.path("rank1/share/second")).unwrap();
    let run = ["run", "--share", "rank{rank}/share", "--want", "sec*", "--into", "rank{rank}/into"];
    cluster.launch(3, run).run().complete_at(&cluster, &[2], &[("second", &first)]);
}

#[test]
fn one_name_may_be_a_file_on_one_rank_and_a_link_on_another() {
    let cluster = Cluster::new();
    for rank in [1, 2] {
        cluster.file(format!("rank{rank}/share/a"), 1, 300_000);
    }
    fs::hard_link(cluster.path("rank1/share/a"), cluster.path("rank1/share/b")).unwrap();
    let copy = cluster.file("rank2/share/b", 1, 300_000);
    let finished = cluster.launch(4, RUN).run();
    finished.complete();
    finished.complete_at(&cluster, &[3], &[("a", &copy), ("b", &copy)]);
}

#[test]
fn equal_contents_are_sent_once() {
    let cluster = Cluster::new();
    let (size, copies) = (3 * MIB + 1, 5u64);
    let names: Vec<String> = (0..copies).map(|at| format!("copy{at}")).collect();
    for name in &names {
        cluster.file(format!("rank1/share/{name}"), 1, size);
    }
    let finished = cluster.launch(3, RUN).run();
    let report = finished.complete();
    let source = cluster.path("rank1/share");
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), source.join(name))).collect();
    finished.complete_at(&cluster, &[2], &files);
    assert_eq!((report.bytes_received(), report.bytes_delivered), (size, copies * size));
    let inodes = names.iter().map(|name| inode(&cluster.destination(2).join(name)));
    let inodes: std::collections::BTreeSet<u64> = inodes.collect();
    assert_eq!(inodes.len() as u64, copies, "files of their own");
}

#[test]
fn what_a_rank_shares_under_another_name_is_not_sent_to_it() {
    let cluster = Cluster::new();
    let theirs = cluster.file("rank1/share/theirs", 1, 2 * MIB);
    let own = cluster.file("rank2/share/own", 1, 2 * MIB);
    let finished = cluster.launch(3, RUN).run();
    let report = finished.complete();
    assert_eq!(report.bytes_received(), 0);
    assert_eq!(report.bytes_delivered, 4 * MIB);
    finished.complete_at(&cluster, &[1], &[("own", &own)]);
    finished.complete_at(&cluster, &[2], &[("theirs", &theirs)]);
}

#[test]
fn of_a_file_with_three_changed_places_the_touched_pieces_move() {
    let cluster = Cluster::new();
    let (size, piece) = (96 * MIB, 256 * 1024);
    let source = cluster.file("rank1/share/large.bin", 1, size);
    cluster.launch(3, RUN).run().complete();
    let stranger = cluster.file("rank2/into/stranger", 7, 1000);
    // 200 KB in each place.
    let file = File::options().write(true).open(&source).unwrap();
    for place in [5 * MIB + 11, 40 * MIB, size - 200_000] {
        file.write_all_at(&vec![0xA5; 200_000], place).unwrap();
    }
    let finished = cluster.launch(3, RUN).run();
    let report = finished.complete();
    let touched = 2 + 1 + 1;
    let received = report.peer(2).bytes_received;
    assert!((600_000..=touched * piece).contains(&received), "{received} bytes: {finished}");
    assert_eq!(report.peer(2).bytes_reused, size - received);
    assert_same_file(&source, &cluster.destination(2).join("large.bin"));
    assert!(stranger.exists(), "what is not in the catalogue is left alone");
}
