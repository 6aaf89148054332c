//! A peer: it offers what it has, fetches what it wants, and serves what it has fetched.
//!
//! The life of a peer: it says INIT (*opening*); with START its two roles begin (*active*): the
//! download role asks the tracker for holders and holders for batches of pieces, the upload role
//! answers requests, both at once. When all that it wanted is there, or cannot be had, it says STOP
//! and goes on serving (*stopped*), until FINISH ends the upload role too (*closing*); it tells its
//! counters and waits for END.
//!
//! The peer never sees the bytes of a piece. It says what is to be received, verified, written,
//! read and sent; its driver does so and says how it went.

mod config;
mod download;
mod entries;
mod event;
mod interrupt;
mod opening;
mod pieces;
mod session;
mod succession;
mod upload;

pub use crate::schedule::Limits;
pub use config::PeerConfig;
pub use entries::Inspected;
pub use event::{Fault, Offered, PeerAction, PeerEvent, Salvaged, Stored, Surveyed, TransferId};

use crate::message::{
    Between, Envelope, Epoch, FromTracker, Gains, Hello, Message, ToTracker, cut,
};
use crate::shelf::Shelf;
use crate::time::asleep;
use crate::{Held, Instant, Outcome, Rank};
use content::{Bitfield, Catalogue};
use opening::{Opening, asks};
use session::Session;
use std::sync::Arc;
use succession::{Loyalty, Told};

/// Where in its life a peer is.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most of a peer's life is spent in the large one")]
enum Phase {
    Opening(Box<Opening>),
    /// From START to FINISH. It lies in the peer itself: whoever has many peers at hand, as a
    /// simulator, finds it without another look into memory.
    Active(Session),
    /// FINISH was said; waits for what is in flight, then for the disk, then for END.
    Closing {
        session: Option<Box<Session>>,
        outcome: Outcome,
        lost: bool,
        step: Step,
    },
    Exited,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Draining,
    Cleaning,
    Counted,
}

/// A peer's state machine.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    phase: Phase,
    loyalty: Loyalty,
    told: Told,
    /// The parts of the catalogue, where it came in such.
    shelf: Shelf,
    last_tick: Instant,
    /// The signal that told this rank to stop.
    interrupted: Option<String>,
}

impl Peer {
    /// A peer that waits for [`PeerEvent::Hello`].
    pub fn new(config: PeerConfig, now: Instant) -> Self {
        let loyalty = Loyalty::new(&config, now);
        Self {
            config,
            phase: Phase::Opening(Box::default()),
            loyalty,
            told: Told::default(),
            shelf: Shelf::default(),
            last_tick: now,
            interrupted: None,
        }
    }

    /// The epoch that it obeys.
    pub fn epoch(&self) -> Epoch {
        self.loyalty.epoch()
    }

    /// Whether the process may exit.
    pub fn has_exited(&self) -> bool {
        matches!(self.phase, Phase::Exited)
    }

    /// Takes an event, and says what is to be done about it.
    pub fn handle(&mut self, now: Instant, event: PeerEvent) -> Vec<PeerAction> {
        let mut actions = Vec::new();
        self.handle_into(now, event, &mut actions);
        actions
    }

    /// As [`Self::handle`], into an empty list: a driver of many events need not make one for each.
    pub fn handle_into(&mut self, now: Instant, event: PeerEvent, actions: &mut Vec<PeerAction>) {
        if let Some(session) = self.session_mut() {
            session.keep_time(now, actions);
        }
        match event {
            PeerEvent::Message { from, envelope } => {
                self.on_message(now, from, envelope, actions);
            }
            PeerEvent::Tick => self.on_tick(now, actions),
            PeerEvent::Hello(hello) => self.on_hello(*hello, actions),
            PeerEvent::Trouble(sentence) => self.trouble(sentence, actions),
            PeerEvent::LeftOut(left) => {
                if let Phase::Opening(opening) = &mut self.phase {
                    opening.left_out = left;
                }
            }
            PeerEvent::Offered(offered) => self.on_offered(offered, actions),
            PeerEvent::PiecesRead(read) => self.on_pieces_read(read, actions),
            PeerEvent::Unread(unread) => self.on_unread(unread, actions),
            PeerEvent::Closed => self.on_closed(actions),
            PeerEvent::Interrupt(why) => self.on_interrupt(why, actions),
            PeerEvent::Lost(rank) => self.learn_lost(now, rank, actions),
            event => {
                if let Some(session) = self.session_mut() {
                    session.handle(now, event, actions);
                }
            }
        }
        self.advance(now, actions);
        let tracker = self.config.tracker;
        if actions
            .iter()
            .any(|action| matches!(action, PeerAction::Send { to, .. } if *to == tracker))
        {
            self.loyalty.said = now;
        }
    }

    fn session(&self) -> Option<&Session> {
        match &self.phase {
            Phase::Active(session) => Some(session),
            Phase::Closing { session, .. } => session.as_deref(),
            Phase::Opening(_) | Phase::Exited => None,
        }
    }

    fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.phase {
            Phase::Active(session) => Some(session),
            Phase::Closing { session, .. } => session.as_deref_mut(),
            Phase::Opening(_) | Phase::Exited => None,
        }
    }

    fn to_tracker(&self, message: ToTracker, actions: &mut Vec<PeerAction>) {
        actions.push(PeerAction::Send {
            to: self.config.tracker,
            message: Message::ToTracker(message),
        });
    }

    fn trouble(&mut self, sentence: String, actions: &mut Vec<PeerAction>) {
        let sentence = cut(sentence, ToTracker::MAX_SENTENCE_LEN);
        self.told.trouble = Some(sentence.clone());
        self.to_tracker(ToTracker::Trouble(sentence), actions);
    }

    fn on_hello(&mut self, hello: Hello, actions: &mut Vec<PeerAction>) {
        if let Phase::Opening(opening) = &mut self.phase {
            opening.shares = hello.shares.len() as u32;
        }
        match hello.messages() {
            Ok(messages) => {
                self.told.hello.clone_from(&messages);
                messages.into_iter().for_each(|it| self.to_tracker(it, actions));
            }
            Err(sentence) => self.trouble(sentence, actions),
        }
    }

    /// Whether a rank is another one of this job.
    fn is_other(&self, rank: Rank) -> bool {
        rank != self.config.rank && rank.0 < self.config.ranks
    }

    fn on_message(
        &mut self,
        now: Instant,
        from: Rank,
        envelope: Envelope,
        actions: &mut Vec<PeerAction>,
    ) {
        if from.0 >= self.config.ranks {
            return;
        }
        // Whatever is said in a higher epoch tells of its tracker.
        if self.loyalty.yields_to(envelope.epoch) {
            self.adopt(now, envelope.epoch, actions);
        }
        match envelope.message {
            Message::FromTracker(message) if self.loyalty.obeys(from, envelope.epoch) => {
                self.loyalty.hear(now);
                self.on_tracker(now, message, actions);
            }
            Message::FromTracker(_) if from != self.config.rank => {
                let message = Message::Between(Between::Unseated);
                actions.push(PeerAction::Send { to: from, message });
            }
            Message::Between(Between::Unseated) => self.on_unseated(now, actions),
            Message::Between(Between::Succeed { epoch, certain }) => {
                self.on_succeed(now, epoch, certain, actions);
            }
            // Between peers it does not matter whom each obeys: what was asked is answered.
            Message::Between(Between::AskPart(hash)) if self.is_other(from) => {
                self.on_ask_part(from, hash, actions);
            }
            Message::Between(Between::Part { hash, entries }) if self.is_other(from) => {
                self.on_part(now, Some(from), hash, entries, actions);
            }
            Message::Between(message) if self.is_other(from) => {
                if let Some(session) = self.session_mut() {
                    session.on_peer(now, from, message, actions);
                } else if let (Phase::Opening(opening), true) = (&mut self.phase, asks(&message)) {
                    // The asker had START before this rank did.
                    opening.on_request(from, message);
                }
            }
            // A peer that says what only a tracker may, or a rank that is none: not obeyed.
            Message::FromTracker(_) | Message::Between(_) | Message::ToTracker(_) => {}
        }
    }

    fn on_tracker(&mut self, now: Instant, message: FromTracker, actions: &mut Vec<PeerAction>) {
        match (message, &mut self.phase) {
            (_, Phase::Exited) => {}
            (FromTracker::Lost(rank), _) => self.learn_lost(now, rank, actions),
            (FromTracker::Recite, _) => self.recite(actions),
            (FromTracker::GivenUp, _) => self.loyalty.dismiss(now),
            // A rank was lost after all had stopped: FINISH is said again.
            (FromTracker::Finish { outcome, lost }, Phase::Closing { outcome: o, lost: l, .. }) => {
                (*o, *l) = (outcome, lost);
            }
            (FromTracker::Finish { outcome, lost }, phase) => {
                let session = match std::mem::replace(phase, Phase::Exited) {
                    Phase::Active(mut session) => {
                        session.finish_early(actions);
                        Some(Box::new(session))
                    }
                    _ => None,
                };
                *phase = Phase::Closing { session, outcome, lost, step: Step::Draining };
            }
            (FromTracker::End, Phase::Closing { outcome, lost, .. }) => {
                actions.push(PeerAction::Exit { outcome: *outcome, lost: *lost });
                self.phase = Phase::Exited;
            }
            (FromTracker::Read { positions, last }, Phase::Opening(opening)) => {
                if let Some(positions) = opening.on_read(&positions, last) {
                    self.told.read = Some(positions.clone());
                    actions.push(PeerAction::Prepare(positions));
                }
            }
            (FromTracker::Walk { positions, last }, Phase::Opening(opening)) => {
                if let Some(positions) = opening.on_read(&positions, last) {
                    opening.reading.walked = true;
                    self.told.read = Some(positions.clone());
                    actions.push(PeerAction::Walk(positions));
                }
            }
            (FromTracker::ReadOrders(orders), Phase::Opening(opening)) => {
                if opening.reading.walked {
                    Self::on_read_orders(orders, actions);
                }
            }
            (FromTracker::Part { hash, entries }, _) => {
                self.on_part(now, None, hash, Some(entries), actions);
            }
            (message, Phase::Opening(opening)) => {
                if opening.on_tracker(message).is_some() {
                    self.fetch_catalogue(now, actions);
                }
            }
            (message, Phase::Active(session)) => session.on_tracker(now, message, actions),
            (_, Phase::Closing { .. }) => {}
        }
    }

    /// START is complete: both roles begin.
    fn begin(&mut self, now: Instant, admitted: bool, actions: &mut Vec<PeerAction>) {
        let Phase::Opening(opening) = &mut self.phase else { unreachable!("START comes once") };
        let Some((catalogue, wanted, shelf)) = opening.catalogue() else {
            let sentence = "START did not arrive whole: a fault of the tracker";
            return self.trouble(sentence.to_owned(), actions);
        };
        let mut offered = std::mem::take(&mut opening.offered);
        let kept = opening.reading.end();
        if opening.reading.walked {
            // Of the source this rank has what it read, and not what it only looked through.
            offered.retain(|offered| {
                let file = offered.offer.entry.file();
                let is_known = file.is_none_or(|content| content.root.is_some());
                is_known && !kept.names(&offered.offer.entry.name)
            });
            offered.extend(kept.offered.iter().cloned());
            actions.push(PeerAction::Keep(kept.offered.clone()));
        }
        let mut neighbours = std::mem::take(&mut opening.neighbours);
        let (own, ranks) = (self.config.rank, self.config.ranks);
        neighbours.retain(|&rank| rank != own && rank.0 < ranks);
        let topology = *std::mem::take(&mut opening.topology);
        let early = std::mem::take(&mut opening.early);
        let early_updates = opening.updates;
        let liars = std::mem::take(&mut opening.fetch.liars);
        self.shelf = shelf;
        self.told.own = shared_here(&offered, &catalogue);
        self.told.began = Some(now);
        actions.push(PeerAction::Begin {
            catalogue: Arc::clone(&catalogue),
            wanted: wanted.clone(),
            origins: std::mem::take(&mut opening.origins),
        });
        let fresh = kept.fresh(&catalogue);
        let mut session =
            Session::new(self.config.clone(), now, catalogue, wanted, offered, admitted);
        session.updates = early_updates;
        session.fresh = fresh;
        session.begin(now, &neighbours, topology, actions);
        liars.into_iter().for_each(|rank| session.punish(rank, actions));
        for rank in early.lost {
            session.on_lost(rank, actions);
        }
        for (from, message) in early.requests {
            session.on_peer(now, from, message, actions);
        }
        session.on_read_again(now, early.again, actions);
        if let Some(number) = early.settle {
            session.on_settle(number, actions);
        }
        if let Some(why) = &self.interrupted {
            session.leave(why, actions);
        }
        self.phase = Phase::Active(session);
    }

    fn on_offered(&mut self, offered: Vec<Offered>, actions: &mut Vec<PeerAction>) {
        let Phase::Opening(opening) = &mut self.phase else { return };
        let messages = opening.offer(offered);
        for message in messages {
            self.to_tracker(message, actions);
        }
    }

    fn on_tick(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        let slept = asleep(self.last_tick, now, self.config.patience);
        self.loyalty.excuse(now, slept);
        self.last_tick = now;
        if let Phase::Active(session) = &mut self.phase {
            session.on_tick(now, actions);
        }
        self.watch_sources(now, actions);
        if self.has_exited() {
            return;
        }
        if self.loyalty.wants_probe(now) {
            self.probe(actions);
        }
        self.watch_tracker(now, actions);
    }

    /// Gives the tracker a sign of life, and asks for one.
    fn probe(&mut self, actions: &mut Vec<PeerAction>) {
        match &mut self.phase {
            Phase::Opening(opening) => {
                opening.updates += 1;
                self.to_tracker(ToTracker::Update(Gains::default()), actions);
            }
            Phase::Active(session) => session.sign_of_life(actions),
            // Cleaning up may take its time, and END waits for the slowest rank.
            Phase::Closing { .. } => {
                self.to_tracker(ToTracker::Update(Gains::default()), actions);
            }
            Phase::Exited => {}
        }
    }

    /// A rank is gone for good, for whatever this peer does.
    fn on_lost(&mut self, now: Instant, rank: Rank, actions: &mut Vec<PeerAction>) {
        if !self.is_other(rank) {
            return;
        }
        match &mut self.phase {
            Phase::Opening(opening) => {
                opening.on_lost(now, rank);
                self.ask_parts(actions);
            }
            Phase::Active(session) => session.on_lost(rank, actions),
            // What is on its way to it must not be waited for.
            Phase::Closing { session: Some(session), .. } => session.on_lost(rank, actions),
            Phase::Closing { session: None, .. } | Phase::Exited => {}
        }
    }

    fn on_closed(&mut self, actions: &mut Vec<PeerAction>) {
        let Phase::Closing { session, step, .. } = &mut self.phase else { return };
        *step = Step::Counted;
        let counters = session.as_ref().map(|session| session.counters()).unwrap_or_default();
        self.to_tracker(ToTracker::Counters(counters), actions);
    }

    /// Moves on once nothing holds this phase back.
    fn advance(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        match &mut self.phase {
            Phase::Active(session) => session.advance(now, actions),
            Phase::Closing { session, outcome, step, .. } if *step == Step::Draining => {
                if session.as_ref().is_none_or(|session| session.is_drained()) {
                    *step = Step::Cleaning;
                    if let Some(session) = session {
                        session.close();
                    }
                    actions.push(PeerAction::Close(*outcome));
                }
            }
            Phase::Opening(_) | Phase::Closing { .. } | Phase::Exited => {}
        }
    }

    /// What must hold after every event; for tests and the simulator.
    ///
    /// # Panics
    ///
    /// Panics where it does not.
    pub fn check_invariants(&self) {
        if let Phase::Active(session) = &self.phase {
            session.check_invariants();
        }
    }
}

/// The entries of the catalogue that this rank shares itself.
fn shared_here(offered: &[Offered], catalogue: &Catalogue) -> Bitfield {
    let mut own = Bitfield::new(catalogue.entry_count());
    let is_shared = |offered: &&Offered| !matches!(offered.offer.held, Held::Pieces(_));
    for offered in offered.iter().filter(is_shared) {
        if let Some(entry) = catalogue.find(&offered.offer.entry.name) {
            own.insert(entry.0);
        }
    }
    own
}

#[cfg(test)]
mod tests;
