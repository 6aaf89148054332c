//! What was a directory is a link now, what was a file is a directory: the destination follows.

use e2e::{Cluster, Finished, KIB};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const CAST: [&str; 3] = ["cast", "tree", "rank{rank}/into"];

fn launch(cluster: &Cluster, more: &[&str]) -> Finished {
    cluster.launch(3, CAST.iter().chain(more)).run()
}

/// Everything below a directory, each with what it is and, of a file or link, what is in it.
fn shown(below: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![below.to_owned()];
    while let Some(path) = open.pop() {
        let name = path.strip_prefix(below).unwrap().display().to_string();
        let kind = path.symlink_metadata().unwrap().file_type();
        all.push(if kind.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|item| item.unwrap().path()));
            format!("{name}/")
        } else if kind.is_symlink() {
            format!("{name} -> {}", fs::read_link(&path).unwrap().display())
        } else {
            format!("{name}: {} bytes", fs::read(&path).unwrap().len())
        });
    }
    all.sort();
    all
}

fn assert_everywhere(cluster: &Cluster, finished: &Finished) {
    let expected = shown(&cluster.path("tree"));
    for rank in 0..3 {
        let into = cluster.destination(rank).join("tree");
        assert_eq!(shown(&into), expected, "rank {rank}\n{finished}");
    }
}

/// The run does what the dry run said, and a comparison after it finds nothing.
fn follows(cluster: &Cluster, more: &[&str]) {
    let told = launch(cluster, &[more, &["--dry-run"]].concat()).complete();
    launch(cluster, &[more, &["--check"]].concat()).ended_as("failed");
    let finished = launch(cluster, more);
    let report = finished.complete();
    assert_eq!(told.bytes_delivered, report.bytes_delivered, "{finished}");
    assert_everywhere(cluster, &finished);
    launch(cluster, &[more, &["--check"]].concat()).complete();
}

fn remake(path: &PathBuf) -> &PathBuf {
    let _ = fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
    path
}

#[test]
fn what_has_no_content_gives_way_to_what_the_source_has_now() {
    let cluster = Cluster::new();
    let at = |name: &str| cluster.path("tree").join(name);
    cluster.file("tree/lib/one", 1, 300 * KIB);
    symlink("lib", at("lib64")).unwrap();
    symlink("lib", at("was-link")).unwrap();
    cluster.file("tree/was-file", 2, KIB);
    cluster.directory("tree/was-empty");
    cluster.directory("tree/was-empty-too");
    launch(&cluster, &[]).complete();
    // A link becomes a directory, with content; a file becomes one; empty ones become others.
    remake(&at("lib64"));
    cluster.file("tree/lib64/two", 3, 300 * KIB);
    remake(&at("was-link"));
    cluster.file("tree/was-link", 4, KIB);
    remake(&at("was-file"));
    cluster.file("tree/was-file/deep/file", 5, 10 * KIB);
    symlink("lib", remake(&at("was-empty"))).unwrap();
    remake(&at("was-empty-too"));
    cluster.file("tree/was-empty-too", 6, 0);
    follows(&cluster, &[]);
}

#[test]
fn a_directory_with_content_is_replaced_with_delete_and_named_without() {
    let cluster = Cluster::new();
    let at = |name: &str| cluster.path("tree").join(name);
    cluster.file("tree/lib/one", 1, 300 * KIB);
    cluster.file("tree/lib64/deep/two", 2, 300 * KIB);
    cluster.file("tree/plain/three", 3, KIB);
    cluster.file("tree/beside", 4, KIB);
    launch(&cluster, &[]).complete();
    let before = shown(&cluster.destination(1).join("tree/lib64"));
    symlink("lib", remake(&at("lib64"))).unwrap();
    remake(&at("plain"));
    cluster.file("tree/plain", 5, 20 * KIB);
    remake(&at("beside"));
    cluster.file("tree/beside", 6, 20 * KIB);
    for more in [&[][..], &["--dry-run"]] {
        let finished = launch(&cluster, more);
        finished.ended_as("degraded");
        let obstacle = "plain' is a directory with content where a file must go";
        finished.incomplete(&[0, 1, 2], &[obstacle, "give --delete"]);
    }
    assert_eq!(shown(&cluster.destination(1).join("tree/lib64")), before);
    let arrived = cluster.destination(1).join("tree/beside").metadata().unwrap();
    assert_eq!(arrived.len(), 20 * KIB, "the others are not kept from it");
    let told = launch(&cluster, &["--delete", "--dry-run"]);
    told.complete();
    follows(&cluster, &["--delete"]);
}

#[test]
fn a_tree_that_became_a_file_replaces_the_directory_of_its_name_with_delete() {
    let cluster = Cluster::new();
    cluster.file("tree/deep/one", 1, KIB);
    launch(&cluster, &[]).complete();
    remake(&cluster.path("tree"));
    cluster.file("tree", 2, 40 * KIB);
    // Nobody can receive anything.
    launch(&cluster, &[]).refused(&["tree' is a directory with content where a file must go"]);
    follows(&cluster, &["--delete"]);
    remake(&cluster.path("tree"));
    cluster.file("tree/deep/one", 3, KIB);
    follows(&cluster, &[]);
}
