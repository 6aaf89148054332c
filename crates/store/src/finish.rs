//! A file that is whole gets its mode, its time and its name. Verifies nothing.

use super::open_files::Key;
use super::partial::{self, Part, PartName};
use super::stamp::Stamp;
use super::state::Phase;
use super::{Store, WriteError, has_sidecar, lock, metadata};
use content::EntryIndex;
use std::fs::{self, File};
use std::io;

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
            .and_then(|found| metadata::mend_file(&found, &file, &entry.metadata));
        let sealed = sealed.and_then(|()| {
            if destination.refuses_late {
                file.sync_data()?;
            }
            Stamp::of_file(&file)
        });
        let stamp = sealed.map_err(|error| self.write_error(index, error))?;
        self.note_time(index, stamp.modified);
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
                self.files.close(key);
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
