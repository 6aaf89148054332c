//! A look at a destination and at what stands in it, compared with the catalogue. Makes, changes
//! and removes nothing, takes no lock, and follows no link below the destination.

use super::beneath::{Missing, Parent, Root};
use super::claim;
use super::destination::DestinationError;
use super::digest::fingerprint;
use super::error::show;
use super::stamp::Stamp;
use super::tree::has_time;
use super::{Store, WriteError};
use content::{Entry, EntryIndex, FileContent, Kind, Name, PieceLayer};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use swarm::peer::Inspected;
use swarm::{Differences, Lock};

/// A destination that is only looked at; perhaps it does not exist.
#[derive(Debug)]
pub struct Look {
    root: Option<Root>,
    into: PathBuf,
    id: u128,
    file_system: u64,
}

impl Look {
    /// Opens a directory where there is one. `host` tells those of several hosts apart.
    ///
    /// # Errors
    ///
    /// Says so where something else has its name, or it may not be entered.
    pub fn open(into: &Path, host: &str) -> Result<Self, DestinationError> {
        let into = std::path::absolute(into).map_err(|error| DestinationError::new(into, error))?;
        let root = match Root::open(&into) {
            Ok(root) => Some(root),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(DestinationError::new(&into, errno)),
        };
        let stat = match &root {
            Some(root) => {
                let stat = rustix::fs::fstat(root.fd());
                Some(stat.map_err(|errno| DestinationError::new(&into, errno))?)
            }
            None => None,
        };
        // Ranks that look at one directory are to share the work. Its identity tells that; where
        // it has none, at least those of one host know.
        let known = root.as_ref().and_then(known_identity);
        let id = known.unwrap_or_else(|| match &stat {
            Some(stat) => derived(format!("{host}\0{}\0{}", stat.st_dev, stat.st_ino).as_bytes()),
            None => derived(&[host.as_bytes(), b"\0", into.as_os_str().as_bytes()].concat()),
        });
        Ok(Self { root, id, file_system: stat.map_or(0, |stat| stat.st_dev), into })
    }

    /// What the tracker is told of it.
    pub fn facts(&self) -> swarm::Destination {
        swarm::Destination {
            id: self.id,
            path: show(&self.into),
            lock: Lock::Unclaimed,
            file_system: self.file_system,
            // Nothing is going to be written.
            free_bytes: u64::MAX,
        }
    }

    /// The directory in which a name lies; none where it is missing, or is none.
    fn parent<'a>(&self, name: &'a Name) -> io::Result<Option<Parent<'a>>> {
        let Some(root) = &self.root else { return Ok(None) };
        match root.parent(name, Missing::Leave) {
            Err(WriteError::ThroughLink { .. } | WriteError::InTheWay { .. }) => Ok(None),
            found => found.map_err(io::Error::other),
        }
    }
}

/// The identity that earlier runs gave a directory.
fn known_identity(root: &Root) -> Option<u128> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = std::ffi::OsStr::from_bytes(Name::RESERVED);
    let shoal = rustix::fs::openat(root.fd(), name, flags, Mode::empty()).ok()?;
    claim::known_identity(&shoal)
}

fn derived(text: &[u8]) -> u128 {
    let hash = fingerprint(text).0;
    u128::from_le_bytes(std::array::from_fn(|at| hash[at]))
}

impl Store {
    /// Compares what stands at the destination with a wanted entry. A file of the right length is
    /// read whole.
    ///
    /// # Panics
    ///
    /// Panics where the store was not made to look.
    pub fn inspect(&self, index: EntryIndex) -> Inspected {
        let entry = self.catalogue.entry(index);
        let look = self.look.as_ref().expect("a store that looks");
        let differences = self.differences(index, entry, look).unwrap_or(Differences::UNREADABLE);
        let content = [Differences::CONTENT, Differences::MISSING, Differences::KIND]
            .into_iter()
            .chain([Differences::UNREADABLE]);
        let there = !content.into_iter().any(|it| differences.has(it));
        Inspected { differences, bytes_in_place: if there { entry.len() } else { 0 } }
    }

    fn differences(
        &self,
        index: EntryIndex,
        entry: &Entry,
        look: &Look,
    ) -> io::Result<Differences> {
        let Some(parent) = look.parent(&entry.name)? else { return Ok(Differences::MISSING) };
        let stat = match stat(&parent) {
            Err(Errno::NOENT) => return Ok(Differences::MISSING),
            stat => stat?,
        };
        let mode = (stat.st_mode ^ entry.metadata.mode) & 0o7777 != 0;
        let mode = Differences::MODE.only_if(mode);
        let time = Differences::TIME.only_if(!has_time(&stat, &entry.metadata));
        match (&entry.kind, FileType::from_raw_mode(stat.st_mode)) {
            (Kind::Directory, FileType::Directory) => Ok(mode.and(time)),
            (Kind::File(content), FileType::RegularFile) => {
                let same = self.has_content(index, *content, &stat, &parent)?;
                Ok(Differences::CONTENT.only_if(!same).and(mode).and(time))
            }
            (Kind::Symlink(target), FileType::Symlink) => {
                let found = rustix::fs::readlinkat(&parent.fd, parent.leaf, Vec::new())?;
                Ok(Differences::LINK.only_if(found.as_bytes() != target).and(time))
            }
            (Kind::HardLink(first), FileType::RegularFile) => {
                let other = look.parent(first)?.and_then(|parent| self::stat(&parent).ok());
                let identity = |stat: &Stat| (stat.st_dev, stat.st_ino);
                let same = other.is_some_and(|other| identity(&other) == identity(&stat));
                Ok(Differences::LINK.only_if(!same))
            }
            _ => Ok(Differences::KIND),
        }
    }

    /// Whether a file has an entry's content.
    fn has_content(
        &self,
        index: EntryIndex,
        content: FileContent,
        stat: &Stat,
        parent: &Parent<'_>,
    ) -> io::Result<bool> {
        if u64::try_from(stat.st_size) != Ok(content.geometry.len()) {
            return Ok(false);
        }
        let file = parent.open()?;
        let stamp = Stamp::of_file(&file)?;
        let own = self.shared.get(&index.0);
        if own.is_some_and(|(_, shared)| shared.is_same_content(&stamp)) {
            return Ok(true);
        }
        // A file that changes meanwhile is not what it must be.
        let Some(hashes) = self.hash_whole(&file, stamp, content)? else { return Ok(false) };
        let layer = PieceLayer::new(content.geometry, hashes).expect("one hash a piece");
        Ok(content.root == Some(layer.root()))
    }
}

fn stat(parent: &Parent<'_>) -> rustix::io::Result<Stat> {
    rustix::fs::statat(&parent.fd, parent.leaf, AtFlags::SYMLINK_NOFOLLOW)
}
