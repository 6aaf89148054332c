//! What the tracker knows of the job once START has gone out.

use super::member::{Member, Serving};
use super::report::{self, REFUSALS_TOLD};
use super::{Phase, Tracker, TrackerAction};
use crate::message::{FromTracker, Gains, Origins};
use crate::shelf::{Shelf, Spread};
use crate::{Instant, LeftAlone, Purpose, Rank};
use content::{Amount, Bitfield, Catalogue, EntryIndex, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A job that is being served.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) catalogue: Arc<Catalogue>,
    /// Its parts, where peers fetch it in such.
    pub(super) shelf: Option<Shelf>,
    /// From which shares its entries come; not known to a tracker that took over.
    pub(super) origins: Vec<Origins>,
    /// What earlier jobs left, and this one has no use for; not known either.
    pub(super) left_alone: LeftAlone,
    /// Live ranks that hold anything, in the order in which they came to hold it.
    pub(super) holders: Vec<Rank>,
    /// For each piece, how many live ranks hold it.
    copies: Vec<u32>,
    /// Pieces that no live rank holds.
    pub(super) nowhere: Bitfield,
    /// How often what can be had has shrunk; START counts as one, for a part left by an earlier run
    /// may be all there is of a file.
    pub(super) shrunk: u32,
    /// The last number with which peers were called to settle.
    pub(super) called: u32,
    /// Ranks that survey before they may write, and the file systems that they would write to.
    pub(super) pending: BTreeMap<Rank, FileSystem>,
    /// Bytes that may still be given away on each file system.
    pub(super) free_bytes: BTreeMap<FileSystem, u64>,
}

/// How long the others go on before it is worth a word that a rank cannot receive.
const MOMENT: Duration = Duration::from_secs(2);

/// A file system: the host that sees it, and its number there.
pub(super) type FileSystem = (u32, u64);

impl Job {
    /// A job in which nobody holds anything yet.
    pub(super) fn new(catalogue: Arc<Catalogue>, spread: Spread) -> Self {
        let pieces = catalogue.piece_count();
        Self {
            shelf: Shelf::of(&catalogue, spread),
            catalogue,
            origins: Vec::new(),
            left_alone: LeftAlone::default(),
            holders: Vec::new(),
            copies: vec![0; pieces as usize],
            nowhere: Bitfield::full(pieces),
            shrunk: 1,
            called: 0,
            pending: BTreeMap::new(),
            free_bytes: BTreeMap::new(),
        }
    }

    /// A member holds more pieces.
    pub(super) fn gain(&mut self, rank: Rank, member: &mut Serving, pieces: Range<u32>) {
        let held_nothing = member.holdings().is_empty();
        for piece in pieces {
            if member.hold(piece) {
                self.copies[piece as usize] += 1;
                self.nowhere.remove(piece);
            }
        }
        if held_nothing && !member.holdings().is_empty() {
            self.holders.push(rank);
        }
    }

    /// A member no longer holds pieces.
    fn lose(&mut self, rank: Rank, member: &mut Serving, pieces: Range<u32>) {
        if member.holdings().count_in(pieces.clone()) == 0 {
            return;
        }
        for piece in member.holdings().iter_in(pieces.clone()) {
            let copies = &mut self.copies[piece as usize];
            *copies -= 1;
            if *copies == 0 {
                self.nowhere.insert(piece);
            }
        }
        member.release(pieces);
        if member.holdings().is_empty() {
            self.holders.retain(|&holder| holder != rank);
        }
        self.shrunk += 1;
    }

    /// A member no longer holds anything.
    pub(super) fn lose_all(&mut self, rank: Rank, member: &mut Serving) {
        self.lose(rank, member, 0..self.catalogue.piece_count());
    }

    /// In a dry run a member says what it could write: of that, what nobody holds is not to be had.
    fn doubt(&self, member: &mut Serving, entries: Range<u32>) {
        for entry in entries {
            let pieces = self.catalogue.pieces_of(EntryIndex(entry));
            if member.lacks_content(entry) && self.nowhere.count_in(pieces) > 0 {
                member.withdraw(entry);
            }
        }
    }

    /// The counts of copies agree with what the live members hold.
    pub(super) fn check_invariants(&self, members: &[Member]) {
        let mut copies = vec![0; self.copies.len()];
        for member in members {
            let serving = member.serving().expect("every rank has its part in a job");
            assert!(member.is_live() || !member.holds_any(), "a lost rank holds nothing");
            serving.holdings().iter().for_each(|piece| copies[piece as usize] += 1);
        }
        assert_eq!(copies, self.copies);
        assert!(copies.iter().zip(0..).all(|(&n, piece)| (n == 0) == self.nowhere.get(piece)));
        let named: BTreeSet<Rank> = self.holders.iter().copied().collect();
        assert_eq!(named.len(), self.holders.len(), "each holder is named once");
        let all = members.iter().enumerate().filter(|(_, member)| member.holds_any());
        assert!(all.map(|(rank, _)| Rank(rank as u32)).eq(named), "all holders are named");
    }
}

impl Tracker {
    /// Takes what a peer gained and lost. Numbers beyond the catalogue are left out: the peer's
    /// fault, not ours.
    pub(super) fn take_gains(&mut self, from: Rank, gains: &Gains) {
        let (Phase::Serving(job) | Phase::Collecting { job: Some(job), .. }) = &mut self.phase
        else {
            return;
        };
        let purpose = self.config.purpose;
        let Some(member) = self.members[from.index()].serving_mut() else { return };
        let (pieces, entries) = (job.catalogue.piece_count(), job.catalogue.entry_count());
        for range in Span::all_checked(&gains.lost, pieces) {
            job.lose(from, member, range);
        }
        for range in Span::all_checked(&gains.pieces, pieces) {
            job.gain(from, member, range);
        }
        member.take_differing(&gains.differing);
        for range in Span::all_checked(&gains.entries, entries) {
            member.take_complete(range.clone());
            if purpose == Purpose::DryRun && !job.nowhere.is_empty() {
                job.doubt(member, range);
            }
        }
        member.take_progress(gains.have_bytes);
    }

    /// A peer answers a call to settle; what was not called cannot be answered.
    pub(super) fn on_settled(&mut self, from: Rank, number: u32) {
        let Phase::Serving(job) = &mut self.phase else { return };
        if let Some(member) = self.members[from.index()].serving_mut()
            && number <= job.called
        {
            member.settle(number);
        }
    }

    /// Says which ranks cannot receive, where the others go on for longer than a moment: else the
    /// report says it soon enough.
    pub(super) fn tell_refusals(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) {
        let Phase::Serving(job) = &self.phase else { return };
        if self.config.purpose == Purpose::Check {
            return;
        }
        let is_told = |member: &Member| member.serving().is_some_and(Serving::is_refusal_told);
        let told = self.members.iter().filter(|member| is_told(member)).count();
        let mut untold: Vec<(usize, &mut Member)> = self
            .members
            .iter_mut()
            .enumerate()
            .filter(|(_, member)| member.is_live() && !is_told(member))
            .filter(|(_, member)| member.interrupted().is_none())
            .collect();
        let due = untold.iter_mut().filter_map(|(rank, member)| {
            let (at, stop) = member.stop()?;
            let why = stop.cannot_receive.as_ref().filter(|_| now.since(*at) >= MOMENT)?;
            let all = match report::has_received(job, member, &stop.counters) {
                true => " all that it wants",
                false => "",
            };
            let text = format!("rank {rank} cannot receive{all}, and the others go on: {why}");
            member.serving_mut()?.tell_refusal();
            Some(TrackerAction::Notice(text.into()))
        });
        actions.extend(due.take(REFUSALS_TOLD.saturating_sub(told)));
    }

    /// A peer asks a rank no more: what it has is out of that peer's reach.
    pub(super) fn on_shun(&mut self, from: Rank, rank: Rank) {
        let Phase::Serving(job) = &mut self.phase else { return };
        if let Some(member) = self.members[from.index()].serving_mut()
            && rank.0 < self.config.ranks
            && member.shun(rank)
        {
            job.shrunk += 1;
        }
    }

    /// Tells peers that surveyed a scarce file system whether what they need fits it: in order of
    /// their ranks, once all that share it have surveyed.
    pub(super) fn admit(&mut self, actions: &mut Vec<TrackerAction>) {
        let Phase::Serving(job) = &mut self.phase else { return };
        if job.pending.is_empty() {
            return;
        }
        let waits = |rank: Rank| {
            let member = &self.members[rank.index()];
            member.is_live() && member.stop().is_none()
        };
        job.pending.retain(|&rank, _| waits(rank));
        let surveying: BTreeSet<FileSystem> = job
            .pending
            .iter()
            .filter(|(rank, _)| need_bytes(&self.members[rank.index()]).is_none())
            .map(|(_, &system)| system)
            .collect();
        let (later, ready) = std::mem::take(&mut job.pending)
            .into_iter()
            .partition(|(_, system)| surveying.contains(system));
        job.pending = later;
        let ready: BTreeMap<Rank, FileSystem> = ready;
        for (rank, system) in ready {
            let member = &self.members[rank.index()];
            let free = job.free_bytes.get_mut(&system).expect("known since START");
            let need = need_bytes(member).expect("checked above");
            let verdict = if need <= *free {
                *free -= need;
                Ok(())
            } else {
                let path = member.destination().map_or("", |destination| &destination.path);
                Err(format!(
                    "{} must be written to '{path}', where {} of space are left for this rank: make room, or choose \
                     another destination",
                    Amount(need),
                    Amount(*free),
                ))
            };
            actions
                .push(TrackerAction::Send { to: rank, message: FromTracker::Admission(verdict) });
        }
    }
}

/// Bytes that a member's survey found missing, once it has surveyed.
fn need_bytes(member: &Member) -> Option<u64> {
    member.serving()?.need_bytes()
}
