//! Any messages in any order to a tracker, in every phase.

use crate::input::Input;
use crate::words::{self, RANKS};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use swarm::message::{Envelope, Message, ToTracker};
use swarm::tracker::{Spread, Succession, Tracker, TrackerAction, TrackerConfig, TrackerEvent};
use swarm::{Instant, Lock, Purpose, Rank, Sweep};

struct World {
    tracker: Tracker,
    now: Instant,
    reported: bool,
}

/// Reads a way into the job, then event after event.
pub fn tracker(data: &[u8]) {
    let mut input = Input::new(data);
    let opening = input.byte();
    let config = TrackerConfig {
        rank: Rank::TRACKER,
        ranks: RANKS,
        colocated: opening & 1 == 1,
        patience: Duration::from_secs(30),
        memory: (opening & 16 != 0).then_some(1 << 20),
        sweep: (opening & 32 == 0).then_some(match opening & 2 {
            0 => Sweep::Everywhere,
            _ => Sweep::BelowItsOwn,
        }),
        purpose: match opening & 192 {
            0 | 64 => Purpose::Transfer,
            128 => Purpose::Check,
            _ => Purpose::DryRun,
        },
        spread: Spread { inline_bytes: usize::from(opening & 8 == 0) << 16, part_bytes: 300 },
        seed: 1,
    };
    let (tracker, actions) = if opening & 4 == 0 {
        (Tracker::new(config, Instant::ZERO), Vec::new())
    } else {
        let catalogue = (opening & 8 == 0).then(|| Arc::new(words::catalogue()));
        let lost = BTreeMap::from([(Rank::TRACKER, "it died".to_owned())]);
        let succession = Succession { catalogue, lost, started: None };
        let config = TrackerConfig { rank: Rank(1), ..config };
        Tracker::succeed(config, succession, Instant::ZERO)
    };
    let mut world = World { tracker, now: Instant::ZERO, reported: false };
    world.carry_out(actions);
    if opening & 6 == 2 {
        for rank in 0..RANKS {
            for message in words::introduction(rank == 1, rank > 1, rank) {
                world.say(Rank(rank), looking(message, config.purpose));
            }
        }
        assert!(world.tracker.tally().started);
    }
    while !input.is_empty() {
        world.step(&mut input);
    }
}

/// An INIT as a job for this purpose has it.
fn looking(mut message: ToTracker, purpose: Purpose) -> ToTracker {
    if let ToTracker::Hello(hello) = &mut message
        && let (true, Some(Ok(destination))) =
            (purpose != Purpose::Transfer, &mut hello.destination)
    {
        destination.lock = Lock::Unclaimed;
    }
    message
}

impl World {
    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(12) {
            0 => {
                self.now = self.now + Duration::from_millis(u64::from(input.byte()) * 100);
                self.event(TrackerEvent::Tick);
            }
            1 if input.byte() > 200 => self.event(TrackerEvent::Lost(words::rank(input))),
            2 if input.byte() > 250 => self.event(TrackerEvent::Trouble("no".into())),
            _ => {
                let from = words::rank(input);
                self.say(from, words::to_tracker(input));
            }
        }
    }

    fn say(&mut self, from: Rank, message: swarm::message::ToTracker) {
        self.event(TrackerEvent::Message { from, message });
    }

    fn event(&mut self, event: TrackerEvent) {
        let actions = self.tracker.handle(self.now, event);
        self.tracker.check_invariants();
        assert!(actions.len() < 200, "{} actions at once", actions.len());
        self.carry_out(actions);
        let tally = self.tracker.tally();
        assert!(tally.bytes_have <= tally.bytes_wanted);
        assert_eq!(self.tracker.has_ended(), self.reported);
    }

    fn carry_out(&mut self, actions: Vec<TrackerAction>) {
        for action in actions {
            match action {
                TrackerAction::Send { to, message } => {
                    assert!(to.0 < RANKS, "a message to rank {to}, which does not exist");
                    let message = Message::FromTracker(message);
                    Envelope { epoch: self.tracker.epoch(), message }.encode();
                }
                TrackerAction::Report(report) => {
                    assert!(!std::mem::replace(&mut self.reported, true), "one report");
                    let dedicated = report.peers.first().is_none_or(|row| row.rank != Rank(0));
                    assert_eq!(report.peers.len(), RANKS as usize - usize::from(dedicated));
                }
                TrackerAction::Notice(notice) => assert!(!notice.to_string().is_empty()),
            }
        }
    }
}
