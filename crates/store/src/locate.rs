//! Finds out where a path lies: on which file system, and where within it, whatever mount or link
//! leads there. Opens and changes nothing.

use content::name::escape;
use rustix::fs::{AtFlags, CWD, StatxFlags};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use swarm::{Location, System};

/// Kinds of file systems that no other host sees.
const LOCAL: [&str; 24] = [
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "tmpfs",
    "ramfs", "rootfs", "overlay", "aufs", "vfat", "msdos", "exfat", "ntfs3", "squashfs", "erofs",
    "iso9660", "proc", "sysfs",
];

/// Mounts below one path that are looked up; a path with more of them is `/`, or the like.
const MAX_MOUNTS: usize = 256;

/// The mounts of this process.
pub struct Mounts {
    all: Vec<Mount>,
    kernel: String,
}

/// One line of `/proc/self/mountinfo`, see proc_pid_mountinfo(5).
struct Mount {
    id: u64,
    device: String,
    /// What of the file system is mounted.
    root: PathBuf,
    /// Where.
    at: PathBuf,
    kind: String,
    source: Vec<u8>,
}

impl Mounts {
    /// Reads what is mounted now.
    pub fn read() -> Self {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let table = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        let lines = table.split(|&byte| byte == b'\n');
        Self { all: lines.filter_map(Mount::parse).collect(), kernel: kernel.trim().to_owned() }
    }

    /// Where a path lies, which need not exist.
    pub fn locate(&self, path: &Path) -> Location {
        let real = real_path(path);
        let Some(mount) = self.mount_of(&real) else {
            let device = real.ancestors().find_map(|above| above.metadata().ok());
            let device = device.map_or(0, |found| found.dev());
            return Location::on_device(&device.to_string(), shown(&real), &self.kernel);
        };
        mount.location(real.strip_prefix(&mount.at).unwrap_or(Path::new("")), &self.kernel)
    }

    /// Where a directory lies, and what is mounted in it.
    pub fn locate_all(&self, path: &Path) -> Vec<Location> {
        let real = real_path(path);
        let below = self.all.iter().filter(|mount| mount.at.starts_with(&real) && mount.at != real);
        let below = below.take(MAX_MOUNTS).map(|it| it.location(Path::new(""), &self.kernel));
        std::iter::once(self.locate(path)).chain(below).collect()
    }

    /// The mount by which a real path is seen.
    fn mount_of(&self, real: &Path) -> Option<&Mount> {
        let id = real.ancestors().find_map(mount_id);
        let by_id = id.and_then(|id| self.all.iter().find(|mount| mount.id == id));
        let above = self.all.iter().filter(|mount| real.starts_with(&mount.at));
        // Of those at one place the last hides the others.
        by_id.or_else(|| above.max_by_key(|mount| mount.at.as_os_str().len()))
    }
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let mut words = line.split(|&byte| byte == b' ');
        let mut text = || words.next().map(|word| String::from_utf8_lossy(word).into_owned());
        let id = text()?.parse().ok()?;
        let _parent = text()?;
        let device = text()?;
        let (root, at) = (unescape(words.next()?), unescape(words.next()?));
        let mut rest = words.skip_while(|word| *word != b"-").skip(1);
        let kind = String::from_utf8_lossy(rest.next()?).into_owned();
        let source = unescape(rest.next()?);
        let path = |bytes| PathBuf::from(OsString::from_vec(bytes));
        Some(Self { id, device, root: path(root), at: path(at), kind, source })
    }

    /// Where something lies, given its path below the mount.
    fn location(&self, below: &Path, kernel: &str) -> Location {
        if LOCAL.contains(&self.kind.as_str()) {
            return Location::on_device(&self.device, shown(&join(&self.root, below)), kernel);
        }
        // `server:/export/directory`: what is exported may be a part of what another mount shows.
        let colon = self.source.windows(2).position(|two| two == b":/");
        let (server, export) = match colon {
            Some(at) => (&self.source[..at], &self.source[at + 1..]),
            None => (&self.source[..], &b"/"[..]),
        };
        let export = Path::new(std::ffi::OsStr::from_bytes(export));
        let path = shown(&join(
            &join(export, self.root.strip_prefix("/").unwrap_or(Path::new(""))),
            below,
        ));
        let system = System::Network { kind: self.kind.clone(), server: escape(server) };
        Location { system, path, kernel: kernel.to_owned() }
    }
}

/// A path without links, as far as it exists.
pub fn real_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in absolute.ancestors() {
        if let Ok(real) = above.canonicalize() {
            return join(&real, absolute.strip_prefix(above).expect("an ancestor"));
        }
    }
    absolute
}

/// As `Path::join`, without a slash at the end where nothing is added.
fn join(path: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { path.to_owned() } else { path.join(below) }
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_bytes())
}

/// The mount of what exists; none where the kernel does not tell.
fn mount_id(path: &Path) -> Option<u64> {
    let found = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?;
    (found.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(found.stx_mnt_id)
}

/// Spaces, tabs, line ends and backslashes are given as `\040`.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, tail @ ..] = rest {
        let code = tail.get(..3).filter(|_| *first == b'\\');
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &tail[3..];
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(table: &str) -> Mounts {
        let all = table.lines().filter_map(|line| Mount::parse(line.as_bytes())).collect();
        Mounts { all, kernel: "k".into() }
    }

    fn at(table: &str, path: &str) -> Location {
        let mounts = mounts(table);
        let below = |mount: &&Mount| Path::new(path).starts_with(&mount.at);
        let mount = mounts.all.iter().filter(below).max_by_key(|it| it.at.as_os_str().len());
        let mount = mount.unwrap();
        mount.location(Path::new(path).strip_prefix(&mount.at).unwrap(), "k")
    }

    #[test]
    fn a_bind_mount_is_the_directory_that_it_shows() {
        let table = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                     23 22 8:1 /data/a\\040b /mnt/c rw shared:1 - ext4 /dev/sda1 rw";
        assert_eq!(at(table, "/mnt/c/d"), at(table, "/data/a b/d"));
        assert_eq!(at(table, "/mnt/c").path, "/data/a b");
    }

    #[test]
    fn two_network_mounts_of_one_server_are_one_file_system() {
        let table = "30 1 0:50 / /n rw - nfs4 s:/export/sub rw\n\
                     31 1 0:51 / /m rw - nfs4 s:/export rw\n\
                     32 1 0:52 / /o rw - nfs4 t:/export rw\n\
                     33 1 0:53 /dir /l rw - lustre m@tcp:/fs rw";
        assert_eq!(at(table, "/n/x"), at(table, "/m/sub/x"));
        assert_ne!(at(table, "/m/x"), at(table, "/o/x"));
        assert_eq!(at(table, "/l/x").path, "/fs/dir/x");
    }

    #[test]
    fn a_path_that_does_not_exist_lies_where_it_would() {
        let made = tempfile::tempdir().unwrap();
        let mounts = Mounts::read();
        let above = mounts.locate(made.path());
        let below = mounts.locate(&made.path().join("a/b"));
        assert_eq!(below.path, format!("{}/a/b", above.path));
        assert_eq!(below.system, above.system);
    }
}
