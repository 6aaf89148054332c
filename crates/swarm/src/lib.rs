//! The swarm protocol: the tracker, the peer with its download and upload roles, the picker, the
//! messages.
//!
//! Everything here is pure. A machine takes an event and the time and returns actions; it never
//! reads a clock, opens a file or socket, starts a thread or asks for entropy. The same code runs
//! under MPI, in one process and in the simulator. Piece bytes never pass through it: it speaks of
//! pieces, and its driver moves them.

pub mod channel;
pub mod location;
pub mod message;
mod notice;
pub mod offer;
pub mod origins;
pub mod peer;
pub mod purpose;
mod random;
pub mod rank;
pub mod reason;
pub mod report;
pub mod schedule;
mod shelf;
mod succession;
pub mod time;
pub mod tracker;
pub mod want;

pub use channel::Channel;
pub use location::{Location, System};
pub use notice::Notice;
pub use offer::{Destination, Held, LeftOut, Lock, Offer, Origin, STALE_AFTER, ShareId};
pub use origins::EntryShares;
pub use purpose::{Differences, Extra, Purpose, Sweep};
pub use rank::Rank;
pub use reason::Reason;
pub use report::{Counters, LeftAlone, Outcome, PeerRow, PeerState, Report, SourceRead, Unequal};
pub use succession::Succession;
pub use time::Instant;
pub use want::{Pattern, PatternError};

/// The most bytes of a control message; longer content travels in parts.
pub const MAX_MESSAGE_LEN: usize = 64 * 1024;
