//! Why the store could not read or write: a sentence that names the path and says what to do.
//! Decides nothing.

use content::name::escape;
use rustix::io::Errno;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A path as text for people; bytes that are not UTF-8, and control characters, as `\xNN`.
pub(super) fn show(path: &Path) -> String {
    escape(path.as_os_str().as_bytes())
}

/// What a directory is needed for, where the directory alone does not say it.
fn on_behalf(path: &Path, obstacle: &Path) -> String {
    if path == obstacle { String::new() } else { format!(" for '{}'", show(path)) }
}

/// Why a piece could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is no longer what was hashed.
    #[error(
        "'{place}' changed while it was being served, so it is no longer offered; leave it alone \
         and run again"
    )]
    Changed {
        /// The file, or another source.
        place: String,
    },
    /// The file cannot be opened or read.
    #[error(
        "cannot read '{place}' any more: {source}; see that it is there and readable, and run again"
    )]
    Unreadable {
        /// The file, or another source.
        place: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Whether another file can be made on the file system of a path, as far as it counts them: some
/// have no number to give, and say 0 of 0.
pub(super) fn has_inodes(path: &Path) -> bool {
    let found = path.ancestors().find_map(|above| rustix::fs::statvfs(above).ok());
    found.is_none_or(|system| system.f_files == 0 || system.f_favail > 0)
}

/// Why something could not be written below the destination.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system, or the user's quota on it, is full.
    #[error("no space is left to write '{}'; make room and run again to resume", show(path))]
    NoSpace {
        /// What was being written.
        path: PathBuf,
    },
    /// The file system has room for bytes, perhaps, but for no more files.
    #[error(
        "no inodes are left to make '{}': its file system can hold no more files, whatever their \
         size; remove some there or choose another destination, and run again to resume",
        show(path)
    )]
    NoInodes {
        /// What was being made.
        path: PathBuf,
    },
    /// The file system admits no writing.
    #[error("'{}' lies on a read-only file system; choose another destination", show(path))]
    ReadOnly {
        /// What was being written.
        path: PathBuf,
    },
    /// The permissions say no.
    #[error(
        "permission denied: '{}' cannot be written; change the permissions there or choose \
         another destination",
        show(path)
    )]
    Denied {
        /// What was being written.
        path: PathBuf,
    },
    /// The name leads through a symbolic link, which could lead anywhere.
    #[error(
        "'{}' would be written through the symbolic link '{}'; remove the link or \
         choose another destination",
        show(path),
        show(link)
    )]
    ThroughLink {
        /// What was being written.
        path: PathBuf,
        /// The link.
        link: PathBuf,
    },
    /// Something of another kind stands where an entry, or a directory that it lies in, must go.
    #[error(
        "'{}' is {what} where {wanted} must go{}; move it away or choose another destination",
        show(obstacle),
        on_behalf(path, obstacle)
    )]
    InTheWay {
        /// What was being written.
        path: PathBuf,
        /// What stands in the way: `path` itself, or something above it.
        obstacle: PathBuf,
        /// What the obstacle is, with its article.
        what: &'static str,
        /// What must go there, with its article.
        wanted: &'static str,
    },
    /// A directory that is not empty stands where an entry that is none must go.
    #[error(
        "'{}' is a directory with content where {wanted} must go; move it away, or have what is \
         extra removed",
        show(path)
    )]
    FullDirectory {
        /// The directory.
        path: PathBuf,
        /// What must go there, with its article.
        wanted: &'static str,
    },
    /// Nothing can be written into the destination at all.
    #[error("{why}, for not all that is wanted stands there as it must be")]
    Sealed {
        /// Why not, as a sentence.
        why: String,
    },
    /// Anything else.
    #[error(
        "cannot write '{}': {source}; mend that or choose another destination, and run again to \
         resume",
        show(path)
    )]
    Io {
        /// What was being written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What of an entry's metadata cannot be kept; the system's error of a [`WriteError`] or of a
/// [`ShareError`](super::ShareError).
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Its user and group.
    #[error("its owner cannot be kept here ({source}); keep no owners")]
    Owner {
        /// What the system said.
        source: io::Error,
    },
    /// Its extended attributes, for there are too many.
    #[error("it has more than {kib} KiB of extended attributes; keep none")]
    TooManyXattrs {
        /// How much there may be.
        kib: usize,
    },
    /// One of its extended attributes.
    #[error("its extended attribute '{name}' cannot be kept here ({source}); keep none")]
    Xattr {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

impl WriteError {
    /// Sorts what the system said.
    pub(super) fn new(path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.into(), source.into());
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => match has_inodes(&path) {
                true => Self::NoSpace { path },
                false => Self::NoInodes { path },
            },
            Some(Errno::ROFS) => Self::ReadOnly { path },
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied { path },
            _ => Self::Io { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_becomes_a_sentence_that_names_the_path() {
        let cases = [
            (Errno::NOSPC, "no space is left to write '/d/a\\xff'"),
            (Errno::DQUOT, "no space is left to write '/d/a\\xff'"),
            (Errno::ROFS, "'/d/a\\xff' lies on a read-only file system"),
            (Errno::ACCESS, "permission denied: '/d/a\\xff'"),
            (Errno::PERM, "permission denied: '/d/a\\xff'"),
            (Errno::IO, "cannot write '/d/a\\xff': "),
        ];
        let path = Path::new(std::ffi::OsStr::from_bytes(b"/d/a\xff"));
        for (errno, start) in cases {
            let text = WriteError::new(path, errno).to_string();
            assert!(text.starts_with(start), "{text}");
        }
    }
}
