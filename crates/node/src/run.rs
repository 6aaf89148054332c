//! The loop of one process: it hands what happens to the machines, and carries out what they want
//! done.
//!
//! One thread runs it and owns the transport. It never waits for a disk or a message; where nothing
//! happens it backs off.

mod peer;
mod tracker;

use crate::advice::Advice;
use crate::buffer::Pool;
use crate::disk::{self, Disk};
use crate::idle::Idle;
use crate::job::{Job, TrackerPlace};
use crate::limits;
use crate::notice::Notice;
use crate::observer::Observer;
use crate::prepare::{Inventory, Preparation, Prepared};
use crate::transport::{Arrival, Transport};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use swarm::message::{Envelope, Message, ToTracker};
use swarm::peer::{Peer, PeerEvent, TransferId};
use swarm::tracker::{Tracker, TrackerEvent};
use swarm::{Channel, Instant, Outcome, Rank};

/// How often the machines hear of the time.
const TICK: Duration = Duration::from_millis(10);
/// How often the user hears of progress.
const PROGRESS: Duration = Duration::from_millis(200);
/// How long the last messages may take to leave, and the last work on the disk to end.
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
    /// The most bytes that its buffers for pieces ever had together.
    pub peak_buffer_bytes: u64,
}

/// Runs this rank's part of a job to its end.
///
/// # Panics
///
/// Panics where the transport has one rank and a dedicated tracker is asked for: the command line
/// refuses that.
pub fn run(job: Job, transport: &mut dyn Transport, observer: &mut dyn Observer) -> Ended {
    limits::raise_open_files();
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
    /// Whether a rank was lost before the end.
    lost: bool,
    closing: Closing,
    /// What the user is to know in the end of what could not be kept as it was.
    unkept: Vec<Notice>,
    advice: Advice,
    next_tick: Instant,
    next_progress: Instant,
    /// Bytes of pieces that came or were sent off since the loop looked last.
    moved_bytes: u64,
}

/// Whether the store, or a destination without one, was left in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    Begun,
    Closed,
}

impl<'a> Node<'a> {
    fn new(job: Job, transport: &'a mut dyn Transport, observer: &'a mut dyn Observer) -> Self {
        let (rank, ranks) = (transport.rank(), transport.size());
        let colocated = job.tracker == TrackerPlace::Colocated;
        assert!(colocated || ranks > 1, "a dedicated tracker alone has nobody to track");
        let tracks = rank == Rank::TRACKER;
        let config = tracker::config(&job, rank, ranks);
        let tracker = tracks.then(|| Tracker::new(config, Instant::ZERO));
        let is_peer = colocated || !tracks;
        Self {
            rank,
            began: job.began,
            tracker,
            peer: is_peer.then(|| peer::new(&job, rank, ranks, Instant::ZERO)),
            preparation: is_peer.then(|| Preparation::start(job.clone())),
            inventory: None,
            disk: None,
            pool: Pool::bounded(job.memory),
            own: VecDeque::new(),
            sending: BTreeSet::new(),
            ended: None,
            lost: false,
            unkept: Vec::new(),
            closing: if is_peer { Closing::Open } else { Closing::Closed },
            advice: Advice::default(),
            next_tick: Instant::ZERO,
            next_progress: Instant::ZERO,
            moved_bytes: 0,
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
            for envelope in std::mem::take(&mut self.own) {
                self.on_envelope(self.rank, envelope);
            }
            busy |= self.take_results();
            busy |= self.take_preparation();
            self.hear_interrupt();
            self.keep_time();
            self.disk.iter_mut().for_each(Disk::hand_over);
            idle.moved(std::mem::take(&mut self.moved_bytes));
            if busy || !self.own.is_empty() {
                idle.reset();
            } else {
                let drained = self.transport.is_drained();
                idle.wait(self.disk.as_ref().map(Disk::done), drained);
            }
        }
        let mut ended = self.ended.expect("the loop ends with an end");
        ended.is_tracker = self.tracker.is_some();
        ended.peak_buffer_bytes = self.pool.peak_bytes();
        // FINISH was said before whoever was lost since.
        ended.lost |= self.lost || self.tracker.as_ref().is_some_and(Tracker::has_lost);
        self.drain(ended);
        ended
    }

    fn is_over(&self) -> bool {
        self.ended.is_some() && self.tracker.as_ref().is_none_or(Tracker::has_ended)
    }

    /// Lets the last messages leave, but for a lost rank's, which might never; and leaves the
    /// destination in order where nobody told this rank to: its tracker is lost, or gave it up.
    fn drain(&mut self, ended: Ended) {
        let until = self.now() + DRAIN;
        let mut idle = Idle::default();
        while !(self.settle() && (ended.lost || self.transport.is_drained())) && self.now() < until
        {
            self.transport.poll(&mut Vec::new());
            idle.wait(self.disk.as_ref().map(Disk::done), false);
        }
    }

    /// Goes on with closing; says whether it is over.
    fn settle(&mut self) -> bool {
        while let Some(outcome) = self.disk.as_mut().and_then(Disk::next) {
            if matches!(outcome, disk::Outcome::Closed(..)) {
                self.closing = Closing::Closed;
            }
        }
        if let Some(Prepared::Abandoned) = self.preparation.as_ref().and_then(Preparation::next) {
            self.closing = Closing::Closed;
        }
        // What is being written is not to be cleared away.
        if self.closing == Closing::Open && !self.disk.as_ref().is_some_and(Disk::is_busy) {
            self.close(Outcome::Failed);
        }
        self.closing == Closing::Closed
    }

    /// A signal came: to the peer first, so that a tracker beside it hears what that says.
    fn hear_interrupt(&mut self) {
        let Some(signal) = self.job.interrupt.take() else { return };
        tracing::info!(signal = signal.name(), "this rank is to stop");
        let why = format!("interrupted by {}", signal.name());
        self.peer_event(PeerEvent::Interrupt(why.clone()));
        self.tracker_event(TrackerEvent::Interrupt(why));
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

    fn on_arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Message { from, channel, bytes } => match Envelope::decode(channel, &bytes) {
                Ok(envelope) => self.on_envelope(from, envelope),
                Err(error) => tracing::warn!(%from, %channel, %error, "a message is dropped"),
            },
            Arrival::PieceReceived { ticket, buffer } => {
                let transfer = TransferId(ticket.0);
                let len = buffer.len() as u32;
                self.moved_bytes += u64::from(len);
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
                self.lost |= self.ended.is_none();
                self.tracker_event(TrackerEvent::Lost(rank));
                self.peer_event(PeerEvent::Lost(rank));
            }
        }
    }

    fn on_envelope(&mut self, from: Rank, envelope: Envelope) {
        let channel = envelope.message.channel();
        tracing::debug!("{channel} {from} -> {}: {}", self.rank, envelope.message);
        self.depose(&envelope);
        match envelope.message {
            Message::ToTracker(message) if self.tracker.is_some() => {
                if let ToTracker::Hello(hello) = &message {
                    self.advice.met(&hello.host);
                }
                self.tracker_event(TrackerEvent::Message { from, message });
            }
            _ => self.peer_event(PeerEvent::Message { from, envelope }),
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
}
