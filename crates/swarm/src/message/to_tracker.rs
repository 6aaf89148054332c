//! What a peer says to the tracker.

use super::{Hello, HelloPart, PieceSet};
use crate::{Channel, Counters, Rank};
use content::{Entry, EntryIndex, Span};
use serde::{Deserialize, Serialize};

/// A message of a peer to the tracker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToTracker {
    /// INIT, the beginning: some of the shares and wants of a peer that has many.
    HelloPart(HelloPart),
    /// INIT, the beginning: who this is. Sent before anything is hashed.
    Hello(Box<Hello>),
    /// INIT, some of what it offers.
    Offers(Vec<WireOffer>),
    /// INIT, the end: all offers are told.
    Introduced,
    /// INIT: this rank cannot carry out its orders; the job is to be refused with this sentence.
    Trouble(String),
    /// After START, where space is scarce: the destination was looked through, and so many bytes
    /// must be written.
    Surveyed {
        /// Bytes that are not there yet.
        need_bytes: u64,
    },
    /// Who holds the pieces of these entries?
    Ask {
        /// Echoed in the answer.
        question: u32,
        /// The first entry of the range.
        first: EntryIndex,
        /// How many entries.
        count: u32,
    },
    /// This peer asks a rank no more: what that sends does not verify. What only such ranks hold is
    /// out of its reach.
    Shun(Rank),
    /// All that this peer wanted is there, or cannot be; nothing acknowledged is outstanding.
    Stop(Stop),
    /// What was gained since the last update; empty as a sign of life.
    Update(Gains),
    /// The answer to [`FromTracker::Settle`](super::FromTracker::Settle): what was under way then
    /// is over, and the updates before this message tell what came of it.
    Settled(u32),
    /// The final counters: nothing is in flight, and the disk work is done.
    Counters(Counters),
    /// This rank was told to stop: it asks for nothing more, and serves on. A sentence that says by
    /// what.
    Interrupted(String),
}

/// One entry that a peer offers, on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireOffer {
    /// The entry.
    pub entry: Entry,
    /// The pieces it has of it, numbered within the file; none where it has all. Where one set is
    /// not enough, the entry is offered again with the next: offers of one name by one peer add up.
    pub pieces: Option<PieceSet>,
}

/// What changed at a peer since its last update. What it lost comes before what it gained.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gains {
    /// Pieces that it had and no longer serves: their file changed or cannot be read.
    pub lost: Vec<Span>,
    /// Pieces that it now has and serves.
    pub pieces: Vec<Span>,
    /// Entries that are complete under their own name.
    pub entries: Vec<Span>,
    /// Bytes, of all that it is to write, that are there and verified.
    pub have_bytes: u64,
}

/// How a download role ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why it lacks something, where it was not able to receive: disk, permission, space.
    pub cannot_receive: Option<String>,
    /// What it counted so far.
    pub counters: Counters,
    /// How many updates it sent: they travel on another channel, and the last may come after this.
    pub updates: u32,
}

impl Gains {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.lost.is_empty() && self.entries.is_empty()
    }
}

impl ToTracker {
    /// The most bytes of a sentence that a peer sends for people to read.
    pub const MAX_SENTENCE_LEN: usize = 4096;

    /// The channel on which it travels.
    pub fn channel(&self) -> Channel {
        match self {
            Self::HelloPart(_)
            | Self::Hello(_)
            | Self::Offers(_)
            | Self::Introduced
            | Self::Trouble(_) => Channel::Init,
            Self::Ask { .. } | Self::Shun(_) | Self::Stop(_) | Self::Interrupted(_) => {
                Channel::TrackerDth
            }
            Self::Surveyed { .. } | Self::Update(_) | Self::Settled(_) => Channel::Update,
            Self::Counters(_) => Channel::Finish,
        }
    }
}
