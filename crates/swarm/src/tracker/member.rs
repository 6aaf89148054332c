//! One rank as the tracker sees it: common to all stages of its life is whether it lives, who it
//! is, and how it ends. All else belongs to the stage that it is in. Decides nothing of the job.

mod greeting;
mod offering;
mod rejoining;
mod serving;
mod stage;

pub(super) use offering::Offered;
pub(super) use rejoining::Recollection;
pub(super) use serving::Serving;

use crate::message::{
    Hello, HelloPart, PiecesRead, Recall, Rejoined, SharedFs, Stop, ToTracker, WireOffer,
};
use crate::{Counters, Destination, Instant, LeftOut, Rank};
use content::{Bitfield, Catalogue, Entry, Name, Span};
use greeting::Greeting;
use offering::Offering;
use stage::Stage;
use std::time::Duration;

/// Whether a rank takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// The dedicated tracker's own rank.
    NoPeer,
    Live,
    Lost {
        at: Instant,
        why: String,
    },
}

/// One rank as the tracker sees it.
#[derive(Debug)]
pub(super) struct Member {
    standing: Standing,
    last_heard: Instant,
    greeting: Greeting,
    stage: Stage,
    /// The same number for ranks of one host, once it has said which that is.
    host: u32,
    /// The same number for ranks of one rack, as far as that is known.
    rack: u32,
    /// Updates that came, also those without news.
    updates: u32,
    /// The final counters.
    counters: Option<Counters>,
    /// The signal that told it to stop before it had all, as a sentence.
    interrupted: Option<String>,
}

impl Member {
    /// A rank under the first tracker of a job: it has said nothing yet.
    pub(super) fn new(standing: Standing, now: Instant) -> Self {
        Self {
            standing,
            last_heard: now,
            greeting: Greeting::default(),
            stage: Stage::default(),
            host: 0,
            rack: 0,
            updates: 0,
            counters: None,
            interrupted: None,
        }
    }

    /// A rank under a tracker that took over: it is to say again what it said before.
    pub(super) fn rejoining(now: Instant) -> Self {
        Self { stage: Stage::Rejoining(Box::default()), ..Self::new(Standing::Live, now) }
    }

    pub(super) fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(super) fn is_live(&self) -> bool {
        self.standing == Standing::Live
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self.standing, Standing::Lost { .. })
    }

    /// It is lost: nothing that it has counts any more.
    pub(super) fn lose(&mut self, at: Instant, why: String) {
        self.standing = Standing::Lost { at, why };
        if let Some(serving) = self.serving_mut() {
            serving.take_progress(0);
        }
    }

    /// It gave a sign of life.
    pub(super) fn hear(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// For so long nobody was heard, through no fault of theirs.
    pub(super) fn excuse(&mut self, slept: Duration, now: Instant) {
        self.last_heard = (self.last_heard + slept).min(now);
    }

    pub(super) fn is_silent(&self, now: Instant, patience: Duration) -> bool {
        self.is_live() && now.since(self.last_heard) > patience
    }

    /// The number of its host.
    pub(super) fn host(&self) -> u32 {
        self.host
    }

    /// The number of its rack.
    pub(super) fn rack(&self) -> u32 {
        self.rack
    }

    /// Takes the numbers of its host and its rack.
    pub(super) fn locate(&mut self, host: u32, rack: u32) {
        (self.host, self.rack) = (host, rack);
    }

    /// Takes another number of its rack.
    pub(super) fn move_to(&mut self, rack: u32) {
        self.rack = rack;
    }

    pub(super) fn count_update(&mut self) {
        self.updates += 1;
    }

    /// Whether it has said STOP, and everything that it said before has come.
    pub(super) fn has_stopped(&self) -> bool {
        self.stop().is_some_and(|(_, stop)| self.updates >= stop.updates)
    }

    /// The final counters, once it has told them.
    pub(super) fn counters(&self) -> Option<Counters> {
        self.counters
    }

    pub(super) fn take_counters(&mut self, counters: Counters) {
        self.counters = Some(counters);
    }

    /// Why it was told to stop before it had all.
    pub(super) fn interrupted(&self) -> Option<&str> {
        self.interrupted.as_deref()
    }

    /// It says that it was told to stop.
    pub(super) fn interrupt(&mut self, why: String) {
        self.interrupted = Some(why);
    }

    /// All are told to stop; its own reason goes first.
    pub(super) fn interrupt_with_all(&mut self, why: &str) {
        self.interrupted.get_or_insert_with(|| why.to_owned());
    }
}

/// Who it is.
impl Member {
    pub(super) fn hello(&self) -> Option<&Hello> {
        self.greeting.hello()
    }

    /// Its destination, where it can receive.
    pub(super) fn destination(&self) -> Option<&Destination> {
        self.hello()?.destination.as_ref()?.as_ref().ok()
    }

    /// Why it cannot receive, as far as it knew at INIT.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.hello()?.destination.as_ref()?.as_ref().err().map(String::as_str)
    }

    /// Takes some of what it shares and wants.
    ///
    /// # Errors
    ///
    /// Says that it is more than one rank may say.
    pub(super) fn take_part(&mut self, part: HelloPart) -> Result<(), String> {
        self.greeting.take_part(part)
    }

    /// Takes who it is, once; a second time is out of turn and changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::take_part`].
    pub(super) fn take_hello(&mut self, hello: Hello) -> Result<(), String> {
        self.greeting.take_hello(hello)
    }
}

/// What it offers, until START turns it into holdings. Nothing is taken once it is introduced.
impl Member {
    /// Takes what it says it offers.
    ///
    /// # Errors
    ///
    /// Says what is no offer, or that they are too many.
    pub(super) fn take_offers(&mut self, offers: Vec<WireOffer>) -> Result<(), String> {
        let source = self.hello().map_or(SharedFs::No, |hello| hello.shared_fs);
        self.stage.open_offering().map_or(Ok(()), |it| it.take_offers(offers, source))
    }

    /// Takes the files that it shares and that kept changing while they were hashed.
    ///
    /// # Errors
    ///
    /// Names an entry that has no content; says that they are too many.
    pub(super) fn take_unsteady(&mut self, entries: Vec<Entry>) -> Result<(), String> {
        self.stage.open_offering().map_or(Ok(()), |it| it.take_unsteady(entries))
    }

    /// Takes what lies below its shares and is not shared.
    ///
    /// # Errors
    ///
    /// Says that it is too much.
    pub(super) fn take_left_out(&mut self, left: Vec<LeftOut>) -> Result<(), String> {
        self.stage.open_offering().map_or(Ok(()), |it| it.take_left_out(left))
    }

    /// What it offers, by name.
    pub(super) fn offers(&self) -> impl Iterator<Item = (&Name, &Offered)> {
        self.stage.offering().into_iter().flat_map(Offering::offers)
    }

    /// What it offers under a name.
    pub(super) fn offer(&self, name: &Name) -> Option<&Offered> {
        self.stage.offering()?.offer(name)
    }

    /// Files that it shares and that nobody can have.
    pub(super) fn unsteady(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.stage.offering().into_iter().flat_map(Offering::unsteady)
    }

    /// What lies below its shares and is not shared.
    pub(super) fn left_out(&self) -> &[LeftOut] {
        self.stage.offering().map_or(&[], Offering::left_out)
    }

    /// The positions of the shares that an earlier tracker told it to read, where one did.
    pub(super) fn reads(&self) -> Option<&[Span]> {
        self.stage.offering()?.reads()
    }

    /// Keeps what it tells of the source until all have spoken.
    ///
    /// # Errors
    ///
    /// Says that it is more than one rank may say.
    pub(super) fn keep_told(&mut self, read: Vec<PiecesRead>) -> Result<(), String> {
        self.stage.offering_mut().map_or(Ok(()), |it| it.keep_told(read))
    }

    /// What it told of the source so far.
    pub(super) fn take_told(&mut self) -> Vec<PiecesRead> {
        self.stage.offering_mut().map_or_else(Vec::new, Offering::take_told)
    }

    /// It offers this, in place of what it offered under the same name.
    pub(super) fn put_offer(&mut self, offered: Offered) {
        if let Some(offering) = self.stage.offering_mut() {
            offering.put(offered);
        }
    }

    /// It offers of all only what is `worth` it.
    pub(super) fn retain_offers(&mut self, worth: impl Fn(&Offered) -> bool) {
        if let Some(offering) = self.stage.offering_mut() {
            offering.retain(worth);
        }
    }

    /// It offers nothing any more; gives what it offered.
    pub(super) fn give_up_offers(&mut self) -> Vec<Offered> {
        self.stage.offering_mut().map_or_else(Vec::new, Offering::give_up)
    }
}

/// What it does in a job, once the catalogue is known.
impl Member {
    pub(super) fn serving(&self) -> Option<&Serving> {
        self.stage.serving()
    }

    pub(super) fn serving_mut(&mut self) -> Option<&mut Serving> {
        self.stage.serving_mut()
    }

    /// How it stopped, and when it said so.
    pub(super) fn stop(&self) -> Option<&(Instant, Stop)> {
        self.serving()?.stop()
    }

    /// Whether it is to write anything.
    pub(super) fn writes(&self) -> bool {
        self.serving().is_some_and(|serving| !serving.assigned().is_empty())
    }

    /// Whether it is to write anything, and has not stopped.
    pub(super) fn fetches(&self) -> bool {
        self.writes() && self.stop().is_none()
    }

    /// Whether it holds a piece.
    pub(super) fn holds_any(&self) -> bool {
        self.serving().is_some_and(|serving| !serving.holdings().is_empty())
    }

    /// Whether it holds any of these pieces.
    pub(super) fn holds_any_of(&self, pieces: &Bitfield) -> bool {
        self.serving().is_some_and(|serving| serving.holdings().intersects(pieces))
    }

    /// Whether it is to write this entry.
    pub(super) fn is_to_write(&self, entry: u32) -> bool {
        self.serving().is_some_and(|serving| serving.assigned().get(entry))
    }

    /// Whether it asks a rank no more.
    pub(super) fn shuns(&self, rank: Rank) -> bool {
        self.serving().is_some_and(|serving| serving.shunned().contains(&rank))
    }
}

/// From one stage to the next.
impl Member {
    /// Whether this tracker knows what the rank has to tell: from the beginning under the first
    /// one, else once it has said INIT again.
    pub(super) fn has_joined(&self) -> bool {
        !matches!(self.stage, Stage::Rejoining(_))
    }

    /// Whether it has said all that it offers, and waits for START.
    pub(super) fn is_introduced(&self) -> bool {
        matches!(self.stage, Stage::Introduced(_) | Stage::Latecomer { .. })
    }

    /// Whether it waits for the START of a job that goes on.
    pub(super) fn is_latecomer(&self) -> bool {
        matches!(self.stage, Stage::Latecomer { .. })
    }

    /// It has said all that it offers. Gives what it said before it could be taken.
    pub(super) fn introduce(&mut self) -> Vec<ToTracker> {
        self.greeting.close();
        self.change(Stage::introduce)
    }

    /// The catalogue of a job that goes on is known. Gives what it recalled of that before.
    pub(super) fn open(&mut self, catalogue: &Catalogue) -> Recollection {
        self.change(|stage| stage.open(catalogue))
    }

    /// START is said: it no longer offers, it serves.
    pub(super) fn serve(&mut self, catalogue: &Catalogue) {
        self.change(|stage| (stage.serve(catalogue), ()));
    }

    /// It has recalled what it has and does in a job of which the catalogue is known. Gives what it
    /// said before it could be taken.
    pub(super) fn rejoin(&mut self) -> Vec<ToTracker> {
        self.change(Stage::rejoin)
    }

    /// Keeps what can be taken only once it has rejoined.
    pub(super) fn keep_waiting(&mut self, message: ToTracker) {
        if let Stage::Rejoining(rejoining) = &mut self.stage {
            rejoining.keep_waiting(message);
        }
    }

    /// An earlier tracker told it which of its shares to read.
    pub(super) fn recall_reads(&mut self, reads: &[Span]) {
        if let Stage::Rejoining(rejoining) = &mut self.stage {
            rejoining.recall_reads(reads);
        }
    }

    /// Keeps what it recalls until the catalogue is known.
    pub(super) fn keep_recall(&mut self, recall: Recall) {
        if let Some(recollection) = self.stage.recollection_mut() {
            recollection.keep(recall);
        }
    }

    /// Keeps that it has recalled all, until the catalogue is known.
    pub(super) fn keep_rejoined(&mut self, rejoined: Box<Rejoined>) {
        if let Some(recollection) = self.stage.recollection_mut() {
            recollection.conclude(rejoined);
        }
    }

    /// The digest of its catalogue, where it recalled a job that this tracker has no catalogue of.
    pub(super) fn recalled_catalogue(&self) -> Option<u64> {
        self.stage.recollection()?.catalogue()
    }

    fn change<T>(&mut self, change: impl FnOnce(Stage) -> (Stage, T)) -> T {
        let (stage, given) = change(std::mem::take(&mut self.stage));
        self.stage = stage;
        given
    }
}

/// Who is still waited for. What a phase waits for, once done, stays done, so the call goes on
/// where it stopped and costs nothing a message.
#[derive(Debug, Default)]
pub(super) struct RollCall {
    next: usize,
}

impl RollCall {
    /// Whether all live members have done something.
    pub(super) fn all(&mut self, members: &[Member], done: impl Fn(&Member) -> bool) -> bool {
        let rest = members[self.next..].iter();
        self.next += rest.take_while(|member| !member.is_live() || done(member)).count();
        self.next == members.len()
    }
}
