//! What this peer has to tell the tracker.

use crate::message::{Differing, Gains, ToTracker, parts};
use crate::{Differences, Instant};
use content::{Bitfield, Span};
use serde::Serialize;
use std::time::Duration;

/// News wait for the end of a batch, but no longer than this.
const MAX_WAIT: Duration = Duration::from_millis(200);

/// What happened since the last update.
#[derive(Debug)]
pub(in crate::peer) struct News {
    lost: Vec<u32>,
    pieces: Vec<u32>,
    entries: Vec<u32>,
    /// All entries that were ever told, or will be.
    complete: Bitfield,
    differing: Vec<(u32, Differences)>,
    since: Option<Instant>,
    /// Pieces and bundles in a batch.
    batch: usize,
    /// Of those, how many were gained.
    gained: usize,
    /// The batch is over: tell now.
    due: bool,
}

impl News {
    pub(in crate::peer) fn new(entry_count: u32, batch: usize) -> Self {
        Self {
            lost: Vec::new(),
            pieces: Vec::new(),
            entries: Vec::new(),
            complete: Bitfield::new(entry_count),
            differing: Vec::new(),
            since: None,
            batch,
            gained: 0,
            due: false,
        }
    }

    /// The entries that are complete.
    pub(in crate::peer) fn complete(&self) -> &Bitfield {
        &self.complete
    }

    /// A piece was gained; `opens`: it travels with none that was gained before.
    pub(in crate::peer) fn piece(&mut self, now: Instant, piece: u32, opens: bool) {
        self.pieces.push(piece);
        self.gained += usize::from(opens);
        self.due |= self.gained >= self.batch;
        self.since.get_or_insert(now);
    }

    /// Pieces are no longer served. What was gained of them and not told never will be.
    pub(in crate::peer) fn lost(&mut self, now: Instant, pieces: &Bitfield) {
        self.pieces.retain(|&piece| !pieces.get(piece));
        self.gained = self.gained.min(self.pieces.len());
        self.lost.extend(pieces.iter());
        self.since.get_or_insert(now);
    }

    pub(in crate::peer) fn entry(&mut self, now: Instant, entry: u32) {
        self.entries.push(entry);
        self.complete.insert(entry);
        self.since.get_or_insert(now);
    }

    /// An entry is not as the catalogue has it.
    pub(in crate::peer) fn differs(&mut self, now: Instant, entry: u32, what: Differences) {
        self.differing.push((entry, what));
        self.since.get_or_insert(now);
    }

    /// All that differs is told anew, with what else is new.
    pub(in crate::peer) fn differ_again(&mut self, all: Vec<(u32, Differences)>) {
        self.differing = all;
        self.since.get_or_insert(Instant::ZERO);
    }

    /// The updates that are due.
    pub(in crate::peer) fn take_due(&mut self, now: Instant, have_bytes: u64) -> Vec<ToTracker> {
        let old = self.since.is_some_and(|since| now.since(since) >= MAX_WAIT);
        if self.due || old { self.take(have_bytes) } else { Vec::new() }
    }

    /// All news as updates; none where there are none.
    pub(in crate::peer) fn take(&mut self, have_bytes: u64) -> Vec<ToTracker> {
        (self.due, self.gained) = (false, 0);
        if self.since.take().is_none() {
            return Vec::new();
        }
        let runs = |numbers: &mut Vec<u32>| {
            numbers.sort_unstable();
            // Lost, gained and lost again: the tracker takes a list for no more than the catalogue.
            numbers.dedup();
            Span::join(numbers.drain(..)).into_iter()
        };
        let lost = runs(&mut self.lost).map(Item::Lost);
        let pieces = runs(&mut self.pieces).map(Item::Piece);
        let entries = runs(&mut self.entries).map(Item::Entry);
        let differing = runs_of(&mut self.differing).into_iter().map(Item::Differing);
        let updates = parts(lost.chain(pieces).chain(entries).chain(differing)).into_iter();
        updates.map(|items| ToTracker::Update(gains(items, have_bytes))).collect()
    }
}

/// Entries that differ alike, as runs.
fn runs_of(differing: &mut Vec<(u32, Differences)>) -> Vec<Differing> {
    differing.sort_unstable_by_key(|&(entry, what)| (what, entry));
    let all = std::mem::take(differing);
    let alike = all.chunk_by(|a, b| a.1 == b.1);
    let runs = alike.flat_map(|chunk| {
        let what = chunk[0].1;
        let entries = Span::join(chunk.iter().map(|&(entry, _)| entry));
        entries.into_iter().map(move |entries| Differing { what, entries })
    });
    runs.collect()
}

/// One thing to tell. An update takes as many as fit a message, what was lost first.
#[derive(Debug, Serialize)]
enum Item {
    Lost(Span),
    Piece(Span),
    Entry(Span),
    Differing(Differing),
}

fn gains(items: Vec<Item>, have_bytes: u64) -> Gains {
    let mut gains = Gains { have_bytes, ..Gains::default() };
    for item in items {
        match item {
            Item::Lost(span) => gains.lost.push(span),
            Item::Piece(span) => gains.pieces.push(span),
            Item::Entry(span) => gains.entries.push(span),
            Item::Differing(differing) => gains.differing.push(differing),
        }
    }
    gains
}
