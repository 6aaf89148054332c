//! A look at a destination: what is told of it, and that nothing in it changes.

use super::*;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use swarm::{Differences, Lock, Purpose};

fn look(job: &Job) -> Comparison {
    job.comparison().hashing_with(2)
}

fn found(job: &Job) -> BTreeMap<String, String> {
    let store = look(job);
    let named = job
        .catalogue
        .iter()
        .map(|(index, entry)| (entry.name.to_string(), store.inspect(index).differences.words()));
    named.filter(|(_, words)| !words.is_empty()).collect()
}

/// Everything below a directory with all that a look could change.
fn state(below: &Path) -> Vec<(PathBuf, u64, i64, i64, i64, u32)> {
    let mut all = Vec::new();
    let mut open = vec![below.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(stat) = path.symlink_metadata() else { continue };
        if stat.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|item| item.unwrap().path()));
        }
        let (seconds, changed) = (stat.mtime(), stat.ctime());
        all.push((path, stat.ino(), seconds, stat.mtime_nsec(), changed, stat.mode()));
    }
    all.sort();
    all
}

fn tree() -> Job {
    Job::new(|from| {
        fs::create_dir_all(from.join("dir/empty")).unwrap();
        for (file, len) in [("dir/long", 3 * PIECE + 5), ("short", 100), ("none", 0)] {
            fs::write(from.join(file), bytes(len, 1)).unwrap();
            set_time(&from.join(file), 1_000_000, 5);
        }
        symlink("short", from.join("link")).unwrap();
        for path in ["link", "dir/empty", "dir"] {
            set_time(&from.join(path), 2_000_000, 7);
        }
    })
}

#[test]
fn a_copy_that_is_equal_in_all_differs_in_nothing() {
    let job = tree();
    job.run(&job.receiver());
    assert_eq!(found(&job), BTreeMap::new());
    let store = look(&job);
    let bytes = job.catalogue.iter().map(|(index, _)| store.inspect(index).bytes_in_place);
    assert_eq!(bytes.sum::<u64>(), 3 * PIECE as u64 + 105);
}

#[test]
fn each_difference_has_its_word_and_nothing_at_the_destination_changes() {
    let job = tree();
    job.run(&job.receiver());
    let at = |path: &str| job.target().join(path);
    let mut damaged = fs::read(at("dir/long")).unwrap();
    damaged[2 * PIECE] ^= 1;
    fs::write(at("dir/long"), damaged).unwrap();
    set_time(&at("dir/long"), 1_000_000, 5);
    set_time(&at("short"), 1_000_000, 6);
    set_mode(&at("short"), 0o711);
    fs::remove_file(at("link")).unwrap();
    symlink("elsewhere", at("link")).unwrap();
    fs::remove_dir(at("dir/empty")).unwrap();
    fs::remove_file(at("none")).unwrap();
    fs::create_dir(at("none")).unwrap();
    set_time(&at("dir"), 2_000_000, 7);
    let before = state(&job.target());
    let expected = [
        ("dir/empty", "missing"),
        ("dir/long", "content"),
        ("link", "link, time"),
        ("none", "kind"),
        ("short", "mode, time"),
    ];
    assert_eq!(found(&job), expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
    assert_eq!(state(&job.target()), before);
}

#[test]
fn nothing_is_seen_through_a_link_and_what_is_absent_is_missing() {
    let job = tree();
    let missing = |job: &Job| found(job).values().filter(|words| *words == "missing").count();
    assert_eq!(missing(&job), 6);
    assert!(!job.target().exists(), "a destination is not made");
    // All is there, but behind a link.
    job.run(&job.receiver());
    fs::rename(job.target().join("dir"), job.home.path().join("moved")).unwrap();
    symlink("../moved", job.target().join("dir")).unwrap();
    let found = found(&job);
    assert_eq!(found["dir"], "kind");
    assert_eq!((&*found["dir/long"], &*found["dir/empty"]), ("missing", "missing"));
}

#[test]
fn a_look_leaves_parts_of_an_earlier_run_and_needs_no_lock() {
    let job = Job::of_file(&bytes(3 * PIECE, 1));
    let store = job.receiver();
    job.record_all(&store, EntryIndex(0));
    store.write(PieceId(1), &job.piece(PieceId(1))).unwrap();
    let before = (job.store_files(), state(&job.target()));
    let facts = Look::open(&job.target(), "here", Purpose::Check).unwrap().facts();
    assert_eq!(facts.lock, Lock::Unclaimed);
    let known = Destination::open(&job.target(), "another job").unwrap().facts();
    assert_eq!(facts.id, known.id, "ranks that look at one directory know it");
    let found = look(&job).inspect(EntryIndex(0));
    assert_eq!((found.differences, found.bytes_in_place), (Differences::MISSING, 0));
    assert!(found.obstacle.is_none());
    assert_eq!((job.store_files(), state(&job.target())), before);
}

#[test]
fn ranks_of_one_host_know_that_they_look_at_one_directory() {
    let home = tempfile::tempdir().unwrap();
    let id = |path: &str, host| {
        Look::open(&home.path().join(path), host, Purpose::Check).unwrap().facts().id
    };
    fs::create_dir(home.path().join("a")).unwrap();
    symlink("a", home.path().join("b")).unwrap();
    assert_eq!(id("a", "here"), id("b", "here"));
    assert_ne!(id("a", "here"), id("a", "there"));
    assert_ne!(id("absent", "here"), id("a", "here"));
    fs::write(home.path().join("file"), "x").unwrap();
    assert!(Look::open(&home.path().join("file"), "here", Purpose::Check).is_err());
}

#[test]
fn a_dry_run_sees_parts_of_an_earlier_run_its_lock_and_what_stands_in_the_way() {
    let job = tree();
    let store = job.receiver();
    let long = number(&job.catalogue, "dir/long");
    let piece = PieceId(job.catalogue.pieces_of(long).start + 1);
    job.record_all(&store, long);
    store.write(piece, &job.piece(piece)).unwrap();
    fs::create_dir_all(job.target().join("short/full")).unwrap();
    fs::write(job.target().join("link"), "a file").unwrap();
    let before = state(&job.target());
    let look = Look::open(&job.target(), "here", Purpose::DryRun).unwrap();
    let facts = look.facts();
    assert_eq!(facts.lock, Lock::Taken { nonce: 0, owner: "the test".to_owned() });
    assert!(facts.free_bytes < u64::MAX);
    let all = Bitfield::full(job.catalogue.entry_count());
    let partials = look.partials(&|_| true, 2);
    assert_eq!(partials.len(), 1);
    let dry = Comparison::new(job.catalogue.clone(), &all, &[], &partials, look);
    assert_eq!(dry.inspect(long).bytes_in_place, PIECE as u64);
    let blocked = dry.inspect(number(&job.catalogue, "short")).obstacle.unwrap().to_string();
    assert!(blocked.contains("is a directory with content where a file must go"), "{blocked}");
    assert!(dry.inspect(number(&job.catalogue, "link")).obstacle.is_none());
    assert_eq!(state(&job.target()), before);
    drop(store);
    let facts = Look::open(&job.target(), "here", Purpose::DryRun).unwrap().facts();
    assert_eq!(facts.lock, Lock::Unclaimed);
}
