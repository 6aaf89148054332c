//! Whom a peer obeys, and what it does when that rank is lost.
//!
//! A tracker is lost where the transport says so, or where nothing was heard from it for as long
//! as the patience. The lowest rank above it that is not known to be lost takes over, and its
//! number is the new epoch. A peer that misses its tracker asks that rank to; if that says nothing
//! either, it asks the next, and so on up to itself. Whoever takes over tells everybody, and
//! everybody says INIT again, with all that the lost tracker knew of it. Until then each goes on
//! with what it knows.
//!
//! A rank below the epoch was given up: the first rank that misses the tracker, and takes over
//! itself, has asked all below it in vain.

use super::session::Session;
use super::{Peer, PeerAction, PeerConfig, Phase, Step};
use crate::message::{Between, Epoch, Message, Recall, Rejoined, Stop, ToTracker, cut, parts};
use crate::{Instant, Outcome, Rank, Succession};
use content::{Bitfield, Span};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Duration;

/// A rank that was given up waits so many patiences for a word from the tracker before it leaves:
/// whoever leaves before the job ends may have the launcher end it.
const LINGERS: u32 = 8;

/// What a rank that was given up tells its user.
const GIVEN_UP: &str =
    "this rank is given up: it was silent for too long; what arrived here is kept";

/// What a peer knows of its tracker, and has told it.
#[derive(Debug)]
pub(super) struct Loyalty {
    own: Rank,
    ranks: u32,
    patience: Duration,
    epoch: Epoch,
    /// When anything was last said to the tracker, and heard from it.
    pub(super) said: Instant,
    heard: Instant,
    /// When the tracker was last asked for a sign of life.
    probed: Instant,
    /// The rank that was asked to take over, and when.
    seeking: Option<(Rank, Instant)>,
    /// The last rank that was asked in vain.
    passed: Option<Rank>,
    /// Another rank misses the tracker of an epoch, and asked this one to take over.
    called: Option<(Epoch, Instant)>,
    /// Ranks that are gone for good.
    lost: BTreeSet<Rank>,
    /// The others were told that this rank is lost.
    dismissed: bool,
}

/// What a tracker that takes over must be told again, besides what the session knows.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) hello: Vec<ToTracker>,
    pub(super) trouble: Option<String>,
    /// The shares that it was told to read.
    pub(super) read: Option<Vec<u32>>,
    /// Entries that it shares itself; known from START on.
    pub(super) own: Bitfield,
    /// When START came.
    pub(super) began: Option<Instant>,
}

impl Loyalty {
    pub(super) fn new(config: &PeerConfig, now: Instant) -> Self {
        Self {
            own: config.rank,
            ranks: config.ranks,
            patience: config.patience,
            epoch: Epoch(config.tracker.0),
            said: now,
            heard: now,
            probed: now,
            seeking: None,
            passed: None,
            called: None,
            lost: BTreeSet::new(),
            dismissed: false,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn tracker(&self) -> Rank {
        Rank(self.epoch.0)
    }

    /// Whether an epoch is one to obey instead of the present one. Whoever reigns in it although it
    /// is known to be lost woke from a sleep.
    pub(super) fn yields_to(&self, epoch: Epoch) -> bool {
        let of_other = epoch.0 < self.ranks && epoch.0 != self.own.0;
        of_other && epoch > self.epoch && !self.lost.contains(&Rank(epoch.0))
    }

    /// Whether a message of a tracker is to be obeyed.
    pub(super) fn obeys(&self, from: Rank, epoch: Epoch) -> bool {
        epoch == self.epoch && from.0 == epoch.0
    }

    /// The tracker said something.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        if !self.lost.contains(&self.tracker()) {
            (self.seeking, self.passed) = (None, None);
        }
        self.called = self.called.filter(|(epoch, _)| *epoch > self.epoch);
    }

    /// While this rank was stopped it heard nothing, and nobody is to blame. What was said
    /// meanwhile is read before anybody is missed.
    pub(super) fn excuse(&mut self, now: Instant, slept: Duration) {
        if slept.is_zero() {
            return;
        }
        let later = |at: Instant, limit: Duration| {
            let latest = now - limit + self.patience / 8;
            (at + slept).clamp(latest.min(now), now)
        };
        let patience = self.patience;
        self.heard = later(self.heard, patience);
        self.seeking = self.seeking.map(|(rank, at)| (rank, later(at, patience)));
        self.called = self.called.map(|(epoch, at)| (epoch, later(at, patience / 2)));
    }

    /// Whether the tracker is to be told that this rank lives, or asked whether it does. Whoever
    /// says much may still hear nothing: only an update without news is answered for certain.
    pub(super) fn wants_probe(&mut self, now: Instant) -> bool {
        let quarter = self.patience / 4;
        let quiet = now.since(self.said) >= quarter;
        let deaf = now.since(self.heard) >= quarter && now.since(self.probed) >= quarter;
        let wants = (quiet || deaf) && self.tracker() != self.own;
        if wants {
            self.probed = now;
        }
        wants
    }

    /// Whether the others have given this rank up.
    fn is_given_up(&self) -> bool {
        self.dismissed || self.own < self.tracker()
    }

    /// The others have given this rank up: the tracker said so, or it tracks and is not obeyed.
    pub(super) fn dismiss(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.dismissed, true) {
            self.heard = now;
        }
    }

    /// The rank that is to take over, and whether all below it are known to be lost.
    fn candidate(&self) -> (Rank, bool) {
        let after = self.passed.unwrap_or(self.tracker());
        let lost = |rank: &Rank| self.lost.contains(rank);
        // Its own rank is above the tracker's, and ends the search.
        let mut open = (after.0 + 1..=self.own.0).map(Rank).filter(|rank| !lost(rank));
        let candidate = open.next().unwrap_or(self.own);
        (candidate, (self.epoch.0..candidate.0).map(Rank).all(|rank| lost(&rank)))
    }

    fn reign_of(&mut self, now: Instant, epoch: Epoch) {
        self.epoch = epoch;
        (self.heard, self.said, self.probed) = (now, now, now);
        (self.seeking, self.passed) = (None, None);
        self.called = self.called.filter(|(called, _)| *called >= epoch);
    }
}

impl Peer {
    /// A rank is gone for good: perhaps the tracker, or the rank that was to follow it.
    pub(super) fn learn_lost(&mut self, now: Instant, rank: Rank, actions: &mut Vec<PeerAction>) {
        let loyalty = &mut self.loyalty;
        if rank == loyalty.own {
            return;
        }
        loyalty.lost.insert(rank);
        let sought = loyalty.seeking.is_some_and(|(candidate, _)| candidate == rank);
        let missed = rank == loyalty.tracker() || sought;
        self.on_lost(now, rank, actions);
        if missed {
            self.seek(now, actions);
        }
    }

    /// What the time brings: a tracker that was silent for too long, or a rank that was to follow.
    pub(super) fn watch_tracker(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        let Loyalty { own, patience, heard, seeking, called, .. } = self.loyalty;
        if self.loyalty.is_given_up() {
            if now.since(heard) > patience * LINGERS {
                self.leave("nobody tracks any more", actions);
            }
        } else if self.loyalty.tracker() == own {
            // Whoever tracks misses nobody.
        } else if called.is_some_and(|(_, at)| now.since(at) > patience / 2) {
            self.take_over(now, actions);
        } else if let Some((candidate, since)) = seeking {
            if now.since(since) > patience {
                self.loyalty.passed = Some(candidate);
                self.seek(now, actions);
            }
        } else if now.since(heard) > patience {
            self.seek(now, actions);
        }
    }

    /// The tracker is missed: somebody else is to take over, or this rank does.
    fn seek(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if self.has_exited() || self.loyalty.is_given_up() {
            return;
        }
        let (candidate, certain) = self.loyalty.candidate();
        if candidate == self.loyalty.own {
            return self.take_over(now, actions);
        }
        self.loyalty.seeking = Some((candidate, now));
        let message = Between::Succeed { epoch: self.loyalty.epoch, certain };
        actions.push(PeerAction::Send { to: candidate, message: Message::Between(message) });
    }

    /// Another rank misses a tracker, and asks this one to take over. It does at once where the
    /// others are known to be lost, else only if it hears nothing from that tracker either.
    pub(super) fn on_succeed(
        &mut self,
        now: Instant,
        epoch: Epoch,
        certain: bool,
        actions: &mut Vec<PeerAction>,
    ) {
        let loyalty = &mut self.loyalty;
        if epoch < loyalty.epoch || loyalty.own.0 <= epoch.0 {
            return;
        }
        if certain {
            return self.take_over(now, actions);
        }
        loyalty.called.get_or_insert((epoch, now));
        self.probe(actions);
    }

    /// This rank tracks from now on.
    fn take_over(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if self.has_exited() {
            return;
        }
        let (own, last) = (self.loyalty.own, self.loyalty.tracker());
        let silent = !self.loyalty.lost.contains(&last);
        self.obey(now, Epoch(own.0), actions);
        let why = |rank: Rank| match (rank == last, silent) {
            (true, true) => {
                format!(
                    "it tracked, and was silent for more than {} s",
                    self.config.patience.as_secs_f64()
                )
            }
            (true, false) => "it died while it tracked".to_owned(),
            (false, _) => format!("it was lost before rank {own} took over"),
        };
        let session = self.session();
        let succession = Succession {
            lost: self.loyalty.lost.iter().map(|&rank| (rank, why(rank))).collect(),
            catalogue: session.map(|session| session.catalogue.clone()),
            started: self.told.began,
        };
        actions.push(PeerAction::Succeed(Box::new(succession)));
        self.rejoin(actions);
    }

    /// Another rank tracks from now on.
    pub(super) fn adopt(&mut self, now: Instant, epoch: Epoch, actions: &mut Vec<PeerAction>) {
        if self.has_exited() {
            return;
        }
        if self.loyalty.tracker() == self.loyalty.own {
            actions.push(PeerAction::Abdicate);
        }
        self.obey(now, epoch, actions);
        if self.loyalty.is_given_up() {
            actions
                .push(PeerAction::Notice(format!("rank {} tracks now, and {GIVEN_UP}", epoch.0)));
            let rejoined = Rejoined { given_up: true, ..Rejoined::default() };
            return self.to_tracker(ToTracker::Rejoined(Box::new(rejoined)), actions);
        }
        self.rejoin(actions);
    }

    /// Obeys a higher epoch. All ranks below it are lost.
    fn obey(&mut self, now: Instant, epoch: Epoch, actions: &mut Vec<PeerAction>) {
        let below = self.loyalty.epoch.0..epoch.0;
        self.loyalty.reign_of(now, epoch);
        self.config.tracker = Rank(epoch.0);
        if let Some(session) = self.session_mut() {
            session.config.tracker = Rank(epoch.0);
        }
        for rank in below.map(Rank) {
            if rank == self.config.rank {
                continue;
            }
            self.loyalty.lost.insert(rank);
            self.on_lost(now, rank, actions);
        }
    }

    /// Says INIT again, with all that the last tracker knew of this rank.
    fn rejoin(&mut self, actions: &mut Vec<PeerAction>) {
        let lost = Span::join(self.loyalty.lost.iter().map(|rank| rank.0));
        let read = Span::join(self.told.read.iter().flatten().copied());
        let lists = lost.into_iter().map(Item::Lost).chain(read.into_iter().map(Item::Read));
        let mut say = recall(lists, self.told.read.is_some());
        say.extend(self.told.hello.iter().cloned());
        match &mut self.phase {
            Phase::Opening(opening) => {
                say.extend(self.told.trouble.clone().map(ToTracker::Trouble));
                say.extend(opening.again());
            }
            Phase::Active(session) => say.extend(session.recall(&self.told.own, None)),
            Phase::Closing { session, outcome, step, .. } => {
                let finished = Some(*outcome);
                match session {
                    Some(session) => say.extend(session.recall(&self.told.own, finished)),
                    None => {
                        let rejoined = Rejoined { finished, ..Rejoined::default() };
                        say.push(ToTracker::Rejoined(Box::new(rejoined)));
                    }
                }
                if *step == Step::Counted {
                    let counters = session.as_ref().map(|session| session.counters());
                    say.push(ToTracker::Counters(counters.unwrap_or_default()));
                }
            }
            Phase::Exited => return,
        }
        say.extend(self.interrupted.clone().map(ToTracker::Interrupted));
        say.into_iter().for_each(|message| self.to_tracker(message, actions));
    }

    /// A rank that tracks is told that it is not obeyed, by one that gave it up or obeys another.
    pub(super) fn on_unseated(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if self.loyalty.tracker() == self.loyalty.own && !self.loyalty.is_given_up() {
            self.loyalty.dismiss(now);
            actions.push(PeerAction::Abdicate);
            actions.push(PeerAction::Notice(GIVEN_UP.to_owned()));
        }
    }

    /// The tracker had no START, and asks for the catalogue.
    pub(super) fn recite(&self, actions: &mut Vec<PeerAction>) {
        let Some(session) = self.session() else { return };
        for entries in parts(session.catalogue.entries().iter().cloned()) {
            self.to_tracker(ToTracker::Entries(entries), actions);
        }
        self.to_tracker(ToTracker::Recited, actions);
    }

    /// Ends this rank's part without the tracker: what arrived is kept.
    fn leave(&mut self, why: &str, actions: &mut Vec<PeerAction>) {
        actions
            .push(PeerAction::Notice(format!("{why}: this rank ends; what arrived here is kept")));
        actions.push(PeerAction::Exit { outcome: Outcome::Failed, lost: true });
        self.phase = Phase::Exited;
    }
}

/// One thing to recall. A part takes as many as fit a message.
#[derive(Debug, Serialize)]
enum Item {
    Lost(Span),
    Read(Span),
    Own(Span),
    Assigned(Span),
    Complete(Span),
    Pieces(Span),
}

impl Session {
    /// All that a new tracker must know of this peer. What was asked of the last one is asked anew.
    fn recall(&mut self, own: &Bitfield, finished: Option<Outcome>) -> Vec<ToTracker> {
        let again = self.tell_differences_again();
        self.updates = again.len() as u32;
        self.settling = None;
        self.download.ask_again();
        let own = own.spans().map(Item::Own);
        let assigned = self.entries.wanted().spans().map(Item::Assigned);
        let complete = self.news.complete().spans().map(Item::Complete);
        let pieces = self.upload.serving().spans().map(Item::Pieces);
        let mut say = recall(own.chain(assigned).chain(complete).chain(pieces), false);
        let halted = self.entries.is_halted();
        let stop = self.stopped.then(|| Stop {
            cannot_receive: self.entries.why_not().map(|why| cut(why, ToTracker::MAX_SENTENCE_LEN)),
            counters: self.counters(),
            extra: self.extra(),
            updates: self.updates,
        });
        let awaits_admission = !self.admitted && !halted && stop.is_none();
        say.push(ToTracker::Rejoined(Box::new(Rejoined {
            given_up: false,
            finished,
            catalogue: Some(Rejoined::digest(&self.catalogue)),
            have_bytes: self.have_bytes(),
            need_bytes: self.entries.need_told().filter(|_| !halted),
            awaits_admission,
            stop,
        })));
        say.extend(again);
        say.extend(self.download.banned().map(ToTracker::Shun));
        say
    }
}

fn recall(items: impl Iterator<Item = Item>, told_to_read: bool) -> Vec<ToTracker> {
    let recall = |items| Recall { told_to_read, ..Recall::from_iter(items) };
    parts(items).into_iter().map(|items| ToTracker::Recall(recall(items))).collect()
}

impl FromIterator<Item> for Recall {
    fn from_iter<T: IntoIterator<Item = Item>>(items: T) -> Self {
        let mut recall = Self::default();
        for item in items {
            let (list, span) = match item {
                Item::Lost(span) => (&mut recall.lost, span),
                Item::Read(span) => (&mut recall.read, span),
                Item::Own(span) => (&mut recall.own, span),
                Item::Assigned(span) => (&mut recall.assigned, span),
                Item::Complete(span) => (&mut recall.complete, span),
                Item::Pieces(span) => (&mut recall.pieces, span),
            };
            list.push(span);
        }
        recall
    }
}

#[cfg(test)]
mod tests;
