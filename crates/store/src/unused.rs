//! What earlier jobs left in `.shoal` and this one has no use for: kept in mind, and removed in the
//! end. Never removes what has grown anew under the same name since.

use super::partial::{self, Part, PartName};
use content::Name;
use rustix::fs::AtFlags;
use std::os::fd::OwnedFd;

/// What earlier jobs left, a job has no use for, and is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clearing {
    /// What nobody has gone on with for long.
    Stale,
    /// All of it.
    All,
}

/// The leftovers of one destination that a job has no use for.
#[derive(Debug, Default)]
pub(super) struct Unused(Vec<Leftover>);

#[derive(Debug)]
struct Leftover {
    name: PartName,
    /// Whether it goes without being asked for.
    is_stale: bool,
    /// Device and inode of its data, as it was found.
    data: Option<(u64, u64)>,
}

impl Unused {
    /// Adds what was found of a name in `.shoal`.
    pub(super) fn add(&mut self, shoal: Option<&OwnedFd>, name: &Name, is_stale: bool) {
        let name = PartName::of(name);
        let data = shoal.and_then(|shoal| inode(shoal, &name));
        self.0.push(Leftover { name, is_stale, data });
    }

    /// Removes all or some of it; says how much that was.
    pub(super) fn clear(&self, shoal: &OwnedFd, which: Clearing) -> usize {
        let cleared = |leftover: &&Leftover| {
            (leftover.is_stale || which == Clearing::All)
                && leftover.data == inode(shoal, &leftover.name)
                && partial::remove_all(shoal, &leftover.name)
        };
        self.0.iter().filter(cleared).count()
    }
}

fn inode(shoal: &OwnedFd, name: &PartName) -> Option<(u64, u64)> {
    let stat = rustix::fs::statat(shoal, name.file(Part::Data), AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some((stat.st_dev, stat.st_ino))
}
