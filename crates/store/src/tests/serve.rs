//! Serving: what is read is what was hashed, or an error.

use super::*;

#[test]
fn every_piece_of_every_file_can_be_read() {
    let content = bytes(5 * PIECE + 3, 1);
    let job = Job::new(|from| {
        fs::write(from.join("a"), &content).unwrap();
        fs::write(from.join("b"), "b").unwrap();
    });
    let mut read = Vec::new();
    for piece in job.catalogue.pieces_of(number(&job.catalogue, "a")) {
        read.extend(job.piece(PieceId(piece)));
    }
    assert!(read == content);
    assert_eq!(job.piece(PieceId(job.catalogue.piece_count() - 1)), b"b");
}

#[test]
fn a_shared_file_that_changes_is_served_no_longer() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 4] = [
        ("longer", |path| fs::write(path, bytes(3 * PIECE + 1, 1)).unwrap()),
        ("shorter", |path| fs::write(path, bytes(PIECE, 1)).unwrap()),
        ("touched", |path| set_time(path, 1000, 0)),
        ("replaced", |path| {
            fs::write(path.with_extension("new"), bytes(3 * PIECE, 2)).unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }),
    ];
    for (what, change) in changes {
        let job = Job::of_file(&bytes(3 * PIECE, 1));
        let path = job.source().join("file");
        if what != "replaced" {
            job.piece(PieceId(0));
        }
        change(&path);
        let refused = job.seeder.read(PieceId(1), &mut vec![0; PIECE]).unwrap_err();
        assert!(
            matches!(&refused, ReadError::Changed { place } if *place == error::show(&path)),
            "{what}"
        );
    }
}

#[test]
fn a_shared_file_that_is_replaced_while_it_is_open_is_served_as_it_was() {
    let job = Job::of_file(&bytes(3 * PIECE, 1));
    let path = job.source().join("file");
    job.piece(PieceId(0));
    fs::remove_file(&path).unwrap();
    fs::write(&path, "other").unwrap();
    assert!(job.piece(PieceId(1)) == bytes(3 * PIECE, 1)[PIECE..2 * PIECE]);
}

#[test]
fn a_shared_file_that_is_gone_is_named() {
    let job = Job::of_file(b"content");
    fs::remove_file(job.source().join("file")).unwrap();
    let refused = job.seeder.read(PieceId(0), &mut [0; 7]).unwrap_err();
    assert!(matches!(refused, ReadError::Unreadable { .. }));
    assert!(refused.to_string().contains("from/file'"), "{refused}");
}

#[test]
fn more_files_than_may_be_open_are_served_by_many_threads() {
    let job = Job::new(|from| {
        for number in 0..700 {
            fs::write(from.join(format!("{number:03}")), format!("content {number:03}")).unwrap();
        }
    });
    let open = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let job = &job;
            scope.spawn(move || {
                for round in 0..700 {
                    let piece = (round * 13 + thread * 170) % 700;
                    assert_eq!(job.piece(PieceId(piece)), format!("content {piece:03}").as_bytes());
                }
            });
        }
    });
    assert!(open() < before + 400, "{} open files", open());
}

#[test]
fn written_and_finished_pieces_are_served_and_changes_of_finished_files_are_noticed() {
    let content = bytes(3 * PIECE, 1);
    let job = Job::of_file(&content);
    let store = job.receiver();
    let entry = EntryIndex(0);
    assert_eq!(store.survey(entry).unwrap(), Survey::Nothing);
    let mut buffer = vec![0; PIECE];
    for piece in 0..3 {
        let part = &content[piece as usize * PIECE..][..PIECE];
        store.write(PieceId(piece), part).unwrap();
        store.read(PieceId(piece), &mut buffer).unwrap();
        assert!(buffer == part);
    }
    store.finish(entry).unwrap();
    store.read(PieceId(1), &mut buffer).unwrap();
    assert!(buffer == content[PIECE..2 * PIECE]);
    store.files.close(Key::Own(0));
    store.read(PieceId(1), &mut buffer).unwrap();
    assert!(buffer == content[PIECE..2 * PIECE]);
    fs::write(job.target().join("file"), "changed").unwrap();
    assert!(matches!(store.read(PieceId(1), &mut buffer), Err(ReadError::Changed { .. })));
}

#[test]
fn what_was_found_complete_is_served() {
    let content = bytes(3 * PIECE, 1);
    let job = Job::of_file(&content);
    fs::create_dir(job.target()).unwrap();
    fs::write(job.target().join("file"), &content).unwrap();
    let store = job.receiver();
    assert!(matches!(store.survey(EntryIndex(0)).unwrap(), Survey::Complete(_)));
    let mut buffer = vec![0; PIECE];
    store.read(PieceId(2), &mut buffer).unwrap();
    assert!(buffer == content[2 * PIECE..]);
}
