//! What this peer has to tell the tracker, and what it has to ask.

use crate::Instant;
use crate::message::{Gains, ToTracker, parts};
use content::Span;
use std::time::Duration;

/// News wait for the end of a batch, but no longer than this.
const MAX_WAIT: Duration = Duration::from_millis(500);

/// The first pause between two questions to the tracker; it doubles while answers bring nothing
/// new.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The longest pause between two questions.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A question that has no answer after this long is asked again: its answer came from a tracker
/// that is gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What happened since the last update.
#[derive(Debug)]
pub(super) struct News {
    pieces: Vec<u32>,
    lost: Vec<u32>,
    entries: Vec<u32>,
    since: Option<Instant>,
    /// The batch is over: tell now.
    due: bool,
}

impl News {
    pub(super) fn new() -> Self {
        Self { pieces: Vec::new(), lost: Vec::new(), entries: Vec::new(), since: None, due: false }
    }

    pub(super) fn piece(&mut self, now: Instant, piece: u32) {
        self.pieces.push(piece);
        self.since.get_or_insert(now);
    }

    pub(super) fn lost(&mut self, now: Instant, pieces: impl Iterator<Item = u32>) {
        self.lost.extend(pieces);
        self.since.get_or_insert(now);
    }

    pub(super) fn entry(&mut self, now: Instant, entry: u32) {
        self.entries.push(entry);
        self.since.get_or_insert(now);
    }

    /// A batch ended.
    pub(super) fn batch_ended(&mut self) {
        self.due = self.since.is_some();
    }

    /// The updates that are due.
    pub(super) fn take_due(&mut self, now: Instant, have_bytes: u64) -> Vec<ToTracker> {
        let old = self.since.is_some_and(|since| now.since(since) >= MAX_WAIT);
        if self.due || old { self.take(have_bytes) } else { Vec::new() }
    }

    /// All news as updates; none where there are none.
    pub(super) fn take(&mut self, have_bytes: u64) -> Vec<ToTracker> {
        self.due = false;
        if self.since.take().is_none() {
            return Vec::new();
        }
        let runs = |numbers: &mut Vec<u32>| {
            numbers.sort_unstable();
            parts(Span::join(numbers.drain(..)))
        };
        let (pieces, lost, entries) =
            (runs(&mut self.pieces), runs(&mut self.lost), runs(&mut self.entries));
        let updates = pieces.len().max(lost.len()).max(entries.len());
        let (mut pieces, mut lost, mut entries) =
            (pieces.into_iter(), lost.into_iter(), entries.into_iter());
        (0..updates)
            .map(|_| {
                let pieces = pieces.next().unwrap_or_default();
                let (lost, entries) =
                    (lost.next().unwrap_or_default(), entries.next().unwrap_or_default());
                ToTracker::Update(Gains { pieces, lost, entries, have_bytes })
            })
            .collect()
    }
}

/// When to ask the tracker who holds what is missing.
#[derive(Debug)]
pub(super) struct Questions {
    number: u32,
    asked: Option<Instant>,
    pause: Duration,
    not_before: Instant,
    /// Whether the answer under way brought news.
    news: bool,
}

impl Questions {
    pub(super) fn new(now: Instant) -> Self {
        Self { number: 0, asked: None, pause: FIRST_PAUSE, not_before: now, news: false }
    }

    /// The number of a question to be asked now; none where one is under way, or it is too early.
    pub(super) fn next(&mut self, now: Instant) -> Option<u32> {
        let unanswered = self.asked.is_some_and(|at| now.since(at) < ANSWER_WITHIN);
        if unanswered || now < self.not_before {
            return None;
        }
        self.number += 1;
        self.asked = Some(now);
        self.news = false;
        Some(self.number)
    }

    /// A part of an answer came; `news`: it named a holder of something that was not known.
    pub(super) fn answered(&mut self, now: Instant, number: u32, news: bool, last: bool) {
        if number != self.number {
            return;
        }
        self.news |= news;
        if last {
            self.asked = None;
            self.pause = if self.news { FIRST_PAUSE } else { (self.pause * 2).min(MAX_PAUSE) };
            self.not_before = now + self.pause;
        }
    }
}
