//! What can happen, to a machine or to what is on its way.

use crate::network::Flight;
use content::PieceId;
use swarm::message::Envelope;
use swarm::peer::{PeerEvent, TransferId};

/// Something that happens at its time.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A message is there.
    Message { to: u32, letter: Box<Letter> },
    /// The first byte of a piece is at a port, or its last at its end.
    Flight(Box<Flight>),
    /// What came was verified, and perhaps written.
    Verified { rank: u32, transfer: TransferId, pieces: Vec<PieceId>, good: bool },
    /// A piece has left.
    Sent { from: u32, to: u32, transfer: TransferId },
    /// Something for a peer alone.
    Own(u32, Box<PeerEvent>),
    /// Time passes for a peer; of several that are planned only the latest counts.
    Tick { rank: u32, number: u32 },
    /// Time passes for the tracker on a rank.
    TrackerTick(u32),
    /// The fault of this number begins.
    Fault(usize),
    /// A rank that hung goes on.
    Wake(u32),
    /// The transport tells a rank that another is gone.
    Lost { to: u32, gone: u32 },
}

/// A control message on its way.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) from: u32,
    pub(crate) envelope: Envelope,
}

impl Happening {
    /// A few numbers that tell it from others, for the trace.
    pub(crate) fn digest(&self) -> [u64; 3] {
        let pair = |from: u32, to: u32| u64::from(from) << 32 | u64::from(to);
        match self {
            Self::Message { to, letter } => [1, pair(letter.from, *to), letter.digest()],
            Self::Flight(flight) => [2, pair(flight.from, flight.to), flight.transfer.0],
            Self::Verified { rank, transfer, pieces, good } => {
                let first = pieces.first().map_or(0, |piece| piece.0);
                [3 + u64::from(*good), pair(*rank, first), transfer.0]
            }
            Self::Sent { from, to, transfer } => [5, pair(*from, *to), transfer.0],
            Self::Own(rank, _) => [6, u64::from(*rank), 0],
            Self::Tick { rank, number } => [7, u64::from(*rank), u64::from(*number)],
            Self::TrackerTick(rank) => [8, u64::from(*rank), 0],
            Self::Fault(number) => [9, *number as u64, 0],
            Self::Wake(rank) => [10, u64::from(*rank), 0],
            Self::Lost { to, gone } => [11, pair(*gone, *to), 0],
        }
    }
}

impl Letter {
    fn digest(&self) -> u64 {
        use swarm::message::{Between, Message};
        match &self.envelope.message {
            Message::Between(Between::Request { number, pieces, .. }) => {
                let spans = pieces.iter();
                spans.fold(u64::from(number.0) + 1000, |sum, span| {
                    sum.wrapping_mul(31).wrapping_add(u64::from(span.first))
                })
            }
            message => message.channel() as u64,
        }
    }
}
