//! A whole swarm in one thread: the real machines, a model of each disk, and queues in place of
//! MPI.
//!
//! Messages of a pair and channel keep their order, as MPI's do; everything else happens in an
//! order drawn from a seed, and may take its time. Ranks may die, and sleep. After every event the
//! machines' invariants are checked.

// Each test that includes this module uses another part of it.
#![allow(dead_code)]

pub mod audit;
mod node;
pub mod orders;
mod reign;

pub use node::Node;
#[allow(unused_imports)]
pub use orders::{Orders, file, version};

use content::{Bitfield, PieceId, Span};
use orders::Layers;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use swarm::message::{Envelope, Hello, Message, SharedFs, SharedPath};
use swarm::peer::{Offered, PeerEvent, TransferId};
use swarm::tracker::{Spread, Tracker, TrackerEvent};
use swarm::{Channel, Destination, Held, Instant, Location, Lock, Offer, Origin, Rank, Report};

/// The laws of a world.
#[derive(Debug, Clone)]
pub struct Settings {
    pub seed: u64,
    pub colocated: bool,
    pub patience: Duration,
    /// The time that passes at once where nothing happens.
    pub idle: Duration,
    /// One in so many events comes late, by at most `delay`; 0 for none.
    pub late_one_in: usize,
    pub delay: Duration,
    /// Whether a piece has left only when it has arrived, as long messages of MPI do.
    pub rendezvous: bool,
    pub batch: u32,
    pub window_pieces: u64,
    /// Time passes after one in so many events.
    pub passes_every: usize,
    /// Invariants are checked after one in so many events; never where it is 0.
    pub checks_every: usize,
    /// How the catalogue reaches the peers.
    pub spread: Spread,
    /// Whether all messages are kept.
    pub keeps_log: bool,
}

impl Settings {
    pub fn new(seed: u64, colocated: bool) -> Self {
        Self {
            seed,
            colocated,
            patience: Duration::from_secs(30),
            idle: Duration::from_millis(10),
            late_one_in: 0,
            delay: Duration::ZERO,
            rendezvous: false,
            batch: 10,
            window_pieces: 64,
            passes_every: 64,
            checks_every: 1,
            spread: Spread::default(),
            keeps_log: true,
        }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// A rank dies; the others are told, or have to find out.
    Kill { rank: Rank, told: bool },
    /// A rank does nothing for a while.
    Sleep { rank: Rank, time: Duration },
}

/// When it does.
#[derive(Debug, Clone, Copy)]
pub enum Trigger {
    /// Before this event of the whole world.
    Event(u64),
    /// After so many messages on a channel.
    Message(Channel, u32),
}

#[derive(Debug)]
enum Event {
    Peer(Rank, PeerEvent),
    Arrive { from: Rank, to: Rank, channel: Channel },
}

/// A piece on its way, whether it is good, and its sender's name for it; none where it was
/// withdrawn.
type PieceOnItsWay = Option<(Span, bool, TransferId)>;

/// More than any job of these tests needs.
const MAX_EVENTS: u64 = 5_000_000;

pub struct World {
    pub now: Instant,
    pub settings: Settings,
    pub nodes: Vec<Node>,
    layers: Layers,
    control: BTreeMap<(Rank, Rank, Channel), VecDeque<Vec<u8>>>,
    pieces: BTreeMap<(Rank, Rank), VecDeque<PieceOnItsWay>>,
    events: Vec<Event>,
    waiting: BTreeMap<(Instant, u64), Event>,
    happened: u64,
    delivered: BTreeMap<Channel, u32>,
    faults: Vec<(Trigger, Fault)>,
    state: u64,
    /// The last report, and all ranks that made one.
    pub report: Option<Report>,
    pub reports: Vec<Rank>,
    pub notices: Vec<String>,
    pub log: Vec<String>,
}

/// The share that partials are of.
const LOST_SHARE: &str = "lost";

fn told(rank: Rank, orders: &Orders) -> Vec<SharedPath> {
    let lost = SharedPath::missing(LOST_SHARE.to_owned());
    let shared = |entry: &content::Entry| {
        SharedPath::at(
            entry.name.to_string(),
            vec![Location::on_device("0", format!("/{}", entry.name), &rank.to_string())],
        )
    };
    orders.shares.iter().map(shared).chain(orders.has_lost_share.then_some(lost)).collect()
}

impl World {
    pub fn new(seed: u64, colocated: bool, orders: Vec<Orders>) -> Self {
        // Every event is checked in tests/random.rs; these jobs are longer.
        let settings = Settings { checks_every: 16, ..Settings::new(seed, colocated) };
        Self::with(settings, orders, Vec::new())
    }

    pub fn with(settings: Settings, all: Vec<Orders>, faults: Vec<(Trigger, Fault)>) -> Self {
        let ranks = all.len() as u32;
        let is_peer = |at: usize| settings.colocated || at != 0;
        let nodes = all.into_iter().enumerate().map(|(at, orders)| Node::new(orders, is_peer(at)));
        let state = settings.seed;
        let mut world = Self {
            now: Instant::ZERO,
            nodes: nodes.collect(),
            layers: Layers::default(),
            control: BTreeMap::new(),
            pieces: BTreeMap::new(),
            events: Vec::new(),
            waiting: BTreeMap::new(),
            happened: 0,
            delivered: BTreeMap::new(),
            faults,
            state,
            report: None,
            reports: Vec::new(),
            notices: Vec::new(),
            log: Vec::new(),
            settings,
        };
        let config = world.tracker_config(Rank(0));
        world.nodes[0].tracker = Some(Tracker::new(config, Instant::ZERO));
        for rank in (0..ranks).map(Rank) {
            if !world.nodes[rank.index()].is_peer {
                continue;
            }
            let peer = world.new_peer(rank, ranks);
            world.nodes[rank.index()].peer = Some(peer);
            let hello = world.hello(rank);
            world.peer_event(rank, PeerEvent::Hello(Box::new(hello)));
            if !world.nodes[rank.index()].orders.cast {
                world.prepare(rank, None);
            }
        }
        world
    }

    fn hello(&self, rank: Rank) -> Hello {
        let orders = &self.nodes[rank.index()].orders;
        let place = |path: &str| Location::on_device("0", path.into(), &rank.to_string());
        let destination = Destination {
            id: orders.destination.unwrap_or(u128::from(rank.0)),
            path: format!("into{rank}"),
            location: place("/into"),
            lock: Lock::Held { nonce: 1 },
            file_system: orders.file_system,
            free_bytes: orders.free_bytes.unwrap_or(1 << 40),
        };
        let destination = match orders.cannot_receive {
            Some(why) => Err(why.to_owned()),
            None => Ok(destination),
        };
        Hello {
            host: format!("host{}", rank.0 % 2),
            rack: None,
            shares: told(rank, orders),
            waits_for_read: orders.cast,
            shared_fs: SharedFs::No,
            wants: orders.wants.iter().map(|&want| want.to_owned()).collect(),
            wants_own: orders.cast,
            destination: (!orders.wants.is_empty()).then_some(destination),
        }
    }

    /// Looks through what a rank is to offer: of a cast, the shares at these positions.
    fn prepare(&mut self, rank: Rank, positions: Option<&[u32]>) {
        let event = match self.nodes[rank.index()].orders.trouble {
            Some(why) => PeerEvent::Trouble(why.to_owned()),
            None => PeerEvent::Offered(self.offered(rank, positions)),
        };
        self.later(Event::Peer(rank, event));
    }

    fn offered(&mut self, rank: Rank, positions: Option<&[u32]>) -> Vec<Offered> {
        let Orders { shares, unsteady, partials, .. } = self.nodes[rank.index()].orders.clone();
        let chosen = |at: usize| positions.is_none_or(|positions| positions.contains(&(at as u32)));
        let mut offered = Vec::new();
        for (at, entry) in shares.into_iter().enumerate().filter(|(at, _)| chosen(*at)) {
            let origin = Origin::Share(at as u32);
            if unsteady.iter().any(|name| name.as_bytes() == entry.name.as_bytes()) {
                let offer = Offer { entry, held: Held::Nothing, origin };
                offered.push(Offered { offer, layer: None });
                continue;
            }
            self.nodes[rank.index()].offered.insert(entry.name.clone());
            let layer = self.layers.whole(&entry).map(Box::new);
            offered.push(Offered { offer: Offer { entry, held: Held::Whole, origin }, layer });
        }
        let shared: BTreeSet<_> = offered.iter().map(|o| o.offer.entry.name.clone()).collect();
        let share = Some(SharedPath::missing(LOST_SHARE.to_owned()).id);
        let origin = Origin::Earlier { share, is_stale: false };
        for (entry, pieces) in partials.into_iter().filter(|(e, _)| !shared.contains(&e.name)) {
            let mut held = Bitfield::new(entry.file().unwrap().geometry.piece_count());
            pieces.iter().for_each(|&piece| {
                held.insert(piece);
            });
            let layer = self.layers.part(&entry, &pieces).map(Box::new);
            offered
                .push(Offered { offer: Offer { entry, held: Held::Pieces(held), origin }, layer });
        }
        offered
    }

    fn random(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.state >> 33) as usize % bound
    }

    fn is_checked(&mut self) -> bool {
        let every = self.settings.checks_every;
        every > 0 && self.random(every) == 0
    }

    /// Runs until every rank that lives has exited.
    pub fn run(&mut self, limit: Duration) {
        self.run_until(limit, Self::is_over);
        let running: Vec<usize> = (0..self.nodes.len()).filter(|&at| self.runs(at)).collect();
        let trackers = self.nodes.iter().filter(|node| node.alive);
        let tallies: Vec<_> =
            trackers.filter_map(|node| Some(node.tracker.as_ref()?.tally())).collect();
        assert!(self.is_over(), "the job does not end: ranks {running:?} still run; {tallies:?}");
    }

    fn runs(&self, at: usize) -> bool {
        let node = &self.nodes[at];
        node.alive && (self.tracks(at) || node.peer.is_some() && node.exited.is_none())
    }

    fn is_over(&self) -> bool {
        (0..self.nodes.len()).all(|at| !self.runs(at))
    }

    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !done(self) && self.now < end {
            self.apply_faults();
            if self.events.is_empty() || self.random(self.settings.passes_every) == 0 {
                let step = Duration::from_millis(1);
                self.pass(if self.events.is_empty() { self.settings.idle } else { step });
                continue;
            }
            self.happened += 1;
            assert!(self.happened < MAX_EVENTS, "so many events have no end");
            let at = self.random(self.events.len());
            let event = self.events.swap_remove(at);
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        let at = match event {
            Event::Peer(rank, _) => rank,
            Event::Arrive { to, .. } => to,
        };
        let node = &self.nodes[at.index()];
        if !node.alive {
            return;
        }
        if let Some(until) = node.asleep_until {
            self.waiting.insert((until, self.happened), event);
            return;
        }
        match event {
            Event::Peer(rank, event) => {
                if let PeerEvent::Lost(lost) = event {
                    self.tracker_event(rank, TrackerEvent::Lost(lost));
                }
                self.peer_event(rank, event);
            }
            Event::Arrive { from, to, channel: Channel::Piece } => self.piece_arrives(from, to),
            Event::Arrive { from, to, channel } => self.message_arrives(from, to, channel),
        }
    }

    /// Something will happen, now or later.
    fn later(&mut self, event: Event) {
        let one_in = self.settings.late_one_in;
        if one_in == 0 || self.random(one_in) != 0 {
            return self.events.push(event);
        }
        let micros = self.random(self.settings.delay.as_micros() as usize + 1) as u64;
        self.after(Duration::from_micros(micros), event);
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.happened += 1;
        self.waiting.insert((self.now + time, self.happened), event);
    }

    /// Time passes.
    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        for node in &mut self.nodes {
            node.asleep_until = node.asleep_until.filter(|&until| until > self.now);
        }
        let rest = self.waiting.split_off(&(self.now, u64::MAX));
        self.events.extend(std::mem::replace(&mut self.waiting, rest).into_values());
        for rank in (0..self.nodes.len() as u32).map(Rank) {
            let node = &self.nodes[rank.index()];
            if node.alive && node.asleep_until.is_none() {
                self.tracker_event(rank, TrackerEvent::Tick);
                self.peer_event(rank, PeerEvent::Tick);
            }
        }
    }

    fn apply_faults(&mut self) {
        let due = |trigger: &Trigger| match *trigger {
            Trigger::Event(number) => self.happened >= number,
            Trigger::Message(channel, count) => {
                self.delivered.get(&channel).is_some_and(|&delivered| delivered >= count)
            }
        };
        if let Some(at) = self.faults.iter().position(|(trigger, _)| due(trigger)) {
            match self.faults.swap_remove(at).1 {
                Fault::Kill { rank, told } => self.kill_how(rank, told),
                Fault::Sleep { rank, time } => {
                    self.log.push(format!("{rank} sleeps {time:?}"));
                    self.nodes[rank.index()].slept = true;
                    let asleep_until = &mut self.nodes[rank.index()].asleep_until;
                    *asleep_until = (*asleep_until).max(Some(self.now + time));
                }
            }
        }
    }

    /// A rank dies, and all others hear of it.
    pub fn kill(&mut self, rank: Rank) {
        self.kill_how(rank, true);
    }

    fn kill_how(&mut self, dead: Rank, told: bool) {
        self.log.push(format!("{dead} dies"));
        self.nodes[dead.index()].alive = false;
        // Some of what it sent never left.
        let queues: Vec<_> = self.control.keys().copied().filter(|key| key.0 == dead).collect();
        for key in queues {
            let left = self.random(self.control[&key].len() + 1);
            self.control.get_mut(&key).expect("just listed").truncate(left);
        }
        let others: Vec<Rank> = (0..self.nodes.len() as u32).map(Rank).collect();
        for other in others.into_iter().filter(|&other| told && other != dead) {
            self.later(Event::Peer(other, PeerEvent::Lost(dead)));
        }
    }

    pub fn written(&self, rank: u32) -> usize {
        self.nodes[rank as usize].disk.written.len()
    }

    pub fn pieces(&self, rank: u32) -> &BTreeSet<PieceId> {
        &self.nodes[rank as usize].disk.written
    }

    fn message_arrives(&mut self, from: Rank, to: Rank, channel: Channel) {
        let bytes = self.control.get_mut(&(from, to, channel)).and_then(VecDeque::pop_front);
        let Some(bytes) = bytes else {
            assert!(!self.nodes[from.index()].alive, "one message an event");
            return;
        };
        let envelope = Envelope::decode(channel, &bytes).expect("what we encode decodes");
        *self.delivered.entry(channel).or_default() += 1;
        if self.settings.keeps_log {
            self.log.push(format!("{from}->{to} {channel} {:?}", envelope.message));
        }
        self.depose(to, &envelope);
        match envelope.message {
            Message::ToTracker(message) if self.tracks(to.index()) => {
                self.tracker_event(to, TrackerEvent::Message { from, message });
            }
            _ => self.peer_event(to, PeerEvent::Message { from, envelope }),
        }
    }

    fn piece_arrives(&mut self, from: Rank, to: Rank) {
        let node = &mut self.nodes[to.index()];
        if node.exited.is_some() {
            return;
        }
        let Some((transfer, awaited)) = node.receives.get_mut(&from).and_then(VecDeque::pop_front)
        else {
            // Not posted yet: it waits, as an unexpected message does.
            let piece = Event::Arrive { from, to, channel: Channel::Piece };
            return self.after(Duration::from_millis(1), piece);
        };
        let piece = self.pieces.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        let len = match piece.expect("one piece an event") {
            None => 0,
            Some((pieces, good, sent)) => {
                assert_eq!(pieces, awaited, "pieces come in order of the acknowledgements");
                node.came.insert(transfer, good);
                let len = node.catalogue().bundle_size(pieces) as u32;
                if self.settings.rendezvous {
                    self.later(Event::Peer(from, PeerEvent::Sent(sent)));
                }
                len
            }
        };
        self.peer_event(to, PeerEvent::Received(transfer, len));
    }

    fn send(&mut self, from: Rank, to: Rank, envelope: &Envelope) {
        let channel = envelope.message.channel();
        self.control.entry((from, to, channel)).or_default().push_back(envelope.encode());
        self.later(Event::Arrive { from, to, channel });
    }
}
