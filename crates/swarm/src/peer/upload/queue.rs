//! Requests that wait for their acknowledgement, in the order in which they came.

use crate::Rank;
use crate::message::RequestNumber;
use content::Span;
use std::collections::{BTreeMap, VecDeque};

/// Requests of one asker that wait at once. A peer of ours has one, and one more that its cancel
/// has not overtaken; what is beyond is refused, so that nobody makes this rank remember without
/// end.
const MAX_WAITING: usize = 8;

/// A request that waits for its acknowledgement.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) from: Rank,
    pub(super) number: RequestNumber,
    /// What travels as one, each.
    pub(super) bundles: Vec<Span>,
}

/// All requests that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    /// For each asker, how many of its requests wait.
    counts: BTreeMap<Rank, usize>,
}

impl Queue {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether no more requests of a rank are to wait.
    pub(super) fn is_full_for(&self, rank: Rank) -> bool {
        self.counts.get(&rank).is_some_and(|&count| count >= MAX_WAITING)
    }

    /// Those who wait, a rank for each of its requests.
    pub(super) fn ranks(&self) -> impl Iterator<Item = Rank> {
        self.waiting.iter().map(|waiting| waiting.from)
    }

    /// Pieces and bundles that others than a rank wait for.
    pub(super) fn bundles_beside(&self, rank: Rank) -> usize {
        let others = self.waiting.iter().filter(|waiting| waiting.from != rank);
        others.map(|waiting| waiting.bundles.len()).sum()
    }

    /// A request waits from now on.
    pub(super) fn push(&mut self, waiting: Waiting) {
        *self.counts.entry(waiting.from).or_default() += 1;
        self.waiting.push_back(waiting);
    }

    /// Takes the first request that is wanted out of the row.
    pub(super) fn take(&mut self, wanted: impl Fn(&Waiting) -> bool) -> Option<Waiting> {
        let at = self.waiting.iter().position(wanted)?;
        let waiting = self.waiting.remove(at)?;
        let count = self.counts.get_mut(&waiting.from).expect("counted when it came");
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&waiting.from);
        }
        Some(waiting)
    }

    /// A rank waits for nothing any more.
    pub(super) fn forget(&mut self, rank: Rank) {
        self.waiting.retain(|waiting| waiting.from != rank);
        self.counts.remove(&rank);
    }

    /// What must always hold; for tests and the simulator.
    pub(super) fn check_invariants(&self) {
        assert_eq!(self.waiting.len(), self.counts.values().sum::<usize>());
        assert!(self.counts.values().all(|count| (1..=MAX_WAITING).contains(count)));
    }
}
