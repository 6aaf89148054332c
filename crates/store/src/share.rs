//! What a rank shares: the trees are walked, and every file is hashed. Never writes below what it
//! shares.

mod found;
mod hashing;

use super::Notice;
use super::error::show;
use super::share_spec::Share;
use super::source::Source;
use super::walk::{self, Walked};
use content::{Entry, FileContent, Kind, Name, NameError, PieceLen, VerifiedLayer};
use found::FoundEntry;
use hashing::Losses;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use swarm::LeftOut;

/// What a rank offers.
#[derive(Debug)]
pub struct Shared {
    /// The entries in order of their names; no name twice.
    pub entries: Vec<SharedEntry>,
    /// What lies below what is shared, in the directory that is passed over.
    pub left_out: Vec<LeftOut>,
    /// What the user should know in the end of what cannot be kept as it is.
    pub notices: Vec<Notice>,
}

/// One entry that a rank offers, and where it comes from.
#[derive(Debug)]
pub struct SharedEntry {
    /// The entry; a file's root is known, unless the file is unsteady.
    pub entry: Entry,
    /// The place that its content is read from.
    pub source: Arc<dyn Source>,
    /// All piece hashes with their proofs, for a file of several pieces: the hash of a single one
    /// is the root.
    pub layer: Option<Box<VerifiedLayer>>,
    /// The position of the share that it was found under.
    pub share: u32,
    /// Whether its content stayed the same while it was hashed.
    pub steadiness: Steadiness,
}

/// Whether a shared file can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steadiness {
    /// No change was seen since it was found.
    Steady,
    /// It changed each time that it was hashed: nobody can have it.
    Unsteady,
}

/// How [`share`] goes about it.
#[derive(Debug, Clone)]
pub struct ShareOptions {
    /// The piece length of all files; by each file's length where none is given.
    pub piece_len: Option<PieceLen>,
    /// How many threads hash.
    pub threads: usize,
    /// A directory that is not shared where it lies below a share: the rank's own destination.
    pub except: Option<PathBuf>,
    /// Where digests of large files are kept between runs; nowhere where none is given.
    pub cache: Option<PathBuf>,
}

/// Why something cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// What is to be shared does not exist.
    #[error(
        "'{}' cannot be shared because it does not exist; check the path on this rank",
        show(path)
    )]
    Missing {
        /// The path as it was given.
        path: PathBuf,
    },
    /// Something that is to be shared cannot be read.
    #[error(
        "'{}' cannot be shared because it cannot be read: {source}; make it readable, or \
         leave it out",
        show(path)
    )]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path does not make a name of the catalogue.
    #[error("'{}' cannot be shared: {source}; rename it, or choose another prefix", show(path))]
    BadName {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: NameError,
    },
    /// A directory that is to be shared under its own name has none.
    #[error(
        "'{}' cannot be shared because it has no name of its own; name a directory below it",
        show(path)
    )]
    Nameless {
        /// The path as it was given.
        path: PathBuf,
    },
    /// A directory that is to be cast holds nothing but the destination.
    #[error(
        "'{}' holds nothing but the destination, which is not shared: there is nothing to cast; \
         choose a destination outside of it",
        show(path)
    )]
    OnlyDestination {
        /// The path as it was given.
        path: PathBuf,
    },
    /// All that is to be shared is a file that holds something else than its length says.
    #[error(
        "'{}' cannot be shared because it does not hold as many bytes as its length says (as in \
         /proc and /sys); copy what it gives into a file, and share that",
        show(path)
    )]
    Untrue {
        /// The first such file.
        path: PathBuf,
    },
    /// Two shares would have the same name.
    #[error(
        "'{}' and '{}' would both be called '{name}'; share one of them under another prefix",
        show(first),
        show(second)
    )]
    Duplicate {
        /// The name.
        name: Name,
        /// What had it first.
        first: PathBuf,
        /// What would have it too.
        second: PathBuf,
    },
    /// There are more names than a catalogue may have.
    #[error(
        "there are too many files to be shared, from '{}' on; share parts of them one after the \
         other",
        show(path)
    )]
    TooManyEntries {
        /// The first that is too many.
        path: PathBuf,
    },
    /// A file has more pieces than a catalogue may have.
    #[error("'{}' has too many pieces to be shared; use a longer piece length", show(path))]
    TooManyPieces {
        /// The file.
        path: PathBuf,
    },
}

/// Whether something is at a path; of a link, at its end. `cast` asks before it shares.
pub fn exists(path: &Path) -> bool {
    walk::without_slashes(path).metadata().is_ok()
}

/// Walks and hashes what a rank shares. Adds the bytes that were hashed to `progress` as it goes;
/// what the cache knew is not hashed. What vanishes meanwhile is left out; a file that keeps
/// changing is an entry that nobody can have.
///
/// # Errors
///
/// Refuses what cannot be read or named; see [`ShareError`].
pub fn share(
    shares: &[Share],
    options: &ShareOptions,
    progress: &AtomicU64,
) -> Result<Shared, ShareError> {
    hash(walk::walk(shares, options.except.as_deref())?, options, progress)
}

/// Hashes what was found.
pub(super) fn hash(
    walked: Walked,
    options: &ShareOptions,
    progress: &AtomicU64,
) -> Result<Shared, ShareError> {
    let Walked { found, left_out, vanished, mut notices } = walked;
    let mut losses = Losses::new(vanished);
    let entries = found::unhashed(found, options.piece_len)?;
    let mut entries = hashing::hash_files(entries, options, progress, &mut losses)?;
    losses.refuse_nothing(&entries)?;
    found::fill_links(&mut entries);
    notices.extend(hashing::unsteady(&entries).map(Notice::Told));
    notices.extend(losses.notices().map(Notice::Told));
    let entries = entries.into_iter().map(FoundEntry::into_shared).collect();
    Ok(Shared { entries, left_out, notices })
}

/// Walks what a rank shares, and hashes no file: only empty ones have a root, and their other
/// names.
///
/// # Errors
///
/// As [`share`].
pub fn look_through(shares: &[Share], options: &ShareOptions) -> Result<Shared, ShareError> {
    let Walked { found, left_out, vanished, mut notices } =
        walk::walk(shares, options.except.as_deref())?;
    let mut losses = Losses::new(vanished);
    let entries = found::unhashed(found, options.piece_len)?;
    let mut entries = hashing::know_empty(entries, &mut losses)?;
    losses.refuse_nothing(&entries)?;
    found::fill_links(&mut entries);
    notices.extend(losses.notices().map(Notice::Told));
    let entries = entries.into_iter().map(FoundEntry::into_shared).collect();
    Ok(Shared { entries, left_out, notices })
}

impl SharedEntry {
    /// Its hashes were found out by others.
    pub fn prove(&mut self, proven: FileContent, layer: Box<VerifiedLayer>) {
        if let Kind::File(content) | Kind::HardLink { content, .. } = &mut self.entry.kind
            && content.geometry == layer.geometry()
        {
            *content = proven;
            self.layer = Some(layer);
        }
    }

    /// Whether it has an entry's content, as far as that is known yet.
    pub(super) fn has_content_of(&self, entry: &Entry) -> bool {
        let both = self.entry.file().zip(entry.file());
        both.is_some_and(|(own, asked)| {
            own.geometry.len() == asked.geometry.len()
                && asked.root.is_none_or(|root| own.root == Some(root))
        })
    }

    /// Whether its content is known, where it is a file or another name of one.
    pub fn is_known(&self) -> bool {
        self.entry.file().is_none_or(|content| content.root.is_some())
    }

    /// Whether it kept changing while it was hashed, so that nobody can have it.
    pub fn is_unsteady(&self) -> bool {
        self.steadiness == Steadiness::Unsteady
    }
}
