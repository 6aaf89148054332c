//! What a peer says to the tracker.

use super::{Hello, HelloPart, PieceSet, PiecesRead, Unread};
use crate::{Channel, Counters, Differences, Extra, LeftOut, Origin, Outcome, Rank};
use content::{Catalogue, Entry, EntryIndex, Hash, Span};
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
    /// INIT, some of what it shares and cannot offer, for it kept changing while it was hashed:
    /// files without roots.
    Unsteady(Vec<Entry>),
    /// INIT, some of what lies below its shares and is not shared.
    LeftOut(Vec<LeftOut>),
    /// INIT, the end: all offers are told.
    Introduced,
    /// INIT, where all ranks see the source: what was read of it. Said again to a tracker that took
    /// over.
    PiecesRead(Vec<PiecesRead>),
    /// INIT, likewise: what could not be read.
    Unread(Unread),
    /// INIT: this rank cannot carry out its orders; the job is to be refused with this sentence.
    Trouble(String),
    /// INIT again, to a tracker that took over: some of what this rank knows, and the last tracker
    /// knew of it.
    Recall(Recall),
    /// INIT again, the end, from a rank that had START.
    Rejoined(Box<Rejoined>),
    /// Some entries of the catalogue, in order: the answer to
    /// [`FromTracker::Recite`](super::FromTracker::Recite).
    Entries(Vec<Entry>),
    /// All entries of the catalogue are told.
    Recited,
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
    /// How long a piece takes from each holder that is known well enough, but for those on the own
    /// host: where there are two groups of them, or the tracker asked.
    Rates(Vec<Rate>),
    /// The final counters: nothing is in flight, and the disk work is done.
    Counters(Counters),
    /// This rank was told to stop: it asks for nothing more, and serves on. A sentence that says by
    /// what.
    Interrupted(String),
    /// Send me the part of the catalogue with this SHA-256: nobody else gave it.
    AskPart(Hash),
}

/// How long a piece takes from a holder, the time in its row included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The holder.
    pub rank: Rank,
    /// In microseconds.
    pub micros: u32,
}

impl Rate {
    /// The most holders whose rates one peer tells.
    pub const MAX_TOLD: usize = 64;
}

/// One entry that a peer offers, on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireOffer {
    /// The entry.
    pub entry: Entry,
    /// The pieces it has of it, numbered within the file; none where it has all. Where one set is
    /// not enough, the entry is offered again with the next: offers of one name by one peer add up.
    pub pieces: Option<PieceSet>,
    /// Where it comes from.
    pub origin: Origin,
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
    /// Entries that are not as the catalogue has them, where the job is a look at that.
    pub differing: Vec<Differing>,
    /// Bytes, of all that it is to write, that are there and verified.
    pub have_bytes: u64,
}

/// Entries that differ in the same from the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differing {
    /// In what.
    pub what: Differences,
    /// Which.
    pub entries: Span,
}

/// What a peer tells a tracker that took over, in parts. Numbers of entries and pieces are those of
/// the catalogue; a rank that had no START tells none, and offers anew.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recall {
    /// Ranks that are gone for good, by the last tracker's word or the transport's.
    pub lost: Vec<Span>,
    /// Whether it was told which of its shares to read.
    pub told_to_read: bool,
    /// The positions of those.
    pub read: Vec<Span>,
    /// Entries that it shares itself.
    pub own: Vec<Span>,
    /// Entries that it is to write.
    pub assigned: Vec<Span>,
    /// Entries that are complete under their own name.
    pub complete: Vec<Span>,
    /// Pieces that it has and serves.
    pub pieces: Vec<Span>,
}

/// The rest of what a peer tells a tracker that took over.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rejoined {
    /// Whether the last tracker had told all others that this rank is lost.
    pub given_up: bool,
    /// How the job ended, where the last tracker had said FINISH.
    pub finished: Option<Outcome>,
    /// A digest of the catalogue; none where START had not come.
    pub catalogue: Option<u64>,
    /// Bytes, of all that it is to write, that are there and verified.
    pub have_bytes: u64,
    /// What its survey found missing, where it had to say so.
    pub need_bytes: Option<u64>,
    /// Whether it waits to hear that there is room for that.
    pub awaits_admission: bool,
    /// Whether and how its download role ended.
    pub stop: Option<Stop>,
}

/// How a download role ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why it lacks something, where it was not able to receive: disk, permission, space.
    pub cannot_receive: Option<String>,
    /// What it counted so far.
    pub counters: Counters,
    /// What its destination has that the catalogue lacks, where a look was told to look for that.
    pub extra: Extra,
    /// How many updates it sent: they travel on another channel, and the last may come after this.
    pub updates: u32,
}

impl Rejoined {
    /// A number that tells catalogues apart: FNV-1a over their entries, in order.
    pub fn digest(catalogue: &Catalogue) -> u64 {
        let mut digest: u64 = 0xCBF2_9CE4_8422_2325;
        for entry in catalogue.entries() {
            let bytes = postcard::to_allocvec(entry).expect("every entry encodes");
            for byte in bytes {
                digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
            }
        }
        digest
    }
}

impl Gains {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        let entries = self.entries.is_empty() && self.differing.is_empty();
        entries && self.pieces.is_empty() && self.lost.is_empty()
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
            | Self::Unsteady(_)
            | Self::LeftOut(_)
            | Self::Introduced
            | Self::PiecesRead(_)
            | Self::Unread(_)
            | Self::Trouble(_)
            | Self::Recall(_)
            | Self::Rejoined(_)
            | Self::Entries(_)
            | Self::Recited => Channel::Init,
            Self::Ask { .. }
            | Self::AskPart(_)
            | Self::Shun(_)
            | Self::Stop(_)
            | Self::Interrupted(_) => Channel::TrackerDth,
            Self::Surveyed { .. } | Self::Update(_) | Self::Settled(_) | Self::Rates(_) => {
                Channel::Update
            }
            Self::Counters(_) => Channel::Finish,
        }
    }
}
