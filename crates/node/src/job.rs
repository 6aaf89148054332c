//! What one rank is to do: the command line, resolved for this rank.

use crate::interrupt::Interrupt;
use content::{Name, PieceLen};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use swarm::peer::Limits;
use swarm::{Pattern, Purpose, ShareId};

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

/// A file or directory that a rank offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Where it is.
    pub path: PathBuf,
    /// What is put before every name, in bytes, as it is: `rank3/`, say.
    pub prefix: Vec<u8>,
    /// What becomes of symbolic links in it.
    pub links: Links,
    /// Whether a directory's own name stands before the names in it, and the directory itself is an
    /// entry (`cast`), or its content alone is shared (`run`).
    pub naming: Naming,
    /// What is kept of it.
    pub keeps: Keeps,
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

impl Share {
    /// What tells it apart from other shares, of this job and of later ones: where it is, and how
    /// what is in it is named.
    pub(crate) fn id(&self) -> ShareId {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        // Without slashes at the end, and such.
        let path: PathBuf = path.components().collect();
        let naming: &[u8] = match self.naming {
            Naming::Inside => b"inside",
            Naming::WithOwnName => b"own name",
        };
        ShareId::of([path.as_os_str().as_bytes(), &self.prefix, naming])
    }
}

/// What is kept of what is shared, beside content, mode and modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keeps {
    /// User and group, by number.
    pub owner: bool,
    /// Extended attributes, access control lists among them.
    pub xattrs: bool,
}

/// What becomes of symbolic links in what is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Links {
    /// They are shared as links.
    #[default]
    Kept,
    /// What they lead to is shared under their names.
    Followed,
}

/// How the names under a shared directory begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Relative to the directory.
    Inside,
    /// With the directory's own name.
    WithOwnName,
}
