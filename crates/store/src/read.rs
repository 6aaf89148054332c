//! Reads pieces for whoever serves them. A file that is no longer what it was is never served.

use super::files::Key;
use super::stamp::Stamp;
use super::state::State;
use super::{ReadError, Store, digest, lock};
use content::{EntryIndex, PieceId};
use std::fs::File;
use std::path::Path;
use std::sync::Mutex;

impl Store {
    /// Reads a piece: from the shared file, or what has been written or was found in place.
    ///
    /// # Errors
    ///
    /// Says so where the file is no longer what it was, or cannot be read.
    ///
    /// # Panics
    ///
    /// Panics where `buffer` is not as long as the piece, or the rank has nothing of the entry.
    pub fn read(&self, piece: PieceId, buffer: &mut [u8]) -> Result<(), ReadError> {
        let (entry, index) = self.catalogue.locate(piece);
        let geometry = self.catalogue.geometry(entry);
        assert_eq!(buffer.len(), geometry.size(index) as usize, "a buffer of another piece");
        let offset = geometry.offset(index);
        let own = self.states.find(entry);
        match self.shared.get(&entry.0) {
            Some((path, stamp)) => {
                let read = self.read_shared(entry, path, stamp, buffer, offset);
                match own.filter(|state| read.is_err() && lock(state).is_done()) {
                    Some(state) => self.read_own(entry, &state, buffer, offset),
                    None => read,
                }
            }
            None => match own.filter(|state| !lock(state).is_untouched()) {
                Some(state) => self.read_own(entry, &state, buffer, offset),
                // Zeros are there before the file is that they lie in.
                None => {
                    assert!(self.wanted.get(entry.0), "a piece that this rank does not have");
                    buffer.fill(0);
                    Ok(())
                }
            },
        }
    }

    fn read_shared(
        &self,
        entry: EntryIndex,
        path: &Path,
        stamp: &Stamp,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), ReadError> {
        let unreadable = |source| ReadError::Unreadable { path: path.to_owned(), source };
        let file = self.open(Key::Shared(entry.0), || digest::open_to_read(path));
        let file = file.map_err(unreadable)?;
        self.read_stamped(path, &file, Some(stamp), buffer, offset)
    }

    fn read_own(
        &self,
        entry: EntryIndex,
        state: &Mutex<State>,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), ReadError> {
        let name = &self.catalogue.entry(entry).name;
        let path = self.destination().place(name);
        let (file, stamp) = {
            let state = lock(state);
            (self.open_own(entry, &state), state.stamp())
        };
        let file = file.map_err(|source| ReadError::Unreadable { path: path.clone(), source })?;
        self.read_stamped(&path, &file, stamp.as_ref(), buffer, offset)
    }

    /// Reads from a file that must be what it was; what grows here has no stamp.
    fn read_stamped(
        &self,
        path: &Path,
        file: &File,
        stamp: Option<&Stamp>,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), ReadError> {
        let unreadable = |source| ReadError::Unreadable { path: path.to_owned(), source };
        let whole = digest::read_exactly(file, buffer, offset).map_err(unreadable)?;
        let same = match stamp {
            Some(stamp) => {
                let found = Stamp::of_file(file).map_err(unreadable)?;
                found.is_same_content(stamp)
            }
            None => true,
        };
        if whole && same { Ok(()) } else { Err(ReadError::Changed { path: path.to_owned() }) }
    }
}
