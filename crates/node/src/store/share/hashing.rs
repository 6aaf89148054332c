//! Hashing what was found in a tree that may be in use: a file that changes meanwhile is hashed
//! again, one that is gone is left out, and one that keeps changing is an entry without content.
//! Never writes.

use super::{ShareError, ShareOptions, SharedEntry, Standing, cut};
use crate::store::cache::Cache;
use crate::store::digest::{self, Digest, Source};
use crate::store::error::show;
use crate::store::metadata;
use crate::store::stamp::Stamp;
use crate::store::tally::Tally;
use content::{Kind, PieceLen};
use std::collections::HashMap;
use std::io;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

/// A file is hashed at most so many times, until it stays the same meanwhile.
const ATTEMPTS: usize = 3;

/// Hashes files until each has its hashes, is gone, or has changed too often. Gives what is left.
pub(super) fn hash_files(
    mut entries: Vec<SharedEntry>,
    options: &ShareOptions,
    progress: &AtomicU64,
    vanished: &mut Tally,
) -> Result<Vec<SharedEntry>, ShareError> {
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
                _ => entries[place].standing = Standing::Gone,
            }
            if entries[place].standing == Standing::Gone {
                vanished.add(|| show(&entries[place].path));
                names.part(&mut entries, place);
            }
        }
        if entries.iter().all(SharedEntry::is_hashed) {
            break;
        }
    }
    entries.retain(|shared| shared.standing != Standing::Gone);
    Ok(entries)
}

/// A sentence about what was there for a moment only.
pub(super) fn vanished(vanished: &Tally) -> Option<String> {
    vanished.sentence(
        "name vanished while it was being shared, and is left out",
        "names vanished while they were being shared, and are left out",
    )
}

/// A sentence about files that kept changing.
pub(super) fn unsteady(entries: &[SharedEntry]) -> Option<String> {
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
    entries: &mut [SharedEntry],
    options: &ShareOptions,
    cache: &Cache,
    progress: &AtomicU64,
) -> Result<Vec<(usize, Digest)>, ShareError> {
    let begun = SystemTime::now();
    let (places, sources) = sources(entries);
    let digests = digest::digest(&sources, options.threads, progress).map_err(|(at, source)| {
        ShareError::Unreadable { path: sources[at].path.to_owned(), source }
    })?;
    for (source, digest) in sources.iter().zip(&digests) {
        if let Digest::Hashes(hashes) = digest {
            cache.keep(source.path, &source.stamp, source.geometry, hashes, begun);
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

/// The files that are still to be hashed, with their places in `entries`.
fn sources(entries: &[SharedEntry]) -> (Vec<usize>, Vec<Source<'_>>) {
    let files = entries.iter().enumerate().filter(|(_, shared)| !shared.is_hashed());
    files
        .map(|(place, shared)| {
            let geometry = shared.entry.file().expect("only files are hashed").geometry;
            (place, Source { path: &shared.path, stamp: shared.stamp, geometry })
        })
        .unzip()
}

/// Fills in the hashes of empty files and of those that the cache knows; all must be readable
/// still. Gives the places of those that are gone.
fn find_known(
    entries: &mut [SharedEntry],
    cache: &Cache,
) -> Result<Vec<(usize, Digest)>, ShareError> {
    let mut gone = Vec::new();
    let unhashed = entries.iter_mut().enumerate().filter(|(_, shared)| !shared.is_hashed());
    for (place, shared) in unhashed {
        let geometry = shared.entry.file().expect("only files are hashed").geometry;
        let known = match geometry.is_empty() {
            true => Some(Vec::new()),
            false => cache.find(&shared.path, &shared.stamp, geometry),
        };
        let Some(hashes) = known else { continue };
        match digest::open_to_read(&shared.path) {
            Ok(_) => shared.set_hashes(hashes),
            Err(error) if digest::is_gone(&shared.path, &error) => {
                shared.standing = Standing::Gone;
                gone.push((place, Digest::Gone));
            }
            Err(source) => return Err(unreadable(shared, source)),
        }
    }
    Ok(gone)
}

/// Looks at a file again after it changed.
fn look_again(shared: &mut SharedEntry, told: Option<PieceLen>) -> Result<(), ShareError> {
    let metadata = match shared.path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => metadata,
        Err(error) if !digest::names_nothing(&error) => return Err(unreadable(shared, error)),
        _ => {
            shared.standing = Standing::Gone;
            return Ok(());
        }
    };
    shared.stamp = Stamp::of(&metadata);
    shared.entry.metadata = metadata::capture(&metadata);
    shared.entry.kind = Kind::File(cut(&shared.path, shared.stamp.len, told)?);
    Ok(())
}

/// The further names of files, by the place of the first.
struct Names(HashMap<usize, Vec<usize>>);

impl Names {
    fn of(entries: &[SharedEntry]) -> Self {
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
    fn part(&mut self, entries: &mut [SharedEntry], first: usize) {
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

fn unreadable(shared: &SharedEntry, source: io::Error) -> ShareError {
    ShareError::Unreadable { path: shared.path.clone(), source }
}
