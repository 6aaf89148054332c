//! What stands under the name of an entry and is of another kind: what gives way, what does not.

use super::*;
use std::os::unix::fs::symlink;

/// A file, a directory with a file, an empty directory and a link.
fn tree() -> Job {
    Job::new(|from| {
        fs::create_dir_all(from.join("dir/empty")).unwrap();
        fs::write(from.join("dir/file"), bytes(2 * PIECE, 1)).unwrap();
        fs::write(from.join("file"), "content").unwrap();
        symlink("dir", from.join("link")).unwrap();
        for path in ["dir/empty", "dir", "link"] {
            set_time(&from.join(path), 2_000_000, 7);
        }
    })
}

fn deleting(job: &Job, spared: Vec<PathBuf>) -> Store {
    let destination = Destination::open(&job.target(), "the test").unwrap();
    let wanted = Bitfield::full(job.catalogue.entry_count());
    let bounds = Bounds { only_below_entries: false, spared };
    Store::new(job.catalogue.clone(), wanted, vec![], vec![], vec![], Some(destination))
        .replacing(Some(bounds))
}

fn pipe(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn what_is_no_directory_and_what_is_an_empty_one_give_way() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "x").unwrap();
    for round in 0..4 {
        let job = tree();
        let at = |name: &str| job.target().join(name);
        fs::create_dir(job.target()).unwrap();
        match round {
            0 => {
                symlink(outside.path(), at("dir")).unwrap();
                fs::create_dir(at("file")).unwrap();
                fs::create_dir(at("link")).unwrap();
            }
            1 => {
                fs::write(at("dir"), "a file").unwrap();
                symlink("nowhere", at("file")).unwrap();
                pipe(&at("link"));
            }
            2 => {
                pipe(&at("dir"));
                pipe(&at("file"));
                fs::write(at("link"), "a file").unwrap();
            }
            _ => {
                fs::create_dir(at("dir")).unwrap();
                fs::create_dir(at("dir/file")).unwrap();
                symlink(outside.path(), at("dir/empty")).unwrap();
            }
        }
        job.run(&job.receiver());
        job.assert_same();
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1, "nothing went through a link");
}

#[test]
fn a_directory_with_content_is_an_obstacle_and_left_alone() {
    let job = tree();
    let store = job.receiver();
    for name in ["file", "link"] {
        fs::create_dir(job.target().join(name)).unwrap();
        fs::write(job.target().join(name).join("mine"), "x").unwrap();
    }
    let file = number(&job.catalogue, "file");
    let refused = store.survey(file).unwrap_err().to_string();
    let expected = "/into/file' is a directory with content where a file must go;";
    assert!(refused.contains(expected), "{refused}");
    let piece = PieceId(job.catalogue.pieces_of(file).start);
    let refused = store.write(piece, b"content").unwrap_err();
    assert!(matches!(refused, WriteError::FullDirectory { .. }), "{refused}");
    assert!(!store.is_finished(file));
    let refused = store.seal().unwrap_err().to_string();
    assert!(refused.contains("content where a symbolic link must go;"), "{refused}");
    assert!(["file/mine", "link/mine"].iter().all(|name| job.target().join(name).exists()));
}

#[test]
fn with_delete_a_directory_with_content_gives_way_once_the_file_is_whole() {
    let job = tree();
    fs::create_dir_all(job.target().join("file/deep/er")).unwrap();
    fs::create_dir_all(job.target().join("link")).unwrap();
    fs::write(job.target().join("link/old"), "x").unwrap();
    let store = deleting(&job, vec![]);
    assert_eq!(store.survey(number(&job.catalogue, "file")).unwrap(), Survey::Nothing);
    let bounds = Bounds::default();
    let listed = job.comparison().list_extra(&bounds).extra;
    assert_eq!(listed.names, ["file/deep/er", "file/deep", "link/old"]);
    for entry in job.files().collect::<Vec<_>>() {
        job.fetch(&store, entry);
    }
    store.seal().unwrap();
    assert_eq!(store.remove_extra(&bounds).extra, listed, "it is counted as it was foretold");
    store.close();
    job.assert_same();
}

#[test]
fn what_this_rank_shares_does_not_give_way_even_with_delete() {
    let job = tree();
    let shared = job.target().join("file/shared");
    fs::create_dir_all(&shared).unwrap();
    fs::write(shared.join("mine"), "x").unwrap();
    let store = deleting(&job, vec![shared.clone()]);
    let piece = PieceId(job.catalogue.pieces_of(number(&job.catalogue, "file")).start);
    let refused = store.write(piece, b"content").unwrap_err();
    assert!(matches!(refused, WriteError::FullDirectory { .. }), "{refused}");
    assert!(shared.join("mine").exists());
}

#[test]
fn a_link_that_no_entry_replaces_is_not_passed() {
    let outside = tempfile::tempdir().unwrap();
    let job = Job::new(|from| fs::write(from.join("file"), "content").unwrap());
    let mut shared = share_inside(&job.source());
    shared.entries[0].entry.name = name("sub/file");
    let job = Job::sharing(job.home, shared);
    fs::create_dir(job.target()).unwrap();
    symlink(outside.path(), job.target().join("sub")).unwrap();
    let refused = job.receiver().survey(EntryIndex(0)).unwrap_err();
    assert!(matches!(refused, WriteError::ThroughLink { .. }), "{refused}");
}
