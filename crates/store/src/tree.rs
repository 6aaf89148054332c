//! Directories and links: made when the files are there, sealed last. Touches no file's content.

use super::beneath::Missing;
use super::destination::Destination;
use super::metadata::{self, Seen};
use super::partial::{self, Part, PartName};
use super::{Store, WriteError};
use content::{Entry, EntryIndex, Kind, Name, Timestamp};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use std::collections::BTreeSet;
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
        let catalogue = &self.catalogue;
        let wanted = || self.wanted.iter().map(EntryIndex);
        let is_directory = |index: &EntryIndex| catalogue.entry(*index).kind == Kind::Directory;
        let directories = || wanted().filter(is_directory);
        for index in directories() {
            open_directory(destination, &catalogue.entry(index).name)?;
        }
        for index in wanted() {
            let entry = catalogue.entry(index);
            if let Kind::Symlink(target) = &entry.kind {
                self.note_time(index, make_link(destination, entry, target)?);
            }
        }
        let mut last: BTreeSet<EntryIndex> = directories().collect();
        let loosened = destination.root.loosened();
        if !loosened.is_empty() {
            let all = catalogue.iter().map(|(index, _)| index).filter(is_directory);
            let is_loose =
                |it: &EntryIndex| loosened.contains(catalogue.entry(*it).name.as_bytes());
            last.extend(all.filter(is_loose));
        }
        // Whatever lies in a directory has a name that sorts after the directory's.
        last.into_iter().rev().try_for_each(|index| {
            let modified = seal_directory(destination, catalogue.entry(index))?;
            self.note_time(index, modified);
            Ok(())
        })
    }
}

/// Opens a wanted directory by path alone, and makes it where it is missing.
fn open_directory(destination: &Destination, name: &Name) -> Result<OwnedFd, WriteError> {
    let opened = destination.root.walk(name.as_bytes(), name, Missing::Create)?;
    Ok(opened.expect("a directory that is created is there"))
}

/// Gives a directory its mode and time. Says what time it has then.
pub(super) fn seal_directory(
    destination: &Destination,
    entry: &Entry,
) -> Result<Timestamp, WriteError> {
    let fail = |error| WriteError::new(destination.place(&entry.name), error);
    let directory = open_directory(destination, &entry.name)?;
    metadata::mend_directory(&directory, &entry.metadata).map_err(fail)
}

/// Makes a symbolic link under a name of its own in `.shoal`, and moves it to its place. Says what
/// time it has then.
fn make_link(
    destination: &Destination,
    entry: &Entry,
    target: &[u8],
) -> Result<Timestamp, WriteError> {
    let path = || destination.place(&entry.name);
    let fail = |errno| WriteError::new(path(), errno);
    let parent = destination.root.parent(&entry.name, Missing::Create)?;
    let parent = parent.expect("a parent that is created is there");
    let set_time = |directory: &OwnedFd, name: &[u8]| {
        let given = metadata::give_link(directory, name, &entry.metadata);
        given.map_err(|error| WriteError::new(path(), error))
    };
    match rustix::fs::statat(&parent.fd, parent.leaf, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => {
                let standing = rustix::fs::readlinkat(&parent.fd, parent.leaf, Vec::new());
                if standing.is_ok_and(|standing| standing.as_bytes() == target) {
                    let seen = Seen::from(&found);
                    if seen.differences_of_link(&entry.metadata).is_empty() {
                        return Ok(seen.modified);
                    }
                    // Another name of the same link would get the time, too.
                    if found.st_nlink == 1 {
                        return set_time(&parent.fd, parent.leaf.as_encoded_bytes());
                    }
                }
            }
            FileType::Directory => {
                destination.root.gives_way(&parent, &entry.name, FileType::Symlink)?;
            }
            _ => {}
        },
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(fail(errno)),
    }
    destination.admits_anything()?;
    let shoal = &destination.shoal;
    let temporary = PartName::of(&entry.name).file(Part::Link);
    partial::remove(shoal, &temporary).map_err(fail)?;
    rustix::fs::symlinkat(target, shoal, &temporary).map_err(fail)?;
    let modified = set_time(shoal, temporary.as_bytes())?;
    destination.root.install(shoal, &temporary, &entry.name)?;
    Ok(modified)
}
