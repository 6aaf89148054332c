//! The trackers of a run: the first, and those that take over.

use crate::event::Happening;
use crate::machines::Due;
use crate::node::Life;
use crate::scenario::{PIECE_BYTES, Scenario};
use crate::world::{LONGEST_TICK, TICK, World};
use std::time::Duration;
use swarm::message::{Envelope, FromTracker, Message};
use swarm::peer::{Limits, Peer, PeerConfig};
use swarm::tracker::{Spread, Succession, Tracker, TrackerAction, TrackerConfig, TrackerEvent};
use swarm::{Purpose, Rank};

pub(crate) fn tracker_config(scenario: &Scenario, rank: u32) -> TrackerConfig {
    TrackerConfig {
        rank: Rank(rank),
        ranks: scenario.peers + 1,
        colocated: false,
        patience: Duration::from_secs(scenario.patience_s),
        memory: None,
        sweep: None,
        purpose: Purpose::Transfer,
        spread: match scenario.catalogue_part as usize {
            0 => Spread::default(),
            part_bytes => Spread { inline_bytes: 0, part_bytes },
        },
        seed: scenario.seed,
    }
}

pub(crate) fn peer_config(scenario: &Scenario, rank: u32) -> PeerConfig {
    PeerConfig {
        rank: Rank(rank),
        ranks: scenario.peers + 1,
        tracker: Rank::TRACKER,
        batch: scenario.batch,
        window_bytes: u64::from(scenario.window) * PIECE_BYTES,
        upload_window_bytes: u64::from(scenario.upload_window) * PIECE_BYTES,
        entry_bytes: 0,
        limits: Limits::default(),
        delete: false,
        purpose: Purpose::Transfer,
        patience: Duration::from_secs(scenario.patience_s),
    }
}

impl World<'_> {
    /// Whether a rank tracks, and has not ended.
    pub(crate) fn tracks(&self, rank: u32) -> bool {
        let node = &self.nodes[rank as usize];
        node.tracker.as_ref().is_some_and(|tracker| !tracker.has_ended())
    }

    pub(crate) fn tracker_event(&mut self, rank: u32, event: TrackerEvent) {
        if self.nodes[rank as usize].life != Life::Live || !self.tracks(rank) {
            return;
        }
        let (now, due) = (self.instant(), self.is_due(Due::Tracker));
        let tracker = self.nodes[rank as usize].tracker.as_mut().expect("it tracks");
        let actions = tracker.handle(now, event);
        if due {
            tracker.check_invariants();
        }
        self.tracker_actions(rank, actions);
        let node = &mut self.nodes[rank as usize];
        if node.peer.is_none() && !node.runs() {
            node.life = Life::Exited;
        }
        self.count(rank);
    }

    fn tracker_actions(&mut self, rank: u32, actions: Vec<TrackerAction>) {
        for action in actions {
            match action {
                TrackerAction::Send { to, message } => {
                    match message {
                        FromTracker::Start(_) => self.start(),
                        FromTracker::Finish { .. } => self.all_stopped(),
                        _ => {}
                    }
                    let tracker = self.nodes[rank as usize].tracker.as_ref().expect("it acts");
                    let message = Message::FromTracker(message);
                    self.send(rank, to.0, Envelope { epoch: tracker.epoch(), message });
                }
                TrackerAction::Notice(_) => {}
                TrackerAction::Report(report) => {
                    self.reports.push(rank);
                    self.report = Some(*report);
                }
            }
        }
    }

    /// Keeps count of the ranks that may still do something.
    pub(crate) fn count(&mut self, rank: u32) {
        let node = &mut self.nodes[rank as usize];
        let runs = node.runs();
        match (std::mem::replace(&mut node.open, runs), runs) {
            (true, false) => self.open -= 1,
            (false, true) => self.open += 1,
            _ => {}
        }
    }

    /// A peer's rank tracks from now on.
    pub(crate) fn succeed(&mut self, rank: u32, succession: Succession) {
        self.moves();
        let config = tracker_config(self.scenario, rank);
        let (tracker, actions) = Tracker::succeed(config, succession, self.instant());
        self.nodes[rank as usize].tracker = Some(Box::new(tracker));
        self.future.plan(self.now + LONGEST_TICK, Happening::TrackerTick(rank));
        self.tracker_actions(rank, actions);
    }

    /// A rank tracks no more.
    pub(crate) fn abdicate(&mut self, rank: u32) {
        self.nodes[rank as usize].tracker = None;
    }

    /// A dedicated tracker that hears of a higher epoch is a peer from then on, which has nothing,
    /// and waits for the end.
    pub(crate) fn depose(&mut self, rank: u32, envelope: &Envelope) {
        let now = self.instant();
        let node = &mut self.nodes[rank as usize];
        let deposed = |tracker: &Tracker| !tracker.has_ended() && envelope.deposes(tracker.epoch());
        if node.peer.is_none() && node.tracker.as_deref().is_some_and(deposed) {
            node.tracker = None;
            node.peer = Some(Peer::new(peer_config(self.scenario, rank), now));
            node.tick.gap = TICK as u32;
            self.plan_tick(rank, self.now);
        }
    }
}
