//! Hashing what was found in a tree that may be in use: a file that changes meanwhile is hashed
//! again, one that is gone is left out, and one that keeps changing is an entry without content.
//! Never writes.

use super::found::{FoundEntry, Standing, cut};
use super::{ShareError, ShareOptions};
use crate::cache::Cache;
use crate::digest::{self, Digest, Unhashed};
use crate::error::show;
use crate::file_source::{FileSource, names_nothing};
use crate::metadata;
use crate::share_spec::Keeps;
use crate::source::{ReadingOrder, Source};
use crate::stamp::Stamp;
use crate::tally::Tally;
use content::{Geometry, Kind, PieceLen};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

/// A file is hashed at most so many times, until it stays the same meanwhile.
const ATTEMPTS: usize = 3;

/// Hashes files until each has its hashes, is gone, or has changed too often. Gives what is left.
pub(super) fn hash_files(
    mut entries: Vec<FoundEntry>,
    options: &ShareOptions,
    progress: &AtomicU64,
    losses: &mut Losses,
) -> Result<Vec<FoundEntry>, ShareError> {
    let cache = Cache::new(options.cache.as_deref());
    let mut names = Names::of(&entries);
    let mut attempts: HashMap<usize, usize> = HashMap::new();
    loop {
        let mut lost = find_known(&mut entries, &cache)?;
        lost.extend(hash_once(&mut entries, options, &cache, progress)?);
        for (place, digest) in lost {
            let failed = attempts.entry(place).or_default();
            *failed += 1;
            match digest {
                Digest::Changed if *failed == ATTEMPTS => {
                    entries[place].standing = Standing::Unsteady;
                }
                Digest::Changed => {
                    let was = entries[place].stamp;
                    look_again(&mut entries[place], options.piece_len)?;
                    if !was.is_same_file(&entries[place].stamp) {
                        names.part(&mut entries, place);
                    }
                }
                digest => {
                    entries[place].standing = Standing::Gone;
                    losses.lose(&entries[place], &digest);
                    names.part(&mut entries, place);
                    continue;
                }
            }
            if entries[place].standing == Standing::Gone {
                losses.vanished.add(|| show(&entries[place].path));
                names.part(&mut entries, place);
            }
        }
        if entries.iter().all(FoundEntry::is_hashed) {
            break;
        }
    }
    entries.retain(|shared| shared.standing != Standing::Gone);
    Ok(entries)
}

/// Gives empty files their roots, and hashes nothing. What only says that it is empty is left out.
pub(super) fn know_empty(
    mut entries: Vec<FoundEntry>,
    losses: &mut Losses,
) -> Result<Vec<FoundEntry>, ShareError> {
    let mut names = Names::of(&entries);
    for place in 0..entries.len() {
        if entries[place].is_hashed() || !entries[place].entry.is_empty() {
            continue;
        }
        let lost = match digest::is_empty(&entries[place].source()) {
            Ok(true) => {
                entries[place].set_hashes(Vec::new());
                continue;
            }
            Ok(false) => Digest::Short,
            Err(error) if entries[place].source().is_gone(&error) => Digest::Gone,
            Err(source) => return Err(unreadable(&entries[place], source)),
        };
        entries[place].standing = Standing::Gone;
        losses.lose(&entries[place], &lost);
        names.part(&mut entries, place);
    }
    entries.retain(|shared| shared.standing != Standing::Gone);
    Ok(entries)
}

/// What is left out, by the reason.
#[derive(Default)]
pub(super) struct Losses {
    /// What was there for a moment only.
    vanished: Tally,
    /// Files that hold something else than their length says.
    untrue: Tally,
    first_untrue: Option<PathBuf>,
}

impl Losses {
    /// Begins with what vanished before.
    pub(super) fn new(vanished: Tally) -> Self {
        Self { vanished, ..Self::default() }
    }

    /// Nothing is left to share where all was left out for one reason.
    ///
    /// # Errors
    ///
    /// Names the first file.
    pub(super) fn refuse_nothing(&self, entries: &[FoundEntry]) -> Result<(), ShareError> {
        match &self.first_untrue {
            Some(path) if entries.is_empty() => Err(ShareError::Untrue { path: path.clone() }),
            _ => Ok(()),
        }
    }

    fn lose(&mut self, shared: &FoundEntry, digest: &Digest) {
        if *digest == Digest::Short {
            self.first_untrue.get_or_insert_with(|| shared.path.clone());
        }
        self.tally(digest).add(|| show(&shared.path));
    }

    fn tally(&mut self, digest: &Digest) -> &mut Tally {
        if *digest == Digest::Short { &mut self.untrue } else { &mut self.vanished }
    }

    /// Sentences about them.
    pub(super) fn notices(&self) -> impl Iterator<Item = String> {
        let vanished = self.vanished.sentence(
            "name vanished while it was being shared, and is left out",
            "names vanished while they were being shared, and are left out",
        );
        let untrue = self.untrue.sentence(
            "file does not hold as many bytes as its length says, and is left out (as in /proc and \
             /sys; copy what it gives into a file, and share that)",
            "files do not hold as many bytes as their lengths say, and are left out (as in /proc and \
             /sys; copy what they give into files, and share those)",
        );
        vanished.into_iter().chain(untrue)
    }
}

/// A sentence about files that kept changing.
pub(super) fn unsteady(entries: &[FoundEntry]) -> Option<String> {
    let mut unsteady = Tally::default();
    for shared in entries.iter().filter(|shared| shared.is_unsteady()) {
        unsteady.add(|| show(&shared.path));
    }
    unsteady.sentence(
        "file kept changing while it was hashed, so nobody gets it (run again once it is left \
         alone)",
        "files kept changing while they were hashed, so nobody gets them (run again once they are \
         left alone)",
    )
}

/// Hashes all files that have no hashes yet. Gives the places of those that still have none.
fn hash_once(
    entries: &mut [FoundEntry],
    options: &ShareOptions,
    cache: &Cache,
    progress: &AtomicU64,
) -> Result<Vec<(usize, Digest)>, ShareError> {
    let begun = SystemTime::now();
    let (places, sources) = sources(entries);
    let unhashed: Vec<Unhashed<'_>> = places
        .iter()
        .zip(&sources)
        .map(|(&place, source)| Unhashed { source, geometry: geometry(&entries[place]) })
        .collect();
    let digests = digest::digest(&unhashed, options.threads, progress)
        .map_err(|(at, source)| unreadable(&entries[places[at]], source))?;
    for (&place, digest) in places.iter().zip(&digests) {
        if let Digest::Hashes(hashes) = digest {
            let FoundEntry { path, stamp, .. } = &entries[place];
            cache.keep(path, stamp, geometry(&entries[place]), hashes, begun);
        }
    }
    let mut lost = Vec::new();
    for (place, digest) in places.into_iter().zip(digests) {
        match digest {
            Digest::Hashes(hashes) => entries[place].set_hashes(hashes),
            digest => lost.push((place, digest)),
        }
    }
    Ok(lost)
}

/// The places in `entries` of the files that are still to be hashed, and the files.
fn sources(entries: &[FoundEntry]) -> (Vec<usize>, Vec<FileSource>) {
    let files = entries.iter().enumerate().filter(|(_, shared)| !shared.is_hashed());
    files.map(|(place, shared)| (place, shared.source())).unzip()
}

fn geometry(shared: &FoundEntry) -> Geometry {
    shared.entry.file().expect("only files are hashed").geometry
}

/// Fills in the hashes of empty files and of those that the cache knows; all must be readable
/// still. Gives the places of those that are gone.
fn find_known(
    entries: &mut [FoundEntry],
    cache: &Cache,
) -> Result<Vec<(usize, Digest)>, ShareError> {
    let mut gone = Vec::new();
    let unhashed = entries.iter_mut().enumerate().filter(|(_, shared)| !shared.is_hashed());
    for (place, shared) in unhashed {
        let geometry = geometry(shared);
        let known = match geometry.is_empty() {
            true => Some(Vec::new()),
            false => cache.find(&shared.path, &shared.stamp, geometry),
        };
        let Some(hashes) = known else { continue };
        let is_true = match geometry.is_empty() {
            true => digest::is_empty(&shared.source()),
            false => shared.source().open(ReadingOrder::Unknown).map(|_| true),
        };
        match is_true {
            Ok(true) => shared.set_hashes(hashes),
            Ok(false) => {
                shared.standing = Standing::Gone;
                gone.push((place, Digest::Short));
            }
            Err(error) if shared.source().is_gone(&error) => {
                shared.standing = Standing::Gone;
                gone.push((place, Digest::Gone));
            }
            Err(source) => return Err(unreadable(shared, source)),
        }
    }
    Ok(gone)
}

/// Looks at a file again after it changed.
fn look_again(shared: &mut FoundEntry, told: Option<PieceLen>) -> Result<(), ShareError> {
    let metadata = match shared.path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => metadata,
        Err(error) if !names_nothing(&error) => return Err(unreadable(shared, error)),
        _ => {
            shared.standing = Standing::Gone;
            return Ok(());
        }
    };
    shared.stamp = Stamp::of(&metadata);
    let keeps = Keeps {
        owner: shared.entry.metadata.owner.is_some(),
        xattrs: shared.entry.metadata.xattrs.is_some(),
    };
    let kept = metadata::capture(&shared.path, &metadata, keeps);
    shared.entry.metadata = kept.map_err(|error| unreadable(shared, error))?;
    shared.entry.kind = Kind::File(cut(&shared.path, shared.stamp.len, told)?);
    Ok(())
}

/// The further names of files, by the place of the first.
struct Names(HashMap<usize, Vec<usize>>);

impl Names {
    fn of(entries: &[FoundEntry]) -> Self {
        let mut names: HashMap<usize, Vec<usize>> = HashMap::new();
        for (place, shared) in entries.iter().enumerate() {
            if let Kind::HardLink { to, .. } = &shared.entry.kind {
                let first = entries.binary_search_by(|shared| shared.entry.name.cmp(to));
                names.entry(first.expect("the first name is shared")).or_default().push(place);
            }
        }
        Self(names)
    }

    /// The first name of a file leads to it no more: its second is the first from now on.
    fn part(&mut self, entries: &mut [FoundEntry], first: usize) {
        let mut others = self.0.remove(&first).unwrap_or_default().into_iter();
        let Some(second) = others.next() else { return };
        let to = entries[second].entry.name.clone();
        let rest: Vec<usize> = others.collect();
        for &place in &rest {
            if let Kind::HardLink { to: led, .. } = &mut entries[place].entry.kind {
                *led = to.clone();
            }
        }
        if let Kind::HardLink { content, .. } = entries[second].entry.kind {
            entries[second].entry.kind = Kind::File(content);
        }
        self.0.insert(second, rest);
    }
}

fn unreadable(shared: &FoundEntry, source: io::Error) -> ShareError {
    ShareError::Unreadable { path: shared.path.clone(), source }
}
