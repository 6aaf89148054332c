//! Directories and links: made when the files are there, sealed last. Touches no file's content.

use super::beneath::{Missing, word};
use super::destination::Destination;
use super::metadata::{self, Seen};
use super::partial::{self, Part, PartName};
use super::{Store, WriteError};
use content::{Entry, Kind, Name};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

impl Store {
    /// At the very end on this rank: makes the wanted directories and symbolic links, then gives
    /// directories their modes and times, the deepest first. May be called again. A destination
    /// that several ranks share is sealed when all of them have finished their files, for a file
    /// that appears moves its directory's time.
    ///
    /// # Errors
    ///
    /// Says what cannot be made, or stands in the way; see [`WriteError`].
    ///
    /// # Panics
    ///
    /// Panics where something is wanted without a destination.
    pub fn seal(&self) -> Result<(), WriteError> {
        let Some(destination) = &self.destination else { return Ok(()) };
        let entries = self.catalogue.entries();
        let wanted = || self.wanted.iter().map(|index| &entries[index as usize]);
        let directories = || wanted().filter(|entry| entry.kind == Kind::Directory);
        for entry in directories() {
            open_directory(destination, &entry.name)?;
        }
        for entry in wanted() {
            match &entry.kind {
                Kind::Symlink(target) => make_link(destination, entry, target)?,
                Kind::File(_) | Kind::HardLink { .. } | Kind::Directory => {}
            }
        }
        let mut last: Vec<&Entry> = directories().collect();
        let loosened = destination.root.loosened();
        if !loosened.is_empty() {
            let all = entries.iter().filter(|entry| entry.kind == Kind::Directory);
            last.extend(all.filter(|entry| loosened.contains(entry.name.as_bytes())));
        }
        // Whatever lies in a directory has a name that sorts after the directory's.
        last.sort_unstable_by(|a, b| b.name.cmp(&a.name));
        last.dedup_by(|a, b| a.name == b.name);
        last.into_iter().try_for_each(|entry| seal_directory(destination, entry))
    }
}

/// Opens a wanted directory by path alone, and makes it where it is missing.
fn open_directory(destination: &Destination, name: &Name) -> Result<OwnedFd, WriteError> {
    let opened = destination.root.walk(name.as_bytes(), name, Missing::Create)?;
    Ok(opened.expect("a directory that is created is there"))
}

pub(super) fn seal_directory(destination: &Destination, entry: &Entry) -> Result<(), WriteError> {
    let fail = |errno| WriteError::new(destination.place(&entry.name), errno);
    let directory = open_directory(destination, &entry.name)?;
    metadata::mend_directory(&directory, &entry.metadata).map_err(fail)
}

/// Makes a symbolic link under a name of its own in `.shoal`, and moves it to its place.
fn make_link(destination: &Destination, entry: &Entry, target: &[u8]) -> Result<(), WriteError> {
    let path = || destination.place(&entry.name);
    let fail = |errno| WriteError::new(path(), errno);
    let parent = destination.root.parent(&entry.name, Missing::Create)?;
    let parent = parent.expect("a parent that is created is there");
    let set_time = |directory: &OwnedFd, name: &[u8]| {
        metadata::give_link(directory, name, &entry.metadata).map_err(fail)
    };
    match rustix::fs::statat(&parent.fd, parent.leaf, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => {
                let standing = rustix::fs::readlinkat(&parent.fd, parent.leaf, Vec::new());
                if standing.is_ok_and(|standing| standing.as_bytes() == target) {
                    if Seen::from(&found).differences_of_link(&entry.metadata).is_empty() {
                        return Ok(());
                    }
                    // Another name of the same link would get the time, too.
                    if found.st_nlink == 1 {
                        return set_time(&parent.fd, parent.leaf.as_encoded_bytes());
                    }
                }
            }
            FileType::RegularFile => {}
            other => {
                return Err(WriteError::InTheWay {
                    path: path(),
                    obstacle: path(),
                    what: word(other),
                    wanted: word(FileType::Symlink),
                });
            }
        },
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(fail(errno)),
    }
    let shoal = &destination.shoal;
    let temporary = PartName::of(&entry.name).file(Part::Link);
    partial::remove(shoal, &temporary).map_err(fail)?;
    rustix::fs::symlinkat(target, shoal, &temporary).map_err(fail)?;
    set_time(shoal, temporary.as_bytes())?;
    destination.root.install(shoal, &temporary, &entry.name)
}
