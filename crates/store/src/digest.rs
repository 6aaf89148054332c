//! Hashing files piece by piece with several threads, a buffer of one piece each. Never writes.

mod small;

use super::lock;
use super::source::{Change, OpenSource, ReadAt, ReadingOrder, Source};
use super::sparse::KnownHole;
use content::merkle::piece_hash;
use content::{Geometry, Hash, PieceIndex, PieceLayer, PieceLen, ZeroPieces};
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A source to hash. One that has changed since it was found, when it is opened or at the end,
/// counts as changed.
pub(super) struct Unhashed<'a> {
    pub(super) source: &'a dyn Source,
    /// How it is cut.
    pub(super) geometry: Geometry,
}

/// The outcome of hashing a source.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Digest {
    /// The hashes of its pieces.
    Hashes(Vec<Hash>),
    /// It changed meanwhile.
    Changed,
    /// It did not change, but ends before its length says.
    Short,
    /// It is no longer there, or something else is that is no file.
    Gone,
}

/// Hashes sources. Adds the bytes that were hashed to `progress` as it goes.
///
/// # Errors
///
/// The first source that cannot be read, by its place in `sources`; the others are given up.
pub(super) fn digest(
    sources: &[Unhashed<'_>],
    threads: usize,
    progress: &AtomicU64,
) -> Result<Vec<Digest>, (usize, io::Error)> {
    let mut digests = small::digest(sources, threads, progress)?;
    let large: Vec<usize> = (0..sources.len()).filter(|&at| digests[at].is_none()).collect();
    let slots: Vec<Slot<'_>> = large.iter().map(|&at| Slot::new(&sources[at])).collect();
    let counts = large.iter().map(|&at| sources[at].geometry.piece_count());
    let failure = Mutex::new(None);
    over_pieces(counts, threads, &|index, piece, buffer| match slots[index]
        .take_piece(piece, buffer)
    {
        Ok(bytes) => {
            progress.fetch_add(bytes, Ordering::Relaxed);
            ControlFlow::Continue(())
        }
        Err(error) => {
            lock(&failure).get_or_insert((large[index], error));
            ControlFlow::Break(())
        }
    });
    if let Some(failure) = lock(&failure).take() {
        return Err(failure);
    }
    for (&at, slot) in large.iter().zip(slots) {
        digests[at] = Some(slot.into_digest());
    }
    Ok(digests.into_iter().map(|digest| digest.expect("each is small or large")).collect())
}

/// A source while its pieces are being hashed.
struct Slot<'a> {
    source: &'a dyn Source,
    geometry: Geometry,
    zeros: ZeroPieces,
    hole: KnownHole,
    left: AtomicU32,
    work: Mutex<Work>,
}

struct Work {
    open: Option<Arc<dyn OpenSource>>,
    hashes: Vec<Hash>,
    /// Why there will be no hashes, once that is known.
    lost: Option<Digest>,
}

impl<'a> Slot<'a> {
    fn new(&Unhashed { source, geometry }: &Unhashed<'a>) -> Self {
        let work = Work { open: None, hashes: Vec::new(), lost: None };
        let left = AtomicU32::new(geometry.piece_count());
        let (zeros, hole) = (ZeroPieces::of(geometry), KnownHole::default());
        Self { source, geometry, zeros, hole, left, work: Mutex::new(work) }
    }

    /// Hashes one piece; says how many bytes that were, none of a file that has changed or gone.
    fn take_piece(&self, piece: PieceIndex, buffer: &mut Vec<u8>) -> io::Result<u64> {
        let bytes = match self.hash(piece, buffer) {
            Err(error) if self.source.is_gone(&error) => {
                lock(&self.work).lost = Some(Digest::Gone);
                0
            }
            hashed => hashed?,
        };
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.end()?;
        }
        Ok(bytes)
    }

    fn hash(&self, piece: PieceIndex, buffer: &mut Vec<u8>) -> io::Result<u64> {
        let Some(open) = self.open()? else { return Ok(0) };
        let geometry = self.geometry;
        let zeros = (&self.zeros, &self.hole);
        let Some(hash) = hash_piece(open.as_ref(), geometry, zeros, piece, buffer)? else {
            let is_same = open.change()? == Change::None;
            lock(&self.work).lost = Some(if is_same { Digest::Short } else { Digest::Changed });
            return Ok(0);
        };
        lock(&self.work).hashes[piece.0 as usize] = hash;
        Ok(u64::from(geometry.size(piece)))
    }

    /// The open source; `None` where it has changed or gone.
    fn open(&self) -> io::Result<Option<Arc<dyn OpenSource>>> {
        let work = &mut *lock(&self.work);
        if work.lost.is_some() {
            return Ok(None);
        }
        if let Some(open) = &work.open {
            return Ok(Some(Arc::clone(open)));
        }
        let order = match self.geometry.is_single_piece() {
            true => ReadingOrder::Unknown,
            false => ReadingOrder::Sequential,
        };
        let open = self.source.open(order)?;
        if open.change()? != Change::None {
            work.lost = Some(Digest::Changed);
            return Ok(None);
        }
        work.hashes = vec![Hash::ZERO; self.geometry.piece_count() as usize];
        Ok(Some(Arc::clone(work.open.insert(open))))
    }

    /// After the last piece: sees that nothing has changed, and closes the source.
    fn end(&self) -> io::Result<()> {
        let work = &mut *lock(&self.work);
        if let Some(open) = work.open.take()
            && open.change()? != Change::None
        {
            work.lost.get_or_insert(Digest::Changed);
        }
        Ok(())
    }

    fn into_digest(self) -> Digest {
        let work = &mut *lock(&self.work);
        if let Some(lost) = work.lost.take() {
            tracing::debug!(source = self.source.place(), "{lost:?} while it was hashed");
            return lost;
        }
        Digest::Hashes(std::mem::take(&mut work.hashes))
    }
}

/// Takes a piece of a file, by its place among the files, with a buffer.
pub type PieceBody<'a> = dyn Fn(usize, PieceIndex, &mut Vec<u8>) -> ControlFlow<()> + Sync + 'a;

/// Calls `body` for every piece of every file, in order, from up to `threads` threads at once; each
/// has a buffer that it may use as it likes. Stops soon after a call breaks.
pub fn over_pieces(counts: impl Iterator<Item = u32>, threads: usize, body: &PieceBody<'_>) {
    let mut total = 0;
    let starts: Vec<u64> = counts
        .map(|count| {
            let start = total;
            total += u64::from(count);
            start
        })
        .collect();
    let next = AtomicU64::new(0);
    let work = || {
        let mut buffer = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= total {
                return;
            }
            let file = starts.partition_point(|&start| start <= number) - 1;
            let piece = PieceIndex((number - starts[file]) as u32);
            if body(file, piece, &mut buffer).is_break() {
                next.store(total, Ordering::Relaxed);
                return;
            }
        }
    };
    let threads = (threads.max(1) as u64).min(total);
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}

/// The hash of a piece of a source that is as long as the geometry says, or was; `None` where it
/// ends before the piece does. A hole is not read.
pub(super) fn hash_piece(
    source: &(impl ReadAt + ?Sized),
    geometry: Geometry,
    (zeros, hole): (&ZeroPieces, &KnownHole),
    piece: PieceIndex,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Hash>> {
    let (offset, len) = (geometry.offset(piece), geometry.size(piece));
    let if_zeros = zeros.hash(piece);
    if if_zeros.is_some() && hole.has(source, offset, u64::from(len)) {
        return Ok(if_zeros);
    }
    let buffer = sized(buffer, len as usize);
    if !source.read_exactly_at(buffer, offset)? {
        return Ok(None);
    }
    Ok(Some(match if_zeros.filter(|_| is_zero(buffer)) {
        Some(known) => known,
        None => piece_hash(geometry, buffer),
    }))
}

/// Whether all bytes are zero; ends early where they are not.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(1024).all(|chunk| chunk.iter().fold(0, |all, &byte| all | byte) == 0)
}

/// The first `len` bytes of a buffer that grows to have them.
pub(super) fn sized(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

/// Whether a source that says that it is empty is.
///
/// # Errors
///
/// Says why it cannot be opened.
pub(super) fn is_empty(source: &dyn Source) -> io::Result<bool> {
    let open = source.open(ReadingOrder::Unknown)?;
    // A file of the disk has nothing to refuse here: one of the kernel may.
    Ok(matches!(open.read_exactly_at(&mut [0], 0), Ok(false)))
}

/// The Merkle root of bytes; of up to 16 KiB of them it is plain SHA-256. For keys and checksums.
pub(super) fn fingerprint(bytes: &[u8]) -> Hash {
    let geometry = Geometry::new(bytes.len() as u64, PieceLen::MAX);
    let pieces = bytes.chunks(PieceLen::MAX.bytes() as usize);
    let hashes = pieces.map(|piece| piece_hash(geometry, piece)).collect();
    PieceLayer::new(geometry, hashes).expect("one hash a piece").root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::os::unix::fs::FileExt;

    #[test]
    fn every_piece_is_visited_once_whatever_the_number_of_threads() {
        for threads in [0, 1, 3, 100] {
            let seen = Mutex::new(BTreeMap::new());
            over_pieces([0, 3, 0, 0, 1, 5, 0].into_iter(), threads, &|file, piece, _| {
                *lock(&seen).entry((file, piece.0)).or_insert(0) += 1;
                ControlFlow::Continue(())
            });
            let expected: BTreeMap<(usize, u32), i32> =
                [(1, 0), (1, 1), (1, 2), (4, 0), (5, 0), (5, 1), (5, 2), (5, 3), (5, 4)]
                    .map(|key| (key, 1))
                    .into();
            assert_eq!(*lock(&seen), expected);
        }
        over_pieces([].into_iter(), 2, &|_, _, _| unreachable!());
    }

    #[test]
    fn holes_and_zeros_hash_as_what_they_read_as() {
        let piece_len = PieceLen::from_bytes(256 * 1024).unwrap();
        let geometry = Geometry::new(4 * 256 * 1024 + 300, piece_len);
        let file = tempfile::tempfile().unwrap();
        file.set_len(geometry.len()).unwrap();
        file.write_all_at(&[0; 256 * 1024], 256 * 1024).unwrap();
        file.write_all_at(b"data", 3 * 256 * 1024 - 2).unwrap();
        let (zeros, hole) = (ZeroPieces::of(geometry), KnownHole::default());
        let zeros = (&zeros, &hole);
        for piece in (0..geometry.piece_count()).map(PieceIndex) {
            let mut bytes = vec![1; geometry.size(piece) as usize];
            file.read_exact_at(&mut bytes, geometry.offset(piece)).unwrap();
            let hash = hash_piece(&file, geometry, zeros, piece, &mut Vec::new()).unwrap();
            assert_eq!(hash, Some(piece_hash(geometry, &bytes)), "{piece:?}");
        }
        file.set_len(300).unwrap();
        let cut = PieceIndex(4);
        assert_eq!(hash_piece(&file, geometry, zeros, cut, &mut Vec::new()).unwrap(), None);
    }

    #[test]
    fn a_fingerprint_of_short_bytes_is_their_sha_256() {
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(fingerprint(b"abc").to_string(), hex);
        assert_eq!(fingerprint(b""), Hash::ZERO);
    }
}
