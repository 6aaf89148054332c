//! What the tests of whole jobs are made of: a world of directories, orders for each rank, and
//! faults on the way. It checks nothing but that a job ends in time.

mod cluster;
mod hook;
mod partial;
mod world;

pub use cluster::{Cluster, Told};
pub use hook::{
    Hook, corrupt, delay, die, die_after_pieces, die_at_piece, from_channel, slow, when_piece,
    without,
};
pub use partial::{leave_partial, pieces_in_partials};
pub use world::{Content, World, bytes, one_file, tree};

use content::PieceLen;
use node::{Command, Job, Naming, Share, TrackerPlace};
use std::path::PathBuf;
use std::time::Duration;
use swarm::Pattern;

/// The length of the pieces of all jobs here, unless one says otherwise: the shortest there is, so
/// that small files have many.
pub const PIECE: usize = 16 * 1024;

/// A rank of `shoal run` that shares nothing and wants nothing.
pub fn idle() -> Job {
    Job {
        piece_len: Some(PieceLen::MIN),
        threads: 2,
        hashers: 2,
        patience: Duration::from_secs(20),
        host: "here".into(),
        ..Job::new(Command::Run)
    }
}

/// A rank that shares a directory or file.
pub fn seeder(share: impl Into<PathBuf>) -> Job {
    let share = Share {
        path: share.into(),
        prefix: Vec::new(),
        links: node::Links::default(),
        keeps: node::Keeps::default(),
        naming: Naming::Inside,
    };
    Job { shares: vec![share], ..idle() }
}

/// A rank that wants everything.
pub fn leecher(into: impl Into<PathBuf>) -> Job {
    wanting("**", into, idle())
}

/// A rank that also wants what a pattern says.
pub fn wanting(pattern: &str, into: impl Into<PathBuf>, job: Job) -> Job {
    Job { wants: vec![Pattern::new(pattern).unwrap()], into: Some(into.into()), ..job }
}

/// A rank of `shoal cast`.
pub fn caster(source: impl Into<PathBuf>, into: impl Into<PathBuf>) -> Job {
    let share = Share {
        path: source.into(),
        prefix: Vec::new(),
        links: node::Links::default(),
        keeps: node::Keeps::default(),
        naming: Naming::WithOwnName,
    };
    let job = Job { shares: vec![share], command: Command::Cast, ..idle() };
    Job { tracker: TrackerPlace::Colocated, ..wanting("**", into, job) }
}
