//! Chooses which piece to ask from whom: rarest first, ties broken differently on every rank.
//!
//! Each rank begins at its own place in the row of all pieces, so that at the start every rank
//! pulls a different part from the only seeder, and then at random places, so that ranks that
//! have pulled alike do not go on in step. Pieces lie in one bitfield for each number of known
//! holders; a choice is an intersection of bitfields, 64 pieces a step.

use crate::random::Random;
use content::Bitfield;

/// Pieces with this many known holders, or more, are equally common.
const COMMON: usize = 7;

/// Holders are told apart by so many places, one bit each.
pub(super) const PLACES: usize = u64::BITS as usize;

/// The pieces that are wanted, and that nobody is asked for at the moment.
#[derive(Debug)]
pub(super) struct Picker {
    /// Pickable pieces by their number of known holders, the last for all from [`COMMON`] on.
    levels: Vec<Bitfield>,
    pickable: Bitfield,
    /// For each piece, how many known holders have it.
    availability: Vec<u16>,
    /// Where the next choice begins.
    cursor: u32,
    /// Pieces that were sent to others, as their holders said; they count as one holder more.
    promised: Bitfield,
    /// Whether a choice that could not be made may be possible now.
    pub(super) changed: bool,
    /// The last choice found no holder to ask, and since then no piece went from any: only a holder
    /// that comes to have something to pick can change that.
    settled: bool,
    /// For each piece, the places of the holders that have it.
    held_by: Vec<u64>,
    /// For each holder's place, how many of its pieces may be chosen: kept, for to look for them
    /// costs.
    useful: [u32; PLACES],
    random: Random,
}

impl Picker {
    /// A picker over `pieces` pieces without any that is wanted; the first choice begins at
    /// `cursor`, the others where `seed` says.
    pub(super) fn new(pieces: u32, cursor: u32, seed: u64) -> Self {
        Self {
            levels: vec![Bitfield::new(pieces); COMMON + 1],
            pickable: Bitfield::new(pieces),
            availability: vec![0; pieces as usize],
            promised: Bitfield::new(pieces),
            changed: true,
            settled: false,
            held_by: vec![0; pieces as usize],
            useful: [0; PLACES],
            random: Random::new(seed),
            cursor: if pieces == 0 { 0 } else { cursor % pieces },
        }
    }

    fn level(&self, piece: u32) -> usize {
        usize::from(self.availability[piece as usize]).min(COMMON)
    }

    /// How many pieces of the holder at a place may be chosen.
    pub(super) fn useful(&self, place: usize) -> u32 {
        self.useful[place]
    }

    /// The holder at a place has one more piece.
    pub(super) fn gained_by(&mut self, place: usize, piece: u32) {
        self.held_by[piece as usize] |= 1 << place;
        if self.gained(piece) {
            self.useful[place] += 1;
            // A holder came to be of use.
            self.changed |= self.useful[place] == 1;
        }
    }

    /// The holder at a place has one piece fewer.
    pub(super) fn lost_by(&mut self, place: usize, piece: u32) {
        self.held_by[piece as usize] &= !(1 << place);
        self.useful[place] -= u32::from(self.pickable.get(piece));
        self.lost(piece);
    }

    /// Counts a piece for all who have it.
    fn count(&mut self, piece: u32, count: impl Fn(&mut u32)) {
        let mut places = self.held_by[piece as usize];
        while places != 0 {
            count(&mut self.useful[places.trailing_zeros() as usize]);
            places &= places - 1;
        }
    }

    /// How many known holders have a piece.
    pub(super) fn availability(&self, piece: u32) -> u16 {
        self.availability[piece as usize]
    }

    /// The pieces that may be chosen.
    pub(super) fn pickable(&self) -> &Bitfield {
        &self.pickable
    }

    /// No holder is to be asked, as things stand.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }

    /// Lets a piece be chosen.
    pub(super) fn add(&mut self, piece: u32) {
        self.changed = true;
        if self.pickable.insert(piece) {
            self.count(piece, |useful| *useful += 1);
        }
        let level = self.level(piece);
        self.levels[level].insert(piece);
    }

    /// Lets a piece no longer be chosen; says whether it could be.
    pub(super) fn remove(&mut self, piece: u32) -> bool {
        let level = self.level(piece);
        self.levels[level].remove(piece);
        self.settled = false;
        let could_be = self.pickable.remove(piece);
        if could_be {
            self.count(piece, |useful| *useful -= 1);
        }
        could_be
    }

    /// One more known holder has a piece; says whether that piece may be chosen.
    pub(super) fn gained(&mut self, piece: u32) -> bool {
        let slot = &mut self.availability[piece as usize];
        let was = usize::from(*slot).min(COMMON);
        *slot = slot.checked_add(1).expect("fewer holders are known than u16 counts");
        let pickable = self.pickable.get(piece);
        if pickable && was < COMMON {
            self.levels[was].remove(piece);
            self.levels[was + 1].insert(piece);
        }
        self.changed |= pickable && !self.settled;
        pickable
    }

    /// A piece is on its way to another rank: it is about to have one holder more.
    pub(super) fn promise(&mut self, piece: u32) {
        if self.promised.insert(piece) {
            self.gained(piece);
        }
    }

    /// One known holder fewer has a piece.
    pub(super) fn lost(&mut self, piece: u32) {
        self.settled = false;
        let was = self.level(piece);
        let slot = &mut self.availability[piece as usize];
        *slot = slot.checked_sub(1).expect("a holder is only lost once");
        let is = self.level(piece);
        if was != is && self.pickable.get(piece) {
            self.levels[was].remove(piece);
            self.levels[is].insert(piece);
        }
    }

    /// Chooses up to `count` pieces that a holder has, rarest first, as long as `fits` takes them;
    /// says whether `fits` refused one.
    pub(super) fn choose(
        &self,
        holder: &Bitfield,
        count: usize,
        mut fits: impl FnMut(u32) -> bool,
    ) -> (Vec<u32>, bool) {
        let mut picked = Vec::new();
        let mut refused = false;
        let end = self.pickable.len();
        'levels: for level in &self.levels[1..] {
            let ahead = level.iter_common(holder, self.cursor..end);
            let behind = level.iter_common(holder, 0..self.cursor);
            for piece in ahead.chain(behind) {
                if picked.len() == count {
                    break 'levels;
                }
                if !fits(piece) {
                    refused = true;
                    break 'levels;
                }
                picked.push(piece);
            }
        }
        (picked, refused)
    }

    /// Takes what was chosen: it can no longer be, and the next choice begins elsewhere.
    pub(super) fn take(&mut self, chosen: &[u32]) {
        for &piece in chosen {
            self.remove(piece);
        }
        self.cursor = self.random.below(self.pickable.len() as usize) as u32;
    }

    /// What must always hold; for tests and the simulator.
    pub(super) fn check_invariants(&self) {
        let mut useful = [0; PLACES];
        for piece in self.pickable.iter() {
            let places = self.held_by[piece as usize];
            (0..PLACES).for_each(|place| useful[place] += (places >> place & 1) as u32);
        }
        assert_eq!(self.useful, useful, "what is of use is counted");
        let in_levels: u32 = self.levels.iter().map(Bitfield::count).sum();
        assert_eq!(in_levels, self.pickable.count(), "each pickable piece is in one level");
        for piece in self.pickable.iter() {
            let level = self.level(piece);
            assert!(self.levels[level].get(piece), "piece {piece} is not in level {level}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(pieces: u32) -> Bitfield {
        Bitfield::full(pieces)
    }

    fn pick(picker: &mut Picker, holder: &Bitfield, count: usize) -> Vec<u32> {
        let (chosen, _) = picker.choose(holder, count, |_| true);
        picker.take(&chosen);
        chosen
    }

    fn picker(pieces: u32, cursor: u32) -> Picker {
        let mut picker = Picker::new(pieces, cursor, 1);
        (0..pieces).for_each(|piece| picker.add(piece));
        picker
    }

    #[test]
    fn the_rarest_piece_comes_first() {
        let mut picker = picker(10, 0);
        for piece in 0..10 {
            picker.gained(piece);
            if piece != 6 {
                picker.gained(piece);
            }
        }
        assert_eq!(pick(&mut picker, &all(10), 3), vec![6, 0, 1]);
    }

    #[test]
    fn ties_begin_at_each_ranks_own_place_and_then_anywhere() {
        let mut picker = picker(10, 8);
        (0..10).for_each(|piece| {
            picker.gained(piece);
        });
        assert_eq!(pick(&mut picker, &all(10), 4), vec![8, 9, 0, 1]);
        let mut rest: Vec<u32> = (0..6).flat_map(|_| pick(&mut picker, &all(10), 1)).collect();
        assert_ne!(rest, [2, 3, 4, 5, 6, 7], "ranks that began alike do not go on in step");
        rest.sort_unstable();
        assert_eq!(rest, [2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_piece_that_no_known_holder_has_is_not_chosen() {
        let mut picker = picker(4, 0);
        picker.gained(2);
        assert_eq!(pick(&mut picker, &all(4), 4), vec![2]);
        picker.gained(1);
        picker.lost(1);
        assert_eq!(pick(&mut picker, &all(4), 4), Vec::<u32>::new());
    }

    #[test]
    fn a_piece_that_does_not_fit_ends_the_choice() {
        let mut picker = picker(4, 0);
        (0..4).for_each(|piece| {
            picker.gained(piece);
        });
        let mut room = 2;
        let fits = |_| {
            room -= 1;
            room >= 0
        };
        assert_eq!(picker.choose(&all(4), 4, fits), (vec![0, 1], true));
        picker.take(&[0, 1]);
        assert_eq!(picker.pickable().count(), 2, "what did not fit can be chosen later");
    }

    proptest! {
           #[test]
           fn levels_and_counts_never_disagree(
               ops in prop::collection::vec((0u8..5, 0u32..40), 0..200),
           ) {
               let mut picker = Picker::new(40, 7, 1);
               let mut holders = [0u32; 40];
               for (op, piece) in ops {
                   match op {
                       0 => picker.add(piece),
                       1 => { picker.remove(piece); }
                       2 => {
                           picker.gained(piece);
    holders[piece as usize] += 1; }
                       3 if holders[piece as usize] > 0 => {
                           picker.lost(piece);
                           holders[piece as usize] -= 1;
                       }
                       _ => {
                           let known = picker.pickable().iter().map(|p| holders[p as usize]);
                           let rarest = known.filter(|&n| n > 0).min();
                           let picked = pick(&mut picker, &Bitfield::full(40), 1);
                           let got = picked.first().map(|&p| holders[p as usize]);
                        let got = got.map(|count| count.min(COMMON as u32));
                           prop_assert_eq!(got, rarest.map(|n| n.min(COMMON as u32)));
                       }
                   }
                   picker.check_invariants();
               }
           }
       }
}
