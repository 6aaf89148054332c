//! A job that has ended: its status, its output, its report.

use crate::report::Report;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

/// What a job left.
#[derive(Debug)]
pub struct Finished {
    /// The exit status; 128 + the signal where one ended the launcher.
    pub status: i32,
    /// From start to end, launch included.
    pub wall: Duration,
    /// Standard output of launcher and ranks.
    pub stdout: String,
    /// Standard error of launcher and ranks.
    pub stderr: String,
    command: String,
    json: Option<String>,
}

impl Finished {
    pub(crate) fn new(
        command: String,
        status: ExitStatus,
        wall: Duration,
        stdout: String,
        stderr: String,
        json: &Path,
    ) -> Self {
        let signal = std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0);
        let status = status.code().unwrap_or(128 + signal);
        let json = std::fs::read_to_string(json).ok();
        Self { status, wall, stdout, stderr, command, json }
    }

    /// The report, after checking that it is consistent in itself and with the status.
    ///
    /// # Panics
    ///
    /// Panics where there is none, or it is not what the contract says.
    pub fn report(&self) -> Report {
        let Some(json) = &self.json else { panic!("no report was written\n{self}") };
        let report: Report =
            serde_json::from_str(json).unwrap_or_else(|error| panic!("{error} in\n{json}\n{self}"));
        report.check(self.status);
        report
    }

    /// Whether a report was written.
    pub fn has_report(&self) -> bool {
        self.json.is_some()
    }

    /// Status 0, outcome `complete`, the table on standard output. Returns the report.
    pub fn complete(&self) -> Report {
        assert_eq!(self.status, 0, "{self}");
        let report = self.report();
        assert!(!self.stdout.trim().is_empty(), "the tracker prints a table\n{self}");
        report
    }

    /// Status 2, outcome `refused`, nothing delivered, and every one of these on standard error.
    pub fn refused(&self, mentions: &[&str]) -> Report {
        assert_eq!(self.status, 2, "{self}");
        self.says(mentions);
        let report = self.report();
        assert_eq!(report.bytes_delivered, 0, "{self}");
        report
    }

    /// Status 3 and this outcome. Returns the report.
    pub fn ended_as(&self, outcome: &str) -> Report {
        assert_eq!(self.status, 3, "{self}");
        let report = self.report();
        assert_eq!(report.outcome, outcome, "{self}");
        report
    }

    /// Status 1, every one of these on standard error, and no report.
    pub fn wrong_usage(&self, mentions: &[&str]) {
        assert_eq!(self.status, 1, "{self}");
        self.says(mentions);
        assert!(!self.has_report(), "wrong usage is found before there is a report\n{self}");
    }

    /// Every one of these is on standard error, and no panic is.
    pub fn says(&self, mentions: &[&str]) {
        for mention in mentions {
            assert!(self.stderr.contains(mention), "'{mention}' is not said\n{self}");
        }
        assert!(!self.stderr.contains("panicked at"), "a panic\n{self}");
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let json = self.json.as_deref().unwrap_or("(none)");
        writeln!(f, "{}\nstatus {} after {:.2?}", self.command, self.status, self.wall)?;
        writeln!(f, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)?;
        write!(f, "--- report\n{json}")
    }
}
