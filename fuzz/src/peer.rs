//! Any messages in any order to a peer, in every phase, while its driver does what it is told.

use crate::driver::Driver;
use crate::input::Input;
use crate::words::{self, RANKS};
use content::Span;
use std::time::Duration;
use swarm::message::{Envelope, Epoch, FromTracker, Message, Start, ToTracker};
use swarm::peer::{Limits, Offered, Peer, PeerAction, PeerConfig, PeerEvent};
use swarm::{Held, Instant, Offer, Origin, Purpose, Rank};

const PIECE: u64 = 16 * 1024;

/// More receives than a window of bytes is ever worth, with what of it may come late.
const MAX_POSTED: usize = 64;

/// What one event may set off: all that is acknowledged to as many askers as are served at once, two
/// requests each for everything, is withdrawn; and a little.
const MAX_ACTIONS: usize = 8 * 2 * 628 + 1000;

/// Six pieces a second each way.
const CAPPED: Limits = Limits { upload: Some(6 * PIECE), download: Some(6 * PIECE) };

struct World {
    peer: Peer,
    driver: Driver,
    now: Instant,
}

/// Reads a way into the job, then event after event.
pub fn peer(data: &[u8]) {
    let mut input = Input::new(data);
    let opening = input.byte();
    let own = if opening & 8 == 0 { Rank(1) } else { Rank::TRACKER };
    let config = PeerConfig {
        rank: own,
        ranks: RANKS,
        tracker: Rank::TRACKER,
        batch: 4,
        window_bytes: 12 * PIECE,
        upload_window_bytes: 6 * PIECE,
        entry_bytes: 0,
        limits: if opening & 32 == 0 { Limits::default() } else { CAPPED },
        delete: opening & 16 == 0,
        purpose: match opening & 192 {
            0 | 64 => Purpose::Transfer,
            128 => Purpose::Check,
            _ => Purpose::DryRun,
        },
        patience: Duration::from_secs(30),
    };
    let peer = Peer::new(config, Instant::ZERO);
    let mut world = World { peer, driver: Driver::new(own), now: Instant::ZERO };
    world.open(opening);
    while !input.is_empty() && !world.driver.exited {
        world.step(&mut input);
    }
}

impl World {
    /// A good beginning, or none, so that what follows meets every phase.
    fn open(&mut self, how: u8) {
        let [hello, .., introduced] = &words::introduction(how & 1 == 1, true, 1)[..] else {
            unreachable!("a beginning and an end")
        };
        let ToTracker::Hello(hello) = hello.clone() else { unreachable!("{introduced:?}") };
        self.event(PeerEvent::Hello(hello));
        if how & 2 == 0 {
            return;
        }
        let shares = words::entries().into_iter().filter(|_| how & 1 == 1);
        let offered = shares.map(|entry| {
            let pieces = entry.file().map(|content| content.geometry.piece_count_wide());
            let name = entry.name.to_string();
            let layer = pieces.map(|pieces| words::layer_of(&name, pieces).proven.clone().into());
            Offered { offer: Offer { entry, held: Held::Whole, origin: Origin::Share(0) }, layer }
        });
        self.event(PeerEvent::Offered(offered.collect()));
        if how & 20 == 0 {
            self.open_large(how);
        }
        if how & 4 == 0 {
            return;
        }
        let wanted = if how & 1 == 1 { vec![] } else { vec![Span { first: 0, count: 10 }] };
        let start = Start { entry_count: 10, admitted: how & 16 == 0 };
        for message in [
            FromTracker::Entries(words::entries().into()),
            FromTracker::Wanted(wanted),
            FromTracker::Start(start),
        ] {
            self.hear(Rank::TRACKER, Epoch::FIRST, Message::FromTracker(message));
        }
        assert!(self.driver.has_begun);
    }

    /// START of a catalogue that is fetched from peers.
    fn open_large(&mut self, how: u8) {
        let parts = words::catalogue_parts();
        let hashes = parts.iter().map(|part| words::hash_of_part(part));
        let sources = if how & 64 == 0 { vec![Rank(2), Rank(3)] } else { vec![] };
        let wanted = if how & 1 == 1 { vec![] } else { vec![Span { first: 0, count: 10 }] };
        for message in [
            FromTracker::Parts(hashes.collect()),
            FromTracker::Sources(sources),
            FromTracker::Wanted(wanted),
            FromTracker::Start(Start { entry_count: 10, admitted: true }),
        ] {
            self.hear(Rank::TRACKER, Epoch::FIRST, Message::FromTracker(message));
        }
        assert!(!self.driver.has_begun);
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(16) {
            0 => {
                self.now = self.now + Duration::from_millis(u64::from(input.byte()) * 60);
                self.event(PeerEvent::Tick);
            }
            1..=4 => {
                let message = Message::FromTracker(words::from_tracker(input));
                let from = if input.byte() < 250 { Rank::TRACKER } else { words::rank(input) };
                self.hear(from, epoch(input), message);
            }
            5..=8 => {
                let from = words::rank(input);
                let message = Message::Between(words::between(input));
                self.hear(from, epoch(input), message);
            }
            9 => {
                let message = Message::ToTracker(words::to_tracker(input));
                self.hear(words::rank(input), epoch(input), message);
            }
            10 if input.byte() > 150 => {
                let rank = words::rank(input);
                self.driver.lose(rank);
                self.event(PeerEvent::Lost(rank));
            }
            _ => {
                if let Some(event) = self.driver.complete(input) {
                    self.event(event);
                }
            }
        }
    }

    fn hear(&mut self, from: Rank, epoch: Epoch, message: Message) {
        self.event(PeerEvent::Message { from, envelope: Envelope { epoch, message } });
    }

    fn event(&mut self, event: PeerEvent) {
        let actions: Vec<PeerAction> = self.peer.handle(self.now, event);
        self.peer.check_invariants();
        assert!(actions.len() < MAX_ACTIONS, "{} actions at once", actions.len());
        for action in actions {
            self.driver.carry_out(action);
        }
        assert!(self.driver.posted() <= MAX_POSTED, "{} receives", self.driver.posted());
    }
}

/// Mostly this epoch.
fn epoch(input: &mut Input<'_>) -> Epoch {
    if input.byte() < 250 { Epoch::FIRST } else { Epoch(input.number(RANKS)) }
}
