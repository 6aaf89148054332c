//! What a running node tells its user. The command line implements it; nothing else prints.

use crate::notice::Notice;
use std::time::Duration;
use swarm::Report;

/// Hears of what happens. All calls come from the thread that runs the node.
pub trait Observer {
    /// Something that the user of this rank should know and can act on; the job goes on.
    fn notice(&mut self, notice: &Notice);

    /// How far the whole job is; called on the tracker only, a few times a second.
    fn progress(&mut self, progress: &Progress);

    /// The end; called once, on the tracker only, before the other ranks may exit. It writes the
    /// JSON, then prints and flushes the table: nothing may be printed afterwards.
    fn report(&mut self, report: &Report);
}

/// How far the job is, over all ranks.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// What the job does now.
    pub phase: Phase,
    /// Bytes wanted by all ranks together; 0 before START.
    pub bytes_wanted: u64,
    /// Of those, bytes that are there and verified.
    pub bytes_have: u64,
    /// Peers that have not been lost.
    pub peers: u32,
    /// Peers that have all they want.
    pub peers_done: u32,
    /// Since the process began.
    pub elapsed: Duration,
}

/// The phases of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Ranks scan and hash what they share.
    Preparing,
    /// Pieces move.
    Transferring,
    /// All have stopped; counters are collected.
    Finishing,
}
