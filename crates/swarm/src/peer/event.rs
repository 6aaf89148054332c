//! What can happen to a peer, and what it can want done: the whole interface to its driver.

use super::Inspected;
use crate::message::{Envelope, Hello, Message, PiecesRead, ReadOrder, Unread};
use crate::{EntryShares, Extra, LeftOut, Offer, Outcome, Rank, Succession};
use content::{Bitfield, Catalogue, EntryIndex, Hash, HashRange, PieceId, Span, VerifiedLayer};
use std::sync::Arc;

/// Names what travels as one, a piece or a bundle, on its way in or out: from the first action
/// about it to the last event. Unique in one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u64);

/// What happens to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// Who this peer is, is known: the first event.
    Hello(Box<Hello>),
    /// What lies below its shares and is not shared; comes before [`Self::Offered`], where there is
    /// any.
    LeftOut(Vec<LeftOut>),
    /// All that it offers was looked through and hashed.
    Offered(Vec<Offered>),
    /// Pieces of the source were read, and are kept.
    PiecesRead(Vec<PiecesRead>),
    /// Pieces of the source cannot be read, or kept.
    Unread(Unread),
    /// It cannot carry out its orders; a sentence for people.
    Trouble(String),
    /// A rank said something.
    Message {
        /// Who.
        from: Rank,
        /// What.
        envelope: Envelope,
    },
    /// The transport knows that a rank is gone.
    Lost(Rank),
    /// What stands at the destination for an entry.
    Surveyed(EntryIndex, Result<Surveyed, Fault>),
    /// How what stands at the destination compares with an entry.
    Inspected(EntryIndex, Inspected),
    /// What the destination has that the catalogue lacks.
    ExtraListed(Extra),
    /// So much of that was removed; comes before [`Self::Closed`].
    ExtraRemoved(u64),
    /// Whether a piece was found at the destination, or in a local copy of the source, and written.
    Salvaged(PieceId, Result<Salvaged, Fault>),
    /// So many bytes came; none where all was withdrawn.
    Received(TransferId, u32),
    /// Each piece that was to be stored was verified and written, or not.
    Stored(TransferId, Vec<(PieceId, Result<Stored, Fault>)>),
    /// What is to be sent was read, but for a piece that cannot be any more.
    Loaded(TransferId, Result<(), PieceId>),
    /// It left.
    Sent(TransferId),
    /// An entry has its name.
    Finished(EntryIndex, Result<(), Fault>),
    /// Something beside its pieces could not be written for an entry.
    Failed(EntryIndex, Fault),
    /// Directories and links are made.
    Sealed(Result<(), Fault>),
    /// All disk work is over.
    Closed,
    /// A signal told this rank to stop; a sentence that names it.
    Interrupt(String),
    /// Time has passed; to be sent a few times a second.
    Tick,
}

/// An offer with what is known of its hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The offer.
    pub offer: Offer,
    /// Its piece hashes: all of them, but for a part left by an earlier run. None where the entry
    /// has no content; nor need there be any where it is whole and of one piece, whose hash is the
    /// root. Of many small files not even the room for it is kept.
    pub layer: Option<Box<VerifiedLayer>>,
}

/// What stands at the destination for an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surveyed {
    /// The wanted content, whole; with its piece hashes, where they were found on the way. Without
    /// them the file is complete all the same, but is not served: nobody could verify its pieces.
    Complete(Option<VerifiedLayer>),
    /// Nothing that is of use; but it is a hard link to an entry that is complete, and was made.
    Linked,
    /// Some of its pieces, verified; numbers are within the file.
    Partial(Bitfield),
    /// Something else that may have pieces in common, or a local copy of the source.
    Candidate,
    /// Nothing.
    Nothing,
}

/// Where a piece was found without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Salvaged {
    /// At the destination.
    Reused,
    /// In a local copy of the source.
    Copied,
    /// Nowhere.
    Absent,
}

/// How a piece that came was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It verified and is written.
    Written,
    /// It did not verify.
    Corrupt,
}

/// What the disk refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// One entry cannot be written; others can.
    Entry(String),
    /// Nothing can be written any more.
    Disk(String),
}

/// What a peer wants done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAction {
    /// Send a message.
    Send {
        /// To whom; may be this rank itself.
        to: Rank,
        /// What.
        message: Message,
    },
    /// Look through these shares, by position, hash them and say [`PeerEvent::Offered`].
    Prepare(Vec<u32>),
    /// Look through these shares, by position, hash nothing and say [`PeerEvent::Offered`].
    Walk(Vec<u32>),
    /// Read these pieces of the source; each is told with [`PeerEvent::PiecesRead`], or
    /// [`PeerEvent::Unread`] ends the order.
    ReadPieces(Vec<ReadOrder>),
    /// START is about to begin: read no more of the source, and have these pieces of it, in the
    /// place of what was offered under the same names.
    Keep(Vec<Offered>),
    /// START: from now on entries and pieces have numbers.
    Begin {
        /// All entries.
        catalogue: Arc<Catalogue>,
        /// Those that this rank is to write, by number.
        wanted: Bitfield,
        /// From which shares the entries come, as far as that is known.
        origins: EntryShares,
    },
    /// See what stands at the destination; ends with [`PeerEvent::Surveyed`].
    Survey(EntryIndex),
    /// Compare what stands at the destination with the entry, and change nothing; ends with
    /// [`PeerEvent::Inspected`].
    Inspect(EntryIndex),
    /// List what the destination has that the catalogue lacks; ends with
    /// [`PeerEvent::ExtraListed`].
    ListExtra,
    /// Look for a piece with this hash at the destination and write it; ends with
    /// [`PeerEvent::Salvaged`].
    Salvage(PieceId, Hash),
    /// Read a piece of the source that all ranks see, and write it where it has this hash; ends
    /// with [`PeerEvent::Salvaged`].
    Reread(PieceId, Hash),
    /// Keep proven piece hashes beside the partial, for a resume.
    Record(EntryIndex, HashRange),
    /// Post a receive for the next PIECE from a rank; ends with [`PeerEvent::Received`].
    Receive {
        /// Who sends it.
        from: Rank,
        /// Its name from now on.
        transfer: TransferId,
        /// Which pieces it has, one after the other.
        pieces: Span,
    },
    /// Verify pieces of what came, each on its own, and write them; ends with
    /// [`PeerEvent::Stored`].
    Store {
        /// What came.
        transfer: TransferId,
        /// Which pieces it has.
        pieces: Span,
        /// Those that are to be written, and the hashes that they must have.
        expected: Vec<(PieceId, Hash)>,
    },
    /// Drop the buffer of a transfer.
    Discard {
        /// Which.
        transfer: TransferId,
    },
    /// Read what is to be sent; ends with [`PeerEvent::Loaded`].
    Load {
        /// Its name from now on.
        transfer: TransferId,
        /// Which pieces, one after the other.
        pieces: Span,
    },
    /// Send what was loaded; ends with [`PeerEvent::Sent`].
    SendPiece {
        /// To whom.
        to: Rank,
        /// Which.
        transfer: TransferId,
    },
    /// Send zero bytes in the place of what was acknowledged. No event follows.
    Withdraw {
        /// To whom.
        to: Rank,
        /// Which.
        transfer: TransferId,
    },
    /// Give an entry its name; ends with [`PeerEvent::Finished`].
    Finish(EntryIndex),
    /// Make directories and links; ends with [`PeerEvent::Sealed`].
    Seal,
    /// End all disk work, and clean up; ends with [`PeerEvent::Closed`].
    Close(Outcome),
    /// This rank tracks from now on, as well as being a peer: make
    /// [`Tracker::succeed`](crate::tracker::Tracker::succeed).
    Succeed(Box<Succession>),
    /// This rank tracks no more.
    Abdicate,
    /// The process may exit.
    Exit {
        /// How the job ended.
        outcome: Outcome,
        /// Whether a rank was lost.
        lost: bool,
    },
    /// Tell the user something that does not stop the job.
    Notice(String),
}
