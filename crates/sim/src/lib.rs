//! A whole swarm in one thread: the unchanged tracker and peers, a model of the network and of each
//! disk, faults by plan or at random, and oracles that say when a promise was broken.
//!
//! Everything follows from a [`Scenario`], which holds the seed: equal scenarios give equal traces,
//! figures and findings. Time is virtual; nothing here reads a clock, opens a file, starts a thread
//! or asks for entropy. A scenario's [`std::fmt::Display`] is the command line that replays it.

mod bound;
mod disk;
mod estimate;
mod event;
mod fault;
mod figures;
mod future;
mod limits;
mod link;
mod machines;
mod misfortune;
mod network;
mod node;
mod oracle;
mod plan;
mod random;
mod reign;
mod scenario;
mod world;

pub use fault::{Fault, FaultError, FaultKind};
pub use figures::{Figures, Peaks};
pub use link::{Link, LinkError};
pub use oracle::Finding;
pub use plan::{random_plan, run_twice};
pub use scenario::{Scenario, ScenarioError};
pub use world::{Run, Sighting, run};
