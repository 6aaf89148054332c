//! One process of a job: it drives the pure machines of `swarm` with messages, disk, threads and
//! time.
//!
//! It decides nothing about the protocol, never prints, and knows no transport but the trait.

mod advice;
mod budget;
pub mod buffer;
pub mod conformance;
mod disk;
mod idle;
mod interrupt;
pub mod job;
mod limits;
pub mod memory;
mod notice;
pub mod observer;
mod prepare;
mod recent;
mod run;
pub mod transport;
mod trouble;
mod workers;

pub use buffer::{Buffer, Pool, SharedBuffer};
pub use interrupt::{Interrupt, Signal};
pub use job::{Command, Job, Keeps, Links, Naming, Share, TrackerPlace};
pub use notice::Notice;
pub use observer::{Observer, Phase, Progress};
pub use run::{Ended, run};
pub use store::{MetadataError, Notice as ShareNotice, ShareError, SourceError, WriteError};
pub use transport::{Arrival, Ticket, Transport};
pub use trouble::{Trouble, Words};
