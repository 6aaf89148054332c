//! What this peer tells others of what it holds: its gains, and which of its own it has sent.
//!
//! Gains travel with whatever is said to an asker or a holder anyway; neighbours are told unasked
//! once they lag behind. Of the pieces that it held from the beginning a peer tells whom it answers
//! which it has sent to others: those are about to be had elsewhere, and a seeder should not send a
//! piece twice before it has sent each once.

use super::PeerAction;
use crate::Rank;
use crate::message::{Between, Message, Nearness, Place};
use crate::rank::find;
use content::{Bitfield, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Pieces told in one message.
const MAX_TOLD: usize = 1024;

/// Neighbours are told once there are so many gains that they were not told of, ...
const LEAST_LAG: usize = 4;
/// ... or as many as there are neighbours beyond this number, ...
const FEW: usize = 16;
/// ... up to so many: what a piece costs a rank hardly grows with its neighbours.
const MOST_LAG: usize = 12;

/// A neighbour that says nothing is told no more after so many times: it may hang.
const MAX_UNHEARD: u32 = 8;

/// A piece that a rank of another rack has sooner elsewhere is given back to it so often: the first
/// time it may have been told of it twice, by the tracker, too.
const MAX_RETURNS: u8 = 2;

/// Pieces remembered as given back, a rank and a piece each; beyond that whoever asks is served.
const MAX_RETURNED: usize = 1 << 16;

/// A piece held at START that was not sent yet.
const UNSENT: u32 = u32::MAX;

/// A piece that was not held at START.
const GAINED: u32 = u32::MAX - 1;

/// What a rank was told: so many of the gains, so many of the pieces sent.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    gains: u32,
    sent: u32,
}

/// What is kept of a rank that is told unasked.
#[derive(Debug, Default, Clone, Copy)]
struct Beside {
    /// How often it was told unasked since it last said anything.
    unheard: u32,
    told: Told,
}

/// What was gained and sent, and who was told of it.
#[derive(Debug, Default)]
pub(super) struct Gossip {
    /// Who is told unasked, in ascending order, apart from what is kept of them: that order is
    /// searched with every message.
    neighbours: Vec<Rank>,
    /// What is kept of each, in the same order.
    beside: Vec<Beside>,
    place: Arc<Place>,
    /// Whether all others are in this rank's rack, none on its host.
    is_alone: bool,
    /// Every piece that this rank came to hold after START, in that order: what the ranks of this
    /// host are told.
    gains: Vec<u32>,
    /// Of those, the pieces that nobody on this host had: what other hosts hear of, so a piece
    /// leaves a host through one rank.
    brought: Vec<u32>,
    /// The gains of this rank's own share: what other racks are told, for the same reason.
    owned: Vec<u32>,
    /// What was held at START.
    held: Bitfield,
    /// Of that, the pieces that did not go out yet.
    unsent_held: u32,
    /// How many gains there were when the neighbours were last told.
    pushed: usize,
    /// What others than the neighbours were told.
    told: BTreeMap<Rank, Told>,
    /// Pieces held at START that went out, in that order.
    sent: Vec<u32>,
    /// For each piece, its place among those; empty once each piece held at START went out.
    sent_at: Vec<u32>,
    /// Pieces held at START that did not go out yet.
    unsent: u32,
    /// How often a piece was given back to a rank of another rack.
    returned: BTreeMap<(Rank, u32), u8>,
    /// The neighbours are to be told at once, of however little.
    pub(super) urgent: bool,
}

impl Gossip {
    /// A peer that holds these pieces at START, and these neighbours.
    pub(super) fn new(serving: &Bitfield, neighbours: &[Rank], place: Arc<Place>) -> Self {
        let unsent = serving.count();
        let kept = unsent > 0 || place.rack.is_some();
        let own = if kept { serving.len() as usize } else { 0 };
        let neighbours: BTreeSet<Rank> = neighbours.iter().copied().collect();
        Self {
            beside: vec![Beside::default(); neighbours.len()],
            neighbours: neighbours.into_iter().collect(),
            is_alone: place.is_alone(),
            place,
            sent_at: (0..own as u32)
                .map(|p| if serving.get(p) { UNSENT } else { GAINED })
                .collect(),
            unsent,
            unsent_held: unsent,
            held: if kept { serving.clone() } else { Bitfield::default() },
            ..Self::default()
        }
    }

    /// Tells the neighbours what is held at START.
    pub(super) fn begin(&self, serving: &Bitfield, actions: &mut Vec<PeerAction>) {
        let spans: Vec<Span> = serving.spans().collect();
        for &to in &self.neighbours {
            for part in spans.chunks(MAX_TOLD) {
                say(to, part.to_vec(), 0, actions);
            }
        }
    }

    /// Racks were learned: this rank stands elsewhere, and has other neighbours. Of its own share
    /// each piece that it has may leave for another rack once.
    pub(super) fn move_to(
        &mut self,
        place: Arc<Place>,
        neighbours: &[Rank],
        serving: &Bitfield,
        owns: impl Fn(u32) -> bool,
        actions: &mut Vec<PeerAction>,
    ) {
        let new: BTreeSet<Rank> = neighbours.iter().copied().collect();
        let former = std::mem::take(&mut self.neighbours);
        let known: BTreeSet<Rank> = former.iter().copied().collect();
        let told = std::mem::take(&mut self.beside).into_iter().map(|it| it.told);
        self.told.extend(former.into_iter().zip(told));
        self.is_alone = place.is_alone();
        let before = std::mem::replace(&mut self.place, place);
        if self.held.len() != serving.len() {
            self.held = Bitfield::new(serving.len());
        }
        self.sent_at.resize(serving.len() as usize, GAINED);
        self.owned.clear();
        for piece in self.brought.iter().copied().filter(|&piece| serving.get(piece) && owns(piece))
        {
            self.owned.push(piece);
            if self.sent_at[piece as usize] == GAINED {
                self.sent_at[piece as usize] = UNSENT;
                self.unsent += 1;
            }
        }
        let place = Arc::clone(&self.place);
        for (&rank, told) in &mut self.told {
            // Another list is told from its beginning.
            let nearness = place.nearness(rank);
            if nearness == Nearness::Far || nearness != before.nearness(rank) {
                told.gains = 0;
            }
        }
        for &rank in &new {
            let told = self.told.remove(&rank).unwrap_or_default();
            self.neighbours.push(rank);
            self.beside.push(Beside { unheard: 0, told });
        }
        let spans: Vec<Span> = self.held.spans().collect();
        for &to in new.difference(&known) {
            spans.chunks(MAX_TOLD).for_each(|part| say(to, part.to_vec(), 0, actions));
        }
        self.urgent = true;
    }

    /// How many gains the neighbours are told at once.
    pub(super) fn lag(&self) -> usize {
        self.neighbours.len().saturating_sub(FEW).clamp(LEAST_LAG, MOST_LAG)
    }

    /// This rank holds one more piece; `brought`: nobody on its host had it; `owned`: it is of this
    /// rank's share of what its rack needs.
    pub(super) fn gained(&mut self, piece: u32, rare: bool, brought: bool, owned: bool) {
        self.urgent |= rare;
        self.gains.push(piece);
        if brought {
            self.brought.push(piece);
        }
        if owned && self.place.rack.is_some() {
            self.owned.push(piece);
            if let Some(at) = self.sent_at.get_mut(piece as usize)
                && *at == GAINED
            {
                *at = UNSENT;
                self.unsent += 1;
            }
        }
    }

    /// Whether a piece held at START did not go out yet.
    pub(super) fn spreads_first(&self) -> bool {
        self.unsent_held > 0
    }

    /// Whether a rank is in another rack: each piece goes to one such rank, others hear from
    /// whom they may have it.
    fn is_far(&self, rank: Rank) -> bool {
        self.nearness(rank) == Nearness::Far
    }

    /// Whether it counts that a piece goes to a rank, or went to others: within a host it costs
    /// nothing, and within a rack only what was held at START is kept to be sent once.
    fn counts(&self, rank: Rank, piece: u32) -> bool {
        match self.nearness(rank) {
            Nearness::Host => false,
            Nearness::Rack => self.held.get(piece),
            Nearness::Far => true,
        }
    }

    /// How near a rank is.
    pub(super) fn nearness(&self, rank: Rank) -> Nearness {
        if self.is_alone { Nearness::Rack } else { self.place.nearness(rank) }
    }

    /// Where a rank is among the neighbours, if it is one.
    fn position(&self, rank: Rank) -> Option<usize> {
        find(&self.neighbours, rank).ok()
    }

    /// What a rank was told so far.
    fn told(&self, rank: Rank) -> Told {
        match self.position(rank) {
            Some(at) => self.beside[at].told,
            None => self.told.get(&rank).copied().unwrap_or_default(),
        }
    }

    /// From now on that is what a rank was told.
    fn set_told(&mut self, rank: Rank, told: Told) {
        match self.position(rank) {
            Some(at) => self.beside[at].told = told,
            None => drop(self.told.insert(rank, told)),
        }
    }

    /// A rank said something.
    pub(super) fn heard(&mut self, rank: Rank) {
        if let Some(at) = self.position(rank) {
            self.beside[at].unheard = 0;
        }
    }

    /// A rank is gone.
    pub(super) fn lost(&mut self, rank: Rank) {
        self.told.remove(&rank);
        self.returned.retain(|(to, _), _| *to != rank);
        if let Some(at) = self.position(rank) {
            self.neighbours.remove(at);
            self.beside.remove(at);
        }
    }

    /// What a rank was not told yet of the gains; now it is.
    pub(super) fn news_for(&mut self, rank: Rank) -> Vec<Span> {
        let nearness = self.nearness(rank);
        let mut told = self.told(rank);
        let lists = [&*self.gains, &*self.brought, &*self.owned];
        let news = untold(lists, nearness, &mut told);
        if news.is_empty() {
            return Vec::new();
        }
        let mut news = news.to_vec();
        self.set_told(rank, told);
        news.sort_unstable();
        Span::join(news)
    }

    /// What a rank was not told yet of what was sent; now it is. What is given back to a rank of
    /// another rack is told anew: it is to be had elsewhere.
    pub(super) fn sent_news_for(&mut self, rank: Rank, given_back: &[u32]) -> Vec<Span> {
        let is_far = self.is_far(rank);
        if self.unsent == 0 && !is_far {
            return Vec::new();
        }
        let given_back = if is_far { given_back } else { &[] };
        for &piece in given_back {
            *self.returned.entry((rank, piece)).or_default() += 1;
        }
        let mut told = self.told(rank);
        let news = untold_of(&self.sent, &mut told.sent);
        let news: BTreeSet<u32> = news.iter().chain(given_back).copied().collect();
        self.set_told(rank, told);
        Span::join(news)
    }

    /// Whether a rank asks too early for a piece: it was sent to another, the asker does not know
    /// that yet, and others were not sent to anybody.
    pub(super) fn is_early(&self, asker: Rank, piece: u32) -> bool {
        if self.is_far(asker) {
            return self.leaves_elsewhere(asker, piece);
        }
        if self.unsent == 0 || self.sent_at.is_empty() || !self.counts(asker, piece) {
            return false;
        }
        let at = self.sent_at[piece as usize];
        (at as usize) < self.sent.len() && at >= self.told(asker).sent
    }

    /// Whether a piece leaves this rack, or has left it, otherwise than from here to a rank that
    /// asks: it went to another rank, which hands it on, or it is of the share of another one. Who
    /// asks again nevertheless has nobody else to ask.
    fn leaves_elsewhere(&self, asker: Rank, piece: u32) -> bool {
        let returned = self.returned.get(&(asker, piece)).copied();
        let again = match returned {
            Some(times) => times < MAX_RETURNS,
            None => self.returned.len() < MAX_RETURNED,
        };
        again && self.sent_at.get(piece as usize).is_some_and(|&at| at != UNSENT)
    }

    /// A piece goes out to a rank.
    pub(super) fn goes(&mut self, rank: Rank, piece: u32) {
        self.returned.remove(&(rank, piece));
        if self.unsent > 0 && self.sent_at[piece as usize] == UNSENT && self.counts(rank, piece) {
            self.unsent_held -= u32::from(self.held.get(piece));
            self.sent_at[piece as usize] = self.sent.len() as u32;
            self.sent.push(piece);
            self.unsent -= 1;
        }
    }

    /// Whether neighbours are to be told of gains now.
    pub(super) fn is_due(&self) -> bool {
        let untold = self.gains.len() - self.pushed;
        untold >= self.lag() || (untold > 0 && self.urgent)
    }

    /// Tells all neighbours what they were not told yet, but for what they have: `has` says whether
    /// a rank is known to have a piece.
    pub(super) fn push(
        &mut self,
        backlog: u32,
        has: impl Fn(Rank, u32) -> bool,
        actions: &mut Vec<PeerAction>,
    ) {
        self.urgent = false;
        self.pushed = self.gains.len();
        actions.reserve(self.neighbours.len());
        let mut news = Vec::new();
        for at in 0..self.neighbours.len() {
            let to = self.neighbours[at];
            if self.beside[at].unheard >= MAX_UNHEARD {
                continue;
            }
            let nearness = self.nearness(to);
            let lists = [&*self.gains, &*self.brought, &*self.owned];
            let untold = untold(lists, nearness, &mut self.beside[at].told);
            news.clear();
            news.extend(untold.iter().copied().filter(|&piece| !has(to, piece)));
            if news.is_empty() {
                continue;
            }
            self.beside[at].unheard += 1;
            news.sort_unstable();
            say(to, Span::join(news.iter().copied()), backlog, actions);
        }
    }
}

/// What a rank was not told yet of the gains for its own host, its own rack, or other racks; now it
/// is.
fn untold<'a>(
    [gains, brought, owned]: [&'a [u32]; 3],
    nearness: Nearness,
    told: &mut Told,
) -> &'a [u32] {
    let gains = match nearness {
        Nearness::Host => gains,
        Nearness::Rack => brought,
        Nearness::Far => owned,
    };
    untold_of(gains, &mut told.gains)
}

/// What comes after the first `told` of a list, as much as fits a message; now it is told.
fn untold_of<'a>(list: &'a [u32], told: &mut u32) -> &'a [u32] {
    let rest = &list[*told as usize..];
    let news = &rest[..rest.len().min(MAX_TOLD)];
    *told += news.len() as u32;
    news
}

fn say(to: Rank, pieces: Vec<Span>, backlog: u32, actions: &mut Vec<PeerAction>) {
    let message = Message::Between(Between::Gained { pieces, backlog });
    actions.push(PeerAction::Send { to, message });
}

#[cfg(test)]
mod tests;
