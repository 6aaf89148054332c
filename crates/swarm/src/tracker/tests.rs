//! The rules that the tracker keeps, one message at a time.

mod interrupt;
mod racks;

use super::*;
use crate::message::{Gains, Hello, HolderPieces, PieceSet, SharedFs, SharedPath, Stop, WireOffer};
use crate::{Counters, Destination, Extra, Location, Lock, Origin, PeerState};
use content::{Entry, EntryIndex, FileContent, Geometry, Hash, Kind, Metadata, Name};
use content::{PieceLen, Span, Timestamp};

const PATIENCE: Duration = Duration::from_secs(30);
const PIECES: u32 = 40;

/// A file of so many pieces.
pub(super) fn file() -> Entry {
    let geometry = Geometry::new(u64::from(PIECES) * 16 * 1024, PieceLen::MIN);
    let content = FileContent { root: Some(Hash([7; 32])), ..FileContent::unhashed(geometry) };
    let modified = Timestamp { seconds: 0, nanoseconds: 0 };
    Entry {
        name: Name::new("f").unwrap(),
        kind: Kind::File(content),
        metadata: Metadata::new(0o644, modified),
    }
}

fn gained(first: u32, count: u32) -> ToTracker {
    ToTracker::Update(Gains { pieces: vec![Span { first, count }], ..Gains::default() })
}

fn stop(updates: u32) -> ToTracker {
    ToTracker::Stop(Stop {
        cannot_receive: None,
        counters: Counters::default(),
        extra: Extra::default(),
        updates,
    })
}

/// A dedicated tracker of a job in which rank 1 shares one file, and all others want it.
struct Bench {
    tracker: Tracker,
    now: Instant,
    actions: Vec<TrackerAction>,
}

impl Bench {
    fn new(ranks: u32) -> Self {
        let mut bench = Self::gathering(ranks);
        (1..ranks).for_each(|rank| bench.introduce(rank));
        bench
    }

    fn gathering(ranks: u32) -> Self {
        let rank = Rank(0);
        let config = TrackerConfig {
            rank,
            ranks,
            colocated: false,
            patience: PATIENCE,
            memory: None,
            sweep: None,
            purpose: Purpose::Transfer,
            spread: Spread::default(),
            seed: 1,
        };
        let tracker = Tracker::new(config, Instant::ZERO);
        Self { tracker, now: Instant::ZERO, actions: Vec::new() }
    }

    fn introduce(&mut self, rank: u32) {
        let shares = rank == 1;
        let place = |path: &str| Location::on_device("0", path.into(), &rank.to_string());
        let destination = Destination {
            id: rank.into(),
            path: "into".into(),
            location: place("/into"),
            lock: Lock::Held { nonce: 0 },
            file_system: 0,
            free_bytes: u64::MAX,
        };
        let hello = Hello {
            host: format!("host{rank}"),
            rack: None,
            shares: if shares {
                vec![SharedPath::at("f".into(), vec![place("/f")])]
            } else {
                vec![]
            },
            waits_for_read: false,
            shared_fs: SharedFs::No,
            wants: if shares { vec![] } else { vec!["**".into()] },
            wants_own: false,
            destination: Some(Ok(destination)),
        };
        self.say(rank, ToTracker::Hello(Box::new(hello)));
        if shares {
            let offer = WireOffer { entry: file(), pieces: None, origin: Origin::Share(0) };
            self.say(rank, ToTracker::Offers(vec![offer]));
        }
        self.say(rank, ToTracker::Introduced);
    }

    fn event(&mut self, event: TrackerEvent) {
        self.actions.extend(self.tracker.handle(self.now, event));
        self.tracker.check_invariants();
    }

    fn say(&mut self, from: u32, message: ToTracker) {
        self.event(TrackerEvent::Message { from: Rank(from), message });
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.event(TrackerEvent::Tick);
    }

    /// What was sent to a rank since the last look.
    fn sent(&mut self, rank: u32) -> Vec<FromTracker> {
        let (sent, rest) = std::mem::take(&mut self.actions)
            .into_iter()
            .partition(|action| matches!(action, TrackerAction::Send { to, .. } if to.0 == rank));
        self.actions = rest;
        let message = |action| match action {
            TrackerAction::Send { message, .. } => Some(message),
            _ => None,
        };
        Vec::into_iter(sent).filter_map(message).collect()
    }

    /// The answer to a question for everything: holders, and what is gone.
    fn ask(&mut self, rank: u32) -> (Vec<HolderPieces>, Vec<PieceSet>) {
        self.sent(rank);
        self.say(rank, ToTracker::Ask { question: 1, first: EntryIndex(0), count: 1 });
        let mut answer = (Vec::new(), Vec::new());
        for message in self.sent(rank) {
            if let FromTracker::Holders { holders, gone, .. } = message {
                answer.0.extend(holders);
                answer.1.extend(gone);
            }
        }
        answer
    }

    fn report(&mut self) -> Option<Box<Report>> {
        self.actions.iter().find_map(|action| match action {
            TrackerAction::Report(report) => Some(report.clone()),
            _ => None,
        })
    }
}

#[test]
fn start_waits_for_every_rank_but_the_lost() {
    let mut bench = Bench::gathering(4);
    bench.introduce(1);
    bench.introduce(2);
    assert!(bench.sent(2).is_empty());
    bench.event(TrackerEvent::Lost(Rank(3)));
    assert!(matches!(bench.sent(2).last(), Some(FromTracker::Start(_))));
}

#[test]
fn an_answer_names_sixteen_holders_however_many_there_are() {
    let mut bench = Bench::new(500);
    (2..400).for_each(|rank| bench.say(rank, gained(0, PIECES)));
    let (holders, _) = bench.ask(450);
    assert_eq!(holders.len(), 16);
}

#[test]
fn a_peer_costs_the_same_messages_however_many_there_are() {
    let cost = |ranks: u32| {
        let mut bench = Bench::new(ranks);
        (2..ranks).for_each(|rank| drop(bench.ask(rank)));
        (2..ranks).for_each(|rank| bench.say(rank, gained(0, PIECES)));
        (1..ranks).for_each(|rank| bench.say(rank, stop(u32::from(rank != 1))));
        let counters = ToTracker::Counters(Counters::default());
        (1..ranks).for_each(|rank| bench.say(rank, counters.clone()));
        bench.report().unwrap().tracker_messages / u64::from(ranks - 1)
    };
    assert_eq!(cost(10), cost(300));
}

#[test]
fn a_stop_that_overtakes_an_update_waits_for_it() {
    let mut bench = Bench::new(3);
    bench.say(1, stop(0));
    bench.say(2, stop(1));
    let finish = |message: &FromTracker| matches!(message, FromTracker::Finish { .. });
    assert!(!bench.sent(2).iter().any(finish));
    let entries = vec![Span { first: 0, count: 1 }];
    bench.say(2, ToTracker::Update(Gains { entries, ..Gains::default() }));
    let complete = FromTracker::Finish { outcome: Outcome::Complete, lost: false };
    assert_eq!(bench.sent(2).last(), Some(&complete));
}

#[test]
fn what_lies_beyond_the_catalogue_is_left_out() {
    let mut bench = Bench::new(3);
    let beyond = || vec![Span { first: 1, count: u32::MAX }, Span { first: PIECES, count: 1 }];
    let (pieces, lost, entries) = (beyond(), beyond(), beyond());
    bench.say(2, ToTracker::Update(Gains { lost, pieces, entries, ..Gains::default() }));
    bench.say(2, ToTracker::Ask { question: 1, first: EntryIndex(1), count: 1 });
    bench.say(2, ToTracker::Shun(Rank(77)));
    bench.say(77, ToTracker::Introduced);
    assert_eq!(bench.ask(2).0.len(), 1, "only the one that shares");
}

#[test]
fn a_piece_is_gone_when_all_that_live_have_settled_and_not_before() {
    let mut bench = Bench::new(5);
    bench.event(TrackerEvent::Lost(Rank(1)));
    assert_eq!(bench.ask(2), (vec![], vec![]));
    let number = |message| match message {
        FromTracker::Settle(number) => Some(number),
        _ => None,
    };
    let number = bench.sent(4).into_iter().find_map(number).unwrap();
    bench.say(2, ToTracker::Settled(number));
    // It had asked the lost rank for these, and they had arrived.
    bench.say(3, gained(5, 3));
    bench.say(3, ToTracker::Settled(number));
    assert_eq!(bench.ask(2).1, vec![], "rank 4 has not answered");
    bench.event(TrackerEvent::Lost(Rank(4)));
    let gone: Vec<_> = bench.ask(2).1.iter().flat_map(|set| set.ranges(PIECES)).collect();
    assert_eq!(gone, [0..5, 8..PIECES], "rank 3 had received the others before");
}

#[test]
fn what_only_a_shunned_rank_holds_is_gone_once_nobody_else_can_get_it() {
    let mut bench = Bench::new(4);
    bench.say(2, ToTracker::Shun(Rank(1)));
    assert_eq!(bench.ask(2), (vec![], vec![]), "rank 3 may get it, and hand it on");
    bench.say(3, ToTracker::Shun(Rank(1)));
    bench.ask(2);
    [1, 2, 3].into_iter().for_each(|rank| bench.say(rank, ToTracker::Settled(3)));
    assert_eq!(bench.ask(2).1.len(), 1);
}

#[test]
fn a_rank_lost_before_its_counters_degrades_the_job_and_all_are_told() {
    let mut bench = Bench::new(3);
    let entries = vec![Span { first: 0, count: 1 }];
    bench.say(2, ToTracker::Update(Gains { entries, ..Gains::default() }));
    bench.say(1, stop(0));
    bench.say(2, stop(1));
    bench.sent(1);
    bench.event(TrackerEvent::Lost(Rank(2)));
    let degraded = FromTracker::Finish { outcome: Outcome::Degraded, lost: true };
    assert!(bench.sent(1).contains(&degraded));
    bench.say(1, ToTracker::Counters(Counters::default()));
    assert_eq!(bench.report().unwrap().outcome, Outcome::Degraded);
}

#[test]
fn the_end_waits_for_counters_no_longer_than_the_patience() {
    let mut bench = Bench::new(3);
    bench.say(1, stop(0));
    bench.say(2, stop(0));
    for _ in 0..9 {
        bench.pass(PATIENCE / 8);
        bench.say(1, ToTracker::Update(Gains::default()));
    }
    let report = bench.report().unwrap();
    assert_eq!(report.peers[0].state, PeerState::Complete, "it lives, and cleans up");
    assert_eq!(report.peers[1].state, PeerState::Lost, "it was silent");
}

#[test]
fn a_lost_rank_that_wakes_is_told_to_end() {
    let mut bench = Bench::new(4);
    bench.event(TrackerEvent::Lost(Rank(2)));
    bench.sent(2);
    bench.say(2, gained(0, 4));
    let finish = FromTracker::Finish { outcome: Outcome::Degraded, lost: true };
    assert_eq!(bench.sent(2).last(), Some(&finish), "and waits for the end of all others");
    assert_eq!(bench.ask(3).0.len(), 1, "and holds nothing");
}

#[test]
fn a_tracker_that_slept_blames_nobody() {
    let mut bench = Bench::new(3);
    bench.pass(Duration::from_millis(10));
    bench.pass(PATIENCE * 3);
    assert!(!bench.tracker.has_lost());
    (0..80).for_each(|_| bench.pass(Duration::from_millis(500)));
    assert!(bench.tracker.has_lost(), "but awake it counts the time");
}
