//! A file that is whole gets its mode, its time and its name. Verifies nothing.

use super::files::Key;
use super::partial::{self, Part, PartName};
use super::stamp::Stamp;
use super::state::Phase;
use super::{Store, WriteError, has_sidecar, lock};
use content::{EntryIndex, Metadata};
use rustix::fs::{Mode, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

impl Store {
    /// Gives a wanted file of which every piece is written, or that has none, its mode, its time
    /// and its name; what stood there is gone. Does nothing where it is finished already.
    ///
    /// # Errors
    ///
    /// Says why it cannot be put there; see [`WriteError`]. Then it stays under `.shoal`.
    ///
    /// # Panics
    ///
    /// Panics where the entry is no file, or not wanted here.
    pub fn finish(&self, index: EntryIndex) -> Result<(), WriteError> {
        let (entry, _) = self.wanted_file(index);
        let destination = self.destination();
        let shoal = &destination.shoal;
        let state = self.states.get(index);
        let state = &mut *lock(&state);
        if state.is_done() {
            return Ok(());
        }
        let file = self.grow(index, state)?;
        let sealed = check_len(&file, entry.len())
            .and_then(|found| mend_from(&found, &file, &entry.metadata));
        let sealed = sealed.and_then(|()| {
            if destination.refuses_late {
                file.sync_data()?;
            }
            Stamp::of_file(&file)
        });
        let stamp = sealed.map_err(|error| self.write_error(index, error))?;
        let name = PartName::of(&entry.name);
        destination.root.install(shoal, &name.file(Part::Data), &entry.name)?;
        state.phase = Phase::Done(stamp);
        let has_leftovers = self.leftovers.contains(&name);
        if has_sidecar(entry) || has_leftovers {
            // A sidecar that stays behind is removed in the end: it has no data any more.
            let _ = partial::remove(shoal, &name.file(Part::Sidecar));
        }
        if state.candidates.take().is_some() || has_leftovers {
            let _ = partial::remove(shoal, &name.file(Part::Old));
            for key in [Key::Standing(index.0), Key::Old(index.0), Key::Local(index.0)] {
                self.files.remove(key);
            }
        }
        Ok(())
    }
}

/// Nobody else writes to a file that grows; where somebody did, it gets no name.
fn check_len(file: &File, expected: u64) -> io::Result<fs::Metadata> {
    let found = file.metadata()?;
    match found.len() {
        len if len == expected => Ok(found),
        len => Err(io::Error::other(format!(
            "it has {len} bytes where {expected} were written: something else changed it"
        ))),
    }
}

/// Gives a file its mode and its time where it has others.
pub(super) fn mend(file: &File, metadata: &Metadata) -> io::Result<()> {
    mend_from(&file.metadata()?, file, metadata)
}

/// The same, where it is known what it has.
fn mend_from(found: &fs::Metadata, file: &File, metadata: &Metadata) -> io::Result<()> {
    if found.mode() & 0o7777 != metadata.mode & 0o7777 {
        set_mode(metadata.mode, |mode| rustix::fs::fchmod(file, mode))?;
    }
    if Stamp::of(found).modified != metadata.modified {
        rustix::fs::futimens(file, &times(metadata))?;
    }
    Ok(())
}

/// Sets a mode; without the set-user and set-group bits where the file system refuses them.
pub(super) fn set_mode(
    mode: u32,
    set: impl Fn(Mode) -> rustix::io::Result<()>,
) -> rustix::io::Result<()> {
    match set(Mode::from_raw_mode(mode & 0o7777)) {
        Err(Errno::PERM) if mode & 0o6000 != 0 => set(Mode::from_raw_mode(mode & 0o1777)),
        result => result,
    }
}

/// The modification time, and no change of the access time.
pub(super) fn times(metadata: &Metadata) -> Timestamps {
    let modified = metadata.modified;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: modified.seconds,
            tv_nsec: modified.nanoseconds.into(),
        },
    }
}
