//! One process of a job: it drives the pure machines of `swarm` with messages, disk, threads and time.
//!
//! It decides nothing about the protocol, never prints, and knows no transport but the trait.

pub mod buffer;
pub mod job;
pub mod observer;
pub mod transport;

pub use buffer::{Buffer, Pool, SharedBuffer};
pub use job::{Command, Job, Naming, Share, TrackerPlace};
pub use observer::{Observer, Phase, Progress};
pub use transport::{Arrival, Ticket, Transport};
