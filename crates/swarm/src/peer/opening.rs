//! A peer before START: it has said what it offers, and collects the catalogue.

use super::Offered;
use crate::message::{Between, FromTracker, PieceSet, Start, ToTracker, WireOffer, parts};
use crate::{Held, Offer, Rank};
use content::{Bitfield, Catalogue, Entry, Span};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Requests that may wait for START; more come from no peer of ours.
const MAX_EARLY: usize = 1 << 16;

/// What is known before START.
#[derive(Debug, Default)]
pub(super) struct Opening {
    pub(super) offered: Vec<Offered>,
    entries: Vec<Entry>,
    wanted: Vec<Span>,
    start: Option<Start>,
    /// Updates sent so far: signs of life.
    pub(super) updates: u32,
    /// What came before START did, for START travels on a channel of its own.
    pub(super) early: Early,
}

/// Messages that overtook START, and what else belongs to the time after it.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// Requests of peers that had START sooner.
    pub(super) requests: Vec<(Rank, Between)>,
    /// Ranks that were lost.
    pub(super) lost: BTreeSet<Rank>,
    /// A call of the tracker to settle.
    pub(super) settle: Option<u32>,
}

impl Opening {
    /// Keeps what is offered, and makes the messages that say it.
    pub(super) fn offer(&mut self, offered: Vec<Offered>) -> Vec<ToTracker> {
        let wire = offered.iter().flat_map(|offered| wire_offers(&offered.offer));
        let mut messages: Vec<ToTracker> = parts(wire).into_iter().map(ToTracker::Offers).collect();
        messages.push(ToTracker::Introduced);
        self.offered = offered;
        messages
    }

    /// Takes a part of START; gives its end.
    pub(super) fn on_tracker(&mut self, message: FromTracker) -> Option<Start> {
        match message {
            FromTracker::Entries(entries) => self.entries.extend(entries),
            FromTracker::Wanted(spans) => self.wanted.extend(spans),
            FromTracker::Start(start) => return Some(*self.start.insert(start)),
            FromTracker::Lost(rank) => self.on_lost(rank),
            FromTracker::Settle(number) => self.early.settle = Some(number),
            _ => {}
        }
        None
    }

    /// A rank is gone for good.
    pub(super) fn on_lost(&mut self, rank: Rank) {
        self.early.lost.insert(rank);
    }

    /// Keeps a request of a peer until START has come.
    pub(super) fn on_request(&mut self, from: Rank, request: Between) {
        if self.early.requests.len() < MAX_EARLY {
            self.early.requests.push((from, request));
        }
    }

    /// The catalogue, and the entries that this peer is to write; none where parts are missing.
    pub(super) fn catalogue(&mut self) -> Option<(Arc<Catalogue>, Bitfield)> {
        let catalogue = Catalogue::new(std::mem::take(&mut self.entries)).ok()?;
        if self.start?.entry_count != catalogue.entry_count() {
            return None;
        }
        let mut wanted = Bitfield::new(catalogue.entry_count());
        for span in &self.wanted {
            wanted.insert_range(span.checked(catalogue.entry_count())?);
        }
        Some((Arc::new(catalogue), wanted))
    }
}

/// An offer on the wire: one, or several where it takes several sets to tell the pieces.
fn wire_offers(offer: &Offer) -> Vec<WireOffer> {
    let entry = offer.entry.clone();
    match &offer.held {
        Held::Whole => vec![WireOffer { entry, pieces: None }],
        Held::Pieces(held) => (0..held.len().max(1))
            .step_by(PieceSet::MAX_PIECES as usize)
            .map(|from| from..held.len().min(from + PieceSet::MAX_PIECES))
            .map(|part| WireOffer { entry: entry.clone(), pieces: Some(PieceSet::of(held, part)) })
            .collect(),
    }
}
