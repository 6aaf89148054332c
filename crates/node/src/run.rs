//! The loop of one process: it hands what happens to the machines, and carries out what they want
//! done.
//!
//! One thread runs it and owns the transport. It never waits for a disk or a message; where nothing
//! happens it backs off.

use crate::buffer::Pool;
use crate::disk::{self, Disk};
use crate::idle::Idle;
use crate::job::{Job, TrackerPlace};
use crate::observer::{Observer, Phase, Progress};
use crate::prepare::{Inventory, Preparation, Prepared};
use crate::store::Store;
use crate::transport::{Arrival, Ticket, Transport};
use content::{Bitfield, Catalogue, EntryIndex};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use swarm::message::{Envelope, Message};
use swarm::peer::{Peer, PeerAction, PeerConfig, PeerEvent, TransferId};
use swarm::tracker::{Tracker, TrackerAction, TrackerConfig, TrackerEvent};
use swarm::{Channel, Instant, Outcome, Rank};

/// Bytes that a peer asks for, or has on their way, or not yet written: two batches of ten of the
/// longest pieces that the default rule makes.
const WINDOW_BYTES: u64 = 80 << 20;
/// Bytes that are read ahead or on their way to others.
const UPLOAD_WINDOW_BYTES: u64 = 32 << 20;
/// How often the machines hear of the time.
const TICK: Duration = Duration::from_millis(10);
/// How often the user hears of progress.
const PROGRESS: Duration = Duration::from_millis(200);
/// How long the last messages may take to leave.
const DRAIN: Duration = Duration::from_secs(5);

/// How this rank's part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// How the job ended, as far as this rank knows.
    pub outcome: Outcome,
    /// Whether a rank was lost.
    pub lost: bool,
    /// Whether this rank tracked.
    pub is_tracker: bool,
}

/// Runs this rank's part of a job to its end.
///
/// # Panics
///
/// Panics where the transport has one rank and a dedicated tracker is asked for: the command line
/// refuses that.
pub fn run(job: Job, transport: &mut dyn Transport, observer: &mut dyn Observer) -> Ended {
    Node::new(job, transport, observer).run()
}

struct Node<'a> {
    job: Job,
    rank: Rank,
    transport: &'a mut dyn Transport,
    observer: &'a mut dyn Observer,
    began: std::time::Instant,
    tracker: Option<Tracker>,
    peer: Option<Peer>,
    preparation: Option<Preparation>,
    inventory: Option<Box<Inventory>>,
    disk: Option<Disk>,
    pool: Pool,
    /// What this rank says to itself.
    own: VecDeque<Envelope>,
    /// Pieces on their way to others, but for those that were withdrawn.
    sending: BTreeSet<TransferId>,
    ended: Option<Ended>,
    next_tick: Instant,
    next_progress: Instant,
}

impl<'a> Node<'a> {
    fn new(job: Job, transport: &'a mut dyn Transport, observer: &'a mut dyn Observer) -> Self {
        let (rank, ranks) = (transport.rank(), transport.size());
        let colocated = job.tracker == TrackerPlace::Colocated;
        assert!(colocated || ranks > 1, "a dedicated tracker alone has nobody to track");
        let tracks = rank == Rank::TRACKER;
        let patience = job.patience;
        let config =
            TrackerConfig { rank, ranks, colocated, patience, seed: u64::from(std::process::id()) };
        let tracker = tracks.then(|| Tracker::new(config, Instant::ZERO));
        let config = PeerConfig {
            rank,
            ranks,
            tracker: Rank::TRACKER,
            batch: job.batch,
            window_bytes: WINDOW_BYTES,
            upload_window_bytes: UPLOAD_WINDOW_BYTES,
            patience,
        };
        let is_peer = colocated || !tracks;
        Self {
            rank,
            began: std::time::Instant::now(),
            tracker,
            peer: is_peer.then(|| Peer::new(config, Instant::ZERO)),
            preparation: is_peer.then(|| Preparation::start(job.clone())),
            inventory: None,
            disk: None,
            pool: Pool::default(),
            own: VecDeque::new(),
            sending: BTreeSet::new(),
            ended: None,
            next_tick: Instant::ZERO,
            next_progress: Instant::ZERO,
            job,
            transport,
            observer,
        }
    }

    fn now(&self) -> Instant {
        Instant::after(self.began.elapsed())
    }

    fn run(mut self) -> Ended {
        if let (None, Some(problem)) = (&self.peer, self.job.problem.clone()) {
            self.refuse_as_tracker(&problem);
        }
        tracing::info!(ranks = self.transport.size(), "the job begins");
        let mut idle = Idle::default();
        let mut arrivals = Vec::new();
        while !self.is_over() {
            self.transport.poll(&mut arrivals);
            let mut busy = !arrivals.is_empty() || !self.own.is_empty();
            for arrival in arrivals.drain(..) {
                self.on_arrival(arrival);
            }
            while let Some(envelope) = self.own.pop_front() {
                self.on_envelope(self.rank, envelope);
            }
            busy |= self.take_results();
            busy |= self.take_preparation();
            self.keep_time();
            if busy {
                idle.reset();
            } else {
                idle.wait(self.disk.as_ref().map(Disk::done));
            }
        }
        self.drain();
        let mut ended = self.ended.expect("the loop ends with an end");
        ended.is_tracker = self.tracker.is_some();
        ended
    }

    /// A dedicated tracker has no peer that could tell of a problem with the orders: it refuses the
    /// job itself.
    fn refuse_as_tracker(&mut self, problem: &str) {
        let Some(tracker) = &mut self.tracker else { return };
        let actions = tracker.handle(Instant::ZERO, TrackerEvent::Trouble(problem.to_owned()));
        self.tracker_actions(actions);
    }

    fn is_over(&self) -> bool {
        let tracked = self.tracker.as_ref().is_none_or(Tracker::has_ended);
        let lost = self.ended.is_some_and(|ended| ended.lost && self.tracker.is_none());
        self.ended.is_some() && (tracked || lost)
    }

    /// Lets the last messages leave.
    fn drain(&mut self) {
        let until = self.now() + DRAIN;
        let mut idle = Idle::default();
        while !self.transport.is_drained() && self.now() < until {
            self.transport.poll(&mut Vec::new());
            idle.wait::<()>(None);
        }
    }

    fn keep_time(&mut self) {
        let now = self.now();
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + TICK;
        self.tracker_event(TrackerEvent::Tick);
        self.peer_event(PeerEvent::Tick);
        if now >= self.next_progress && self.tracker.is_some() {
            self.next_progress = now + PROGRESS;
            self.show_progress();
        }
    }

    fn show_progress(&mut self) {
        let Some(tracker) = &self.tracker else { return };
        let tally = tracker.tally();
        let phase = match (tally.started, tally.finishing) {
            (_, true) => Phase::Finishing,
            (true, false) => Phase::Transferring,
            (false, false) => Phase::Preparing,
        };
        if tracker.has_ended() {
            return;
        }
        self.observer.progress(&Progress {
            phase,
            bytes_wanted: tally.bytes_wanted,
            bytes_have: tally.bytes_have,
            peers: tally.peers,
            peers_done: tally.peers_done,
            elapsed: self.began.elapsed(),
        });
    }

    fn on_arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Message { from, channel, bytes } => match Envelope::decode(channel, &bytes) {
                Ok(envelope) => self.on_envelope(from, envelope),
                Err(error) => tracing::warn!(%from, %channel, %error, "a message is dropped"),
            },
            Arrival::PieceReceived { ticket, buffer } => {
                let transfer = TransferId(ticket.0);
                let len = buffer.len() as u32;
                tracing::debug!(to = %self.rank, transfer = ticket.0, len, "{} received", Channel::Piece);
                if let Some(disk) = &mut self.disk {
                    disk.came(transfer, buffer);
                }
                self.peer_event(PeerEvent::Received(transfer, len));
            }
            Arrival::PieceSent { ticket } => {
                let transfer = TransferId(ticket.0);
                if self.sending.remove(&transfer) {
                    self.peer_event(PeerEvent::Sent(transfer));
                }
            }
            Arrival::Lost { rank } => {
                tracing::info!(%rank, "a rank is lost");
                self.tracker_event(TrackerEvent::Lost(rank));
                self.peer_event(PeerEvent::Lost(rank));
            }
        }
    }

    fn on_envelope(&mut self, from: Rank, envelope: Envelope) {
        let channel = envelope.message.channel();
        tracing::debug!("{channel} {from} -> {}: {}", self.rank, envelope.message);
        match envelope.message {
            Message::ToTracker(message) => {
                self.tracker_event(TrackerEvent::Message { from, message });
            }
            _ => self.peer_event(PeerEvent::Message { from, envelope }),
        }
    }

    fn tracker_event(&mut self, event: TrackerEvent) {
        let now = self.now();
        if let Some(tracker) = &mut self.tracker {
            let actions = tracker.handle(now, event);
            self.tracker_actions(actions);
        }
    }

    fn tracker_actions(&mut self, actions: Vec<TrackerAction>) {
        for action in actions {
            match action {
                TrackerAction::Send { to, message } => {
                    let epoch = self.tracker.as_ref().expect("only a tracker acts").epoch();
                    self.send(to, Envelope { epoch, message: Message::FromTracker(message) });
                }
                TrackerAction::Notice(text) => self.observer.notice(&text),
                TrackerAction::Report(report) => {
                    self.observer.report(&report);
                    if self.peer.is_none() {
                        let lost = self.tracker.as_ref().is_some_and(Tracker::has_lost);
                        let outcome = report.outcome;
                        self.ended = Some(Ended { outcome, lost, is_tracker: true });
                    }
                }
            }
        }
    }

    fn send(&mut self, to: Rank, envelope: Envelope) {
        if to == self.rank {
            return self.own.push_back(envelope);
        }
        let channel = envelope.message.channel();
        tracing::debug!("{channel} {} -> {to}: {}", self.rank, envelope.message);
        self.transport.send(to, channel, envelope.encode());
    }

    fn take_preparation(&mut self) -> bool {
        let Some(prepared) = self.preparation.as_ref().and_then(Preparation::next) else {
            return false;
        };
        let event = match prepared {
            Prepared::Hello(hello) => PeerEvent::Hello(hello),
            Prepared::Trouble(sentence) => PeerEvent::Trouble(sentence),
            Prepared::Offered(mut inventory) => {
                tracing::info!(entries = inventory.offered.len(), "what is shared here is known");
                for notice in inventory.notices.drain(..) {
                    self.observer.notice(&notice);
                }
                let offered = std::mem::take(&mut inventory.offered);
                self.inventory = Some(inventory);
                PeerEvent::Offered(offered)
            }
        };
        self.peer_event(event);
        true
    }

    fn take_results(&mut self) -> bool {
        let mut any = false;
        while let Some(outcome) = self.disk.as_mut().and_then(Disk::next) {
            any = true;
            match outcome {
                disk::Outcome::Event(event) => self.peer_event(event),
                disk::Outcome::EventAndNotice(event, notice) => {
                    self.observer.notice(&notice);
                    self.peer_event(event);
                }
                disk::Outcome::Nothing => {}
            }
        }
        any
    }

    fn peer_event(&mut self, event: PeerEvent) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.now();
            let Some(peer) = &mut self.peer else { return };
            for action in peer.handle(now, event) {
                events.extend(self.peer_action(action));
            }
        }
    }

    /// Carries out what the peer wants done. Gives the event, where that is over at once.
    fn peer_action(&mut self, action: PeerAction) -> Option<PeerEvent> {
        match action {
            PeerAction::Send { to, message } => {
                let epoch = self.peer.as_ref().expect("only a peer acts").epoch();
                self.send(to, Envelope { epoch, message });
            }
            PeerAction::Prepare(positions) => {
                if let Some(preparation) = &self.preparation {
                    preparation.choose(positions);
                }
            }
            PeerAction::Begin { catalogue, wanted } => self.begin(catalogue, wanted),
            PeerAction::Notice(text) => self.observer.notice(&text),
            PeerAction::Exit { outcome, lost } => {
                tracing::info!(outcome = outcome.word(), lost, "the job is over");
                self.ended = Some(Ended { outcome, lost, is_tracker: false });
            }
            PeerAction::Close(outcome) => return self.close(outcome),
            action => return self.disk_action(action),
        }
        None
    }

    /// START: opens the store over all that was found.
    fn begin(&mut self, catalogue: Arc<Catalogue>, wanted: Bitfield) {
        let inventory = self.inventory.take().expect("START comes after INIT");
        let destination = self.preparation.as_ref().and_then(Preparation::destination);
        let mut local = Vec::new();
        for index in wanted.iter().filter(|_| !inventory.local_sources.is_empty()).map(EntryIndex) {
            let entry = catalogue.entry(index);
            let found = inventory
                .local_sources
                .iter()
                .find_map(|source| source.find(&entry.name, entry.len()));
            local.extend(found.map(|path| (entry.name.clone(), path)));
        }
        tracing::info!(
            entries = catalogue.entry_count(),
            pieces = catalogue.piece_count(),
            wanted = wanted.count(),
            "START"
        );
        let Inventory { shared, partials, .. } = *inventory;
        let store =
            Store::new(Arc::clone(&catalogue), wanted, shared, local, partials, destination);
        self.disk = Some(Disk::new(store, catalogue, self.job.threads, self.pool.clone()));
    }

    /// Ends the disk work; a job that was refused leaves no trace.
    fn close(&mut self, outcome: Outcome) -> Option<PeerEvent> {
        match &mut self.disk {
            Some(disk) => {
                disk.close(outcome == Outcome::Refused);
                None
            }
            None => {
                if let Some(destination) =
                    self.preparation.as_ref().and_then(Preparation::destination)
                {
                    destination.abandon();
                }
                Some(PeerEvent::Closed)
            }
        }
    }

    fn disk_action(&mut self, action: PeerAction) -> Option<PeerEvent> {
        let disk = self.disk.as_mut().expect("the disk is there from START on");
        match action {
            PeerAction::Survey(entry) => disk.survey(entry),
            PeerAction::Salvage(piece, expected) => disk.salvage(piece, expected),
            PeerAction::Record(entry, range) => disk.record(entry, range),
            PeerAction::Receive { from, transfer, piece } => {
                let buffer = disk.buffer(piece);
                tracing::debug!(
                    "{} {from} -> {}: piece {} is awaited",
                    Channel::Piece,
                    self.rank,
                    piece.0
                );
                self.transport.receive_piece(from, Ticket(transfer.0), buffer);
            }
            PeerAction::Store { transfer, piece, expected } => {
                disk.store(transfer, piece, expected)
            }
            PeerAction::Discard { transfer } => disk.discard(transfer),
            PeerAction::Load { transfer, piece } => return disk.load(transfer, piece),
            PeerAction::SendPiece { to, transfer } => {
                let piece = disk.take_loaded(transfer);
                tracing::debug!("{} {} -> {to}: {} bytes", Channel::Piece, self.rank, piece.len());
                self.sending.insert(transfer);
                self.transport.send_piece(to, Ticket(transfer.0), Some(piece));
            }
            PeerAction::Withdraw { to, transfer } => {
                tracing::debug!("{} {} -> {to}: withdrawn", Channel::Piece, self.rank);
                self.transport.send_piece(to, Ticket(transfer.0), None);
            }
            PeerAction::Finish(entry) => disk.finish(entry),
            PeerAction::Seal => disk.seal(),
            other => unreachable!("{other:?} is no work for the disk"),
        }
        None
    }
}
