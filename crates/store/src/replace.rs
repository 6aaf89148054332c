//! What stands under the name of an entry and is of another kind: what gives way to the entry, and
//! what is an obstacle. Never removes what a rank shares, or what lies on another file system.

use super::WriteError;
use super::beneath::{Parent, Root, word};
use super::extra::{self, Bounds, Extras};
use super::lock;
use content::{Catalogue, Kind, Name};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

/// What may be replaced at a destination. What is no directory always gives way, and so does an
/// empty directory; one with content only with `--delete`.
#[derive(Debug)]
pub(super) struct Replacing {
    catalogue: Arc<Catalogue>,
    /// With `--delete`.
    bounds: Option<Bounds>,
    /// What was removed of directories that gave way.
    cleared: Mutex<Extras>,
}

impl Replacing {
    pub(super) fn new(catalogue: Arc<Catalogue>, bounds: Option<Bounds>) -> Self {
        Self { catalogue, bounds, cleared: Mutex::default() }
    }

    /// What was removed, once.
    pub(super) fn take_cleared(&self) -> Extras {
        std::mem::take(&mut *lock(&self.cleared))
    }

    /// Whether a path below the destination is a directory of the catalogue.
    pub(super) fn is_directory(&self, path: &[u8]) -> bool {
        let entries = self.catalogue.entries();
        let at = entries.binary_search_by(|entry| entry.name.as_bytes().cmp(path));
        at.is_ok_and(|at| entries[at].kind == Kind::Directory)
    }
}

impl Root {
    /// Whether a directory that stands under an entry's name gives way to what is no directory.
    ///
    /// # Errors
    ///
    /// Says so where it does not.
    pub(super) fn gives_way(
        &self,
        parent: &Parent<'_>,
        name: &Name,
        wanted: FileType,
    ) -> Result<(), WriteError> {
        let clears = self.replacing().is_some_and(|it| it.bounds.is_some());
        let is_empty = open(parent).and_then(|directory| is_empty(&directory));
        match is_empty {
            Ok(true) => Ok(()),
            Ok(false) if clears => Ok(()),
            Ok(false) => Err(self.full(name, wanted)),
            Err(errno) => Err(WriteError::new(self.place(name), errno)),
        }
    }

    /// Removes a directory that stands under an entry's name; with `--delete` also what is in it.
    pub(super) fn make_way(&self, parent: &Parent<'_>, name: &Name) -> Result<(), WriteError> {
        let remove = || rustix::fs::unlinkat(&parent.fd, parent.leaf, AtFlags::REMOVEDIR);
        let removed = self.loosening(&parent.fd, parent.directory, remove);
        let removed = match (removed, self.replacing()) {
            (Err(Errno::NOTEMPTY | Errno::EXIST), Some(Replacing { bounds: Some(bounds), .. })) => {
                self.clear(parent, name, bounds)?;
                self.loosening(&parent.fd, parent.directory, remove)
            }
            (removed, _) => removed,
        };
        match removed {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(Errno::NOTEMPTY | Errno::EXIST) => Err(self.full(name, FileType::Unknown)),
            // Another file system is mounted there.
            Err(Errno::BUSY) => Err(WriteError::InTheWay {
                path: self.place(name),
                obstacle: self.place(name),
                what: "a mounted file system",
                wanted: word(FileType::Unknown),
            }),
            Err(errno) => Err(WriteError::new(self.place(name), errno)),
        }
    }

    /// Removes what a directory has in it, within the bounds of `--delete`.
    fn clear(&self, parent: &Parent<'_>, name: &Name, bounds: &Bounds) -> Result<(), WriteError> {
        let Some(replacing) = self.replacing() else { return Ok(()) };
        let opened = open(parent).map_err(|errno| WriteError::new(self.place(name), errno))?;
        extra::clear(self, bounds, (&opened, name), &mut lock(&replacing.cleared));
        Ok(())
    }

    fn full(&self, name: &Name, wanted: FileType) -> WriteError {
        WriteError::FullDirectory { path: self.place(name), wanted: word(wanted) }
    }
}

/// Opens the directory of this name, and no link.
fn open(parent: &Parent<'_>) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&parent.fd, parent.leaf, flags, Mode::empty())
}

fn is_empty(directory: &OwnedFd) -> rustix::io::Result<bool> {
    for item in Dir::read_from(directory)? {
        let item = item?;
        if ![&b"."[..], b".."].contains(&item.file_name().to_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}
