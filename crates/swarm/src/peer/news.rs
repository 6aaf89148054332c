//! What this peer has to tell the tracker, and what it has to ask.

use crate::message::{Differing, Gains, ToTracker, parts};
use crate::{Differences, Instant};
use content::{Bitfield, Span};
use serde::Serialize;
use std::time::Duration;

/// News wait for the end of a batch, but no longer than this.
const MAX_WAIT: Duration = Duration::from_millis(200);

/// The first pause between two questions to the tracker. It doubles with every question; for a peer
/// that has nothing under way only while answers bring nothing new.
const FIRST_PAUSE: Duration = Duration::from_millis(40);

/// The longest pause between two questions.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A question that has no answer after this long is asked again: its answer came from a tracker
/// that is gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What happened since the last update.
#[derive(Debug)]
pub(super) struct News {
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
    pub(super) fn new(entry_count: u32, batch: usize) -> Self {
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
    pub(super) fn complete(&self) -> &Bitfield {
        &self.complete
    }

    /// A piece was gained; `opens`: it travels with none that was gained before.
    pub(super) fn piece(&mut self, now: Instant, piece: u32, opens: bool) {
        self.pieces.push(piece);
        self.gained += usize::from(opens);
        self.due |= self.gained >= self.batch;
        self.since.get_or_insert(now);
    }

    /// Pieces are no longer served. What was gained of them and not told never will be.
    pub(super) fn lost(&mut self, now: Instant, pieces: &Bitfield) {
        self.pieces.retain(|&piece| !pieces.get(piece));
        self.gained = self.gained.min(self.pieces.len());
        self.lost.extend(pieces.iter());
        self.since.get_or_insert(now);
    }

    pub(super) fn entry(&mut self, now: Instant, entry: u32) {
        self.entries.push(entry);
        self.complete.insert(entry);
        self.since.get_or_insert(now);
    }

    /// An entry is not as the catalogue has it.
    pub(super) fn differs(&mut self, now: Instant, entry: u32, what: Differences) {
        self.differing.push((entry, what));
        self.since.get_or_insert(now);
    }

    /// All that differs is told anew, with what else is new.
    pub(super) fn differ_again(&mut self, all: Vec<(u32, Differences)>) {
        self.differing = all;
        self.since.get_or_insert(Instant::ZERO);
    }

    /// The updates that are due.
    pub(super) fn take_due(&mut self, now: Instant, have_bytes: u64) -> Vec<ToTracker> {
        let old = self.since.is_some_and(|since| now.since(since) >= MAX_WAIT);
        if self.due || old { self.take(have_bytes) } else { Vec::new() }
    }

    /// All news as updates; none where there are none.
    pub(super) fn take(&mut self, have_bytes: u64) -> Vec<ToTracker> {
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

/// When to ask the tracker who holds what is missing.
#[derive(Debug)]
pub(super) struct Questions {
    number: u32,
    asked: Option<Instant>,
    pause: Duration,
    idle_pause: Duration,
    answered_at: Option<Instant>,
    /// Whether the answer under way brought news.
    news: bool,
    answered: u32,
}

impl Questions {
    pub(super) fn new() -> Self {
        Self {
            number: 0,
            asked: None,
            pause: FIRST_PAUSE,
            idle_pause: FIRST_PAUSE,
            answered_at: None,
            news: false,
            answered: 0,
        }
    }

    /// Whether a question may be asked now: none is under way, and it is not too early; `idle`:
    /// nothing is asked of any holder.
    pub(super) fn may_ask(&self, now: Instant, idle: bool) -> bool {
        let unanswered = self.asked.is_some_and(|at| now.since(at) < ANSWER_WITHIN);
        let pause = if idle { self.idle_pause } else { self.pause };
        !unanswered && self.answered_at.is_none_or(|at| now.since(at) >= pause)
    }

    /// Nobody will answer what was asked: another rank tracks, and may be asked at once.
    pub(super) fn ask_again(&mut self) {
        (self.asked, self.answered_at) = (None, None);
        (self.pause, self.idle_pause) = (FIRST_PAUSE, FIRST_PAUSE);
    }

    /// The number of a question that is asked now.
    pub(super) fn next(&mut self, now: Instant) -> u32 {
        self.number += 1;
        self.asked = Some(now);
        self.news = false;
        self.number
    }

    /// The number of the last question.
    pub(super) fn last_asked(&self) -> u32 {
        self.number
    }

    /// The number of the last question that was answered.
    pub(super) fn last_answered(&self) -> u32 {
        self.answered
    }

    /// A part of an answer came; `news`: it named a holder of something that was not known.
    pub(super) fn answered(&mut self, now: Instant, number: u32, news: bool, last: bool) {
        if number != self.number {
            return;
        }
        self.news |= news;
        if last {
            self.asked = None;
            self.answered = number;
            let longer = |pause: Duration| (pause * 2).min(MAX_PAUSE);
            self.pause = longer(self.pause);
            self.idle_pause = if self.news { FIRST_PAUSE } else { longer(self.idle_pause) };
            self.answered_at = Some(now);
        }
    }
}
