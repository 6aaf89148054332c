//! Small file systems that get into trouble: one that fills up, and one that turns read-only. Both
//! are unmounted when dropped, and need root.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A mounted tmpfs.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one on an empty directory; `None` where this user may not mount.
    pub fn mount(path: &Path, bytes: u64) -> Option<Self> {
        let options = format!("size={bytes},mode=1777");
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

fn succeeds(command: &mut Command) -> bool {
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn unmount(path: &Path) {
    let _ = Command::new("umount").arg("--lazy").arg(path).status();
}
