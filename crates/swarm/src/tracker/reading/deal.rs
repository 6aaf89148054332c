//! Who reads what: each reader a contiguous run of the row of all pieces, as long as the others'.

use super::{Reader, Reading};
use crate::message::{Keep, ReadOrder};
use crate::offer::forget_root;
use crate::{Instant, Rank};
use content::{Bitfield, Catalogue, EntryIndex, PieceId, Span};
use std::ops::Range;

/// What readers were given so far, in bytes.
pub(super) struct Loads {
    ranks: Vec<Rank>,
    bytes: Vec<u64>,
    /// Whose turn it is.
    turn: usize,
    /// What each is to be given.
    quota: u64,
}

impl Loads {
    /// Nothing was given yet; so many bytes are to be.
    pub(super) fn new(ranks: Vec<Rank>, bytes: u64) -> Self {
        let quota = bytes.div_ceil(ranks.len().max(1) as u64);
        Self { bytes: vec![0; ranks.len()], ranks, turn: 0, quota }
    }

    /// Who reads the next piece of an entry: whoever was given the last, until it has its part;
    /// then the next that writes the entry; where all have, the one with the least.
    fn reader(&mut self, writes: impl Fn(Rank) -> bool) -> Option<usize> {
        let count = self.ranks.len();
        let from_turn = (0..count).map(|step| (self.turn + step) % count);
        let room = |&at: &usize| self.bytes[at] < self.quota && writes(self.ranks[at]);
        if let Some(at) = from_turn.clone().find(room) {
            self.turn = at;
            return Some(at);
        }
        from_turn.filter(|&at| writes(self.ranks[at])).min_by_key(|&at| self.bytes[at])
    }

    /// What all were given.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.iter().sum()
    }

    /// Gives the beginning of a run of an entry's pieces to a reader: one piece at least, and all
    /// where everybody has enough. Says who reads, and where it ends; none where nobody writes the
    /// entry.
    pub(super) fn give(
        &mut self,
        catalogue: &Catalogue,
        run: Range<u32>,
        writes: impl Fn(Rank) -> bool,
    ) -> Option<(Rank, u32)> {
        let at = self.reader(writes)?;
        let is_over = self.bytes[at] >= self.quota;
        let mut upto = run.start;
        while upto < run.end && (is_over || upto == run.start || self.bytes[at] < self.quota) {
            self.bytes[at] += u64::from(catalogue.piece_size(PieceId(upto)));
            upto += 1;
        }
        Some((self.ranks[at], upto))
    }
}

impl Reading {
    /// Gives pieces to readers.
    ///
    /// # Errors
    ///
    /// Names a file that no rank can read.
    pub(super) fn deal(
        &mut self,
        now: Instant,
        pieces: &Bitfield,
    ) -> Result<Vec<(Rank, ReadOrder)>, String> {
        let able = |reader: &&Reader| reader.can_read && reader.can_write;
        let able = self.readers.iter().filter(|(_, reader)| able(reader));
        let ranks: Vec<Rank> = able.map(|(rank, _)| *rank).collect();
        let mut loads = Loads::new(ranks, self.catalogue.bytes_of(pieces));
        let mut dealt = Vec::new();
        let mut next = 0;
        while let Some(first) = pieces.iter_in(next..pieces.len()).next() {
            let (entry, _) = self.catalogue.locate(PieceId(first));
            next = self.catalogue.pieces_of(entry).end;
            let runs: Vec<Span> = pieces.spans_in(first..next).collect();
            for run in runs {
                self.deal_run(now, entry, run, &mut loads, &mut dealt)?;
            }
        }
        Ok(dealt)
    }

    fn deal_run(
        &mut self,
        now: Instant,
        entry: EntryIndex,
        run: Span,
        loads: &mut Loads,
        dealt: &mut Vec<(Rank, ReadOrder)>,
    ) -> Result<(), String> {
        let end = run.first + run.count;
        let mut from = run.first;
        while from < end {
            let owner = self.owners[entry.0 as usize];
            let has_failed = self.failures.contains_key(&entry);
            let writes = |rank: Rank| {
                self.readers[&rank].writes.get(entry.0) && (!has_failed || rank == owner)
            };
            let (rank, keep, upto) = match loads.give(&self.catalogue, from..end, writes) {
                Some((rank, upto)) => (rank, Keep::Written, upto),
                None => {
                    // Whoever serves a file from the source has read the whole of it.
                    let rank = self.serve_in_place(entry)?;
                    from = self.catalogue.pieces_of(entry).start;
                    (rank, Keep::InPlace, self.catalogue.pieces_of(entry).end)
                }
            };
            let reader = self.readers.get_mut(&rank).expect("only readers are given something");
            if reader.ordered.is_empty() {
                reader.heard = now;
            }
            reader.ordered.insert_range(from..upto);
            let mut file = self.catalogue.entry(entry).clone();
            forget_root(&mut file);
            let first = from - self.catalogue.pieces_of(entry).start;
            let pieces = Span { first, count: upto - from };
            dealt.push((rank, ReadOrder { entry: file, pieces, keep }));
            from = upto;
        }
        Ok(())
    }

    /// Nobody who writes an entry can read it: its owner serves it from the source.
    fn serve_in_place(&mut self, entry: EntryIndex) -> Result<Rank, String> {
        let owner = self.owners[entry.0 as usize];
        if self.readers.get(&owner).is_some_and(|reader| reader.can_read) {
            self.in_place.insert(entry.0);
            return Ok(owner);
        }
        let name = &self.catalogue.entry(entry).name;
        let why = self.failures.get(&entry).map(String::as_str);
        let why = why.unwrap_or("those that see the source lack room, or have hung");
        Err(format!("no rank can read '{name}': {why}"))
    }
}
