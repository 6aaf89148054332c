//! What the catalogue lacks: found and removed, and whatever is none of its business left alone.

use super::*;
use std::os::unix::fs::symlink;

/// A finished copy of a small tree, with its store still open.
fn finished() -> (Job, Store) {
    let job = Job::new(|from| {
        fs::create_dir_all(from.join("dir/deep")).unwrap();
        fs::write(from.join("dir/deep/file"), "x").unwrap();
        fs::write(from.join("top"), "y").unwrap();
        for path in ["dir/deep", "dir"] {
            set_time(&from.join(path), 2_000_000, 7);
        }
    });
    let store = job.receiver();
    for entry in job.files().collect::<Vec<_>>() {
        job.fetch(&store, entry);
    }
    store.seal().unwrap();
    (job, store)
}

/// Puts something extra in many places; gives the names in the order in which they are met.
fn litter(into: &Path) -> Vec<&'static str> {
    fs::create_dir_all(into.join("dir/old/deeper")).unwrap();
    fs::write(into.join("dir/old/deeper/a"), "a").unwrap();
    fs::write(into.join("dir/deep/b"), "b").unwrap();
    symlink("nowhere", into.join("dangling")).unwrap();
    vec!["dangling", "dir/deep/b", "dir/old/deeper/a", "dir/old/deeper", "dir/old"]
}

#[test]
fn what_the_catalogue_lacks_is_listed_then_removed_and_directories_keep_their_times() {
    let (job, store) = finished();
    let names = litter(&job.target());
    let bounds = Bounds::default();
    let listed = job.comparison().list_extra(&bounds);
    assert_eq!(listed.extra.count, 5);
    assert_eq!(listed.extra.names, names);
    assert!(job.target().join("dir/old/deeper/a").exists(), "a list changes nothing");
    let removed = store.remove_extra(&bounds);
    assert_eq!((removed.extra, removed.failures.len()), (listed.extra, 0));
    store.close();
    job.assert_same();
}

#[test]
fn nothing_is_removed_through_a_link_or_where_the_lock_is_anothers() {
    let (job, store) = finished();
    let outside = job.home.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "x").unwrap();
    symlink(&outside, job.target().join("dir/way-out")).unwrap();
    symlink("/", job.target().join("root")).unwrap();
    // A directory of the catalogue that became a link.
    fs::rename(job.target().join("dir/deep"), outside.join("deep")).unwrap();
    symlink(&outside, job.target().join("dir/deep")).unwrap();
    let other = Destination::open(&job.target(), "another rank").unwrap();
    let wanted = Bitfield::full(job.catalogue.entry_count());
    let other = Store::new(job.catalogue.clone(), wanted, vec![], vec![], vec![], Some(other));
    assert_eq!(other.remove_extra(&Bounds::default()).extra.count, 0);
    assert!(job.target().join("root").is_symlink());
    let removed = store.remove_extra(&Bounds::default());
    assert_eq!(removed.extra.names, ["dir/way-out", "root"]);
    assert!(outside.join("precious").exists() && outside.join("deep/file").exists());
    assert!(job.target().join("dir/deep").is_symlink(), "an entry's name stays");
    assert!(job.target().join(".shoal").exists());
}

#[test]
fn what_is_shared_and_the_stores_own_files_are_left_alone_wherever_they_lie() {
    let (job, store) = finished();
    litter(&job.target());
    fs::create_dir_all(job.target().join("other/.shoal")).unwrap();
    fs::write(job.target().join("other/.shoal/part"), "x").unwrap();
    let spared = vec![job.target().join("dir/old/deeper"), job.target().join("dir/deep/b")];
    let removed = store.remove_extra(&Bounds { spared, only_below_entries: false });
    assert_eq!(removed.extra.names, ["dangling"]);
    assert!(job.target().join("dir/old/deeper/a").exists());
    assert!(job.target().join("other/.shoal/part").exists());
    let spared = vec![job.target()];
    let none = job.comparison().list_extra(&Bounds { spared, only_below_entries: false });
    assert_eq!(none.extra.count, 0, "a destination that is shared itself");
}

#[test]
fn a_cast_looks_only_below_the_directories_that_it_makes() {
    let (job, store) = finished();
    litter(&job.target());
    let bounds = Bounds { only_below_entries: true, spared: vec![] };
    let removed = store.remove_extra(&bounds);
    assert_eq!(removed.extra.count, 4);
    assert!(job.target().join("dangling").is_symlink());
    assert!(!job.target().join("dir/old").exists());
}

#[test]
fn extra_files_go_out_of_directories_that_are_sealed() {
    let job = Job::new(|from| {
        fs::create_dir(from.join("sealed")).unwrap();
        set_mode(&from.join("sealed"), 0o555);
    });
    let store = job.receiver();
    store.seal().unwrap();
    set_mode(&job.target().join("sealed"), 0o755);
    fs::write(job.target().join("sealed/old"), "x").unwrap();
    set_mode(&job.target().join("sealed"), 0o555);
    assert_eq!(store.remove_extra(&Bounds::default()).extra.count, 1);
    store.close();
    job.assert_same();
    for top in [job.source(), job.target()] {
        set_mode(&top.join("sealed"), 0o755);
    }
}
