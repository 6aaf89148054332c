//! A destination that is only looked at: where it is, what a transfer would write to, and what an
//! earlier run left there. Makes, changes and removes nothing, and takes no lock.

use super::beneath::{Missing, Parent, Root};
use super::destination::DestinationError;
use super::error::show;
use super::locate::Mounts;
use super::{Matters, Partial, WriteError, claim, resume};
use content::Name;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::DirEntry;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use swarm::{Lock, Purpose};

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

    /// Why nothing can be written there, where a transfer would find it so.
    pub(super) fn sealed(&self) -> Option<&str> {
        self.site.as_ref()?.sealed.as_deref()
    }

    pub(super) fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// The directory in which a name lies; none where it is missing, or is none.
    pub(super) fn parent<'a>(&self, name: &'a Name) -> io::Result<Option<Parent<'a>>> {
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
