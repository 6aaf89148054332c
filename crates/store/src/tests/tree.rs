//! Directories and links: made, replaced or refused, and sealed in the end.

use super::*;
use std::os::unix::fs::symlink;

#[test]
fn empty_directories_links_modes_and_times_arrive() {
    let job = Job::new(|from| {
        fs::create_dir_all(from.join("a/b/empty")).unwrap();
        fs::write(from.join("a/b/file"), "x").unwrap();
        symlink("b/file", from.join("a/link")).unwrap();
        symlink("/etc/passwd", from.join("dangerous")).unwrap();
        symlink(".", from.join("a/b/loop")).unwrap();
        set_time(&from.join("a/link"), 77, 7);
        for (path, mode, seconds) in
            [("a/b/empty", 0o1777, -9), ("a/b", 0o2755, 123), ("a", 0o700, 456)]
        {
            set_mode(&from.join(path), mode);
            set_time(&from.join(path), seconds, 987_654_321);
        }
    });
    let store = job.receiver();
    job.run(&store);
    job.assert_same();
    assert_eq!(mode_and_time(&job.target().join("a/b")), (0o2755, 123, 987_654_321));
    assert_eq!(fs::read_link(job.target().join("dangerous")).unwrap(), Path::new("/etc/passwd"));
    store.seal().unwrap();
    job.assert_same();
}

#[test]
fn files_go_into_directories_that_are_sealed_read_only() {
    let fill = |from: &Path| {
        fs::create_dir_all(from.join("sealed/below")).unwrap();
        fs::write(from.join("sealed/below/file"), "x").unwrap();
        set_mode(&from.join("sealed/below"), 0o555);
        set_mode(&from.join("sealed"), 0o555);
    };
    let job = Job::new(fill);
    job.run(&job.receiver());
    job.assert_same();
    // The next version has more in the same directories, which are sealed at the destination now.
    for path in ["sealed", "sealed/below"] {
        set_mode(&job.source().join(path), 0o755);
    }
    fs::write(job.source().join("sealed/below/more"), "y").unwrap();
    fs::create_dir(job.source().join("sealed/new")).unwrap();
    symlink("new", job.source().join("sealed/link")).unwrap();
    for path in ["sealed/below", "sealed"] {
        set_mode(&job.source().join(path), 0o555);
    }
    let job = Job::again(job.home);
    job.run(&job.receiver());
    job.assert_same();
    for top in [job.source(), job.target()] {
        for path in ["sealed", "sealed/below"] {
            set_mode(&top.join(path), 0o755);
        }
    }
}

#[test]
fn a_link_replaces_another_link_or_a_file() {
    let job = Job::new(|from| symlink("target", from.join("link")).unwrap());
    let store = job.receiver();
    symlink("elsewhere", job.target().join("link")).unwrap();
    store.seal().unwrap();
    assert_eq!(fs::read_link(job.target().join("link")).unwrap(), Path::new("target"));
    fs::remove_file(job.target().join("link")).unwrap();
    fs::write(job.target().join("link"), "a file").unwrap();
    store.seal().unwrap();
    assert_eq!(fs::read_link(job.target().join("link")).unwrap(), Path::new("target"));
    fs::remove_file(job.target().join("link")).unwrap();
}

#[test]
fn only_what_is_wanted_is_made() {
    let job = Job::new(|from| {
        fs::create_dir(from.join("wanted")).unwrap();
        fs::create_dir(from.join("other")).unwrap();
    });
    let destination = Destination::open(&job.target(), "the test").unwrap();
    let mut wanted = Bitfield::new(2);
    wanted.insert(number(&job.catalogue, "wanted").0);
    let store =
        Store::new(job.catalogue.clone(), wanted, vec![], vec![], vec![], Some(destination));
    store.seal().unwrap();
    store.close();
    assert_eq!(names(&share_inside(&job.target())), ["wanted"]);
}
