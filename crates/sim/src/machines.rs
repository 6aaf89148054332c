//! Between the machines and the world: events in, actions out, as `node::run` does it for real.

use crate::event::{Happening, Letter};
use crate::network::{Cargo, Flight, Micros};
use crate::node::Life;
use crate::world::{LONGEST_TICK, TICK, World};
use content::{Catalogue, EntryIndex, PieceId, Span};
use std::sync::Arc;
use std::time::Duration;
use swarm::message::{Envelope, Message};
use swarm::peer::TransferId;
use swarm::peer::{Fault, Inspected, Peer, PeerAction, PeerEvent, Salvaged, Stored, Surveyed};
use swarm::tracker::TrackerEvent;
use swarm::{Differences, Instant, Rank};

/// Whose invariants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Due {
    Tracker,
    Peer,
}

impl World<'_> {
    pub(crate) fn instant(&self) -> Instant {
        Instant::after(Duration::from_micros(self.now))
    }

    /// Whether a look at a machine's invariants is due.
    pub(crate) fn is_due(&mut self, of: Due) -> bool {
        let every = self.scenario.check_every;
        let until = match of {
            Due::Tracker => &mut self.until_tracker_check,
            Due::Peer => &mut self.until_check,
        };
        *until = until.saturating_sub(1);
        let is_due = every > 0 && *until == 0;
        if is_due {
            *until = every;
        }
        is_due
    }

    /// FINISH goes out: the last time that all machines have something to be looked at.
    pub(crate) fn all_stopped(&mut self) {
        if self.stopped.is_none() && self.scenario.check_every > 0 {
            let live = self.nodes.iter().filter(|node| node.life == Life::Live);
            live.filter_map(|node| node.peer.as_ref()).for_each(Peer::check_invariants);
        }
        self.stopped.get_or_insert(self.now);
    }

    /// START goes out: the clock of the job begins, and with it what goes wrong.
    pub(crate) fn start(&mut self) {
        if self.started.is_some() {
            return;
        }
        self.started = Some(self.now);
        self.moves();
        for (number, fault) in self.faults.iter().enumerate() {
            let at = self.now + fault.at * self.scenario.round_us;
            self.future.plan(at, Happening::Fault(number));
        }
    }

    /// A message goes on its way. Those of a pair and channel arrive in order.
    pub(crate) fn send(&mut self, from: u32, to: u32, envelope: Envelope) {
        if self.scenario.check_every == 1 {
            let decoded = Envelope::decode(envelope.message.channel(), &envelope.encode());
            assert_eq!(decoded.as_ref(), Ok(&envelope), "what is said must survive the wire");
        }
        self.tracker_messages += u64::from(!matches!(envelope.message, Message::Between(_)));
        let mut at = self.now + self.network.message_time(from, to);
        if self.is_any_late {
            let late = |rank: u32| self.nodes[rank as usize].desk.late;
            let late = late(from).max(late(to));
            if late > 0 || !self.last_letter.is_empty() {
                let channel = envelope.message.channel() as u8;
                let last = self.last_letter.entry((from, to, channel)).or_default();
                at = (at + self.random.below(late + 1)).max(*last);
                *last = at;
            }
        }
        self.queue(to);
        self.future
            .plan(at, Happening::Message { to, letter: Box::new(Letter { from, envelope }) });
    }

    /// One more message waits for a rank.
    fn queue(&mut self, to: u32) {
        let letters = &mut self.letters[to as usize];
        *letters += 1;
        let letters = u64::from(*letters);
        let few = self.peaks.letters.min(self.limits.letters).min(self.limits.letters_of_tracker);
        if letters > few {
            self.many_wait(to, letters);
        }
    }

    /// So many messages wait for a rank: perhaps more than ever, or too many.
    fn many_wait(&mut self, to: u32, letters: u64) {
        let node = &self.nodes[to as usize];
        if node.life != Life::Live {
            return;
        }
        // Who tracked has all that was said to it to read when it wakes.
        let tracks = node.tracker.is_some() || to == 0;
        if !tracks {
            self.peaks.letters = self.peaks.letters.max(letters);
        }
        let most = if tracks { self.limits.letters_of_tracker } else { self.limits.letters };
        if letters > most {
            self.broken(format!("{letters} messages wait for rank {to}"));
        }
    }

    pub(crate) fn letter_arrives(&mut self, to: u32, Letter { from, envelope }: Letter) {
        self.letters[to as usize] -= 1;
        let from = Rank(from);
        self.depose(to, &envelope);
        match envelope.message {
            Message::ToTracker(message) if self.tracks(to) => {
                self.tracker_event(to, TrackerEvent::Message { from, message });
            }
            _ => self.peer_event(to, PeerEvent::Message { from, envelope }),
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
            let mut actions = std::mem::take(&mut self.actions);
            peer.handle_into(now, event, &mut actions);
            if self.is_due(Due::Peer) {
                let peer = self.nodes[rank as usize].peer.as_ref();
                peer.expect("it has just acted").check_invariants();
            }
            for action in actions.drain(..) {
                self.peer_action(rank, action);
            }
            self.actions = actions;
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
        node.tick.gap = TICK as u32;
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
        let gap = Micros::from(node.tick.gap);
        node.tick.gap = (gap * 2).min(LONGEST_TICK) as u32;
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
            PeerAction::Load { transfer, pieces } => self.load(rank, transfer, pieces),
            PeerAction::SendPiece { to, transfer } => {
                let node = &mut self.nodes[rank as usize];
                let pieces = node.desk.loads.remove(&transfer).expect("it is read before it goes");
                let good = self.random.below(100) >= node.desk.corrupt_percent;
                node.desk.pieces_sent += u64::from(pieces.count);
                self.fly(rank, to.0, transfer, Cargo::Pieces { pieces, good });
            }
            PeerAction::Withdraw { to, transfer } => {
                self.fly(rank, to.0, transfer, Cargo::Nothing);
            }
            PeerAction::Store { transfer, expected, .. } => {
                let good = !self.nodes[rank as usize].desk.bad.remove(&transfer);
                let pieces: Vec<PieceId> = expected.into_iter().map(|(piece, _)| piece).collect();
                let at = self.now + self.disk_time(rank) * pieces.len() as u64;
                self.future.plan(at, Happening::Verified { rank, transfer, pieces, good });
            }
            PeerAction::Discard { transfer } => {
                let node = &mut self.nodes[rank as usize];
                if node.desk.loads.remove(&transfer).is_none() {
                    node.desk.receiving -= 1;
                }
                node.desk.bad.remove(&transfer);
            }
            PeerAction::Begin { catalogue, .. } => self.begin(rank, catalogue),
            PeerAction::Survey(entry) => {
                self.at_once.push_back(PeerEvent::Surveyed(entry, Ok(Surveyed::Nothing)));
            }
            PeerAction::Salvage(piece, _) | PeerAction::Reread(piece, _) => {
                self.at_once.push_back(PeerEvent::Salvaged(piece, Ok(Salvaged::Absent)));
            }
            PeerAction::Inspect(entry) => {
                let looked =
                    Inspected { differences: Differences::MISSING, ..Inspected::default() };
                self.at_once.push_back(PeerEvent::Inspected(entry, looked));
            }
            PeerAction::ListExtra => {
                self.at_once.push_back(PeerEvent::ExtraListed(swarm::Extra::default()));
            }
            PeerAction::Finish(entry) => self.name(rank, entry),
            PeerAction::Seal => self.at_once.push_back(PeerEvent::Sealed(Ok(()))),
            PeerAction::Close(_) => self.at_once.push_back(PeerEvent::Closed),
            PeerAction::Succeed(succession) => self.succeed(rank, *succession),
            PeerAction::Abdicate => self.abdicate(rank),
            PeerAction::Exit { .. } => {
                self.nodes[rank as usize].life = Life::Exited;
                self.count(rank);
                self.moves();
            }
            // Nothing of a simulated source is read before START.
            PeerAction::Prepare(_)
            | PeerAction::Walk(_)
            | PeerAction::ReadPieces(_)
            | PeerAction::Keep(_)
            | PeerAction::Record(..)
            | PeerAction::Notice(_) => {}
        }
    }

    fn begin(&mut self, rank: u32, catalogue: Arc<Catalogue>) {
        let is_seeder = rank <= self.scenario.seeders;
        self.nodes[rank as usize].desk.disk.begin(catalogue, is_seeder);
        self.peers_done += u32::from(is_seeder);
    }

    fn disk_time(&self, rank: u32) -> Micros {
        self.scenario.disk_us * self.network.slowness(rank)
    }

    /// Reads run ahead of the link, so they take no time.
    fn load(&mut self, rank: u32, transfer: TransferId, pieces: Span) {
        let node = &mut self.nodes[rank as usize];
        node.desk.loads.insert(transfer, pieces);
        let numbers = pieces.numbers();
        let missing = numbers.clone().find(|&piece| !node.desk.disk.held().get(piece));
        let unreadable = numbers.clone().find(|&piece| !node.desk.disk.is_readable(piece));
        let busy = node.desk.loads.len() as u32 + node.desk.sending;
        self.peaks.sending = self.peaks.sending.max(busy);
        if let Some(piece) = missing {
            self.broken(format!("rank {rank} is to serve piece {piece}, which it has not got"));
        }
        if busy > self.limits.sending {
            self.broken(format!("rank {rank} has {busy} pieces or bundles read or on their way"));
        }
        let read = unreadable.map_or(Ok(()), |piece| Err(PieceId(piece)));
        self.at_once.push_back(PeerEvent::Loaded(transfer, read));
    }

    fn fly(&mut self, from: u32, to: u32, transfer: TransferId, cargo: Cargo) {
        let (next, flight) = self.network.send(self.now, from, to, transfer, cargo);
        if let Cargo::Pieces { pieces, .. } = cargo
            && from <= self.scenario.seeders
        {
            for piece in pieces.numbers() {
                if self.seeded.insert(piece) {
                    self.last_seeded = flight.leaves;
                }
            }
        }
        if cargo != Cargo::Nothing {
            self.nodes[from as usize].desk.sending += 1;
            self.future.plan(flight.leaves, Happening::Sent { from, to, transfer });
        }
        self.future.plan(next, Happening::Flight(Box::new(flight)));
    }

    /// A piece is at a port, or there. What a rank had not sent when it died never comes.
    pub(crate) fn flight_goes_on(&mut self, mut flight: Box<Flight>) {
        let died = self.nodes[flight.from as usize].desk.died;
        if died.is_some_and(|died| died < flight.leaves) {
            return;
        }
        if let Some(next) = self.network.advance(self.now, &mut flight) {
            return self.future.plan(next, Happening::Flight(flight));
        }
        let (from, to, cargo) = (flight.from, flight.to, flight.cargo);
        if let Some(transfer) = self.nodes[to as usize].desk.arrive(from, cargo) {
            let event = self.received(to, transfer, cargo);
            self.peer_event(to, event);
        }
    }

    fn post(&mut self, rank: u32, from: u32, transfer: TransferId) {
        let node = &mut self.nodes[rank as usize];
        node.desk.receiving += 1;
        let receiving = node.desk.receiving;
        self.peaks.receiving = self.peaks.receiving.max(receiving);
        if let Some(cargo) = node.desk.post(from, transfer) {
            let event = self.received(rank, transfer, cargo);
            self.at_once.push_back(event);
        }
        if receiving > self.limits.receiving {
            self.broken(format!("rank {rank} receives or writes {receiving} pieces at once"));
        }
    }

    fn received(&mut self, rank: u32, transfer: TransferId, cargo: Cargo) -> PeerEvent {
        let Cargo::Pieces { pieces, good } = cargo else { return PeerEvent::Received(transfer, 0) };
        let node = &mut self.nodes[rank as usize];
        if !good {
            node.desk.bad.insert(transfer);
        }
        // Of what is bad the first piece is.
        for piece in pieces.numbers().skip(usize::from(!good)) {
            self.duplicates += u64::from(!node.desk.disk.comes(piece));
        }
        PeerEvent::Received(transfer, pieces.count * crate::scenario::PIECE_BYTES as u32)
    }

    /// What came was hashed, and written where there is room; of what is bad the first piece does
    /// not verify.
    pub(crate) fn verified(
        &mut self,
        rank: u32,
        transfer: TransferId,
        pieces: Vec<PieceId>,
        mut good: bool,
    ) {
        self.nodes[rank as usize].desk.receiving -= 1;
        let mut results = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let node = &mut self.nodes[rank as usize];
            let result = match (std::mem::replace(&mut good, true), node.desk.full) {
                (false, _) => Ok(Stored::Corrupt),
                (true, true) => Err(Fault::Disk("no space left on device".into())),
                (true, false) => Ok(Stored::Written),
            };
            if result == Ok(Stored::Written) {
                if !node.desk.disk.write(piece.0) {
                    self.broken(format!("rank {rank} writes piece {} twice", piece.0));
                }
                self.pieces_have += 1;
                self.moves();
            }
            results.push((piece, result));
        }
        self.peer_event(rank, PeerEvent::Stored(transfer, results));
    }

    /// A piece has left. A rank that hangs takes nothing in, so its piece stays in its sender's
    /// hands; one to a dead rank stays there until the sender hears of the death.
    pub(crate) fn sent(&mut self, from: u32, to: u32, transfer: TransferId) {
        match self.nodes[to as usize].life {
            Life::Live | Life::Exited => {
                self.nodes[from as usize].desk.sending -= 1;
                self.peer_event(from, PeerEvent::Sent(transfer));
            }
            Life::Hung => {
                let again = Happening::Sent { from, to, transfer };
                self.nodes[to as usize].desk.deferred.push(again);
            }
            Life::Dead => {}
        }
    }

    fn name(&mut self, rank: u32, entry: EntryIndex) {
        self.moves();
        let node = &mut self.nodes[rank as usize];
        if !node.desk.disk.may_name(entry) {
            let what = format!("rank {rank} gives file {} a name before it is whole", entry.0);
            return self.broken(what);
        }
        node.desk.disk.name(entry);
        if node.desk.disk.is_complete() {
            node.desk.completed = Some(self.now);
            self.peers_done += 1;
        }
        self.at_once.push_back(PeerEvent::Finished(entry, Ok(())));
    }
}
