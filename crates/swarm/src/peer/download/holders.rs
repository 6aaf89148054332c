//! The other peers as this one's download role knows them: what each has, and how it behaves.

use super::rates;
use crate::message::Rate;
use crate::rank::find;
use crate::schedule::holder_choice::{self, Candidate};
use crate::schedule::{Ahead, Locality, Ownership, Picker, SLOTS, Straggler};
use crate::{Instant, Rank};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// Peers known at once. The tables and the choice cost the same however many peers the job has.
pub(super) const MAX_HOLDERS: usize = SLOTS;

/// Pieces of one holder that may fail to verify before it is not asked again.
const MAX_STRIKES: u8 = 3;

/// Nothing waits at a holder from which a piece takes so many times longer than usual: what it has
/// is sooner had elsewhere.
const SLOW_FACTOR: u32 = 4;

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
    locality: Locality,
    standing: Standing,
    /// Its slot in the picker's counts.
    slot: u8,
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
    fn new(slot: u8, locality: Locality) -> Self {
        Self { slot, locality, standing: Standing::Good, requests: 0, unacknowledged: 0 }
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
        picker.of_use() >> self.slot & 1 == 1
    }

    /// Whether it has a piece.
    pub(super) fn has(&self, piece: u32, picker: &Picker) -> bool {
        picker.has(self.slot(), piece)
    }

    /// Its slot in the tables that are kept by slot, as long as it is known.
    pub(super) fn slot(&self) -> usize {
        usize::from(self.slot)
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
    /// How fast each is, by slot.
    speeds: Vec<Speed>,
    /// Pieces that each has to send to others, as it last said, by slot.
    backlogs: [u32; SLOTS],
    /// Places that no holder has.
    free: u64,
    /// How many have requests under way.
    busy: usize,
    /// The slots of those in good standing, ...
    good: u64,
    /// ... and of those, the ones without a request under way.
    idle: u64,
    /// How long a piece takes from any of them.
    usual: Duration,
    straggler: Straggler,
    /// Ranks that are gone for good: what they and others still say of them is old.
    lost: BTreeSet<Rank>,
    /// What did not verify, by rank; kept where a holder loses its slot.
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
            backlogs: [0; SLOTS],
            free: u64::MAX,
            busy: 0,
            good: 0,
            idle: 0,
            usual: Duration::ZERO,
            straggler: Straggler::new(),
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
        let Holder { slot, standing, requests, .. } = self.holders[at];
        let is_good = standing == Standing::Good;
        let put = |slots: u64, is_in: bool| slots & !(1 << slot) | u64::from(is_in) << slot;
        self.good = put(self.good, is_good);
        self.idle = put(self.idle, is_good && requests == 0);
    }

    /// When a holder last acknowledged or sent anything.
    pub(super) fn progress(&self, rank: Rank) -> Option<Instant> {
        self.get(rank).map(|holder| self.speeds[holder.slot()].progress)
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

    /// Pieces that the holder at a slot has to send to others, as it last said.
    pub(super) fn backlog_at(&self, slot: usize) -> u32 {
        self.backlogs[slot]
    }

    /// A rank says how many pieces it has to send to others.
    pub(super) fn note_backlog(&mut self, rank: Rank, backlog: u32) {
        if let Some(slot) = self.get(rank).map(Holder::slot) {
            self.backlogs[slot] = backlog;
        }
    }

    /// A holder is asked for pieces; gives its slot.
    pub(super) fn asked(&mut self, rank: Rank) -> usize {
        let at = self.position(rank).expect("only holders are asked");
        let holder = &mut self.holders[at];
        self.busy += usize::from(holder.requests == 0);
        holder.requests += 1;
        holder.unacknowledged += 1;
        let slot = holder.slot();
        self.note(at);
        slot
    }

    /// A holder acknowledged a request.
    pub(super) fn acknowledged(&mut self, rank: Rank, now: Instant, backlog: u32) -> bool {
        let Some(holder) = self.get_mut(rank) else { return false };
        holder.unacknowledged -= 1;
        let slot = holder.slot();
        self.speeds[slot].progress = now;
        self.backlogs[slot] = backlog;
        true
    }

    /// Looks who falls behind; `own`: pieces that this rank got. Says whether it is this one.
    pub(super) fn look(&mut self, own: u32) -> bool {
        self.straggler.compare(own);
        self.straggler.is_straggler()
    }

    /// A holder sent a piece.
    pub(super) fn sent(&mut self, rank: Rank, now: Instant) {
        let Some(slot) = self.get(rank).map(Holder::slot) else { return };
        let speed = &mut self.speeds[slot];
        let took = now.since(speed.progress);
        speed.progress = now;
        speed.sent += 1;
        speed.took = Some(speed.took.map_or(took, |before| (before * 3 + took) / 4));
        self.usual = (self.usual * 15 + took) / 16;
    }

    /// How long a piece takes from each holder of another host that is known well enough.
    pub(super) fn rates(&self) -> Vec<Rate> {
        let elsewhere = self.iter().filter(|(_, holder)| holder.locality != Locality::Host);
        let speeds = elsewhere.map(|(rank, holder)| (rank, self.speeds[holder.slot()]));
        let known = speeds.filter(|(_, speed)| speed.sent >= rates::ENOUGH);
        let micros = |took: Duration| u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let rates = known.filter_map(|(rank, it)| Some(Rate { rank, micros: micros(it.took?) }));
        rates.take(Rate::MAX_TOLD).collect()
    }

    /// This rank stands elsewhere: so do all others, seen from it.
    pub(super) fn seat_anew(&mut self, ownership: &Ownership, picker: &mut Picker) {
        for (&rank, holder) in self.ranks.iter().zip(&mut self.holders) {
            holder.locality = ownership.topology().locality(rank);
            picker.seat(holder.slot(), holder.locality);
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
    /// slot of one that has nothing to pick, or is left out.
    pub(super) fn learn(
        &mut self,
        rank: Rank,
        locality: Locality,
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
                let slot = self.free.trailing_zeros() as u8;
                self.free &= self.free - 1;
                self.backlogs[usize::from(slot)] = 0;
                self.begin_speed(slot.into());
                picker.seat(slot.into(), locality);
                self.ranks.insert(at, rank);
                self.holders.insert(at, Holder::new(slot, locality));
                self.note(at);
                is_new = true;
                at
            }
        };
        let slot = self.holders[at].slot();
        let mut news = false;
        for piece in ranges.flatten() {
            if !picker.has(slot, piece) {
                picker.gained_by(slot, piece);
                self.straggler.gained(slot);
                news = true;
            }
        }
        if is_new {
            self.straggler.seat(slot);
        }
        news
    }

    /// A holder takes a slot, the lowest that is free.
    fn begin_speed(&mut self, slot: usize) {
        match self.speeds.get_mut(slot) {
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
        if let Some(slot) = self.get(rank).map(Holder::slot)
            && picker.has(slot, piece)
        {
            picker.lost_by(slot, piece);
        }
    }

    /// A peer is gone for good.
    pub(super) fn lose(&mut self, rank: Rank, picker: &mut Picker) {
        self.lost.insert(rank);
        self.forget(rank, picker);
    }

    /// A peer is not worth its slot.
    fn forget(&mut self, rank: Rank, picker: &mut Picker) {
        if let Some(at) = self.position(rank) {
            self.ranks.remove(at);
            let holder = self.holders.remove(at);
            self.busy -= usize::from(holder.requests > 0);
            self.free |= 1 << holder.slot;
            self.good &= !(1 << holder.slot);
            self.idle &= !(1 << holder.slot);
            picker.lost_all(holder.slot());
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
            picker.lost_all(self.holders[at].slot());
        }
        true
    }

    /// How many holders have requests under way.
    pub(super) fn busy_count(&self) -> usize {
        self.busy
    }

    /// The holder to ask next, and the number of holders among which the window is to be shared.
    pub(super) fn next(&mut self, picker: &Picker, ahead: Ahead) -> Option<(Rank, usize)> {
        let rivals = holder_choice::rivals(picker.of_use() & self.good, self.idle, ahead)?;
        let good = self.iter().filter(|(_, holder)| holder.standing == Standing::Good);
        let candidates = good.map(|(rank, holder)| self.candidate(rank, holder, picker));
        let chosen = holder_choice::choose(candidates, rivals, ahead, self.turn)?;
        self.turn = chosen.0;
        Some(chosen)
    }

    /// A holder, as the choice sees it.
    fn candidate(&self, rank: Rank, holder: &Holder, picker: &Picker) -> Candidate {
        let slot = holder.slot();
        Candidate {
            rank,
            locality: holder.locality,
            requests: holder.requests,
            unacknowledged: holder.unacknowledged,
            backlog: self.backlogs[slot],
            is_useful: holder.is_useful(picker),
            is_slow: self.speeds[slot].took.is_none_or(|took| took > self.usual * SLOW_FACTOR),
            is_for_others: self.straggler.leaves(slot),
        }
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
            let any = || picker.pieces_in(holder.slot(), pieces.clone()).next().is_some();
            holder.standing != Standing::Banned && any()
        };
        let knowing = self.iter().filter(|(_, holder)| knows(holder));
        let best = match before {
            None => knowing.min_by_key(|(rank, holder)| (holder.locality, holder.requests, *rank)),
            // All get their turn, in order of the ranks.
            Some(before) => knowing.min_by_key(|(rank, _)| (*rank <= before, *rank)),
        };
        best.map(|(rank, _)| rank)
    }

    /// What must always hold; for tests and the simulator.
    pub(super) fn check_invariants(&self) {
        assert!(self.ranks.is_sorted() && self.ranks.len() == self.holders.len());
        assert_eq!(self.free.count_zeros() as usize, self.holders.len(), "each has its slot");
        assert_eq!(self.busy, self.holders.iter().filter(|holder| holder.requests > 0).count());
        let slots = |which: &dyn Fn(&&Holder) -> bool| {
            self.holders.iter().filter(which).fold(0, |all, holder| all | 1 << holder.slot)
        };
        let is_good = |holder: &&Holder| holder.standing == Standing::Good;
        assert_eq!(self.good, slots(&is_good));
        assert_eq!(self.idle, slots(&|holder| is_good(holder) && holder.requests == 0));
    }
}

#[cfg(test)]
mod tests;
