//! What stands on the disk, as the kernel tells it. It changes nothing.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// On a directory: what is made in it has its group.
const SET_GROUP: u32 = 0o2000;

/// What a name stands for.
#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    /// With its content.
    File(Vec<u8>),
    Directory,
    /// With its target.
    Link(Vec<u8>),
    /// A pipe, a socket, a device.
    Special,
}

/// A name's facts. What the last change of the inode was is none of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Fact {
    pub kind: Kind,
    pub inode: (u64, u64),
    /// Permission bits, set-user-id and the like among them.
    pub mode: u32,
    pub modified: (i64, i64),
}

/// Facts by their paths below a directory.
pub type Facts = BTreeMap<Vec<u8>, Fact>;

/// Whether links are what they lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Links {
    Kept,
    /// But for those that lead nowhere, or to a directory on the way to them.
    Followed,
}

impl Fact {
    /// The facts of a path; nothing where nothing is there.
    pub fn of(path: &Path) -> Option<Self> {
        Some(Self::new(path, &path.symlink_metadata().ok()?))
    }

    fn new(path: &Path, stat: &Metadata) -> Self {
        let kind = if stat.is_dir() {
            Kind::Directory
        } else if stat.is_file() {
            Kind::File(fs::read(path).unwrap_or_default())
        } else if stat.is_symlink() {
            Kind::Link(fs::read_link(path).unwrap_or_default().into_os_string().into_vec())
        } else {
            Kind::Special
        };
        Self {
            kind,
            inode: (stat.dev(), stat.ino()),
            mode: stat.mode() & 0o7777,
            modified: (stat.mtime(), stat.mtime_nsec()),
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    /// What differs in its copy, apart from the inode; nothing where they are equal. A directory
    /// that stood there keeps its set-group bit.
    pub fn differences(&self, copy: &Self) -> Vec<&'static str> {
        let is_link = matches!((&self.kind, &copy.kind), (Kind::Link(_), Kind::Link(_)));
        let kept = if self.is_directory() { copy.mode & SET_GROUP } else { 0 };
        let all = [
            (self.kind != copy.kind, "kind or content"),
            (self.mode | kept != copy.mode && !is_link, "mode"),
            (self.modified != copy.modified, "time"),
        ];
        all.into_iter().filter(|(differs, _)| *differs).map(|(_, what)| what).collect()
    }
}

/// Everything below a directory but what `.shoal` holds.
pub fn below(directory: &Path, links: Links) -> Facts {
    let mut facts = Facts::new();
    let top = Fact::of(directory).map(|fact| fact.inode);
    walk(directory, b"", links, &mut Vec::from_iter(top), &mut facts);
    facts
}

fn walk(
    directory: &Path,
    prefix: &[u8],
    links: Links,
    way: &mut Vec<(u64, u64)>,
    facts: &mut Facts,
) {
    for item in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = item.path();
        let Some(mut fact) = Fact::of(&path) else { continue };
        if matches!(fact.kind, Kind::Link(_)) && links == Links::Followed {
            let end = path.metadata().map(|stat| Fact::new(&path, &stat)).ok();
            let is_loop = |end: &Fact| end.is_directory() && way.contains(&end.inode);
            fact = end.filter(|end| !is_loop(end)).unwrap_or(fact);
        }
        let name = [prefix, item.file_name().as_bytes()].concat();
        if fact.is_directory() && item.file_name() != ".shoal" {
            way.push(fact.inode);
            walk(&path, &[&name[..], b"/"].concat(), links, way, facts);
            way.pop();
        }
        facts.insert(name, fact);
    }
}
