//! A look at a destination and at what stands in it, compared with the catalogue. Makes, changes
//! and removes nothing, takes no lock, and follows no link below the destination.

use super::beneath::{Missing, Parent, Root};
use super::destination::DestinationError;
use super::error::show;
use super::locate::Mounts;
use super::metadata::{self, Seen};
use super::stamp::Stamp;
use super::state::Phase;
use super::{Matters, Partial, claim, lock, resume};
use super::{Store, WriteError};
use content::{Entry, EntryIndex, FileContent, Kind, Name, PieceIndex, PieceLayer, Tie};
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::DirEntry;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use swarm::peer::Inspected;
use swarm::{Differences, Lock, Purpose};

/// A destination that is only looked at; perhaps it does not exist.
#[derive(Debug)]
pub struct Look {
    root: Option<Root>,
    /// `.shoal` below it, where there is one.
    shoal: Option<OwnedFd>,
    into: PathBuf,
    id: u128,
    /// What a transfer would write to; the directory itself, or the innermost above it that exists.
    site: Option<Site>,
}

/// Where a transfer would write.
#[derive(Debug)]
struct Site {
    file_system: u64,
    free_bytes: u64,
    /// Another job is at work there.
    lock: Lock,
    /// Why nothing can be written there, though something stands there.
    sealed: Option<String>,
}

impl Look {
    /// Opens a directory where there is one. `host` tells those of several hosts apart. A dry run
    /// also sees whether a transfer could write there.
    ///
    /// # Errors
    ///
    /// Says so where something else has its name, or it may not be entered; in a dry run, where a
    /// transfer could not write there.
    pub fn open(into: &Path, host: &str, purpose: Purpose) -> Result<Self, DestinationError> {
        let into = std::path::absolute(into).map_err(|error| DestinationError::new(into, error))?;
        let fail = |errno: Errno| DestinationError::new(&into, errno);
        let root = match Root::open(&into) {
            Ok(root) => Some(root),
            Err(Errno::NOENT) => None,
            Err(errno) => return Err(fail(errno)),
        };
        let stat = root.as_ref().map(|root| rustix::fs::fstat(root.fd())).transpose();
        let stat = stat.map_err(fail)?;
        let shoal = root.as_ref().and_then(open_shoal);
        // Ranks that look at one directory are to share the work. Its identity tells that; where
        // it has none, at least those of one host know.
        let known = shoal.as_ref().and_then(claim::known_identity);
        let id = known.unwrap_or_else(|| match &stat {
            Some(stat) => claim::derived_identity(host, stat),
            None => claim::derived(&[host.as_bytes(), b"\0", into.as_os_str().as_bytes()].concat()),
        });
        let site = match purpose {
            Purpose::DryRun => Some(Site::find(&into, shoal.as_ref())?),
            Purpose::Transfer | Purpose::Check => None,
        };
        Ok(Self { root, shoal, into, id, site })
    }

    /// What the tracker is told of it.
    pub fn facts(&self) -> swarm::Destination {
        let site = self.site.as_ref();
        swarm::Destination {
            id: self.id,
            path: show(&self.into),
            location: Mounts::read().locate(&self.into),
            lock: site.map_or(Lock::Unclaimed, |site| site.lock.clone()),
            file_system: site.map_or(0, |site| site.file_system),
            // For a mere look nothing is going to be written.
            free_bytes: site.map_or(u64::MAX, |site| site.free_bytes),
        }
    }

    /// What earlier runs left there, as [`Destination::partials`](super::Destination::partials).
    pub fn partials(&self, matters: Matters<'_>, threads: usize) -> Vec<Partial> {
        let shoal = self.shoal.as_ref();
        shoal
            .map(|at| resume::partials(at, matters, threads, &AtomicU64::new(0)))
            .unwrap_or_default()
    }

    /// Whether it says what a transfer would do.
    pub(super) fn is_forecast(&self) -> bool {
        self.site.is_some()
    }

    pub(super) fn root(&self) -> Option<&Root> {
        self.root.as_ref()
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

impl Site {
    /// Finds where a transfer would write, and whether it could.
    fn find(into: &Path, shoal: Option<&OwnedFd>) -> Result<Self, DestinationError> {
        let fail = |errno: Errno| DestinationError::new(into, errno);
        let exists = |path: &&Path| path.symlink_metadata().is_ok();
        let at = into.ancestors().find(exists).unwrap_or(Path::new("/"));
        let not_a_directory = |obstacle: &Path| DestinationError::NotADirectory {
            into: into.to_owned(),
            obstacle: obstacle.to_owned(),
        };
        if !at.is_dir() {
            return Err(not_a_directory(at));
        }
        let reserved = into.join(OsStr::from_bytes(Name::RESERVED));
        if reserved.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(not_a_directory(&reserved));
        }
        let needed = Access::WRITE_OK | Access::EXEC_OK;
        let admitted = rustix::fs::accessat(CWD, at, needed, AtFlags::EACCESS).map_err(fail);
        let sealed = match admitted {
            Err(why) if at == into && why.is_for_good() && holds_something(into) => {
                Some(why.to_string())
            }
            admitted => admitted.map(|()| None)?,
        };
        let space = rustix::fs::statvfs(at).map_err(fail)?;
        let file_system = rustix::fs::stat(at).map_err(fail)?.st_dev;
        let owner = shoal.and_then(claim::owner_seen);
        Ok(Self {
            file_system,
            free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
            lock: owner.map_or(Lock::Unclaimed, |owner| Lock::Taken { nonce: 0, owner }),
            sealed,
        })
    }
}

/// Whether anything but `.shoal` is in a directory.
fn holds_something(directory: &Path) -> bool {
    let is_other = |item: io::Result<DirEntry>| {
        item.is_ok_and(|item| item.file_name().as_bytes() != Name::RESERVED)
    };
    std::fs::read_dir(directory).is_ok_and(|mut items| items.any(is_other))
}

/// Opens `.shoal` where it is there.
fn open_shoal(root: &Root) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = OsStr::from_bytes(Name::RESERVED);
    rustix::fs::openat(root.fd(), name, flags, Mode::empty()).ok()
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
        let there = !differences.lack_content();
        let bytes_in_place = if there { entry.len() } else { self.kept_bytes(index) };
        let blocked = look.site.is_some() && !differences.is_empty();
        let obstacle = if blocked { self.obstacle(entry, look, differences) } else { None };
        Inspected { differences, bytes_in_place, obstacle }
    }

    /// Bytes of an entry that an earlier run left in parts, and a transfer would keep.
    fn kept_bytes(&self, index: EntryIndex) -> u64 {
        let Some(state) = self.states.find(index) else { return 0 };
        let Phase::Kept(partial) = &lock(&state).phase else { return 0 };
        let geometry = self.catalogue.geometry(index);
        partial.held.iter().map(|piece| u64::from(geometry.size(PieceIndex(piece)))).sum()
    }

    /// Why an entry could not be written, as far as that shows before it is.
    fn obstacle(&self, entry: &Entry, look: &Look, differences: Differences) -> Option<String> {
        let root = look.root.as_ref()?;
        if let Some(why) = look.site.as_ref().and_then(|site| site.sealed.clone()) {
            return Some(WriteError::Sealed { why }.to_string());
        }
        let parent = match root.parent(&entry.name, Missing::Leave) {
            Ok(parent) => parent,
            Err(error) => return Some(error.to_string()),
        };
        let standing = parent.as_ref().and_then(|parent| stat(parent).ok());
        if let Some(found) = standing.filter(|_| differences.has(Differences::KIND)) {
            let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            let wanted = wanted_type(&entry.kind);
            if is_directory
                && let Some(parent) = &parent
                && let Err(error) = root.gives_way(parent, &entry.name, wanted)
            {
                return Some(error.to_string());
            }
        }
        let denied = root.admits(&entry.name).err()?;
        let opened_up = self.is_opened_up(&entry.name) || !differences.lack_content();
        (!opened_up).then(|| denied.to_string())
    }

    /// Whether a name lies in a directory that a transfer opens up, for it is sealed in the end.
    fn is_opened_up(&self, name: &Name) -> bool {
        let bytes = name.as_bytes();
        let Some(slash) = bytes.iter().rposition(|&byte| byte == b'/') else { return false };
        let entries = self.catalogue.entries();
        let at = entries.binary_search_by(|entry| entry.name.as_bytes().cmp(&bytes[..slash]));
        at.is_ok_and(|at| entries[at].metadata.mode & 0o300 != 0o300)
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
        let seen = Seen::from(&stat);
        let differences = self.differences_from(index, entry, &seen, (&stat, &parent), look)?;
        if differences.is_empty() {
            self.note_time(index, seen.modified);
        }
        Ok(differences)
    }

    /// The same, of what stands there.
    fn differences_from(
        &self,
        index: EntryIndex,
        entry: &Entry,
        seen: &Seen,
        (stat, parent): (&Stat, &Parent<'_>),
        look: &Look,
    ) -> io::Result<Differences> {
        match (&entry.kind, FileType::from_raw_mode(stat.st_mode)) {
            (Kind::Directory, FileType::Directory) => {
                let others = seen.differences_of_directory(&entry.metadata);
                Ok(others.and(differences_in_xattrs(entry, parent)?))
            }
            (Kind::File(content) | Kind::HardLink { content, .. }, FileType::RegularFile) => {
                let same = self.has_content(index, *content, stat, parent)?;
                let link = Differences::LINK.only_if(!self.is_tied(index, stat, look)?);
                let others = seen.differences(&entry.metadata);
                let others = others.and(differences_in_xattrs(entry, parent)?);
                Ok(Differences::CONTENT.only_if(!same).and(others).and(link))
            }
            (Kind::Symlink(target), FileType::Symlink) => {
                let found = rustix::fs::readlinkat(&parent.fd, parent.leaf, Vec::new())?;
                let others = seen.differences_of_link(&entry.metadata);
                Ok(Differences::LINK.only_if(found.as_bytes() != target).and(others))
            }
            _ => Ok(Differences::KIND),
        }
    }

    /// Whether a name that must be another one of a file is that, as far as this rank wants both;
    /// true of all others.
    fn is_tied(&self, index: EntryIndex, found: &Stat, look: &Look) -> io::Result<bool> {
        let Some((first, Tie::Link)) = self.twins.source(index) else { return Ok(true) };
        let first = look.parent(&self.catalogue.entry(first).name)?;
        let first = first.and_then(|parent| stat(&parent).ok());
        let identity = |stat: &Stat| (stat.st_dev, stat.st_ino);
        Ok(first.is_some_and(|first| identity(&first) == identity(found)))
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
        let metadata = file.metadata()?;
        let stamp = Stamp::of(&metadata);
        let own = self.shared.get(&index.0);
        if own.is_some_and(|shared| shared.is_file(&metadata)) {
            return Ok(true);
        }
        // A file that changes meanwhile is not what it must be.
        let Some(hashes) = self.hash_whole(&file, stamp, content)? else { return Ok(false) };
        let layer = PieceLayer::new(content.geometry, hashes).expect("one hash a piece");
        Ok(content.root == Some(layer.root()))
    }
}

/// In what extended attributes a file or directory differs, where they are kept.
fn differences_in_xattrs(entry: &Entry, parent: &Parent<'_>) -> io::Result<Differences> {
    if entry.metadata.xattrs.is_none() {
        return Ok(Differences::default());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(&parent.fd, parent.leaf, flags, Mode::empty())?;
    metadata::differences_in_xattrs(opened, &entry.metadata)
}

fn wanted_type(kind: &Kind) -> FileType {
    match kind {
        Kind::File(_) | Kind::HardLink { .. } => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink(_) => FileType::Symlink,
    }
}

fn stat(parent: &Parent<'_>) -> rustix::io::Result<Stat> {
    rustix::fs::statat(&parent.fd, parent.leaf, AtFlags::SYMLINK_NOFOLLOW)
}
