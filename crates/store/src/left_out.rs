//! The rank's own destination where it lies below what the rank shares: it is passed over, and what
//! lies in it is counted. Follows no link, opens no file.

use content::Name;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use swarm::LeftOut;

/// A directory that is passed over, and what was seen of it.
#[derive(Default)]
pub(super) struct PassedOver {
    /// Its device and inode.
    place: Option<(u64, u64)>,
    /// The paths by which it was met.
    met: Vec<PathBuf>,
    left: Vec<LeftOut>,
}

impl PassedOver {
    /// Passes over this directory, where there is one.
    pub(super) fn at(path: Option<&Path>) -> Self {
        let found = path.and_then(|path| path.metadata().ok());
        Self { place: found.map(|found| (found.dev(), found.ino())), ..Self::default() }
    }

    pub(super) fn is(&self, metadata: &Metadata) -> bool {
        self.place == Some((metadata.dev(), metadata.ino()))
    }

    /// Meets it at a path, where it would have this name. What cannot be looked through is counted
    /// as far as it can.
    pub(super) fn meet(&mut self, name: &[u8], path: &Path) {
        self.met.push(path.to_owned());
        let Ok(destination) = Name::new(name) else { return };
        let items = fs::read_dir(path).into_iter().flatten().flatten();
        let mut items: Vec<_> = items.collect();
        items.sort_by_key(fs::DirEntry::file_name);
        for item in items {
            // `.shoal` is no name.
            let Ok(name) = Name::new(item.file_name().into_vec()) else { continue };
            let mut left =
                LeftOut { destination: destination.clone(), name, count: 0, first: Vec::new() };
            count(&mut left, path, item.path());
            self.left.push(left);
        }
    }

    /// How often it was met.
    pub(super) fn count(&self) -> usize {
        self.met.len()
    }

    /// Whether a directory lies on the way to it.
    pub(super) fn is_way(&self, directory: &Path) -> bool {
        self.met.iter().any(|met| met.starts_with(directory))
    }

    pub(super) fn into_left(self) -> Vec<LeftOut> {
        self.left
    }
}

/// Counts what is at a path and below it.
fn count(left: &mut LeftOut, destination: &Path, path: PathBuf) {
    let mut pending = vec![path];
    while let Some(path) = pending.pop() {
        left.count += 1;
        if left.first.len() < LeftOut::MAX_NAMES {
            let below = path.strip_prefix(destination).expect("it lies there");
            let name = Name::new(below.as_os_str().to_owned().into_vec());
            left.first.extend(name);
        }
        if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            let mut items: Vec<PathBuf> =
                fs::read_dir(&path).into_iter().flatten().flatten().map(|it| it.path()).collect();
            items.sort_by(|a, b| b.cmp(a));
            pending.extend(items);
        }
    }
}
