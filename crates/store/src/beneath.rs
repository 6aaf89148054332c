//! All access to names below the destination. It never passes through a symbolic link: links come
//! from other ranks, or stood there before, and could lead anywhere.

use super::error::WriteError;
use super::lock;
use super::replace::Replacing;
use content::Name;
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

/// The destination directory. Itself it may be reached through links.
#[derive(Debug)]
pub(super) struct Root {
    fd: OwnedFd,
    path: PathBuf,
    /// The directories of the catalogue that their owner cannot write into, or pass.
    sealed: OnceLock<HashSet<Vec<u8>>>,
    /// Those of them that were opened up meanwhile.
    loosened: Mutex<BTreeSet<Vec<u8>>>,
    /// The directory that a survey last found missing: nothing stood in it before this run, ...
    missing: Mutex<Option<Vec<u8>>>,
    /// ... and the one that it last found to admit new names. A tree is surveyed directory by
    /// directory.
    admitting: Mutex<Option<Vec<u8>>>,
    /// What may be replaced; nothing unless told.
    replacing: OnceLock<Replacing>,
}

/// The directory in which a name lies, and the name's last component.
pub(super) struct Parent<'a> {
    pub(super) fd: OwnedFd,
    pub(super) leaf: &'a OsStr,
    pub(super) directory: &'a [u8],
}

/// The directory that something was last put into, for the next of a few that are put there in one
/// go. Not for long: where a directory is moved meanwhile, what follows would go with it.
#[derive(Debug, Default)]
pub struct Near(Option<(Vec<u8>, OwnedFd)>);

/// What to do about directories that a name needs and that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Leave,
}

/// What stands under a name.
#[derive(Debug)]
pub(super) enum Standing {
    Nothing,
    /// A regular file; closed where it may not be read.
    File(Option<File>),
    Symlink,
    Directory,
    /// Something else: a pipe, a socket, a device.
    Special,
}

const DIRECTORY: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Root {
    /// Opens a directory.
    pub(super) fn open(path: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            fd: rustix::fs::open(path, flags, Mode::empty())?,
            path: path.to_owned(),
            sealed: OnceLock::new(),
            loosened: Mutex::default(),
            missing: Mutex::default(),
            admitting: Mutex::default(),
            replacing: OnceLock::new(),
        })
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a name lies, for messages.
    pub(super) fn place(&self, name: &Name) -> PathBuf {
        self.below(name.as_bytes())
    }

    /// Names the directories that may be opened up where they stand in the way, since their mode is
    /// set anew at the end; an earlier run may have sealed them.
    pub(super) fn expect_sealed(&self, directories: HashSet<Vec<u8>>) {
        let _ = self.sealed.set(directories);
    }

    /// Says what may be replaced where something of another kind stands.
    pub(super) fn replace(&self, replacing: Replacing) {
        let _ = self.replacing.set(replacing);
    }

    pub(super) fn replacing(&self) -> Option<&Replacing> {
        self.replacing.get()
    }

    /// The directories that were opened up and must be sealed again.
    pub(super) fn loosened(&self) -> BTreeSet<Vec<u8>> {
        lock(&self.loosened).clone()
    }

    /// Opens the directory in which a name lies; `None` where it is missing and is to be left so.
    pub(super) fn parent<'a>(
        &self,
        name: &'a Name,
        missing: Missing,
    ) -> Result<Option<Parent<'a>>, WriteError> {
        let (directory, leaf) = split(name.as_bytes());
        let found = match self.directory(directory) {
            Err(Errno::NOENT) if missing == Missing::Leave => None,
            Ok(fd) => Some(fd),
            Err(_) => self.walk(directory, name, missing)?,
        };
        Ok(found.map(|fd| Parent { fd, leaf: OsStr::from_bytes(leaf), directory }))
    }

    /// Opens a directory below, in one call; the empty name is the destination itself. Any error
    /// may only mean that this kernel cannot do it so.
    fn directory(&self, directory: &[u8]) -> rustix::io::Result<OwnedFd> {
        if directory.is_empty() {
            return rustix::io::fcntl_dupfd_cloexec(&self.fd, 0);
        }
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.fd, directory, flags, Mode::empty(), resolve)
    }

    /// Opens a directory below one component after the other: works on every kernel, makes what is
    /// missing, and finds out what is in the way.
    pub(super) fn walk(
        &self,
        directory: &[u8],
        name: &Name,
        missing: Missing,
    ) -> Result<Option<OwnedFd>, WriteError> {
        let mut here = self.directory(b"").map_err(|errno| WriteError::new(&self.path, errno))?;
        let mut passed = 0;
        for component in directory.split(|&byte| byte == b'/') {
            if component.is_empty() {
                break;
            }
            let above = &directory[..passed];
            passed += component.len() + usize::from(passed > 0);
            let upto = &directory[..passed];
            let gives_way = self.replacing().is_some_and(|it| it.is_directory(upto));
            let step = match self.step(&here, above, component, missing) {
                Err(Errno::NOTDIR | Errno::LOOP) if gives_way => match missing {
                    Missing::Create => self.make_directory_of(&here, above, component),
                    Missing::Leave => Err(Errno::NOENT),
                },
                step => step,
            };
            here = match step {
                Ok(next) => next,
                Err(Errno::NOENT) if missing == Missing::Leave => return Ok(None),
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    return Err(self.obstacle(&here, component, upto, name));
                }
                Err(errno) => return Err(WriteError::new(self.below(upto), errno)),
            };
        }
        Ok(Some(here))
    }

    /// Opens a component of a directory, opening up the directory or making the component where
    /// needed.
    fn step(
        &self,
        here: &OwnedFd,
        above: &[u8],
        component: &[u8],
        missing: Missing,
    ) -> rustix::io::Result<OwnedFd> {
        let open = || rustix::fs::openat(here, component, DIRECTORY, Mode::empty());
        let make = || match rustix::fs::mkdirat(here, component, Mode::from_raw_mode(0o777)) {
            Err(Errno::EXIST) => Ok(()),
            made => made,
        };
        match self.loosening(here, above, open) {
            Err(Errno::NOENT) if missing == Missing::Create => {
                self.loosening(here, above, make)?;
                open()
            }
            opened => opened,
        }
    }

    /// Puts a directory in the place of what is none.
    fn make_directory_of(
        &self,
        here: &OwnedFd,
        above: &[u8],
        component: &[u8],
    ) -> rustix::io::Result<OwnedFd> {
        let remove = || rustix::fs::unlinkat(here, component, AtFlags::empty());
        match self.loosening(here, above, remove) {
            // Another thread or rank was faster.
            Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
            Err(errno) => return Err(errno),
        }
        self.step(here, above, component, Missing::Create)
    }

    /// Tries again after opening up the directory in which it was denied.
    pub(super) fn loosening<T>(
        &self,
        fd: &OwnedFd,
        directory: &[u8],
        action: impl Fn() -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        match action() {
            Err(Errno::ACCESS) if self.loosen(fd, directory) => action(),
            result => result,
        }
    }

    /// Lets the owner write into a directory whose mode is set anew at the end; says whether that
    /// worked.
    fn loosen(&self, fd: &OwnedFd, directory: &[u8]) -> bool {
        if !self.sealed.get().is_some_and(|sealed| sealed.contains(directory)) {
            return false;
        }
        let Ok(stat) = rustix::fs::fstat(fd) else { return false };
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777 | 0o700);
        let loosened = set_mode(fd, mode).is_ok();
        if loosened {
            lock(&self.loosened).insert(directory.to_vec());
        }
        loosened
    }

    /// Says why a component is no directory that may be passed.
    fn obstacle(&self, here: &OwnedFd, component: &[u8], upto: &[u8], name: &Name) -> WriteError {
        let (path, obstacle) = (self.place(name), self.below(upto));
        match rustix::fs::statat(here, component, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                WriteError::ThroughLink { path, link: obstacle }
            }
            Ok(stat) => WriteError::InTheWay {
                path,
                obstacle,
                what: word(FileType::from_raw_mode(stat.st_mode)),
                wanted: "a directory",
            },
            Err(errno) => WriteError::new(obstacle, errno),
        }
    }

    /// Whether something new can be put under a name: the innermost directory above it that exists
    /// may be written, or is opened up when it comes to that.
    ///
    /// # Errors
    ///
    /// Names the directory that may not be written. What else stands in the way, [`Self::look`]
    /// finds.
    pub(super) fn admits(&self, name: &Name) -> Result<(), WriteError> {
        let (asked, _) = split(name.as_bytes());
        if lock(&self.admitting).as_deref() == Some(asked) {
            return Ok(());
        }
        let mut directory = asked;
        let fd = loop {
            match self.directory(directory) {
                Err(Errno::NOENT) if !directory.is_empty() => {
                    (directory, _) = split(directory);
                }
                Err(_) => return Ok(()),
                Ok(fd) => break fd,
            }
        };
        let needed = Access::WRITE_OK | Access::EXEC_OK;
        match rustix::fs::accessat(&fd, ".", needed, AtFlags::EACCESS) {
            Err(Errno::ACCESS) if self.sealed.get().is_some_and(|s| s.contains(directory)) => {
                Ok(())
            }
            Err(errno @ (Errno::ACCESS | Errno::ROFS)) => {
                Err(WriteError::new(self.below(directory), errno))
            }
            _ => {
                *lock(&self.admitting) = Some(asked.to_vec());
                Ok(())
            }
        }
    }

    /// What stood under a name before this run; a regular file is opened to be read.
    pub(super) fn survey(&self, name: &Name) -> Result<Standing, WriteError> {
        let (directory, _) = split(name.as_bytes());
        if lock(&self.missing).as_deref() == Some(directory) {
            return Ok(Standing::Nothing);
        }
        match self.parent(name, Missing::Leave)? {
            Some(parent) => match self.look(&parent, name)? {
                Standing::Directory => {
                    self.gives_way(&parent, name, FileType::RegularFile)?;
                    Ok(Standing::Nothing)
                }
                standing => Ok(standing),
            },
            None => {
                *lock(&self.missing) = Some(directory.to_vec());
                Ok(Standing::Nothing)
            }
        }
    }

    fn look(&self, parent: &Parent<'_>, name: &Name) -> Result<Standing, WriteError> {
        let stat = || rustix::fs::statat(&parent.fd, parent.leaf, AtFlags::SYMLINK_NOFOLLOW);
        let stat = match self.loosening(&parent.fd, parent.directory, stat) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(Standing::Nothing),
            Err(errno) => return Err(WriteError::new(self.place(name), errno)),
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Standing::File(parent.open().ok()),
            FileType::Symlink => Standing::Symlink,
            FileType::Directory => Standing::Directory,
            _ => Standing::Special,
        })
    }

    /// Opens a regular file below to be read.
    pub(super) fn open_file(&self, name: &Name) -> std::io::Result<File> {
        let parent = self.parent(name, Missing::Leave).map_err(std::io::Error::other)?;
        let parent = parent.ok_or(Errno::NOENT)?;
        match self.look(&parent, name).map_err(std::io::Error::other)? {
            Standing::File(Some(file)) => Ok(file),
            Standing::File(None) => Err(Errno::ACCESS.into()),
            _ => Err(Errno::NOENT.into()),
        }
    }

    /// As [`Self::install`], into the directory of the one before where it is the same.
    pub(super) fn install_near(
        &self,
        shoal: &OwnedFd,
        from: &str,
        name: &Name,
        near: &mut Near,
    ) -> Result<(), WriteError> {
        let (directory, leaf) = split(name.as_bytes());
        if let Some((_, fd)) = near.0.as_ref().filter(|(known, _)| known == directory)
            && rustix::fs::renameat(shoal, from, fd, OsStr::from_bytes(leaf)).is_ok()
        {
            return Ok(());
        }
        // Whatever went wrong, all is looked at anew.
        *near = Near::default();
        let parent =
            self.parent(name, Missing::Create)?.expect("a parent that is created is there");
        self.put(shoal, from, name, &parent)?;
        near.0 = Some((directory.to_vec(), parent.fd));
        Ok(())
    }

    /// Moves a file or link from `.shoal` to its name, over what stands there.
    pub(super) fn install(
        &self,
        shoal: &OwnedFd,
        from: &str,
        name: &Name,
    ) -> Result<(), WriteError> {
        self.install_near(shoal, from, name, &mut Near::default())
    }

    fn put(
        &self,
        shoal: &OwnedFd,
        from: &str,
        name: &Name,
        parent: &Parent<'_>,
    ) -> Result<(), WriteError> {
        let rename = || rustix::fs::renameat(shoal, from, &parent.fd, parent.leaf);
        let path = || self.place(name);
        match self.loosening(&parent.fd, parent.directory, rename) {
            Ok(()) => Ok(()),
            Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
                self.make_way(parent, name)?;
                self.loosening(&parent.fd, parent.directory, rename)
                    .map_err(|errno| WriteError::new(path(), errno))
            }
            Err(errno) => Err(WriteError::new(path(), errno)),
        }
    }

    pub(super) fn below(&self, name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(name))
    }
}

impl Parent<'_> {
    /// Opens the regular file of this name to be read.
    pub(super) fn open(&self) -> rustix::io::Result<File> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.fd, self.leaf, flags, Mode::empty()).map(File::from)
    }
}

/// The directory in which a name lies, empty for the destination itself, and the name's last
/// component.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&name[..slash], &name[slash + 1..]),
        None => (b"", name),
    }
}

/// Sets the mode of a directory that is open by path alone, as one that may not be read can only
/// be.
pub(super) fn set_mode(fd: impl AsFd, mode: Mode) -> rustix::io::Result<()> {
    rustix::fs::chmod(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()), mode)
}

/// The word for a kind of file, with its article.
pub(super) fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }
}
