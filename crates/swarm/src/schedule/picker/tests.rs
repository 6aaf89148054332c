//! What is chosen, and that its tables never disagree. Asks no holder.

use super::*;
use proptest::prelude::*;

/// What was chosen can no longer be, and the next choice begins elsewhere.
fn take(picker: &mut Picker, chosen: &[Span]) {
    chosen.iter().flat_map(|bundle| bundle.numbers()).for_each(|piece| picker.remove(piece));
    picker.move_on();
}

fn pick(picker: &mut Picker, count: usize) -> Vec<u32> {
    let (chosen, _) = picker.choose(0, count, |_| false, |_| true);
    take(picker, &chosen);
    chosen.into_iter().map(|bundle| bundle.first).collect()
}

/// A picker with ten holders that have nothing yet.
fn seated(pieces: u32, cursor: u32) -> Picker {
    let mut picker = Picker::new(pieces, cursor, 1);
    (0..10).for_each(|slot| picker.seat(slot, Locality::Rack));
    picker
}

fn picker(pieces: u32, cursor: u32) -> Picker {
    let mut picker = seated(pieces, cursor);
    (0..pieces).for_each(|piece| picker.add(piece));
    picker
}

/// The holders at these slots have a piece.
fn held(picker: &mut Picker, piece: u32, slots: std::ops::Range<usize>) {
    slots.for_each(|slot| picker.gained_by(slot, piece));
}

#[test]
fn the_rarest_piece_comes_first() {
    let mut picker = picker(10, 0);
    (0..10).for_each(|piece| held(&mut picker, piece, 0..if piece == 6 { 1 } else { 2 }));
    assert_eq!(pick(&mut picker, 3), vec![6, 0, 1]);
}

#[test]
fn ties_begin_at_each_ranks_own_place_and_then_anywhere() {
    let mut picker = picker(10, 8);
    (0..10).for_each(|piece| held(&mut picker, piece, 0..1));
    assert_eq!(pick(&mut picker, 4), vec![8, 9, 0, 1]);
    let mut rest: Vec<u32> = (0..6).flat_map(|_| pick(&mut picker, 1)).collect();
    assert_ne!(rest, [2, 3, 4, 5, 6, 7], "ranks that began alike do not go on in step");
    rest.sort_unstable();
    assert_eq!(rest, [2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_piece_that_no_known_holder_has_is_not_chosen() {
    let mut picker = picker(4, 0);
    held(&mut picker, 2, 0..1);
    assert_eq!(pick(&mut picker, 4), vec![2]);
    held(&mut picker, 1, 0..1);
    picker.lost_by(0, 1);
    assert_eq!(pick(&mut picker, 4), Vec::<u32>::new());
}

#[test]
fn a_piece_that_is_on_its_way_to_another_counts_as_less_rare() {
    let mut picker = picker(4, 0);
    (0..4).for_each(|piece| held(&mut picker, piece, 0..1));
    (0..3).for_each(|piece| picker.promise(piece));
    picker.check_invariants();
    assert_eq!(pick(&mut picker, 2), vec![3, 0]);
}

#[test]
fn what_the_only_holder_in_the_rack_has_sent_may_come_back_from_another_rack() {
    let mut picker = picker(2, 0);
    (0..2).for_each(|slot| picker.seat(slot, Locality::Rack));
    picker.seat(2, Locality::Remote);
    picker.max_distance = vec![Locality::Remote, Locality::Rack];
    let all = [(0, 0), (2, 0), (0, 1), (2, 1)];
    all.into_iter().for_each(|(slot, piece)| picker.gained_by(slot, piece));
    assert_eq!(picker.useful[2], 0, "the rack has both");
    (0..2).for_each(|piece| picker.promise(piece));
    assert_eq!([0, 2].map(|slot| picker.useful[slot]), [2, 1], "one of them is its own");
    picker.gained_by(1, 0);
    assert_eq!([0, 1, 2].map(|slot| picker.useful[slot]), [2, 1, 0], "a mate has it");
    picker.check_invariants();
}

#[test]
fn a_piece_that_does_not_fit_ends_the_choice() {
    let mut picker = picker(4, 0);
    (0..4).for_each(|piece| held(&mut picker, piece, 0..1));
    let mut room = 2;
    let fits = |_| {
        room -= 1;
        room >= 0
    };
    let one = |first| Span { first, count: 1 };
    assert_eq!(picker.choose(0, 4, |_| false, fits), (vec![one(0), one(1)], true));
    take(&mut picker, &[one(0), one(1)]);
    assert_eq!(picker.pickable().count(), 2, "what did not fit can be chosen later");
}

proptest! {
    #[test]
    fn levels_and_counts_never_disagree(
        ops in prop::collection::vec((0u8..5, 0u32..40, 0usize..10), 0..200),
    ) {
        let mut picker = seated(40, 7);
        let mut holders = [0u64; 40];
        for (op, piece, slot) in ops {
            let has = picker.has(slot, piece);
            prop_assert_eq!(has, holders[piece as usize] >> slot & 1 == 1);
            match op {
                0 if !picker.is_pickable(piece) => picker.add(piece),
                1 if picker.is_pickable(piece) => picker.remove(piece),
                2 if !has => {
                    picker.gained_by(slot, piece);
                    holders[piece as usize] |= 1 << slot;
                }
                3 if has => {
                    picker.lost_by(slot, piece);
                    holders[piece as usize] &= !(1 << slot);
                }
                _ => {
                    let common = COMMON as u32;
                    let known = |piece: u32| holders[piece as usize].count_ones().min(common);
                    let rare = picker.pickable().filter(|&p| picker.has(0, p)).map(known).min();
                    let picked = pick(&mut picker, 1);
                    prop_assert_eq!(picked.first().map(|&piece| known(piece)), rare);
                }
            }
            picker.check_invariants();
        }
    }
}
