//! The plan: a TOML file that gives ranks or hosts their own rack, share, prefix, want and into.
//!
//! A bad plan does not end the process: it becomes the job's problem, so that the tracker refuses
//! the job with it and the report is written. Only a bad placeholder is wrong usage, in a plan as
//! on the command line.

mod parse;

use crate::placeholder::Template;
use content::Name;
use content::name::escape;
use std::fs;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use swarm::{Pattern, Rank};

/// The longest plan in bytes: ten lines a rank for more ranks than any launcher starts; a wrong
/// file is refused before it is read into memory.
const PLAN_MAX_LEN: u64 = 16 << 20;

/// A plan, checked as far as it can be without knowing the rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The file, as people are to read it.
    pub file: String,
    /// The entries, in the order of the file.
    pub entries: Vec<PeerEntry>,
}

/// One `[[peer]]`. What it does not say is `None`, and the command line's word holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerEntry {
    /// Where it begins, from 1.
    pub line: usize,
    /// Whom it is for.
    pub who: Who,
    /// The rack that they stand in.
    pub rack: Option<String>,
    /// What they offer.
    pub share: Option<Vec<Template>>,
    /// What is put before the names they offer.
    pub prefix: Option<Template>,
    /// What they want; an empty list wants nothing.
    pub want: Option<Vec<Pattern>>,
    /// Where it lands.
    pub into: Option<Template>,
}

/// Whom an entry is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Ranks by number.
    Ranks(Vec<RangeInclusive<u32>>),
    /// Hosts by name, as globs.
    Hosts(Vec<Pattern>),
}

/// Why a plan cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It cannot be read or is no plan: the job is refused.
    #[error("{0}")]
    Bad(String),
    /// A placeholder that does not exist: wrong usage.
    #[error("{0}")]
    Placeholder(String),
}

impl Plan {
    /// Reads a plan; `shown` is the path as the user wrote it.
    ///
    /// # Errors
    ///
    /// Names the file, and the line and the key where it is one.
    pub fn read(path: &Path, shown: &Path) -> Result<Self, PlanError> {
        let file = escape(shown.as_os_str().as_bytes());
        let bad = |why: String| PlanError::Bad(format!("the plan {file} cannot be read: {why}"));
        let metadata = fs::metadata(path).map_err(|error| bad(error.to_string()))?;
        if metadata.is_dir() {
            return Err(bad("it is a directory".to_owned()));
        }
        if metadata.len() > PLAN_MAX_LEN {
            return Err(bad(format!("it is longer than {} MiB", PLAN_MAX_LEN >> 20)));
        }
        let bytes = fs::read(path).map_err(|error| bad(error.to_string()))?;
        Self::parse(&file, &bytes)
    }

    /// Parses a plan's text.
    ///
    /// # Errors
    ///
    /// Names the file, the line and the key.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, PlanError> {
        let text = str::from_utf8(bytes).map_err(|error| {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&b| b == b'\n').count();
            PlanError::Bad(format!("{file}, line {line}: it is not UTF-8 text"))
        })?;
        Ok(Self { file: file.to_owned(), entries: parse::entries(file, text)? })
    }

    /// The first entry that matches.
    pub fn entry_for(&self, rank: Rank, host: &str) -> Option<&PeerEntry> {
        self.entries.iter().find(|entry| entry.who.matches(rank, host))
    }
}

impl Who {
    /// Whether a rank on a host is meant. A host matches by its full name or by the part before
    /// the first dot.
    fn matches(&self, rank: Rank, host: &str) -> bool {
        match self {
            Self::Ranks(ranges) => ranges.iter().any(|range| range.contains(&rank.0)),
            Self::Hosts(patterns) => {
                let short = host.split('.').next().unwrap_or(host);
                // A host's name is a fine catalogue name, so the same globs serve.
                let names: Vec<Name> =
                    [host, short].into_iter().filter_map(|name| Name::new(name).ok()).collect();
                patterns.iter().any(|pattern| names.iter().any(|name| pattern.matches(name)))
            }
        }
    }
}
