//! The picker: the choice of the pieces to ask of a holder, rarest first, with ties broken
//! differently on every rank.
//!
//! Each rank begins at its own place in the row of all pieces, so that at the start every rank
//! pulls a different part from the only seeder, and then at random places, so that ranks that
//! have pulled alike do not go on in step. Pieces lie in one set for each number of known holders;
//! a choice is an intersection of sets, 64 pieces a step. A holder is a slot here, one bit in a
//! word; the picker asks nobody, and does not know why a piece may be chosen.

use super::ownership::Ownership;
use super::topology::Locality;
use crate::random::Random;
use content::{Bitfield, Span, numbers_in};
use std::ops::Range;

/// Pieces with this many known holders, or more, are equally common.
const COMMON: usize = 7;

/// The number of slots by which holders are told apart, one bit each.
pub(crate) const SLOTS: usize = u64::BITS as usize;

/// The pieces that are wanted, and that nobody is asked for at the moment.
#[derive(Debug)]
pub(crate) struct Picker {
    /// Pickable pieces by their number of known holders, 64 pieces a row.
    rows: Vec<Row>,
    /// The number of pieces that may be chosen.
    pickable: u32,
    pieces: u32,
    /// The piece at which the next choice begins.
    cursor: u32,
    /// Pieces that were sent to others, as their holders said; they count as one holder more.
    promised: Bitfield,
    /// Whether a choice that could not be made may be possible now.
    changed: bool,
    /// The last choice found no holder to ask, and since then no piece went from any: only a holder
    /// that comes to have something to pick can change that.
    settled: bool,
    /// For each piece, the slots of the holders that have it.
    held_by: Vec<u64>,
    /// The same by slot, for the choice looks at the pieces of one: 64 pieces a word.
    held_at: Vec<u64>,
    /// For each slot, the number of pieces that may be chosen of its holder: kept, for to look for
    /// them costs.
    useful: [u32; SLOTS],
    /// The slots where that is not 0.
    of_use: u64,
    /// For each piece, the largest distance of a holder that may be asked for it; empty where any
    /// may be.
    max_distance: Vec<Locality>,
    /// The slots of the holders on this rank's host, and of those in its rack.
    near: [u64; 2],
    random: Random,
    order: Order,
}

/// The order in which pieces are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Pieces that few have come first.
    RarestFirst,
    /// Pieces that many have come first.
    CommonFirst,
}

/// For 64 pieces, a bit each: which may be chosen and have so many known holders, the last for all
/// from [`COMMON`] on. What happens to a piece touches one line of the cache.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Row([u64; COMMON + 1]);

impl Row {
    /// The level of the piece at a bit, if it may be chosen.
    fn level(&self, bit: u64) -> Option<usize> {
        self.0.iter().position(|level| level & bit != 0)
    }

    /// The pieces that may be chosen and have known holders, or are promised.
    fn known(&self) -> u64 {
        self.0[1..].iter().fold(0, |all, level| all | level)
    }

    /// The pieces that may be chosen.
    fn pickable(&self) -> u64 {
        self.0.iter().fold(0, |all, level| all | level)
    }
}

/// The row of a piece, and its bit there.
fn bit_of(piece: u32) -> (usize, u64) {
    ((piece / u64::BITS) as usize, 1 << (piece % u64::BITS))
}

impl Picker {
    /// A picker over `pieces` pieces without any that is wanted; the first choice begins at
    /// `cursor`, the others where `seed` says.
    pub(crate) fn new(pieces: u32, cursor: u32, seed: u64) -> Self {
        Self {
            rows: vec![Row::default(); pieces.div_ceil(u64::BITS) as usize],
            pickable: 0,
            pieces,
            promised: Bitfield::new(pieces),
            changed: true,
            settled: false,
            held_by: vec![0; pieces as usize],
            held_at: Vec::new(),
            useful: [0; SLOTS],
            of_use: 0,
            max_distance: Vec::new(),
            near: [0; 2],
            random: Random::new(seed),
            order: Order::RarestFirst,
            cursor: if pieces == 0 { 0 } else { cursor % pieces },
        }
    }

    /// The slots of the holders that have pieces which may be chosen.
    pub(crate) fn of_use(&self) -> u64 {
        self.of_use
    }

    /// Whether the holder in a slot has a piece.
    pub(crate) fn has(&self, slot: usize, piece: u32) -> bool {
        self.held_by[piece as usize] >> slot & 1 == 1
    }

    /// The pieces of a range that the holder in a slot has.
    pub(crate) fn pieces_in(&self, slot: usize, range: Range<u32>) -> impl Iterator<Item = u32> {
        numbers_in(range, move |row| self.held_at[slot * self.rows.len() + row])
    }

    /// Forgets all pieces of the holder in a slot.
    pub(crate) fn lost_all(&mut self, slot: usize) {
        let pieces: Vec<u32> = self.pieces_in(slot, 0..self.pieces).collect();
        pieces.into_iter().for_each(|piece| self.lost_by(slot, piece));
    }

    /// Notes one more piece of the holder in a slot.
    pub(crate) fn gained_by(&mut self, slot: usize, piece: u32) {
        let before = self.askable(piece);
        self.held_by[piece as usize] |= 1 << slot;
        let (row, bit) = bit_of(piece);
        self.held_at[slot * self.rows.len() + row] |= bit;
        if self.gained(piece) {
            let after = self.askable(piece);
            self.count_out(before & !after);
            self.changed |= self.count_in(after & !before);
        }
    }

    /// Forgets a piece of the holder in a slot.
    pub(crate) fn lost_by(&mut self, slot: usize, piece: u32) {
        let before = self.askable(piece);
        self.held_by[piece as usize] &= !(1 << slot);
        self.settled = false;
        let (row, bit) = bit_of(piece);
        self.held_at[slot * self.rows.len() + row] &= !bit;
        if let Some(was) = self.rows[row].level(bit) {
            let after = self.askable(piece);
            self.count_out(before & !after);
            self.count_in(after & !before);
            self.changed |= after & !before != 0;
            let is = self.availability(piece).min(COMMON);
            self.rows[row].0[was] &= !bit;
            self.rows[row].0[is] |= bit;
        }
    }

    /// Counts one more piece that may be chosen of the holders in these slots; says whether one of
    /// them came to be of use.
    fn count_in(&mut self, slots: u64) -> bool {
        each(slots, |slot| self.useful[slot] += 1);
        let new = slots & !self.of_use;
        self.of_use |= new;
        new != 0
    }

    /// Counts one piece fewer that may be chosen of the holders in these slots.
    fn count_out(&mut self, slots: u64) {
        each(slots, |slot| {
            self.useful[slot] -= 1;
            self.of_use &= !(u64::from(self.useful[slot] == 0) << slot);
        });
    }

    /// The slots of the holders that may be asked for a piece: those on this rank's host where
    /// there are any, else those in its rack, else any, up to the largest distance of the piece.
    fn askable(&self, piece: u32) -> u64 {
        let held = self.held_by[piece as usize];
        let Some(max_distance) = self.max_distance.get(piece as usize) else { return held };
        let [host, rack] = self.near.map(|near| held & near);
        let may_be_far = *max_distance >= Locality::Remote;
        match (host, rack) {
            (0, 0) if may_be_far => held,
            // What the only holder in the rack has sent elsewhere may come back from another rack:
            // else that holder would have to send it a second time.
            (0, rack) if may_be_far && rack.is_power_of_two() && self.promised.get(piece) => held,
            (0, rack) if *max_distance >= Locality::Rack => rack,
            (host, _) => host,
        }
    }

    /// Whether a known holder on this rank's host has a piece.
    pub(crate) fn is_on_host(&self, piece: u32) -> bool {
        self.held_by[piece as usize] & self.near[0] != 0
    }

    /// Gives a slot to a holder at a distance, which has no piece yet.
    pub(crate) fn seat(&mut self, slot: usize, locality: Locality) {
        self.held_at.resize(self.held_at.len().max((slot + 1) * self.rows.len()), 0);
        for (near, level) in self.near.iter_mut().zip([Locality::Host, Locality::Rack]) {
            *near = *near & !(1 << slot) | u64::from(locality == level) << slot;
        }
    }

    /// Takes the largest distance of each piece from the ownership.
    pub(crate) fn limit(&mut self, ownership: &Ownership) {
        let pieces = if ownership.is_limited() { self.pieces } else { 0 };
        self.max_distance = (0..pieces).map(|piece| ownership.max_distance(piece)).collect();
        (self.useful, self.of_use) = ([0; SLOTS], 0);
        let pickable: Vec<u32> = self.pickable().collect();
        for piece in pickable {
            self.count_in(self.askable(piece));
        }
        (self.changed, self.settled) = (true, false);
    }

    /// Whether a piece may be chosen that a known holder has, perhaps none that may be asked.
    pub(crate) fn is_any_known(&self) -> bool {
        if self.max_distance.is_empty() || self.is_empty() {
            return false;
        }
        // What has no known holder is in the first level, so that most rows are passed over.
        let known = |row: usize| self.rows[row].known();
        numbers_in(0..self.pieces, known).any(|piece| self.held_by[piece as usize] != 0)
    }

    /// The number of known holders of a piece.
    pub(crate) fn availability(&self, piece: u32) -> usize {
        let holders = self.held_by[piece as usize].count_ones() as usize;
        holders + usize::from(self.promised.get(piece))
    }

    /// Whether no piece may be chosen.
    pub(crate) fn is_empty(&self) -> bool {
        self.pickable == 0
    }

    /// Whether a piece may be chosen.
    pub(crate) fn is_pickable(&self, piece: u32) -> bool {
        let (row, bit) = bit_of(piece);
        self.rows[row].level(bit).is_some()
    }

    /// The pieces that may be chosen.
    pub(crate) fn pickable(&self) -> impl Iterator<Item = u32> {
        (0..self.pieces).filter(|&piece| self.is_pickable(piece))
    }

    /// Notes that no holder is to be asked, as things stand.
    pub(crate) fn settle(&mut self) {
        self.settled = true;
    }

    /// Notes that a choice that could not be made may be possible now.
    pub(crate) fn wake(&mut self) {
        self.changed = true;
    }

    /// Whether a choice that could not be made may be possible since this was asked last.
    pub(crate) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Chooses what many have before what few have, or the other way round.
    pub(crate) fn set_order(&mut self, order: Order) {
        self.order = order;
    }

    /// Lets a piece be chosen that could not be.
    pub(crate) fn add(&mut self, piece: u32) {
        self.changed = true;
        let (row, bit) = bit_of(piece);
        let level = self.availability(piece).min(COMMON);
        self.rows[row].0[level] |= bit;
        self.pickable += 1;
        self.count_in(self.askable(piece));
    }

    /// Lets a piece that could be chosen no longer be.
    pub(crate) fn remove(&mut self, piece: u32) {
        self.settled = false;
        let (row, bit) = bit_of(piece);
        let level = self.rows[row].level(bit).expect("it could be chosen");
        self.rows[row].0[level] &= !bit;
        self.pickable -= 1;
        self.count_out(self.askable(piece));
    }

    /// Notes that a holder that could not be asked may be worth asking with the next gain.
    pub(crate) fn unsettle(&mut self) {
        self.settled = false;
    }

    /// Counts one more known holder of a piece; says whether that piece may be chosen.
    fn gained(&mut self, piece: u32) -> bool {
        let (row, bit) = bit_of(piece);
        let Some(was) = self.rows[row].level(bit) else { return false };
        if was < COMMON {
            self.rows[row].0[was] &= !bit;
            self.rows[row].0[was + 1] |= bit;
        }
        self.changed |= !self.settled;
        true
    }

    /// Counts a piece that is on its way to another rank, and so about to have one holder more.
    pub(crate) fn promise(&mut self, piece: u32) {
        let before = self.askable(piece);
        if self.promised.insert(piece) && self.gained(piece) {
            // Holders in other racks may have come to be of use.
            let after = self.askable(piece);
            self.changed |= self.count_in(after & !before);
        }
    }

    /// Chooses up to `count` pieces that a holder has, rarest first, each with those that it
    /// travels with, as long as `fits` takes them; says whether `fits` refused any. `joined` says
    /// whether a piece travels with the one before it.
    pub(crate) fn choose(
        &self,
        slot: usize,
        count: usize,
        joined: impl Fn(u32) -> bool,
        mut fits: impl FnMut(Span) -> bool,
    ) -> (Vec<Span>, bool) {
        let askable = |p: u32| self.max_distance.is_empty() || self.askable(p) & 1 << slot != 0;
        let also = |p: u32| self.is_pickable(p) && self.has(slot, p) && askable(p);
        let mut picked: Vec<Span> = Vec::new();
        let mut refused = false;
        'levels: for nth in 1..=COMMON {
            let level = match self.order {
                Order::RarestFirst => nth,
                Order::CommonFirst => COMMON + 1 - nth,
            };
            let of_slot = slot * self.rows.len();
            let of_level = |row: usize| self.rows[row].0[level] & self.held_at[of_slot + row];
            let ahead = numbers_in(self.cursor..self.pieces, of_level);
            let behind = numbers_in(0..self.cursor, of_level);
            for piece in ahead.chain(behind) {
                if !askable(piece) {
                    continue;
                }
                let (mut first, mut last) = (piece, piece);
                while joined(first) && also(first - 1) {
                    first -= 1;
                }
                while last + 1 < self.pieces && joined(last + 1) && also(last + 1) {
                    last += 1;
                }
                let bundle = Span { first, count: last - first + 1 };
                if bundle.count > 1 && picked.contains(&bundle) {
                    continue;
                }
                refused = !fits(bundle);
                if !refused {
                    picked.push(bundle);
                }
                if refused || picked.len() == count {
                    break 'levels;
                }
            }
        }
        (picked, refused)
    }

    /// Lets the next choice begin elsewhere.
    pub(crate) fn move_on(&mut self) {
        self.cursor = self.random.below(self.pieces as usize) as u32;
    }

    /// Panics where something does not hold; for tests and the simulator.
    pub(crate) fn check_invariants(&self) {
        let mut useful = [0; SLOTS];
        for piece in self.pickable() {
            each(self.askable(piece), |slot| useful[slot] += 1);
            let (row, bit) = bit_of(piece);
            let level = self.rows[row].level(bit);
            let availability = self.availability(piece).min(COMMON);
            assert_eq!(level, Some(availability), "piece {piece} is in another level");
        }
        assert_eq!(self.useful, useful, "what is of use is counted");
        let of_use = (0..SLOTS).filter(|&slot| useful[slot] > 0);
        assert_eq!(self.of_use, of_use.fold(0, |all, slot| all | 1 << slot));
        for slot in 0..self.held_at.len() / self.rows.len().max(1) {
            let held = (0..self.pieces).filter(|&piece| self.has(slot, piece));
            assert!(held.eq(self.pieces_in(slot, 0..self.pieces)), "by piece and by slot");
        }
        let in_levels: u32 = self.rows.iter().flat_map(|row| row.0).map(u64::count_ones).sum();
        let pickable: u32 = self.rows.iter().map(|row| row.pickable().count_ones()).sum();
        assert_eq!(in_levels, pickable, "each pickable piece is in one level");
        assert_eq!(self.pickable, pickable, "what may be chosen is counted");
    }
}

/// Does something for each of a set of slots.
fn each(mut slots: u64, mut act: impl FnMut(usize)) {
    while slots != 0 {
        act(slots.trailing_zeros() as usize);
        slots &= slots - 1;
    }
}

#[cfg(test)]
mod tests;
