//! Where the node's words end up: the observer that prints. It decides nothing.

use crate::args::ProgressArg;
use crate::env::Env;
use crate::front::Orders;
use crate::human;
use crate::progress::{Meter, Style};
use crate::{json, report, status, target, words};
use shoal::{Notice, Observer, Progress};
use std::io::Write;
use std::path::PathBuf;
use swarm::{Outcome, Rank, Report};

/// Back to the line's beginning, and clear it.
const CLEAR_LINE: &str = "\r\x1b[2K";

/// The output of one rank.
pub struct Terminal {
    rank: Rank,
    host: String,
    json: Option<PathBuf>,
    style: Style,
    meter: Meter,
    bar_is_shown: bool,
    unwritten: Unwritten,
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
}

/// Whether a report that was asked for is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwritten {
    Nothing,
    Report,
}

impl Terminal {
    /// The output of a rank with these orders.
    pub fn new(orders: &Orders, rank: Rank, env: Env) -> Self {
        let style = match orders.progress {
            ProgressArg::Bar => Style::Bar,
            ProgressArg::Plain => Style::Plain,
            ProgressArg::None => Style::Silent,
            // Log lines would fall into the bar.
            ProgressArg::Auto if env.is_terminal && orders.verbosity == 0 => Style::Bar,
            ProgressArg::Auto => Style::Plain,
        };
        Self {
            rank,
            host: env.host,
            json: orders.json.clone(),
            style,
            meter: Meter::new(style),
            bar_is_shown: false,
            unwritten: Unwritten::Nothing,
            stdout: env.stdout,
            stderr: env.stderr,
        }
    }

    /// The exit status of a job that ended so: a program that asked for the report is not told that
    /// all is well where there is none.
    pub fn status(&self, outcome: Outcome) -> u8 {
        match (outcome, self.unwritten) {
            (Outcome::Complete, Unwritten::Report) => status::of(Outcome::Failed),
            _ => status::of(outcome),
        }
    }

    /// Standard error, with the bar out of the way.
    pub fn stderr(&mut self) -> &mut dyn Write {
        self.clear_bar();
        &mut self.stderr
    }

    /// Prints a line on standard error. Where that fails there is no one left to tell.
    fn say(&mut self, text: &str) {
        self.clear_bar();
        let line = format!("shoal: {text}\n");
        let _ = self.stderr.write_all(line.as_bytes()).and_then(|()| self.stderr.flush());
    }

    fn clear_bar(&mut self) {
        if std::mem::take(&mut self.bar_is_shown) {
            let _ = self.stderr.write_all(CLEAR_LINE.as_bytes());
        }
    }
}

impl Observer for Terminal {
    fn notice(&mut self, notice: &Notice) {
        let (rank, host) = (self.rank, human::safe(&self.host));
        self.say(&format!("note: [rank {rank} {host}] {}", human::safe(&words::notice(notice))));
    }

    fn progress(&mut self, progress: &Progress) {
        let Some(text) = self.meter.text(progress) else { return };
        if self.style == Style::Bar {
            let line = format!("{CLEAR_LINE}{text}");
            let _ = self.stderr.write_all(line.as_bytes()).and_then(|()| self.stderr.flush());
            self.bar_is_shown = true;
        } else {
            self.say(&text);
        }
    }

    fn report(&mut self, report: &Report) {
        self.clear_bar();
        let written = match &self.json {
            Some(path) => target::write(path, &json::text(report), &mut *self.stdout),
            None => Ok(()),
        };
        let table = report::table(report);
        let printed = self.stdout.write_all(table.as_bytes()).and_then(|()| self.stdout.flush());
        for reason in report::reasons(report) {
            self.say(&reason);
        }
        if let Err(why) = written {
            self.unwritten = Unwritten::Report;
            let but = match report.outcome {
                Outcome::Complete => "; the files are complete, and status 3 is for the report",
                _ => "",
            };
            self.say(&format!("{why:#}{but}"));
        }
        if let Err(why) = printed {
            self.say(&format!("cannot write the table to standard output: {why}"));
        }
    }
}
