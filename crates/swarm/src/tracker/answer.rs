//! Who holds this file? A bounded sample of holders, whatever the size of the job.

use super::{Phase, Tracker, TrackerAction};
use crate::message::{FromTracker, HolderPieces, PART_BYTES, PieceSet, parts};
use crate::{Instant, Rank};
use content::{Bitfield, EntryIndex, Span};
use std::ops::Range;
use std::time::Duration;

/// Holders told in one answer: enough to fill a window from, few enough that an answer's size and
/// the asker's tables do not depend on the number of peers.
const SAMPLE: usize = 16;

/// Holders looked at for one answer before the tracker settles for what it has found.
const MAX_LOOKS: usize = 256;

/// How long holdings must not have shrunk before a piece that nobody holds counts as gone. Whoever
/// got the piece just before its last holder was lost says so with its next update, which is
/// sooner.
const GONE_AFTER: Duration = Duration::from_secs(2);

impl Tracker {
    /// Answers a question about a range of entries.
    pub(super) fn answer(
        &mut self,
        now: Instant,
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
        let lacking = lacking(&self.members[asker.index()].holdings, range.clone());
        let sample = self.sample(asker, &lacking);
        let gone = self.gone(now, &lacking);
        let holders =
            sample.into_iter().flat_map(|rank| self.holder_pieces(asker, rank, range.clone()));
        let parts = parts(holders);
        let count = parts.len();
        for (at, holders) in parts.into_iter().enumerate() {
            let last = at + 1 == count;
            let gone = if last { gone.clone() } else { Vec::new() };
            let message = FromTracker::Holders { question, holders, gone, last };
            actions.push(TrackerAction::Send { to: asker, message });
        }
    }

    /// Some live ranks that have what the asker lacks: first those on its host, then others from a
    /// random place on.
    fn sample(&mut self, asker: Rank, lacking: &Bitfield) -> Vec<Rank> {
        let Phase::Serving(job) = &self.phase else { return Vec::new() };
        if job.holders.is_empty() || lacking.is_empty() {
            return Vec::new();
        }
        let host = self.members[asker.index()].host;
        let start = self.random.below(job.holders.len());
        let (before, after) = job.holders.split_at(start);
        let mut near = Vec::new();
        let mut far = Vec::new();
        for (looks, &rank) in after.iter().chain(before).enumerate() {
            let found = near.len() + far.len();
            if found >= SAMPLE || (looks >= MAX_LOOKS && found > 0) {
                break;
            }
            let member = &self.members[rank.index()];
            if rank != asker && member.holdings.intersects(lacking) {
                if member.host == host { near.push(rank) } else { far.push(rank) }
            }
        }
        near.extend(far);
        near
    }

    /// What the asker lacks, and nobody has or will get.
    fn gone(&self, now: Instant, lacking: &Bitfield) -> Vec<Span> {
        let Phase::Serving(job) = &self.phase else { return Vec::new() };
        if job.shrunk.is_none_or(|at| now.since(at) < GONE_AFTER) {
            return Vec::new();
        }
        let mut gone = lacking.clone();
        for rank in &job.holders {
            gone.subtract(&self.members[rank.index()].holdings);
            if gone.is_empty() {
                break;
            }
        }
        // A part is enough: the asker asks again while it lacks anything.
        gone.spans().take(PART_BYTES / 16).collect()
    }

    /// What a holder has of a range, in sets that each fit a message.
    fn holder_pieces(&self, asker: Rank, rank: Rank, range: Range<u32>) -> Vec<HolderPieces> {
        let member = &self.members[rank.index()];
        let near = member.host == self.members[asker.index()].host;
        let step = PieceSet::MAX_PIECES as usize;
        range
            .clone()
            .step_by(step)
            .map(|from| from..range.end.min(from + PieceSet::MAX_PIECES))
            .filter(|part| member.holdings.count_in(part.clone()) > 0)
            .map(|part| HolderPieces { rank, near, pieces: PieceSet::of(&member.holdings, part) })
            .collect()
    }
}

/// What a peer with these holdings lacks of a range.
fn lacking(holdings: &Bitfield, range: Range<u32>) -> Bitfield {
    let mut lacking = Bitfield::new(holdings.len());
    lacking.insert_range(range);
    lacking.subtract(holdings);
    lacking
}
