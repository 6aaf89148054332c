//! A large catalogue on its way to a peer: START said only the hashes of its parts and whom to ask.
//!
//! It asks one rank at a time, a few parts ahead, for one part after the other; verifies each, and
//! hands it on at once to whoever asked for it meanwhile: a part runs down the tree of ranks while
//! the next is above it. A rank that is lost, silent, or sends what does not verify is left
//! for the next; the tracker is the last. Once all parts are here START is complete.
//!
//! A part is asked for by its hash: what an earlier tracker's START spoke of cannot be taken for
//! another, and need not be fetched twice. Parts are kept as entries, never encoded.

use crate::message::{Between, Message, ToTracker};
use crate::peer::{Peer, PeerAction, Phase};
use crate::shelf::{Shelf, digest};
use crate::{Instant, Rank};
use content::{Catalogue, Entry, Hash};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Parts asked ahead: the next are on their way while one is verified. More would only make a queue
/// at the tracker, where many come to it at last.
const AHEAD: usize = 4;

/// Questions of others that wait for their part; more come from no peers of ours, and are told that
/// it is not here.
const MAX_WAITING: usize = 1 << 16;

/// Ranks to ask that are kept; our tracker names fewer.
const MAX_SOURCES: usize = 256;

/// A rank of which nothing is heard is asked again after this part of the patience, ...
const ASK_AGAIN: u32 = 8;
/// ... and left after this one. Whoever waits for the part itself says so.
const SILENT: u32 = 4;

/// What is known of the catalogue before it is whole.
#[derive(Debug, Default)]
pub(in crate::peer) struct Fetch {
    /// All parts, in order.
    parts: Vec<Hash>,
    /// Whom to ask, the first first; the tracker where nobody is left.
    sources: Vec<Rank>,
    /// Whether START has come, so that parts are asked for.
    begun: bool,
    have: BTreeMap<Hash, Vec<Entry>>,
    /// Parts that were asked for and have not come.
    asked: Vec<Hash>,
    /// Parts before this one are here, or asked for.
    next: usize,
    /// When the rank that is asked was last heard, ...
    heard: Instant,
    /// ... was last asked, ...
    said: Instant,
    /// ... and last sent a part.
    fed: Instant,
    /// What is to be asked, of whom: the tracker where of no rank.
    questions: Vec<(Option<Rank>, Hash)>,
    /// Who waits for a part.
    waiting: BTreeSet<(Hash, Rank)>,
    /// Ranks that sent what does not verify.
    pub(in crate::peer) liars: BTreeSet<Rank>,
}

impl Fetch {
    /// START speaks of these parts.
    pub(in crate::peer) fn add_parts(&mut self, parts: Vec<Hash>) {
        if !self.begun && self.parts.len() <= Catalogue::MAX_ENTRIES {
            self.parts.extend(parts);
        }
    }

    /// START says whom to ask.
    pub(in crate::peer) fn add_sources(&mut self, mut sources: Vec<Rank>) {
        if !self.begun {
            sources.truncate(MAX_SOURCES.saturating_sub(self.sources.len()));
            self.sources.extend(sources);
        }
    }

    /// Another rank tracks: its START counts. What is here may be of use.
    pub(in crate::peer) fn again(&mut self) {
        self.parts.clear();
        self.sources.clear();
        self.asked.clear();
        self.questions.clear();
        self.begun = false;
    }

    /// Whether nothing is missing of what START spoke of.
    pub(in crate::peer) fn is_whole(&self) -> bool {
        self.begun && self.next == self.parts.len() && self.asked.is_empty()
    }

    /// START has come: asks for what is missing, those of the ranks that may be asked.
    fn begin(&mut self, now: Instant, may_ask: impl Fn(Rank) -> bool) {
        let told: BTreeSet<Hash> = self.parts.iter().copied().collect();
        self.have.retain(|hash, _| told.contains(hash));
        let liars = &self.liars;
        self.sources.retain(|&rank| may_ask(rank) && !liars.contains(&rank));
        (self.begun, self.next) = (true, 0);
        (self.heard, self.fed) = (now, now);
        self.ask(now);
    }

    /// Asks for the next parts, as far ahead as it may.
    fn ask(&mut self, now: Instant) {
        while self.asked.len() < AHEAD && self.next < self.parts.len() {
            let hash = self.parts[self.next];
            self.next += 1;
            if !self.have.contains_key(&hash) && !self.asked.contains(&hash) {
                self.asked.push(hash);
                self.said = now;
                self.questions.push((self.source(), hash));
            }
        }
    }

    /// Whom to ask; the tracker where none.
    fn source(&self) -> Option<Rank> {
        self.sources.first().copied()
    }

    /// Asks anew for what was asked for.
    fn ask_again(&mut self, now: Instant) {
        self.said = now;
        let source = self.source();
        self.questions.extend(self.asked.iter().map(|&hash| (source, hash)));
    }

    /// A rank is not asked any more.
    fn leave(&mut self, now: Instant, rank: Rank) {
        let was_asked = self.source() == Some(rank);
        self.sources.retain(|&source| source != rank);
        if was_asked && self.begun {
            (self.heard, self.fed) = (now, now);
            self.ask_again(now);
        }
    }

    /// A rank is gone for good.
    pub(in crate::peer) fn lose(&mut self, now: Instant, rank: Rank) {
        self.waiting.retain(|&(_, asker)| asker != rank);
        self.leave(now, rank);
    }

    /// What the time brings. The tracker answers at once, and whoever follows it says START anew:
    /// it is not asked twice.
    fn tick(&mut self, now: Instant, patience: Duration) {
        let Some(source) = self.source().filter(|_| self.begun && !self.asked.is_empty()) else {
            return;
        };
        if now.since(self.heard) > patience / SILENT || now.since(self.fed) > patience {
            self.leave(now, source);
        } else if now.since(self.heard.max(self.said)) > patience / ASK_AGAIN {
            self.ask_again(now);
        }
    }

    /// A rank asks for a part; gives what to answer at once, if anything. Whoever asks again wants
    /// to know whether this rank lives.
    fn on_ask(&mut self, from: Rank, hash: Hash) -> Option<Between> {
        let entries = self.have.get(&hash).cloned();
        let waits = self.waiting.len() < MAX_WAITING;
        if entries.is_none() && waits && self.waiting.insert((hash, from)) {
            return None;
        }
        Some(Between::Part { hash, entries })
    }

    /// Takes an answer, of the tracker where of no rank; gives who waits for the part.
    fn on_part(
        &mut self,
        now: Instant,
        from: Option<Rank>,
        hash: Hash,
        entries: Option<Vec<Entry>>,
    ) -> Result<Vec<Rank>, Lie> {
        if from == self.source() {
            self.heard = now;
        }
        let asked = self.asked.iter().position(|&asked| asked == hash);
        let (Some(asked), Some(entries)) = (asked, entries) else { return Ok(Vec::new()) };
        if digest(&entries) != hash {
            if let Some(rank) = from {
                self.liars.insert(rank);
                self.leave(now, rank);
            }
            return Err(Lie);
        }
        self.asked.remove(asked);
        self.have.insert(hash, entries);
        self.fed = now;
        self.ask(now);
        let every = (hash, Rank(0))..=(hash, Rank(u32::MAX));
        let askers: Vec<Rank> = self.waiting.range(every).map(|&(_, asker)| asker).collect();
        askers.iter().for_each(|&asker| {
            self.waiting.remove(&(hash, asker));
        });
        Ok(askers)
    }

    /// All entries, and which of them each part has; none where a part is missing. From now on the
    /// catalogue has them.
    pub(in crate::peer) fn take(&mut self) -> Option<(Vec<Entry>, Shelf)> {
        let (mut entries, mut shelf) = (Vec::new(), Shelf::default());
        for hash in std::mem::take(&mut self.parts) {
            let part = self.have.remove(&hash)?;
            shelf.push(hash, part.len());
            entries.extend(part);
        }
        Some((entries, shelf))
    }
}

/// A part is not what its hash says.
struct Lie;

impl Peer {
    /// START has come but for the catalogue, perhaps.
    pub(in crate::peer) fn fetch_catalogue(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        let (own, ranks) = (self.config.rank, self.config.ranks);
        let Phase::Opening(opening) = &mut self.phase else { return };
        let lost = &opening.early.lost;
        let may_ask = |rank: Rank| rank != own && rank.0 < ranks && !lost.contains(&rank);
        opening.fetch.begin(now, may_ask);
        self.ask_parts(actions);
        self.begin_when_whole(now, actions);
    }

    /// What was to be asked is asked.
    pub(in crate::peer) fn ask_parts(&mut self, actions: &mut Vec<PeerAction>) {
        let Phase::Opening(opening) = &mut self.phase else { return };
        for (source, hash) in std::mem::take(&mut opening.fetch.questions) {
            match source {
                Some(to) => say(to, Between::AskPart(hash), actions),
                None => self.to_tracker(ToTracker::AskPart(hash), actions),
            }
        }
    }

    fn begin_when_whole(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        let Phase::Opening(opening) = &self.phase else { return };
        if let Some(start) = opening.start.filter(|_| opening.fetch.is_whole()) {
            self.begin(now, start.admitted, actions);
        }
    }

    /// A rank asks for a part of the catalogue.
    pub(in crate::peer) fn on_ask_part(
        &mut self,
        from: Rank,
        hash: Hash,
        actions: &mut Vec<PeerAction>,
    ) {
        // Whoever was lost, and woke, is told to end.
        let answer = match &mut self.phase {
            Phase::Opening(opening) if opening.early.lost.contains(&from) => None,
            Phase::Opening(opening) => opening.fetch.on_ask(from, hash),
            _ => {
                let session = self.session().filter(|it| !it.download.is_lost(from));
                let entries = session.map(|it| self.shelf.part(&it.catalogue, hash));
                entries.map(|entries| Between::Part { hash, entries })
            }
        };
        answer.into_iter().for_each(|answer| say(from, answer, actions));
    }

    /// A part of the catalogue came, or a word that it will.
    pub(in crate::peer) fn on_part(
        &mut self,
        now: Instant,
        from: Option<Rank>,
        hash: Hash,
        entries: Option<Vec<Entry>>,
        actions: &mut Vec<PeerAction>,
    ) {
        let Phase::Opening(opening) = &mut self.phase else { return };
        match (opening.fetch.on_part(now, from, hash, entries), from) {
            (Ok(askers), _) => {
                for asker in askers {
                    let entries = opening.fetch.have.get(&hash).cloned();
                    say(asker, Between::Part { hash, entries }, actions);
                }
            }
            (Err(Lie), Some(rank)) => {
                let own = self.config.rank;
                actions.push(PeerAction::Notice(format!(
                    "rank {rank} sent a part of the catalogue that does not verify; rank {own} \
                     asks it no more for that"
                )));
            }
            (Err(Lie), None) => {
                let sentence = "a part of the catalogue does not verify: a fault of the tracker";
                return self.trouble(sentence.to_owned(), actions);
            }
        }
        self.ask_parts(actions);
        self.begin_when_whole(now, actions);
    }

    /// What the time brings to a peer whose catalogue is on its way.
    pub(in crate::peer) fn watch_sources(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if let Phase::Opening(opening) = &mut self.phase {
            opening.fetch.tick(now, self.config.patience);
            self.ask_parts(actions);
        }
    }
}

fn say(to: Rank, message: Between, actions: &mut Vec<PeerAction>) {
    actions.push(PeerAction::Send { to, message: Message::Between(message) });
}

#[cfg(test)]
mod tests;
