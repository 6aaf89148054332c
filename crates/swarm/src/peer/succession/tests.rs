//! Whom a peer obeys, one event at a time.

use crate::message::{
    Between, Envelope, Epoch, FromTracker, Gains, Hello, Message, SharedFs, ToTracker,
};
use crate::peer::{Limits, Peer, PeerAction, PeerConfig, PeerEvent};
use crate::{Instant, Outcome, Purpose, Rank};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A rank of a job of ten, before START.
struct Bench {
    peer: Peer,
    now: Instant,
    actions: Vec<PeerAction>,
}

impl Bench {
    fn new(rank: u32) -> Self {
        let config = PeerConfig {
            rank: Rank(rank),
            ranks: 10,
            tracker: Rank(0),
            batch: 10,
            window_bytes: 1 << 20,
            upload_window_bytes: 1 << 20,
            entry_bytes: 0,
            limits: Limits::default(),
            delete: false,
            purpose: Purpose::Transfer,
            patience: PATIENCE,
        };
        let peer = Peer::new(config, Instant::ZERO);
        let mut bench = Self { peer, now: Instant::ZERO, actions: Vec::new() };
        let hello = Hello {
            host: "host".into(),
            rack: None,
            shares: vec![],
            waits_for_read: false,
            shared_fs: SharedFs::No,
            wants: vec![],
            wants_own: false,
            destination: None,
        };
        bench.event(PeerEvent::Hello(Box::new(hello)));
        bench.actions.clear();
        bench
    }

    fn event(&mut self, event: PeerEvent) {
        self.actions.extend(self.peer.handle(self.now, event));
    }

    fn hear(&mut self, from: u32, epoch: u32, message: Message) {
        let envelope = Envelope { epoch: Epoch(epoch), message };
        self.event(PeerEvent::Message { from: Rank(from), envelope });
    }

    fn tracker(&mut self, rank: u32, message: FromTracker) {
        self.hear(rank, rank, Message::FromTracker(message));
    }

    /// Time passes in steps that are no sleep.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now + Duration::from_millis(500);
            self.event(PeerEvent::Tick);
        }
    }

    /// The ranks that were asked to take over since the last look, and whether that was certain.
    fn asked(&mut self) -> Vec<(u32, bool)> {
        let actions = std::mem::take(&mut self.actions);
        let asked = actions.iter().filter_map(|action| match action {
            PeerAction::Send {
                to,
                message: Message::Between(Between::Succeed { certain, .. }),
            } => Some((to.0, *certain)),
            _ => None,
        });
        let asked = asked.collect();
        self.actions = actions;
        asked
    }

    fn reigns(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, PeerAction::Succeed(_)))
    }

    fn said_to(&self, rank: u32) -> Vec<&ToTracker> {
        let said = self.actions.iter().filter_map(|action| match action {
            PeerAction::Send { to, message: Message::ToTracker(message) } if to.0 == rank => {
                Some(message)
            }
            _ => None,
        });
        said.collect()
    }
}

#[test]
fn the_lowest_rank_takes_over_at_once_where_the_tracker_is_known_to_be_dead() {
    let mut bench = Bench::new(1);
    bench.event(PeerEvent::Lost(Rank(0)));
    assert!(bench.reigns());
    assert_eq!(bench.peer.epoch(), Epoch(1));
    assert!(bench.said_to(1).iter().any(|said| matches!(said, ToTracker::Hello(_))));
}

#[test]
fn another_rank_asks_the_lowest_that_is_not_lost_and_the_next_where_that_is_silent() {
    let mut bench = Bench::new(4);
    bench.event(PeerEvent::Lost(Rank(1)));
    bench.event(PeerEvent::Lost(Rank(0)));
    assert_eq!(bench.asked(), [(2, true)]);
    bench.pass(PATIENCE + Duration::from_secs(1));
    assert_eq!(bench.asked(), [(2, true), (3, false)], "rank 2 is only silent");
    assert!(!bench.reigns());
    bench.pass(PATIENCE + Duration::from_secs(1));
    assert!(bench.reigns(), "and this rank is the last of them");
}

#[test]
fn a_rank_that_is_asked_takes_over_only_where_it_hears_nothing_either() {
    let ask = |bench: &mut Bench, certain| {
        let message = Between::Succeed { epoch: Epoch(0), certain };
        bench.hear(5, 0, Message::Between(message));
    };
    let mut bench = Bench::new(1);
    ask(&mut bench, false);
    bench.tracker(0, FromTracker::Alive);
    bench.pass(PATIENCE / 2 + Duration::from_secs(1));
    assert!(!bench.reigns(), "the other was wrong");
    bench.tracker(0, FromTracker::Alive);
    ask(&mut bench, false);
    bench.pass(PATIENCE / 2 + Duration::from_secs(1));
    assert!(bench.reigns());
    let mut bench = Bench::new(1);
    ask(&mut bench, true);
    assert!(bench.reigns(), "at once where it is certain");
}

#[test]
fn init_is_said_again_to_a_higher_epoch_and_a_lower_one_is_not_obeyed() {
    let mut bench = Bench::new(5);
    bench.tracker(2, FromTracker::Reign);
    assert_eq!(bench.peer.epoch(), Epoch(2));
    assert!(bench.said_to(2).iter().any(|said| matches!(said, ToTracker::Hello(_))));
    bench.actions.clear();
    bench.tracker(0, FromTracker::Finish { outcome: Outcome::Failed, lost: false });
    assert!(!bench.actions.iter().any(|action| matches!(action, PeerAction::Close(_))));
    let unseated = Message::Between(Between::Unseated);
    let told = PeerAction::Send { to: Rank(0), message: unseated };
    assert!(bench.actions.contains(&told), "and the tracker of that epoch is told");
}

#[test]
fn a_rank_that_is_known_to_be_lost_is_not_obeyed_when_it_wakes_and_reigns() {
    let mut bench = Bench::new(5);
    bench.tracker(0, FromTracker::Lost(Rank(1)));
    bench.tracker(1, FromTracker::Reign);
    assert_eq!(bench.peer.epoch(), Epoch(0));
    bench.event(PeerEvent::Lost(Rank(0)));
    assert_eq!(bench.asked(), [(2, true)]);
}

#[test]
fn a_tracker_that_another_one_deposes_abdicates_and_is_given_up() {
    let mut bench = Bench::new(1);
    bench.event(PeerEvent::Lost(Rank(0)));
    bench.actions.clear();
    bench.hear(4, 3, Message::Between(Between::Unseated));
    assert!(bench.actions.contains(&PeerAction::Abdicate));
    let given_up = |said: &&ToTracker| matches!(said, ToTracker::Rejoined(it) if it.given_up);
    assert!(bench.said_to(3).iter().any(given_up));
    bench.event(PeerEvent::Lost(Rank(3)));
    assert!(bench.asked().is_empty(), "it asks nobody to take over");
    bench.pass(PATIENCE * 9);
    assert!(bench.peer.has_exited(), "and leaves where nobody tells it to");
}

#[test]
fn a_rank_that_slept_reads_what_was_said_meanwhile_before_it_misses_anybody() {
    let mut bench = Bench::new(1);
    bench.pass(PATIENCE - Duration::from_secs(1));
    bench.now = bench.now + PATIENCE * 2;
    bench.event(PeerEvent::Tick);
    assert!(!bench.reigns());
    bench.tracker(0, FromTracker::Alive);
    bench.pass(PATIENCE / 2);
    assert!(!bench.reigns());
    let alive = ToTracker::Update(Gains::default());
    assert!(bench.said_to(0).contains(&&alive), "it goes on asking");
}
