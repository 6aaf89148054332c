//! What this peer tells others of what it holds: its gains, and which of its own it has sent.
//!
//! Gains travel with whatever is said to an asker or a holder anyway; neighbours are told unasked
//! once they lag behind. Of the pieces that it held from the beginning a peer tells whom it answers
//! which it has sent to others: those are about to be had elsewhere, and a seeder should not send a
//! piece twice before it has sent each once.

use crate::Rank;
use crate::message::{Between, Message};
use crate::peer::PeerAction;
use crate::rank::find;
use crate::schedule::{Locality, SentOnce, Topology};
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

/// A piece that this rank came to hold, and serves.
#[derive(Debug, Clone, Copy)]
pub(in crate::peer) struct Gain {
    pub(in crate::peer) piece: u32,
    /// Few have it: neighbours hear of it at once.
    pub(in crate::peer) is_rare: bool,
    /// Nobody on this rank's host had it.
    pub(in crate::peer) is_brought: bool,
    /// This rank owns it in its rack.
    pub(in crate::peer) is_owned: bool,
}

/// What was gained and sent, and who was told of it.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    /// Who is told unasked, in ascending order, apart from what is kept of them: that order is
    /// searched with every message.
    neighbours: Vec<Rank>,
    /// What is kept of each, in the same order.
    beside: Vec<Beside>,
    topology: Arc<Topology>,
    /// Every piece that this rank came to hold after START, in that order: what the ranks of this
    /// host are told.
    gains: Vec<u32>,
    /// Of those, the pieces that nobody on this host had: what other hosts hear of, so a piece
    /// leaves a host through one rank.
    brought: Vec<u32>,
    /// The gains of this rank's own share: what other racks are told, for the same reason.
    owned: Vec<u32>,
    /// How many gains there were when the neighbours were last told.
    pushed: usize,
    /// What others than the neighbours were told.
    told: BTreeMap<Rank, Told>,
    ledger: SentOnce,
    /// The neighbours are to be told at once, of however little.
    urgent: bool,
}

impl Announcer {
    /// A peer that holds these pieces at START, and these neighbours.
    pub(super) fn new(serving: &Bitfield, neighbours: &[Rank], topology: Arc<Topology>) -> Self {
        let neighbours: BTreeSet<Rank> = neighbours.iter().copied().collect();
        Self {
            beside: vec![Beside::default(); neighbours.len()],
            neighbours: neighbours.into_iter().collect(),
            ledger: SentOnce::new(serving, topology.rack.is_some()),
            topology,
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
        topology: Arc<Topology>,
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
        let before = std::mem::replace(&mut self.topology, topology);
        self.ledger.begin_racks(serving.len());
        self.owned.clear();
        for &piece in self.brought.iter().filter(|&&piece| serving.get(piece) && owns(piece)) {
            self.owned.push(piece);
            self.ledger.own(piece);
        }
        let topology = &self.topology;
        for (&rank, told) in &mut self.told {
            // Another list is told from its beginning.
            let locality = topology.locality(rank);
            if locality == Locality::Remote || locality != before.locality(rank) {
                told.gains = 0;
            }
        }
        for &rank in &new {
            let told = self.told.remove(&rank).unwrap_or_default();
            self.neighbours.push(rank);
            self.beside.push(Beside { unheard: 0, told });
        }
        let spans: Vec<Span> = self.ledger.held().spans().collect();
        for &to in new.difference(&known) {
            spans.chunks(MAX_TOLD).for_each(|part| say(to, part.to_vec(), 0, actions));
        }
        self.urgent = true;
    }

    /// How many gains the neighbours are told at once.
    pub(super) fn told_at_once(&self) -> usize {
        self.neighbours.len().saturating_sub(FEW).clamp(LEAST_LAG, MOST_LAG)
    }

    /// Time has passed: the neighbours are to be told, of however little.
    pub(super) fn hurry(&mut self) {
        self.urgent = true;
    }

    /// This rank holds one more piece.
    pub(super) fn gained(&mut self, gain: Gain) {
        let Gain { piece, is_rare, is_brought, is_owned } = gain;
        self.urgent |= is_rare;
        self.gains.push(piece);
        if is_brought {
            self.brought.push(piece);
        }
        if is_owned && self.topology.rack.is_some() {
            self.owned.push(piece);
            self.ledger.own(piece);
        }
    }

    /// Whether a piece held at START did not go out yet.
    pub(super) fn spreads_first(&self) -> bool {
        self.ledger.spreads_first()
    }

    /// The distance to a rank.
    pub(super) fn locality(&self, rank: Rank) -> Locality {
        self.topology.locality(rank)
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
        self.ledger.forget(rank);
        if let Some(at) = self.position(rank) {
            self.neighbours.remove(at);
            self.beside.remove(at);
        }
    }

    /// What a rank was not told yet of the gains; now it is.
    pub(super) fn news_for(&mut self, rank: Rank) -> Vec<Span> {
        let locality = self.locality(rank);
        let mut told = self.told(rank);
        let lists = [&*self.gains, &*self.brought, &*self.owned];
        let news = untold(lists, locality, &mut told);
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
        let is_remote = self.locality(rank) == Locality::Remote;
        if self.ledger.is_over() && !is_remote {
            return Vec::new();
        }
        let given_back = if is_remote { given_back } else { &[] };
        given_back.iter().for_each(|&piece| self.ledger.give_back(rank, piece));
        let mut told = self.told(rank);
        let news = untold_of(self.ledger.sent(), &mut told.sent);
        let news: BTreeSet<u32> = news.iter().chain(given_back).copied().collect();
        self.set_told(rank, told);
        Span::join(news)
    }

    /// Whether a rank asks too early for a piece, which it will find elsewhere.
    pub(super) fn is_early(&self, asker: Rank, piece: u32) -> bool {
        self.ledger.is_early(asker, self.locality(asker), self.told(asker).sent, piece)
    }

    /// A piece goes out to a rank.
    pub(super) fn goes(&mut self, rank: Rank, piece: u32) {
        self.ledger.send(rank, self.topology.locality(rank), piece);
    }

    /// Whether neighbours are to be told of gains now.
    pub(super) fn is_due(&self) -> bool {
        let untold = self.gains.len() - self.pushed;
        untold >= self.told_at_once() || (untold > 0 && self.urgent)
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
            let locality = self.locality(to);
            let lists = [&*self.gains, &*self.brought, &*self.owned];
            let untold = untold(lists, locality, &mut self.beside[at].told);
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
    locality: Locality,
    told: &mut Told,
) -> &'a [u32] {
    let gains = match locality {
        Locality::Host => gains,
        Locality::Rack => brought,
        Locality::Remote => owned,
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
