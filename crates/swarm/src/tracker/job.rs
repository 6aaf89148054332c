//! What the tracker knows of the job once START has gone out.

use super::{Phase, Tracker, TrackerAction};
use crate::message::{FromTracker, Gains};
use crate::{Instant, Rank};
use content::Catalogue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A job that is being served.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) catalogue: Arc<Catalogue>,
    /// Live ranks that hold anything, in the order in which they came to hold it.
    pub(super) holders: Vec<Rank>,
    /// When holdings last shrank: from then on pieces may be gone for good.
    pub(super) shrunk: Option<Instant>,
    /// Ranks that survey before they may write, and the file systems that they would write to.
    pub(super) pending: BTreeMap<Rank, FileSystem>,
    /// Bytes that may still be given away on each file system.
    pub(super) free_bytes: BTreeMap<FileSystem, u64>,
}

/// A file system: the host that sees it, and its number there.
pub(super) type FileSystem = (u32, u64);

impl Job {
    pub(super) fn forget_holder(&mut self, now: Instant, rank: Rank) {
        self.holders.retain(|&holder| holder != rank);
        self.shrunk = Some(now);
    }
}

impl Tracker {
    /// Takes what a peer gained. Numbers beyond the catalogue are left out: the peer's fault, not
    /// ours.
    pub(super) fn take_gains(&mut self, now: Instant, from: Rank, gains: &Gains) {
        let Phase::Serving(job) = &mut self.phase else { return };
        let member = &mut self.members[from.index()];
        let held_nothing = member.holdings.is_empty();
        let limit = job.catalogue.piece_count();
        for range in gains.pieces.iter().filter_map(|span| span.checked(limit)) {
            member.holdings.insert_range(range);
        }
        for range in gains.lost.iter().filter_map(|span| span.checked(limit)) {
            member.holdings.remove_range(range);
            job.shrunk = Some(now);
        }
        for range in
            gains.entries.iter().filter_map(|span| span.checked(job.catalogue.entry_count()))
        {
            member.complete.insert_range(range);
        }
        member.have_bytes = gains.have_bytes;
        if held_nothing && !member.holdings.is_empty() {
            job.holders.push(from);
        }
    }

    /// Tells peers that surveyed a scarce file system whether what they need fits it: in order of
    /// their ranks, once all that share it have surveyed.
    pub(super) fn admit(&mut self, actions: &mut Vec<TrackerAction>) {
        let Phase::Serving(job) = &mut self.phase else { return };
        if job.pending.is_empty() {
            return;
        }
        job.pending.retain(|rank, _| self.members[rank.index()].is_live());
        let surveying: BTreeSet<FileSystem> = job
            .pending
            .iter()
            .filter(|(rank, _)| self.members[rank.index()].need_bytes.is_none())
            .map(|(_, &system)| system)
            .collect();
        let (later, ready) = std::mem::take(&mut job.pending)
            .into_iter()
            .partition(|(_, system)| surveying.contains(system));
        job.pending = later;
        let ready: BTreeMap<Rank, FileSystem> = ready;
        for (rank, system) in ready {
            let member = &mut self.members[rank.index()];
            let free = job.free_bytes.get_mut(&system).expect("known since START");
            let need = member.need_bytes.expect("checked above");
            let verdict = if need <= *free {
                *free -= need;
                Ok(())
            } else {
                Err(format!(
                    "{need} bytes must be written, and the destination's file system has {free} bytes left for \
                     this rank: free some space, or choose another --into"
                ))
            };
            actions
                .push(TrackerAction::Send { to: rank, message: FromTracker::Admission(verdict) });
        }
    }
}
