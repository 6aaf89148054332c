//! `shoal cast`: one source, a copy under the destination of every rank.

use e2e::{Cluster, KIB, MIB, Node, assert_same_file, assert_same_tree, names_below, no_leftovers};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A tree with files, an empty file, an empty directory, and odd modes and times; its bytes.
fn make_tree(cluster: &Cluster, root: &str) -> u64 {
    let sizes = [("a.bin", 3 * MIB + 1), ("sub/b.bin", 500 * KIB), ("sub/deep/empty", 0)];
    for (index, (name, size)) in sizes.into_iter().enumerate() {
        cluster.file(format!("{root}/{name}"), index as u64 + 1, size);
    }
    cluster.directory(format!("{root}/nothing in it"));
    for (index, directory) in ["nothing in it", "sub/deep", "sub", ""].into_iter().enumerate() {
        cluster.age(format!("{root}/{directory}"), [0o750, 0o711][index % 2], 40 + index as u64);
    }
    sizes.iter().map(|(_, size)| size).sum()
}

/// The copy has the same names, kinds, bytes, modes and times, of directories too.
fn assert_equal_trees(source: &Path, copy: &Path) {
    let names = names_below(source);
    assert_eq!(names, names_below(copy), "{}", copy.display());
    for (name, node) in std::iter::once((PathBuf::new(), Node::Directory)).chain(names) {
        let (from, to) = (source.join(&name), copy.join(&name));
        match node {
            Node::File => assert_same_file(&from, &to),
            Node::Directory => {
                let (left, right) = (from.metadata().unwrap(), to.metadata().unwrap());
                assert_eq!(left.mode(), right.mode(), "the mode of {}", to.display());
                let times = [&left, &right].map(|m| (m.mtime(), m.mtime_nsec()));
                assert_eq!(times[0], times[1], "the time of {}", to.display());
            }
            Node::Other => panic!("{} is neither", from.display()),
        }
    }
}

#[test]
fn a_file_on_one_rank_is_cast_to_all_four() {
    let cluster = Cluster::new();
    let source = cluster.file("rank2/data/model.bin", 1, 20 * MIB + 3);
    let args = ["cast", "rank{rank}/data/model.bin", "rank{rank}/dest"];
    let report = cluster.launch(4, args).run().complete();
    for rank in 0..4 {
        let dest = cluster.path(format!("rank{rank}/dest"));
        assert_same_tree(&dest, [("model.bin", &source)]);
        assert_eq!(report.peer(rank).state, "complete");
    }
    assert_eq!(report.peers.len(), 4, "the tracker is a peer too");
    assert_eq!(report.bytes_delivered, 4 * (20 * MIB + 3));
    assert_eq!(report.peer(2).bytes_received, 0, "it makes its copy locally");
}

#[test]
fn a_tree_is_cast_with_modes_times_and_empty_directories() {
    let cluster = Cluster::new();
    let size = make_tree(&cluster, "rank0/tree");
    let args = ["cast", "rank{rank}/tree", "rank{rank}/dest"];
    let report = cluster.launch(4, args).run().complete();
    for rank in 0..4 {
        let dest = cluster.path(format!("rank{rank}/dest"));
        no_leftovers(&dest);
        assert_equal_trees(&cluster.path("rank0/tree"), &dest.join("tree"));
        assert_eq!(report.peer(rank).files_wanted, 3);
    }
    assert_eq!(report.bytes_delivered, 4 * size);
}

#[test]
fn a_second_cast_finds_everything_in_place() {
    let cluster = Cluster::new();
    let size = make_tree(&cluster, "rank1/tree");
    let args = ["cast", "rank{rank}/tree/", "rank{rank}/dest"];
    cluster.launch(3, args).run().complete();
    let report = cluster.launch(3, args).run().complete();
    assert_eq!(report.bytes_delivered, 0);
    assert_eq!(report.bytes_reused(), 3 * size);
    assert_equal_trees(&cluster.path("rank1/tree"), &cluster.path("rank2/dest/tree"));
}

#[test]
fn a_source_that_every_rank_sees_is_copied_by_each() {
    let cluster = Cluster::new();
    let size = make_tree(&cluster, "tree");
    let report = cluster.launch(4, ["cast", "tree", "rank{rank}/dest"]).run().complete();
    for rank in 0..4 {
        let copy = cluster.path(format!("rank{rank}/dest/tree"));
        assert_equal_trees(&cluster.path("tree"), &copy);
    }
    assert_eq!(report.bytes_delivered, 4 * size);
}

#[test]
fn one_rank_alone_copies() {
    let cluster = Cluster::new();
    let size = make_tree(&cluster, "tree");
    let file = cluster.file("single.bin", 9, 12_345);
    let report = cluster.launch(1, ["cast", "tree", "single.bin", "dest"]).run().complete();
    assert_equal_trees(&cluster.path("tree"), &cluster.path("dest/tree"));
    assert_same_file(&file, &cluster.path("dest/single.bin"));
    no_leftovers(&cluster.path("dest"));
    assert_eq!(report.bytes_delivered, size + 12_345);
    assert_eq!(report.peers.len(), 1);
}

#[test]
fn a_cast_to_one_directory_writes_each_file_once() {
    let cluster = Cluster::new();
    let size = make_tree(&cluster, "rank0/tree");
    let report = cluster.launch(4, ["cast", "rank{rank}/tree", "dest"]).run().complete();
    no_leftovers(&cluster.path("dest"));
    assert_equal_trees(&cluster.path("rank0/tree"), &cluster.path("dest/tree"));
    assert_eq!(report.bytes_delivered, size);
}

#[test]
fn a_source_that_no_rank_has_is_refused() {
    let cluster = Cluster::new();
    cluster.launch(3, ["cast", "absent.bin", "rank{rank}/dest"]).run().refused(&["absent.bin"]);
    assert!(names_below(&cluster.path("rank1/dest")).is_empty());
}

#[test]
fn a_refused_destination_is_told_without_options_that_cast_lacks() {
    let cluster = Cluster::new();
    cluster.file("a.bin", 1, 100);
    cluster.text("file", "I am a file");
    let finished = cluster.launch(2, ["cast", "a.bin", "file"]).run();
    finished.refused(&["is not a directory; choose another destination"]);
    assert!(!finished.stderr.contains("--into"), "{finished}");
}

#[test]
fn a_dedicated_tracker_gets_no_copy() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/a.bin", 1, MIB);
    let args = ["cast", "rank{rank}/a.bin", "rank{rank}/dest", "--tracker", "dedicated"];
    let report = cluster.launch(3, args).run().complete();
    assert!(!cluster.path("rank0").exists());
    assert_same_tree(&cluster.path("rank2/dest"), [("a.bin", &source)]);
    assert_eq!(report.peers.len(), 2);
}
