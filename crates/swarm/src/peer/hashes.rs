//! Piece hashes: which are known, which are needed, who was asked for them.

use crate::{Instant, Rank};
use content::{Catalogue, EntryIndex, Hash, HashRange, PieceId, VerifiedLayer};
use std::collections::BTreeMap;
use std::time::Duration;

/// Ranges asked for at once: with 512 hashes each, enough for any window.
const MAX_ASKED: usize = 8;

/// A range that does not come within this time is asked elsewhere.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The hashes of all files that matter here.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    /// For files of several pieces, what is known.
    layers: BTreeMap<EntryIndex, VerifiedLayer>,
    /// Ranges that are needed, and whom they were asked of, when.
    needed: BTreeMap<(EntryIndex, u32), Option<(Rank, Instant)>>,
}

impl Hashes {
    /// Takes what this rank knows of a file it offers.
    pub(super) fn know(&mut self, entry: EntryIndex, layer: VerifiedLayer) {
        if !layer.geometry().is_single_piece() {
            self.layers.insert(entry, layer);
        }
    }

    /// The hash that a piece must have, if it is known.
    pub(super) fn expected(&self, catalogue: &Catalogue, piece: PieceId) -> Option<Hash> {
        let (entry, index) = catalogue.locate(piece);
        let content = catalogue.entry(entry).file().expect("only files have pieces");
        if content.geometry.is_single_piece() {
            return content.root;
        }
        self.layers.get(&entry)?.piece_hash(index)
    }

    /// A known range, for somebody who asks.
    pub(super) fn range(&self, entry: EntryIndex, index: u32) -> Option<&HashRange> {
        self.layers.get(&entry)?.range(index)
    }

    /// A range is needed; says whether it is known already.
    pub(super) fn need(&mut self, catalogue: &Catalogue, entry: EntryIndex, index: u32) -> bool {
        if self.range(entry, index).is_some() {
            return true;
        }
        let content = catalogue.entry(entry).file().expect("only files have hashes");
        if let Some(root) = content.root {
            self.layers.entry(entry).or_insert_with(|| VerifiedLayer::new(content.geometry, root));
            self.needed.entry((entry, index)).or_insert(None);
        }
        false
    }

    /// Nothing of an entry is needed any more.
    pub(super) fn forget(&mut self, entry: EntryIndex) {
        self.needed.retain(|(of, _), _| *of != entry);
    }

    /// The needed ranges that may be asked for now, those at and after `from` first.
    pub(super) fn to_ask(&self, now: Instant, from: EntryIndex) -> Vec<(EntryIndex, u32)> {
        let waits = |asked: &Option<(Rank, Instant)>| {
            asked.is_some_and(|(_, at)| now.since(at) < ANSWER_WITHIN)
        };
        let asked = self.needed.values().filter(|asked| waits(asked)).count();
        let ahead = self.needed.range((from, 0)..);
        let behind = self.needed.range(..(from, 0));
        let open = ahead.chain(behind).filter(|(_, asked)| !waits(asked)).map(|(&range, _)| range);
        open.take(MAX_ASKED.saturating_sub(asked)).collect()
    }

    /// Whether any range is needed.
    pub(super) fn any_needed(&self) -> bool {
        !self.needed.is_empty()
    }

    /// The needed ranges.
    pub(super) fn needed(&self) -> Vec<(EntryIndex, u32)> {
        self.needed.keys().copied().collect()
    }

    /// A range is no longer needed: none of its pieces can be had.
    pub(super) fn give_up(&mut self, range: (EntryIndex, u32)) {
        self.needed.remove(&range);
    }

    /// A range was asked of a rank.
    pub(super) fn asked(&mut self, range: (EntryIndex, u32), of: Rank, now: Instant) {
        self.needed.insert(range, Some((of, now)));
    }

    /// An answer without hashes: the range may be asked again.
    pub(super) fn refused(&mut self, range: (EntryIndex, u32)) {
        if let Some(asked) = self.needed.get_mut(&range) {
            *asked = None;
        }
    }

    /// What a rank was asked for may be asked of others.
    pub(super) fn lost(&mut self, rank: Rank) {
        for asked in
            self.needed.values_mut().filter(|asked| asked.is_some_and(|(of, _)| of == rank))
        {
            *asked = None;
        }
    }

    /// Takes a range that was needed. `None`: it was not. `Some(false)`: it does not lead to the
    /// file's root.
    pub(super) fn learn(&mut self, entry: EntryIndex, range: HashRange) -> Option<bool> {
        let key = (entry, range.index);
        if !self.needed.contains_key(&key) {
            return None;
        }
        let proven = self.layers.get_mut(&entry)?.insert(range).is_ok();
        if proven {
            self.needed.remove(&key);
        } else {
            self.refused(key);
        }
        Some(proven)
    }
}
