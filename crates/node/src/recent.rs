//! Pieces that are in memory, so that nobody reads them again: those that are being sent, and the
//! last that came. What is new is what others ask for next.

use crate::buffer::{Buffer, SharedBuffer};
use content::Span;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

/// What is in memory: pieces and bundles, by the first piece.
pub(crate) struct Recent {
    known: BTreeMap<u32, (Span, Weak<Buffer>)>,
    /// Beyond this many of them those no longer in memory are forgotten.
    known_limit: usize,
    /// What stays although nobody sends it, the oldest first.
    kept: VecDeque<SharedBuffer>,
    kept_bytes: usize,
    /// Bytes that stay. Part of a rank's memory, beside what is on its way.
    most_bytes: usize,
}

impl Recent {
    /// Pieces and bundles that stay, where they are short.
    const MAX_KEPT: usize = 256;
    /// The least limit of what is known.
    const MIN_KNOWN: usize = 2 * Self::MAX_KEPT;

    /// Keeps pieces of so many bytes.
    pub(crate) fn keeping(bytes: u64) -> Self {
        Self {
            known: BTreeMap::new(),
            known_limit: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            most_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        }
    }

    /// The bytes of a piece, or of exactly this bundle, where they are in memory.
    pub(crate) fn find(&self, pieces: Span) -> Option<SharedBuffer> {
        let (known, buffer) = self.known.get(&pieces.first)?;
        if *known == pieces { buffer.upgrade() } else { None }
    }

    /// It is in memory for as long as somebody uses it.
    pub(crate) fn know(&mut self, pieces: Span, buffer: &SharedBuffer) {
        if self.known.len() >= self.known_limit.max(Self::MIN_KNOWN) {
            self.known.retain(|_, (_, buffer)| buffer.strong_count() > 0);
            self.known_limit = 2 * self.known.len();
        }
        self.known.insert(pieces.first, (pieces, Arc::downgrade(buffer)));
    }

    /// It came, and was verified: it stays for a while.
    pub(crate) fn keep(&mut self, pieces: Span, buffer: Buffer) {
        let buffer = Arc::new(buffer);
        self.know(pieces, &buffer);
        self.kept_bytes += buffer.len();
        self.kept.push_back(buffer);
        while self.kept_bytes > self.most_bytes || self.kept.len() > Self::MAX_KEPT {
            let oldest = self.kept.pop_front().expect("its bytes were counted");
            self.kept_bytes -= oldest.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pool;

    const KEPT: usize = 1 << 20;

    fn one(first: u32) -> Span {
        Span { first, count: 1 }
    }

    #[test]
    fn what_came_last_is_in_memory_and_what_came_long_ago_only_while_it_is_used() {
        let (mut recent, pool) = (Recent::keeping(KEPT as u64), Pool::default());
        let len = KEPT / 4;
        recent.keep(one(0), pool.take(len));
        let used = recent.find(one(0)).unwrap();
        (1..=4).for_each(|piece| recent.keep(one(piece), pool.take(len)));
        assert!((0..=4).all(|piece| recent.find(one(piece)).is_some()));
        drop(used);
        assert!(recent.find(one(0)).is_none() && recent.find(one(1)).is_some());
        recent.keep(one(5), pool.take(KEPT + 1));
        assert!((0..=5).all(|piece| recent.find(one(piece)).is_none()), "too long to stay");
    }

    #[test]
    fn pieces_that_left_memory_are_forgotten() {
        let (mut recent, pool) = (Recent::keeping(KEPT as u64), Pool::default());
        for piece in 0..10_000 {
            recent.know(one(piece), &Arc::new(pool.take(1)));
        }
        assert!(recent.known.len() <= Recent::MIN_KNOWN);
    }

    #[test]
    fn a_part_of_a_bundle_is_not_taken_for_the_whole() {
        let (mut recent, pool) = (Recent::keeping(KEPT as u64), Pool::default());
        recent.keep(Span { first: 3, count: 4 }, pool.take(10));
        assert!(recent.find(Span { first: 3, count: 4 }).is_some());
        assert!(recent.find(Span { first: 3, count: 2 }).is_none());
        assert!(recent.find(Span { first: 4, count: 3 }).is_none());
    }
}
