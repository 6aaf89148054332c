//! A source as it lies on this rank: under which paths the contents of entries may be found. Opens
//! and reads nothing.

use crate::Share;
use crate::job::{Links, Naming};
use content::Entry;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{FileSource, Source};

/// A path of this rank that another rank was chosen to read and offer, or that all see.
#[derive(Debug, Clone)]
pub(crate) struct LocalSource {
    path: PathBuf,
    /// The name under which the file, or what is in the directory, is offered.
    name: Vec<u8>,
    /// Whether what is in the directory has no name of the directory's before its own.
    is_bare: bool,
    /// Whether links in it are followed.
    links: Links,
}

impl LocalSource {
    /// The source, unless it lies on a network file system: that would be read by every rank.
    pub(super) fn new(share: &Share) -> Option<Self> {
        if is_on_network(&share.path) { None } else { Self::at(share) }
    }

    /// The source, wherever it lies.
    pub(super) fn at(share: &Share) -> Option<Self> {
        let path = std::fs::canonicalize(&share.path).ok()?;
        let named = share.naming == Naming::WithOwnName || path.is_file();
        // The name is the one that was given, also where that is a link to something named
        // otherwise.
        let given = share.path.file_name().or(path.file_name());
        let own = if named { given?.to_owned().into_vec() } else { Vec::new() };
        let name = [share.prefix.as_slice(), &own].concat();
        Some(Self { name, path, is_bare: !named, links: share.links })
    }

    /// The file here that may have the content of an entry.
    pub(crate) fn find(&self, entry: &Entry) -> Option<Arc<dyn Source>> {
        let rest = entry.name.as_bytes().strip_prefix(self.name.as_slice())?;
        let path = match rest.strip_prefix(b"/") {
            _ if self.is_bare => self.path.join(OsStr::from_bytes(rest)),
            Some(rest) => self.path.join(OsStr::from_bytes(rest)),
            None if rest.is_empty() => self.path.clone(),
            None => return None,
        };
        let metadata = match self.links {
            Links::Kept => std::fs::symlink_metadata(&path).ok()?,
            Links::Followed => std::fs::metadata(&path).ok()?,
        };
        let fits = metadata.is_file() && metadata.len() == entry.len();
        fits.then(|| Arc::new(FileSource::of_entry(path, entry)) as Arc<dyn Source>)
    }
}

/// Whether a path lies on a file system that other hosts serve, by the numbers of Linux's
/// `statfs(2)`.
pub(super) fn is_on_network(path: &Path) -> bool {
    const NETWORK: [u32; 12] = [
        0x6969,      // NFS
        0x0bd0_0bd0, // Lustre
        0x4750_4653, // GPFS
        0x1983_0326, // BeeGFS
        0x00c3_6400, // Ceph
        0xaad7_aaea, // PanFS
        0x5346_414f, // AFS
        0xff53_4d42, // CIFS
        0xfe53_4d42, // SMB 2
        0x517b,      // SMB
        0x0102_1997, // 9P
        0x6573_5546, // FUSE: mostly a network's; a local one only loses a shortcut
    ];
    rustix::fs::statfs(path).is_ok_and(|stat| NETWORK.contains(&(stat.f_type as u32)))
}
