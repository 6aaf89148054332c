//! Who holds this file? A bounded sample of holders, whatever the size of the job. And which pieces
//! does nobody hold, nor will get any more?
//!
//! That a piece is gone is final for whoever hears it, so the tracker must be sure. A piece that no
//! live rank is known to hold may still be on its way to one, or be found by one that looks through
//! its destination. So before it says *gone* the tracker calls all peers to *settle*: each answers
//! when what was under way is over, after its updates. Holdings that shrink later make a new call
//! necessary.

use super::job::Job;
use super::member::{Member, Serving};
use super::{Phase, Tracker, TrackerAction};
use crate::Rank;
use crate::message::{FromTracker, HolderPieces, PieceSet, parts};
use content::{Bitfield, EntryIndex};
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;

/// Holders told in one answer: enough to fill a window from, few enough that an answer's size and
/// the asker's tables do not depend on the number of peers.
const SAMPLE: usize = 16;

/// Holders looked at for the answer to a rank's first question; twice as many for each further one.
const MAX_LOOKS: usize = 256;

/// A holder is named so often in answers to first questions; twice as often for each further one.
/// Its neighbours hand on what it has: were it named to all, all would wait in its row.
const MAX_NAMED: u32 = 8;

/// Questions after which these bounds do not grow any more.
const MAX_DOUBLINGS: u32 = 20;

/// One thing to tell. A part of an answer takes as many as fit a message.
#[derive(Debug, Serialize)]
enum Item {
    Holder(HolderPieces),
    Gone(PieceSet),
}

impl Tracker {
    /// Answers a question about a range of entries.
    pub(super) fn answer(
        &mut self,
        asker: Rank,
        question: u32,
        first: EntryIndex,
        count: u32,
        actions: &mut Vec<TrackerAction>,
    ) {
        let Phase::Serving(job) = &self.phase else { return };
        let end = first.0.saturating_add(count).min(job.catalogue.entry_count());
        if first.0 >= end {
            return;
        }
        let last = EntryIndex(end - 1);
        let range = job.catalogue.pieces_of(first).start..job.catalogue.pieces_of(last).end;
        let lacking = lacking(job, &self.members[asker.index()], first.0..end);
        let sample = self.sample(asker, question, &lacking);
        let holders = sample.into_iter().flat_map(|rank| self.holder_pieces(rank, &range));
        let mut items: Vec<Item> = holders.map(Item::Holder).collect();
        let gone = self.gone(asker, lacking, actions);
        items.extend(piece_sets(&gone, &range).map(Item::Gone));
        let parts = parts(items);
        let count = parts.len();
        for (at, items) in parts.into_iter().enumerate() {
            let (mut holders, mut gone) = (Vec::new(), Vec::new());
            for item in items {
                match item {
                    Item::Holder(holder) => holders.push(holder),
                    Item::Gone(set) => gone.push(set),
                }
            }
            let message = FromTracker::Holders { question, holders, gone, last: at + 1 == count };
            actions.push(TrackerAction::Send { to: asker, message });
        }
    }

    /// Some live ranks that have what the asker lacks, and that it still asks: first those on its
    /// host, then others from a random place on.
    fn sample(&mut self, asker: Rank, question: u32, lacking: &Bitfield) -> Vec<Rank> {
        let Phase::Serving(job) = &self.phase else { return Vec::new() };
        if job.holders.is_empty() || lacking.is_empty() {
            return Vec::new();
        }
        let asking = &self.members[asker.index()];
        let doublings = question.saturating_sub(1).min(MAX_DOUBLINGS);
        let start = self.random.below(job.holders.len());
        let (before, after) = job.holders.split_at(start);
        let mut near = Vec::new();
        let mut far = Vec::new();
        for (looks, &rank) in after.iter().chain(before).enumerate() {
            let found = near.len() + far.len();
            if found >= SAMPLE || looks >= MAX_LOOKS << doublings {
                break;
            }
            let member = &self.members[rank.index()];
            let is_near = member.host() == asking.host();
            let asked = rank != asker && !asking.shuns(rank);
            let asked = asked && (is_near || named(member) < MAX_NAMED << doublings);
            if asked && member.holds_any_of(lacking) {
                if is_near { near.push(rank) } else { far.push(rank) }
            }
        }
        near.extend(self.exits(far));
        for rank in &near {
            let named = self.members[rank.index()].serving_mut();
            named.into_iter().for_each(Serving::count_named);
        }
        near
    }

    /// Of some ranks one of each host, that which has the most: what others of its host got from
    /// it would leave the host more than once.
    fn exits(&self, ranks: Vec<Rank>) -> Vec<Rank> {
        let mut best: BTreeMap<u32, Rank> = BTreeMap::new();
        let count = |serving: &Serving| serving.holdings().count();
        let has = |rank: Rank| self.members[rank.index()].serving().map_or(0, count);
        for &rank in &ranks {
            let at = best.entry(self.members[rank.index()].host()).or_insert(rank);
            if has(rank) > has(*at) {
                *at = rank;
            }
        }
        let chosen = |rank: &Rank| best[&self.members[rank.index()].host()] == *rank;
        ranks.into_iter().filter(chosen).collect()
    }

    /// What of `lacking` the asker can get from nobody, now or later. Calls the peers to settle
    /// where that is not certain yet.
    fn gone(
        &mut self,
        asker: Rank,
        mut lacking: Bitfield,
        actions: &mut Vec<TrackerAction>,
    ) -> Bitfield {
        let Phase::Serving(job) = &mut self.phase else { unreachable!("only a job is asked for") };
        keep_out_of_reach(job, &self.members, asker, &mut lacking);
        if lacking.is_empty() {
            return lacking;
        }
        let active = || {
            let members = self.members.iter().enumerate();
            members.filter(|(_, member)| member.is_live() && !member.has_stopped())
        };
        let has_settled = |it: &Serving| it.has_settled(job.shrunk);
        if active().all(|(_, member)| member.serving().is_none_or(has_settled)) {
            return lacking;
        }
        if job.called < job.shrunk {
            job.called = job.shrunk;
            actions.extend(active().map(|(rank, _)| TrackerAction::Send {
                to: Rank(rank as u32),
                message: FromTracker::Settle(job.shrunk),
            }));
        }
        Bitfield::new(lacking.len())
    }

    /// What a holder has of a range, in sets that each fit a message.
    fn holder_pieces(&self, rank: Rank, range: &Range<u32>) -> Vec<HolderPieces> {
        let serving = self.members[rank.index()].serving();
        let sets = serving.into_iter().flat_map(|it| piece_sets(it.holdings(), range));
        sets.map(|pieces| HolderPieces { rank, pieces }).collect()
    }
}

/// How often a member was named to somebody who asked for holders.
fn named(member: &Member) -> u32 {
    member.serving().map_or(0, Serving::named)
}

/// Keeps of what the asker lacks only what no rank holds that it can get it from, directly or
/// through others.
fn keep_out_of_reach(job: &Job, members: &[Member], asker: Rank, lacking: &mut Bitfield) {
    let holdings = |rank: Rank| members[rank.index()].serving().map(Serving::holdings);
    let shunned = members[asker.index()].serving().map(Serving::shunned);
    let Some(shunned) = shunned.filter(|shunned| !shunned.is_empty()) else {
        return lacking.intersect_with(&job.nowhere);
    };
    for &rank in job.holders.iter().filter(|rank| !shunned.contains(rank)) {
        holdings(rank).into_iter().for_each(|held| lacking.subtract(held));
    }
    for &rank in shunned {
        let Some(holdings) = holdings(rank).filter(|held| held.intersects(lacking)) else {
            continue;
        };
        // Others may not have been sent rubbish: what they get they hand on.
        let others = members.iter().enumerate().filter(|(at, member)| {
            let own = *at == asker.index() || *at == rank.index();
            !own && member.is_live() && !member.has_stopped() && !member.shuns(rank)
        });
        for (_, other) in others {
            let mut coming = self::lacking(job, other, 0..job.catalogue.entry_count());
            coming.intersect_with(holdings);
            lacking.subtract(&coming);
        }
    }
}

/// What a member is to write of a range of entries and does not hold.
fn lacking(job: &Job, member: &Member, entries: Range<u32>) -> Bitfield {
    let mut lacking = Bitfield::new(job.catalogue.piece_count());
    let Some(serving) = member.serving() else { return lacking };
    for span in serving.assigned().spans_in(entries) {
        let (first, last) = (EntryIndex(span.first), EntryIndex(span.last()));
        let end = job.catalogue.pieces_of(last).end;
        lacking.insert_range(job.catalogue.pieces_of(first).start..end);
    }
    lacking.subtract(serving.holdings());
    lacking
}

/// The pieces of a set within a range, in sets that each fit a message.
fn piece_sets<'a>(set: &'a Bitfield, range: &Range<u32>) -> impl Iterator<Item = PieceSet> + 'a {
    let end = range.end;
    range
        .clone()
        .step_by(PieceSet::MAX_PIECES as usize)
        .map(move |from| from..end.min(from + PieceSet::MAX_PIECES))
        .filter(|part| set.count_in(part.clone()) > 0)
        .map(|part| PieceSet::of(set, part))
}
