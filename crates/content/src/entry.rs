//! One entry of the catalogue: a file, a directory or a link, with what survives the trip.

use crate::merkle::piece_hash;
use crate::{Geometry, Hash, Metadata, Name, PieceLayer, PieceLen};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// Something that has a name in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it goes, below the destination.
    pub name: Name,
    /// What it is.
    pub kind: Kind,
    /// Its permissions and times.
    pub metadata: Metadata,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File(FileContent),
    /// A directory, empty or not.
    Directory,
    /// A symbolic link; the target is content, kept word for word, whatever it points to.
    Symlink(#[serde(deserialize_with = "target")] Vec<u8>),
    /// Another name of a file. Whoever does not have that file, or cannot link, makes one of its
    /// own: so a link has the content, too.
    HardLink {
        /// The file's first name.
        to: Name,
        /// What is in it.
        content: FileContent,
    },
}

/// The content of a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// Length and pieces.
    pub geometry: Geometry,
    /// The BEP 52 Merkle root; `None` while its only source still computes it. An empty file's is
    /// [`Hash::ZERO`].
    pub root: Option<Hash>,
    /// Bytes of the pieces that are zeros throughout: they are not sent, and take no room.
    pub zero_bytes: u64,
}

impl FileContent {
    /// A content of which only the length is known yet.
    pub const fn unhashed(geometry: Geometry) -> Self {
        Self { geometry, root: None, zero_bytes: 0 }
    }

    /// The content that has these piece hashes.
    pub fn hashed(layer: &PieceLayer) -> Self {
        let (geometry, root) = (layer.geometry(), Some(layer.root()));
        Self { geometry, root, zero_bytes: layer.zero_bytes() }
    }

    /// The content of a file that nobody can have: its root is the digest of a sentence about the
    /// name, and no pieces fold to that.
    pub fn unobtainable(name: &Name, geometry: Geometry) -> Self {
        let told = [b"what is shared under this name keeps changing: ", name.as_bytes()].concat();
        let cut = Geometry::new(told.len() as u64, PieceLen::MIN);
        let root = PieceLayer::new(cut, vec![piece_hash(cut, &told)]).expect("one piece").root();
        Self { geometry, root: Some(root), zero_bytes: 0 }
    }

    /// Bytes that take room at a destination, at most. Whoever offers a file says how many do not:
    /// believed no further than the file is long.
    pub fn data_bytes(&self) -> u64 {
        self.geometry.len().saturating_sub(self.zero_bytes)
    }
}

impl Entry {
    /// The content of a file, or of a hard link to one; `None` for what is no regular file.
    pub fn file(&self) -> Option<&FileContent> {
        match &self.kind {
            Kind::File(content) | Kind::HardLink { content, .. } => Some(content),
            _ => None,
        }
    }

    /// The file's length in bytes; 0 for what is no regular file.
    pub fn len(&self) -> u64 {
        self.file().map_or(0, |content| content.geometry.len())
    }

    /// Whether there is nothing to transfer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Kind {
    /// The longest target of a symbolic link in bytes, Linux's `PATH_MAX` without the NUL.
    pub const MAX_TARGET_LEN: usize = 4095;

    /// The word for it in messages to people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Directory => "directory",
            Self::Symlink(_) => "symbolic link",
            Self::HardLink { .. } => "hard link",
        }
    }
}

/// A link's target as it came from another rank or an earlier run: one that a link can have.
fn target<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let target = Vec::<u8>::deserialize(from)?;
    let fits = (1..=Kind::MAX_TARGET_LEN).contains(&target.len()) && !target.contains(&0);
    if fits { Ok(target) } else { Err(D::Error::custom("no link can have this target")) }
}
