//! A peer before START: it has said what it offers, and collects the catalogue.

mod catalogue;
mod reading;

use super::Offered;
use crate::message::{
    Between, FromTracker, PieceSet, ReadAgain, Start, ToTracker, WireOffer, parts,
};
use crate::schedule::Topology;
use crate::shelf::Shelf;
use crate::{EntryShares, Held, Instant, LeftOut, Offer, Rank};
use catalogue::Fetch;
use content::{Bitfield, Catalogue, Entry, Span};
use reading::Reading;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Requests that may wait for START, ...
const MAX_EARLY: usize = 1 << 16;
/// ... and runs of pieces in all of them; more come from no peers of ours. Whoever asked for what
/// was left out hears nothing, and asks elsewhere.
const MAX_EARLY_RUNS: usize = 1 << 20;

/// Neighbours kept; our tracker names fewer.
const MAX_NEIGHBOURS: usize = 128;

/// What is known before START.
#[derive(Debug, Default)]
pub(super) struct Opening {
    pub(super) offered: Vec<Offered>,
    /// What lies below its shares and is not shared.
    pub(super) left_out: Vec<LeftOut>,
    has_offered: bool,
    /// How many paths this rank was told to share.
    pub(super) shares: u32,
    /// Of those, the ones that the tracker wants read; whether it has named the last.
    reads: Vec<u32>,
    reads_told: bool,
    entries: Vec<Entry>,
    wanted: Vec<Span>,
    pub(super) origins: EntryShares,
    pub(super) neighbours: Vec<Rank>,
    pub(super) topology: Box<Topology>,
    pub(super) start: Option<Start>,
    /// The catalogue, where START says only whom to ask for it.
    pub(super) fetch: Fetch,
    /// Updates sent so far: signs of life.
    pub(super) updates: u32,
    /// What this rank reads of a source that all see.
    pub(super) reading: Reading,
    /// What came before START did, for START travels on a channel of its own.
    pub(super) early: Early,
}

/// Messages that overtook START, and what else belongs to the time after it.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// Requests of peers that had START sooner.
    pub(super) requests: Vec<(Rank, Between)>,
    /// Runs of pieces in them.
    runs: usize,
    /// Ranks that were lost.
    pub(super) lost: BTreeSet<Rank>,
    /// What only a lost rank had read of the source, and this one is to read.
    pub(super) again: Vec<ReadAgain>,
    /// A call of the tracker to settle.
    pub(super) settle: Option<u32>,
}

impl Opening {
    /// Keeps what is offered, and makes the messages that say it.
    pub(super) fn offer(&mut self, mut offered: Vec<Offered>) -> Vec<ToTracker> {
        if self.reading.walked {
            self.reading.know_partials(&offered);
            drop_found_parts(&mut offered);
        }
        self.offered = offered;
        self.has_offered = true;
        self.introduce()
    }

    fn introduce(&self) -> Vec<ToTracker> {
        let wire = self.offered.iter().flat_map(|offered| wire_offers(&offered.offer));
        let mut messages: Vec<ToTracker> = parts(wire).into_iter().map(ToTracker::Offers).collect();
        messages.extend(self.tell_unsteady());
        let left = parts(self.left_out.iter().cloned()).into_iter();
        messages.extend(left.filter(|part| !part.is_empty()).map(ToTracker::LeftOut));
        messages.extend(self.reading.tell());
        messages.push(ToTracker::Introduced);
        messages
    }

    /// The shares that kept changing; no message where there are none.
    fn tell_unsteady(&self) -> Vec<ToTracker> {
        let shared = self.offered.iter().map(|offered| &offered.offer);
        let changing = shared.filter(|offer| offer.held == Held::Nothing);
        let told = parts(changing.map(|offer| offer.entry.clone())).into_iter();
        told.filter(|part| !part.is_empty()).map(ToTracker::Unsteady).collect()
    }

    /// Another rank tracks: what the last one said of START counts no more, and what it was told is
    /// told again.
    pub(super) fn again(&mut self) -> Vec<ToTracker> {
        self.entries.clear();
        self.wanted.clear();
        self.origins = EntryShares::default();
        self.start = None;
        self.fetch.again();
        self.early.settle = None;
        self.early.again.clear();
        self.reading.again();
        self.updates = 0;
        if !self.reads_told {
            self.reads.clear();
        }
        if self.has_offered { self.introduce() } else { Vec::new() }
    }

    /// Takes a part of what is to be read; gives the whole with the last. Positions of no share are
    /// left out, and so is a second list.
    pub(super) fn on_read(&mut self, positions: &[Span], last: bool) -> Option<Vec<u32>> {
        if self.reads_told {
            return None;
        }
        self.reads_told = last;
        let left = self.shares as usize - self.reads.len();
        self.reads.extend(Span::all_checked(positions, self.shares).flatten().take(left));
        last.then(|| std::mem::take(&mut self.reads))
    }

    /// Takes a part of START; gives its end.
    pub(super) fn on_tracker(&mut self, message: FromTracker) -> Option<Start> {
        match message {
            FromTracker::Entries(entries) if self.entries.len() <= Catalogue::MAX_ENTRIES => {
                self.entries.extend(entries.iter().cloned());
            }
            FromTracker::Wanted(spans) if self.wanted.len() <= Catalogue::MAX_ENTRIES => {
                self.wanted.extend(spans);
            }
            FromTracker::Neighbours(all) if self.neighbours.len() <= MAX_NEIGHBOURS => {
                self.neighbours.extend(all);
            }
            FromTracker::Origins(origins) if self.origins.len() <= Catalogue::MAX_ENTRIES => {
                self.origins.extend(origins);
            }
            FromTracker::Parts(parts) => self.fetch.add_parts(parts),
            FromTracker::Sources(sources) => self.fetch.add_sources(sources),
            FromTracker::Topology(topology) => self.topology = topology,
            FromTracker::Proven(proven) => self.reading.on_proven(proven),
            FromTracker::Start(start) => return Some(*self.start.insert(start)),
            FromTracker::ReadAgain(orders) if self.early.again.len() <= MAX_EARLY => {
                self.early.again.extend(orders);
            }
            FromTracker::Settle(number) => self.early.settle = Some(number),
            _ => {}
        }
        None
    }

    /// A rank is gone for good.
    pub(super) fn on_lost(&mut self, now: Instant, rank: Rank) {
        self.early.lost.insert(rank);
        self.fetch.lose(now, rank);
    }

    /// Keeps a request of a peer until START has come.
    pub(super) fn on_request(&mut self, from: Rank, request: Between) {
        let early = &mut self.early;
        let runs = match &request {
            Between::Request { pieces, gained, .. } => pieces.len() + gained.len(),
            Between::Gained { pieces, .. } => pieces.len(),
            _ => 0,
        };
        if early.requests.len() < MAX_EARLY && early.runs + runs <= MAX_EARLY_RUNS {
            early.runs += runs;
            early.requests.push((from, request));
        }
    }

    /// The catalogue, the entries that this peer is to write, and the parts of the catalogue, where
    /// it came in such; none where something is missing.
    pub(super) fn catalogue(&mut self) -> Option<(Arc<Catalogue>, Bitfield, Shelf)> {
        let mut entries = std::mem::take(&mut self.entries);
        let (fetched, shelf) = self.fetch.take()?;
        entries.extend(fetched);
        // It grew by doubling, and stays for the whole job.
        entries.shrink_to_fit();
        let catalogue = Catalogue::new(entries).ok()?;
        let wanted_runs = std::mem::take(&mut self.wanted);
        let mut roots = catalogue.entries().iter().filter(|entry| !entry.is_empty());
        let rootless = roots.any(|entry| entry.file().is_some_and(|file| file.root.is_none()));
        // START answers what this rank has said: nothing can be begun before.
        let fits = self.has_offered && self.start?.entry_count == catalogue.entry_count();
        if !fits || rootless {
            return None;
        }
        let mut wanted = Bitfield::new(catalogue.entry_count());
        for span in &wanted_runs {
            wanted.insert_range(span.checked(catalogue.entry_count())?);
        }
        Some((Arc::new(catalogue), wanted, shelf))
    }
}

/// Whether a message asks for something, and so may come before START does.
pub(super) fn asks(message: &Between) -> bool {
    matches!(
        message,
        Between::Request { .. }
            | Between::Gained { .. }
            | Between::AskHashes { .. }
            | Between::Cancel(_)
    )
}

/// What was found in the source is not offered in parts, too.
fn drop_found_parts(offered: &mut Vec<Offered>) {
    let whole = offered.iter().filter(|offered| offered.offer.held == Held::Whole);
    let whole: BTreeSet<_> = whole.map(|offered| offered.offer.entry.name.clone()).collect();
    offered.retain(|offered| {
        offered.offer.held == Held::Whole || !whole.contains(&offered.offer.entry.name)
    });
}

/// An offer on the wire: one, or several where it takes several sets to tell the pieces.
fn wire_offers(offer: &Offer) -> Vec<WireOffer> {
    let (entry, origin) = (offer.entry.clone(), offer.origin);
    match &offer.held {
        Held::Whole => vec![WireOffer { entry, pieces: None, origin }],
        Held::Nothing => Vec::new(),
        Held::Pieces(held) => (0..held.len().max(1))
            .step_by(PieceSet::MAX_PIECES as usize)
            .map(|from| from..held.len().min(from + PieceSet::MAX_PIECES))
            .map(|part| {
                let pieces = Some(PieceSet::of(held, part));
                WireOffer { entry: entry.clone(), pieces, origin }
            })
            .collect(),
    }
}
