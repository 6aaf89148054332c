//! The library: a job as a value, and what it came to as data. It never prints, never ends the
//! process, and knows no option of a command line.
//!
//! A program says what a rank is to do in a [`Job`], gives it a [`Transport`] and an [`Observer`],
//! and calls [`run`] on every rank. The transport decides where the ranks are: crate `mpi` has one
//! for the processes of an MPI job, [`memory`] one for the threads of a process.
//!
//! The observer hears of notices, of progress and, where the tracker is, of the report.
//! [`Snapshot`] and [`Document`] are the latter two as data that `serde` can write. A [`Reason`]
//! and a [`Notice`] are values: a program tells them apart, and words them for its users, or takes
//! the sentences that they have.
//!
//! # A cast in process
//!
//! Three ranks are threads here. Rank 0 tracks, and is a peer like the others; each ends with a
//! copy of the file in a directory of its own.
//!
//! ```
//! use shoal::{Document, Job, Notice, Observer, Progress, Report, memory};
//! use std::error::Error;
//!
//! /// Keeps the report.
//! #[derive(Default)]
//! struct Kept(Option<Document>);
//!
//! impl Observer for Kept {
//!     fn notice(&mut self, notice: &Notice) {
//!         eprintln!("{notice}");
//!     }
//!     fn progress(&mut self, _: &Progress) {}
//!     fn report(&mut self, report: &Report) {
//!         self.0 = Some(Document::of(report));
//!     }
//! }
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     let home = tempfile::tempdir()?;
//!     let source = home.path().join("model.bin");
//!     std::fs::write(&source, vec![7; 1 << 20])?;
//!     let into = |rank: usize| home.path().join(format!("node{rank}"));
//!     let ends = memory::network(3).into_iter();
//!     let mut ranks: Vec<_> = ends.map(|end| (end, Kept::default())).collect();
//!     std::thread::scope(|scope| {
//!         for (rank, (transport, kept)) in ranks.iter_mut().enumerate() {
//!             let job = Job::cast([source.clone()], into(rank));
//!             scope.spawn(move || shoal::run(job, transport, kept));
//!         }
//!     });
//!     let report = ranks[0].1.0.take().ok_or("the tracker reports")?;
//!     assert_eq!((report.outcome.as_str(), report.peers.len()), ("complete", 3));
//!     for rank in 0..3 {
//!         assert_eq!(std::fs::read(into(rank).join("model.bin"))?, vec![7; 1 << 20]);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The ends of the transport live until all ranks are over: a dropped one is a rank that died.

mod document;
mod snapshot;

pub use document::{Document, PeerDocument, TrackerDocument};
pub use node::{
    Arrival, Buffer, Command, Ended, Interrupt, Job, Keeps, Links, MetadataError, Naming, Notice,
    Observer, Phase, Pool, Progress, Share, ShareError, ShareNotice, SharedBuffer, Signal,
    SourceError, Ticket, TrackerPlace, Transport, Trouble, Words, WriteError, memory, run,
};
pub use snapshot::Snapshot;
pub use swarm::peer::Limits;
pub use swarm::{Outcome, Pattern, PeerRow, PeerState, Purpose, Rank, Reason, Report};
