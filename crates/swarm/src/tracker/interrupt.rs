//! An end before the end: the tracker's rank was told to stop by a signal, and with it the job.
//!
//! A launcher that was interrupted may kill all ranks within a fraction of a second, so the report
//! is made from what is known then. Where the launcher lets them live, peers have some time more to
//! let go what is in flight, so that the job leaves MPI in order.

use super::report::judge;
use super::{Phase, Tracker, TrackerAction};
use crate::message::FromTracker;
use crate::{Instant, Outcome, Reason};
use std::time::Duration;

/// The report is made so soon after the signal, ...
const REPORT_WITHIN: Duration = Duration::from_millis(120);
/// ... and END is said so soon, whoever has not told its counters.
const END_WITHIN: Duration = Duration::from_secs(2);

/// A job that was interrupted.
#[derive(Debug)]
pub(super) struct Interruption {
    at: Instant,
    /// Whether the report was made.
    reported: bool,
    /// Whether END was said without waiting for every rank.
    gave_up: bool,
}

impl Interruption {
    /// Whether a rank was not waited for, so that it may be stuck.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up
    }
}

impl Tracker {
    /// A signal came to the tracker's rank: everybody is to stop.
    pub(super) fn on_interrupt(
        &mut self,
        now: Instant,
        why: &str,
        actions: &mut Vec<TrackerAction>,
    ) {
        if self.interruption.is_some() || self.has_ended() {
            return;
        }
        self.interruption = Some(Interruption { at: now, reported: false, gave_up: false });
        if matches!(self.phase, Phase::Collecting { .. }) {
            return;
        }
        for member in self.members.iter_mut().filter(|member| member.is_live()) {
            member.interrupt_with_all(why);
        }
        let (outcome, reasons) = match &self.phase {
            Phase::Serving(job) => judge(self.config.purpose, job, &self.members),
            _ => (
                Outcome::Failed,
                vec![Reason::Told(format!("{why} before anything was transferred"))],
            ),
        };
        self.conclude(now, outcome, reasons, actions);
    }

    /// Does not let an interrupted job wait for slow ranks.
    pub(super) fn hurry(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) {
        let Some(interruption) = &mut self.interruption else { return };
        let Phase::Collecting { outcome, .. } = self.phase else { return };
        let since = now.since(interruption.at);
        if since >= END_WITHIN {
            interruption.gave_up = true;
            self.tell_live(&FromTracker::Finish { outcome, lost: true }, actions);
            self.end(actions);
        } else if since >= REPORT_WITHIN && !interruption.reported {
            interruption.reported = true;
            self.judge_again(actions);
            actions.push(TrackerAction::Report(Box::new(self.report())));
        }
    }

    /// Whether the report has to wait for the end.
    pub(super) fn is_unreported(&self) -> bool {
        self.interruption.as_ref().is_none_or(|interruption| !interruption.reported)
    }

    /// The last pieces may have come since FINISH was said.
    pub(super) fn judge_again(&mut self, actions: &mut Vec<TrackerAction>) {
        if self.interruption.is_none() {
            return;
        }
        let Phase::Collecting { job: Some(job), outcome, reasons, .. } = &mut self.phase else {
            return;
        };
        let before = *outcome;
        (*outcome, *reasons) = judge(self.config.purpose, job, &self.members);
        if *outcome != before {
            let (outcome, lost) = (*outcome, self.has_lost());
            self.tell_live(&FromTracker::Finish { outcome, lost }, actions);
        }
    }
}
