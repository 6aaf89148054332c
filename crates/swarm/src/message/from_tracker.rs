//! What the tracker says to a peer.

use super::{PieceSet, Proven, ReadAgain, ReadOrder};
use crate::schedule::Topology;
use crate::{Channel, Outcome, Rank, ShareId};
use content::{Entry, Hash, Span};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A message of the tracker to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromTracker {
    /// This rank tracks from now on: say INIT again.
    Reign,
    /// Tell me the catalogue: START had reached you, and not me.
    Recite,
    /// INIT, to a peer that waits: read and offer these of your shares.
    Read {
        /// Their positions.
        positions: Vec<Span>,
        /// Whether this is the last part of the list.
        last: bool,
    },
    /// INIT, to a peer that waits where all ranks see the source: look through these of your shares
    /// and offer what is there, but read no file.
    Walk {
        /// Their positions.
        positions: Vec<Span>,
        /// Whether this is the last part of the list.
        last: bool,
    },
    /// INIT, likewise: read these pieces of the source, and tell their hashes.
    ReadOrders(Vec<ReadOrder>),
    /// INIT, likewise: the roots of what was read here, and what proves it.
    Proven(Vec<Proven>),
    /// START, some entries of the catalogue, in order; in memory once, however many they go to.
    Entries(Arc<[Entry]>),
    /// START, some of the entries that this peer is to write.
    Wanted(Vec<Span>),
    /// START, from which shares entries come; those of no known share are left out.
    Origins(Vec<Origins>),
    /// START, the peers that this one is to tell of its gains unasked, as they tell it of theirs.
    Neighbours(Vec<Rank>),
    /// START: the hosts and racks, seen from this peer.
    Topology(Box<Topology>),
    /// START, the end: the job begins.
    Start(Start),
    /// Whether what a peer surveyed fits its destination, and if not why.
    Admission(Result<(), String>),
    /// The answer to a question: some holders, and which pieces each has.
    Holders {
        /// The question's number.
        question: u32,
        /// Holders; not all where there are many.
        holders: Vec<HolderPieces>,
        /// Pieces that no rank holds which the asker still asks, and that nobody will get any more.
        gone: Vec<PieceSet>,
        /// Whether this is the last part of the answer.
        last: bool,
    },
    /// The tracker lives.
    Alive,
    /// Say [`Settled`](super::ToTracker::Settled) with this number once all that is under way now,
    /// and may yet bring a piece, is over: somebody lacks pieces that nobody is known to hold.
    Settle(u32),
    /// Say [`Rates`](super::ToTracker::Rates): some ranks see holders from which pieces take far
    /// longer than from others.
    TellRates,
    /// Racks were learned from the rates: where this peer stands among the others from now on.
    Moved {
        /// The peers that this one is to tell of its gains unasked, as they tell it of theirs.
        neighbours: Vec<Rank>,
        /// The hosts and racks, seen from it.
        topology: Box<Topology>,
    },
    /// A rank was lost: nothing is to be had from it.
    Lost(Rank),
    /// All others were told that this rank is lost; FINISH follows.
    GivenUp,
    /// Everybody has stopped, or the job is refused.
    Finish {
        /// How it ended.
        outcome: Outcome,
        /// Whether a rank was lost, so that MPI cannot be finalized.
        lost: bool,
    },
    /// The report is printed: this process may exit.
    End,
    /// START, of a large catalogue: the SHA-256 of some of its parts, in order, in the place of the
    /// entries.
    Parts(Vec<Hash>),
    /// START, likewise: the ranks to ask for the parts, the first first; this rank when none of
    /// them has them.
    Sources(Vec<Rank>),
    /// The answer to a question for a part of the catalogue.
    Part {
        /// The part.
        hash: Hash,
        /// Its entries, in order.
        entries: Vec<Entry>,
    },
    /// Read these pieces of the source that all ranks see: only a lost rank had them.
    ReadAgain(Vec<ReadAgain>),
}

/// Entries that come from one share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origins {
    /// The entries.
    pub entries: Span,
    /// The share.
    pub share: ShareId,
}

/// The end of START.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// How many entries the catalogue has, to check that all parts came.
    pub entry_count: u32,
    /// Whether what this peer is to write fits its destination for certain. If not it surveys
    /// first, and asks.
    pub admitted: bool,
}

/// A holder, and some of the pieces that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderPieces {
    /// Who.
    pub rank: Rank,
    /// What it has.
    pub pieces: PieceSet,
}

impl FromTracker {
    /// The channel on which it travels.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Reign
            | Self::Recite
            | Self::Read { .. }
            | Self::Walk { .. }
            | Self::ReadOrders(_)
            | Self::Proven(_)
            | Self::Entries(_)
            | Self::Wanted(_)
            | Self::Origins(_)
            | Self::Neighbours(_)
            | Self::Topology(_)
            | Self::Parts(_)
            | Self::Sources(_)
            | Self::Start(_) => Channel::Init,
            Self::Holders { .. } | Self::Part { .. } => Channel::TrackerDth,
            Self::Admission(_)
            | Self::Alive
            | Self::Settle(_)
            | Self::TellRates
            | Self::Moved { .. }
            | Self::ReadAgain(_)
            | Self::Lost(_) => Channel::Update,
            Self::GivenUp | Self::Finish { .. } | Self::End => Channel::Finish,
        }
    }
}
