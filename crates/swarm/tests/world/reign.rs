//! The trackers of the little world: the first, and those that take over.

use super::World;
use swarm::message::{Envelope, Message};
use swarm::peer::{Limits, Peer, PeerConfig};
use swarm::tracker::{Succession, Tracker, TrackerAction, TrackerConfig, TrackerEvent};
use swarm::{Purpose, Rank};

impl World {
    pub(super) fn tracker_config(&self, rank: Rank) -> TrackerConfig {
        let ranks = self.nodes.len() as u32;
        let super::Settings { seed, colocated, patience, spread, .. } = self.settings;
        TrackerConfig {
            rank,
            ranks,
            colocated,
            patience,
            memory: None,
            sweep: None,
            purpose: Purpose::Transfer,
            spread,
            seed,
        }
    }

    pub(super) fn new_peer(&self, rank: Rank, ranks: u32) -> Peer {
        let piece = 16 * 1024;
        let config = PeerConfig {
            rank,
            ranks,
            tracker: Rank(0),
            batch: self.settings.batch,
            window_bytes: self.settings.window_pieces * piece,
            upload_window_bytes: self.settings.window_pieces / 2 * piece,
            entry_bytes: 0,
            limits: Limits::default(),
            delete: false,
            purpose: Purpose::Transfer,
            patience: self.settings.patience,
        };
        Peer::new(config, self.now)
    }

    /// Whether a rank tracks, and has not ended.
    pub fn tracks(&self, at: usize) -> bool {
        self.nodes[at].tracker.as_ref().is_some_and(|tracker| !tracker.has_ended())
    }

    pub(super) fn tracker_event(&mut self, rank: Rank, event: TrackerEvent) {
        if !self.nodes[rank.index()].alive || !self.tracks(rank.index()) {
            return;
        }
        let now = self.now;
        let tracker = self.nodes[rank.index()].tracker.as_mut().expect("it tracks");
        let actions = tracker.handle(now, event);
        self.tracker_actions(rank, actions);
        if self.is_checked() {
            self.nodes[rank.index()].tracker.as_ref().expect("it acted").check_invariants();
        }
    }

    fn tracker_actions(&mut self, rank: Rank, actions: Vec<TrackerAction>) {
        for action in actions {
            match action {
                TrackerAction::Send { to, message } => {
                    let tracker = self.nodes[rank.index()].tracker.as_ref().expect("it acts");
                    let envelope =
                        Envelope { epoch: tracker.epoch(), message: Message::FromTracker(message) };
                    self.send(rank, to, &envelope);
                }
                TrackerAction::Notice(notice) => self.notices.push(notice.to_string()),
                TrackerAction::Report(report) => {
                    self.reports.push(rank);
                    self.report = Some(*report);
                }
            }
        }
    }

    /// A peer's rank tracks from now on.
    pub(super) fn succeed(&mut self, rank: Rank, succession: Succession) {
        self.log.push(format!("{rank} takes over"));
        let config = self.tracker_config(rank);
        let (tracker, actions) = Tracker::succeed(config, succession, self.now);
        self.nodes[rank.index()].tracker = Some(tracker);
        self.tracker_actions(rank, actions);
    }

    /// A dedicated tracker that hears of a higher epoch is a peer from then on, which has nothing,
    /// and waits for the end.
    pub(super) fn depose(&mut self, rank: Rank, envelope: &Envelope) {
        let node = &self.nodes[rank.index()];
        let deposed = |tracker: &Tracker| envelope.deposes(tracker.epoch());
        if self.tracks(rank.index())
            && node.peer.is_none()
            && node.tracker.as_ref().is_some_and(deposed)
        {
            self.abdicate(rank);
            let peer = self.new_peer(rank, self.nodes.len() as u32);
            self.nodes[rank.index()].peer = Some(peer);
        }
    }

    pub(super) fn abdicate(&mut self, rank: Rank) {
        self.log.push(format!("{rank} is deposed"));
        self.nodes[rank.index()].tracker = None;
    }
}
