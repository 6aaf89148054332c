//! The tracker: it knows which files exist and who holds which pieces.
//!
//! Its life has four phases. *Gathering*: every peer says INIT. *Serving*: START has gone out;
//! questions are answered and updates taken until every download role has said STOP. *Collecting*:
//! FINISH has gone out; the peers' counters come in. *Ended*: the report is made, END is said. A
//! refused job goes from gathering straight to collecting. A peer that is lost counts, everywhere,
//! as one that need not be waited for.
//!
//! The tracker never sees a piece, never blocks, and keeps nothing on disk: all it knows, peers can
//! say again. They do where it is lost and another rank takes over.

mod answer;
mod event;
mod gather;
mod interrupt;
mod job;
mod left_out;
mod leftovers;
mod member;
mod nearness;
mod nesting;
mod places;
mod racks;
mod reading;
mod rejoin;
mod report;
mod resolve;
mod spread;
mod unequal;
mod unmatched;
mod watch;

pub use crate::Succession;
pub use crate::shelf::Spread;
pub use event::{TrackerAction, TrackerEvent};

use crate::message::{Epoch, FromTracker, ToTracker};
use crate::random::Random;
use crate::report::{LeftAlone, Outcome, Report};
use crate::{Instant, Purpose, Rank, Reason, Sweep};
use interrupt::Interruption;
use job::Job;
use member::{Member, RollCall, Serving, Standing};
use racks::RackLearning;
use reading::{Reading, Source};
use rejoin::Roster;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a tracker is told when it begins.
#[derive(Debug, Clone, Copy)]
pub struct TrackerConfig {
    /// The rank it runs on.
    pub rank: Rank,
    /// How many ranks the job has.
    pub ranks: u32,
    /// Whether rank 0 is a peer, besides being the first to track. All others are.
    pub colocated: bool,
    /// A rank silent for so long is lost.
    pub patience: Duration,
    /// Bytes that each rank may use for pieces, where that is bounded.
    pub memory: Option<u64>,
    /// Where what the catalogue lacks is removed, if it is.
    pub sweep: Option<Sweep>,
    /// What the job is for.
    pub purpose: Purpose,
    /// How the catalogue reaches the peers.
    pub spread: Spread,
    /// The seed of its choices.
    pub seed: u64,
}

/// The phase a tracker is in.
#[derive(Debug)]
enum Phase {
    Gathering,
    Serving(Box<Job>),
    Collecting { job: Option<Box<Job>>, outcome: Outcome, reasons: Vec<Reason>, finished: Instant },
    Ended,
}

/// The tracker's state machine.
#[derive(Debug)]
pub struct Tracker {
    config: TrackerConfig,
    phase: Phase,
    /// A row a rank; a dedicated tracker's own is there but is no peer.
    members: Vec<Member>,
    random: Random,
    messages: u64,
    started: Option<Instant>,
    last_event: Instant,
    next_look: Instant,
    /// This rank slept, and may have been deposed meanwhile: nothing is concluded before this.
    not_before: Instant,
    greeted: RollCall,
    roll: RollCall,
    /// What is read before START of a source that all ranks see, and what came of it.
    reading: Option<Box<Reading>>,
    source: Option<Box<Source>>,
    /// Whether the sources of a cast were given to readers.
    readers_named: bool,
    interruption: Option<Interruption>,
    /// The numbers of hosts.
    hosts: BTreeMap<String, u32>,
    /// The numbers of racks; ranks that name none count as those of one rack.
    racks: BTreeMap<Option<String>, u32>,
    /// What ranks see of racks that nobody told of.
    learning: RackLearning,
    /// Who has said INIT again, where it took over and some ranks have not.
    roster: Option<Box<Roster>>,
}

/// How far the job is, over all peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Bytes that all peers want together; 0 before START.
    pub bytes_wanted: u64,
    /// Of those, bytes that are there and verified.
    pub bytes_have: u64,
    /// Peers that have not been lost.
    pub peers: u32,
    /// Peers that have stopped.
    pub peers_done: u32,
    /// Whether START has gone out.
    pub started: bool,
    /// Whether all have stopped.
    pub finishing: bool,
}

impl Tracker {
    /// Begins to wait for every peer's INIT.
    pub fn new(config: TrackerConfig, now: Instant) -> Self {
        let standing = |rank| match config.colocated || Rank(rank) != Rank::TRACKER {
            true => Standing::Live,
            false => Standing::NoPeer,
        };
        let members = (0..config.ranks).map(|rank| Member::new(standing(rank), now)).collect();
        let random = Random::new(config.seed);
        Self {
            config,
            phase: Phase::Gathering,
            members,
            random,
            messages: 0,
            started: None,
            last_event: now,
            next_look: now,
            not_before: now,
            greeted: RollCall::default(),
            roll: RollCall::default(),
            reading: None,
            source: None,
            readers_named: false,
            interruption: None,
            hosts: BTreeMap::new(),
            racks: BTreeMap::new(),
            learning: RackLearning::default(),
            roster: None,
        }
    }

    /// The epoch in which it reigns.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.config.rank.0)
    }

    /// Whether END has been said.
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Whether a rank was lost, or may be.
    pub fn has_lost(&self) -> bool {
        self.members.iter().any(Member::is_lost)
            || self.interruption.as_ref().is_some_and(Interruption::gave_up)
    }

    /// Takes an event, and says what is to be done about it.
    pub fn handle(&mut self, now: Instant, event: TrackerEvent) -> Vec<TrackerAction> {
        let mut actions = Vec::new();
        self.excuse_own_sleep(now, &mut actions);
        match event {
            TrackerEvent::Message { from, message } => {
                self.on_message(now, from, message, &mut actions);
            }
            TrackerEvent::Trouble(sentence) => {
                self.on_trouble(now, self.config.rank, &sentence, &mut actions);
            }
            TrackerEvent::Lost(rank) => self.on_lost(now, rank, "it died", &mut actions),
            TrackerEvent::Interrupt(why) => self.on_interrupt(now, &why, &mut actions),
            TrackerEvent::Tick => self.on_tick(now, &mut actions),
        }
        self.advance(now, &mut actions);
        self.count_sent(&actions);
        actions
    }

    fn count_sent(&mut self, actions: &[TrackerAction]) {
        let sent = |action: &&TrackerAction| matches!(action, TrackerAction::Send { .. });
        self.messages += actions.iter().filter(sent).count() as u64;
    }

    /// How far the job is.
    pub fn tally(&self) -> Tally {
        let live = || self.members.iter().filter(|member| member.is_live());
        let serving = || self.members.iter().filter_map(Member::serving);
        Tally {
            bytes_wanted: serving().map(Serving::wanted_bytes).sum(),
            bytes_have: serving().map(Serving::have_bytes).sum(),
            peers: live().count() as u32,
            peers_done: live().filter(|member| member.has_stopped()).count() as u32,
            started: self.started.is_some(),
            finishing: matches!(self.phase, Phase::Collecting { .. } | Phase::Ended),
        }
    }

    fn on_message(
        &mut self,
        now: Instant,
        from: Rank,
        message: ToTracker,
        actions: &mut Vec<TrackerAction>,
    ) {
        self.messages += 1;
        let Some(member) = self.members.get_mut(from.index()) else { return };
        match member.standing() {
            Standing::NoPeer => return,
            Standing::Lost { .. } => return self.dismiss(from, actions),
            Standing::Live => member.hear(now),
        }
        if member.has_joined() {
            self.take(now, from, message, actions);
        } else {
            self.welcome(now, from, message, actions);
        }
    }

    /// Takes a message of a live rank.
    fn take(
        &mut self,
        now: Instant,
        from: Rank,
        message: ToTracker,
        actions: &mut Vec<TrackerAction>,
    ) {
        let member = &mut self.members[from.index()];
        match message {
            ToTracker::HelloPart(part) => {
                let taken = member.take_part(part);
                self.refuse_over(now, from, taken, actions);
            }
            ToTracker::Hello(hello) => {
                let taken = member.take_hello(*hello);
                self.refuse_over(now, from, taken, actions);
            }
            ToTracker::Offers(offers) => {
                let taken = member.take_offers(offers);
                self.refuse_over(now, from, taken, actions);
            }
            ToTracker::Unsteady(entries) => {
                let taken = member.take_unsteady(entries);
                self.refuse_over(now, from, taken, actions);
            }
            ToTracker::LeftOut(left) => {
                let taken = member.take_left_out(left);
                self.refuse_over(now, from, taken, actions);
            }
            ToTracker::Introduced => drop(member.introduce()),
            ToTracker::PiecesRead(read) => self.on_pieces_read(now, from, read, actions),
            ToTracker::Unread(unread) => self.on_unread(now, from, &unread, actions),
            ToTracker::Trouble(sentence) => self.on_trouble(now, from, &sentence, actions),
            ToTracker::Surveyed { need_bytes } => {
                if let Some(serving) = member.serving_mut() {
                    serving.take_survey(need_bytes);
                }
                self.admit(actions);
            }
            ToTracker::Ask { question, first, count } => {
                self.answer(from, question, first, count, actions);
            }
            ToTracker::AskPart(hash) => self.on_ask_part(from, hash, actions),
            ToTracker::Shun(rank) => self.on_shun(from, rank),
            ToTracker::Settled(number) => self.on_settled(from, number),
            ToTracker::Rates(rates) => self.on_rates(from, rates),
            // A download role stops once, and a peer counts once all have stopped.
            ToTracker::Stop(stop) => {
                if let Some(serving) = member.serving_mut() {
                    serving.take_stop(now, stop);
                }
                self.admit(actions);
            }
            ToTracker::Update(gains) => {
                member.count_update();
                if gains.is_empty() {
                    actions.push(TrackerAction::Send { to: from, message: FromTracker::Alive });
                }
                self.take_gains(from, &gains);
            }
            ToTracker::Counters(counters) => {
                let finished = member.serving().is_some_and(Serving::is_finished);
                if matches!(self.phase, Phase::Collecting { .. }) || finished {
                    member.take_counters(counters);
                }
            }
            ToTracker::Interrupted(why) => member.interrupt(why),
            // Nobody asked for them.
            ToTracker::Recall(_)
            | ToTracker::Rejoined(_)
            | ToTracker::Entries(_)
            | ToTracker::Recited => {}
        }
    }

    /// What a rank said of itself was more than one rank may say, or nonsense.
    fn refuse_over(
        &mut self,
        now: Instant,
        from: Rank,
        taken: Result<(), String>,
        actions: &mut Vec<TrackerAction>,
    ) {
        if let Err(sentence) = taken {
            self.on_trouble(now, from, &sentence, actions);
        }
    }

    /// A rank cannot carry out its orders: there will be no job, or none with it.
    fn on_trouble(
        &mut self,
        now: Instant,
        rank: Rank,
        sentence: &str,
        actions: &mut Vec<TrackerAction>,
    ) {
        match self.phase {
            Phase::Gathering => {
                self.refuse(now, vec![Reason::Told(format!("rank {rank}: {sentence}"))], actions);
            }
            Phase::Serving(_) => self.on_lost(now, rank, sentence, actions),
            Phase::Collecting { .. } | Phase::Ended => {}
        }
    }

    /// Moves to the next phase once nothing holds it back.
    fn advance(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) {
        if now < self.not_before {
            return;
        }
        self.complete_roster(actions);
        match &self.phase {
            Phase::Gathering => {
                if self.greeted.all(&self.members, |member| member.hello().is_some()) {
                    self.name_readers(actions);
                }
                if self.roll.all(&self.members, Member::is_introduced)
                    && self.has_read_source(now, actions)
                {
                    self.start(now, actions);
                }
            }
            Phase::Serving(_) => {
                if self.roll.all(&self.members, Member::has_stopped) {
                    self.finish(now, actions);
                }
            }
            Phase::Collecting { .. } => {
                if self.roll.all(&self.members, |member| member.counters().is_some()) {
                    self.end(actions);
                }
            }
            Phase::Ended => {}
        }
    }

    /// Ends the job before it began, with the reasons why.
    fn refuse(&mut self, now: Instant, reasons: Vec<Reason>, actions: &mut Vec<TrackerAction>) {
        self.conclude(now, Outcome::Refused, reasons, actions);
    }

    /// Everybody has stopped: says FINISH with what came out.
    fn finish(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) {
        let Phase::Serving(job) = &self.phase else { unreachable!("only a served job finishes") };
        let (outcome, reasons) = report::judge(self.config.purpose, job, &self.members);
        self.conclude(now, outcome, reasons, actions);
    }

    fn conclude(
        &mut self,
        now: Instant,
        outcome: Outcome,
        reasons: Vec<Reason>,
        actions: &mut Vec<TrackerAction>,
    ) {
        let job = match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Serving(job) => Some(job),
            _ => None,
        };
        self.phase = Phase::Collecting { job, outcome, reasons, finished: now };
        self.roll = RollCall::default();
        let lost = self.has_lost();
        self.tell_live(&FromTracker::Finish { outcome, lost }, actions);
    }

    /// All counters are in, or need not be waited for: makes the report and says END.
    fn end(&mut self, actions: &mut Vec<TrackerAction>) {
        if self.is_unreported() {
            self.judge_again(actions);
            actions.push(TrackerAction::Report(Box::new(self.report())));
        }
        self.phase = Phase::Ended;
        for to in self.peers() {
            if self.members[to.index()].is_live() {
                actions.push(TrackerAction::Send { to, message: FromTracker::End });
            } else {
                // Whoever was given up, and woke or wakes, waits for this, too.
                self.dismiss(to, actions);
            }
        }
    }

    /// The truth as it is known now.
    fn report(&self) -> Report {
        let Phase::Collecting { job, outcome, reasons, finished } = &self.phase else {
            unreachable!("only while collecting")
        };
        let ends = self.peers().count() as u64;
        let why = (*outcome, reasons.clone());
        let mut report = report::make(
            self.config.purpose,
            &self.members,
            job.as_deref(),
            why,
            self.started,
            *finished,
        );
        report.tracker = self.config.rank;
        report.tracker_messages = self.messages + ends;
        report.source = self.source.as_deref().map(Source::read);
        // Where all is complete, what the catalogue lacks was removed, and this with it.
        if self.config.sweep.is_some() && *outcome == Outcome::Complete {
            report.left_alone = LeftAlone::default();
        }
        report
    }

    fn peers(&self) -> impl Iterator<Item = Rank> + '_ {
        let peers = self.members.iter().zip(0..);
        peers.filter(|(m, _)| *m.standing() != Standing::NoPeer).map(|(_, rank)| Rank(rank))
    }

    /// What must hold after every event; for tests and the simulator.
    ///
    /// # Panics
    ///
    /// Panics where it does not.
    pub fn check_invariants(&self) {
        if let Phase::Serving(job) = &self.phase {
            job.check_invariants(&self.members);
        }
    }

    fn tell_live(&self, message: &FromTracker, actions: &mut Vec<TrackerAction>) {
        let live =
            (0..self.config.ranks).map(Rank).filter(|rank| self.members[rank.index()].is_live());
        actions.extend(live.map(|to| TrackerAction::Send { to, message: message.clone() }));
    }
}

#[cfg(test)]
mod tests;
