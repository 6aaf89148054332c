//! How far the job is, as text: a bar that is drawn over itself, or a line now and then. It only
//! makes the text.
//!
//! The bar is our own: one line and a carriage return. A library for bars would bring its own
//! clock and its own thread, and hide the bar behind a launcher's pipe, which is where most jobs
//! run.

use crate::human;
use shoal::{Phase, Progress};
use std::time::Duration;

/// The first line comes when a job is no longer short, ...
const FIRST_LINE: Duration = Duration::from_secs(2);
/// ... and the next ones at this distance, if something has changed.
const NEXT_LINE: Duration = Duration::from_secs(5);
/// The bar is drawn anew at most so often.
const NEXT_BAR: Duration = Duration::from_millis(100);
/// Cells of the bar.
const BAR_CELLS: usize = 12;
/// A bar that is longer than the terminal is wide could not be cleared; 80 columns are the custom.
const BAR_COLUMNS_MAX: usize = 79;
/// A longer rest is not worth a number.
const ETA_MAX_SECONDS: f64 = 100.0 * 3600.0;

/// Which text is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Drawn over itself.
    Bar,
    /// A line now and then.
    Plain,
    /// None.
    Silent,
}

/// Makes the text, and remembers what it needs for rates.
#[derive(Debug)]
pub struct Meter {
    style: Style,
    due: Duration,
    shown: Option<Progress>,
    /// When the transfer began, and with how many bytes in place.
    transfer_began: Option<(Duration, u64)>,
}

impl Meter {
    /// A meter that has shown nothing.
    pub fn new(style: Style) -> Self {
        let due = if style == Style::Plain { FIRST_LINE } else { Duration::ZERO };
        Self { style, due, shown: None, transfer_began: None }
    }

    /// The text for what has happened, where it is time for one. The clock is the progress's own.
    pub fn text(&mut self, progress: &Progress) -> Option<String> {
        if progress.phase == Phase::Transferring && self.transfer_began.is_none() {
            self.transfer_began = Some((progress.elapsed, progress.bytes_have));
        }
        if self.style == Style::Silent || progress.elapsed < self.due || !self.is_news(progress) {
            return None;
        }
        let distance = if self.style == Style::Bar { NEXT_BAR } else { NEXT_LINE };
        self.due = progress.elapsed + distance;
        let mut text = self.line(progress);
        if self.style == Style::Bar && text.len() > BAR_COLUMNS_MAX {
            text = text.chars().take(BAR_COLUMNS_MAX).collect();
        }
        self.shown = Some(progress.clone());
        Some(text)
    }

    fn is_news(&self, progress: &Progress) -> bool {
        self.shown.as_ref().is_none_or(|shown| {
            let same_time = Progress { elapsed: shown.elapsed, ..progress.clone() };
            same_time != *shown
        })
    }

    fn line(&self, progress: &Progress) -> String {
        let peers = human::count(progress.peers as usize, "peer");
        match progress.phase {
            Phase::Preparing => format!("preparing: {peers} look through their files"),
            Phase::Transferring => self.transfer(progress),
            Phase::Finishing => format!("finishing: {} of {peers} done", progress.peers_done),
        }
    }

    fn transfer(&self, progress: &Progress) -> String {
        let Progress { bytes_wanted: wanted, bytes_have: have, peers, peers_done, .. } = *progress;
        let share = if wanted == 0 { 1.0 } else { (have as f64 / wanted as f64).min(1.0) };
        // Rounded down: 100% is said when it is so.
        let percent = (share * 100.0) as u32;
        let mut parts = vec![
            format!("{percent:3}%"),
            format!("{} of {}", human::bytes(have), human::bytes(wanted)),
        ];
        if self.style == Style::Bar {
            let full = (share * BAR_CELLS as f64) as usize;
            parts.insert(0, format!("[{}{}]", "#".repeat(full), ".".repeat(BAR_CELLS - full)));
        }
        if let Some((rate, rest)) = self.rate_and_rest(progress) {
            parts.push(rate);
            parts.push(format!("{peers_done}/{peers} peers done"));
            parts.extend(rest.map(|rest| format!("{rest} left")));
        } else {
            parts.push(format!("{peers_done}/{peers} peers done"));
        }
        parts.join("  ")
    }

    /// The mean rate since the transfer began, and the time that the rest takes at that rate.
    fn rate_and_rest(&self, progress: &Progress) -> Option<(String, Option<String>)> {
        let (began, had) = self.transfer_began?;
        let elapsed = progress.elapsed.saturating_sub(began);
        let moved = progress.bytes_have.saturating_sub(had);
        if moved == 0 || elapsed.is_zero() {
            return None;
        }
        let rest = progress.bytes_wanted.saturating_sub(progress.bytes_have);
        let seconds = rest as f64 * elapsed.as_secs_f64() / moved as f64;
        let known = rest > 0 && seconds < ETA_MAX_SECONDS;
        let rest = known.then(|| human::rough_time(seconds));
        Some((human::rate(moved, elapsed), rest))
    }
}
