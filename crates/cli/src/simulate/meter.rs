//! How far a simulation is, on a clock of this world: a bar on a terminal, else a line now and
//! then.

use crate::args::ProgressArg;
use std::io::Write;
use std::time::{Duration, Instant};

/// The bar is drawn anew at most so often, ...
const NEXT_BAR: Duration = Duration::from_millis(100);
/// ... and a line printed at most so often.
const NEXT_LINE: Duration = Duration::from_secs(5);
/// Cells of the bar.
const BAR_CELLS: u64 = 12;
/// Back to the line's beginning, and clear it.
const CLEAR_LINE: &str = "\r\x1b[2K";

/// Shows it.
pub struct Meter {
    began: Instant,
    due: Duration,
    style: ProgressArg,
    shown: bool,
}

impl Meter {
    /// A meter in the style that was asked for.
    pub fn new(progress: ProgressArg, is_terminal: bool) -> Self {
        let style = match (progress, is_terminal) {
            (ProgressArg::Auto, true) => ProgressArg::Bar,
            (ProgressArg::Auto, false) => ProgressArg::Plain,
            (style, _) => style,
        };
        let due = if style == ProgressArg::Bar { Duration::ZERO } else { NEXT_LINE };
        Self { began: Instant::now(), due, style, shown: false }
    }

    /// The time since it was made.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Shows that so much of all is done, and what `text` says of it, if it is time.
    ///
    /// # Errors
    ///
    /// Fails where standard error does.
    pub fn show(
        &mut self,
        (done, all): (u64, u64),
        text: impl FnOnce() -> String,
        stderr: &mut dyn Write,
    ) -> std::io::Result<()> {
        let elapsed = self.began.elapsed();
        if self.style == ProgressArg::None || elapsed < self.due {
            return Ok(());
        }
        let percent = (done * 100).checked_div(all).unwrap_or(100);
        let text = format!("{percent:3}%  {}", text());
        if self.style == ProgressArg::Bar {
            self.due = elapsed + NEXT_BAR;
            self.shown = true;
            let full = (BAR_CELLS * percent / 100) as usize;
            let bar = "#".repeat(full) + &".".repeat(BAR_CELLS as usize - full);
            write!(stderr, "{CLEAR_LINE}[{bar}]  {text}")?;
        } else {
            self.due = elapsed + NEXT_LINE;
            writeln!(stderr, "shoal: {text}")?;
        }
        stderr.flush()
    }

    /// Takes the bar away.
    ///
    /// # Errors
    ///
    /// Fails where standard error does.
    pub fn finish(&mut self, stderr: &mut dyn Write) -> std::io::Result<()> {
        if std::mem::take(&mut self.shown) {
            write!(stderr, "{CLEAR_LINE}")?;
        }
        stderr.flush()
    }
}
