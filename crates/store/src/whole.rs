//! Small files: what is one piece and has nothing on the disk yet is written, gets its mode, its
//! time and its name in one go. Verifies nothing.

use super::beneath::Near;
use super::partial::{self, Part, PartName};
use super::sparse::BLOCK_LEN;
use super::stamp::Stamp;
use super::state::{Phase, State};
use super::{Store, WriteError, lock, metadata};
use content::{Entry, EntryIndex, PieceId};
use std::fs::File;
use std::io;

impl Store {
    /// Writes a piece alone; see [`Self::write_near`].
    ///
    /// # Errors
    ///
    /// As [`Self::write_near`].
    ///
    /// # Panics
    ///
    /// As [`Self::write_near`].
    pub fn write(&self, piece: PieceId, bytes: &[u8]) -> Result<(), WriteError> {
        self.write_near(piece, bytes, &mut Near::default())
    }

    /// Whether a wanted file stands whole under its name.
    pub fn is_finished(&self, entry: EntryIndex) -> bool {
        self.states.find(entry).is_some_and(|state| lock(&state).is_done())
    }

    /// Whether the only piece of an entry is all that there is to do.
    pub(super) fn is_written_at_once(&self, index: EntryIndex, state: &State) -> bool {
        let entry = self.catalogue.entry(index);
        matches!(state.phase, Phase::Untouched)
            && state.candidates.is_none()
            && self.wanted.get(index.0)
            && self.catalogue.geometry(index).is_single_piece()
            && !self.destination().refuses_late
            && (self.leftovers.is_empty() || !self.leftovers.contains(&PartName::of(&entry.name)))
    }

    /// Writes a whole file under `.shoal` and moves it to its name.
    pub(super) fn write_whole(
        &self,
        index: EntryIndex,
        state: &mut State,
        bytes: &[u8],
        near: &mut Near,
    ) -> Result<(), WriteError> {
        let entry = self.catalogue.entry(index);
        let destination = self.destination();
        let data = PartName::of(&entry.name).file(Part::Data);
        let written = || -> io::Result<Stamp> {
            let file = partial::create(&destination.shoal, &data)?;
            self.fill(&file, entry, bytes)?;
            Stamp::of_file(&file)
        };
        let stamp = written().map_err(|error| self.write_error(index, error))?;
        self.note_time(index, stamp.modified);
        destination.root.install_near(&destination.shoal, &data, &entry.name, near)?;
        state.phase = Phase::Done(stamp);
        Ok(())
    }

    /// Gives a new file its content, mode and time.
    fn fill(&self, file: &File, entry: &Entry, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() >= BLOCK_LEN {
            // It may end with a hole.
            file.set_len(bytes.len() as u64)?;
        }
        self.writer.write(file, bytes, 0)?;
        metadata::give_new_file(file, &entry.metadata)
    }
}
