//! What stands at the destination before anything is fetched. Asks nobody for anything.

use super::beneath::Standing;
use super::destination::Destination;
use super::metadata;
use super::open_files::Key;
use super::partial::{self, Part, PartName};
use super::salvage::{Candidates, Found};
use super::stamp::Stamp;
use super::state::Phase;
use super::{Store, WriteError, has_sidecar, lock};
use content::{Bitfield, Entry, EntryIndex, FileContent, Hash, PieceLayer, VerifiedLayer};
use rustix::fs::AtFlags;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// What a survey of a wanted file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Survey {
    /// The same content stands under the name already; its mode and time are now as they must be.
    /// With its piece hashes, but for an empty file and one that this rank shares.
    Complete(Option<VerifiedLayer>),
    /// It is a hard link to a file that is complete here, and was made now.
    Linked,
    /// An earlier run left these pieces; numbers are within the file. The others may be salvaged.
    Partial(Bitfield),
    /// There is something that pieces may be salvaged from.
    Candidate,
    /// There is nothing.
    Nothing,
}

/// Something regular that stands under the name.
struct Old {
    file: File,
    stamp: Stamp,
    content: OldContent,
}

/// What is known of its content.
enum OldContent {
    /// It is the very file that this rank shares.
    Shared,
    /// It has the right length, and its pieces these hashes.
    Hashed(Vec<Hash>),
    /// Nothing.
    Unknown,
}

impl Store {
    /// Looks what is there of a wanted file, before anything of it is written. A file of the right
    /// length is hashed whole. Leaves what stands under the name untouched, but for a hard link: to
    /// a file that is complete here that is made at once.
    ///
    /// # Errors
    ///
    /// Says so where a directory stands in the way, or the name leads through a link.
    ///
    /// # Panics
    ///
    /// Panics where the entry is no file, or not wanted here.
    pub fn survey(&self, index: EntryIndex) -> Result<Survey, WriteError> {
        let (entry, content) = self.wanted_file(index);
        if let Some(survey) = self.link(index)? {
            return Ok(survey);
        }
        let destination = self.destination();
        let old = match destination.root.survey(&entry.name)? {
            Standing::File(Some(file)) => self.hash_old(index, content, file),
            // It gives way in the end.
            _ => None,
        };
        if let Some(old) = &old
            && let Some((stamp, layer)) = self.complete(index, content, old)
        {
            self.note_time(index, stamp.modified);
            self.states.begin(index, Phase::Done(stamp));
            self.drop_leftovers(index, destination, entry);
            return Ok(Survey::Complete(layer));
        }
        destination.admits_anything()?;
        destination.root.admits(&entry.name)?;
        Ok(self.collect_candidates(index, destination, entry, old))
    }

    /// Looks at a regular file under the name; hashes it where it has the right length. `None`
    /// where it cannot be read.
    fn hash_old(&self, index: EntryIndex, content: FileContent, file: File) -> Option<Old> {
        let metadata = file.metadata().ok()?;
        let stamp = Stamp::of(&metadata);
        let own = self.shared.get(&index.0);
        let content = if own.is_some_and(|shared| shared.is_file(&metadata)) {
            OldContent::Shared
        } else if stamp.len == content.geometry.len() {
            let hashes = self.hasher.hash_whole(&file, stamp, content).ok()?;
            hashes.map_or(OldContent::Unknown, OldContent::Hashed)
        } else {
            OldContent::Unknown
        };
        Some(Old { file, stamp, content })
    }

    /// Where a file has the wanted content: mends its mode and time, and says how it is then, and
    /// what its piece hashes are where they were found out. One that cannot be mended, for it
    /// belongs to somebody else, or has names that must stay as they are, is copied like any other
    /// material.
    fn complete(
        &self,
        index: EntryIndex,
        content: FileContent,
        old: &Old,
    ) -> Option<(Stamp, Option<VerifiedLayer>)> {
        let layer = match &old.content {
            OldContent::Unknown => return None,
            OldContent::Shared => None,
            OldContent::Hashed(hashes) => {
                let layer =
                    PieceLayer::new(content.geometry, hashes.clone()).expect("one hash a piece");
                if content.root != Some(layer.root()) {
                    return None;
                }
                (!content.geometry.is_empty()).then(|| layer.prove())
            }
        };
        let wanted = &self.catalogue.entry(index).metadata;
        let found = old.file.metadata().ok()?;
        let differences = metadata::differences_of_file(&found, &old.file, wanted).ok()?;
        let differs = !differences.is_empty();
        if differs && found.nlink() > 1 && !self.ties_all_names(index, &found) {
            return None;
        }
        metadata::mend_file(&found, &old.file, wanted).ok()?;
        Some((Stamp::of_file(&old.file).ok()?, layer))
    }

    /// Removes what `.shoal` has of a file that stands whole under its name.
    pub(super) fn drop_leftovers(
        &self,
        index: EntryIndex,
        destination: &Destination,
        entry: &Entry,
    ) {
        self.files.close(Key::Own(index.0));
        let name = PartName::of(&entry.name);
        if self.leftovers.contains(&name) {
            for part in [Part::Data, Part::Sidecar, Part::Old] {
                // What cannot be removed stays, and is no worse than before.
                let _ = partial::remove(&destination.shoal, &name.file(part));
            }
        }
    }

    /// Keeps in mind where pieces may be salvaged from.
    fn collect_candidates(
        &self,
        index: EntryIndex,
        destination: &Destination,
        entry: &Entry,
        old: Option<Old>,
    ) -> Survey {
        let state = self.states.get(index);
        let state = &mut *lock(&state);
        let kept = matches!(state.phase, Phase::Kept(_));
        let name = PartName::of(&entry.name);
        let aside = self.leftovers.contains(&name) && set_aside(destination, &name, kept);
        let local = self.local.get(&index.0);
        let local = local.filter(|source| source.len().is_ok_and(|len| len == entry.len()));
        let standing = old.filter(|old| old.stamp.len > 0).map(|old| {
            self.files.keep_file(Key::Standing(index.0), &Arc::new(old.file));
            match old.content {
                OldContent::Hashed(hashes) => Found { hashes: Some(hashes) },
                OldContent::Shared | OldContent::Unknown => Found { hashes: None },
            }
        });
        let any = standing.is_some() || aside || local.is_some();
        if any && !entry.is_empty() {
            state.candidates = Some(Arc::new(Candidates::new(standing, aside, local.cloned())));
        }
        if let Phase::Kept(partial) = &state.phase
            && has_sidecar(entry)
        {
            // What was read before START has none yet, or an older one. Whoever writes tells why
            // that fails.
            let _ = partial::rewrite_sidecar(
                &destination.shoal,
                &self.described(index),
                &partial.layer,
            );
        }
        match &state.phase {
            Phase::Kept(partial) => Survey::Partial(partial.held.clone()),
            _ if state.candidates.is_some() => Survey::Candidate,
            _ => Survey::Nothing,
        }
    }
}

/// Puts the data of a partial that was to become something else aside, as material; says whether
/// there is any.
fn set_aside(destination: &Destination, name: &PartName, kept: bool) -> bool {
    let shoal = &destination.shoal;
    let (data, old) = (name.file(Part::Data), name.file(Part::Old));
    if !kept && rustix::fs::renameat(shoal, &data, shoal, &old).is_ok() {
        // Without its data it says nothing; written anew with the first piece.
        let _ = partial::remove(shoal, &name.file(Part::Sidecar));
        return true;
    }
    rustix::fs::statat(shoal, old, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}
