//! Finds what lies under the shared paths, and under which names. Follows links below them only
//! where that was asked for, opens no file.

use super::Notice;
use super::error::show;
use super::file_source::names_nothing;
use super::left_out::PassedOver;
use super::links::{self, LinksMet, Way};
use super::metadata::capture;
use super::share::ShareError;
use super::share_spec::{Keeps, Links, Naming, Share};
use super::stamp::Stamp;
use super::tally::Tally;
use content::{Catalogue, Metadata, Name};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::ops::Bound;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};
use swarm::LeftOut;

/// Everything that was found, by name.
pub(super) struct Walked {
    pub(super) found: BTreeMap<Name, Found>,
    /// What was found below the directory that is passed over.
    pub(super) left_out: Vec<LeftOut>,
    /// What was there for a moment only.
    pub(super) vanished: Tally,
    pub(super) notices: Vec<Notice>,
}

/// Something that has a name.
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) kind: FoundKind,
    pub(super) metadata: Metadata,
    pub(super) stamp: Stamp,
    /// Whether it is a file that has other names, shared or not.
    pub(super) is_linked: bool,
    /// The position of the share that it was found under.
    pub(super) share: u32,
}

#[derive(PartialEq, Eq)]
pub(super) enum FoundKind {
    File,
    Directory,
    Symlink(Vec<u8>),
}

/// Walks all shares.
pub(super) fn walk(shares: &[Share], except: Option<&Path>) -> Result<Walked, ShareError> {
    let user = rustix::process::geteuid().as_raw();
    let mut walk = Walk { except: PassedOver::at(except), user, ..Walk::default() };
    for (position, share) in (0..).zip(shares) {
        (walk.share, walk.keeps) = (position, share.keeps);
        walk.share(share)?;
    }
    let notices = walk.notices().collect();
    let Walk { found, except, vanished, .. } = walk;
    Ok(Walked { found, left_out: except.into_left(), vanished, notices })
}

/// The path without the slashes at its end, which would demand a directory.
pub(super) fn without_slashes(path: &Path) -> &Path {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|&byte| byte != b'/').map_or(bytes.len().min(1), |at| at + 1);
    Path::new(OsStr::from_bytes(&bytes[..end]))
}

#[derive(Default)]
struct Walk {
    found: BTreeMap<Name, Found>,
    /// What is no file, directory or link.
    special: Tally,
    /// What belongs to others than this rank's user.
    foreign: Tally,
    vanished: Tally,
    user: u32,
    /// The position of the share that is being walked.
    share: u32,
    /// What is kept of what is below it.
    keeps: Keeps,
    except: PassedOver,
    /// Where links are followed: the device of what is being walked.
    followed_from: Option<u64>,
    links: LinksMet,
}

/// A directory that is still to be looked into.
struct Pending {
    /// What stands before the names in it.
    prefix: Vec<u8>,
    directory: PathBuf,
    way: Way,
}

impl Walk {
    fn share(&mut self, share: &Share) -> Result<(), ShareError> {
        let path = without_slashes(&share.path);
        let metadata = path.metadata().map_err(|source| match names_nothing(&source) {
            true => ShareError::Missing { path: path.to_owned() },
            false => unreadable(path, source),
        })?;
        self.followed_from = (share.links == Links::Followed).then(|| metadata.dev());
        if !metadata.is_dir() {
            let name = [&share.prefix, path.file_name().unwrap_or_default().as_bytes()].concat();
            let place = path.canonicalize().map_err(|source| unreadable(path, source))?;
            return self.take(name, place, &metadata);
        }
        let way = Way::default().through(&metadata);
        let top = |prefix| Pending { prefix, directory: path.to_owned(), way };
        match share.naming {
            Naming::Inside => self.descend(top(share.prefix.clone())),
            Naming::WithOwnName => {
                let name = [&share.prefix, own_name(path)?.as_bytes()].concat();
                self.take(name.clone(), path.to_owned(), &metadata)?;
                let met = self.except.count();
                self.descend(top([&name[..], b"/"].concat()))?;
                if self.except.count() > met && self.holds_no_more(&name) {
                    return Err(ShareError::OnlyDestination { path: path.to_owned() });
                }
                Ok(())
            }
        }
    }

    /// Whether below a directory there is nothing but the way to the one that is passed over.
    fn holds_no_more(&self, name: &[u8]) -> bool {
        let below = [name, b"/"].concat();
        let way =
            |found: &Found| found.kind == FoundKind::Directory && self.except.is_way(&found.path);
        let mut found = self.found.iter().filter(|(name, _)| name.as_bytes().starts_with(&below));
        found.all(|(_, found)| way(found))
    }

    /// Takes all that lies in a directory and below. What is no longer there when it is looked at
    /// is left out.
    fn descend(&mut self, top: Pending) -> Result<(), ShareError> {
        let mut pending = vec![top];
        while let Some(next) = pending.pop() {
            match self.look_into(&next, &mut pending) {
                Err(ShareError::Unreadable { path, source }) if names_nothing(&source) => {
                    if path == next.directory {
                        self.forget_below(&next.prefix, &next.directory);
                    }
                    self.vanished.add(|| show(&path).to_string());
                }
                looked => looked?,
            }
        }
        Ok(())
    }

    /// Takes what lies in a directory; directories are put off.
    fn look_into(
        &mut self,
        within: &Pending,
        pending: &mut Vec<Pending>,
    ) -> Result<(), ShareError> {
        let Pending { prefix, directory, way } = within;
        let refuse = |source| unreadable(directory, source);
        for item in fs::read_dir(directory).map_err(refuse)? {
            let item = item.map_err(refuse)?;
            let metadata = match item.metadata() {
                Err(source) if names_nothing(&source) => {
                    self.vanished.add(|| show(&item.path()).to_string());
                    continue;
                }
                metadata => metadata.map_err(|source| unreadable(&item.path(), source))?,
            };
            let own_name = item.file_name();
            let (path, metadata) = self.follow(item.path(), metadata, way)?;
            let name = [prefix, own_name.as_bytes()].concat();
            if metadata.is_dir() {
                if own_name.as_bytes() == Name::RESERVED {
                    continue;
                }
                if self.except.is(&metadata) {
                    self.except.meet(&name, &path);
                    continue;
                }
                let (prefix, way) = ([&name[..], b"/"].concat(), way.through(&metadata));
                pending.push(Pending { prefix, directory: path.clone(), way });
            }
            self.take(name, path, &metadata)?;
        }
        Ok(())
    }

    /// What is at a path, or what the link there leads to, where it is to be followed.
    fn follow(
        &mut self,
        path: PathBuf,
        metadata: fs::Metadata,
        way: &Way,
    ) -> Result<(PathBuf, fs::Metadata), ShareError> {
        let Some(device) = self.followed_from.filter(|_| metadata.is_symlink()) else {
            return Ok((path, metadata));
        };
        let followed = self.links.follow(&path, device, way);
        let followed = followed.map_err(|source| unreadable(&path, source))?;
        Ok(followed.unwrap_or((path, metadata)))
    }

    /// A directory is gone: so is what was found in it, and it itself where it has a name.
    fn forget_below(&mut self, prefix: &[u8], directory: &Path) {
        let own = prefix.strip_suffix(b"/").unwrap_or(prefix);
        let from = Name::new(own).map_or(Bound::Unbounded, Bound::Included);
        let all = self.found.range((from, Bound::Unbounded));
        let near = all.take_while(|(name, _)| name.as_bytes().starts_with(own));
        let gone = near.filter(|(_, found)| found.path.starts_with(directory));
        let gone: Vec<Name> = gone.map(|(name, _)| name.clone()).collect();
        for name in gone {
            self.found.remove(&name);
        }
    }

    /// Takes one file, directory or link.
    fn take(
        &mut self,
        name: Vec<u8>,
        path: PathBuf,
        metadata: &fs::Metadata,
    ) -> Result<(), ShareError> {
        let kind = if metadata.is_dir() {
            FoundKind::Directory
        } else if metadata.is_file() {
            FoundKind::File
        } else if metadata.is_symlink() {
            match fs::read_link(&path) {
                Ok(target) => FoundKind::Symlink(target.into_os_string().into_vec()),
                // Something else has taken its place, or nothing.
                Err(gone) if names_nothing(&gone) || gone.kind() == io::ErrorKind::InvalidInput => {
                    self.vanished.add(|| show(&path).to_string());
                    return Ok(());
                }
                Err(source) => return Err(unreadable(&path, source)),
            }
        } else {
            self.special.add(|| show(&path).to_string());
            return Ok(());
        };
        if metadata.uid() != self.user && !self.keeps.owner {
            self.foreign.add(|| show(&path).to_string());
        }
        let name =
            Name::new(name).map_err(|source| ShareError::BadName { path: path.clone(), source })?;
        let stamp = Stamp::of(metadata);
        let kept = match capture(&path, metadata, self.keeps) {
            // As when it vanished a moment before.
            Err(gone) if names_nothing(&gone) => {
                self.vanished.add(|| show(&path).to_string());
                return Ok(());
            }
            kept => kept.map_err(|source| unreadable(&path, source))?,
        };
        let is_linked = kind == FoundKind::File && metadata.nlink() > 1;
        let found = Found { path, kind, metadata: kept, stamp, is_linked, share: self.share };
        if self.found.len() > Catalogue::MAX_ENTRIES {
            return Err(ShareError::TooManyEntries { path: found.path });
        }
        match self.found.entry(name) {
            Entry::Vacant(vacant) => {
                vacant.insert(found);
            }
            Entry::Occupied(first) if !first.get().merges_with(&found) => {
                return Err(ShareError::Duplicate {
                    name: first.key().clone(),
                    first: first.get().path.clone(),
                    second: found.path,
                });
            }
            Entry::Occupied(_) => {}
        }
        Ok(())
    }

    fn notices(&self) -> impl Iterator<Item = Notice> {
        let special = self.special.sentence(
            "special file is not shared (sockets, pipes, devices)",
            "special files are not shared (sockets, pipes, devices)",
        );
        let foreign = Some(Notice::OwnersNotKept(self.foreign.clone()));
        let out = self.followed_from.is_none().then(|| links::leading_out(&self.found));
        let special = special.map(Notice::Told).into_iter();
        let links = self.links.notices().map(Notice::Told);
        let all = special.chain(foreign).chain(links).chain(out.map(Notice::LinksLeadOut));
        all.filter(|notice| !notice.is_empty())
    }
}

impl Found {
    /// Whether two finds of one name are no contradiction: directories, of which the first one's
    /// mode and time count, or the same file found twice.
    fn merges_with(&self, other: &Self) -> bool {
        let directories = self.kind == FoundKind::Directory && other.kind == FoundKind::Directory;
        directories || (self.kind == other.kind && self.stamp.is_same_file(&other.stamp))
    }
}

/// The name by which a directory is called where it lies.
fn own_name(path: &Path) -> Result<std::ffi::OsString, ShareError> {
    if let Some(name) = path.file_name() {
        return Ok(name.to_owned());
    }
    let canonical = path.canonicalize().map_err(|source| unreadable(path, source))?;
    let name = canonical.file_name();
    name.map(OsStr::to_owned).ok_or_else(|| ShareError::Nameless { path: path.to_owned() })
}

fn unreadable(path: &Path, source: io::Error) -> ShareError {
    ShareError::Unreadable { path: path.to_owned(), source }
}
