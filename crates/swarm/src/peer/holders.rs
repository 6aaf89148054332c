//! The other peers as this one's download role knows them: what each has, and how it behaves.

use super::picker::Picker;
use crate::{Instant, Rank};
use content::Bitfield;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Peers known at once. The tables and the choice cost the same however many peers the job has.
pub(super) const MAX_HOLDERS: usize = 64;

/// Pieces of one holder that may fail to verify before it is not asked again.
const MAX_STRIKES: u8 = 3;

/// Requests under way at a holder that is the only one of use: the next are there when the first
/// ends.
const MAX_REQUESTS_AT_ONE: usize = 4;

/// Requests under way at each of several: a window full of requests at the seeder would leave no
/// room for those who got its pieces.
const MAX_REQUESTS_EACH: usize = 1;

/// How a holder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// It let a request time out; nothing new is asked until what is under way has drained.
    Stalled,
    /// It sent too many pieces that do not verify.
    Banned,
}

/// One peer that holds something.
#[derive(Debug)]
pub(super) struct Holder {
    /// Whether it runs on this rank's host.
    pub(super) near: bool,
    pub(super) pieces: Bitfield,
    pub(super) standing: Standing,
    /// Requests that it has not answered in full.
    pub(super) requests: usize,
    /// Of those, the ones it has not acknowledged.
    pub(super) unacknowledged: usize,
    /// Pieces that it has to send to others, as it last said.
    pub(super) backlog: u32,
    /// It had nothing to pick when the picker had taken in so many pieces, and got none since.
    barren: Option<u64>,
    /// When it last acknowledged or sent anything.
    pub(super) progress: Instant,
}

impl Holder {
    /// Whether it has something to pick. That it has not is remembered: looking costs.
    fn is_useful(&mut self, picker: &Picker) -> bool {
        if self.barren == Some(picker.taken_in()) {
            return false;
        }
        let useful = self.pieces.intersects(picker.pickable());
        self.barren = (!useful).then(|| picker.taken_in());
        useful
    }
}

/// All known holders.
#[derive(Debug)]
pub(super) struct Holders {
    holders: BTreeMap<Rank, Holder>,
    /// Ranks that are gone for good: what they and others still say of them is old.
    lost: BTreeSet<Rank>,
    /// What did not verify, by rank; kept where a holder loses its place.
    strikes: BTreeMap<Rank, u8>,
    pieces: u32,
    /// Where the choice among equals begins; moves on with every choice.
    turn: Rank,
}

impl Holders {
    pub(super) fn new(pieces: u32, own: Rank) -> Self {
        Self {
            holders: BTreeMap::new(),
            lost: BTreeSet::new(),
            strikes: BTreeMap::new(),
            pieces,
            turn: own,
        }
    }

    pub(super) fn get(&self, rank: Rank) -> Option<&Holder> {
        self.holders.get(&rank)
    }

    pub(super) fn get_mut(&mut self, rank: Rank) -> Option<&mut Holder> {
        self.holders.get_mut(&rank)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Rank, &Holder)> {
        self.holders.iter().map(|(&rank, holder)| (rank, holder))
    }

    /// Whether a rank is gone for good.
    pub(super) fn is_lost(&self, rank: Rank) -> bool {
        self.lost.contains(&rank)
    }

    fn is_banned(&self, rank: Rank) -> bool {
        self.strikes.get(&rank).is_some_and(|&strikes| strikes >= MAX_STRIKES)
    }

    /// Ranks that are not asked any more.
    pub(super) fn banned(&self) -> impl Iterator<Item = Rank> + '_ {
        self.strikes.keys().copied().filter(|&rank| self.is_banned(rank))
    }

    /// A peer has these pieces; says whether any is news. A new peer beyond the bound takes the
    /// place of one that has nothing to pick, or is left out.
    pub(super) fn learn(
        &mut self,
        rank: Rank,
        near: bool,
        ranges: &[Range<u32>],
        picker: &mut Picker,
    ) -> bool {
        if self.is_lost(rank) || self.is_banned(rank) {
            return false;
        }
        if !self.holders.contains_key(&rank) {
            if self.holders.len() >= MAX_HOLDERS && !self.evict(picker) {
                return false;
            }
            let holder = Holder {
                near,
                pieces: Bitfield::new(self.pieces),
                standing: Standing::Good,
                requests: 0,
                unacknowledged: 0,
                backlog: 0,
                barren: None,
                progress: Instant::ZERO,
            };
            self.holders.insert(rank, holder);
        }
        let holder = self.holders.get_mut(&rank).expect("just made");
        let mut news = false;
        for piece in ranges.iter().cloned().flatten() {
            if holder.pieces.insert(piece) {
                holder.barren = None;
                picker.gained(piece);
                news = true;
            }
        }
        news
    }

    fn evict(&mut self, picker: &mut Picker) -> bool {
        let useless =
            |holder: &Holder| holder.requests == 0 && !holder.pieces.intersects(picker.pickable());
        let victim = self.holders.iter().find(|(_, holder)| useless(holder)).map(|(&rank, _)| rank);
        victim.map(|rank| self.forget(rank, picker)).is_some()
    }

    /// A peer no longer has a piece.
    pub(super) fn unlearn(&mut self, rank: Rank, piece: u32, picker: &mut Picker) {
        if let Some(holder) = self.holders.get_mut(&rank)
            && holder.pieces.remove(piece)
        {
            picker.lost(piece);
        }
    }

    /// A peer is gone for good.
    pub(super) fn lose(&mut self, rank: Rank, picker: &mut Picker) {
        self.lost.insert(rank);
        self.forget(rank, picker);
    }

    /// A peer is not worth its place.
    fn forget(&mut self, rank: Rank, picker: &mut Picker) {
        if let Some(holder) = self.holders.remove(&rank) {
            holder.pieces.iter().for_each(|piece| picker.lost(piece));
        }
    }

    /// A peer sent something that does not verify; says whether it is not asked again from now on.
    pub(super) fn strike(&mut self, rank: Rank, picker: &mut Picker) -> bool {
        if self.is_lost(rank) || self.is_banned(rank) {
            return false;
        }
        *self.strikes.entry(rank).or_default() += 1;
        if !self.is_banned(rank) {
            return false;
        }
        if let Some(holder) = self.holders.get_mut(&rank) {
            holder.standing = Standing::Banned;
            let pieces = std::mem::replace(&mut holder.pieces, Bitfield::new(self.pieces));
            pieces.iter().for_each(|piece| picker.lost(piece));
        }
        true
    }

    /// How many holders have requests under way.
    pub(super) fn busy_count(&self) -> usize {
        self.holders.values().filter(|holder| holder.requests > 0).count()
    }

    /// The holder to ask next, and among how many the window is to be shared: one that has
    /// something to pick, those with the fewest requests under way first, near ones, those with the
    /// least to send to others, in turn.
    pub(super) fn next(&mut self, picker: &Picker) -> Option<(Rank, usize)> {
        if picker.pickable().is_empty() {
            return None;
        }
        let turn = self.turn;
        let mut sharing = 0;
        let mut best: Option<((usize, bool, u32, bool), Rank)> = None;
        let good = |holder: &Holder| holder.standing == Standing::Good;
        for (&rank, holder) in self.holders.iter_mut().filter(|(_, holder)| good(holder)) {
            let key = (holder.requests, !holder.near, holder.backlog, rank <= turn);
            let open = holder.unacknowledged == 0 && holder.requests < MAX_REQUESTS_AT_ONE;
            let better = best.is_none_or(|(least, _)| key < least);
            // Looking at pieces is what costs: of those that are no better it is not asked.
            if !(open && better) {
                sharing += 1;
            } else if holder.is_useful(picker) {
                sharing += 1;
                best = Some((key, rank));
            }
        }
        let ((requests, ..), rank) = best?;
        if requests >= MAX_REQUESTS_EACH {
            let all = self.holders.values_mut();
            let mut useful = all.map(|h| good(h) && h.is_useful(picker)).filter(|&useful| useful);
            if useful.nth(1).is_some() {
                return None;
            }
        }
        self.turn = rank;
        Some((rank, sharing))
    }

    /// A holder that surely knows the hashes of these pieces, for it serves one of them; another
    /// one than was asked before, where there is one.
    pub(super) fn knowing(&self, pieces: Range<u32>, before: Option<Rank>) -> Option<Rank> {
        let knows = |holder: &Holder| {
            holder.standing != Standing::Banned && holder.pieces.count_in(pieces.clone()) > 0
        };
        let knowing = self.holders.iter().filter(|(_, holder)| knows(holder));
        let best = match before {
            None => knowing.min_by_key(|(rank, holder)| (!holder.near, holder.requests, **rank)),
            // All get their turn, in order of the ranks.
            Some(before) => knowing.min_by_key(|(rank, _)| (**rank <= before, **rank)),
        };
        best.map(|(&rank, _)| rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(holders: &mut Holders, picker: &mut Picker, rank: u32, pieces: Range<u32>) -> bool {
        holders.learn(Rank(rank), false, std::slice::from_ref(&pieces), picker)
    }

    #[test]
    fn a_new_holder_takes_the_place_of_one_with_nothing_to_pick() {
        let mut picker = Picker::new(4, 0, 1);
        let mut holders = Holders::new(4, Rank(0));
        picker.add(1);
        for rank in 0..MAX_HOLDERS as u32 {
            assert!(learn(&mut holders, &mut picker, rank, 1..2));
        }
        assert!(!learn(&mut holders, &mut picker, 100, 1..2), "all of them are of use");
        learn(&mut holders, &mut picker, 5, 0..1);
        holders.unlearn(Rank(5), 1, &mut picker);
        holders.get_mut(Rank(5)).unwrap().requests = 1;
        assert!(!learn(&mut holders, &mut picker, 100, 1..2), "one has a request to answer");
        holders.get_mut(Rank(5)).unwrap().requests = 0;
        assert!(learn(&mut holders, &mut picker, 100, 1..2));
        assert!(holders.get(Rank(5)).is_none());
        picker.check_invariants();
    }

    #[test]
    fn strikes_are_remembered_where_a_holder_loses_its_place() {
        let mut picker = Picker::new(4, 0, 1);
        let mut holders = Holders::new(4, Rank(0));
        learn(&mut holders, &mut picker, 1, 0..4);
        assert!(!holders.strike(Rank(1), &mut picker));
        holders.forget(Rank(1), &mut picker);
        learn(&mut holders, &mut picker, 1, 0..4);
        assert!(!holders.strike(Rank(1), &mut picker));
        assert!(holders.strike(Rank(1), &mut picker));
        assert!(!learn(&mut holders, &mut picker, 1, 0..4));
        picker.check_invariants();
    }

    #[test]
    fn hashes_are_asked_of_the_next_holder_where_one_does_not_answer() {
        let mut picker = Picker::new(4, 0, 1);
        let mut holders = Holders::new(4, Rank(0));
        for rank in 1..4 {
            learn(&mut holders, &mut picker, rank, 0..4);
        }
        let mut before = None;
        let asked = std::iter::from_fn(|| {
            before = holders.knowing(0..4, before);
            before
        });
        let asked: Vec<u32> = asked.take(4).map(|rank| rank.0).collect();
        assert_eq!(asked, [1, 2, 3, 1]);
    }
}
