//! A file of this rank as a source. Never writes, and never waits for the other end of a pipe.

use super::error::show;
use super::source::{Change, OpenSource, ReadAt, ReadingOrder, Source};
use super::stamp::Stamp;
use content::{Entry, Timestamp};
use rustix::fs::{Advice, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// A path, and what must be found there.
#[derive(Debug, Clone)]
pub struct FileSource {
    path: PathBuf,
    expected: Expected,
}

/// What tells that a file is still the one that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// This rank found it.
    Stamp(Stamp),
    /// Another rank found it, or another file of the same content.
    Entry { len: u64, modified: Timestamp },
}

/// A file that is open, beside what was expected of it.
struct OpenFile {
    file: File,
    expected: Expected,
}

impl FileSource {
    /// A path of this rank for the content of an entry that another rank found.
    pub fn of_entry(path: PathBuf, entry: &Entry) -> Self {
        let expected = Expected::Entry { len: entry.len(), modified: entry.metadata.modified };
        Self { path, expected }
    }

    /// A file that this rank found.
    pub(super) fn found(path: PathBuf, stamp: Stamp) -> Self {
        Self { path, expected: Expected::Stamp(stamp) }
    }
}

impl Source for FileSource {
    fn place(&self) -> String {
        show(&self.path)
    }

    fn len(&self) -> io::Result<u64> {
        let found = self.path.metadata()?;
        if found.is_file() { Ok(found.len()) } else { Err(Errno::INVAL.into()) }
    }

    fn open(&self, order: ReadingOrder) -> io::Result<Arc<dyn OpenSource>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(rustix::fs::open(&self.path, flags, Mode::empty())?);
        let advice = match order {
            ReadingOrder::Sequential => Some(Advice::Sequential),
            ReadingOrder::Scattered => Some(Advice::Random),
            ReadingOrder::Unknown => None,
        };
        if let Some(advice) = advice {
            // Advice only: a file system that knows none of it reads all the same.
            let _ = rustix::fs::fadvise(&file, 0, None, advice);
        }
        Ok(Arc::new(OpenFile { file, expected: self.expected }))
    }

    fn is_gone(&self, error: &io::Error) -> bool {
        names_nothing(error)
            || match self.path.symlink_metadata() {
                Ok(found) => !found.is_file(),
                Err(error) => names_nothing(&error),
            }
    }

    fn is_file(&self, metadata: &Metadata) -> bool {
        match self.expected {
            Expected::Stamp(stamp) => stamp.is_same_content(&Stamp::of(metadata)),
            Expected::Entry { .. } => false,
        }
    }
}

impl OpenSource for OpenFile {
    fn change(&self) -> io::Result<Change> {
        let found = Stamp::of_file(&self.file)?;
        Ok(match self.expected {
            Expected::Stamp(stamp) if stamp == found => Change::None,
            Expected::Stamp(stamp) if stamp.is_same_content(&found) => Change::Status,
            Expected::Entry { len, modified } if (len, modified) == (found.len, found.modified) => {
                Change::None
            }
            Expected::Stamp(_) | Expected::Entry { .. } => Change::Content,
        })
    }
}

impl ReadAt for OpenFile {
    fn read_exactly_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        self.file.read_exactly_at(buffer, offset)
    }

    fn next_data(&self, offset: u64) -> Option<u64> {
        self.file.next_data(offset)
    }
}

impl ReadAt for File {
    fn read_exactly_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
        match self.read_exact_at(buffer, offset) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Moves the file's own offset, which nothing here uses.
    fn next_data(&self, offset: u64) -> Option<u64> {
        match rustix::fs::seek(self, SeekFrom::Data(offset)) {
            Ok(data) => Some(data),
            Err(Errno::NXIO) => None,
            // A file system that knows no holes.
            Err(_) => Some(offset),
        }
    }
}

/// Whether an error says that a path leads nowhere: it was removed, or a directory on the way to it
/// was, or became a file; on this host or on the file system's server.
pub(super) fn names_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, StaleNetworkFileHandle};
    matches!(error.kind(), NotFound | NotADirectory | StaleNetworkFileHandle)
}
