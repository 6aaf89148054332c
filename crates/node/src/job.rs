//! What one rank is to do: the command line, resolved for this rank.

use crate::interrupt::Interrupt;
use content::{Name, PieceLen};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
pub use store::{Keeps, Links, Naming, Share};
use swarm::peer::Limits;
use swarm::{Pattern, Purpose};

/// All that a rank is told. The placeholders are filled, the plan is applied.
#[derive(Debug, Clone)]
pub struct Job {
    /// The command that was given.
    pub command: Command,
    /// What the job is for.
    pub purpose: Purpose,
    /// Whether what the catalogue lacks is removed from the destination; in a look, listed.
    pub delete: bool,
    /// What this rank offers (`run`), or where it looks for the sources (`cast`).
    pub shares: Vec<Share>,
    /// What it wants; nothing where empty.
    pub wants: Vec<Pattern>,
    /// Where wanted files land.
    pub into: Option<PathBuf>,
    /// Whether rank 0 only tracks, or is a peer too.
    pub tracker: TrackerPlace,
    /// Whether all ranks see the shares at the same paths: they are read once in all.
    pub shared_fs: bool,
    /// What is kept of what all ranks share; what a rank receives must be able to.
    pub keeps: Keeps,
    /// The piece length of files offered here; by each file's length where none is given.
    pub piece_len: Option<PieceLen>,
    /// Pieces asked from one holder before the tracker is updated.
    pub batch: u32,
    /// Bytes that this rank may use for pieces; a default where none is given.
    pub memory: Option<u64>,
    /// Workers for disk and hashing.
    pub threads: usize,
    /// Threads that hash what is offered here. They end before the transfer begins.
    pub hashers: usize,
    /// A rank silent for so long counts as lost.
    pub patience: Duration,
    /// What this rank may send and receive.
    pub limits: Limits,
    /// The name of this rank's host.
    pub host: String,
    /// The name of its rack, where it was told one.
    pub rack: Option<String>,
    /// Raised where a signal tells this rank to stop.
    pub interrupt: Interrupt,
    /// When this process began.
    pub began: Instant,
    /// What is wrong with this rank's orders (a bad plan, say); the job is refused with it.
    pub problem: Option<String>,
}

/// Which command a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Every rank offers its own shares, and never wants what it shares itself.
    Run,
    /// The shares are the same sources on all ranks; the lowest rank that has one reads it, and all
    /// want it.
    Cast,
}

/// Whether rank 0 is a peer beside being the tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackerPlace {
    /// Rank 0 only tracks.
    Dedicated,
    /// Rank 0 tracks and is a peer.
    Colocated,
}

impl Job {
    /// Whether a name may be one of the job's, as far as this rank's own orders tell: all ranks of
    /// a cast are told the same sources, and all its names begin with those of the sources.
    pub(crate) fn may_share(&self, name: &Name) -> bool {
        let is_below = |share: &Share| {
            let Some(own) = share.path.file_name() else { return true };
            let top = [&share.prefix, own.as_bytes()].concat();
            let rest = name.as_bytes().strip_prefix(top.as_slice());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.command == Command::Run || self.shares.iter().any(is_below)
    }
}
