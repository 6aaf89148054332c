//! Salvage: what is here already is not fetched again, and what does not verify is never used.

use super::*;

const PIECES: usize = 10;

fn old_version() -> Vec<u8> {
    bytes(PIECES * PIECE, 1)
}

/// The old version with two pieces changed.
fn new_version() -> Vec<u8> {
    let mut content = old_version();
    content[3 * PIECE] ^= 1;
    content[9 * PIECE + 7] ^= 1;
    content
}

#[test]
fn equal_pieces_of_an_older_version_are_reused() {
    let job = Job::of_file(&new_version());
    let store = job.receiver();
    fs::write(job.target().join("file"), old_version()).unwrap();
    assert_eq!(store.survey(EntryIndex(0)).unwrap(), Survey::Candidate);
    assert_eq!(store.salvage(PieceId(0), job.hash(PieceId(0)), buffer).unwrap(), Salvage::Reused);
    assert_eq!(store.salvage(PieceId(3), job.hash(PieceId(3)), buffer).unwrap(), Salvage::Absent);
    assert!(fs::read(job.target().join("file")).unwrap() == old_version(), "left untouched");
    assert_eq!(job.run(&store), (2, 8));
    job.assert_same();
}

#[test]
fn equal_pieces_of_a_shorter_or_longer_file_are_reused() {
    for len in [4 * PIECE + 1, 20 * PIECE] {
        let mut other = old_version();
        other.resize(len, 7);
        let job = Job::of_file(&old_version());
        let store = job.receiver();
        fs::write(job.target().join("file"), &other).unwrap();
        let reused = (len / PIECE).min(PIECES) as u32;
        assert_eq!(job.run(&store), (PIECES as u32 - reused, reused), "{len} bytes");
        job.assert_same();
    }
}

#[test]
fn a_candidate_that_changes_meanwhile_is_not_used() {
    let job = Job::of_file(&new_version());
    let store = job.receiver();
    fs::write(job.target().join("file"), old_version()).unwrap();
    store.survey(EntryIndex(0)).unwrap();
    fs::write(job.target().join("file"), bytes(PIECES * PIECE, 9)).unwrap();
    assert_eq!(store.salvage(PieceId(0), job.hash(PieceId(0)), buffer).unwrap(), Salvage::Absent);
}

#[test]
fn a_partial_of_another_version_is_reused_piece_by_piece() {
    let job = Job::of_file(&old_version());
    let store = job.receiver();
    job.record_all(&store, EntryIndex(0));
    for piece in 0..5 {
        store.write(PieceId(piece), &job.piece(PieceId(piece))).unwrap();
    }
    drop(store);
    fs::write(job.source().join("file"), new_version()).unwrap();
    let job = Job::again(job.home);
    let store = job.receiver();
    assert_eq!(store.survey(EntryIndex(0)).unwrap(), Survey::Candidate);
    assert!(job.part_path("file", Part::Old).exists());
    // Killed again: what was put aside is still there the next time.
    job.record_all(&store, EntryIndex(0));
    store.write(PieceId(9), &job.piece(PieceId(9))).unwrap();
    drop(store);
    let store = job.receiver();
    assert!(matches!(store.survey(EntryIndex(0)).unwrap(), Survey::Partial(_)));
    assert_eq!(job.run(&store), (5, 4));
    job.assert_same();
}

#[test]
fn a_partial_of_another_piece_length_is_reused_where_it_fits() {
    let job = Job::of_file(&old_version());
    let store = job.receiver();
    for piece in 0..5 {
        store.write(PieceId(piece), &job.piece(PieceId(piece))).unwrap();
    }
    drop(store);
    let piece_len = Some(PieceLen::from_bytes(2 * PIECE as u64).unwrap());
    let shares = [whole(&job.source(), Naming::Inside)];
    let options = ShareOptions { piece_len, ..options() };
    let shared = share(&shares, &options, &AtomicU64::new(0)).unwrap();
    let entries = shared.entries.iter().map(|shared| shared.entry.clone()).collect();
    let layers = vec![layer(&shared.entries[0])];
    let job = Job { catalogue: Arc::new(Catalogue::new(entries).unwrap()), layers, ..job };
    let store = job.receiver();
    assert_eq!(store.survey(EntryIndex(0)).unwrap(), Survey::Candidate);
    let found: Vec<Salvage> = (0..5)
        .map(|piece| store.salvage(PieceId(piece), job.hash(PieceId(piece)), buffer).unwrap())
        .collect();
    use Salvage::{Absent, Reused};
    assert_eq!(found, [Reused, Reused, Absent, Absent, Absent]);
}

#[test]
fn an_equal_file_is_complete_and_its_mode_and_time_are_mended() {
    let job = Job::of_file(&old_version());
    let store = job.receiver();
    let path = job.target().join("file");
    fs::write(&path, old_version()).unwrap();
    set_mode(&path, 0o600);
    set_time(&path, 1, 1);
    let inode = path.metadata().unwrap().ino();
    assert_eq!(job.run(&store), (0, 0));
    job.assert_same();
    assert_eq!(path.metadata().unwrap().ino(), inode, "not written again");
}

#[test]
fn a_source_on_this_rank_is_copied_if_it_has_the_content() {
    let job = Job::of_file(&new_version());
    let cases = [(new_version(), (0, 10)), (old_version(), (2, 8)), (vec![1; 5], (10, 0))];
    for (source, counts) in cases {
        let path = job.home.path().join("source");
        fs::write(&path, source).unwrap();
        let store = job.receiver_with(vec![], vec![(name("file"), path)]);
        assert_eq!(job.run(&store), counts);
        job.assert_same();
        fs::remove_file(job.target().join("file")).unwrap();
    }
    let gone = job.home.path().join("gone");
    let store = job.receiver_with(vec![], vec![(name("file"), gone)]);
    assert_eq!(store.survey(EntryIndex(0)).unwrap(), Survey::Nothing);
}

#[test]
fn who_shares_and_wants_the_same_copies_it_and_says_so() {
    let job = Job::of_file(&new_version());
    let shared = share_inside(&job.source()).entries;
    let store = job.receiver_with(shared, vec![]);
    assert_eq!(store.survey(EntryIndex(0)).unwrap(), Survey::Candidate);
    assert_eq!(store.salvage(PieceId(1), job.hash(PieceId(1)), buffer).unwrap(), Salvage::Copied);
    assert_eq!(job.run(&store), (0, 10));
    job.assert_same();
    // Its own copy serves where the shared file fails.
    fs::write(job.source().join("file"), "changed").unwrap();
    store.read(PieceId(0), &mut vec![0; PIECE]).unwrap();
}

#[test]
fn who_shares_the_destination_itself_has_it_complete() {
    let job = Job::of_file(&new_version());
    fs::create_dir(job.target()).unwrap();
    fs::hard_link(job.source().join("file"), job.target().join("file")).unwrap();
    let store = job.receiver_with(share_inside(&job.source()).entries, vec![]);
    assert!(matches!(store.survey(EntryIndex(0)).unwrap(), Survey::Complete(_)));
}

#[test]
fn holes_of_a_candidate_are_used_for_zeros_alone() {
    let mut content = vec![0; PIECES * PIECE];
    content[..PIECE].copy_from_slice(&bytes(PIECE, 1));
    let job = Job::of_file(&content);
    let store = job.receiver();
    let sparse = File::create(job.target().join("file")).unwrap();
    sparse.set_len(20 * PIECE as u64).unwrap();
    assert_eq!(job.run(&store), (1, 9));
    job.assert_same();
}
