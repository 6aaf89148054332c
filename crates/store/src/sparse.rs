//! Holes: regions of a file that read as zeros and take no room. They survive the trip.

use super::digest::is_zero;
use super::lock;
use super::source::ReadAt;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Zeros become a hole in units of this, a multiple of every file system's block: shorter runs are
/// not worth a call.
pub(super) const BLOCK_LEN: usize = 64 * 1024;

/// Whether a region certainly lies in a hole.
pub(super) fn is_hole(source: &(impl ReadAt + ?Sized), offset: u64, len: u64) -> bool {
    source.next_data(offset).is_none_or(|data| data >= offset + len)
}

/// The hole that was looked at last, so that one look serves all pieces in it: a long hole costs no
/// call for each piece. For threads that read one file which does not change meanwhile; where it
/// does, that shows in its times.
#[derive(Default)]
pub(super) struct KnownHole(Mutex<Range<u64>>);

impl KnownHole {
    /// Whether a region certainly lies in a hole.
    pub(super) fn has(&self, source: &(impl ReadAt + ?Sized), offset: u64, len: u64) -> bool {
        let hole = &mut *lock(&self.0);
        if !(hole.start <= offset && offset + len <= hole.end) {
            *hole = offset..source.next_data(offset).unwrap_or(u64::MAX);
        }
        hole.start <= offset && offset + len <= hole.end
    }
}

/// Writes into files, and makes holes of zeros where the file system can.
#[derive(Default)]
pub(super) struct SparseWriter {
    cannot: AtomicBool,
}

impl SparseWriter {
    /// Writes `bytes` at a place within a file's length. What stood there is gone, also where it
    /// becomes a hole.
    pub(super) fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let is_empty = |block: &[u8]| block.len() == BLOCK_LEN && is_zero(block);
        let mut written = 0;
        while written < bytes.len() {
            let rest = &bytes[written..];
            let hole = is_empty(&rest[..rest.len().min(BLOCK_LEN)]);
            let same = |block: &&[u8]| is_empty(block) == hole;
            let run: usize = rest.chunks(BLOCK_LEN).take_while(same).map(<[u8]>::len).sum();
            let at = offset + written as u64;
            if !(hole && self.punch(file, at, run as u64)?) {
                file.write_all_at(&rest[..run], at)?;
            }
            written += run;
        }
        Ok(())
    }

    /// Lets a place within a file's length read as zeros.
    pub(super) fn clear(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        if self.punch(file, offset, len)? {
            return Ok(());
        }
        let end = offset + len;
        for at in (offset..end).step_by(BLOCK_LEN) {
            let block = (end - at).min(BLOCK_LEN as u64) as usize;
            file.write_all_at(&[0; BLOCK_LEN][..block], at)?;
        }
        Ok(())
    }

    /// Makes a hole; `false` where the file system knows none.
    fn punch(&self, file: &File, offset: u64, len: u64) -> io::Result<bool> {
        if self.cannot.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(file, flags, offset, len) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                self.cannot.store(true, Ordering::Relaxed);
                Ok(false)
            }
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn zeros_become_holes_and_everything_reads_as_it_was_written() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10 * BLOCK_LEN as u64).unwrap();
        let writer = SparseWriter::default();
        writer.write(&file, &vec![7; 10 * BLOCK_LEN], 0).unwrap();
        let mut bytes = vec![0; 7 * BLOCK_LEN + 100];
        bytes[3 * BLOCK_LEN + 5] = 1;
        bytes[7 * BLOCK_LEN + 99] = 2;
        writer.write(&file, &bytes, BLOCK_LEN as u64).unwrap();
        let mut read = vec![0; bytes.len()];
        file.read_exact_at(&mut read, BLOCK_LEN as u64).unwrap();
        assert!(read == bytes);
        if !writer.cannot.load(Ordering::Relaxed) {
            assert!(file.metadata().unwrap().blocks() * 512 <= 5 * BLOCK_LEN as u64);
            assert!(is_hole(&file, BLOCK_LEN as u64, 3 * BLOCK_LEN as u64));
        }
        assert!(!is_hole(&file, 0, 2 * BLOCK_LEN as u64));
    }

    #[test]
    fn a_known_hole_ends_where_data_begins() {
        const LEN: u64 = BLOCK_LEN as u64;
        let file = tempfile::tempfile().unwrap();
        file.set_len(100 * LEN).unwrap();
        file.write_all_at(&[7; BLOCK_LEN], 50 * LEN).unwrap();
        let known = KnownHole::default();
        // In any order, as several threads ask.
        let order = (0..100).step_by(7).chain((0..100).rev());
        for block in order.map(|block| block * LEN) {
            assert_eq!(known.has(&file, block, LEN), is_hole(&file, block, LEN), "{block}");
        }
        assert!(!known.has(&file, 49 * LEN, 2 * LEN));
    }

    #[test]
    fn what_is_cleared_reads_as_zeros_with_holes_and_without() {
        for cannot in [false, true] {
            let writer = SparseWriter { cannot: cannot.into() };
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&vec![7; 4 * BLOCK_LEN], 0).unwrap();
            writer.clear(&file, 10, 2 * BLOCK_LEN as u64 + 5).unwrap();
            let mut read = vec![0; 4 * BLOCK_LEN];
            file.read_exact_at(&mut read, 0).unwrap();
            let mut expected = vec![7; 4 * BLOCK_LEN];
            expected[10..2 * BLOCK_LEN + 15].fill(0);
            assert!(read == expected, "without holes: {cannot}");
        }
    }
}
