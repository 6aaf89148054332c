//! Nothing is ever written through a link below the destination.

use super::super::beneath::{Missing, Root};
use super::*;
use std::os::unix::fs::symlink;

/// A job whose file lies in `sub/deep`, and a directory outside that must stay as it is.
fn job() -> (Job, PathBuf) {
    let job = Job::new(|from| {
        fs::create_dir_all(from.join("sub/deep")).unwrap();
        fs::write(from.join("sub/deep/file"), "content").unwrap();
    });
    let outside = job.home.path().join("outside");
    fs::create_dir_all(outside.join("deep")).unwrap();
    fs::create_dir(job.target()).unwrap();
    (job, outside)
}

/// The same where the directories are no entries, so that nothing gives way to them.
fn job_of_files() -> (Job, PathBuf) {
    let (job, outside) = job();
    let mut shared = share_inside(&job.source());
    shared.entries.retain(|shared| shared.entry.file().is_some());
    (Job::sharing(job.home, shared), outside)
}

fn files_below(path: &Path) -> Vec<String> {
    let shared = share(&[whole(path, Naming::Inside)], &options(), &AtomicU64::new(0));
    names(&shared.unwrap())
}

#[test]
fn a_parent_that_is_a_link_is_refused_and_nothing_is_written_behind_it() {
    for target in ["../outside", "/tmp", ".", "nowhere"] {
        let (job, outside) = job_of_files();
        symlink(target, job.target().join("sub")).unwrap();
        let store = job.receiver();
        let entry = number(&job.catalogue, "sub/deep/file");
        let through = |error: WriteError| {
            let text = error.to_string();
            assert!(matches!(error, WriteError::ThroughLink { .. }), "{text}");
            assert!(text.contains("/into/sub' is ") || text.contains("link '"), "{text}");
        };
        through(store.survey(entry).unwrap_err());
        through(store.write(PieceId(0), b"content").unwrap_err());
        assert_eq!(files_below(&outside), ["deep"]);
        assert!(job.target().join("sub").is_symlink());
    }
}

#[test]
fn a_parent_that_becomes_a_link_in_mid_transfer_is_refused() {
    let (job, outside) = job_of_files();
    let store = job.receiver();
    let entry = number(&job.catalogue, "sub/deep/file");
    store.survey(entry).unwrap();
    symlink("../outside", job.target().join("sub")).unwrap();
    let refused = store.write(PieceId(0), b"content").unwrap_err();
    assert!(matches!(refused, WriteError::ThroughLink { .. }), "{refused}");
    assert_eq!(files_below(&outside), ["deep"]);
}

#[test]
fn a_link_gives_way_to_a_directory_of_the_catalogue_also_in_mid_transfer() {
    let (job, outside) = job();
    let store = job.receiver();
    let entry = number(&job.catalogue, "sub/deep/file");
    store.survey(entry).unwrap();
    symlink("../outside", job.target().join("sub")).unwrap();
    store.write(PieceId(0), b"content").unwrap();
    store.seal().unwrap();
    store.close();
    job.assert_same();
    assert_eq!(files_below(&outside), ["deep"]);
}

#[test]
fn a_link_under_the_files_own_name_is_replaced_and_its_target_left_alone() {
    let (job, outside) = job();
    fs::create_dir_all(job.target().join("sub/deep")).unwrap();
    fs::write(outside.join("victim"), "untouched").unwrap();
    symlink("../../../outside/victim", job.target().join("sub/deep/file")).unwrap();
    let store = job.receiver();
    let entry = number(&job.catalogue, "sub/deep/file");
    assert_eq!(store.survey(entry).unwrap(), Survey::Nothing);
    job.run(&store);
    assert_eq!(fs::read(outside.join("victim")).unwrap(), b"untouched");
    job.assert_same();
}

#[test]
fn a_parent_that_is_a_file_is_named() {
    let (job, _) = job_of_files();
    fs::write(job.target().join("sub"), "a file").unwrap();
    let refused = job.receiver().survey(number(&job.catalogue, "sub/deep/file")).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("/into/sub' is a file where a directory must go for '"), "{text}");
    assert!(text.contains("/into/sub/deep/file'"), "{text}");
}

#[test]
fn a_destination_may_itself_be_a_link() {
    let (job, outside) = job();
    fs::remove_dir(job.target()).unwrap();
    symlink("outside", job.target()).unwrap();
    fs::remove_dir(outside.join("deep")).unwrap();
    job.run(&job.receiver());
    job.assert_same();
    assert!(job.target().is_symlink());
}

#[test]
fn the_way_for_old_kernels_follows_no_link_either() {
    let home = tempfile::tempdir().unwrap();
    let into = home.path().join("into");
    fs::create_dir_all(into.join("real")).unwrap();
    symlink("real", into.join("link")).unwrap();
    let root = Root::open(&into).unwrap();
    let file = name("link/below/file");
    for missing in [Missing::Create, Missing::Leave] {
        let refused = root.walk(b"link/below", &file, missing).unwrap_err();
        assert!(matches!(refused, WriteError::ThroughLink { .. }), "{refused}");
    }
    assert!(root.walk(b"real/a/b", &name("real/a/b/file"), Missing::Leave).unwrap().is_none());
    assert!(!into.join("real/a").exists());
    assert!(root.walk(b"real/a/b", &name("real/a/b/file"), Missing::Create).unwrap().is_some());
    assert!(into.join("real/a/b").is_dir());
}
