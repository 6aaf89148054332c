//! The messages of the protocol and their form on the wire.
//!
//! A message is a header (format version, direction, epoch) and a body in postcard's encoding.
//! There is one enum a direction, so that a machine can only be handed what is meant for it; each
//! message knows its channel, and one that arrives on another channel is refused. Decoding never
//! panics and never allocates more than a small multiple of the bytes that arrived.

mod between;
mod from_tracker;
mod hello;
mod parts;
mod pieces;
mod reading;
mod show;
mod to_tracker;

pub(crate) use between::MAX_BATCH;
pub use between::{Ack, Between, RequestNumber};
pub use from_tracker::{FromTracker, HolderPieces, Origins, Start};
pub use hello::{Hello, HelloPart, SharedPath};
pub use parts::{PART_BYTES, parts};
pub(crate) use parts::{cut, parts_within};
pub use pieces::PieceSet;
pub use reading::{Keep, PiecesRead, Proven, ReadAgain, ReadFault, ReadOrder, SharedFs, Unread};
pub use to_tracker::{Differing, Gains, Rate, Recall, Rejoined, Stop, ToTracker, WireOffer};

use crate::{Channel, MAX_MESSAGE_LEN, Rank};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of the wire format. Ranks of one job run one binary; this catches the case that they
/// do not.
pub const FORMAT_VERSION: u8 = 1;

/// Bytes in front of the body: version, direction, epoch.
const HEADER_LEN: usize = 6;

/// Which tracker reigns: the rank that tracks. A higher epoch deposes a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch of the first tracker.
    pub const FIRST: Self = Self(Rank::TRACKER.0);
}

/// A message with its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The epoch in which it was sent.
    pub epoch: Epoch,
    /// What it says.
    pub message: Message,
}

/// A message of any direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// From a peer to the tracker.
    ToTracker(ToTracker),
    /// From the tracker to a peer.
    FromTracker(FromTracker),
    /// From a peer to a peer.
    Between(Between),
}

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Fewer bytes than a header, or more than [`MAX_MESSAGE_LEN`].
    #[error("a message of {0} bytes cannot be one of Shoal's")]
    Length(usize),
    /// Another version of the format.
    #[error(
        "format version {0}, but this binary speaks {FORMAT_VERSION}: all ranks must run one binary"
    )]
    Version(u8),
    /// No such direction.
    #[error("unknown direction {0}")]
    Direction(u8),
    /// The body is not what its direction says.
    #[error("the body does not decode: {0}")]
    Body(String),
    /// A message that does not belong on the channel that it came on.
    #[error("a message of channel {belongs} came on channel {came}")]
    Channel {
        /// Where it belongs.
        belongs: Channel,
        /// Where it came.
        came: Channel,
    },
}

impl Message {
    /// The channel on which it travels.
    pub fn channel(&self) -> Channel {
        match self {
            Self::ToTracker(message) => message.channel(),
            Self::FromTracker(message) => message.channel(),
            Self::Between(message) => message.channel(),
        }
    }

    fn direction(&self) -> u8 {
        match self {
            Self::ToTracker(_) => 0,
            Self::FromTracker(_) => 1,
            Self::Between(_) => 2,
        }
    }
}

impl Envelope {
    /// Whether this says that the tracker of an epoch tracks no more: there is a higher epoch, or
    /// its sender does not obey it.
    pub fn deposes(&self, tracker: Epoch) -> bool {
        self.epoch > tracker || self.message == Message::Between(Between::Unseated)
    }

    /// The bytes to send.
    ///
    /// # Panics
    ///
    /// Panics where they exceed [`MAX_MESSAGE_LEN`]: whoever makes long messages cuts them with
    /// [`parts`].
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(FORMAT_VERSION);
        bytes.push(self.message.direction());
        bytes.extend(self.epoch.0.to_le_bytes());
        let bytes = match &self.message {
            Message::ToTracker(message) => postcard::to_extend(message, bytes),
            Message::FromTracker(message) => postcard::to_extend(message, bytes),
            Message::Between(message) => postcard::to_extend(message, bytes),
        }
        .expect("a growing vector takes every message");
        assert!(bytes.len() <= MAX_MESSAGE_LEN, "a message of {} bytes", bytes.len());
        bytes
    }

    /// Reads what came on a channel.
    ///
    /// # Errors
    ///
    /// Says why bytes are no message, or do not belong on the channel.
    pub fn decode(channel: Channel, bytes: &[u8]) -> Result<Self, DecodeError> {
        if !(HEADER_LEN..=MAX_MESSAGE_LEN).contains(&bytes.len()) {
            return Err(DecodeError::Length(bytes.len()));
        }
        let (header, body) = bytes.split_at(HEADER_LEN);
        if header[0] != FORMAT_VERSION {
            return Err(DecodeError::Version(header[0]));
        }
        let epoch = Epoch(u32::from_le_bytes([header[2], header[3], header[4], header[5]]));
        let message = match header[1] {
            0 => Message::ToTracker(whole(body)?),
            1 => Message::FromTracker(whole(body)?),
            2 => Message::Between(whole(body)?),
            other => return Err(DecodeError::Direction(other)),
        };
        let belongs = message.channel();
        if belongs != channel {
            return Err(DecodeError::Channel { belongs, came: channel });
        }
        Ok(Self { epoch, message })
    }
}

/// Decodes a body that must use all its bytes.
fn whole<T: DeserializeOwned>(body: &[u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(body) {
        Ok((message, [])) => Ok(message),
        Ok((_, rest)) => Err(DecodeError::Body(format!("{} bytes too many", rest.len()))),
        Err(error) => Err(DecodeError::Body(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
