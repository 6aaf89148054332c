//! Small file systems that get into trouble: one that fills up, and one that turns read-only. Both
//! are unmounted when dropped, and need root.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An ext4 in a file with a directory's content, mounted read-only in several places, each through
/// a loop device of its own: like a file system that several hosts see, each with its own cache.
#[derive(Debug)]
pub struct Everywhere {
    paths: Vec<PathBuf>,
}

impl Everywhere {
    /// Makes one in `image` of `bytes` and mounts it on empty directories; `None` where this user
    /// may not, or the kernel has no loop device or no ext4.
    pub fn mount(image: &Path, content: &Path, bytes: u64, paths: Vec<PathBuf>) -> Option<Self> {
        File::create(image).and_then(|file| file.set_len(bytes)).ok()?;
        let mut make = Command::new("mkfs.ext4");
        make.args(["-q", "-F", "-d"]).arg(content).arg(image);
        if !succeeds(&mut make) {
            return None;
        }
        let mut mounted = Self { paths: Vec::new() };
        for path in paths {
            // `mount -o loop` would take the device that the image has already.
            let set_up = ["--find", "--show", "--read-only"];
            let set_up = Command::new("losetup").args(set_up).arg(image).output().ok()?;
            let device = String::from_utf8(set_up.stdout).ok().filter(|_| set_up.status.success());
            let device = device?.trim().to_owned();
            let mut mount = Command::new("mount");
            mount.args(["-o", "ro", &device]).arg(&path);
            let is_mounted = succeeds(&mut mount);
            // It goes with the last that uses it.
            let _ = succeeds(Command::new("losetup").args(["--detach", &device]));
            if !is_mounted {
                return None;
            }
            mounted.paths.push(path);
        }
        // One device for all would have one cache for all.
        let devices: std::collections::BTreeSet<u64> =
            mounted.paths.iter().filter_map(|path| Some(path.metadata().ok()?.dev())).collect();
        (devices.len() == mounted.paths.len()).then_some(mounted)
    }

    /// Bytes that the kernel has read from each of the devices.
    pub fn bytes_read(&self) -> Vec<u64> {
        let read = |path: &PathBuf| {
            let device = path.metadata().expect("it is mounted").dev();
            let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
            let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat"));
            let stat = stat.expect("the kernel counts what is read");
            let sectors: u64 = stat.split_whitespace().nth(2).unwrap().parse().unwrap();
            sectors * 512
        };
        self.paths.iter().map(read).collect()
    }
}

impl Drop for Everywhere {
    fn drop(&mut self) {
        self.paths.iter().for_each(|path| unmount(path));
    }
}

/// A directory that is seen at another path, too.
#[derive(Debug)]
pub struct Bind {
    path: PathBuf,
}

impl Bind {
    /// Shows a directory at an empty one; `None` where this user may not mount.
    pub fn mount(shown: &Path, path: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.arg("--bind").arg(shown).arg(path);
        succeeds(&mut mount).then(|| Self { path: path.to_owned() })
    }
}

impl Drop for Bind {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// A mounted tmpfs.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one on an empty directory; `None` where this user may not mount.
    pub fn mount(path: &Path, bytes: u64) -> Option<Self> {
        Self::mount_with(path, &format!("size={bytes}"))
    }

    /// Mounts one with these options on an empty directory.
    pub fn mount_with(path: &Path, options: &str) -> Option<Self> {
        let options = format!("{options},mode=1777");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "shoal-e2e"]).arg(path);
        succeeds(&mut mount).then(|| Self { path: path.to_owned() })
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// A mounted ext4 in a file, which turns read-only at its first error.
#[derive(Debug)]
pub struct Ext4 {
    path: PathBuf,
    trigger: PathBuf,
}

impl Ext4 {
    /// Makes one in `image` and mounts it on an empty directory; `None` where this user may not, or
    /// the kernel has no loop device or no ext4.
    pub fn mount(image: &Path, path: &Path, bytes: u64) -> Option<Self> {
        File::create(image).and_then(|file| file.set_len(bytes)).ok()?;
        let made = succeeds(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image));
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop,errors=remount-ro"]).arg(image).arg(path);
        if !(made && succeeds(&mut mount)) {
            return None;
        }
        let mut mounted = Self { path: path.to_owned(), trigger: PathBuf::new() };
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let is_here = |line: &&str| line.split(' ').nth(1).map(Path::new) == Some(path);
        let device = mounts.lines().rfind(is_here)?.split(' ').next()?;
        let device = device.strip_prefix("/dev/")?;
        mounted.trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error").into();
        mounted.trigger.exists().then_some(mounted)
    }

    /// Lets it meet an error: from now on nothing can be written.
    pub fn turn_read_only(&self) {
        fs::write(&self.trigger, "1").expect("root may trigger an error");
    }
}

impl Drop for Ext4 {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

/// A mounted file system in a file, as somebody else made it.
#[derive(Debug)]
pub struct Made {
    path: PathBuf,
}

impl Made {
    /// Makes one in `image` with a command to which the image is added, and mounts it on an empty
    /// directory; `None` where this user may not, or there is no such command, no loop device or no
    /// such file system.
    pub fn mount(image: &Path, path: &Path, bytes: u64, make: &[&str]) -> Option<Self> {
        File::create(image).and_then(|file| file.set_len(bytes)).ok()?;
        let made = succeeds(Command::new(make[0]).args(&make[1..]).arg(image));
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(image).arg(path);
        (made && succeeds(&mut mount)).then(|| Self { path: path.to_owned() })
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        unmount(&self.path);
    }
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn unmount(path: &Path) {
    let _ = Command::new("umount").arg("--lazy").arg(path).status();
}
