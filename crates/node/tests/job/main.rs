//! Whole jobs in one process: every rank is a thread that runs the node with real directories, over
//! the transport in memory.
//!
//! Each test has a deadline of its own, so that a hang fails it and blocks nothing.

mod catalogue;
mod endings;
mod faults;
mod interrupts;
mod limits;
mod load;
mod losses;
mod memory;
mod refusals;
mod resume;
mod succession;
mod support;
mod transfers;
