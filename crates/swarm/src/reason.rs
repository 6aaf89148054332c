//! Why a job was refused or did not end well, as values. The sentences here name what a job is
//! told (a prefix, a piece length), and no option of a command line: whoever shows them to a user
//! may word them in its own terms.

use crate::{Purpose, Rank};
use content::{CatalogueError, Name};

/// Why a job was refused, did not end well, or brought less to a rank than that wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No rank was told to share anything.
    #[error(
        "nothing is shared: share a path on at least one peer (rank 0 is none where it only tracks)"
    )]
    NothingShared,
    /// What is to be shared holds nothing.
    #[error("nothing is shared: what is to be shared holds no file")]
    NoFileShared,
    /// A path that ranks were told to share is nowhere.
    #[error("'{path}' exists on no rank that shares it: check the path")]
    ShareNowhere {
        /// The path as it was given.
        path: String,
    },
    /// Two ranks share something else under one name.
    #[error("{}: {APART} a prefix", different_contents(name, sides))]
    DifferentContents {
        /// The name.
        name: Name,
        /// What each of the two shares.
        sides: Box<[Side; 2]>,
    },
    /// Two ranks share one content in pieces of different lengths.
    #[error(
        "ranks {} and {} share '{name}' with different piece lengths: give all ranks the same",
        ranks[0],
        ranks[1]
    )]
    DifferentPieceLengths {
        /// The name.
        name: Name,
        /// The two.
        ranks: [Rank; 2],
    },
    /// Two ranks offer what is to be read once, for all ranks see it.
    #[error(
        "ranks {} and {} both found a source '{name}', which is read once where all ranks see it: \
         {APART} a prefix",
        ranks[0],
        ranks[1]
    )]
    SourceFoundTwice {
        /// The name.
        name: Name,
        /// The two.
        ranks: [Rank; 2],
    },
    /// A name would need another entry, which is no directory, to be one.
    #[error("{}: tell them apart with a prefix", below_no_directory(above, below))]
    BelowNoDirectory {
        /// The entry that is no directory, and what it is.
        above: (Rank, Name, &'static str),
        /// The name below it.
        below: (Rank, Name),
    },
    /// All entries together are too many.
    #[error("{0}")]
    TooMany(CatalogueError),
    /// A rank's pattern takes nothing.
    #[error("rank {rank} wants '{pattern}', which matches no name of the catalogue; {}", hint.told("want nothing"))]
    MatchesNothing {
        /// The rank.
        rank: Rank,
        /// Its pattern.
        pattern: String,
        /// What was meant perhaps.
        hint: Hint,
    },
    /// Some ranks were told to change destinations, and some to look only.
    #[error(
        "the rank that tracks was told to {}, and rank {} otherwise: give all ranks the same job",
        purpose.word(),
        listed(ranks)
    )]
    OtherPurpose {
        /// What the tracker was told.
        purpose: Purpose,
        /// Some of those that were told otherwise.
        ranks: Vec<Rank>,
    },
    /// A rank's memory does not hold enough pieces.
    #[error(
        "a memory of {memory_kib} KiB is too little for pieces of {longest_kib} KiB: give \
         {least_mib} MiB at least{}",
        fitting_kib.map_or_else(String::new, |kib| format!(", or share in pieces of {kib} KiB"))
    )]
    TooLittleMemory {
        /// What a rank may use.
        memory_kib: u64,
        /// The longest that travels in one.
        longest_kib: u64,
        /// The least that suffices.
        least_mib: u64,
        /// The longest pieces that would fit, where shorter ones help.
        fitting_kib: Option<u64>,
    },
    /// Another job has a destination.
    #[error(
        "the destination '{path}' of rank {rank} is in use by another job ({owner}): wait for it, \
         or choose another destination"
    )]
    InUse {
        /// Where it is.
        path: String,
        /// Whose it is.
        rank: Rank,
        /// Who has it.
        owner: String,
    },
    /// What arrives would be shared again.
    #[error(
        "'{}', the destination of rank {}, lies in what rank {} shares, '{}': what arrives there \
         would be shared again; choose a destination outside of it",
        into.1, into.0, share.0, share.1
    )]
    DestinationInShare {
        /// The destination: whose, and where.
        into: (Rank, String),
        /// The share: whose, and where.
        share: (Rank, String),
    },
    /// What is shared would be removed from a destination, for it has no such name there.
    #[error(
        "what rank {} shares would be removed: '{}' {} '{}', the destination of rank {}; choose \
         another destination, or remove nothing",
        share.0, share.1, nesting.words(), into.1, into.0
    )]
    RemovesShare {
        /// The share: whose, and where.
        share: (Rank, String),
        /// How it lies there.
        nesting: Nesting,
        /// The destination: whose, and where.
        into: (Rank, String),
    },
    /// What is shared might be removed: two hosts see it and a destination on network file systems
    /// of one kind, under different names.
    #[error(
        "what rank {} shares might be removed: from here nobody can tell whether '{}' lies in \
         '{}', the destination of rank {}, for the two hosts mount them under different names; \
         mount both file systems alike, or remove nothing",
        share.0, share.1, into.1, into.0
    )]
    MightRemoveShare {
        /// The share: whose, and where.
        share: (Rank, String),
        /// The destination: whose, and where.
        into: (Rank, String),
    },
    /// A rank wants something and was told no destination.
    #[error("rank {rank} cannot receive: it has no destination")]
    NoDestination {
        /// The rank.
        rank: Rank,
    },
    /// Destinations that were compared lack something, or have more.
    #[error(
        "{} not up to date; the same job, told to transfer, brings what can be into place",
        match ranks { 1 => "1 rank is".to_owned(), ranks => format!("{ranks} ranks are") }
    )]
    NotUpToDate {
        /// How many ranks.
        ranks: usize,
    },
    /// Of a rank: the job was refused, for this reason.
    #[error("the job was refused: {0}")]
    JobRefused(Box<Reason>),
    /// A sentence that names nothing which a job is told, or one from a rank that had the words for
    /// it.
    #[error("{0}")]
    Told(String),
}

/// What is done about two things of one name.
const APART: &str = "share one of them only, or tell them apart with";

/// What one of two ranks shares under the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The rank.
    pub rank: Rank,
    /// What it shares, in short.
    pub what: String,
}

/// How a share lies in a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nesting {
    /// Below it.
    InDestination,
    /// In what the job itself makes there (`cast`).
    InCopy,
}

impl Nesting {
    /// How it lies there, for the middle of a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::InDestination => "lies in",
            Self::InCopy => "lies in what this cast makes in",
        }
    }
}

/// What a pattern that takes nothing was meant to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// A sentence with another pattern, which takes something.
    Meant(String),
    /// Nobody knows; perhaps with what was tried.
    Unknown(Option<String>),
}

impl Hint {
    /// A sentence; `want_nothing` says how that is asked for.
    pub fn told(&self, want_nothing: &str) -> String {
        let see = format!("see what is shared, or {want_nothing}");
        match self {
            Self::Meant(sentence) => sentence.clone(),
            Self::Unknown(None) => see,
            Self::Unknown(Some(tried)) => format!("{tried}: {see}"),
        }
    }
}

/// The first part of a sentence: which name it is, and what each side shares.
pub fn different_contents(name: &Name, sides: &[Side; 2]) -> String {
    let [first, second] = sides;
    format!(
        "ranks {} and {} share different contents as '{name}' (rank {}: {}; rank {}: {})",
        first.rank, second.rank, first.rank, first.what, second.rank, second.what
    )
}

/// The first part of a sentence: which name lies below which, and whose they are.
pub fn below_no_directory(above: &(Rank, Name, &str), below: &(Rank, Name)) -> String {
    let ((owner, file, kind), (rank, name)) = (above, below);
    format!("rank {owner} shares '{file}' as a {kind}, and rank {rank} shares '{name}' below it")
}

/// Ranks, separated by commas.
pub fn listed(ranks: &[Rank]) -> String {
    ranks.iter().map(Rank::to_string).collect::<Vec<_>>().join(", ")
}

impl From<String> for Reason {
    fn from(sentence: String) -> Self {
        Self::Told(sentence)
    }
}

impl From<&str> for Reason {
    fn from(sentence: &str) -> Self {
        Self::Told(sentence.to_owned())
    }
}
