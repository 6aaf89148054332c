//! The ways of a piece through its states. Knows no holder.

use super::*;
use content::Timestamp;
use content::{Entry, FileContent, Geometry, Hash, Kind, Metadata, Name, PieceLayer, PieceLen};
use proptest::prelude::*;

/// A ledger over entries of so many pieces each.
fn ledger(pieces: &[u32]) -> Pieces {
    let entry = |(number, &pieces): (usize, &u32)| {
        let len = u64::from(pieces) * 16 * 1024;
        let hashes = (0..pieces).map(|piece| Hash([piece as u8; 32])).collect();
        let layer = PieceLayer::new(Geometry::new(len, PieceLen::MIN), hashes).unwrap();
        let modified = Timestamp { seconds: 0, nanoseconds: 0 };
        Entry {
            name: Name::new(format!("f{number}")).unwrap(),
            kind: Kind::File(FileContent::hashed(&layer)),
            metadata: Metadata::new(0o644, modified),
        }
    };
    let entries = pieces.iter().enumerate().map(entry).collect();
    Pieces::new(Arc::new(Catalogue::new(entries).unwrap()), Hashes::default(), Rank(0), 2)
}

/// The same; all entries gather, and all pieces may be asked for.
fn wanted(pieces: &[u32]) -> Pieces {
    let mut ledger = ledger(pieces);
    for entry in (0..pieces.len() as u32).map(EntryIndex) {
        assert_eq!(ledger.gather(entry), Outlook::Open);
        for piece in ledger.unrouted(ledger.catalogue.pieces_of(entry)) {
            ledger.set_route(piece, Route::Fetch);
        }
    }
    ledger.check_invariants();
    ledger
}

fn fetch(ledger: &mut Pieces, piece: u32) -> Outlook {
    ledger.ask(&[Span { first: piece, count: 1 }]);
    ledger.begin_writing(PieceId(piece));
    let outlook = ledger.write(PieceId(piece));
    ledger.check_invariants();
    outlook
}

#[test]
fn an_entry_is_complete_with_its_last_piece() {
    let mut ledger = wanted(&[2, 3]);
    assert_eq!(ledger.lacking(), Some(0..2));
    assert_eq!(fetch(&mut ledger, 0), Outlook::Open);
    assert_eq!(fetch(&mut ledger, 1), Outlook::Complete);
    assert!(!ledger.gathers(EntryIndex(0)) && ledger.gathers(EntryIndex(1)));
    assert_eq!(ledger.lacking(), Some(1..2));
}

#[test]
fn what_a_survey_found_is_not_gathered() {
    let mut ledger = ledger(&[3]);
    ledger.find(PieceId(1));
    assert_eq!(ledger.gather(EntryIndex(0)), Outlook::Open);
    assert_eq!(ledger.unrouted(0..3), [PieceId(0), PieceId(2)]);
    ledger.check_invariants();
}

#[test]
fn an_entry_of_which_nothing_more_can_be_had_is_exhausted() {
    let mut ledger = wanted(&[3]);
    assert_eq!(ledger.set_unavailable(PieceId(2)), Outlook::Open);
    ledger.ask(&[Span { first: 1, count: 1 }]);
    assert_eq!(ledger.set_unavailable(PieceId(1)), Outlook::Open, "it is on its way");
    ledger.begin_writing(PieceId(1));
    let _ = ledger.write(PieceId(1));
    assert_eq!(ledger.set_unavailable(PieceId(0)), Outlook::Exhausted);
    assert!(!ledger.gathers(EntryIndex(0)) && !ledger.revive(PieceId(0)));
    ledger.check_invariants();
}

#[test]
fn a_piece_that_was_unavailable_can_be_had_once_a_rank_has_it() {
    let mut ledger = wanted(&[2]);
    let _ = ledger.set_unavailable(PieceId(1));
    assert!(ledger.is_any_unavailable() && !ledger.picker().is_pickable(1));
    assert!(ledger.revive(PieceId(1)) && !ledger.revive(PieceId(1)));
    ledger.set_route(PieceId(1), Route::Fetch);
    assert!(!ledger.is_any_unavailable() && ledger.picker().is_pickable(1));
    ledger.check_invariants();
}

#[test]
fn a_search_in_vain_is_repeated_in_the_source_and_then_the_piece_is_wanted() {
    let mut ledger = ledger(&[1]);
    let _ = ledger.gather(EntryIndex(0));
    ledger.set_route(PieceId(0), Route::Search);
    assert_eq!(ledger.next_search(), Some((PieceId(0), SearchPlace::Destination)));
    assert!(!ledger.mark_from_source(PieceId(0)), "it is being looked for");
    ledger.miss(PieceId(0));
    ledger.check_invariants();
    assert_eq!(ledger.next_search(), Some((PieceId(0), SearchPlace::Source)));
    ledger.miss(PieceId(0));
    assert!(ledger.picker().is_pickable(0));
    ledger.check_invariants();
}

#[test]
fn what_is_under_way_for_a_failed_entry_ends_and_is_not_wanted_again() {
    let mut ledger = wanted(&[3, 1]);
    ledger.ask(&[Span { first: 0, count: 2 }]);
    ledger.begin_writing(PieceId(1));
    ledger.give_up(EntryIndex(0));
    ledger.check_invariants();
    assert!(!ledger.lacks(PieceId(0)) && !ledger.picker().is_pickable(2));
    ledger.release(PieceId(0));
    assert_eq!(ledger.write(PieceId(1)), Outlook::Open, "it is there, and nobody gathers it");
    assert!(ledger.has(PieceId(1)) && !ledger.picker().is_pickable(0));
    assert!(ledger.picker().is_pickable(3), "the other entry goes on");
    ledger.check_invariants();
}

#[test]
fn a_late_piece_takes_over_what_is_wanted_and_is_useless_where_another_is_being_written() {
    let mut ledger = wanted(&[3]);
    ledger.ask(&[Span { first: 0, count: 2 }]);
    ledger.begin_writing(PieceId(1));
    let claims = [0, 1, 2].map(|piece| ledger.claim_late(PieceId(piece)));
    assert_eq!(claims, [LateClaim::InFlight, LateClaim::Useless, LateClaim::Taken]);
    ledger.begin_writing(PieceId(2));
    ledger.check_invariants();
}

#[test]
#[should_panic(expected = "piece 0 goes from Have to Writing")]
fn no_piece_is_written_twice() {
    let mut ledger = wanted(&[2]);
    let _ = fetch(&mut ledger, 0);
    ledger.begin_writing(PieceId(0));
}

/// What may happen to a piece, wherever it stands.
fn happen(ledger: &mut Pieces, what: u8, piece: PieceId) {
    let entry = ledger.catalogue.locate(piece).0;
    match (what, ledger.state(piece)) {
        (0, State::HeldBack | State::NeedsHash) => ledger.set_route(piece, Route::Fetch),
        (1, State::HeldBack | State::NeedsHash) => ledger.set_route(piece, Route::Search),
        (2, State::HeldBack) => ledger.set_route(piece, Route::Hash),
        (3, State::Wanted) => ledger.ask(&[Span { first: piece.0, count: 1 }]),
        (4, State::InFlight) => ledger.begin_writing(piece),
        (5, State::Writing | State::Searching) => drop(ledger.write(piece)),
        (6, State::InFlight | State::Writing) => ledger.release(piece),
        (6, State::Searching) => ledger.miss(piece),
        (7, _) => drop(ledger.set_unavailable(piece)),
        (8, _) => drop(ledger.revive(piece)),
        (9, _) => drop(ledger.next_search()),
        (10, _) => drop(ledger.mark_from_source(piece)),
        (11, _) => drop(ledger.claim_late(piece)),
        (12, _) => ledger.give_up(entry),
        (13, _) if piece.0 == 0 => ledger.halt(),
        (14, State::Idle) if !ledger.gathering.contains_key(&entry) => ledger.find(piece),
        _ => {}
    }
}

proptest! {
    #[test]
    fn whatever_happens_every_piece_is_in_one_state(
        events in prop::collection::vec((0..15_u8, 0..20_u32), 0..300),
    ) {
        let mut ledger = ledger(&[1, 7, 9, 3]);
        for entry in (0..4).map(EntryIndex) {
            let _ = ledger.gather(entry);
        }
        for (what, piece) in events {
            happen(&mut ledger, what, PieceId(piece));
            ledger.check_invariants();
        }
    }
}
