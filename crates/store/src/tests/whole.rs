//! Small files, which are written and named in one go.

use super::*;

#[test]
fn a_small_file_has_its_name_mode_and_time_when_it_is_written() {
    let job = Job::of_file(b"content");
    let store = job.receiver();
    assert!(!store.is_finished(EntryIndex(0)));
    store.write(PieceId(0), b"content").unwrap();
    assert!(store.is_finished(EntryIndex(0)));
    store.finish(EntryIndex(0)).unwrap();
    let mut read = [0; 7];
    store.read(PieceId(0), &mut read).unwrap();
    assert_eq!(&read, b"content", "and it is served");
    store.close();
    job.assert_same();
}

#[test]
fn a_small_file_that_ends_in_zeros_has_its_length() {
    let mut content = vec![0; 128 * 1024];
    content[..5].copy_from_slice(b"begin");
    let home = tempfile::tempdir().unwrap();
    let from = home.path().join("from");
    fs::create_dir(&from).unwrap();
    fs::write(from.join("file"), &content).unwrap();
    let options = ShareOptions { piece_len: None, ..options() };
    let shared = share(&[whole(&from, Naming::Inside)], &options, &AtomicU64::new(0)).unwrap();
    let job = Job::sharing(home, shared);
    fs::create_dir_all(job.target()).unwrap();
    let store = job.receiver();
    store.write(PieceId(0), &content).unwrap();
    assert!(store.is_finished(EntryIndex(0)));
    store.close();
    job.assert_same();
}

#[test]
fn a_small_file_goes_the_long_way_where_something_stands() {
    let job = Job::of_file(b"content");
    fs::create_dir_all(job.target()).unwrap();
    fs::write(job.target().join("file"), "something longer that stood there").unwrap();
    let store = job.receiver();
    assert_eq!(store.survey(EntryIndex(0)).unwrap(), Survey::Candidate);
    store.write(PieceId(0), b"content").unwrap();
    assert!(!store.is_finished(EntryIndex(0)), "what stood there may still be looked at");
    store.finish(EntryIndex(0)).unwrap();
    store.close();
    job.assert_same();
}
