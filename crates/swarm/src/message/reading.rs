//! What is said where all ranks see the source (`--shared-fs`): before START, when entries have no
//! numbers yet, who reads which pieces, what their hashes are, and what proves them in the end;
//! later who reads what only a lost rank had.

use super::ToTracker;
use content::{Entry, FileContent, Hash, HashRange, Name, Span};
use serde::{Deserialize, Serialize};

/// Whether the ranks of a job may see one and the same source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SharedFs {
    /// Not as far as this rank was told, and knows.
    #[default]
    No,
    /// The user says so.
    Asked,
    /// What this rank has of it lies on a file system that a network serves.
    OnNetwork,
    /// A digest of what tells the source apart from others on this rank's file system: ranks of
    /// several hosts that report the same see the same.
    At(u64),
}

/// Some pieces of a file of the source that a rank is to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOrder {
    /// The file as it was found, without its root.
    pub entry: Entry,
    /// The pieces, numbered within the file.
    pub pieces: Span,
    /// What becomes of them.
    pub keep: Keep,
}

/// What a rank does with pieces that it reads from the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keep {
    /// It writes them where the file is to grow, and serves them from there.
    Written,
    /// Nothing: no rank that reads is to write the file, so this one serves it from the source.
    InPlace,
}

/// The hashes of consecutive pieces that a rank read from the source, and keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PiecesRead {
    /// The file, as it was ordered.
    pub entry: Entry,
    /// The first piece.
    pub first: u32,
    /// A hash a piece, at most [`Self::MAX_HASHES`].
    pub hashes: Vec<Hash>,
}

impl PiecesRead {
    /// So many hashes fit a message beside the longest name.
    pub const MAX_HASHES: usize = HashRange::MAX_HASHES as usize;
}

/// Pieces of the source that a rank was to read, and could not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// The file.
    pub name: Name,
    /// Where the fault lies.
    pub fault: ReadFault,
    /// A sentence for people.
    pub why: String,
}

/// Why pieces of the source were not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadFault {
    /// The source cannot be read there, or is not what it was.
    Source,
    /// What was read cannot be kept: no space, no permission.
    Destination,
}

/// The root of a file of which a rank read pieces, with hashes that are proven by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// The file.
    pub name: Name,
    /// What is in it; its root is known.
    pub content: FileContent,
    /// Hashes of some of its pieces; none where the root is the only hash. Where there are more,
    /// the file is named again.
    pub range: Option<HashRange>,
    /// Whether this rank serves the whole file from the source.
    pub keep: Keep,
}

/// Some pieces of a file of the source that a rank is to read after START, for nobody has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadAgain {
    /// The pieces, in the catalogue's numbers; one range of hashes covers them.
    pub pieces: Span,
    /// That range; none where the root is the only hash.
    pub hashes: Option<HashRange>,
}

impl Unread {
    /// The same, with a sentence that fits a message.
    pub(crate) fn shortened(mut self) -> Self {
        self.why = super::cut(self.why, ToTracker::MAX_SENTENCE_LEN);
        self
    }
}
