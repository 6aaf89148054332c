//! What the tracker says at the end: the outcome, and a row for each rank.

use crate::{Differences, Purpose, Rank, Reason};
use content::Name;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Every wanted file is complete and verified on every rank, and no rank was lost.
    Complete,
    /// Refused before any transfer.
    Refused,
    /// Everything obtainable is complete on every live rank, but a rank was lost or could not
    /// receive.
    Degraded,
    /// Something obtainable is missing. What arrived is kept.
    Failed,
}

impl Outcome {
    /// The word for it in the report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused => "refused",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
        }
    }
}

/// What earlier jobs left unfinished at the destinations, and this one had no use for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftAlone {
    /// How many files.
    pub count: u64,
    /// On how many ranks there is any of them.
    pub ranks: u32,
    /// Their names, in order; not all where there are very many.
    pub names: Vec<Name>,
}

/// What became of one rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerState {
    /// It has all that it wanted.
    Complete,
    /// It lacks something.
    Incomplete,
    /// It died, or was silent for too long.
    Lost,
}

impl PeerState {
    /// The word for it in the report.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Lost => "lost",
        }
    }
}

/// What a peer counted from START to the end. Bytes are payload bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Piece bytes that came from other ranks, wasted ones too.
    pub bytes_received: u64,
    /// Piece bytes that went to other ranks.
    pub bytes_sent: u64,
    /// Bytes found in place and verified.
    pub bytes_reused: u64,
    /// Bytes verified and written anew, from other ranks or by a local copy.
    pub bytes_delivered: u64,
    /// Bytes received and thrown away: corrupt, late or duplicate.
    pub bytes_wasted: u64,
    /// Pieces that did not verify.
    pub pieces_corrupt: u64,
    /// Files, links and directories removed that the catalogue lacks; in a dry run those that would
    /// be.
    pub entries_removed: u64,
}

/// One rank's row of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerRow {
    /// Which rank.
    pub rank: Rank,
    /// The host it runs on; empty where it was lost before it could say.
    pub host: String,
    /// What became of it.
    pub state: PeerState,
    /// Why it is not complete.
    pub reason: Option<Reason>,
    /// Regular files it wanted.
    pub files_wanted: u64,
    /// Of those, how many are complete under their own name.
    pub files_complete: u64,
    /// Of those, how many are not in place yet, and count as complete because they could be
    /// written: in a dry run.
    pub files_to_write: u64,
    /// What it counted.
    pub counters: Counters,
    /// From START until it had all it wanted.
    pub elapsed: Duration,
}

/// The tracker's report of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What the job was for.
    pub purpose: Purpose,
    /// How the job ended.
    pub outcome: Outcome,
    /// Why, where it was refused or something is missing.
    pub reasons: Vec<Reason>,
    /// From START to the last STOP.
    pub elapsed: Duration,
    /// From the start of the process to START.
    pub startup: Duration,
    /// Bytes wanted over all ranks: delivered, reused and still missing.
    pub bytes_wanted: u64,
    /// Bytes verified and written anew over all ranks.
    pub bytes_delivered: u64,
    /// A row a rank, in order of ranks; none for a dedicated tracker.
    pub peers: Vec<PeerRow>,
    /// Wanted files that some live rank lacks, in order of the catalogue.
    pub missing: Vec<Name>,
    /// What differs, where the job was a look at that: a list for all ranks that have the same to
    /// show, in order of their first ranks.
    pub unequal: Vec<Unequal>,
    /// What was read of the source, where all ranks see it.
    pub source: Option<SourceRead>,
    /// What earlier jobs left, and this one had no use for.
    pub left_alone: LeftAlone,
    /// The rank that tracked at the end.
    pub tracker: Rank,
    /// Control messages that the tracker received and sent.
    pub tracker_messages: u64,
}

/// How much of a source that all ranks see was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRead {
    /// Bytes that were read, over all ranks.
    pub bytes_read: u64,
    /// Bytes of the files that somebody wants.
    pub bytes: u64,
}

/// What differs at the destinations of some ranks.
#[derive(Debug, Clone, PartialEq)]
pub struct Unequal {
    /// The ranks, one at least.
    pub ranks: Vec<Rank>,
    /// How much of it, or why they could not be looked at: the reason in their rows.
    pub reason: String,
    /// The first names in order of the catalogue, and what differs.
    pub names: Vec<(Name, Differences)>,
    /// The first of what the catalogue lacks, where that was looked for.
    pub extra: Vec<String>,
    /// How many more there are of both.
    pub more: u64,
}
