//! Piece hashes: which are known, which are needed, who was asked for them.

use crate::{Instant, Rank};
use content::{Catalogue, EntryIndex, Hash, HashRange, PieceId, VerifiedLayer};
use std::collections::BTreeMap;
use std::time::Duration;

/// Ranges asked for at once: with 512 hashes each, enough for any window.
const MAX_ASKED: usize = 8;

/// Needed ranges looked at in one go. Where none of these has a known holder, the next go looks at
/// the next ones.
const MAX_LOOKS: usize = 64;

/// A range that does not come within this time is asked elsewhere.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A rank that does not answer is asked for the same once more only after this time: a question
/// that it has not read yet is not lost, and one that hangs would find thousands when it wakes.
const AGAIN_AFTER: Duration = Duration::from_secs(16);

/// A range of an entry's piece hashes.
pub(in crate::peer) type RangeOf = (EntryIndex, u32);

/// Who was last asked for a range.
#[derive(Debug, Clone, Copy)]
struct Asked {
    of: Rank,
    /// When; gone once it answered.
    open_since: Option<Instant>,
}

impl Asked {
    /// Whether a rank has the very question before it.
    fn waits_at(self, rank: Rank, now: Instant) -> bool {
        self.of == rank && self.open_since.is_some_and(|at| now.since(at) < AGAIN_AFTER)
    }
}

/// The hashes of all files that matter here.
#[derive(Debug, Default)]
pub(in crate::peer) struct Hashes {
    /// For files of several pieces, what is known.
    layers: BTreeMap<EntryIndex, VerifiedLayer>,
    /// Ranges that are needed, and who was last asked for them.
    needed: BTreeMap<RangeOf, Option<Asked>>,
    /// Of those, the ones that are asked for, of whom and when; never more than [`MAX_ASKED`].
    asked: BTreeMap<RangeOf, (Rank, Instant)>,
    /// Where the next look begins.
    cursor: Option<RangeOf>,
    /// Whether the last look found nobody to ask, and nothing is different since.
    is_at_rest: bool,
}

impl Hashes {
    /// Questions begin at this range and go round: every rank has a place of its own.
    pub(in crate::peer) fn begin_at(&mut self, range: RangeOf) {
        self.cursor = Some(range);
    }

    /// Something is different, or some time has passed: the next look may find somebody to ask.
    pub(in crate::peer) fn wake(&mut self) {
        self.is_at_rest = false;
    }

    /// Takes what this rank knows of a file it has, or has a part of.
    pub(in crate::peer) fn know(&mut self, entry: EntryIndex, layer: VerifiedLayer) {
        if !layer.geometry().is_single_piece() {
            self.layers.entry(entry).or_insert(layer);
        }
    }

    /// What is known of the piece hashes of a file of several pieces.
    pub(in crate::peer) fn layer(&self, entry: EntryIndex) -> Option<&VerifiedLayer> {
        self.layers.get(&entry)
    }

    /// The hash that a piece must have, if it is known.
    pub(in crate::peer) fn expected(&self, catalogue: &Catalogue, piece: PieceId) -> Option<Hash> {
        let (entry, index) = catalogue.locate(piece);
        let content = catalogue.entry(entry).file().expect("only files have pieces");
        if content.geometry.is_single_piece() {
            return content.root;
        }
        self.layers.get(&entry)?.piece_hash(index)
    }

    /// A known range, for somebody who asks.
    pub(in crate::peer) fn range(&self, entry: EntryIndex, index: u32) -> Option<&HashRange> {
        self.layers.get(&entry)?.range(index)
    }

    /// A range is needed; says whether it is known already.
    pub(in crate::peer) fn need(
        &mut self,
        catalogue: &Catalogue,
        entry: EntryIndex,
        index: u32,
    ) -> bool {
        if self.range(entry, index).is_some() {
            return true;
        }
        let content = catalogue.entry(entry).file().expect("only files have hashes");
        if let Some(root) = content.root {
            self.wake();
            self.layers.entry(entry).or_insert_with(|| VerifiedLayer::new(content.geometry, root));
            self.needed.entry((entry, index)).or_insert(None);
        }
        false
    }

    /// Nothing of an entry is needed any more.
    pub(in crate::peer) fn forget(&mut self, entry: EntryIndex) {
        let of_entry = (entry, 0)..=(entry, u32::MAX);
        let ranges: Vec<RangeOf> = self.needed.range(of_entry).map(|(&range, _)| range).collect();
        ranges.into_iter().for_each(|range| self.give_up(range));
    }

    /// Nothing is needed any more.
    pub(in crate::peer) fn forget_all(&mut self) {
        self.needed.clear();
        self.asked.clear();
    }

    /// A range is no longer needed: none of its pieces can be had.
    pub(in crate::peer) fn give_up(&mut self, range: RangeOf) {
        self.needed.remove(&range);
        self.asked.remove(&range);
    }

    /// Whether any range is needed.
    pub(in crate::peer) fn any_needed(&self) -> bool {
        !self.needed.is_empty()
    }

    /// The ranges that are needed.
    pub(in crate::peer) fn needed(&self) -> impl Iterator<Item = RangeOf> {
        self.needed.keys().copied()
    }

    /// Whether a range is needed.
    pub(in crate::peer) fn is_needed(&self, range: RangeOf) -> bool {
        self.needed.contains_key(&range)
    }

    /// Asks for as many ranges as may be asked for now: `knowing` gives a rank that knows a range,
    /// preferably another one than was asked before. Gives what is to be asked of whom.
    pub(in crate::peer) fn ask(
        &mut self,
        now: Instant,
        knowing: impl Fn(RangeOf, Option<Rank>) -> Option<Rank>,
    ) -> Vec<(RangeOf, Rank)> {
        let mut questions = Vec::new();
        // Only what is needed is asked for.
        if self.needed.is_empty() {
            return questions;
        }
        self.asked.retain(|_, (_, at)| now.since(*at) < ANSWER_WITHIN);
        if self.asked.len() >= MAX_ASKED || self.is_at_rest {
            return questions;
        }
        let from = self.cursor.unwrap_or((EntryIndex(0), 0));
        let open = self.needed.range(from..).chain(self.needed.range(..from)).take(MAX_LOOKS);
        let mut last = None;
        for (&range, &before) in open {
            last = Some(range);
            if self.asked.contains_key(&range) {
                continue;
            }
            let Some(of) = knowing(range, before.map(|asked| asked.of)) else { continue };
            if before.is_some_and(|asked| asked.waits_at(of, now)) {
                continue;
            }
            questions.push((range, of));
            self.asked.insert(range, (of, now));
            if self.asked.len() >= MAX_ASKED {
                break;
            }
        }
        self.cursor = last.map(|(entry, index)| (entry, index + 1));
        for &(range, of) in &questions {
            self.needed.insert(range, Some(Asked { of, open_since: Some(now) }));
        }
        self.is_at_rest = questions.is_empty();
        questions
    }

    /// An answer of a rank without hashes, or with wrong ones; says whether it was asked for them.
    pub(in crate::peer) fn refused(&mut self, range: RangeOf, by: Rank) -> bool {
        self.wake();
        let was_asked = self.asked.get(&range).is_some_and(|(of, _)| *of == by);
        if was_asked {
            self.asked.remove(&range);
        }
        if let Some(Some(last)) = self.needed.get_mut(&range)
            && last.of == by
        {
            last.open_since = None;
        }
        was_asked
    }

    /// What a rank was asked for may be asked of others.
    pub(in crate::peer) fn lost(&mut self, rank: Rank) {
        self.asked.retain(|_, (of, _)| *of != rank);
    }

    /// Takes a range that was needed. `None`: it was not. `Some(false)`: it does not lead to the
    /// file's root.
    pub(in crate::peer) fn learn(&mut self, entry: EntryIndex, range: HashRange) -> Option<bool> {
        let key = (entry, range.index);
        if !self.needed.contains_key(&key) {
            return None;
        }
        let proven = self.layers.get_mut(&entry)?.insert(range).is_ok();
        if proven {
            self.give_up(key);
        }
        Some(proven)
    }
}
