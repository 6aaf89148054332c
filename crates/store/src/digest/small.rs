//! Hashing small files, several at once: their leaves share the processor's lanes, of which one
//! file alone fills too few. Never writes.

use super::{Digest, Unhashed, over_pieces};
use crate::lock;
use crate::source::{Change, ReadingOrder};
use content::merkle::piece_hashes;
use content::{Geometry, PieceIndex};
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Files below this length are hashed together, where they are one piece: what is that short is
/// never told from zeros.
const LEN_BELOW: u64 = 256 << 10;
/// As many as have so many bytes together, ...
const BATCH_BYTES: u64 = 512 << 10;
/// ... and no more than this.
const BATCH_FILES: usize = 64;

/// Hashes the small files among `sources`; none for the others, and for empty ones.
///
/// # Errors
///
/// The first file that cannot be read, by its place in `sources`; the others are given up.
pub(super) fn digest(
    sources: &[Unhashed<'_>],
    threads: usize,
    progress: &AtomicU64,
) -> Result<Vec<Option<Digest>>, (usize, io::Error)> {
    let digests: Mutex<Vec<Option<Digest>>> = Mutex::new(sources.iter().map(|_| None).collect());
    let failure = Mutex::new(None);
    let small: Vec<usize> = (0..sources.len()).filter(|&at| is_small(&sources[at])).collect();
    let batches = batches(&small, |at| sources[at].geometry.len());
    let one_each = batches.iter().map(|_| 1);
    over_pieces(one_each, threads, &|batch, PieceIndex(_), buffer| {
        let members = &small[batches[batch].clone()];
        match hash_together(members.iter().map(|&at| (at, &sources[at])), buffer) {
            Ok(hashed) => {
                let bytes = hashed.iter().filter(|(_, it)| matches!(it, Digest::Hashes(_)));
                let bytes: u64 = bytes.map(|&(at, _)| sources[at].geometry.len()).sum();
                progress.fetch_add(bytes, Ordering::Relaxed);
                let digests = &mut *lock(&digests);
                hashed.into_iter().for_each(|(at, digest)| digests[at] = Some(digest));
                ControlFlow::Continue(())
            }
            Err(failed) => {
                lock(&failure).get_or_insert(failed);
                ControlFlow::Break(())
            }
        }
    });
    let failed = lock(&failure).take();
    let digests = std::mem::take(&mut *lock(&digests));
    failed.map_or(Ok(digests), Err)
}

fn is_small(unhashed: &Unhashed<'_>) -> bool {
    let geometry = unhashed.geometry;
    (1..LEN_BELOW).contains(&geometry.len()) && geometry.is_single_piece()
}

/// Cuts a list into runs that are read and hashed together.
fn batches(small: &[usize], len: impl Fn(usize) -> u64) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (place, &at) in small.iter().enumerate() {
        bytes += len(at);
        match batches.last_mut() {
            Some(last) if bytes <= BATCH_BYTES && last.len() < BATCH_FILES => last.end = place + 1,
            _ => {
                batches.push(place..place + 1);
                bytes = len(at);
            }
        }
    }
    batches
}

/// Reads files one after the other, and hashes what has not changed.
fn hash_together<'a>(
    files: impl Iterator<Item = (usize, &'a Unhashed<'a>)> + Clone,
    buffer: &mut Vec<u8>,
) -> Result<Vec<(usize, Digest)>, (usize, io::Error)> {
    let mut digests = Vec::new();
    let mut whole: Vec<(Geometry, Range<usize>)> = Vec::new();
    let all: u64 = files.clone().map(|(_, unhashed)| unhashed.geometry.len()).sum();
    let buffer = super::sized(buffer, all as usize);
    let mut end = 0;
    for (at, unhashed) in files {
        let place = end..end + unhashed.geometry.len() as usize;
        let read = match read_whole(unhashed, &mut buffer[place.clone()]) {
            Ok(digest) => digest,
            Err(error) if unhashed.source.is_gone(&error) => Digest::Gone,
            Err(error) => return Err((at, error)),
        };
        if let Digest::Hashes(_) = read {
            end = place.end;
            whole.push((unhashed.geometry, place));
        } else {
            tracing::debug!(source = unhashed.source.place(), "{read:?} while it was hashed");
        }
        digests.push((at, read));
    }
    let came: Vec<(Geometry, &[u8])> =
        whole.into_iter().map(|(geometry, place)| (geometry, &buffer[place])).collect();
    let mut hashes = piece_hashes(&came).into_iter();
    for (_, digest) in &mut digests {
        if let Digest::Hashes(known) = digest {
            known.extend(hashes.next());
        }
    }
    Ok(digests)
}

/// Reads a file; its hashes are yet to come, where it is what was found. One look tells, after the
/// last byte: it shows what changed since the file was found, before or meanwhile.
fn read_whole(unhashed: &Unhashed<'_>, buffer: &mut [u8]) -> io::Result<Digest> {
    let open = unhashed.source.open(ReadingOrder::Unknown)?;
    let read = open.read_exactly_at(buffer, 0);
    // What has become something else cannot be read like a file.
    if open.change()? != Change::None {
        return Ok(Digest::Changed);
    }
    Ok(if read? { Digest::Hashes(Vec::new()) } else { Digest::Short })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_bytes_and_in_files() {
        let lens = [[300 << 10; 3].as_slice(), &[100 << 10; 5], &[1; 200]].concat();
        let places: Vec<usize> = (0..lens.len()).collect();
        let batches = batches(&places, |at| lens[at]);
        assert_eq!(batches[..4], [0..1, 1..2, 2..5, 5..69]);
        assert!(batches.iter().all(|batch| batch.len() <= BATCH_FILES));
        assert_eq!(batches.into_iter().flatten().collect::<Vec<_>>(), places);
    }
}
