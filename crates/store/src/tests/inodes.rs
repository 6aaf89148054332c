//! Names that share an inode at the destination: none of them is changed through another.

use super::*;

/// `a`, `b` and `c` of equal content; `a` may be read by its owner alone.
fn equal() -> Job {
    Job::new(|from| {
        for (name, mode) in [("a", 0o600), ("b", 0o644), ("c", 0o755)] {
            fs::write(from.join(name), bytes(2 * PIECE + 7, 1)).unwrap();
            set_mode(&from.join(name), mode);
            set_time(&from.join(name), 1_000_000_000, mode);
        }
    })
}

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().unwrap().ino()
}

/// Puts the content of `a` under all names of the destination, as one file of this mode and time.
fn merged(job: &Job, mode: u32) {
    fs::create_dir(job.target()).unwrap();
    let first = job.target().join("a");
    fs::copy(job.source().join("a"), &first).unwrap();
    set_mode(&first, mode);
    set_time(&first, 1_000_000_000, mode);
    for name in ["b", "c"] {
        fs::hard_link(&first, job.target().join(name)).unwrap();
    }
}

/// A second name of a file of the destination, outside it.
fn outside(job: &Job, of: &str) -> PathBuf {
    let other = job.home.path().join("outside");
    fs::hard_link(job.target().join(of), &other).unwrap();
    other
}

#[test]
fn names_of_one_file_become_files_of_their_own_where_their_modes_differ() {
    let job = equal();
    merged(&job, 0o600);
    let standing = inode(&job.target().join("a"));
    assert_eq!(job.run(&job.receiver()), (0, 6), "two are made anew of what is there");
    job.assert_same();
    assert_eq!(inode(&job.target().join("a")), standing, "nothing differs of it");
    assert_eq!(job.target().join("b").metadata().unwrap().nlink(), 1);
}

#[test]
fn names_of_one_file_stay_one_where_nothing_of_them_differs() {
    let job = equal();
    for name in ["a", "b", "c"] {
        set_mode(&job.source().join(name), 0o600);
        set_time(&job.source().join(name), 1_000_000_000, 0o600);
    }
    let job = Job::again(job.home);
    merged(&job, 0o600);
    assert_eq!(job.run(&job.receiver()), (0, 0));
    job.files().for_each(|file| {
        assert_eq!(job.comparison().inspect(file).differences, swarm::Differences::default());
    });
}

#[test]
fn a_name_outside_the_destination_keeps_its_mode_and_its_time() {
    let job = equal();
    job.run(&job.receiver());
    let copy = outside(&job, "a");
    let before = mode_and_time(&copy);
    set_mode(&job.source().join("a"), 0o666);
    let job = Job::again(job.home);
    assert_eq!(job.run(&job.receiver()), (0, 3));
    job.assert_same();
    assert_eq!(mode_and_time(&copy), before);
    assert_ne!(inode(&copy), inode(&job.target().join("a")));
}

#[test]
fn the_names_of_a_linked_file_are_changed_together_unless_one_leads_outside() {
    let job = Job::new(|from| {
        fs::write(from.join("a"), bytes(PIECE, 1)).unwrap();
        fs::hard_link(from.join("a"), from.join("b")).unwrap();
    });
    job.run(&job.receiver());
    let standing = inode(&job.target().join("a"));
    set_mode(&job.source().join("a"), 0o600);
    let job = Job::again(job.home);
    job.run(&job.receiver());
    assert_eq!(inode(&job.target().join("a")), standing, "all names are the catalogue's");
    job.assert_same();
    // As many names as the catalogue has, but one of them is elsewhere.
    fs::remove_file(job.target().join("b")).unwrap();
    let copy = outside(&job, "a");
    set_mode(&job.source().join("a"), 0o644);
    let job = Job::again(job.home);
    job.run(&job.receiver());
    job.assert_same();
    assert_eq!(mode_and_time(&copy).0, 0o600);
    assert_eq!(inode(&job.target().join("a")), inode(&job.target().join("b")));
}

#[test]
fn an_empty_file_and_a_symbolic_link_with_names_outside_are_made_anew() {
    let job = Job::new(|from| {
        fs::write(from.join("empty"), "").unwrap();
        std::os::unix::fs::symlink("empty", from.join("link")).unwrap();
        set_mode(&from.join("empty"), 0o640);
    });
    job.run(&job.receiver());
    let kept = job.home.path().join("kept");
    fs::create_dir(&kept).unwrap();
    for name in ["empty", "link"] {
        fs::hard_link(job.target().join(name), kept.join(name)).unwrap();
        set_time(&job.source().join(name), 1_100_000_000, 9);
    }
    let before = ["empty", "link"].map(|name| mode_and_time(&kept.join(name)));
    let job = Job::again(job.home);
    job.run(&job.receiver());
    job.assert_same();
    assert_eq!(["empty", "link"].map(|name| mode_and_time(&kept.join(name))), before);
}

#[test]
fn what_an_interrupted_run_left_is_not_written_into_where_it_has_another_name() {
    let job = Job::of_file(&bytes(3 * PIECE, 1));
    let store = job.receiver();
    job.record_all(&store, EntryIndex(0));
    store.write(PieceId(1), &job.piece(PieceId(1))).unwrap();
    drop(store);
    let copy = job.home.path().join("copy");
    fs::hard_link(job.part_path("file", Part::Data), &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    assert_eq!(job.run(&job.receiver()), (2, 1), "what it has is used all the same");
    job.assert_same();
    assert!(fs::read(&copy).unwrap() == before);
}
