//! Extended attributes: read from what is shared, given to what is made, compared with what stands
//! there. Touches no attribute that is the system's own affair, and follows no link.

use super::MetadataError;
use content::Xattrs;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// What the system, and no user, decides on: labels, and signatures over what a file has here.
const SYSTEMS_OWN: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"security.evm"];
/// POSIX access control lists.
const LISTS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
/// The longest list of names, and the longest value, of Linux.
const MAX_LEN: usize = 64 << 10;
/// The name with which a file system is asked whether it keeps any.
const PROBE: &str = "user.shoal";

/// Whether an attribute is kept by this process: `user.*`, and what only root may set by root.
fn is_kept(name: &[u8]) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let by_root = || {
        let in_space = |space: &[u8]| name.starts_with(space);
        LISTS.contains(&name)
            || in_space(b"trusted.")
            || in_space(b"security.") && !SYSTEMS_OWN.contains(&name)
    };
    name.starts_with(b"user.") || is_root && by_root()
}

/// The attributes of a file or directory of a source.
pub(super) fn of_path(path: &Path) -> io::Result<Xattrs> {
    read(
        |list| rustix::fs::llistxattr(path, list),
        |name, value| rustix::fs::lgetxattr(path, name, value),
    )
}

/// The attributes of something that is open.
fn of_open(file: impl AsFd) -> io::Result<Xattrs> {
    read(
        |list| rustix::fs::flistxattr(&file, list),
        |name, value| rustix::fs::fgetxattr(&file, name, value),
    )
}

fn read(
    list: impl FnOnce(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&[u8], &mut [u8]) -> rustix::io::Result<usize>,
) -> io::Result<Xattrs> {
    let mut names = vec![0; MAX_LEN];
    let len = match list(&mut names) {
        // A file system that keeps none has none.
        Err(Errno::OPNOTSUPP) => 0,
        len => len?,
    };
    let mut value = vec![0; MAX_LEN];
    let mut all = Vec::new();
    for name in names[..len].split(|&byte| byte == 0).filter(|name| is_kept(name)) {
        match get(name, &mut value) {
            Ok(len) => all.push((name.to_vec(), value[..len].to_vec())),
            // It was removed meanwhile.
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let kib = Xattrs::MAX_BYTES >> 10;
    Xattrs::try_from(all).map_err(|_| io::Error::other(MetadataError::TooManyXattrs { kib }))
}

/// Whether something that is open has other attributes than it must have.
pub(super) fn differ(file: impl AsFd, wanted: &Xattrs) -> io::Result<bool> {
    Ok(of_open(file)? != *wanted)
}

/// Gives something that is open these attributes, and takes all others that are kept.
pub(super) fn give(file: impl AsFd, wanted: &Xattrs) -> io::Result<()> {
    let standing = of_open(&file)?;
    for (name, value) in wanted.iter().filter(|(name, value)| standing.get(name) != Some(value)) {
        let set = rustix::fs::fsetxattr(&file, name, value, XattrFlags::empty());
        set.map_err(|errno| fault(name, errno))?;
    }
    for (name, _) in standing.iter().filter(|(name, _)| wanted.get(name).is_none()) {
        rustix::fs::fremovexattr(&file, name).map_err(|errno| fault(name, errno))?;
    }
    Ok(())
}

fn fault(name: &[u8], errno: Errno) -> io::Error {
    let name = content::name::escape(name);
    io::Error::other(MetadataError::Xattr { name, source: errno.into() })
}

/// Whether the file system of a new file keeps extended attributes of users.
pub(super) fn are_kept_with(file: &File) -> bool {
    rustix::fs::fsetxattr(file, PROBE, b"", XattrFlags::empty()) != Err(Errno::OPNOTSUPP)
}
