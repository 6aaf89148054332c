//! What the loop does for the tracker on its rank, where there is one: the first, or one that took
//! over.

use super::{Ended, Node, peer};
use crate::job::{Command, Job, TrackerPlace};
use crate::notice::Notice;
use crate::observer::{Phase, Progress};
use swarm::message::{Envelope, FromTracker, Message};
use swarm::tracker::{Spread, Succession, Tracker, TrackerAction, TrackerConfig, TrackerEvent};
use swarm::{Instant, Rank, Sweep};

/// What a tracker on this rank is told.
pub(super) fn config(job: &Job, rank: Rank, ranks: u32) -> TrackerConfig {
    TrackerConfig {
        rank,
        ranks,
        colocated: job.tracker == TrackerPlace::Colocated,
        patience: job.patience,
        memory: job.memory,
        sweep: job.delete.then_some(match job.command {
            Command::Run => Sweep::Everywhere,
            Command::Cast => Sweep::BelowItsOwn,
        }),
        purpose: job.purpose,
        spread: Spread::default(),
        seed: u64::from(std::process::id()),
    }
}

impl Node<'_> {
    /// A dedicated tracker has no peer that could tell of a problem with the orders: it refuses the
    /// job itself.
    pub(super) fn refuse_as_tracker(&mut self, problem: &str) {
        let Some(tracker) = &mut self.tracker else { return };
        let actions = tracker.handle(Instant::ZERO, TrackerEvent::Trouble(problem.to_owned()));
        self.tracker_actions(actions);
    }

    pub(super) fn show_progress(&mut self) {
        let Some(tracker) = &self.tracker else { return };
        let tally = tracker.tally();
        let phase = match (tally.started, tally.finishing) {
            (_, true) => Phase::Finishing,
            (true, false) => Phase::Transferring,
            (false, false) => Phase::Preparing,
        };
        if tracker.has_ended() {
            return;
        }
        self.observer.progress(&Progress {
            phase,
            bytes_wanted: tally.bytes_wanted,
            bytes_have: tally.bytes_have,
            peers: tally.peers,
            peers_done: tally.peers_done,
            elapsed: self.began.elapsed(),
        });
    }

    pub(super) fn tracker_event(&mut self, event: TrackerEvent) {
        let now = self.now();
        if let Some(tracker) = &mut self.tracker {
            let actions = tracker.handle(now, event);
            self.tracker_actions(actions);
        }
    }

    fn tracker_actions(&mut self, actions: Vec<TrackerAction>) {
        for action in actions {
            match action {
                TrackerAction::Send { to, message } => {
                    if matches!(message, FromTracker::Start(_)) {
                        self.advise();
                    }
                    let epoch = self.tracker.as_ref().expect("only a tracker acts").epoch();
                    self.send(to, Envelope { epoch, message: Message::FromTracker(message) });
                }
                TrackerAction::Notice(notice) => {
                    self.observer.notice(&Notice::Tracker(notice));
                }
                TrackerAction::Report(report) => {
                    self.observer.report(&report);
                    if self.peer.is_none() {
                        let lost = self.tracker.as_ref().is_some_and(Tracker::has_lost);
                        let outcome = report.outcome;
                        self.ended =
                            Some(Ended { outcome, lost, is_tracker: true, peak_buffer_bytes: 0 });
                    }
                }
            }
        }
    }

    /// Tells the user once, where the job was started so that it wastes what it could use.
    fn advise(&mut self) {
        let is_dedicated = self.job.tracker == TrackerPlace::Dedicated;
        if let Some(notice) = self.advice.give(&self.job.host, is_dedicated) {
            self.observer.notice(&notice);
        }
    }

    /// This rank tracks from now on, as well as being a peer.
    pub(super) fn succeed(&mut self, succession: Succession) {
        tracing::info!(rank = %self.rank, "takes over as tracker");
        let config = config(&self.job, self.rank, self.transport.size());
        let (tracker, actions) = Tracker::succeed(config, succession, self.now());
        self.tracker = Some(tracker);
        self.lost = true;
        self.tracker_actions(actions);
    }

    /// A message may say that a dedicated tracker tracks no more. It is a peer from then on, which
    /// has nothing, and waits for the end: whoever leaves before that may have the launcher end the
    /// job.
    pub(super) fn depose(&mut self, envelope: &Envelope) {
        let tracks = |tracker: &&Tracker| !tracker.has_ended() && envelope.deposes(tracker.epoch());
        if self.peer.is_none() && self.tracker.as_ref().filter(tracks).is_some() {
            self.abdicate();
            let (rank, ranks, now) = (self.rank, self.transport.size(), self.now());
            self.peer = Some(peer::new(&self.job, rank, ranks, now));
        }
    }

    /// This rank tracks no more.
    pub(super) fn abdicate(&mut self) {
        tracing::info!(rank = %self.rank, "tracks no more");
        // What has ended has reported.
        self.tracker = self.tracker.take().filter(Tracker::has_ended);
        self.lost = true;
    }
}
