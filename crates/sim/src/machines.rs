//! Between the machines and the world: events in, actions out, as `node::run` does it for real.

use crate::event::{Content, Happening, Letter};
use crate::network::{Cargo, Flight, Micros};
use crate::node::Life;
use crate::world::{LONGEST_TICK, TICK, World};
use content::{Catalogue, EntryIndex};
use std::sync::Arc;
use std::time::Duration;
use swarm::message::{Envelope, FromTracker, Message};
use swarm::peer::{Fault, PeerAction, PeerEvent, Salvaged, Stored, Surveyed, TransferId};
use swarm::tracker::{TrackerAction, TrackerEvent};
use swarm::{Instant, Rank};

impl World<'_> {
    fn instant(&self) -> Instant {
        Instant::after(Duration::from_micros(self.now))
    }

    pub(crate) fn tracker_event(&mut self, event: TrackerEvent) {
        if self.tracker.has_ended() {
            return;
        }
        for action in self.tracker.handle(self.instant(), event) {
            match action {
                TrackerAction::Send { to, message } => {
                    if matches!(message, FromTracker::Start(_)) {
                        self.start();
                    }
                    let message = Message::FromTracker(message);
                    let envelope = Envelope { epoch: self.tracker.epoch(), message };
                    self.send(0, to.0, envelope);
                }
                TrackerAction::Notice(_) => {}
                TrackerAction::Report(report) => self.report = Some(*report),
            }
        }
    }

    /// START goes out: the clock of the job begins, and with it what goes wrong.
    fn start(&mut self) {
        if self.started.is_some() {
            return;
        }
        self.started = Some(self.now);
        self.moved = self.now;
        for (number, fault) in self.faults.iter().enumerate() {
            let at = self.now + fault.at * self.scenario.round_us;
            self.future.plan(at, Happening::Fault(number));
        }
    }

    /// A message goes on its way. Those of a pair and channel arrive in order.
    fn send(&mut self, from: u32, to: u32, envelope: Envelope) {
        if self.scenario.check_every == 1 {
            let decoded = Envelope::decode(envelope.message.channel(), &envelope.encode());
            assert_eq!(decoded.as_ref(), Ok(&envelope), "what is said must survive the wire");
        }
        if from == 0 || to == 0 {
            self.tracker_messages += 1;
        }
        let mut at = self.now + self.network.message_time(from, to);
        let late = self.nodes[from as usize].late.max(self.nodes[to as usize].late);
        if late > 0 || !self.last_letter.is_empty() {
            let channel = envelope.message.channel() as u8;
            let last = self.last_letter.entry((from, to, channel)).or_default();
            at = (at + self.random.below(late + 1)).max(*last);
            *last = at;
        }
        let content = match envelope.message {
            Message::ToTracker(message) => Content::ToTracker(message),
            _ => Content::ToPeer(envelope),
        };
        self.letters += 1;
        if self.letters > self.letters_max {
            self.broken(format!("{} control messages are on their way at once", self.letters));
        }
        self.future.plan(at, Happening::Message(Box::new(Letter { from, to, content })));
    }

    pub(crate) fn letter_arrives(&mut self, letter: Letter) {
        let from = Rank(letter.from);
        match letter.content {
            Content::ToTracker(message) => {
                self.tracker_event(TrackerEvent::Message { from, message });
            }
            Content::ToPeer(envelope) => {
                self.peer_event(letter.to, PeerEvent::Message { from, envelope });
            }
        }
    }

    /// A peer takes an event, and what follows from it at once.
    pub(crate) fn peer_event(&mut self, rank: u32, event: PeerEvent) {
        let is_tick = matches!(event, PeerEvent::Tick);
        let now = self.instant();
        let mut next = Some(event);
        while let Some(event) = next {
            let node = &mut self.nodes[rank as usize];
            let (Life::Live, Some(peer)) = (node.life, &mut node.peer) else {
                self.at_once.clear();
                return;
            };
            let actions = peer.handle(now, event);
            if self.scenario.check_every > 0 {
                self.until_check -= 1;
                if self.until_check == 0 {
                    peer.check_invariants();
                    self.until_check = self.scenario.check_every;
                }
            }
            for action in actions {
                self.peer_action(rank, action);
            }
            next = self.at_once.pop_front();
        }
        if !is_tick {
            self.expect_tick(rank);
        }
    }

    /// After an event, time passes for a peer soon.
    fn expect_tick(&mut self, rank: u32) {
        let node = &mut self.nodes[rank as usize];
        node.last_event = self.now;
        node.tick.gap = TICK;
        if node.tick.number == 0 || node.tick.at > self.now + TICK {
            self.plan_tick(rank, self.now + TICK);
        }
    }

    pub(crate) fn plan_tick(&mut self, rank: u32, at: Micros) {
        let tick = &mut self.nodes[rank as usize].tick;
        tick.number = tick.number.wrapping_add(1).max(1);
        tick.at = at;
        self.future.plan(at, Happening::Tick { rank, number: tick.number });
    }

    /// Time passes, unless so much happens to the peer that it need not be told; but now and then
    /// it is.
    pub(crate) fn tick(&mut self, rank: u32, number: u32) {
        let node = &mut self.nodes[rank as usize];
        if node.tick.number != number || node.life != Life::Live {
            return;
        }
        let quiet = node.last_event + TICK;
        if self.now < quiet && self.now < node.tick.last + LONGEST_TICK {
            return self.plan_tick(rank, quiet);
        }
        node.tick.last = self.now;
        let gap = node.tick.gap;
        node.tick.gap = (gap * 2).min(LONGEST_TICK);
        self.plan_tick(rank, self.now + gap);
        self.peer_event(rank, PeerEvent::Tick);
    }

    fn peer_action(&mut self, rank: u32, action: PeerAction) {
        match action {
            PeerAction::Send { to, message } => {
                let peer = self.nodes[rank as usize].peer.as_ref();
                let epoch = peer.expect("only a peer acts").epoch();
                self.send(rank, to.0, Envelope { epoch, message });
            }
            PeerAction::Receive { from, transfer, .. } => self.post(rank, from.0, transfer),
            PeerAction::Load { transfer, piece } => self.load(rank, transfer, piece.0),
            PeerAction::SendPiece { to, transfer } => {
                let node = &mut self.nodes[rank as usize];
                let piece = node.loads.remove(&transfer).expect("a piece is read before it goes");
                let good = self.random.below(100) >= node.corrupt_percent;
                node.pieces_sent += 1;
                self.fly(rank, to.0, transfer, Cargo::Piece { piece, good });
            }
            PeerAction::Withdraw { to, transfer } => {
                self.fly(rank, to.0, transfer, Cargo::Nothing);
            }
            PeerAction::Store { transfer, piece, .. } => {
                let good = !self.nodes[rank as usize].bad.remove(&transfer);
                let at = self.now + self.disk_time(rank);
                let piece = piece.0;
                self.future.plan(at, Happening::Verified { rank, transfer, piece, good });
            }
            PeerAction::Discard { transfer } => {
                let node = &mut self.nodes[rank as usize];
                node.loads.remove(&transfer);
                node.bad.remove(&transfer);
            }
            PeerAction::Begin { catalogue, .. } => self.begin(rank, catalogue),
            PeerAction::Survey(entry) => {
                self.at_once.push_back(PeerEvent::Surveyed(entry, Ok(Surveyed::Nothing)));
            }
            PeerAction::Salvage(piece, _) => {
                self.at_once.push_back(PeerEvent::Salvaged(piece, Ok(Salvaged::Absent)));
            }
            PeerAction::Finish(entry) => self.name(rank, entry),
            PeerAction::Seal => self.at_once.push_back(PeerEvent::Sealed(Ok(()))),
            PeerAction::Close(_) => self.at_once.push_back(PeerEvent::Closed),
            PeerAction::Exit { .. } => {
                self.nodes[rank as usize].life = Life::Exited;
                self.open -= 1;
                self.moved = self.now;
            }
            PeerAction::Prepare(_) | PeerAction::Record(..) | PeerAction::Notice(_) => {}
        }
    }

    fn begin(&mut self, rank: u32, catalogue: Arc<Catalogue>) {
        let is_seeder = rank <= self.scenario.seeders;
        self.nodes[rank as usize].disk.begin(catalogue, is_seeder);
        self.peers_done += u32::from(is_seeder);
    }

    fn disk_time(&self, rank: u32) -> Micros {
        self.scenario.disk_us * self.network.slowness(rank)
    }

    /// Reads run ahead of the link, so they take no time.
    fn load(&mut self, rank: u32, transfer: TransferId, piece: u32) {
        let node = &mut self.nodes[rank as usize];
        node.loads.insert(transfer, piece);
        let (reads, holds) = (node.loads.len(), node.disk.held().get(piece));
        let readable = node.disk.is_readable(piece);
        if !holds {
            self.broken(format!("rank {rank} is to serve piece {piece}, which it has not got"));
        }
        if reads > self.scenario.upload_window as usize {
            self.broken(format!("rank {rank} reads {reads} pieces ahead"));
        }
        self.at_once.push_back(PeerEvent::Loaded(transfer, readable));
    }

    fn fly(&mut self, from: u32, to: u32, transfer: TransferId, cargo: Cargo) {
        let (next, flight) = self.network.send(self.now, from, to, transfer, cargo);
        if let Cargo::Piece { piece, .. } = cargo
            && from <= self.scenario.seeders
            && self.seeded.insert(piece)
        {
            self.last_seeded = flight.leaves;
        }
        if cargo != Cargo::Nothing {
            self.future.plan(flight.leaves, Happening::Sent { from, to, transfer });
        }
        self.future.plan(next, Happening::Flight(Box::new(flight)));
    }

    /// A piece is at a port, or there. What a rank had not sent when it died never comes.
    pub(crate) fn flight_goes_on(&mut self, mut flight: Box<Flight>) {
        let died = self.nodes[flight.from as usize].died;
        if died.is_some_and(|died| died < flight.leaves) {
            return;
        }
        if let Some(next) = self.network.advance(self.now, &mut flight) {
            return self.future.plan(next, Happening::Flight(flight));
        }
        let (from, to, cargo) = (flight.from, flight.to, flight.cargo);
        if let Some(transfer) = self.nodes[to as usize].arrive(from, cargo) {
            let event = self.received(to, transfer, cargo);
            self.peer_event(to, event);
        }
    }

    fn post(&mut self, rank: u32, from: u32, transfer: TransferId) {
        if let Some(cargo) = self.nodes[rank as usize].post(from, transfer) {
            let event = self.received(rank, transfer, cargo);
            self.at_once.push_back(event);
        }
        let posted = self.nodes[rank as usize].posted();
        if posted > self.posted_max() {
            self.broken(format!("rank {rank} has {posted} receives posted"));
        }
    }

    /// The window, and what of it a fault may make late: that is asked elsewhere a second time.
    fn posted_max(&self) -> usize {
        let window = self.scenario.window.max(1) as usize;
        window * (2 + self.faults.len())
    }

    fn received(&mut self, rank: u32, transfer: TransferId, cargo: Cargo) -> PeerEvent {
        let Cargo::Piece { piece, good } = cargo else { return PeerEvent::Received(transfer, 0) };
        let node = &mut self.nodes[rank as usize];
        if !good {
            node.bad.insert(transfer);
        } else if !node.disk.comes(piece) {
            self.duplicates += 1;
        }
        PeerEvent::Received(transfer, crate::scenario::PIECE_BYTES as u32)
    }

    /// A piece that came was hashed, and written where it is good and there is room.
    pub(crate) fn verified(&mut self, rank: u32, transfer: TransferId, piece: u32, good: bool) {
        let node = &mut self.nodes[rank as usize];
        let result = match (good, node.full) {
            (false, _) => Ok(Stored::Corrupt),
            (true, true) => Err(Fault::Disk("no space left on device".into())),
            (true, false) => Ok(Stored::Written),
        };
        if result == Ok(Stored::Written) {
            if !node.disk.write(piece) {
                self.broken(format!("rank {rank} writes piece {piece} twice"));
            }
            self.pieces_have += 1;
            self.moved = self.now;
        }
        self.peer_event(rank, PeerEvent::Stored(transfer, result));
    }

    /// A piece has left. A rank that hangs takes nothing in, so its piece stays in its sender's
    /// hands; one to a dead rank stays there until the sender hears of the death.
    pub(crate) fn sent(&mut self, from: u32, to: u32, transfer: TransferId) {
        match self.nodes[to as usize].life {
            Life::Live | Life::Exited => self.peer_event(from, PeerEvent::Sent(transfer)),
            Life::Hung => {
                let again = Happening::Sent { from, to, transfer };
                self.nodes[to as usize].deferred.push(again);
            }
            Life::Dead => {}
        }
    }

    fn name(&mut self, rank: u32, entry: EntryIndex) {
        let now = self.now;
        let node = &mut self.nodes[rank as usize];
        if !node.disk.may_name(entry) {
            let what = format!("rank {rank} gives file {} a name before it is whole", entry.0);
            return self.broken(what);
        }
        node.disk.name(entry);
        self.moved = now;
        if node.disk.is_complete() {
            node.completed = Some(now);
            self.peers_done += 1;
        }
        self.at_once.push_back(PeerEvent::Finished(entry, Ok(())));
    }
}
