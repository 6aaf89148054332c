//! Holes: what reads as zeros takes no room, is not read, and is made without being sent.

use super::*;
use rustix::fs::{SeekFrom, seek};
use std::os::unix::fs::FileExt;

/// A file of this many pieces with data in the first and the sixth.
fn sparse_file(pieces: usize) -> Job {
    Job::new(|from| {
        let file = File::create(from.join("file")).unwrap();
        file.set_len((pieces * PIECE + 100) as u64).unwrap();
        file.write_all_at(b"first", 0).unwrap();
        file.write_all_at(b"sixth", (5 * PIECE) as u64).unwrap();
    })
}

#[test]
fn pieces_of_zeros_are_made_and_all_others_fetched() {
    let job = sparse_file(40);
    assert_eq!(job.catalogue.entry(EntryIndex(0)).file().unwrap().data_bytes(), 2 * 16384 + 100);
    let store = job.receiver();
    // The first, the sixth, and the last, which is too short to be looked at.
    assert_eq!(job.run(&store), (3, 38));
    job.assert_same();
    let copy = job.target().join("file").metadata().unwrap();
    assert!(copy.blocks() * 512 <= 3 * PIECE as u64, "still sparse");
    assert!(matches!(job.receiver().survey(EntryIndex(0)).unwrap(), Survey::Complete(_)));
}

#[test]
fn zeros_of_a_file_that_is_not_sparse_become_a_hole() {
    let job = Job::of_file(&[vec![0; 100 * PIECE], vec![1; PIECE]].concat());
    assert_eq!(job.run(&job.receiver()), (1, 100));
    job.assert_same();
    let copy = File::open(job.target().join("file")).unwrap();
    assert_eq!(seek(&copy, SeekFrom::Data(0)).unwrap(), (100 * PIECE) as u64);
}

#[test]
fn zeros_can_be_read_before_their_file_is_there() {
    let job = sparse_file(10);
    let store = job.receiver();
    assert_eq!(store.survey(EntryIndex(0)).unwrap(), Survey::Nothing);
    let mut buffer = vec![7; PIECE];
    store.read(PieceId(2), &mut buffer).unwrap();
    assert!(buffer == [0; PIECE]);
    store.write(PieceId(0), &job.piece(PieceId(0))).unwrap();
    buffer.fill(7);
    store.read(PieceId(2), &mut buffer).unwrap();
    assert!(buffer == [0; PIECE]);
}

#[test]
fn what_rotted_in_a_partial_where_zeros_belong_is_cleared() {
    let job = sparse_file(10);
    let store = job.receiver();
    job.record_all(&store, EntryIndex(0));
    store.write(PieceId(0), &job.piece(PieceId(0))).unwrap();
    drop(store);
    let part = File::options().write(true).open(job.part_path("file", Part::Data)).unwrap();
    part.write_all_at(&[9; PIECE], (3 * PIECE) as u64).unwrap();
    let store = job.receiver();
    let Survey::Partial(held) = store.survey(EntryIndex(0)).unwrap() else { panic!("a partial") };
    // The hole in the place of the sixth, and what rotted, are not what they must be.
    assert_eq!(held.iter().collect::<Vec<_>>(), [0, 1, 2, 4, 6, 7, 8, 9, 10]);
    assert_eq!(store.salvage(PieceId(3), job.hash(PieceId(3)), buffer).unwrap(), Salvage::Copied);
    assert_eq!(store.salvage(PieceId(5), job.hash(PieceId(5)), buffer).unwrap(), Salvage::Absent);
    store.write(PieceId(5), &job.piece(PieceId(5))).unwrap();
    store.finish(EntryIndex(0)).unwrap();
    store.close();
    job.assert_same();
}

#[test]
fn a_hundred_gibibytes_of_hole_are_shared_and_found_without_being_read() {
    const LEN: u64 = 100 << 30;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("file");
    let file = File::create(&path).unwrap();
    if file.set_len(LEN).is_err() {
        return println!("SKIPPED: this file system has no files of {LEN} bytes");
    }
    file.write_all_at(b"data", LEN / 3).unwrap();
    let progress = AtomicU64::new(0);
    let options = ShareOptions { piece_len: None, ..options() };
    let shared = share(&[whole(home.path(), Naming::Inside)], &options, &progress).unwrap();
    let content = shared.entries[0].entry.file().unwrap();
    assert_eq!((content.geometry.len(), content.data_bytes()), (LEN, 4 << 20));
}
