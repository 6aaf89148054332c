//! What stands at a destination and is no entry of the catalogue (`--delete`): found, or removed,
//! the deepest first. Never follows a link, never leaves the file system that the destination lies
//! on, never touches `.shoal` or what this rank shares itself.

use super::beneath::{Root, set_mode};
use super::replace::Replacing;
use super::tree::seal_directory;
use super::{Store, lock};
use content::{Catalogue, Kind, Name};
use rustix::fs::{Access, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashSet};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use swarm::Extra;

/// Where to look, and what to leave alone there.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// Only below the entries at the top (`cast`), or everywhere.
    pub only_below_entries: bool,
    /// What is left alone, with all below it: what this rank shares.
    pub spared: Vec<PathBuf>,
}

/// What was found to be extra, and what became of it.
#[derive(Debug, Default)]
pub struct Extras {
    /// How many, and the first names.
    pub extra: Extra,
    /// Why some of them could not be removed, or not even be seen.
    pub failures: Vec<String>,
}

impl Extras {
    /// Failures that are told; the rest are of the same kind.
    const MAX_FAILURES: usize = 3;

    fn fail(&mut self, why: String) {
        if self.failures.len() < Self::MAX_FAILURES {
            self.failures.push(why);
        }
    }
}

/// What is done about something extra.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    List,
    /// Lists only what could be removed.
    Forecast,
    Remove,
}

/// Removes all that lies in a directory under an entry's name, but for what the bounds spare, and
/// adds it to what was removed before.
pub(super) fn clear(
    root: &Root,
    bounds: &Bounds,
    (directory, name): (&OwnedFd, &Name),
    removed: &mut Extras,
) {
    let mut sweep = Sweep::new(root, bounds, Deed::Remove);
    sweep.extras = std::mem::take(removed);
    sweep.visit(directory, &mut [name.as_bytes(), b"/"].concat(), Within::Extra);
    *removed = sweep.extras;
}

/// Lists what a destination has that the catalogue lacks; changes nothing.
pub(super) fn list(root: &Root, catalogue: &Catalogue, bounds: &Bounds) -> Extras {
    let sweep = Sweep::new(root, bounds, Deed::List).knowing(catalogue);
    sweep.all().0
}

/// The same, of what could be removed.
pub(super) fn forecast(root: &Root, catalogue: &Catalogue, bounds: &Bounds) -> Extras {
    let sweep = Sweep::new(root, bounds, Deed::Forecast).knowing(catalogue);
    sweep.all().0
}

impl Store {
    /// Removes what the destination has that the catalogue lacks, and gives the directories that
    /// it lay in their times back. Of several ranks that share the destination only the lock's
    /// holder does so. To be called when all that is wanted there is complete.
    pub fn remove_extra(&self, bounds: &Bounds) -> Extras {
        let Some(destination) = &self.destination else { return Extras::default() };
        let cleared = destination.root.replacing().map(Replacing::take_cleared);
        let cleared = cleared.unwrap_or_default();
        if !destination.holds_lock() {
            return cleared;
        }
        let mut sweep =
            Sweep::new(&destination.root, bounds, Deed::Remove).knowing(&self.catalogue);
        sweep.extras = cleared;
        let (mut extras, touched) = sweep.all();
        let directories = self.catalogue.entries().iter().rev();
        let directories = directories
            .filter(|it| it.kind == Kind::Directory && touched.contains(it.name.as_bytes()));
        for entry in directories {
            if let Err(error) = seal_directory(destination, entry) {
                extras.fail(error.to_string());
            }
        }
        extras
    }
}

/// One way through a destination.
struct Sweep<'a> {
    names: BTreeSet<&'a [u8]>,
    only_below_entries: bool,
    /// Device and inode of what is left alone.
    spared: HashSet<(u64, u64)>,
    root: &'a Root,
    deed: Deed,
    extras: Extras,
    touched: HashSet<Vec<u8>>,
}

/// Whether the directory that is gone through stays, or goes itself once it is empty.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Kept,
    Extra,
}

/// What a name at the destination is to the catalogue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is an entry, or lies on the way to one.
    Known,
    /// Nothing of it is.
    Unknown,
    /// It is out of bounds.
    Outside,
}

impl<'a> Sweep<'a> {
    /// One that knows no names.
    fn new(root: &'a Root, bounds: &Bounds, deed: Deed) -> Self {
        let spared = bounds.spared.iter().filter_map(|path| path.metadata().ok());
        Self {
            names: BTreeSet::new(),
            only_below_entries: bounds.only_below_entries,
            spared: spared.map(|found| (found.dev(), found.ino())).collect(),
            root,
            deed,
            extras: Extras::default(),
            touched: HashSet::new(),
        }
    }

    /// One that knows the names of a catalogue.
    fn knowing(mut self, catalogue: &'a Catalogue) -> Self {
        self.names = catalogue.entries().iter().map(|it| it.name.as_bytes()).collect();
        self
    }

    /// Goes through the whole destination; also gives the directories in which something was
    /// removed.
    fn all(mut self) -> (Extras, HashSet<Vec<u8>>) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(self.root.fd(), ".", flags, Mode::empty()) {
            Ok(top) => match rustix::fs::fstat(&top) {
                Ok(stat) if self.spared.contains(&(stat.st_dev, stat.st_ino)) => {}
                Ok(_) => drop(self.visit(&top, &mut Vec::new(), Within::Kept)),
                Err(errno) => self.fail(b"", "looked into", errno),
            },
            Err(errno) => self.fail(b"", "looked into", errno),
        }
        (self.extras, self.touched)
    }

    /// Goes through a directory whose name below the destination, with a slash where it has one,
    /// is `path`. Says whether nothing is left in it.
    fn visit(&mut self, directory: &OwnedFd, path: &mut Vec<u8>, within: Within) -> bool {
        let Some(names) = self.names_in(directory, path) else { return false };
        let mut is_empty = true;
        for name in names {
            let len = path.len();
            path.extend_from_slice(&name);
            is_empty &= self.meet(directory, &name, path, within);
            path.truncate(len);
        }
        is_empty
    }

    /// The names in a directory, in order.
    fn names_in(&mut self, directory: &OwnedFd, path: &[u8]) -> Option<Vec<Vec<u8>>> {
        let listed = Dir::read_from(directory).and_then(|items| {
            let names = items.map(|item| item.map(|item| item.file_name().to_bytes().to_vec()));
            names.collect::<Result<Vec<_>, _>>()
        });
        match listed {
            Ok(mut names) => {
                names.retain(|name| name != b"." && name != b"..");
                names.sort();
                Some(names)
            }
            Err(errno) => {
                self.fail(path, "looked into", errno);
                None
            }
        }
    }

    /// Takes one name; says whether nothing of it stays.
    fn meet(&mut self, directory: &OwnedFd, name: &[u8], path: &mut Vec<u8>, at: Within) -> bool {
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return true,
            Err(errno) => {
                self.fail(path, "looked at", errno);
                return false;
            }
        };
        if name == Name::RESERVED || self.spared.contains(&(stat.st_dev, stat.st_ino)) {
            return false;
        }
        let standing = if at == Within::Extra { Standing::Unknown } else { self.standing(path) };
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        match standing {
            Standing::Outside => false,
            _ if is_directory => self.enter(directory, name, path, &stat, standing),
            Standing::Known => false,
            Standing::Unknown => self.take(directory, name, path, AtFlags::empty()),
        }
    }

    fn standing(&self, path: &[u8]) -> Standing {
        let exact = self.names.contains(path);
        if self.only_below_entries && !path.contains(&b'/') {
            return if exact { Standing::Known } else { Standing::Outside };
        }
        let below = [path, b"/"].concat();
        let leads = self.names.range(below.as_slice()..).next();
        let leads = leads.is_some_and(|name| name.starts_with(&below));
        if exact || leads { Standing::Known } else { Standing::Unknown }
    }

    /// Goes through a directory below, and takes it where it is extra and nothing in it stays.
    fn enter(
        &mut self,
        directory: &OwnedFd,
        name: &[u8],
        path: &mut Vec<u8>,
        stat: &Stat,
        standing: Standing,
    ) -> bool {
        let below = match open_beneath(directory, name, stat) {
            Ok(below) => below,
            // Another file system is mounted there.
            Err(Errno::XDEV) => return false,
            Err(errno) => {
                self.fail(path, "looked into", errno);
                return false;
            }
        };
        let within = if standing == Standing::Known { Within::Kept } else { Within::Extra };
        path.push(b'/');
        let is_empty = self.visit(&below, path, within);
        path.pop();
        within == Within::Extra && is_empty && self.take(directory, name, path, AtFlags::REMOVEDIR)
    }

    /// Counts something extra, and removes it where that is to be done.
    fn take(&mut self, directory: &OwnedFd, name: &[u8], path: &[u8], how: AtFlags) -> bool {
        if self.deed == Deed::Remove {
            if let Err(errno) = self.unlink(directory, name, path, how) {
                self.fail(path, "removed", errno);
                return false;
            }
            let parent = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
            self.touched.insert(path[..parent].to_vec());
            tracing::info!("removed '{}'", content::name::escape(path));
        }
        if self.deed == Deed::Forecast
            && let Err(errno) = may_unlink(directory, path)
        {
            self.fail(path, "removed", errno);
            return false;
        }
        self.extras.extra.note(path);
        true
    }

    fn unlink(
        &self,
        directory: &OwnedFd,
        name: &[u8],
        path: &[u8],
        how: AtFlags,
    ) -> rustix::io::Result<()> {
        match rustix::fs::unlinkat(directory, name, how) {
            // A directory that the owner may not write into: an entry, whose mode is given back
            // in the end, or extra itself.
            Err(Errno::ACCESS) if path.contains(&b'/') => {
                let stat = rustix::fs::fstat(directory)?;
                set_mode(directory, Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700))?;
                rustix::fs::unlinkat(directory, name, how)
            }
            done => done,
        }
    }

    fn fail(&mut self, path: &[u8], what: &str, errno: Errno) {
        let place = content::name::escape(self.root.below(path).as_os_str().as_encoded_bytes());
        self.extras.fail(format!("'{place}' cannot be {what}: {errno}"));
    }
}

/// Whether something can be removed from a directory, as [`Sweep::unlink`] would.
fn may_unlink(directory: &OwnedFd, path: &[u8]) -> rustix::io::Result<()> {
    let needed = Access::WRITE_OK | Access::EXEC_OK;
    match rustix::fs::accessat(directory, ".", needed, AtFlags::EACCESS) {
        Err(Errno::ACCESS) if path.contains(&b'/') => {
            let owner = rustix::fs::fstat(directory)?.st_uid;
            let is_own = owner == rustix::process::geteuid().as_raw();
            if is_own { Ok(()) } else { Err(Errno::ACCESS) }
        }
        admitted => admitted,
    }
}

/// Opens a directory that is a directory and no link, on the same file system.
fn open_beneath(at: &OwnedFd, name: &[u8], expected: &Stat) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let opened = match rustix::fs::openat2(at, name, flags, Mode::empty(), resolve) {
        // A kernel that does not know it.
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(at, name, flags, Mode::empty())?,
        opened => opened?,
    };
    let (above, found) = (rustix::fs::fstat(at)?, rustix::fs::fstat(&opened)?);
    if found.st_dev != above.st_dev {
        return Err(Errno::XDEV);
    }
    // Something else has taken its place since it was looked at.
    if (found.st_dev, found.st_ino) != (expected.st_dev, expected.st_ino) {
        return Err(Errno::AGAIN);
    }
    Ok(opened)
}

impl super::Destination {
    /// Whether this process has the destination's lock.
    fn holds_lock(&self) -> bool {
        lock(&self.held).is_some()
    }
}
