//! Hard links: another name for a file that is complete here. Never follows a link to make one.

use super::beneath::Missing;
use super::open_files::Key;
use super::partial::{self, Part, PartName};
use super::stamp::Stamp;
use super::state::Phase;
use super::{Store, Survey, WriteError, lock};
use content::{Entry, EntryIndex, Name, Tie};
use rustix::fs::{AtFlags, FileType, Stat};
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

impl Store {
    /// Makes a wanted hard link, where the file that it is another name of is complete here; finds
    /// it where it is made already. `None`: it must become a file of its own.
    pub(super) fn link(&self, index: EntryIndex) -> Result<Option<Survey>, WriteError> {
        let Some((source, Tie::Link)) = self.twins.source(index) else { return Ok(None) };
        let state = self.states.find(source);
        let Some(stamp) = state.and_then(|state| lock(&state).stamp()) else { return Ok(None) };
        let entry = self.catalogue.entry(index);
        let survey = if self.is_linked(entry, &stamp)? {
            Survey::Complete(None)
        } else if self.make_hard_link(entry, &self.catalogue.entry(source).name, &stamp)? {
            Survey::Linked
        } else {
            self.unkept.note_link(index);
            return Ok(None);
        };
        self.note_time(index, stamp.modified);
        self.files.close(Key::Own(index.0));
        self.states.begin(index, Phase::Done(stamp));
        self.drop_leftovers(index, self.destination(), entry);
        Ok(Some(survey))
    }

    /// Whether all names of a file that stands under the name of an entry belong to entries that
    /// are one file in the catalogue, too. Else a change of it would show under another name.
    pub(super) fn ties_all_names(&self, index: EntryIndex, found: &fs::Metadata) -> bool {
        let stamp = Stamp::of(found);
        let first = match self.twins.source(index) {
            Some((first, Tie::Link)) => first,
            _ => index,
        };
        let is_tied = |&entry: &EntryIndex| self.twins.source(entry) == Some((first, Tie::Link));
        let followers = self.twins.followers(first).iter().copied().filter(is_tied);
        let names = std::iter::once(first).chain(followers);
        let stands = |&entry: &EntryIndex| {
            self.is_linked(self.catalogue.entry(entry), &stamp).is_ok_and(|linked| linked)
        };
        names.filter(stands).count() as u64 == found.nlink()
    }

    /// Whether an entry's name stands already, for this very file.
    fn is_linked(&self, entry: &Entry, stamp: &Stamp) -> Result<bool, WriteError> {
        let parent = self.destination().root.parent(&entry.name, Missing::Leave)?;
        Ok(parent.is_some_and(|parent| is_same(&parent.fd, parent.leaf.as_encoded_bytes(), stamp)))
    }

    /// Makes the link under a name of its own in `.shoal`, looks what it leads to, and moves it to
    /// its place; `false` where the file system will not.
    fn make_hard_link(&self, entry: &Entry, to: &Name, stamp: &Stamp) -> Result<bool, WriteError> {
        let destination = self.destination();
        destination.admits_anything()?;
        let shoal = &destination.shoal;
        let temporary = PartName::of(&entry.name).file(Part::Link);
        let remove = || partial::remove(shoal, &temporary);
        remove().map_err(|errno| WriteError::new(destination.place(&entry.name), errno))?;
        let from = destination.root.parent(to, Missing::Leave)?;
        let made = from.is_some_and(|from| {
            rustix::fs::linkat(&from.fd, from.leaf, shoal, &temporary, AtFlags::empty()).is_ok()
        });
        // Somebody may have put something else there: it is not what was verified.
        if !made || !is_same(shoal, temporary.as_bytes(), stamp) {
            let _ = remove();
            return Ok(false);
        }
        let installed = destination.root.install(shoal, &temporary, &entry.name);
        if installed.is_err() {
            let _ = remove();
        }
        installed.map(|()| true)
    }
}

/// Whether a name stands for the file of a stamp.
fn is_same(directory: impl AsFd, name: &[u8], stamp: &Stamp) -> bool {
    let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
    let regular = |found: &Stat| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    found.is_ok_and(|found| {
        regular(&found) && (found.st_dev, found.st_ino) == (stamp.device, stamp.inode)
    })
}
