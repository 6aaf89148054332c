//! What a path given to `--json` stands for. It only looks, and opens nothing.

use super::parent_of;
use anyhow::{Result, bail};
use std::fs::{self, FileType};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// The path that stands for standard output.
pub(super) const STDOUT: &str = "/dev/stdout";

/// Links that lead to links, as the kernel counts them.
const LINKS_MAX: usize = 40;

/// What a path stands for.
pub(super) enum Place {
    /// Standard output.
    Stdout,
    /// What this process has open under this number.
    Descriptor(u32),
    /// A pipe or a device.
    Stream(FileType),
    /// A regular file, by its path without links.
    StandingFile(PathBuf),
    /// Nothing yet; where a link leads to it, the path that the link names.
    NewFile(PathBuf),
}

impl Place {
    /// Looks at a path.
    ///
    /// # Errors
    ///
    /// Says what no report can be written to.
    pub(super) fn of(path: &Path) -> Result<Self> {
        match descriptor(path) {
            Some(1) => return Ok(Self::Stdout),
            Some(number) => return Ok(Self::Descriptor(number)),
            None => {}
        }
        match fs::metadata(path).map(|metadata| metadata.file_type()) {
            Ok(kind) if kind.is_dir() => bail!("it is a directory; name a file"),
            Ok(kind) if kind.is_socket() => bail!("it is a socket; name a file"),
            Ok(kind) if kind.is_block_device() => bail!("it is a block device; name a file"),
            Ok(kind) if kind.is_file() => Ok(Self::StandingFile(fs::canonicalize(path)?)),
            Ok(kind) => Ok(Self::Stream(kind)),
            Err(_) if names_directory(path) => {
                bail!("it ends as the name of a directory does; name a file")
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::NewFile(followed(path)?)),
            Err(error) if error.kind() == ErrorKind::NotADirectory => match obstacle(path) {
                Some(file) => bail!("{} is no directory", file.display()),
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a descriptor of this process was opened for reading alone.
pub(super) fn is_read_only(number: u32) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & 0o3 == 0)
}

/// The number of the descriptor that a path names.
fn descriptor(path: &Path) -> Option<u32> {
    let standard = ["/dev/stdin", STDOUT, "/dev/stderr"];
    if let Some(number) = standard.iter().position(|name| path == Path::new(name)) {
        return u32::try_from(number).ok();
    }
    let own = format!("/proc/{}/fd", std::process::id());
    let directories = ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd", &own];
    let number = directories.iter().find_map(|directory| path.strip_prefix(directory).ok())?;
    number.to_str()?.parse().ok()
}

/// `x/`, `x/.` and `x/..` can name directories alone.
fn names_directory(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    [&b"/"[..], b"/.", b"/.."].iter().any(|end| bytes.ends_with(end))
}

/// The path at which a file would be made: through links that lead to nothing.
fn followed(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::read_link(&path) {
            Ok(target) => path = parent_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    bail!("there are too many links")
}

/// The file that stands where a path needs a directory.
fn obstacle(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|above| fs::metadata(above).is_ok_and(|found| !found.is_dir()))
}
