//! A whole swarm in one thread: the real machines, a model of each disk, and queues in place of
//! MPI.
//!
//! Messages of a pair keep their order, as MPI's do; everything else happens in an order drawn from
//! a seed. After every event the machines' invariants are checked.

use content::{
    Bitfield, Catalogue, Entry, EntryIndex, FileContent, Geometry, Hash, Kind, Metadata, Name,
};
use content::{PieceId, PieceLayer, PieceLen, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use swarm::message::{Envelope, Hello, Message};
use swarm::peer::{
    Fault, Offered, Peer, PeerAction, PeerConfig, PeerEvent, Salvaged, Stored, Surveyed, TransferId,
};
use swarm::tracker::{Tracker, TrackerAction, TrackerConfig, TrackerEvent};
use swarm::{Channel, Destination, Held, Instant, Lock, Offer, Rank, Report};

/// What a rank brings to the job.
#[derive(Clone, Default)]
pub struct Orders {
    pub shares: Vec<Entry>,
    pub partials: Vec<(Entry, Vec<u32>)>,
    pub wants: Vec<&'static str>,
    pub cast: bool,
    pub cannot_receive: Option<&'static str>,
    pub destination: Option<u128>,
    /// Writes that succeed before the disk is full.
    pub disk_pieces: Option<u32>,
    /// Pieces that this rank's sends corrupt.
    pub corrupts: bool,
    /// Reads that succeed before its shares change.
    pub good_reads: Option<u32>,
}

pub fn orders(wants: &[&'static str], shares: &[Entry]) -> Orders {
    Orders { wants: wants.to_vec(), shares: shares.to_vec(), ..Orders::default() }
}

/// A file of so many 16 KiB pieces, the last one short.
pub fn file(name: &str, pieces: u64) -> Entry {
    version(name, pieces, 0)
}

pub fn version(name: &str, pieces: u64, version: u8) -> Entry {
    let len = (pieces * u64::from(PieceLen::MIN.bytes())).saturating_sub(1);
    let geometry = Geometry::new(len, PieceLen::MIN);
    let content = FileContent { geometry, root: Some(layer(name, geometry, version).root()) };
    let modified = Timestamp { seconds: 0, nanoseconds: 0 };
    let metadata = Metadata { mode: 0o644, modified };
    Entry { name: Name::new(name).unwrap(), kind: Kind::File(content), metadata }
}

pub fn layer(name: &str, geometry: Geometry, version: u8) -> PieceLayer {
    let hash = |piece: u32| {
        let mut hash = [version; 32];
        hash[..4].copy_from_slice(&piece.to_le_bytes());
        name.bytes().take(20).enumerate().for_each(|(i, byte)| hash[8 + i] = byte);
        Hash(hash)
    };
    PieceLayer::new(geometry, (0..geometry.piece_count()).map(hash).collect()).unwrap()
}

#[derive(Default)]
struct Disk {
    catalogue: Option<Arc<Catalogue>>,
    finished: BTreeSet<EntryIndex>,
    written: BTreeSet<PieceId>,
    sealed: bool,
    reads: u32,
}

struct Node {
    orders: Orders,
    peer: Option<Peer>,
    disk: Disk,
    receives: BTreeMap<Rank, VecDeque<TransferId>>,
    came: BTreeMap<TransferId, bool>,
    loads: BTreeMap<TransferId, PieceId>,
    alive: bool,
    exited: bool,
}

enum Event {
    Peer(Rank, PeerEvent),
    Arrive { from: Rank, to: Rank, channel: Channel },
}

pub struct World {
    pub now: Instant,
    seed: u64,
    nodes: Vec<Node>,
    tracker: Tracker,
    control: BTreeMap<(Rank, Rank, Channel), VecDeque<Vec<u8>>>,
    pieces: BTreeMap<(Rank, Rank), VecDeque<Option<(PieceId, bool)>>>,
    events: Vec<Event>,
    pub report: Option<Report>,
    pub notices: Vec<String>,
    pub log: Vec<String>,
    ended: bool,
}

impl World {
    pub fn new(seed: u64, colocated: bool, orders: Vec<Orders>) -> Self {
        let ranks = orders.len() as u32;
        let patience = Duration::from_secs(30);
        let config = TrackerConfig { rank: Rank(0), ranks, colocated, patience, seed };
        let mut world = Self {
            now: Instant::ZERO,
            seed,
            tracker: Tracker::new(config, Instant::ZERO),
            nodes: Vec::new(),
            control: BTreeMap::new(),
            pieces: BTreeMap::new(),
            events: Vec::new(),
            report: None,
            notices: Vec::new(),
            log: Vec::new(),
            ended: false,
        };
        for (at, orders) in orders.into_iter().enumerate() {
            let rank = Rank(at as u32);
            let config = PeerConfig {
                rank,
                ranks,
                tracker: Rank(0),
                batch: 10,
                window_bytes: 64 * 16 * 1024,
                upload_window_bytes: 32 * 16 * 1024,
                patience,
            };
            let is_peer = colocated || at != 0;
            let peer = is_peer.then(|| Peer::new(config, Instant::ZERO));
            world.nodes.push(Node {
                orders,
                peer,
                disk: Disk::default(),
                receives: BTreeMap::new(),
                came: BTreeMap::new(),
                loads: BTreeMap::new(),
                alive: true,
                exited: false,
            });
            if is_peer {
                let hello = world.hello(rank);
                world.peer_event(rank, PeerEvent::Hello(Box::new(hello)));
                if !world.nodes[at].orders.cast {
                    let offered = world.offered(rank, None);
                    world.events.push(Event::Peer(rank, PeerEvent::Offered(offered)));
                }
            }
        }
        world
    }

    fn hello(&self, rank: Rank) -> Hello {
        let orders = &self.nodes[rank.index()].orders;
        let destination = Destination {
            id: orders.destination.unwrap_or(u128::from(rank.0)),
            path: format!("into{rank}"),
            lock: Lock::Held { nonce: 1 },
            file_system: 1,
            free_bytes: 1 << 40,
        };
        let destination = match orders.cannot_receive {
            Some(why) => Err(why.to_owned()),
            None => Ok(destination),
        };
        Hello {
            host: format!("host{}", rank.0 % 2),
            shares: orders.shares.iter().map(|entry| (entry.name.to_string(), true)).collect(),
            waits_for_read: orders.cast,
            wants: orders.wants.iter().map(|&want| want.to_owned()).collect(),
            wants_own: orders.cast,
            destination: (!orders.wants.is_empty()).then_some(destination),
        }
    }

    fn offered(&self, rank: Rank, positions: Option<&[u32]>) -> Vec<Offered> {
        let orders = &self.nodes[rank.index()].orders;
        let chosen = |at: usize| positions.is_none_or(|positions| positions.contains(&(at as u32)));
        let whole =
            orders.shares.iter().enumerate().filter(|(at, _)| chosen(*at)).map(|(_, entry)| {
                Offered {
                    offer: Offer { entry: entry.clone(), held: Held::Whole },
                    layer: entry
                        .file()
                        .map(|content| self.version_of(entry, content.geometry).prove()),
                }
            });
        let parts = orders.partials.iter().map(|(entry, pieces)| {
            let geometry = entry.file().unwrap().geometry;
            let mut held = Bitfield::new(geometry.piece_count());
            pieces.iter().for_each(|&piece| {
                held.insert(piece);
            });
            let layer = Some(self.version_of(entry, geometry).prove());
            Offered { offer: Offer { entry: entry.clone(), held: Held::Pieces(held) }, layer }
        });
        whole.chain(parts).collect()
    }

    fn version_of(&self, entry: &Entry, geometry: Geometry) -> PieceLayer {
        let name = entry.name.to_string();
        let root = entry.file().unwrap().root;
        (0..4).map(|v| layer(&name, geometry, v)).find(|layer| Some(layer.root()) == root).unwrap()
    }

    fn random(&mut self, bound: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.seed >> 33) as usize % bound
    }

    /// Runs until END has been said or the time is over.
    pub fn run(&mut self, limit: Duration) {
        self.run_until(limit, |world| world.ended);
        assert!(self.ended, "the job did not end: {:?}", self.tracker.tally());
    }

    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !done(self) && self.now < end {
            if self.events.is_empty() || self.random(64) == 0 {
                self.now =
                    self.now + Duration::from_millis(if self.events.is_empty() { 10 } else { 1 });
                self.tick();
                continue;
            }
            let at = self.random(self.events.len());
            match self.events.swap_remove(at) {
                Event::Peer(rank, event) => self.peer_event(rank, event),
                Event::Arrive { from, to, channel: Channel::Piece } => self.piece_arrives(from, to),
                Event::Arrive { from, to, channel } => self.message_arrives(from, to, channel),
            }
        }
    }

    /// A rank dies; those that can tell hear of it.
    pub fn kill(&mut self, rank: Rank) {
        self.nodes[rank.index()].alive = false;
        let live: Vec<Rank> = self.peers();
        for other in live {
            self.events.push(Event::Peer(other, PeerEvent::Lost(rank)));
        }
        let actions = self.tracker.handle(self.now, TrackerEvent::Lost(rank));
        self.tracker_actions(actions);
    }

    pub fn written(&self, rank: u32) -> usize {
        self.nodes[rank as usize].disk.written.len()
    }

    pub fn pieces(&self, rank: u32) -> &BTreeSet<PieceId> {
        &self.nodes[rank as usize].disk.written
    }

    fn peers(&self) -> Vec<Rank> {
        let ranks = (0..self.nodes.len() as u32).map(Rank);
        ranks
            .filter(|rank| {
                self.nodes[rank.index()].alive && self.nodes[rank.index()].peer.is_some()
            })
            .collect()
    }

    fn tick(&mut self) {
        let actions = self.tracker.handle(self.now, TrackerEvent::Tick);
        self.tracker_actions(actions);
        for rank in self.peers() {
            self.peer_event(rank, PeerEvent::Tick);
        }
    }

    fn message_arrives(&mut self, from: Rank, to: Rank, channel: Channel) {
        let bytes = self.control.get_mut(&(from, to, channel)).and_then(VecDeque::pop_front);
        let bytes = bytes.expect("one message an event");
        if !self.nodes[to.index()].alive {
            return;
        }
        let envelope = Envelope::decode(channel, &bytes).expect("what we encode decodes");
        self.log.push(format!("{from}->{to} {channel} {:?}", envelope.message));
        match envelope.message {
            Message::ToTracker(message) => {
                assert_eq!(to, Rank(0));
                let actions =
                    self.tracker.handle(self.now, TrackerEvent::Message { from, message });
                self.tracker_actions(actions);
            }
            _ => self.peer_event(to, PeerEvent::Message { from, envelope }),
        }
    }

    fn piece_arrives(&mut self, from: Rank, to: Rank) {
        let node = &mut self.nodes[to.index()];
        if !node.alive {
            return;
        }
        let Some(transfer) = node.receives.get_mut(&from).and_then(VecDeque::pop_front) else {
            // Not posted yet: it waits, as an unexpected message does.
            self.events.push(Event::Arrive { from, to, channel: Channel::Piece });
            return;
        };
        let piece = self
            .pieces
            .get_mut(&(from, to))
            .and_then(VecDeque::pop_front)
            .expect("one piece an event");
        let len = match piece {
            None => 0,
            Some((piece, good)) => {
                node.came.insert(transfer, good);
                node.disk.catalogue.as_ref().unwrap().piece_size(piece)
            }
        };
        self.peer_event(to, PeerEvent::Received(transfer, len));
    }

    fn send(&mut self, from: Rank, to: Rank, envelope: &Envelope) {
        let channel = envelope.message.channel();
        self.control.entry((from, to, channel)).or_default().push_back(envelope.encode());
        self.events.push(Event::Arrive { from, to, channel });
    }

    fn tracker_actions(&mut self, actions: Vec<TrackerAction>) {
        for action in actions {
            match action {
                TrackerAction::Send { to, message } => {
                    let message = Message::FromTracker(message);
                    self.send(Rank(0), to, &Envelope { epoch: self.tracker.epoch(), message });
                }
                TrackerAction::Notice(text) => self.notices.push(text),
                TrackerAction::Report(report) => {
                    self.report = Some(*report);
                    self.ended = true;
                }
            }
        }
    }

    fn peer_event(&mut self, rank: Rank, event: PeerEvent) {
        let now = self.now;
        let node = &mut self.nodes[rank.index()];
        if !node.alive || node.exited {
            return;
        }
        let Some(peer) = &mut node.peer else { return };
        let actions = peer.handle(now, event);
        peer.check_invariants();
        for action in actions {
            self.peer_action(rank, action);
        }
    }

    fn peer_action(&mut self, rank: Rank, action: PeerAction) {
        let say = |event| Event::Peer(rank, event);
        let node = &mut self.nodes[rank.index()];
        let event = match action {
            PeerAction::Send { to, message } => {
                let epoch = node.peer.as_ref().unwrap().epoch();
                return self.send(rank, to, &Envelope { epoch, message });
            }
            PeerAction::Prepare(positions) => {
                PeerEvent::Offered(self.offered(rank, Some(&positions)))
            }
            PeerAction::Begin { catalogue, .. } => {
                node.disk.catalogue = Some(catalogue);
                return;
            }
            PeerAction::Survey(entry) => PeerEvent::Surveyed(entry, Ok(self.survey(rank, entry))),
            PeerAction::Salvage(piece, _) => {
                node.disk.written.insert(piece);
                PeerEvent::Salvaged(piece, Ok(Salvaged::Copied))
            }
            PeerAction::Receive { from, transfer, .. } => {
                node.receives.entry(from).or_default().push_back(transfer);
                return;
            }
            PeerAction::Store { transfer, piece, .. } => {
                PeerEvent::Stored(transfer, self.store(rank, transfer, piece))
            }
            PeerAction::Load { transfer, piece } => {
                node.loads.insert(transfer, piece);
                node.disk.reads += 1;
                let readable = node.orders.good_reads.is_none_or(|good| node.disk.reads <= good);
                PeerEvent::Loaded(transfer, readable)
            }
            PeerAction::SendPiece { to, transfer } => {
                let piece = node.loads.remove(&transfer).expect("loaded before it is sent");
                let good = !node.orders.corrupts;
                self.pieces.entry((rank, to)).or_default().push_back(Some((piece, good)));
                self.events.push(Event::Arrive { from: rank, to, channel: Channel::Piece });
                PeerEvent::Sent(transfer)
            }
            PeerAction::Withdraw { to, .. } => {
                self.pieces.entry((rank, to)).or_default().push_back(None);
                self.events.push(Event::Arrive { from: rank, to, channel: Channel::Piece });
                return;
            }
            PeerAction::Finish(entry) => {
                let catalogue = node.disk.catalogue.as_ref().unwrap();
                let whole = catalogue
                    .pieces_of(entry)
                    .all(|piece| node.disk.written.contains(&PieceId(piece)));
                assert!(whole, "rank {rank} finishes entry {} before it is whole", entry.0);
                assert!(node.disk.finished.insert(entry), "an entry is finished once");
                PeerEvent::Finished(entry, Ok(()))
            }
            PeerAction::Seal => {
                assert!(!std::mem::replace(&mut node.disk.sealed, true), "sealed once");
                PeerEvent::Sealed(Ok(()))
            }
            PeerAction::Close(_) => PeerEvent::Closed,
            PeerAction::Exit { .. } => {
                node.exited = true;
                return;
            }
            PeerAction::Notice(text) => return self.notices.push(text),
            PeerAction::Discard { transfer } => {
                node.loads.remove(&transfer);
                node.came.remove(&transfer);
                return;
            }
            PeerAction::Record(..) => return,
        };
        self.events.push(say(event));
    }

    fn survey(&mut self, rank: Rank, entry: EntryIndex) -> Surveyed {
        let node = &mut self.nodes[rank.index()];
        let catalogue = Arc::clone(node.disk.catalogue.as_ref().unwrap());
        let described = catalogue.entry(entry);
        if let Some((_, pieces)) =
            node.orders.partials.iter().find(|(partial, _)| partial == described)
        {
            let range = catalogue.pieces_of(entry);
            let mut held = Bitfield::new(range.len() as u32);
            for &piece in pieces {
                held.insert(piece);
                node.disk.written.insert(PieceId(range.start + piece));
            }
            return Surveyed::Partial(held);
        }
        let own = node.orders.cast && node.orders.shares.contains(described);
        if own { Surveyed::Candidate } else { Surveyed::Nothing }
    }

    fn store(&mut self, rank: Rank, transfer: TransferId, piece: PieceId) -> Result<Stored, Fault> {
        let node = &mut self.nodes[rank.index()];
        if !node.came.remove(&transfer).expect("received before it is stored") {
            return Ok(Stored::Corrupt);
        }
        if node.orders.disk_pieces.is_some_and(|room| node.disk.written.len() as u32 >= room) {
            return Err(Fault::Disk("no space left on device".into()));
        }
        assert!(node.disk.written.insert(piece), "rank {rank} writes piece {} twice", piece.0);
        Ok(Stored::Written)
    }
}
