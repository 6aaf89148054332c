//! The other peers as this one's download role knows them: what each has, and how it behaves.

use super::lag::Lag;
use super::pieces::{PLACES, Picker};
use super::rates;
use super::reach::Reach;
use crate::message::{Nearness, Rate};
use crate::rank::find;
use crate::{Instant, Rank};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// Peers known at once. The tables and the choice cost the same however many peers the job has.
pub(super) const MAX_HOLDERS: usize = PLACES;

/// Pieces of one holder that may fail to verify before it is not asked again.
const MAX_STRIKES: u8 = 3;

/// Requests under way at a holder that is the only one of use: the next are there when the first
/// ends.
const MAX_REQUESTS_AT_ONE: u16 = 4;

/// How many requests may be under way at each of several holders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ahead {
    /// One: a window full of requests at the seeder would leave no room for those who got its
    /// pieces.
    No,
    /// Two: the next waits there while the first is answered, which hides the time that both
    /// messages take on links that are full.
    Yes,
}

/// Nothing waits at a holder from which a piece takes so many times longer than usual: what it has
/// is sooner had elsewhere.
const SLOW_FACTOR: u32 = 4;

/// What makes a holder worse to ask than another: it is to be left to others, how many requests are
/// under way, how far it is, what it has to send to others, its turn.
type Key = (bool, u16, Nearness, u32, bool);

/// How a holder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    /// It let a request time out; nothing new is asked until what is under way has drained.
    Stalled,
    /// It sent too many pieces that do not verify.
    Banned,
}

/// One peer that holds something: what the choice of a holder looks at, so that a line of the cache
/// has several.
#[derive(Debug)]
pub(super) struct Holder {
    /// Whether it runs on this rank's host, or in its rack.
    nearness: Nearness,
    standing: Standing,
    /// Its place in the picker's counts.
    place: u8,
    /// Requests that it has not answered in full.
    requests: u16,
    /// Of those, the ones it has not acknowledged.
    unacknowledged: u16,
}

/// How fast a holder is.
#[derive(Debug, Clone, Copy)]
struct Speed {
    /// When it last acknowledged or sent anything.
    progress: Instant,
    /// How long a piece takes from it, on the average of late; none before the first.
    took: Option<Duration>,
    /// Pieces that it sent.
    sent: u32,
}

impl Speed {
    const UNKNOWN: Self = Self { progress: Instant::ZERO, took: None, sent: 0 };
}

impl Holder {
    fn new(place: u8, nearness: Nearness) -> Self {
        Self { place, nearness, standing: Standing::Good, requests: 0, unacknowledged: 0 }
    }

    /// Requests that it has not answered in full.
    pub(super) fn requests(&self) -> usize {
        self.requests.into()
    }

    /// Requests that it has not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged.into()
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether it has something to pick.
    fn is_useful(&self, picker: &Picker) -> bool {
        picker.of_use() >> self.place & 1 == 1
    }

    /// Whether it has a piece.
    pub(super) fn has(&self, piece: u32, picker: &Picker) -> bool {
        picker.has(self.place(), piece)
    }

    /// Its place in the tables that are kept by place, as long as it is known.
    pub(super) fn place(&self) -> usize {
        usize::from(self.place)
    }
}

/// All known holders.
#[derive(Debug)]
pub(super) struct Holders {
    /// Their ranks, in ascending order, apart from what is known of them: that order is searched
    /// with every message.
    ranks: Vec<Rank>,
    /// What is known of each, in the same order.
    holders: Vec<Holder>,
    /// How fast each is, by place.
    speeds: Vec<Speed>,
    /// Pieces that each has to send to others, as it last said, by place.
    backlogs: [u32; PLACES],
    /// Places that no holder has.
    free: u64,
    /// How many have requests under way.
    busy: usize,
    /// The places of those in good standing, ...
    good: u64,
    /// ... and of those, the ones without a request under way.
    idle: u64,
    /// How long a piece takes from any of them.
    usual: Duration,
    lag: Lag,
    /// Ranks that are gone for good: what they and others still say of them is old.
    lost: BTreeSet<Rank>,
    /// What did not verify, by rank; kept where a holder loses its place.
    strikes: BTreeMap<Rank, u8>,
    /// Where the choice among equals begins; moves on with every choice.
    turn: Rank,
}

impl Holders {
    pub(super) fn new(own: Rank) -> Self {
        Self {
            ranks: Vec::new(),
            holders: Vec::new(),
            speeds: Vec::new(),
            backlogs: [0; PLACES],
            free: u64::MAX,
            busy: 0,
            good: 0,
            idle: 0,
            usual: Duration::ZERO,
            lag: Lag::new(),
            lost: BTreeSet::new(),
            strikes: BTreeMap::new(),
            turn: own,
        }
    }

    fn position(&self, rank: Rank) -> Option<usize> {
        find(&self.ranks, rank).ok()
    }

    pub(super) fn get(&self, rank: Rank) -> Option<&Holder> {
        self.position(rank).map(|at| &self.holders[at])
    }

    fn get_mut(&mut self, rank: Rank) -> Option<&mut Holder> {
        self.position(rank).map(|at| &mut self.holders[at])
    }

    /// How a holder stands, or what is under way at it, is different now.
    fn note(&mut self, at: usize) {
        let Holder { place, standing, requests, .. } = self.holders[at];
        let is_good = standing == Standing::Good;
        let put = |places: u64, is_in: bool| places & !(1 << place) | u64::from(is_in) << place;
        self.good = put(self.good, is_good);
        self.idle = put(self.idle, is_good && requests == 0);
    }

    /// When a holder last acknowledged or sent anything.
    pub(super) fn progress(&self, rank: Rank) -> Option<Instant> {
        self.get(rank).map(|holder| self.speeds[holder.place()].progress)
    }

    /// A holder let a request time out.
    pub(super) fn stall(&mut self, rank: Rank) {
        let Some(at) = self.position(rank) else { return };
        if self.holders[at].standing == Standing::Good {
            self.holders[at].standing = Standing::Stalled;
            self.note(at);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Rank, &Holder)> {
        self.ranks.iter().copied().zip(&self.holders)
    }

    /// Pieces that the holder at a place has to send to others, as it last said.
    pub(super) fn backlog_at(&self, place: usize) -> u32 {
        self.backlogs[place]
    }

    /// A rank says how many pieces it has to send to others.
    pub(super) fn note_backlog(&mut self, rank: Rank, backlog: u32) {
        if let Some(place) = self.get(rank).map(Holder::place) {
            self.backlogs[place] = backlog;
        }
    }

    /// A holder is asked for pieces; gives its place.
    pub(super) fn asked(&mut self, rank: Rank) -> usize {
        let at = self.position(rank).expect("only holders are asked");
        let holder = &mut self.holders[at];
        self.busy += usize::from(holder.requests == 0);
        holder.requests += 1;
        holder.unacknowledged += 1;
        let place = holder.place();
        self.note(at);
        place
    }

    /// A holder acknowledged a request.
    pub(super) fn acknowledged(&mut self, rank: Rank, now: Instant, backlog: u32) -> bool {
        let Some(holder) = self.get_mut(rank) else { return false };
        holder.unacknowledged -= 1;
        let place = holder.place();
        self.speeds[place].progress = now;
        self.backlogs[place] = backlog;
        true
    }

    /// Looks who falls behind; `own`: pieces that this rank got. Says whether it is this one.
    pub(super) fn look(&mut self, own: u32) -> bool {
        self.lag.look(own);
        self.lag.falls_behind()
    }

    /// A holder sent a piece.
    pub(super) fn sent(&mut self, rank: Rank, now: Instant) {
        let Some(place) = self.get(rank).map(Holder::place) else { return };
        let speed = &mut self.speeds[place];
        let took = now.since(speed.progress);
        speed.progress = now;
        speed.sent += 1;
        speed.took = Some(speed.took.map_or(took, |before| (before * 3 + took) / 4));
        self.usual = (self.usual * 15 + took) / 16;
    }

    /// How long a piece takes from each holder of another host that is known well enough.
    pub(super) fn rates(&self) -> Vec<Rate> {
        let elsewhere = self.iter().filter(|(_, holder)| holder.nearness != Nearness::Host);
        let speeds = elsewhere.map(|(rank, holder)| (rank, self.speeds[holder.place()]));
        let known = speeds.filter(|(_, speed)| speed.sent >= rates::ENOUGH);
        let micros = |took: Duration| u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let rates = known.filter_map(|(rank, it)| Some(Rate { rank, micros: micros(it.took?) }));
        rates.take(Rate::MAX_TOLD).collect()
    }

    /// This rank stands elsewhere: so do all others, seen from it.
    pub(super) fn seat_anew(&mut self, reach: &Reach, picker: &mut Picker) {
        for (&rank, holder) in self.ranks.iter().zip(&mut self.holders) {
            holder.nearness = reach.nearness(rank);
            picker.seat(holder.place(), holder.nearness);
        }
    }

    /// A holder answered a request in full.
    pub(super) fn answered(&mut self, rank: Rank) {
        let Some(at) = self.position(rank) else { return };
        let holder = &mut self.holders[at];
        holder.requests -= 1;
        if holder.requests == 0 {
            self.busy -= 1;
            if holder.standing == Standing::Stalled {
                holder.standing = Standing::Good;
            }
            self.note(at);
        }
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
        nearness: Nearness,
        ranges: impl Iterator<Item = Range<u32>>,
        picker: &mut Picker,
    ) -> bool {
        if self.is_lost(rank) || self.is_banned(rank) {
            return false;
        }
        let mut is_new = false;
        let at = match find(&self.ranks, rank) {
            Ok(at) => at,
            Err(_) if self.holders.len() >= MAX_HOLDERS && !self.evict(picker) => return false,
            Err(_) => {
                let at = self.ranks.partition_point(|&other| other < rank);
                let place = self.free.trailing_zeros() as u8;
                self.free &= self.free - 1;
                self.backlogs[usize::from(place)] = 0;
                self.begin_speed(place.into());
                picker.seat(place.into(), nearness);
                self.ranks.insert(at, rank);
                self.holders.insert(at, Holder::new(place, nearness));
                self.note(at);
                is_new = true;
                at
            }
        };
        let place = self.holders[at].place();
        let mut news = false;
        for piece in ranges.flatten() {
            if !picker.has(place, piece) {
                picker.gained_by(place, piece);
                self.lag.gained(place);
                news = true;
            }
        }
        if is_new {
            self.lag.seat(place);
        }
        news
    }

    /// A holder takes a place, the lowest that is free.
    fn begin_speed(&mut self, place: usize) {
        match self.speeds.get_mut(place) {
            Some(speed) => *speed = Speed::UNKNOWN,
            None => self.speeds.push(Speed::UNKNOWN),
        }
    }

    fn evict(&mut self, picker: &mut Picker) -> bool {
        let useless = |holder: &Holder| holder.requests == 0 && !holder.is_useful(picker);
        let victim = self.holders.iter().position(useless);
        victim.map(|at| self.forget(self.ranks[at], picker)).is_some()
    }

    /// A peer no longer has a piece.
    pub(super) fn unlearn(&mut self, rank: Rank, piece: u32, picker: &mut Picker) {
        if let Some(place) = self.get(rank).map(Holder::place)
            && picker.has(place, piece)
        {
            picker.lost_by(place, piece);
        }
    }

    /// A peer is gone for good.
    pub(super) fn lose(&mut self, rank: Rank, picker: &mut Picker) {
        self.lost.insert(rank);
        self.forget(rank, picker);
    }

    /// A peer is not worth its place.
    fn forget(&mut self, rank: Rank, picker: &mut Picker) {
        if let Some(at) = self.position(rank) {
            self.ranks.remove(at);
            let holder = self.holders.remove(at);
            self.busy -= usize::from(holder.requests > 0);
            self.free |= 1 << holder.place;
            self.good &= !(1 << holder.place);
            self.idle &= !(1 << holder.place);
            picker.lost_all(holder.place());
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
        if let Some(at) = self.position(rank) {
            self.holders[at].standing = Standing::Banned;
            self.note(at);
            picker.lost_all(self.holders[at].place());
        }
        true
    }

    /// How many holders have requests under way.
    pub(super) fn busy_count(&self) -> usize {
        self.busy
    }

    /// The holder to ask next, and among how many the window is to be shared: one that has
    /// something to pick, those with the fewest requests under way first, near ones, those with the
    /// least to send to others, in turn.
    pub(super) fn next(&mut self, picker: &Picker, ahead: Ahead) -> Option<(Rank, usize)> {
        let of_use = picker.of_use() & self.good;
        let is_only_one = of_use.is_power_of_two();
        // Nearly always whoever is of use is asked already, and then nobody need be looked at.
        if of_use == 0 || (ahead == Ahead::No && of_use & self.idle == 0 && !is_only_one) {
            return None;
        }
        let most = if ahead == Ahead::Yes { 2 } else { 1 };
        let turn = self.turn;
        let mut sharing = 0;
        let mut best: Option<(Key, Rank)> = None;
        let good = |holder: &Holder| holder.standing == Standing::Good;
        let all = self.ranks.iter().zip(&self.holders);
        for (&rank, holder) in all.filter(|(_, holder)| good(holder)) {
            let backlog = self.backlogs[holder.place()];
            let took = || self.speeds[holder.place()].took;
            let is_slow = || took().is_none_or(|took| took > self.usual * SLOW_FACTOR);
            // One that is slow, or may be, has enough to do with one.
            let has_enough = ahead == Ahead::Yes && holder.requests > 0 && is_slow();
            let requests = if has_enough { holder.requests.max(most) } else { holder.requests };
            let leave = self.lag.leaves(holder.place());
            let key = (leave, requests, holder.nearness, backlog, rank <= turn);
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
        let ((_, requests, ..), rank) = best?;
        if requests >= most && !is_only_one {
            return None;
        }
        self.turn = rank;
        Some((rank, sharing))
    }

    /// A holder that surely knows the hashes of these pieces, for it serves one of them; another
    /// one than was asked before, where there is one.
    pub(super) fn knowing(
        &self,
        pieces: Range<u32>,
        before: Option<Rank>,
        picker: &Picker,
    ) -> Option<Rank> {
        let knows = |holder: &Holder| {
            let any = || picker.pieces_in(holder.place(), pieces.clone()).next().is_some();
            holder.standing != Standing::Banned && any()
        };
        let knowing = self.iter().filter(|(_, holder)| knows(holder));
        let best = match before {
            None => knowing.min_by_key(|(rank, holder)| (holder.nearness, holder.requests, *rank)),
            // All get their turn, in order of the ranks.
            Some(before) => knowing.min_by_key(|(rank, _)| (*rank <= before, *rank)),
        };
        best.map(|(rank, _)| rank)
    }

    /// What must always hold; for tests and the simulator.
    pub(super) fn check_invariants(&self) {
        assert!(self.ranks.is_sorted() && self.ranks.len() == self.holders.len());
        assert_eq!(self.free.count_zeros() as usize, self.holders.len(), "each has its place");
        assert_eq!(self.busy, self.holders.iter().filter(|holder| holder.requests > 0).count());
        let places = |which: &dyn Fn(&&Holder) -> bool| {
            self.holders.iter().filter(which).fold(0, |all, holder| all | 1 << holder.place)
        };
        let is_good = |holder: &&Holder| holder.standing == Standing::Good;
        assert_eq!(self.good, places(&is_good));
        assert_eq!(self.idle, places(&|holder| is_good(holder) && holder.requests == 0));
    }
}

#[cfg(test)]
mod tests;
