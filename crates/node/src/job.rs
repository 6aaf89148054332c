//! What one rank is to do, as a value. It knows no option of a command line.

use crate::interrupt::Interrupt;
use crate::trouble::Words;
use content::{Name, PieceLen};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};
pub use store::{Keeps, Links, Naming, Share};
use swarm::peer::Limits;
use swarm::{Pattern, Purpose};

/// All that a rank is told. The placeholders are filled, the plan is applied.
#[derive(Debug, Clone)]
pub struct Job {
    /// Who reads what is shared, and whether a rank wants its own.
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
    /// How this rank words its troubles, which other ranks are told.
    pub words: Words,
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
    /// Pieces asked from one holder before the tracker is updated, unless told otherwise.
    pub const BATCH: u32 = 10;
    /// How long a rank may be silent, unless told otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(30);
    /// The least and the most workers of a rank that was not told how many: one can always wait for
    /// the disk while another hashes, and eight hash faster than any network we know delivers.
    const THREADS: std::ops::RangeInclusive<usize> = 2..=8;
    /// The most threads that hash what is shared, where nobody said how many. A host's other ranks
    /// wait meanwhile, or hash what they share; each thread has a piece in memory.
    const HASHERS_MAX: usize = 16;

    /// A job in which every rank makes a copy of the same sources in a directory of its own, under
    /// their own names. The lowest rank that has a source reads it; rank 0 is a peer, too.
    pub fn cast(sources: impl IntoIterator<Item = PathBuf>, into: impl Into<PathBuf>) -> Self {
        let naming = Naming::WithOwnName;
        let shares = sources.into_iter().map(|path| Share { naming, ..Share::new(path) });
        let (shares, into) = (shares.collect(), Some(into.into()));
        Self { shares, wants: vec![Pattern::everything()], into, ..Self::new(Command::Cast) }
    }

    /// A job in which this rank shares nothing and wants nothing yet, with defaults for the rest.
    /// In a [`Command::Run`] rank 0 only tracks.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            purpose: Purpose::Transfer,
            delete: false,
            shares: Vec::new(),
            wants: Vec::new(),
            into: None,
            tracker: match command {
                Command::Run => TrackerPlace::Dedicated,
                Command::Cast => TrackerPlace::Colocated,
            },
            shared_fs: false,
            keeps: Keeps::default(),
            piece_len: None,
            batch: Self::BATCH,
            memory: None,
            threads: 0,
            hashers: 0,
            patience: Self::PATIENCE,
            limits: Limits::default(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            rack: None,
            interrupt: Interrupt::default(),
            began: Instant::now(),
            words: Words::default(),
            problem: None,
        }
        .on_cores(available_parallelism().map_or(1, usize::from), 1)
    }

    /// The same with as many workers as suit a rank that has so many cores, and shares them with
    /// the other ranks of its host.
    #[must_use]
    pub fn on_cores(self, cores: usize, ranks_here: usize) -> Self {
        let threads = cores / ranks_here.max(1);
        let threads = threads.clamp(*Self::THREADS.start(), *Self::THREADS.end());
        Self { threads, hashers: cores.min(Self::HASHERS_MAX), ..self }
    }

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
