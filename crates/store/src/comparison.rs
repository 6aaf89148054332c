//! What stands at a destination, compared with the catalogue (`--check`, `--dry-run`). A comparison
//! can read, and has nothing to write with: it makes, changes and removes nothing, and follows no
//! link below the destination.

use super::beneath::{Missing, Parent};
use super::extra::{self, Bounds, Extras};
use super::hasher::Hasher;
use super::metadata::{self, Seen};
use super::replace::Replacing;
use super::stamp::Stamp;
use super::unkept::Unkept;
use super::{Look, Partial, SharedEntry, Source, WriteError};
use content::{Bitfield, Catalogue, Entry, EntryIndex, FileContent, Kind, Name};
use content::{PieceLayer, Tie, Twins};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use swarm::Differences;

/// A destination beside the catalogue. Many threads may use it at once.
pub struct Comparison {
    catalogue: Arc<Catalogue>,
    look: Look,
    /// The sources of shared files, by entry number.
    shared: HashMap<u32, Arc<dyn Source>>,
    /// Bytes that an earlier run left in parts and a transfer would keep, by entry number.
    kept: HashMap<u32, u64>,
    /// What is made from what.
    twins: Twins,
    /// What is not kept as it was.
    unkept: Unkept,
    hasher: Hasher,
}

/// What stands under an entry's name.
#[derive(Debug)]
pub struct Compared {
    /// In what it differs.
    pub differences: Differences,
    /// Bytes of it that are there, verified.
    pub bytes_in_place: u64,
    /// Why it could not be written where it differs, as far as a forecast can see.
    pub obstacle: Option<WriteError>,
}

impl Comparison {
    /// Begins with what an earlier run left at the destination, and with what this rank shares:
    /// what stands there may be that very file.
    ///
    /// # Panics
    ///
    /// Panics where `wanted` is not over the catalogue's entries.
    pub fn new(
        catalogue: Arc<Catalogue>,
        wanted: &Bitfield,
        shared: &[SharedEntry],
        partials: &[Partial],
        look: Look,
    ) -> Self {
        assert_eq!(wanted.len(), catalogue.entry_count(), "a set of another catalogue");
        let twins = Twins::new(&catalogue, wanted, &Bitfield::new(wanted.len()));
        let mut sources: HashMap<u32, Arc<dyn Source>> = HashMap::new();
        for it in shared {
            let entry = catalogue.find(&it.entry.name);
            if let Some(index) = entry.filter(|&at| it.has_content_of(catalogue.entry(at))) {
                sources.insert(index.0, Arc::clone(&it.source));
            }
        }
        let mut kept = HashMap::new();
        for partial in partials {
            let entry = catalogue.find(&partial.entry.name);
            let fits = |at: &EntryIndex| partial.fits(catalogue.entry(*at));
            // What this rank shares whole it needs no parts of.
            if let Some(index) = entry.filter(fits).filter(|at| !sources.contains_key(&at.0)) {
                kept.insert(index.0, partial.held_bytes());
            }
        }
        let (unkept, hasher) = (Unkept::default(), Hasher::default());
        Self { shared: sources, kept, twins, unkept, look, hasher, catalogue }
    }

    /// Says what would give way to an entry of another kind: with bounds, for `--delete`, also
    /// directories with content.
    pub fn replacing(self, bounds: Option<Bounds>) -> Self {
        if let Some(root) = self.look.root() {
            root.replace(Replacing::new(Arc::clone(&self.catalogue), bounds));
        }
        self
    }

    /// Lets a large file be hashed by several threads.
    pub fn hashing_with(self, threads: usize) -> Self {
        Self { hasher: Hasher::new(threads), ..self }
    }

    /// Compares what stands at the destination with a wanted entry. A file of the right length is
    /// read whole.
    pub fn inspect(&self, index: EntryIndex) -> Compared {
        let entry = self.catalogue.entry(index);
        let differences = self.differences(index, entry).unwrap_or(Differences::UNREADABLE);
        let there = !differences.lack_content();
        let kept = || self.kept.get(&index.0).copied().unwrap_or(0);
        let bytes_in_place = if there { entry.len() } else { kept() };
        let blocked = self.look.is_forecast() && !differences.is_empty();
        let obstacle = if blocked { self.obstacle(entry, differences) } else { None };
        Compared { differences, bytes_in_place, obstacle }
    }

    /// Lists what the destination has that the catalogue lacks; in a forecast, only what could be
    /// removed.
    pub fn list_extra(&self, bounds: &Bounds) -> Extras {
        let list = if self.look.is_forecast() { extra::forecast } else { extra::list };
        self.look.root().map(|root| list(root, &self.catalogue, bounds)).unwrap_or_default()
    }

    /// What the user should know in the end of what is not kept as it was, in full sentences.
    pub fn unkept(&self) -> Vec<String> {
        self.unkept.sentences(&self.catalogue)
    }

    /// Why an entry could not be written, as far as that shows before it is.
    fn obstacle(&self, entry: &Entry, differences: Differences) -> Option<WriteError> {
        let root = self.look.root()?;
        if let Some(why) = self.look.sealed().map(str::to_owned) {
            return Some(WriteError::Sealed { why });
        }
        let parent = match root.parent(&entry.name, Missing::Leave) {
            Ok(parent) => parent,
            Err(error) => return Some(error),
        };
        let standing = parent.as_ref().and_then(|parent| stat(parent).ok());
        if let Some(found) = standing.filter(|_| differences.has(Differences::KIND)) {
            let is_directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            let wanted = wanted_type(&entry.kind);
            if is_directory
                && let Some(parent) = &parent
                && let Err(error) = root.gives_way(parent, &entry.name, wanted)
            {
                return Some(error);
            }
        }
        let denied = root.admits(&entry.name).err()?;
        let opened_up = self.is_opened_up(&entry.name) || !differences.lack_content();
        (!opened_up).then_some(denied)
    }

    /// Whether a name lies in a directory that a transfer opens up, for it is sealed in the end.
    fn is_opened_up(&self, name: &Name) -> bool {
        let bytes = name.as_bytes();
        let Some(slash) = bytes.iter().rposition(|&byte| byte == b'/') else { return false };
        let entries = self.catalogue.entries();
        let at = entries.binary_search_by(|entry| entry.name.as_bytes().cmp(&bytes[..slash]));
        at.is_ok_and(|at| entries[at].metadata.mode & 0o300 != 0o300)
    }

    fn differences(&self, index: EntryIndex, entry: &Entry) -> io::Result<Differences> {
        let Some(parent) = self.look.parent(&entry.name)? else { return Ok(Differences::MISSING) };
        let stat = match stat(&parent) {
            Err(Errno::NOENT) => return Ok(Differences::MISSING),
            stat => stat?,
        };
        let seen = Seen::from(&stat);
        let differences = self.differences_from(index, entry, &seen, (&stat, &parent))?;
        if differences.is_empty() {
            metadata::note_time(&self.unkept, (index, entry), seen.modified);
        }
        Ok(differences)
    }

    /// The same, of what stands there.
    fn differences_from(
        &self,
        index: EntryIndex,
        entry: &Entry,
        seen: &Seen,
        (stat, parent): (&Stat, &Parent<'_>),
    ) -> io::Result<Differences> {
        match (&entry.kind, FileType::from_raw_mode(stat.st_mode)) {
            (Kind::Directory, FileType::Directory) => {
                let others = seen.differences_of_directory(&entry.metadata);
                Ok(others.and(differences_in_xattrs(entry, parent)?))
            }
            (Kind::File(content) | Kind::HardLink { content, .. }, FileType::RegularFile) => {
                let same = self.has_content(index, *content, stat, parent)?;
                let link = Differences::LINK.only_if(!self.is_tied(index, stat)?);
                let others = seen.differences(&entry.metadata);
                let others = others.and(differences_in_xattrs(entry, parent)?);
                Ok(Differences::CONTENT.only_if(!same).and(others).and(link))
            }
            (Kind::Symlink(target), FileType::Symlink) => {
                let found = rustix::fs::readlinkat(&parent.fd, parent.leaf, Vec::new())?;
                let others = seen.differences_of_link(&entry.metadata);
                Ok(Differences::LINK.only_if(found.as_bytes() != target).and(others))
            }
            _ => Ok(Differences::KIND),
        }
    }

    /// Whether a name that must be another one of a file is that, as far as this rank wants both;
    /// true of all others.
    fn is_tied(&self, index: EntryIndex, found: &Stat) -> io::Result<bool> {
        let Some((first, Tie::Link)) = self.twins.source(index) else { return Ok(true) };
        let first = self.look.parent(&self.catalogue.entry(first).name)?;
        let first = first.and_then(|parent| stat(&parent).ok());
        let identity = |stat: &Stat| (stat.st_dev, stat.st_ino);
        Ok(first.is_some_and(|first| identity(&first) == identity(found)))
    }

    /// Whether a file has an entry's content.
    fn has_content(
        &self,
        index: EntryIndex,
        content: FileContent,
        stat: &Stat,
        parent: &Parent<'_>,
    ) -> io::Result<bool> {
        if u64::try_from(stat.st_size) != Ok(content.geometry.len()) {
            return Ok(false);
        }
        let file = parent.open()?;
        let metadata = file.metadata()?;
        let stamp = Stamp::of(&metadata);
        let own = self.shared.get(&index.0);
        if own.is_some_and(|shared| shared.is_file(&metadata)) {
            return Ok(true);
        }
        // A file that changes meanwhile is not what it must be.
        let Some(hashes) = self.hasher.hash_whole(&file, stamp, content)? else { return Ok(false) };
        let layer = PieceLayer::new(content.geometry, hashes).expect("one hash a piece");
        Ok(content.root == Some(layer.root()))
    }
}

/// In what extended attributes a file or directory differs, where they are kept.
fn differences_in_xattrs(entry: &Entry, parent: &Parent<'_>) -> io::Result<Differences> {
    if entry.metadata.xattrs.is_none() {
        return Ok(Differences::default());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(&parent.fd, parent.leaf, flags, Mode::empty())?;
    metadata::differences_in_xattrs(opened, &entry.metadata)
}

fn wanted_type(kind: &Kind) -> FileType {
    match kind {
        Kind::File(_) | Kind::HardLink { .. } => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink(_) => FileType::Symlink,
    }
}

fn stat(parent: &Parent<'_>) -> rustix::io::Result<Stat> {
    rustix::fs::statat(&parent.fd, parent.leaf, AtFlags::SYMLINK_NOFOLLOW)
}
