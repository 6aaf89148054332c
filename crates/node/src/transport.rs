//! What carries messages and pieces between ranks. Implemented by MPI, and in process for tests.

use crate::buffer::{Buffer, SharedBuffer};
use swarm::{Channel, Rank};

/// Names a send or a receive of a piece, so that its end can be told apart from the others'. Chosen
/// by the caller, unique among the caller's transfers in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something that reached this rank, or ended.
#[derive(Debug)]
pub enum Arrival {
    /// A control message.
    Message {
        /// Who sent it.
        from: Rank,
        /// On which channel; never [`Channel::Piece`].
        channel: Channel,
        /// Its bytes, at most [`swarm::MAX_MESSAGE_LEN`].
        bytes: Vec<u8>,
    },
    /// A posted receive got its piece.
    PieceReceived {
        /// The receive.
        ticket: Ticket,
        /// The buffer that was posted, its length now that of what came; 0 where the piece was
        /// withdrawn.
        buffer: Buffer,
    },
    /// A piece left; its buffer is no longer used by the transport.
    PieceSent {
        /// The send.
        ticket: Ticket,
    },
    /// A rank is gone for certain. Transports that cannot tell never say so.
    Lost {
        /// Who.
        rank: Rank,
    },
}

/// Carries control messages and pieces between the ranks of a job. Nothing here ever blocks.
///
/// Between one pair of ranks, messages of one channel arrive in the order in which they were sent,
/// and pieces meet posted receives in order (MPI standard, section 3.5). A rank never sends to
/// itself.
pub trait Transport {
    /// This rank.
    fn rank(&self) -> Rank;

    /// How many ranks there are.
    fn size(&self) -> u32;

    /// Begins to send a control message.
    ///
    /// # Panics
    ///
    /// Panics on [`Channel::Piece`], on this rank itself, and on more than
    /// [`swarm::MAX_MESSAGE_LEN`] bytes.
    fn send(&mut self, to: Rank, channel: Channel, bytes: Vec<u8>);

    /// Begins to send a piece out of a buffer that several sends may share; none withdraws the
    /// piece: the receiver gets zero bytes. Ends with [`Arrival::PieceSent`].
    fn send_piece(&mut self, to: Rank, ticket: Ticket, piece: Option<SharedBuffer>);

    /// Posts a receive for the next piece that `from` sends to this rank; `buffer` has room for it.
    /// Ends with [`Arrival::PieceReceived`]. It is never cancelled.
    fn receive_piece(&mut self, from: Rank, ticket: Ticket, buffer: Buffer);

    /// Makes progress, and appends whatever arrived or ended since the last call.
    fn poll(&mut self, arrivals: &mut Vec<Arrival>);

    /// Whether every send and every posted receive has ended, those to and from lost ranks
    /// excepted.
    fn is_drained(&self) -> bool;
}
