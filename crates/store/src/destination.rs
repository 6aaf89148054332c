//! The directory in which wanted files land: made, locked, told apart from others, and left as it
//! was found where nothing came of it. Moves no piece.

use super::WriteError;
use super::beneath::Root;
use super::claim::{self, Taken};
use super::error::{has_inodes, show};
use super::locate::Mounts;
use super::lock;
use super::partial::{self, Part, PartName};
use super::tenant;
use super::xattrs;
use content::Name;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use swarm::Lock;

/// The name of the store's own directory.
const SHOAL: &str = ".shoal";

/// A directory that is open for what this rank wants. The lock is held as long as this lives, or
/// until [`super::Store::close`] or [`Self::abandon`].
#[derive(Debug)]
pub struct Destination {
    pub(super) root: Root,
    /// `.shoal` below it.
    pub(super) shoal: OwnedFd,
    /// Whether data written here may be refused only later, when it is flushed: a network file
    /// system.
    pub(super) refuses_late: bool,
    id: u128,
    lock: Lock,
    /// The locked file; none where another process has the lock.
    pub(super) held: Mutex<Option<File>>,
    file_system: u64,
    /// The directories that were made on the way, the outermost first.
    made: Mutex<Vec<PathBuf>>,
    /// Why nothing can be written there, for people; then `shoal` is the directory itself.
    pub(super) sealed: Option<String>,
}

/// Why a directory cannot be a destination.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// Something else has its name.
    #[error(
        "nothing can be put into '{}' because '{}' is not a directory; choose another destination",
        show(into),
        show(obstacle)
    )]
    NotADirectory {
        /// The destination.
        into: PathBuf,
        /// What is no directory: the destination, something above it, or `.shoal` in it.
        obstacle: PathBuf,
    },
    /// The permissions say no.
    #[error(
        "permission denied: nothing can be written into '{}'; change its permissions or choose \
         another destination",
        show(into)
    )]
    Denied {
        /// The destination.
        into: PathBuf,
    },
    /// The file system admits no writing.
    #[error("'{}' lies on a read-only file system; choose another destination", show(into))]
    ReadOnly {
        /// The destination.
        into: PathBuf,
    },
    /// The file system, or the user's quota on it, is full.
    #[error("no space is left for '{}'; make room there or choose another destination", show(into))]
    NoSpace {
        /// The destination.
        into: PathBuf,
    },
    /// The file system has room for bytes, perhaps, but for no more files.
    #[error(
        "no inodes are left for '{}': its file system can hold no more files, whatever their size; \
         remove some there or choose another destination",
        show(into)
    )]
    NoInodes {
        /// The destination.
        into: PathBuf,
    },
    /// Anything else.
    #[error("'{}' cannot be used as a destination: {source}; choose another one", show(into))]
    Io {
        /// The destination.
        into: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl DestinationError {
    pub(super) fn new(into: &Path, source: impl Into<io::Error>) -> Self {
        let (into, source) = (into.to_owned(), source.into());
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => match has_inodes(&into) {
                true => Self::NoSpace { into },
                false => Self::NoInodes { into },
            },
            Some(Errno::ROFS) => Self::ReadOnly { into },
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied { into },
            Some(Errno::NOTDIR) => Self::NotADirectory { obstacle: into.clone(), into },
            _ => Self::Io { into, source },
        }
    }

    /// Whether nothing can be written there, though what stands there can be read.
    pub(super) fn is_for_good(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::ReadOnly { .. })
    }
}

impl Destination {
    /// Another job that ends may remove `.shoal` just when it is opened: then once more, so often.
    const ATTEMPTS: usize = 20;
    /// How long [`Self::abandon`] waits for others to clear away what they made, in what this rank
    /// did: what is in there else came within this job, too.
    const PATIENCE: Duration = Duration::from_secs(2);

    /// Opens a directory, and makes it and those above it where they are missing. `owner` says who
    /// takes the lock, for people: job, host and process.
    ///
    /// # Errors
    ///
    /// Says why nothing can be put there; then nothing is left behind.
    pub fn open(into: &Path, owner: &str) -> Result<Self, DestinationError> {
        let into = std::path::absolute(into).map_err(|error| DestinationError::new(into, error))?;
        let mut made = Vec::new();
        let opened = make_directories(&into, &mut made).and_then(|()| {
            for _ in 0..Self::ATTEMPTS {
                if let Some(destination) = Self::try_open(&into, owner)? {
                    return Ok(destination);
                }
            }
            Err(DestinationError::new(&into, Errno::BUSY))
        });
        match opened {
            Ok(destination) => {
                *lock(&destination.made) = made;
                Ok(destination)
            }
            Err(error) => {
                let _ = std::fs::remove_dir(into.join(SHOAL));
                remove_directories(&made);
                Err(error)
            }
        }
    }

    /// Opens a directory in which nothing can be written, for all that is wanted may stand there
    /// already. `host` tells those of several hosts apart.
    ///
    /// # Errors
    ///
    /// Gives back why nothing can be written, where that is not for want of permission or because
    /// the file system is read-only, or nothing stands there.
    pub fn open_sealed(
        into: &Path,
        host: &str,
        why: DestinationError,
    ) -> Result<Self, DestinationError> {
        if !why.is_for_good() {
            return Err(why);
        }
        let opened = || -> io::Result<Option<Self>> {
            let root = Root::open(&std::path::absolute(into)?)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let shoal = rustix::fs::openat(root.fd(), ".", flags, Mode::empty())?;
            if partial::list(&shoal)?.iter().all(|name| name == SHOAL) {
                return Ok(None);
            }
            let stat = rustix::fs::fstat(root.fd())?;
            Ok(Some(Self {
                root,
                shoal,
                refuses_late: false,
                id: claim::derived_identity(host, &stat),
                lock: Lock::Sealed,
                held: Mutex::default(),
                file_system: stat.st_dev,
                made: Mutex::default(),
                sealed: Some(why.to_string()),
            }))
        };
        opened().ok().flatten().ok_or(why)
    }

    /// Opens a directory that exists; `None` where `.shoal` was removed meanwhile.
    fn try_open(into: &Path, owner: &str) -> Result<Option<Self>, DestinationError> {
        let fail = |error: io::Error| DestinationError::new(into, error);
        let root = Root::open(into).map_err(|errno| fail(errno.into()))?;
        let Some(shoal) = open_shoal(&root)? else { return Ok(None) };
        let taken = match claim::take(&shoal, owner) {
            Ok(Some(taken)) => taken,
            Ok(None) => return Ok(None),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let id = match claim::identity(&shoal) {
            Ok(id) => id,
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        if !is_in_place(&root, &shoal) {
            return Ok(None);
        }
        let stat = rustix::fs::fstat(root.fd()).map_err(|errno| fail(errno.into()))?;
        let refuses_late = refuses_late(&root);
        let Taken { lock, file } = taken;
        let (held, made) = (Mutex::new(file), Mutex::default());
        let file_system = stat.st_dev;
        let sealed = None;
        Ok(Some(Self { root, shoal, refuses_late, id, lock, held, file_system, made, sealed }))
    }

    /// Who has it, by its own account, where that is certainly another job on whatever host.
    pub fn foreign_owner(&self, host: &str) -> Option<&str> {
        match &self.lock {
            Lock::Taken { nonce, owner } if tenant::is_foreign(*nonce, owner, host) => Some(owner),
            _ => None,
        }
    }

    /// What the tracker is told of it; the free space is looked up anew each time.
    pub fn facts(&self) -> swarm::Destination {
        let free_bytes = rustix::fs::fstatvfs(self.root.fd())
            .map_or(0, |space| space.f_bavail.saturating_mul(space.f_frsize));
        swarm::Destination {
            id: self.id,
            path: show(self.root.path()),
            location: Mounts::read().locate(self.root.path()),
            lock: self.lock.clone(),
            file_system: self.file_system,
            free_bytes,
        }
    }

    /// Whether something can be written there at all.
    pub(super) fn admits_anything(&self) -> Result<(), WriteError> {
        match &self.sealed {
            Some(why) => Err(WriteError::Sealed { why: why.clone() }),
            None => Ok(()),
        }
    }

    /// Whether its file system keeps extended attributes; believed of one that cannot be asked, for
    /// nothing can be written there, or another rank of this job asks.
    pub fn keeps_xattrs(&self) -> bool {
        lock(&self.held).as_ref().is_none_or(xattrs::are_kept_with)
    }

    /// Where a name lands.
    pub(super) fn place(&self, name: &Name) -> PathBuf {
        self.root.place(name)
    }

    /// The names that have files in `.shoal`.
    pub(super) fn leftovers(&self) -> HashSet<PartName> {
        let names = partial::list(&self.shoal).unwrap_or_default();
        names.iter().filter_map(|name| Some(PartName::parse(name)?.0)).collect()
    }

    /// The job was refused: removes `.shoal` where no partial lies in it, and the directories that
    /// [`Self::open`] made where nothing else has come into them. Only the lock's holder removes
    /// `.shoal`; whoever made a directory waits a moment for the others. Releases the lock.
    pub fn abandon(&self) {
        self.clear(Clear::Nothing);
        let mut made = std::mem::take(&mut *lock(&self.made));
        let until = Instant::now() + Self::PATIENCE;
        while let Some(innermost) = made.last() {
            if std::fs::remove_dir(innermost).is_ok() || !innermost.exists() {
                made.pop();
            } else if Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            } else {
                break;
            }
        }
    }

    /// Everybody has stopped: removes what cannot be resumed from, and `.shoal` where no partial is
    /// left in it. Only the lock's holder does so. Releases the lock.
    pub(super) fn close(&self) {
        self.clear(Clear::Unusable);
    }

    fn clear(&self, what: Clear) {
        let Some(held) = lock(&self.held).take() else { return };
        let mut names = partial::list(&self.shoal).unwrap_or_default();
        if what == Clear::Unusable {
            names.retain(|name| {
                let unusable = self.is_unusable(name);
                !(unusable && partial::remove(&self.shoal, name).is_ok())
            });
        }
        let own = [claim::ID, claim::LOCK];
        let only_own =
            |name: &String| own.contains(&name.as_str()) || name.ends_with(claim::TEMPORARY);
        if names.iter().all(only_own) {
            names.iter().for_each(|name| {
                let _ = partial::remove(&self.shoal, name);
            });
            // Fails where another job has come in meanwhile, which is then its business.
            let _ = rustix::fs::unlinkat(self.root.fd(), SHOAL, AtFlags::REMOVEDIR);
        }
        drop(held);
    }

    /// Whether nobody can resume from a file in `.shoal`: the store's own, but without its
    /// counterpart.
    fn is_unusable(&self, file_name: &str) -> bool {
        if file_name.ends_with(claim::TEMPORARY) {
            return true;
        }
        let Some((name, part)) = PartName::parse(file_name) else { return false };
        match part {
            Part::Data | Part::Sidecar => !partial::is_pair(&self.shoal, &name),
            Part::Link => true,
            Part::Old => false,
        }
    }
}

/// What is cleared away besides the identity and the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clear {
    Nothing,
    Unusable,
}

/// Makes `.shoal`, or opens it; `None` where it was removed between the two.
fn open_shoal(root: &Root) -> Result<Option<OwnedFd>, DestinationError> {
    let into = root.path();
    match rustix::fs::mkdirat(root.fd(), SHOAL, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(DestinationError::new(into, errno)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(root.fd(), SHOAL, flags, Mode::empty()) {
        Ok(shoal) => Ok(Some(shoal)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) => Err(DestinationError::NotADirectory {
            into: into.to_owned(),
            obstacle: into.join(SHOAL),
        }),
        Err(errno) => Err(DestinationError::new(into, errno)),
    }
}

/// Whether `.shoal` is still the directory that was opened.
fn is_in_place(root: &Root, shoal: &OwnedFd) -> bool {
    let own = rustix::fs::fstat(shoal);
    let found = rustix::fs::statat(root.fd(), SHOAL, AtFlags::SYMLINK_NOFOLLOW);
    matches!((own, found), (Ok(own), Ok(found))
        if (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino))
}

/// Whether a file system tells of a failed write only when the data is flushed, as NFS and SMB do.
/// They flush when a file is closed anyway, so that flushing costs nothing there.
fn refuses_late(root: &Root) -> bool {
    const NFS: u32 = 0x6969;
    const SMB: [u32; 3] = [0x517b, 0xfe53_4d42, 0xff53_4d42];
    rustix::fs::fstatfs(root.fd()).is_ok_and(|found| {
        let kind = found.f_type as u32;
        kind == NFS || SMB.contains(&kind)
    })
}

/// Makes a directory and those above it; appends each that it made to `made`, the outermost first.
fn make_directories(into: &Path, made: &mut Vec<PathBuf>) -> Result<(), DestinationError> {
    let not_a_directory = |obstacle: &Path| DestinationError::NotADirectory {
        into: into.to_owned(),
        obstacle: obstacle.to_owned(),
    };
    let mut missing = Vec::new();
    for path in into.ancestors() {
        match path.metadata() {
            Ok(found) if found.is_dir() => break,
            Ok(_) => return Err(not_a_directory(path)),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT) => missing.push(path),
                // A file further up; it is found there.
                Some(Errno::NOTDIR) => {}
                _ => return Err(DestinationError::new(into, error)),
            },
        }
    }
    for path in missing.into_iter().rev() {
        match std::fs::create_dir(path) {
            Ok(()) => made.push(path.to_owned()),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(DestinationError::new(into, error));
            }
            // Another process was faster, or it is a link that leads nowhere.
            Err(_) if path.is_dir() => {}
            Err(_) => return Err(not_a_directory(path)),
        }
    }
    Ok(())
}

/// Removes directories that were made here and are still empty, the innermost first.
fn remove_directories(made: &[PathBuf]) {
    for path in made.iter().rev() {
        if std::fs::remove_dir(path).is_err() && path.exists() {
            break;
        }
    }
}
