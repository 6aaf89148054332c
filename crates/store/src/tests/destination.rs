//! Opening, telling apart, locking and clearing away destinations.

use super::*;
use std::os::unix::fs::symlink;
use swarm::Lock;

fn open(into: &Path) -> Destination {
    Destination::open(into, "job 7 on node3").unwrap()
}

#[test]
fn the_second_to_open_is_told_who_has_the_lock() {
    let home = tempfile::tempdir().unwrap();
    let first = open(home.path());
    let Lock::Held { nonce } = first.facts().lock else { panic!("the first takes the lock") };
    let second = Destination::open(home.path(), "another\njob").unwrap();
    let owner = "job 7 on node3".to_owned();
    assert_eq!(second.facts().lock, Lock::Taken { nonce, owner });
    assert_eq!(first.facts().id, second.facts().id);
    drop(first);
    let third = Destination::open(home.path(), "another\njob").unwrap();
    assert!(matches!(third.facts().lock, Lock::Held { nonce: other } if other != nonce));
    let fourth = open(home.path());
    let owner = fourth.facts().lock;
    assert!(matches!(owner, Lock::Taken { owner, .. } if owner == "another job"));
}

#[test]
fn many_who_open_at_the_same_instant_agree_on_the_identity_and_one_has_the_lock() {
    for _ in 0..10 {
        let home = tempfile::tempdir().unwrap();
        let into = home.path().join("a/b/into");
        let barrier = std::sync::Barrier::new(8);
        let opened: Vec<Destination> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        open(&into)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let facts: Vec<swarm::Destination> = opened.iter().map(Destination::facts).collect();
        assert!(facts.iter().all(|fact| fact.id == facts[0].id));
        let held: Vec<u128> = facts
            .iter()
            .filter_map(|fact| match fact.lock {
                Lock::Held { nonce } => Some(nonce),
                Lock::Taken { .. } | Lock::Unclaimed | Lock::Sealed => None,
            })
            .collect();
        assert_eq!(held.len(), 1);
        for fact in &facts {
            if let Lock::Taken { nonce, .. } = fact.lock {
                assert_eq!(nonce, held[0]);
            }
        }
        std::thread::scope(|scope| {
            for destination in &opened {
                scope.spawn(|| destination.abandon());
            }
        });
        assert!(!home.path().join("a").exists(), "whoever made it and whoever held the lock");
    }
}

#[test]
fn the_facts_name_the_file_system_and_its_free_space() {
    let home = tempfile::tempdir().unwrap();
    let facts = open(home.path()).facts();
    assert_eq!(facts.file_system, home.path().metadata().unwrap().dev());
    assert!(facts.free_bytes > 0);
}

#[test]
fn a_refused_job_leaves_no_trace() {
    let home = tempfile::tempdir().unwrap();
    open(&home.path().join("a/b/c")).abandon();
    assert!(!home.path().join("a").exists());

    let into = home.path().join("into");
    fs::create_dir(&into).unwrap();
    open(&into).abandon();
    assert_eq!(fs::read_dir(&into).unwrap().count(), 0, "what was there stays");

    let destination = open(&home.path().join("used/deep"));
    fs::write(home.path().join("used/deep/file"), "x").unwrap();
    destination.abandon();
    assert!(home.path().join("used/deep/file").exists());
    assert!(!home.path().join("used/deep/.shoal").exists());
}

#[test]
fn a_refused_job_keeps_partials_and_other_jobs_locks() {
    let job = Job::of_file(&bytes(2 * PIECE, 1));
    let store = job.receiver();
    store.write(PieceId(0), &job.piece(PieceId(0))).unwrap();
    open(&job.target()).abandon();
    assert!(job.part_path("file", Part::Data).exists());
    assert!(matches!(open(&job.target()).facts().lock, Lock::Taken { .. }));
    drop(store);
    open(&job.target()).abandon();
    assert!(job.part_path("file", Part::Data).exists());
    assert!(matches!(open(&job.target()).facts().lock, Lock::Held { .. }));
}

#[test]
fn only_the_locks_holder_clears_away() {
    let job = Job::of_file(b"content");
    let holder = open(&job.target());
    let wanted = || Bitfield::full(1);
    let other = job.receiver();
    job.run(&other);
    assert!(job.target().join(".shoal/id").exists());
    let store = Store::new(job.catalogue.clone(), wanted(), vec![], vec![], vec![], Some(holder));
    store.close();
    job.assert_same();
}

#[test]
fn the_end_keeps_what_can_be_resumed_and_removes_what_cannot() {
    let job = Job::new(|from| {
        for file in ["a", "b", "c"] {
            fs::write(from.join(file), bytes(2 * PIECE, 1)).unwrap();
        }
    });
    let store = job.receiver();
    for file in ["a", "b", "c"] {
        let entry = number(&job.catalogue, file);
        let piece = PieceId(job.catalogue.pieces_of(entry).start);
        job.record_all(&store, entry);
        store.write(piece, &job.piece(piece)).unwrap();
    }
    fs::write(job.part_path("b", Part::Sidecar), "damaged").unwrap();
    fs::remove_file(job.part_path("c", Part::Data)).unwrap();
    fs::write(job.target().join(".shoal/meta-0.tmp"), "half").unwrap();
    store.close();
    let kept = |part| PartName::of(&name("a")).file(part);
    assert_eq!(job.store_files(), {
        let mut names = vec![kept(Part::Data), kept(Part::Sidecar), "id".into(), "lock".into()];
        names.sort();
        names
    });
    fs::write(job.target().join(".shoal/foreign"), "keep").unwrap();
    let store = job.receiver();
    job.run(&store);
    assert_eq!(job.store_files(), ["foreign", "id", "lock"]);
}

#[test]
fn what_cannot_be_a_destination_is_named() {
    let home = tempfile::tempdir().unwrap();
    let refusal =
        |path: &str| Destination::open(&home.path().join(path), "x").unwrap_err().to_string();
    fs::write(home.path().join("file"), "x").unwrap();
    symlink("nowhere/else", home.path().join("dangling")).unwrap();
    assert!(refusal("file").contains("file' is not a directory; choose"));
    let below = refusal("file/a/b");
    assert!(below.contains("file/a/b' because '"), "{below}");
    assert!(below.contains("file' is not a directory"), "{below}");
    assert!(refusal("dangling").contains("dangling' is not a directory"));
    assert!(refusal("dangling/a").contains("dangling' is not a directory"));
    fs::create_dir(home.path().join("linked")).unwrap();
    symlink("/tmp", home.path().join("linked/.shoal")).unwrap();
    assert!(refusal("linked").contains(".shoal' is not a directory"));
    let error = DestinationError::NoSpace { into: "/x".into() };
    assert!(error.to_string().starts_with("no space is left for '/x'"));
    if !is_root() {
        fs::create_dir(home.path().join("closed")).unwrap();
        set_mode(&home.path().join("closed"), 0o555);
        assert!(refusal("closed").contains("no permission to write into"));
        assert!(refusal("closed/below").contains("no permission to write into"));
    }
    if let Err(error) = Destination::open(Path::new("/proc/shoal"), "x") {
        assert!(error.to_string().contains("'/proc/shoal'"), "{error}");
    }
}

#[test]
fn a_failed_opening_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let long = format!("a/b/{}", "x".repeat(300));
    assert!(Destination::open(&home.path().join(long), "x").is_err());
    assert!(!home.path().join("a").exists());
}
