//! The trait of what the content of an entry can be read from. Knows no kind of source.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// A place that the content of one entry can be read from: a file of this rank, or anything else
/// with a length, bytes at any offset, and a way to tell that they changed.
#[expect(clippy::len_without_is_empty, reason = "a length that may fail is not compared with 0")]
pub trait Source: Debug + Send + Sync {
    /// The place, for people.
    fn place(&self) -> String;

    /// The length in bytes that the place has now.
    ///
    /// # Errors
    ///
    /// Says why nothing can be read there.
    fn len(&self) -> io::Result<u64>;

    /// Opens the place. The order in which it will be read is advice.
    ///
    /// # Errors
    ///
    /// Says why it cannot be opened.
    fn open(&self, order: ReadingOrder) -> io::Result<Arc<dyn OpenSource>>;

    /// Whether an error of opening or reading means that the place holds no source any more.
    fn is_gone(&self, error: &io::Error) -> bool;

    /// Whether a file with this metadata is the source itself, with the content that was found.
    fn is_file(&self, _metadata: &std::fs::Metadata) -> bool {
        false
    }
}

/// A source that is open. What it reads stays the same as long as [`Self::change`] says so.
pub trait OpenSource: ReadAt {
    /// The change since the source was found.
    ///
    /// # Errors
    ///
    /// Says why that cannot be told.
    fn change(&self) -> io::Result<Change>;
}

/// Bytes at any offset.
pub trait ReadAt: Send + Sync {
    /// Fills `buffer` with the bytes from an offset on; `false` where they end before.
    ///
    /// # Errors
    ///
    /// Says why they cannot be read.
    fn read_exactly_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<bool>;

    /// The first offset, from one on, that may hold something else than zeros; `None` where all is
    /// zeros to the end.
    fn next_data(&self, offset: u64) -> Option<u64> {
        Some(offset)
    }
}

/// A change of a source since it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There is none.
    None,
    /// Its names or permissions changed. Its content did not, as far as that shows.
    Status,
    /// Its content changed, or another source has its place.
    Content,
}

/// The order in which pieces of a source are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingOrder {
    /// All of them, from the first to the last.
    Sequential,
    /// Some of them: what lies between is read by others.
    Scattered,
    /// Nobody knows.
    Unknown,
}
