//! What is kept of an entry besides its content: captured at the source, given to what is made or
//! stands at the destination, compared with what is seen there. No other module reads or sets it.
//! Touches no content, and follows no link.

use super::MetadataError;
use super::Store;
use super::beneath;
use super::share_spec::Keeps;
use super::stamp::Stamp;
use super::unkept::Unkept;
use super::xattrs;
use content::{Entry, EntryIndex, Metadata, Owner, Timestamp};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use swarm::Differences;

/// On a directory: what is made in it has its group.
const SET_GROUP: u32 = 0o2000;
/// The permission bits, with those for set-user, set-group and sticky.
const MODE_BITS: u32 = 0o7777;

/// The metadata of an entry of a source.
pub(super) fn capture(path: &Path, found: &fs::Metadata, keeps: Keeps) -> io::Result<Metadata> {
    let seen = Seen::from(found);
    // A link has none that users could set.
    let has_xattrs = keeps.xattrs && !found.is_symlink();
    Ok(Metadata {
        mode: seen.mode,
        modified: seen.modified,
        owner: keeps.owner.then_some(seen.owner),
        xattrs: if has_xattrs { Some(xattrs::of_path(path)?) } else { None },
    })
}

/// What the system says of something that stands at the destination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    mode: u32,
    owner: Owner,
    pub(super) modified: Timestamp,
    /// Set by the system itself: it shows in what steps the file system keeps times.
    changed: Timestamp,
}

impl From<&fs::Metadata> for Seen {
    fn from(found: &fs::Metadata) -> Self {
        let Stamp { modified, changed, .. } = Stamp::of(found);
        let owner = Owner { user: found.uid(), group: found.gid() };
        Self { mode: found.mode() & MODE_BITS, owner, modified, changed }
    }
}

impl From<&Stat> for Seen {
    fn from(found: &Stat) -> Self {
        let time = |seconds, nanoseconds: u64| Timestamp {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).unwrap_or(0),
        };
        let modified = time(found.st_mtime, found.st_mtime_nsec);
        let changed = time(found.st_ctime, found.st_ctime_nsec);
        let owner = Owner { user: found.st_uid, group: found.st_gid };
        Self { mode: found.st_mode & MODE_BITS, owner, modified, changed }
    }
}

impl Seen {
    /// In what a directory differs from what it must have. That it hands down its group counts as
    /// equal though the source's does not: it has that from the one that it was made in.
    pub(super) fn differences_of_directory(&self, wanted: &Metadata) -> Differences {
        self.differences_in_mode(wanted.mode | self.mode & SET_GROUP, wanted)
    }

    /// In what a file differs from what it must have, its extended attributes left aside.
    pub(super) fn differences(&self, wanted: &Metadata) -> Differences {
        self.differences_in_mode(wanted.mode, wanted)
    }

    fn differences_in_mode(&self, mode: u32, wanted: &Metadata) -> Differences {
        let mode = Differences::MODE.only_if(self.mode != mode & MODE_BITS);
        mode.and(self.differences_of_link(wanted))
    }

    /// The same for a symbolic link, which has no mode of its own.
    pub(super) fn differences_of_link(&self, wanted: &Metadata) -> Differences {
        let time = wanted.modified;
        let same = self.has_time(time) || self.is_all_that_is_kept_of(time);
        let is_others = wanted.owner.is_some_and(|owner| owner != self.owner);
        Differences::TIME.only_if(!same).and(Differences::OWNER.only_if(is_others))
    }

    /// Whether it has this very time.
    fn has_time(&self, time: Timestamp) -> bool {
        self.modified == time
    }

    /// Whether it has what a file system keeps of a time that it cannot keep: cut to its steps, or
    /// its first or last moment (Linux's `timestamp_truncate`). Steps are believed only where the
    /// time that the system itself set falls on one, too.
    fn is_all_that_is_kept_of(&self, time: Timestamp) -> bool {
        let is_cut = |step: &Step| step.cut(time) == self.modified && step.made(self);
        let is_bound = |bound: &i64| {
            let beyond = if *bound <= 0 { time.seconds < *bound } else { time.seconds >= *bound };
            beyond && self.modified == Timestamp { seconds: *bound, nanoseconds: 0 }
        };
        Step::ALL.iter().any(is_cut) || BOUNDS.iter().any(is_bound)
    }
}

/// The first and the last seconds that file systems keep: of 32 bits with a sign (ext4 with small
/// inodes, xfs without `bigtime`) and without (NFS 3), of ext4 (2446), of xfs (2486).
const BOUNDS: [i64; 6] =
    [i32::MIN as i64, 0, i32::MAX as i64, u32::MAX as i64, 15_032_385_535, 16_299_260_424];

/// Steps in which a file system keeps times.
#[derive(Debug, Clone, Copy)]
struct Step {
    nanoseconds: i128,
}

impl Step {
    /// 100 ns (NTFS, SMB), 1 µs, 1 ms, 10 ms (exFAT), one second (ext4 with small inodes, HFS+).
    const ALL: [Self; 6] = [
        Self { nanoseconds: 100 },
        Self { nanoseconds: 1_000 },
        Self { nanoseconds: 1_000_000 },
        Self { nanoseconds: 10_000_000 },
        Self { nanoseconds: NANOSECONDS },
        Self::FAT,
    ];
    const FAT: Self = Self { nanoseconds: 2 * NANOSECONDS };

    /// The last step that is not after a time.
    fn cut(self, time: Timestamp) -> Timestamp {
        let all = i128::from(time.seconds) * NANOSECONDS + i128::from(time.nanoseconds);
        let cut = all - all.rem_euclid(self.nanoseconds);
        Timestamp {
            seconds: cut.div_euclid(NANOSECONDS) as i64,
            nanoseconds: cut.rem_euclid(NANOSECONDS) as u32,
        }
    }

    /// Whether the times of something tell of such steps. FAT has one time for both.
    fn made(self, seen: &Seen) -> bool {
        let is_fat = self.nanoseconds == Self::FAT.nanoseconds;
        self.cut(seen.changed) == seen.changed && (!is_fat || seen.changed == seen.modified)
    }
}

/// Nanoseconds of a second.
const NANOSECONDS: i128 = 1_000_000_000;

impl Store {
    /// Keeps in mind where an entry has not the very time that it was given.
    pub(super) fn note_time(&self, index: EntryIndex, modified: Timestamp) {
        note_time(&self.unkept, (index, self.catalogue.entry(index)), modified);
    }
}

/// Keeps in mind where what stands there has not the very time of its entry.
pub(super) fn note_time(unkept: &Unkept, (index, entry): (EntryIndex, &Entry), found: Timestamp) {
    if found != entry.metadata.modified {
        unkept.note_time(index);
    }
}

/// Whether something that is open has other extended attributes than it must have, if any must be
/// kept.
pub(super) fn differences_in_xattrs(file: impl AsFd, wanted: &Metadata) -> io::Result<Differences> {
    let Some(wanted) = &wanted.xattrs else { return Ok(Differences::default()) };
    Ok(Differences::XATTRS.only_if(xattrs::differ(file, wanted)?))
}

/// In what an open file differs from what it must have.
pub(super) fn differences_of_file(
    found: &fs::Metadata,
    file: &File,
    wanted: &Metadata,
) -> io::Result<Differences> {
    Ok(Seen::from(found).differences(wanted).and(differences_in_xattrs(file, wanted)?))
}

/// Gives something that is open its owner and its extended attributes. Both may change its mode.
fn give_owner_and_xattrs(file: impl AsFd, wanted: &Metadata) -> io::Result<()> {
    if let Some(Owner { user, group }) = wanted.owner {
        let ids = (Uid::from_raw(user), Gid::from_raw(group));
        rustix::fs::fchown(&file, Some(ids.0), Some(ids.1)).map_err(no_owner)?;
    }
    wanted.xattrs.as_ref().map_or(Ok(()), |wanted| xattrs::give(file, wanted))
}

fn no_owner(errno: Errno) -> io::Error {
    io::Error::other(MetadataError::Owner { source: errno.into() })
}

/// Gives a file that was made here its metadata. It had the least mode until now.
pub(super) fn give_new_file(file: &File, wanted: &Metadata) -> io::Result<()> {
    give_owner_and_xattrs(file, wanted)?;
    set_mode(wanted.mode, |mode| rustix::fs::fchmod(file, mode))?;
    Ok(rustix::fs::futimens(file, &times(wanted))?)
}

/// Gives a file, of which it is known what it has, what differs.
pub(super) fn mend_file(found: &fs::Metadata, file: &File, wanted: &Metadata) -> io::Result<()> {
    let differences = differences_of_file(found, file, wanted)?;
    let is_given = differences.has(Differences::OWNER) || differences.has(Differences::XATTRS);
    if is_given {
        give_owner_and_xattrs(file, wanted)?;
    }
    if is_given || differences.has(Differences::MODE) {
        set_mode(wanted.mode, |mode| rustix::fs::fchmod(file, mode))?;
    }
    if differences.has(Differences::TIME) {
        rustix::fs::futimens(file, &times(wanted))?;
    }
    Ok(())
}

/// Gives a directory, open by path alone, its metadata, where it has another one. Says what time
/// it has then.
pub(super) fn mend_directory(directory: &OwnedFd, wanted: &Metadata) -> io::Result<Timestamp> {
    let found = Seen::from(&rustix::fs::fstat(directory)?);
    let differs = !found.differences_of_directory(wanted).is_empty();
    if !differs && wanted.xattrs.is_none() {
        return Ok(found.modified);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(directory, ".", flags, Mode::empty());
    let readable = match open() {
        // One that stood there and may not be read: its mode first, so that it may.
        Err(Errno::ACCESS) => {
            beneath::set_mode(directory, Mode::RWXU)?;
            open()?
        }
        opened => opened?,
    };
    if !differs && differences_in_xattrs(&readable, wanted)?.is_empty() {
        return Ok(found.modified);
    }
    give_owner_and_xattrs(&readable, wanted)?;
    rustix::fs::futimens(&readable, &times(wanted))?;
    let mode = wanted.mode | found.mode & SET_GROUP;
    set_mode(mode, |mode| rustix::fs::fchmod(&readable, mode))?;
    Ok(Seen::from(&rustix::fs::fstat(&readable)?).modified)
}

/// Gives a symbolic link its metadata. Says what time it has then.
pub(super) fn give_link(
    directory: impl AsFd,
    name: &[u8],
    wanted: &Metadata,
) -> io::Result<Timestamp> {
    let no_follow = AtFlags::SYMLINK_NOFOLLOW;
    if let Some(Owner { user, group }) = wanted.owner {
        let (user, group) = (Some(Uid::from_raw(user)), Some(Gid::from_raw(group)));
        rustix::fs::chownat(&directory, name, user, group, no_follow).map_err(no_owner)?;
    }
    rustix::fs::utimensat(&directory, name, &times(wanted), no_follow)?;
    Ok(Seen::from(&rustix::fs::statat(directory, name, no_follow)?).modified)
}

/// Sets a mode; without the set-user and set-group bits where the file system refuses them.
fn set_mode(mode: u32, set: impl Fn(Mode) -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    match set(Mode::from_raw_mode(mode & MODE_BITS)) {
        Err(Errno::PERM) if mode & 0o6000 != 0 => set(Mode::from_raw_mode(mode & 0o1777)),
        result => result,
    }
}

/// The modification time, and no change of the access time.
fn times(wanted: &Metadata) -> Timestamps {
    let modified = wanted.modified;
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec {
            tv_sec: modified.seconds,
            tv_nsec: modified.nanoseconds.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Owner = Owner { user: 65534, group: 65534 };

    fn time(seconds: i64, nanoseconds: u32) -> Timestamp {
        Timestamp { seconds, nanoseconds }
    }

    fn is_equal(wanted: Timestamp, modified: Timestamp, changed: Timestamp) -> bool {
        let seen = Seen { mode: 0o644, owner: NOBODY, modified, changed };
        seen.differences(&Metadata::new(0o644, wanted)).is_empty()
    }

    #[test]
    fn a_time_cut_to_the_steps_of_its_file_system_counts_as_equal() {
        let wanted = time(1_000_000_001, 123_456_789);
        for (modified, changed) in [
            (time(1_000_000_001, 123_456_700), time(1_800_000_000, 987_654_300)),
            (time(1_000_000_001, 123_456_000), time(1_800_000_000, 987_654_000)),
            (time(1_000_000_001, 123_000_000), time(1_800_000_000, 987_000_000)),
            (time(1_000_000_001, 120_000_000), time(1_800_000_000, 980_000_000)),
            (time(1_000_000_001, 0), time(1_800_000_001, 0)),
            (time(1_000_000_000, 0), time(1_000_000_000, 0)),
        ] {
            assert!(is_equal(wanted, modified, changed), "{modified:?}");
            let finer = time(1_800_000_000, 987_654_321);
            assert!(!is_equal(wanted, modified, finer), "this file system keeps nanoseconds");
            let later = time(modified.seconds + 2, modified.nanoseconds);
            assert!(!is_equal(wanted, later, changed), "another time");
        }
        let odd_steps = time(1_800_000_001, 0);
        assert!(!is_equal(wanted, time(1_000_000_000, 0), odd_steps), "one second, and not two");
        assert!(is_equal(time(-5, 400), time(-5, 0), time(7, 0)), "before 1970 the second before");
    }

    #[test]
    fn a_directory_may_hand_down_its_group_though_the_sources_does_not() {
        let differs = |wanted, mode| {
            let modified = time(5, 0);
            let seen = Seen { mode, owner: NOBODY, modified, changed: modified };
            !seen.differences_of_directory(&Metadata::new(wanted, modified)).is_empty()
        };
        assert!(!differs(0o755, 0o2755) && !differs(0o2755, 0o2755));
        assert!(differs(0o2755, 0o755) && differs(0o755, 0o2775) && differs(0o755, 0o4755));
    }

    #[test]
    fn a_time_beyond_the_last_that_a_file_system_keeps_counts_as_equal_to_that() {
        let (now, last) = (time(1_800_000_000, 987_654_321), i64::from(i32::MAX));
        assert!(is_equal(time(last + 1, 5), time(last, 0), now));
        assert!(is_equal(time(last, 5), time(last, 0), now), "its fraction is not kept either");
        assert!(is_equal(time(1 << 40, 0), time(15_032_385_535, 0), now));
        assert!(is_equal(time(-1 << 40, 7), time(i64::from(i32::MIN), 0), now));
        assert!(!is_equal(time(last - 1, 0), time(last, 0), now));
        assert!(!is_equal(time(last + 1, 0), time(last - 1, 0), now));
        assert!(!is_equal(time(5, 0), time(0, 0), now), "0 is a first moment, and no last one");
    }
}
