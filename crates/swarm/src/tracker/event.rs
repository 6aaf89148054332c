//! Everything that goes into a tracker and comes out of it. Nothing is decided here.

use crate::message::{FromTracker, ToTracker};
use crate::report::Report;
use crate::{Notice, Rank};

/// What happens to a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackerEvent {
    /// A peer said something.
    Message {
        /// Who.
        from: Rank,
        /// What.
        message: ToTracker,
    },
    /// The tracker's own orders cannot be carried out; a sentence for people.
    Trouble(String),
    /// The transport knows that a rank is gone.
    Lost(Rank),
    /// A signal told the tracker's rank to stop, and so the job; a sentence that names it.
    Interrupt(String),
    /// Time has passed; to be sent a few times a second.
    Tick,
}

/// What a tracker wants done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum TrackerAction {
    /// Send a message.
    Send {
        /// To whom.
        to: Rank,
        /// What.
        message: FromTracker,
    },
    /// Tell the user something that does not stop the job.
    Notice(Notice),
    /// Write and print the report, before anything that follows.
    Report(Box<Report>),
}
