//! A small file system that fills up: a tmpfs of a given size, unmounted when dropped.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one on an empty directory; `None` where this user may not mount.
    pub fn mount(path: &Path, bytes: u64) -> Option<Self> {
        let options = format!("size={bytes},mode=1777");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "shoal-e2e"])
            .arg(path)
            .stderr(std::process::Stdio::null())
            .status();
        status.is_ok_and(|status| status.success()).then(|| Self { path: path.to_owned() })
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
