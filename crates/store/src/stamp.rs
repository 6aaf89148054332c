//! What tells that a file is still the one that was hashed. Never reads a file's content.

use content::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file's identity and state at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) len: u64,
    pub(super) modified: Timestamp,
    pub(super) changed: Timestamp,
}

impl Stamp {
    /// A change may hide from the clock of the file system for so long: some keep times in whole
    /// seconds, or in steps of two (FAT).
    const RACY_SECONDS: i64 = 2;

    pub(super) fn of(metadata: &Metadata) -> Self {
        let time = |seconds, nanoseconds: i64| Timestamp {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).unwrap_or(0),
        };
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: time(metadata.mtime(), metadata.mtime_nsec()),
            changed: time(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub(super) fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::of(&metadata))
    }

    /// Whether it is the same file with the same content, as far as that shows. The change time is
    /// left out: a rename, a new link or new permissions move it too.
    pub(super) fn is_same_content(&self, other: &Self) -> bool {
        Self { changed: self.changed, ..*other } == *self
    }

    /// Whether it is the same file, whatever it holds.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether the file was touched so shortly before `now` that another change might not show.
    pub(super) fn is_racy(&self, now: SystemTime) -> bool {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
        self.modified.seconds.max(self.changed.seconds) > now - Self::RACY_SECONDS
    }
}
