//! Resuming: every piece that was written is found again, whatever the end of the run before.

use super::*;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

fn partials(job: &Job) -> Vec<Partial> {
    Destination::open(&job.target(), "x").unwrap().partials(&|_| true, 3, &AtomicU64::new(0))
}

/// A job in which some pieces of its only file were written when the process was killed.
fn interrupted(content: &[u8], pieces: &[u32]) -> Job {
    let job = Job::of_file(content);
    let store = job.receiver();
    store.survey(EntryIndex(0)).unwrap();
    job.record_all(&store, EntryIndex(0));
    for &piece in pieces {
        store.write(PieceId(piece), &job.piece(PieceId(piece))).unwrap();
    }
    job
}

fn held(job: &Job) -> Vec<u32> {
    let partials = partials(job);
    assert_eq!(partials.len(), 1);
    partials[0].held.iter().collect()
}

#[test]
fn a_killed_run_is_resumed_where_it_was() {
    let content = bytes(1100 * PIECE + 9, 1);
    let pieces = [0, 1, 511, 512, 700, 1100];
    let job = interrupted(&content, &pieces);
    let found = partials(&job).remove(0);
    assert_eq!(found.entry, *job.catalogue.entry(EntryIndex(0)));
    assert_eq!(Some(&found.layer), job.layers[0].as_ref());
    assert_eq!(found.held.iter().collect::<Vec<_>>(), pieces);
    let store = job.receiver();
    assert_eq!(store.survey(EntryIndex(0)).unwrap(), Survey::Partial(found.held));
    let mut buffer = vec![0; PIECE];
    store.read(PieceId(511), &mut buffer).unwrap();
    assert!(buffer == content[511 * PIECE..512 * PIECE]);
    assert_eq!(job.run(&store), (1101 - 6, 0));
    job.assert_same();
}

#[test]
fn a_run_that_is_killed_again_and_again_ends() {
    let content = bytes(20 * PIECE, 1);
    let job = interrupted(&content, &[0]);
    for piece in 1..20 {
        let store = job.receiver();
        assert_eq!(store.survey(EntryIndex(0)).unwrap(), {
            let mut held = Bitfield::new(20);
            held.insert_range(0..piece);
            Survey::Partial(held)
        });
        store.write(PieceId(piece), &job.piece(PieceId(piece))).unwrap();
    }
    assert_eq!(job.run(&job.receiver()), (0, 0));
    job.assert_same();
}

#[test]
fn a_single_piece_needs_no_sidecar_and_is_found_by_its_content() {
    let job = interrupted(b"short", &[]);
    // Killed before it got its name.
    fs::write(job.part_path("file", Part::Data), b"short").unwrap();
    assert!(!job.part_path("file", Part::Sidecar).exists());
    assert!(partials(&job).is_empty());
    assert_eq!(job.run(&job.receiver()), (0, 1));
    job.assert_same();
}

#[test]
fn a_piece_that_is_damaged_on_the_disk_is_fetched_again() {
    let job = interrupted(&bytes(4 * PIECE, 1), &[0, 1, 2]);
    let data = File::options().write(true).open(job.part_path("file", Part::Data)).unwrap();
    data.write_all_at(b"damage", PIECE as u64 + 5).unwrap();
    assert_eq!(held(&job), [0, 2]);
    assert_eq!(job.run(&job.receiver()), (2, 0));
    job.assert_same();
}

#[test]
fn a_sidecar_cut_short_anywhere_is_used_as_far_as_it_goes() {
    let job = interrupted(&bytes(1100 * PIECE, 1), &[3, 600, 1099]);
    let path = job.part_path("file", Part::Sidecar);
    let whole = fs::read(&path).unwrap();
    let mut seen = Vec::new();
    for len in [0, 3, 20, 100, whole.len() / 2, whole.len() - 1, whole.len()] {
        fs::write(&path, &whole[..len]).unwrap();
        seen.push(partials(&job).first().map(|partial| partial.held.count()));
    }
    assert_eq!(seen, [None, None, None, Some(0), Some(1), Some(2), Some(3)]);
    // What is added after a torn record must not be lost behind it.
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let store = job.receiver();
    store.survey(EntryIndex(0)).unwrap();
    job.record_all(&store, EntryIndex(0));
    drop(store);
    assert_eq!(held(&job), [3, 600, 1099]);
}

#[test]
fn every_bit_of_a_sidecar_matters() {
    let job = interrupted(&bytes(3 * PIECE, 1), &[0, 1, 2]);
    let path = job.part_path("file", Part::Sidecar);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        let found = partials(&job);
        assert!(found.iter().all(|partial| partial.held.is_empty()), "byte {at}");
    }
}

#[test]
fn foreign_and_misplaced_files_are_ignored() {
    let job = interrupted(&bytes(3 * PIECE, 1), &[0]);
    let other = PartName::of(&name("other"));
    let shoal = job.target().join(".shoal");
    for part in [Part::Data, Part::Sidecar] {
        fs::copy(job.part_path("file", part), shoal.join(other.file(part))).unwrap();
    }
    fs::write(shoal.join("notes.txt"), "x").unwrap();
    fs::write(shoal.join("zz.meta"), "x").unwrap();
    assert_eq!(held(&job), [0], "the copy lies under the wrong name");
    File::options()
        .write(true)
        .open(job.part_path("file", Part::Data))
        .unwrap()
        .set_len(5)
        .unwrap();
    assert!(partials(&job).is_empty(), "data of another length");
}

#[test]
fn pieces_of_zeros_are_found_in_holes_and_other_holes_cost_nothing() {
    const LEN: usize = 64 * PIECE;
    let mut content = vec![0; LEN];
    content[40 * PIECE..41 * PIECE].copy_from_slice(&bytes(PIECE, 1));
    let job = interrupted(&content, &[0, 63]);
    let zeros: Vec<u32> = (0..64).filter(|&piece| piece != 40).collect();
    assert_eq!(held(&job), zeros);
    assert_eq!(job.run(&job.receiver()), (1, 0));
    job.assert_same();

    let job = interrupted(&bytes(LEN, 1), &[5]);
    let progress = AtomicU64::new(0);
    let found = Destination::open(&job.target(), "x").unwrap().partials(&|_| true, 2, &progress);
    assert_eq!(found[0].held.count(), 1);
    assert!(progress.load(Ordering::Relaxed) <= 8 * PIECE as u64, "holes were read");
}

#[test]
fn an_all_zero_file_is_resumed_whole() {
    let job = interrupted(&vec![0; 10 * PIECE + 5], &[0]);
    assert_eq!(held(&job).len(), 11);
    assert_eq!(job.run(&job.receiver()), (0, 0));
    job.assert_same();
}

#[test]
fn a_partial_with_new_mode_and_time_ends_with_those() {
    let job = interrupted(&bytes(3 * PIECE, 1), &[0, 1]);
    set_mode(&job.source().join("file"), 0o741);
    set_time(&job.source().join("file"), 5, 5);
    let job = Job::again(job.home);
    assert_eq!(job.run(&job.receiver()), (1, 0));
    job.assert_same();
    assert_eq!(mode_and_time(&job.target().join("file")), (0o741, 5, 5));
}

#[test]
fn a_file_that_came_whole_meanwhile_makes_its_partial_stale() {
    let content = bytes(3 * PIECE, 1);
    let job = interrupted(&content, &[0, 1]);
    fs::write(job.target().join("file"), &content).unwrap();
    let store = job.receiver();
    assert!(matches!(store.survey(EntryIndex(0)).unwrap(), Survey::Complete(_)));
    assert_eq!(job.store_files(), ["id", "lock"]);
    let mut buffer = vec![0; PIECE];
    store.read(PieceId(2), &mut buffer).unwrap();
    assert!(buffer == content[2 * PIECE..]);
    store.close();
    job.assert_same();
}

#[test]
fn a_partial_that_nobody_wants_here_is_served() {
    let content = bytes(3 * PIECE, 1);
    let job = interrupted(&content, &[1]);
    let destination = Destination::open(&job.target(), "x").unwrap();
    let found = destination.partials(&|_| true, 1, &AtomicU64::new(0));
    let nothing = Bitfield::new(1);
    let store =
        Store::new(job.catalogue.clone(), nothing, vec![], vec![], found, Some(destination));
    let mut buffer = vec![0; PIECE];
    store.read(PieceId(1), &mut buffer).unwrap();
    assert!(buffer == content[PIECE..2 * PIECE]);
    store.close();
    assert_eq!(held(&job), [1]);
}

#[test]
fn a_partial_that_is_no_part_of_the_job_is_not_read() {
    let job = interrupted(&bytes(10 * PIECE, 1), &[0, 1, 2]);
    let read = AtomicU64::new(0);
    let found = Destination::open(&job.target(), "x").unwrap().partials(&|_| false, 1, &read);
    assert_eq!((found.len(), found[0].held.count()), (1, 0));
    assert_eq!(read.into_inner(), 0);
}
