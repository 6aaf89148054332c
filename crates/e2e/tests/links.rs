//! Symbolic links in what is shared: as links, or what they lead to (`--follow-links`).

use e2e::{Cluster, KIB, Tmpfs, assert_same_file, names_below, skip};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A hub as model libraries keep it: `snapshots/REV` full of links into `blobs`.
fn hub(cluster: &Cluster) -> Vec<(&'static str, std::path::PathBuf)> {
    let blob = |name: &str, seed, len| cluster.file(format!("hub/blobs/{name}"), seed, len);
    let weights = blob("aa", 1, 700 * KIB);
    let config = blob("bb", 2, KIB);
    let empty = blob("cc", 3, 0);
    cluster.directory("hub/snapshots/REV/tokenizer");
    for (name, target) in [
        ("model.bin", "../../blobs/aa"),
        ("config.json", "../../blobs/bb"),
        ("again.bin", "../../blobs/aa"),
        ("tokenizer/empty", "../../../blobs/cc"),
    ] {
        symlink(target, cluster.path(format!("hub/snapshots/REV/{name}"))).unwrap();
    }
    vec![
        ("model.bin", weights.clone()),
        ("config.json", config),
        ("again.bin", weights),
        ("tokenizer/empty", empty),
    ]
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().unwrap().is_symlink()
}

#[test]
fn a_snapshot_of_links_arrives_as_content_where_links_are_followed() {
    let cluster = Cluster::new();
    let files = hub(&cluster);
    let cast = ["cast", "hub/snapshots/REV", "rank{rank}/into", "--follow-links"];
    let seen = ["cast", "hub/snapshots/REV", "seen{rank}", "--follow-links", "--shared-fs"];
    let check: Vec<&str> = cast.into_iter().chain(["--check"]).collect();
    assert_eq!(cluster.launch(3, &check).run().ended_as("failed").peer(1).files_wanted, 4);
    for (args, place) in [(&cast[..], "rank1/into"), (&seen[..], "seen1")] {
        let finished = cluster.launch(3, args).run();
        assert_eq!(finished.complete().peer(1).files_complete, 4);
        assert!(!finished.stderr.contains("note:"), "{finished}");
        for (name, file) in &files {
            let copy = cluster.path(format!("{place}/REV/{name}"));
            assert!(!is_link(&copy), "{name}");
            assert_same_file(file, &copy);
        }
    }
    cluster.launch(3, &check).run().complete();
    // By a plan, whatever the entry: the option is the job's.
    let plan = "[[peer]]\nranks = '1'\nshare = ['hub/snapshots/REV']\nwant = []\n\
                [[peer]]\nranks = '2'\nshare = []\ninto = 'planned'\n";
    cluster.text("plan.toml", plan);
    cluster.launch(3, ["run", "--plan", "plan.toml", "--follow-links"]).run().complete();
    assert_same_file(&files[0].1, &cluster.path("planned/model.bin"));
}

#[test]
fn links_that_lead_out_of_what_is_shared_are_counted_and_the_first_is_named() {
    let cluster = Cluster::new();
    hub(&cluster);
    let finished = cluster.launch(2, ["cast", "hub/snapshots/REV", "rank{rank}/into"]).run();
    finished.complete();
    let told =
        "4 links lead out of what is shared, and arrive as links; --follow-links shares what";
    assert_eq!(finished.stderr.matches(told).count(), 1, "{finished}");
    assert!(finished.stderr.contains("REV/again.bin' -> '../../blobs/aa'"), "{finished}");
    assert!(is_link(&cluster.path("rank1/into/REV/model.bin")));
    // The whole hub has them inside; an interpreter lies outside.
    let finished = cluster.launch(2, ["cast", "hub", "rank{rank}/hub"]).run();
    finished.complete();
    assert!(!finished.stderr.contains("out of what is shared"), "{finished}");
    symlink("/usr/bin/env", cluster.path("hub/python")).unwrap();
    let finished = cluster.launch(2, ["cast", "hub", "rank{rank}/hub"]).run();
    finished.complete();
    assert!(finished.stderr.contains("1 link leads out of what is shared"), "{finished}");
    // Two sources that lead to each other arrive together.
    let both = ["cast", "hub/snapshots", "hub/blobs", "rank{rank}/both"];
    let finished = cluster.launch(2, both).run();
    finished.complete();
    assert!(!finished.stderr.contains("out of what is shared"), "{finished}");
}

#[test]
fn loops_and_links_that_lead_nowhere_or_to_another_file_system_are_named() {
    let cluster = Cluster::new();
    let file = cluster.file("tree/sub/a", 1, KIB);
    let far = cluster.directory("far");
    let mounted = Tmpfs::mount(&far, 1 << 20);
    cluster.file("far/b", 2, KIB);
    for (name, target) in [
        ("tree/sub/up", ".."),
        ("tree/self", "self"),
        ("tree/nothing", "absent"),
        ("tree/twice", "sub"),
        ("tree/far", "../far"),
        ("tree/null", "/dev/null"),
    ] {
        symlink(target, cluster.path(name)).unwrap();
    }
    let cast = ["cast", "tree", "rank{rank}/into", "--follow-links"];
    let finished = cluster.launch(2, cast).run();
    finished.complete();
    // `twice/up` leads back to the same place.
    finished.says(&[
        "3 links lead back to themselves or to directories that they lie in",
        "1 link leads nowhere, and is shared as a link",
        "1 special file is not shared",
    ]);
    let tree = cluster.path("rank1/into/tree");
    assert_same_file(&file, &tree.join("twice/a"));
    assert!(!is_link(&tree.join("twice")) && is_link(&tree.join("sub/up")));
    assert!(is_link(&tree.join("nothing")) && !tree.join("null").exists());
    if mounted.is_none() {
        return skip("a tmpfs can only be mounted by root");
    }
    assert!(finished.stderr.contains("to another file system; what it leads to"), "{finished}");
    assert_same_file(&cluster.path("far/b"), &tree.join("far/b"));
}

#[test]
fn what_links_lead_to_is_not_swept() {
    let cluster = Cluster::new();
    hub(&cluster);
    let args = ["cast", "hub/snapshots/REV", "rank{rank}/into", "--follow-links", "--delete"];
    let finished = cluster.launch(2, args).run();
    finished.wrong_usage(&["--follow-links and --delete do not go together"]);
    // A destination that a link leads to is passed over like any other.
    fs::create_dir_all(cluster.path("tree")).unwrap();
    cluster.text("tree/a", "a");
    cluster.text("store/old", "x");
    symlink("../store", cluster.path("tree/store")).unwrap();
    let finished = cluster.launch(2, ["cast", "tree", "store", "--follow-links"]).run();
    finished.refused(&["as 'tree/store'", "'tree/store/old'"]);
    assert_eq!(names_below(&cluster.path("store")).len(), 1);
}
