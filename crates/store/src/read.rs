//! Reads pieces for whoever serves them. A file that is no longer what it was is never served.

use super::error::show;
use super::open_files::Key;
use super::source::{Change, ReadAt, Source};
use super::stamp::Stamp;
use super::state::State;
use super::{ReadError, Store, lock};
use content::{EntryIndex, PieceId};
use std::io;
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
            Some(source) => {
                let read = self.read_shared(entry, source.as_ref(), buffer, offset);
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
        source: &dyn Source,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), ReadError> {
        let mut read = || -> io::Result<bool> {
            let open = self.open_source(Key::Shared(entry.0), source)?;
            let whole = open.read_exactly_at(buffer, offset)?;
            Ok(open.change()? != Change::Content && whole)
        };
        checked(read(), || source.place())
    }

    /// Reads from a file of the destination. One that grows here is only as this rank left it; a
    /// finished one must be what it was when it got its name.
    fn read_own(
        &self,
        entry: EntryIndex,
        state: &Mutex<State>,
        buffer: &mut [u8],
        offset: u64,
    ) -> Result<(), ReadError> {
        let mut read = || -> io::Result<bool> {
            let (file, stamp) = {
                let state = lock(state);
                (self.open_own(entry, &state)?, state.stamp())
            };
            let whole = file.read_exactly_at(buffer, offset)?;
            let same = match stamp {
                Some(stamp) => Stamp::of_file(&file)?.is_same_content(&stamp),
                None => true,
            };
            Ok(whole && same)
        };
        checked(read(), || show(&self.destination().place(&self.catalogue.entry(entry).name)))
    }
}

/// The outcome of reading, of which is known whether the content was still as it must be.
fn checked(read: io::Result<bool>, place: impl FnOnce() -> String) -> Result<(), ReadError> {
    match read {
        Ok(true) => Ok(()),
        Ok(false) => Err(ReadError::Changed { place: place() }),
        Err(source) => Err(ReadError::Unreadable { place: place(), source }),
    }
}
