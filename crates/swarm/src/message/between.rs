//! What peers say to each other: a download role asks, an upload role acknowledges.

use super::Epoch;
use crate::Channel;
use content::{Entry, EntryIndex, Hash, HashRange, Span};
use serde::{Deserialize, Serialize};

/// The number of a request, unique among those of one asker in one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestNumber(pub u32);

/// The most pieces in a request: their runs, and those of an answer, fit a message. A longer one is
/// cut, which no peer of ours ever sends.
pub(crate) const MAX_BATCH: usize = 2048;

/// A message of a peer to a peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Between {
    /// Send me these pieces: up to a batch.
    Request {
        /// The request's number.
        number: RequestNumber,
        /// Runs of pieces, in the order in which they are wanted; what of a run may travel together
        /// does.
        pieces: Vec<Span>,
        /// What the asker gained since it last told this holder.
        gained: Vec<Span>,
    },
    /// Send me a range of the piece hashes of an entry.
    AskHashes {
        /// The entry.
        entry: EntryIndex,
        /// The range's number.
        range: u32,
    },
    /// What was not sent yet of a request is no longer wanted.
    Cancel(RequestNumber),
    /// The tracker of this epoch is lost, and so are all ranks between it and you: take over.
    Succeed {
        /// The epoch.
        epoch: Epoch,
        /// Whether that is known, and not only because nothing was heard.
        certain: bool,
    },
    /// To a rank that speaks as the tracker: this rank obeys another, or has given that one up.
    Unseated,
    /// The answer to a request.
    Ack(Ack),
    /// What this peer gained since it last told, unasked: to a neighbour.
    Gained {
        /// Runs of pieces.
        pieces: Vec<Span>,
        /// Pieces that this peer has to send to others.
        backlog: u32,
    },
    /// The answer to a question for hashes; none where the range is not known here.
    Hashes {
        /// The entry.
        entry: EntryIndex,
        /// The range's number.
        index: u32,
        /// The hashes with their proof.
        range: Option<HashRange>,
    },
    /// Send me the part of the catalogue with this SHA-256.
    AskPart(Hash),
    /// The answer to that.
    Part {
        /// The part.
        hash: Hash,
        /// Its entries, in order; none where it has not come here yet.
        entries: Option<Vec<Entry>>,
    },
}

/// The answer to a request. What follows comes in this order, after what earlier acknowledgements
/// promised: one PIECE for each piece, or bundle of small files, of each run, as
/// [`content::Catalogue::bundles`] cuts it. A piece that neither follows nor is refused is given
/// back: the holder has it, but others may send it sooner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The request that it answers.
    pub request: RequestNumber,
    /// Pieces that follow.
    pub follows: Vec<Span>,
    /// Pieces that do not.
    pub refused: Vec<Span>,
    /// What the holder gained since its last acknowledgement to this peer.
    pub gained: Vec<Span>,
    /// Pieces that the holder sent to others since its last acknowledgement to this peer, of those
    /// that it has had from the beginning: they are about to be had elsewhere.
    pub sent: Vec<Span>,
    /// Pieces that the holder has to send to others.
    pub backlog: u32,
}

impl Between {
    /// The channel on which it travels.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Request { .. } | Self::AskHashes { .. } | Self::AskPart(_) | Self::Cancel(_) => {
                Channel::DthUth
            }
            Self::Succeed { .. } | Self::Unseated => Channel::Init,
            Self::Ack(_) | Self::Gained { .. } | Self::Hashes { .. } | Self::Part { .. } => {
                Channel::Ack
            }
        }
    }
}
