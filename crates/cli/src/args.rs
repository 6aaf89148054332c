//! The command line's grammar. It only parses: what the values mean together is decided in `front`
//! and `job`.

use crate::placeholder::Template;
use crate::size;
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{ArgAction, Parser, ValueEnum};
use content::PieceLen;
use shoal::TrackerPlace;
use std::path::PathBuf;
use std::time::Duration;
use swarm::{Pattern, PatternError};

/// Puts files on every machine of a cluster job, at the speed of the network
#[derive(Debug, Parser)]
#[command(
    name = "shoal",
    bin_name = "shoal",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Try 'shoal COMMAND -h' for its options in short, 'shoal COMMAND --help' for all.",
    after_long_help = concat!(
        include_str!("help/examples.txt"), "\n",
        include_str!("help/mpi.txt"), "\n",
        include_str!("help/status.txt")
    )
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Subcommand,
}

/// The commands.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Every rank offers what it shares and fetches what it wants
    #[command(after_long_help = concat!(
        include_str!("help/kept.txt"), "\n",
        include_str!("help/placeholders.txt"), "\n",
        include_str!("help/plan.txt"), "\n",
        include_str!("help/mpi.txt"), "\n",
        include_str!("help/status.txt")
    ))]
    Run(Box<RunArgs>),
    /// Make DEST_DIR/<name of SRC> (file or tree) on every rank
    #[command(after_long_help = concat!(
        include_str!("help/kept.txt"), "\n",
        include_str!("help/placeholders.txt"), "\n",
        include_str!("help/mpi.txt"), "\n",
        include_str!("help/status.txt")
    ))]
    Cast(Box<CastArgs>),
    /// The same protocol in a simulated cluster
    #[command(after_long_help = include_str!("help/simulate.txt"))]
    Simulate(Box<SimulateArgs>),
}

/// `shoal run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// A file or directory that this rank offers
    ///
    /// May be given several times. Names in the catalogue are relative to PATH for a directory,
    /// the file's name for a file; a trailing '/' means nothing. Missing on some ranks: a notice.
    /// Missing on all: refused.
    #[arg(verbatim_doc_comment, long, value_name = "PATH", value_parser = path())]
    pub share: Vec<Template>,
    /// Put before every name that this rank shares
    ///
    /// --prefix 'rank{rank}/' gathers equal names from many ranks.
    #[arg(verbatim_doc_comment, long, value_name = "TEXT", value_parser = text())]
    pub prefix: Option<Template>,
    /// What this rank downloads [default: **]
    ///
    /// May be given several times. '*' and '?' do not cross '/', '**' does; names that begin with
    /// a dot match. '[a-c]' is one of these characters, '[!a-c]' none of them, '{x,y}' either text.
    /// '\' before a character makes it an ordinary one: 'a\[1]' is the file a[1]. A pattern without
    /// '*' and '?' that names a directory takes all below it; a pattern with '/' at its end takes
    /// directories alone, with all below them. --want '' wants nothing. A rank never wants what it
    /// shares itself.
    #[arg(verbatim_doc_comment, long, value_name = "GLOB", value_parser = parse_want)]
    pub want: Vec<Want>,
    /// Where wanted files land (made if absent)
    ///
    /// Needed where something is wanted. Where it lies in what this rank shares it is not shared
    /// itself: what is in it is counted in a notice, or refuses the job where others would miss it.
    /// Where another job is at work in it, that is waited for up to 5 seconds, then refused.
    #[arg(verbatim_doc_comment, long, value_name = "DIR", value_parser = path())]
    pub into: Option<Template>,
    /// TOML; gives ranks or hosts their own share, prefix, want and into
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub plan: Option<Template>,
    /// Whether rank 0 only tracks, or is a peer too [default: dedicated]
    #[arg(long, value_name = "dedicated|colocated", hide_possible_values = true)]
    pub tracker: Option<TrackerArg>,
    /// What all commands take.
    #[command(flatten)]
    pub common: Common,
}

/// `shoal cast`.
#[derive(Debug, clap::Args)]
pub struct CastArgs {
    /// A file or directory; the lowest rank that has it reads it
    #[arg(required = true, value_name = "SRC", value_parser = path())]
    pub sources: Vec<Template>,
    /// The directory that it is put in on every rank (made if absent)
    ///
    /// Where it lies in SRC it is not shared itself: copies that are in it are counted in a notice,
    /// anything else refuses the job. Where another job is at work in it, that is waited for up to
    /// 5 seconds, then refused.
    #[arg(verbatim_doc_comment, required = true, value_name = "DEST_DIR", value_parser = path())]
    pub dest_dir: Template,
    /// Whether rank 0 only tracks, or is a peer too [default: colocated]
    #[arg(long, value_name = "dedicated|colocated", hide_possible_values = true)]
    pub tracker: Option<TrackerArg>,
    /// What all commands take.
    #[command(flatten)]
    pub common: Common,
}

/// `shoal simulate`.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// Ranks that hold or fetch the file, numbered from 1; rank 0 tracks
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = whole)]
    pub peers: u32,
    /// Pieces
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = whole)]
    pub pieces: u32,
    /// Files that the pieces are spread over
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole)]
    pub files: u32,
    /// Peers that have everything at the beginning: the first ones
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole)]
    pub seeders: u32,
    /// Hosts that the peers are dealt to in turn [default: one a peer]
    #[arg(long, value_name = "N", value_parser = whole)]
    pub hosts: Option<u32>,
    /// Racks that the hosts fill one after the other
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole)]
    pub racks: u32,
    /// Pieces a round that cross a rack's uplink each way [default: as many as its hosts send]
    #[arg(long, value_name = "N", value_parser = whole)]
    pub uplink: Option<u32>,
    /// Do not tell the ranks of the racks, as where neither a plan nor Slurm names any
    #[arg(long)]
    pub racks_untold: bool,
    /// Links of another rate: up, or up/down, as a share of the others', as in 4-7=0.5/2
    #[arg(long, value_name = "RANKS=UP[/DOWN]")]
    pub link: Vec<sim::Link>,
    /// The time of a piece on a link, in microseconds: one round
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 10_000, value_parser = whole_u64)]
    pub round: u64,
    /// The time of a message, and of a piece's first byte, from host to host
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 100, value_parser = whole_u64)]
    pub latency: u64,
    /// The time to verify and write a piece
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 500, value_parser = whole_u64)]
    pub disk: u64,
    /// Pieces asked from one holder before the tracker is updated
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole)]
    pub batch: u32,
    /// Pieces that a peer may have asked for and not yet written
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole)]
    pub window: u32,
    /// Pieces that a peer may be sending
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = whole)]
    pub upload_window: u32,
    /// A rank silent for so long counts as lost
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = whole_u64)]
    pub patience: u64,
    /// Peers fetch the list of files from each other, in parts of so many bytes; 0: a long one
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = whole)]
    pub catalogue_part: u32,
    /// Peers that are slow from the beginning: the last ones
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole)]
    pub slow_peers: u32,
    /// How many times slower their links and disks are
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole_u64)]
    pub slow_factor: u64,
    /// Peers that die, and in which round; the others are told
    #[arg(long, value_name = "RANK@ROUND")]
    pub kill: Vec<String>,
    /// Something that goes wrong
    ///
    /// kill:RANK@ROUND         it dies, and the others are told
    /// vanish:RANK@ROUND       it dies, and nobody is told
    /// hang:RANK@ROUND:ROUNDS  it does nothing for so long
    /// slow:RANK@ROUND:FACTOR  its links and its disk are so many times slower from then on
    /// corrupt:RANK@ROUND:PERCENT  of the pieces that it sends, so many are corrupt
    /// full:RANK@ROUND         its disk is full
    /// lose:RANK@ROUND[:FILE]  it can no longer read what it holds, or one file of it
    /// late:RANK@ROUND:ROUNDS  its messages are late, by up to so much
    #[arg(verbatim_doc_comment, long, value_name = "KIND:RANK@ROUND[:VALUE]")]
    pub fault: Vec<sim::Fault>,
    /// So many faults besides, drawn from the seed
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole)]
    pub faults: u32,
    /// The seed of all that is left to chance; equal seeds give equal runs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole_u64)]
    pub seed: u64,
    /// Check the machines' invariants after every so many events; 0: never
    ///
    /// Unless told otherwise after each in a small run, and now and then in a big one.
    #[arg(verbatim_doc_comment, long, value_name = "N", value_parser = whole)]
    pub check_every: Option<u32>,
    /// Instead of one job: so many small ones in which a lot goes wrong, drawn from --seed and on
    ///
    /// Each is run twice, and printed with the command that replays it where it breaks a promise.
    #[arg(verbatim_doc_comment, long, value_name = "N", value_parser = whole_u64,
        conflicts_with_all = [
            "peers", "pieces", "files", "seeders", "hosts", "racks", "uplink",
            "racks_untold", "link", "round",
            "latency", "disk", "batch", "window", "upload_window", "patience", "slow_peers",
            "slow_factor", "kill", "fault", "faults", "check_every", "json",
            "catalogue_part",
        ])]
    pub plans: Option<u64>,
    /// How progress is shown on standard error
    #[arg(
        long,
        value_name = "auto|bar|plain|none",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub progress: ProgressArg,
    /// Write the figures as JSON ('-' is standard output); equal seeds give equal files
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The options of all commands.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// Start N ranks (tracker included) without a launcher
    ///
    /// shoal starts itself under the mpirun or mpiexec on the PATH, or under srun inside a Slurm
    /// allocation.
    #[arg(
        verbatim_doc_comment,
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = size::parse_ranks
    )]
    pub ranks: Option<u32>,
    /// SRC is visible on every rank: each reads a part, so that it is read once in all
    ///
    /// For a parallel or network file system. What one rank has read the others fetch from it. cast
    /// does so unasked where SRC lies on a known network file system (NFS, Lustre, GPFS, BeeGFS,
    /// Ceph, ...), or several hosts see the same one. For run, every rank shares the same PATH.
    /// With --check or --dry-run one rank reads it all, or knows its digests from before.
    #[arg(verbatim_doc_comment, long)]
    pub shared_fs: bool,
    /// Share what symbolic links lead to, under their names, as 'cp -L' does
    ///
    /// For trees of links into a store, as model hubs keep them. What links lead to is content
    /// then, files and directories, also outside of what is shared. Links that lead nowhere or in a
    /// circle stay links, and are named in a notice; so are links to another file system, which
    /// are followed. A plan has no key for it: it holds for all ranks. Not with --delete, which
    /// might remove what links lead to. Without it links arrive as they are, and a notice counts
    /// those that lead out of what is shared.
    #[arg(verbatim_doc_comment, long, conflicts_with = "delete")]
    pub follow_links: bool,
    /// Keep user and group, by number
    ///
    /// As root, on every rank that receives; else the job is refused. Without it what arrives
    /// belongs to whoever receives. --check compares it, too.
    #[arg(verbatim_doc_comment, long)]
    pub owner: bool,
    /// Keep extended attributes
    ///
    /// Those of users ('user.*'); as root also 'trusted.*', 'security.*' (capabilities, but no
    /// labels and signatures, which are the system's own) and POSIX access control lists. Not
    /// those of links. A file system that keeps none refuses this rank, and says so. --check
    /// compares them, too.
    #[arg(verbatim_doc_comment, long)]
    pub xattrs: bool,
    /// A power of two from 16 KiB to 64 MiB, as in 1MiB [default: by each file's length]
    ///
    /// The default is the file's length / 1024 rounded up to a power of two, within 256 KiB and
    /// 4 MiB.
    #[arg(verbatim_doc_comment, long, value_name = "SIZE", value_parser = size::parse_piece_len)]
    pub piece_length: Option<PieceLen>,
    /// Pieces asked from one holder before the tracker is updated
    #[arg(
        long, value_name = "N", default_value = "10", allow_negative_numbers = true,
        value_parser = size::parse_batch
    )]
    pub batch: u32,
    /// Workers for disk and hashing on each rank [default: from the cores this rank may use]
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = size::parse_threads
    )]
    pub threads: Option<usize>,
    /// The bound on the buffers of a rank, as in 64MiB [default: about 100 MiB]
    ///
    /// For pieces that come, go, or are kept to be sent again. Sixteen of the longest pieces at
    /// least: they are of 4 MiB in files of 4 GiB and more, unless --piece-length makes them
    /// shorter, and small files travel together up to 1 MiB.
    #[arg(
        verbatim_doc_comment, long, value_name = "SIZE", allow_negative_numbers = true,
        value_parser = size::parse_memory
    )]
    pub memory: Option<u64>,
    /// A rank silent for so long counts as lost; fractions allowed
    #[arg(
        long, value_name = "SECONDS", default_value = "30", allow_negative_numbers = true,
        value_parser = size::parse_patience
    )]
    pub patience: Duration,
    /// The most that this rank sends, in bytes a second, as in 150MB or 1.5GiB
    ///
    /// The cap is kept piece by piece: in T seconds no more than RATE * T goes, and one piece
    /// beside. Where that is too coarse, --piece-length makes shorter pieces.
    #[arg(
        verbatim_doc_comment, long, value_name = "RATE", allow_negative_numbers = true,
        value_parser = size::parse_rate
    )]
    pub limit_upload: Option<u64>,
    /// The most that this rank receives, in bytes a second
    #[arg(
        long, value_name = "RATE", allow_negative_numbers = true,
        value_parser = size::parse_rate
    )]
    pub limit_download: Option<u64>,
    /// Say what is missing or different, rank by rank, and write nothing
    ///
    /// Every wanted file is read and compared: its content, mode and modification time. Nothing is
    /// made, locked or changed at the destination. Status 0 where all is equal, 3 where not.
    #[arg(verbatim_doc_comment, long)]
    pub check: bool,
    /// Say what would be received and written, and whether that could be; write nothing
    ///
    /// The table, the report and the status are those that the run would end with, as far as that
    /// can be known: what the destination refuses is told, and what would be written counts as
    /// delivered. Of a file that differs all of it counts, although only the pieces that differ
    /// would move.
    #[arg(verbatim_doc_comment, long, conflicts_with = "check")]
    pub dry_run: bool,
    /// Remove what the catalogue lacks from every destination
    ///
    /// At the end, and only where the job is complete on all ranks: files, links and directories
    /// that no rank shares any more. 'run' looks everywhere below DIR, 'cast' only below
    /// DEST_DIR/<name of SRC>. What this rank shares and other file systems mounted below are left
    /// alone. What interrupted jobs left in .shoal goes, too, where this job has no use for it
    /// (without --delete it goes after 14 days). Where it would remove what another rank shares, by
    /// whatever mount, the job is refused. With --check they are listed, with --dry-run counted.
    /// Before the end, what a directory has in it is removed where a file or link must take its
    /// place.
    #[arg(verbatim_doc_comment, long)]
    pub delete: bool,
    /// How progress is shown on standard error
    ///
    /// auto is a bar on a terminal and a line now and then elsewhere (a launcher's pipe is no
    /// terminal); none is nothing.
    #[arg(
        verbatim_doc_comment,
        long,
        value_name = "auto|bar|plain|none",
        default_value = "auto",
        hide_possible_values = true
    )]
    pub progress: ProgressArg,
    /// Write the report as JSON; the tracker does ('-' is standard output)
    ///
    /// Where no report can be written the job is refused. Where that shows only at the end, as with
    /// a pipe that nobody reads, the status is 3. In names a backslash is '\\', and a byte that is
    /// not UTF-8 is '\xNN'.
    #[arg(verbatim_doc_comment, long, value_name = "FILE", value_parser = path())]
    pub json: Option<Template>,
    /// -v shows phases and the MPI library, -vv every message with its rank, channel and tag
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// One `--want`: a pattern, or the empty one that wants nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// `--want ''`.
    Nothing,
    /// Names that match.
    Matching(Pattern),
}

/// `--tracker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TrackerArg {
    /// Rank 0 only tracks
    Dedicated,
    /// Rank 0 tracks and is a peer too
    Colocated,
}

impl From<TrackerArg> for TrackerPlace {
    fn from(arg: TrackerArg) -> Self {
        match arg {
            TrackerArg::Dedicated => Self::Dedicated,
            TrackerArg::Colocated => Self::Colocated,
        }
    }
}

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// A bar on a terminal, lines elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line now and then
    Plain,
    /// Nothing
    None,
}

fn path() -> impl TypedValueParser<Value = Template> {
    OsStringValueParser::new().try_map(|text| Template::parse_path(&text))
}

fn text() -> impl TypedValueParser<Value = Template> {
    OsStringValueParser::new().try_map(|text| Template::parse(&text))
}

fn parse_want(text: &str) -> Result<Want, PatternError> {
    if text.is_empty() { Ok(Want::Nothing) } else { Pattern::new(text).map(Want::Matching) }
}

fn whole(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "it is a whole number")
}

fn whole_u64(text: &str) -> Result<u64, &'static str> {
    text.parse().map_err(|_| "it is a whole number")
}
