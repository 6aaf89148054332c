//! What is kept of an entry besides its content: captured at the source, given to what is made or
//! stands at the destination, compared with what is seen there. No other module reads or sets it.
//! Touches no content, and follows no link.

use super::beneath;
use super::stamp::Stamp;
use content::{Metadata, Timestamp};
use rustix::fs::{AtFlags, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use swarm::Differences;

/// The permission bits, with those for set-user, set-group and sticky.
const MODE_BITS: u32 = 0o7777;

/// The metadata of an entry of a source.
pub(super) fn capture(found: &fs::Metadata) -> Metadata {
    let seen = Seen::from(found);
    Metadata { mode: seen.mode, modified: seen.modified }
}

/// What the system says of something that stands at the destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    mode: u32,
    modified: Timestamp,
}

impl From<&fs::Metadata> for Seen {
    fn from(found: &fs::Metadata) -> Self {
        Self { mode: found.mode() & MODE_BITS, modified: Stamp::of(found).modified }
    }
}

impl From<&Stat> for Seen {
    fn from(found: &Stat) -> Self {
        let nanoseconds = u32::try_from(found.st_mtime_nsec).unwrap_or(0);
        let modified = Timestamp { seconds: found.st_mtime, nanoseconds };
        Self { mode: found.st_mode & MODE_BITS, modified }
    }
}

impl Seen {
    /// In what a file or directory differs from what it must have.
    pub(super) fn differences(&self, wanted: &Metadata) -> Differences {
        let mode = Differences::MODE.only_if(self.mode != wanted.mode & MODE_BITS);
        mode.and(self.differences_of_link(wanted))
    }

    /// The same for a symbolic link, which has no mode of its own.
    pub(super) fn differences_of_link(&self, wanted: &Metadata) -> Differences {
        Differences::TIME.only_if(self.modified != wanted.modified)
    }
}

/// Gives a file that was made here its metadata. It had the least mode until now.
pub(super) fn give_new_file(file: &File, wanted: &Metadata) -> io::Result<()> {
    set_mode(wanted.mode, |mode| rustix::fs::fchmod(file, mode))?;
    Ok(rustix::fs::futimens(file, &times(wanted))?)
}

/// Gives a file, of which it is known what it has, what differs.
pub(super) fn mend_file(found: &fs::Metadata, file: &File, wanted: &Metadata) -> io::Result<()> {
    let differences = Seen::from(found).differences(wanted);
    if differences.has(Differences::MODE) {
        set_mode(wanted.mode, |mode| rustix::fs::fchmod(file, mode))?;
    }
    if differences.has(Differences::TIME) {
        rustix::fs::futimens(file, &times(wanted))?;
    }
    Ok(())
}

/// Gives a directory, open by path alone, its metadata, where it has another one.
pub(super) fn mend_directory(directory: &OwnedFd, wanted: &Metadata) -> rustix::io::Result<()> {
    let found = Seen::from(&rustix::fs::fstat(directory)?);
    if found.differences(wanted).is_empty() {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(directory, ".", flags, Mode::empty());
    let readable = match open() {
        // One that stood there and may not be read: its mode first, so that it may.
        Err(Errno::ACCESS) => {
            beneath::set_mode(directory, Mode::RWXU)?;
            open()?
        }
        opened => opened?,
    };
    rustix::fs::futimens(&readable, &times(wanted))?;
    set_mode(wanted.mode, |mode| rustix::fs::fchmod(&readable, mode))
}

/// Gives a symbolic link its metadata.
pub(super) fn give_link(
    directory: impl AsFd,
    name: &[u8],
    wanted: &Metadata,
) -> rustix::io::Result<()> {
    rustix::fs::utimensat(directory, name, &times(wanted), AtFlags::SYMLINK_NOFOLLOW)
}

/// Sets a mode; without the set-user and set-group bits where the file system refuses them.
fn set_mode(mode: u32, set: impl Fn(Mode) -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    match set(Mode::from_raw_mode(mode & MODE_BITS)) {
        Err(Errno::PERM) if mode & 0o6000 != 0 => set(Mode::from_raw_mode(mode & 0o1777)),
        result => result,
    }
}

/// The modification time, and no change of the access time.
fn times(wanted: &Metadata) -> Timestamps {
    let modified = wanted.modified;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: modified.seconds,
            tv_nsec: modified.nanoseconds.into(),
        },
    }
}
