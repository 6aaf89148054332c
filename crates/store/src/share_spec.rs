//! Says what is to be shared: which path, under which names, and what is kept of it. Opens nothing.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use swarm::ShareId;

/// A file or directory that a rank offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Where it is.
    pub path: PathBuf,
    /// What is put before every name, in bytes, as it is: `rank3/`, say.
    pub prefix: Vec<u8>,
    /// What becomes of symbolic links in it.
    pub links: Links,
    /// Whether a directory's own name stands before the names in it, and the directory itself is an
    /// entry (`cast`), or its content alone is shared (`run`).
    pub naming: Naming,
    /// What is kept of it.
    pub keeps: Keeps,
}

/// What is kept of what is shared, beside content, mode and modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keeps {
    /// User and group, by number.
    pub owner: bool,
    /// Extended attributes, access control lists among them.
    pub xattrs: bool,
}

/// What becomes of symbolic links in what is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Links {
    /// They are shared as links.
    #[default]
    Kept,
    /// What they lead to is shared under their names.
    Followed,
}

/// How the names under a shared directory begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Relative to the directory.
    Inside,
    /// With the directory's own name.
    WithOwnName,
}

impl Share {
    /// A path whose content is shared under the names that it has there; links stay links.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let (links, naming, keeps) = (Links::Kept, Naming::Inside, Keeps::default());
        Self { path: path.into(), prefix: Vec::new(), links, naming, keeps }
    }

    /// What tells it apart from other shares, of this job and of later ones: where it is, and how
    /// what is in it is named.
    pub fn id(&self) -> ShareId {
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        // Without slashes at the end, and such.
        let path: PathBuf = path.components().collect();
        let naming: &[u8] = match self.naming {
            Naming::Inside => b"inside",
            Naming::WithOwnName => b"own name",
        };
        ShareId::of([path.as_os_str().as_bytes(), &self.prefix, naming])
    }
}
