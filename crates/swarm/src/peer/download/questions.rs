//! When the tracker is asked who holds what is missing. Asks nothing itself.

use crate::Instant;
use std::time::Duration;

/// The first pause between two questions to the tracker. It doubles with every question; for a peer
/// that has nothing under way only while answers bring nothing new.
const FIRST_PAUSE: Duration = Duration::from_millis(40);

/// The longest pause between two questions.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// A question that has no answer after this long is asked again: its answer came from a tracker
/// that is gone.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

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
