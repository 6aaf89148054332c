//! Chooses which piece to ask from whom: rarest first, ties broken differently on every rank.
//!
//! Each rank begins at its own place in the row of all pieces, so that at the start every rank
//! pulls a different part from the only seeder, and then at random places, so that ranks that
//! have pulled alike do not go on in step. Pieces lie in one set for each number of known holders;
//! a choice is an intersection of sets, 64 pieces a step.

use crate::message::Nearness;
use crate::peer::reach::Reach;
use crate::random::Random;
use content::{Bitfield, Span, numbers_in};
use std::ops::Range;

/// Pieces with this many known holders, or more, are equally common.
const COMMON: usize = 7;

/// Holders are told apart by so many places, one bit each.
pub(in crate::peer) const PLACES: usize = u64::BITS as usize;

/// The pieces that are wanted, and that nobody is asked for at the moment.
#[derive(Debug)]
pub(in crate::peer) struct Picker {
    /// Pickable pieces by their number of known holders, 64 pieces a row.
    rows: Vec<Row>,
    /// How many pieces may be chosen.
    pickable: u32,
    pieces: u32,
    /// Where the next choice begins.
    cursor: u32,
    /// Pieces that were sent to others, as their holders said; they count as one holder more.
    promised: Bitfield,
    /// Whether a choice that could not be made may be possible now.
    changed: bool,
    /// The last choice found no holder to ask, and since then no piece went from any: only a holder
    /// that comes to have something to pick can change that.
    settled: bool,
    /// For each piece, the places of the holders that have it.
    held_by: Vec<u64>,
    /// The same by place, for the choice looks at the pieces of one: 64 pieces a word.
    held_at: Vec<u64>,
    /// For each holder's place, how many of its pieces may be chosen: kept, for to look for them
    /// costs.
    useful: [u32; PLACES],
    /// The places where that is not 0.
    of_use: u64,
    /// For each piece, how far a holder may be that is asked for it; empty where any may be.
    reach: Vec<Nearness>,
    /// The places of the holders on this rank's host, and of those in its rack.
    near: [u64; 2],
    random: Random,
    /// What many have is chosen before what few have.
    common_first: bool,
}

/// The order in which pieces are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peer) enum Order {
    /// What few have first.
    RarestFirst,
    /// What many have first.
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

    /// What may be chosen and has known holders, or is promised.
    fn known(&self) -> u64 {
        self.0[1..].iter().fold(0, |all, level| all | level)
    }

    /// All that may be chosen.
    fn pickable(&self) -> u64 {
        self.0.iter().fold(0, |all, level| all | level)
    }
}

/// The row of a piece, and its bit there.
fn place_of(piece: u32) -> (usize, u64) {
    ((piece / u64::BITS) as usize, 1 << (piece % u64::BITS))
}

impl Picker {
    /// A picker over `pieces` pieces without any that is wanted; the first choice begins at
    /// `cursor`, the others where `seed` says.
    pub(in crate::peer) fn new(pieces: u32, cursor: u32, seed: u64) -> Self {
        Self {
            rows: vec![Row::default(); pieces.div_ceil(u64::BITS) as usize],
            pickable: 0,
            pieces,
            promised: Bitfield::new(pieces),
            changed: true,
            settled: false,
            held_by: vec![0; pieces as usize],
            held_at: Vec::new(),
            useful: [0; PLACES],
            of_use: 0,
            reach: Vec::new(),
            near: [0; 2],
            random: Random::new(seed),
            common_first: false,
            cursor: if pieces == 0 { 0 } else { cursor % pieces },
        }
    }

    /// The places of the holders that have pieces which may be chosen.
    pub(in crate::peer) fn of_use(&self) -> u64 {
        self.of_use
    }

    /// Whether the holder at a place has a piece.
    pub(in crate::peer) fn has(&self, place: usize, piece: u32) -> bool {
        self.held_by[piece as usize] >> place & 1 == 1
    }

    /// The pieces of a range that the holder at a place has.
    pub(in crate::peer) fn pieces_in(
        &self,
        place: usize,
        range: Range<u32>,
    ) -> impl Iterator<Item = u32> {
        numbers_in(range, move |row| self.held_at[place * self.rows.len() + row])
    }

    /// The holder at a place has nothing any more.
    pub(in crate::peer) fn lost_all(&mut self, place: usize) {
        let pieces: Vec<u32> = self.pieces_in(place, 0..self.pieces).collect();
        pieces.into_iter().for_each(|piece| self.lost_by(place, piece));
    }

    /// The holder at a place has one more piece.
    pub(in crate::peer) fn gained_by(&mut self, place: usize, piece: u32) {
        let before = self.askable(piece);
        self.held_by[piece as usize] |= 1 << place;
        let (row, bit) = place_of(piece);
        self.held_at[place * self.rows.len() + row] |= bit;
        if self.gained(piece) {
            let after = self.askable(piece);
            self.count_out(before & !after);
            self.changed |= self.count_in(after & !before);
        }
    }

    /// The holder at a place has one piece fewer.
    pub(in crate::peer) fn lost_by(&mut self, place: usize, piece: u32) {
        let before = self.askable(piece);
        self.held_by[piece as usize] &= !(1 << place);
        self.settled = false;
        let (row, bit) = place_of(piece);
        self.held_at[place * self.rows.len() + row] &= !bit;
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

    /// One piece more may be chosen of the holders at these places; says whether one of them came
    /// to be of use.
    fn count_in(&mut self, places: u64) -> bool {
        each(places, |place| self.useful[place] += 1);
        let new = places & !self.of_use;
        self.of_use |= new;
        new != 0
    }

    /// One piece fewer may be chosen of the holders at these places.
    fn count_out(&mut self, places: u64) {
        each(places, |place| {
            self.useful[place] -= 1;
            self.of_use &= !(u64::from(self.useful[place] == 0) << place);
        });
    }

    /// The places of the holders that may be asked for a piece: those on this rank's host where
    /// there are any, else those in its rack, else any, as far as this rank's reach goes.
    fn askable(&self, piece: u32) -> u64 {
        let held = self.held_by[piece as usize];
        let Some(reach) = self.reach.get(piece as usize) else { return held };
        let [host, rack] = self.near.map(|near| held & near);
        let is_far = *reach >= Nearness::Far;
        match (host, rack) {
            (0, 0) if is_far => held,
            // What the only holder in the rack has sent elsewhere may come back from another rack:
            // else that holder would have to send it a second time.
            (0, rack) if is_far && rack.is_power_of_two() && self.promised.get(piece) => held,
            (0, rack) if *reach >= Nearness::Rack => rack,
            (host, _) => host,
        }
    }

    /// Whether a known holder on this rank's host has a piece.
    pub(in crate::peer) fn is_on_host(&self, piece: u32) -> bool {
        self.held_by[piece as usize] & self.near[0] != 0
    }

    /// The holder at a place, which has none yet, is so near.
    pub(in crate::peer) fn seat(&mut self, place: usize, nearness: Nearness) {
        self.held_at.resize(self.held_at.len().max((place + 1) * self.rows.len()), 0);
        for (near, level) in self.near.iter_mut().zip([Nearness::Host, Nearness::Rack]) {
            *near = *near & !(1 << place) | u64::from(nearness == level) << place;
        }
    }

    /// Pieces are asked for only from so far.
    pub(in crate::peer) fn limit(&mut self, reach: &Reach) {
        let pieces = if reach.is_limited() { self.pieces } else { 0 };
        self.reach = (0..pieces).map(|piece| reach.of(piece)).collect();
        (self.useful, self.of_use) = ([0; PLACES], 0);
        let pickable: Vec<u32> = self.pickable().collect();
        for piece in pickable {
            self.count_in(self.askable(piece));
        }
        (self.changed, self.settled) = (true, false);
    }

    /// Whether a piece may be chosen that a known holder has, perhaps none that may be asked.
    pub(in crate::peer) fn is_any_known(&self) -> bool {
        if self.reach.is_empty() || self.is_empty() {
            return false;
        }
        // What has no known holder is in the first level, so that most rows are passed over.
        let known = |row: usize| self.rows[row].known();
        numbers_in(0..self.pieces, known).any(|piece| self.held_by[piece as usize] != 0)
    }

    /// How many known holders have a piece.
    pub(in crate::peer) fn availability(&self, piece: u32) -> usize {
        let holders = self.held_by[piece as usize].count_ones() as usize;
        holders + usize::from(self.promised.get(piece))
    }

    /// Whether no piece may be chosen.
    pub(in crate::peer) fn is_empty(&self) -> bool {
        self.pickable == 0
    }

    /// Whether a piece may be chosen.
    pub(in crate::peer) fn is_pickable(&self, piece: u32) -> bool {
        let (row, bit) = place_of(piece);
        self.rows[row].level(bit).is_some()
    }

    /// The pieces that may be chosen.
    pub(in crate::peer) fn pickable(&self) -> impl Iterator<Item = u32> {
        (0..self.pieces).filter(|&piece| self.is_pickable(piece))
    }

    /// No holder is to be asked, as things stand.
    pub(in crate::peer) fn settle(&mut self) {
        self.settled = true;
    }

    /// A choice that could not be made may be possible now.
    pub(in crate::peer) fn wake(&mut self) {
        self.changed = true;
    }

    /// Whether a choice that could not be made may be possible since this was asked last.
    pub(in crate::peer) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Chooses what many have before what few have, or the other way round.
    pub(in crate::peer) fn set_order(&mut self, order: Order) {
        self.common_first = order == Order::CommonFirst;
    }

    /// Lets a piece be chosen that could not be.
    pub(in crate::peer) fn add(&mut self, piece: u32) {
        self.changed = true;
        let (row, bit) = place_of(piece);
        let level = self.availability(piece).min(COMMON);
        self.rows[row].0[level] |= bit;
        self.pickable += 1;
        self.count_in(self.askable(piece));
    }

    /// Lets a piece that could be chosen no longer be.
    pub(in crate::peer) fn remove(&mut self, piece: u32) {
        self.settled = false;
        let (row, bit) = place_of(piece);
        let level = self.rows[row].level(bit).expect("it could be chosen");
        self.rows[row].0[level] &= !bit;
        self.pickable -= 1;
        self.count_out(self.askable(piece));
    }

    /// A holder that could not be asked may be worth asking with the next gain.
    pub(in crate::peer) fn unsettle(&mut self) {
        self.settled = false;
    }

    /// One more known holder has a piece; says whether that piece may be chosen.
    fn gained(&mut self, piece: u32) -> bool {
        let (row, bit) = place_of(piece);
        let Some(was) = self.rows[row].level(bit) else { return false };
        if was < COMMON {
            self.rows[row].0[was] &= !bit;
            self.rows[row].0[was + 1] |= bit;
        }
        self.changed |= !self.settled;
        true
    }

    /// A piece is on its way to another rank: it is about to have one holder more.
    pub(in crate::peer) fn promise(&mut self, piece: u32) {
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
    pub(in crate::peer) fn choose(
        &self,
        place: usize,
        count: usize,
        joined: impl Fn(u32) -> bool,
        mut fits: impl FnMut(Span) -> bool,
    ) -> (Vec<Span>, bool) {
        let askable = |p: u32| self.reach.is_empty() || self.askable(p) & 1 << place != 0;
        let also = |p: u32| self.is_pickable(p) && self.has(place, p) && askable(p);
        let mut picked: Vec<Span> = Vec::new();
        let mut refused = false;
        'levels: for nth in 1..=COMMON {
            let level = if self.common_first { COMMON + 1 - nth } else { nth };
            let of_place = place * self.rows.len();
            let of_level = |row: usize| self.rows[row].0[level] & self.held_at[of_place + row];
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

    /// The next choice begins elsewhere.
    pub(in crate::peer) fn move_on(&mut self) {
        self.cursor = self.random.below(self.pieces as usize) as u32;
    }

    /// What must always hold; for tests and the simulator.
    pub(in crate::peer) fn check_invariants(&self) {
        let mut useful = [0; PLACES];
        for piece in self.pickable() {
            each(self.askable(piece), |place| useful[place] += 1);
            let (row, bit) = place_of(piece);
            let level = self.rows[row].level(bit);
            let availability = self.availability(piece).min(COMMON);
            assert_eq!(level, Some(availability), "piece {piece} is in another level");
        }
        assert_eq!(self.useful, useful, "what is of use is counted");
        let of_use = (0..PLACES).filter(|&place| useful[place] > 0);
        assert_eq!(self.of_use, of_use.fold(0, |all, place| all | 1 << place));
        for place in 0..self.held_at.len() / self.rows.len().max(1) {
            let held = (0..self.pieces).filter(|&piece| self.has(place, piece));
            assert!(held.eq(self.pieces_in(place, 0..self.pieces)), "by piece and by place");
        }
        let in_levels: u32 = self.rows.iter().flat_map(|row| row.0).map(u64::count_ones).sum();
        let pickable: u32 = self.rows.iter().map(|row| row.pickable().count_ones()).sum();
        assert_eq!(in_levels, pickable, "each pickable piece is in one level");
        assert_eq!(self.pickable, pickable, "what may be chosen is counted");
    }
}

/// Does something for each of a set of places.
fn each(mut places: u64, mut act: impl FnMut(usize)) {
    while places != 0 {
        act(places.trailing_zeros() as usize);
        places &= places - 1;
    }
}

#[cfg(test)]
mod tests;
