//! An entry between the walk that found it and the offer of it: its hashes are found out meanwhile.
//! Reads nothing.

use super::{ShareError, SharedEntry, Steadiness};
use crate::file_source::FileSource;
use crate::stamp::Stamp;
use crate::walk::{self, Found};
use content::{
    Catalogue, Entry, FileContent, Geometry, Hash, Kind, Name, PieceLayer, PieceLen, VerifiedLayer,
};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An entry that was found, and the state of its path.
#[derive(Debug)]
pub(super) struct FoundEntry {
    pub(super) entry: Entry,
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
    pub(super) standing: Standing,
    /// All piece hashes with their proofs, for a file of several pieces.
    layer: Option<Box<VerifiedLayer>>,
    /// The position of the share that it was found under.
    share: u32,
}

/// The state of a path after it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// No change was seen since.
    Sound,
    /// It changed each time that it was hashed: nobody can have it.
    Unsteady,
    /// It is no longer there.
    Gone,
}

/// The entries of what was found, in order of their names. A file's second name is a link to its
/// first.
pub(super) fn unhashed(
    found: BTreeMap<Name, Found>,
    piece_len: Option<PieceLen>,
) -> Result<Vec<FoundEntry>, ShareError> {
    let mut entries: Vec<FoundEntry> = Vec::with_capacity(found.len());
    // The first name of each file that has several.
    let mut first_names: HashMap<(u64, u64), Name> = HashMap::new();
    for (name, found) in found {
        let file = (found.stamp.device, found.stamp.inode);
        let first = found.is_linked.then(|| first_names.entry(file).or_insert(name.clone()));
        let first = first.filter(|first| **first != name).cloned();
        let entry = FoundEntry::unhashed(name, found, piece_len)?;
        entries.push(match first {
            Some(first) => entry.link(first),
            None => entry,
        });
    }
    Ok(entries)
}

impl FoundEntry {
    /// The entry of what was found; a file's root is yet to come.
    fn unhashed(name: Name, found: Found, told: Option<PieceLen>) -> Result<Self, ShareError> {
        let Found { path, kind, metadata, stamp, share, .. } = found;
        let kind = match kind {
            walk::FoundKind::Directory => Kind::Directory,
            walk::FoundKind::Symlink(target) => Kind::Symlink(target),
            walk::FoundKind::File => Kind::File(cut(&path, stamp.len, told)?),
        };
        let entry = Entry { name, kind, metadata };
        Ok(Self { entry, path, layer: None, share, stamp, standing: Standing::Sound })
    }

    /// The same entry as another name of a file; what is in it is to be found out there.
    fn link(mut self, to: Name) -> Self {
        if let Kind::File(content) = self.entry.kind {
            self.entry.kind = Kind::HardLink { to, content };
        }
        self
    }

    /// The place that its content is read from.
    pub(super) fn source(&self) -> FileSource {
        FileSource::found(self.path.clone(), self.stamp)
    }

    /// The entry as it is offered.
    pub(super) fn into_shared(self) -> SharedEntry {
        let steadiness = match self.is_unsteady() {
            true => Steadiness::Unsteady,
            false => Steadiness::Steady,
        };
        let source = Arc::new(FileSource::found(self.path, self.stamp));
        let Self { entry, layer, share, .. } = self;
        SharedEntry { entry, source, layer, share, steadiness }
    }

    /// Whether it kept changing while it was hashed, so that nobody can have it.
    pub(super) fn is_unsteady(&self) -> bool {
        self.standing == Standing::Unsteady
    }

    /// Whether there is nothing to hash, or no more.
    pub(super) fn is_hashed(&self) -> bool {
        match &self.entry.kind {
            Kind::File(content) => content.root.is_some() || self.standing != Standing::Sound,
            Kind::HardLink { .. } | Kind::Directory | Kind::Symlink(_) => true,
        }
    }

    pub(super) fn set_hashes(&mut self, hashes: Vec<Hash>) {
        let Kind::File(content) = &mut self.entry.kind else {
            unreachable!("only files are hashed")
        };
        let layer = PieceLayer::new(content.geometry, hashes).expect("one hash a piece");
        *content = FileContent::hashed(&layer);
        self.layer = (layer.hashes().len() > 1).then(|| Box::new(layer.prove()));
    }
}

/// A file's content before it is hashed.
pub(super) fn cut(
    path: &Path,
    len: u64,
    told: Option<PieceLen>,
) -> Result<FileContent, ShareError> {
    let geometry = Geometry::new(len, told.unwrap_or(PieceLen::default_for(len)));
    if geometry.piece_count_wide() > Catalogue::MAX_PIECES {
        return Err(ShareError::TooManyPieces { path: path.to_owned() });
    }
    Ok(FileContent::unhashed(geometry))
}

/// Gives each hard link what was found out about its file, which may have changed since it was
/// found under this name.
pub(super) fn fill_links(entries: &mut [FoundEntry]) {
    for at in 0..entries.len() {
        let Kind::HardLink { to, .. } = &entries[at].entry.kind else { continue };
        let first = entries.binary_search_by(|shared| shared.entry.name.cmp(to));
        let file = &entries[first.expect("the first name of a file is shared")];
        let known = *file.entry.file().expect("only files have several names");
        let (metadata, layer, stamp) =
            (file.entry.metadata.clone(), file.layer.clone(), file.stamp);
        let standing = file.standing;
        let link = &mut entries[at];
        if let Kind::HardLink { content, .. } = &mut link.entry.kind {
            *content = known;
        }
        (link.entry.metadata, link.layer, link.stamp) = (metadata, layer, stamp);
        link.standing = standing;
    }
}
