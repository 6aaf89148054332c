//! One simulated rank: its machine, its disk, what is on its way to it, and what ails it.

use crate::disk::Disk;
use crate::event::Happening;
use crate::network::{Cargo, Micros};
use content::Span;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use swarm::peer::{Peer, TransferId};
use swarm::tracker::Tracker;

/// Whether a rank does anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Live,
    /// It is stopped, and may go on.
    Hung,
    Dead,
    /// Its process has ended as it should.
    Exited,
}

/// A rank. Rank 0, the tracker's, has no peer. What is looked at with every event of the rank lies
/// close together; what is looked at seldom is boxed.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Node {
    pub(crate) peer: Option<Peer>,
    /// Where this rank tracks: from the beginning, or since it took over.
    pub(crate) tracker: Option<Box<Tracker>>,
    pub(crate) desk: Box<Desk>,
    pub(crate) last_event: Micros,
    pub(crate) tick: Tick,
    pub(crate) life: Life,
    /// Whether it is counted among the ranks that may still do something.
    pub(crate) open: bool,
}

/// What lies at a rank and is on its way to it, and what ails it.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) disk: Disk,
    pub(crate) died: Option<Micros>,
    /// Its disk is full.
    pub(crate) full: bool,
    /// Of a hundred pieces that it sends, so many are corrupt.
    pub(crate) corrupt_percent: u64,
    /// Its messages are late by up to this.
    pub(crate) late: Micros,
    /// What waits until it goes on.
    pub(crate) deferred: Vec<Happening>,
    /// What was read to be sent.
    pub(crate) loads: BTreeMap<TransferId, Span>,
    /// Transfers whose bytes are corrupt.
    pub(crate) bad: BTreeSet<TransferId>,
    /// Posted receives and early pieces, by sender.
    wires: BTreeMap<u32, Wire>,
    /// Pieces that it receives or has not written: posted receives, and what came of them.
    pub(crate) receiving: u32,
    /// Pieces that are on their way from it.
    pub(crate) sending: u32,
    /// When all it wanted had its name.
    pub(crate) completed: Option<Micros>,
    pub(crate) pieces_sent: u64,
}

/// When time passes next for a rank.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tick {
    pub(crate) at: Micros,
    pub(crate) last: Micros,
    pub(crate) number: u32,
    pub(crate) gap: u32,
}

/// The pieces from one sender: receives meet them in order. One of the two rows is empty.
#[derive(Debug, Default)]
struct Wire {
    posted: VecDeque<TransferId>,
    early: VecDeque<Cargo>,
}

impl Node {
    /// Whether it may still do something.
    pub(crate) fn runs(&self) -> bool {
        let tracks = self.tracker.as_ref().is_some_and(|tracker| !tracker.has_ended());
        self.life == Life::Live && (tracks || self.peer.as_ref().is_some_and(|p| !p.has_exited()))
    }

    pub(crate) fn new(peer: Option<Peer>) -> Self {
        Self {
            peer,
            tracker: None,
            desk: Box::default(),
            last_event: 0,
            tick: Tick::default(),
            life: Life::Live,
            open: true,
        }
    }
}

impl Desk {
    /// A receive is posted: what it meets, if that is there already.
    pub(crate) fn post(&mut self, from: u32, transfer: TransferId) -> Option<Cargo> {
        let wire = self.wires.entry(from).or_default();
        if let Some(cargo) = wire.early.pop_front() {
            self.clear(from);
            return Some(cargo);
        }
        wire.posted.push_back(transfer);
        None
    }

    /// A piece is there: the receive that it meets. It waits where none is posted.
    pub(crate) fn arrive(&mut self, from: u32, cargo: Cargo) -> Option<TransferId> {
        let wire = self.wires.entry(from).or_default();
        let Some(transfer) = wire.posted.pop_front() else {
            wire.early.push_back(cargo);
            return None;
        };
        self.clear(from);
        Some(transfer)
    }

    fn clear(&mut self, from: u32) {
        if self.wires.get(&from).is_some_and(|w| w.posted.is_empty() && w.early.is_empty()) {
            self.wires.remove(&from);
        }
    }
}
