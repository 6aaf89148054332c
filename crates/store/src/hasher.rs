//! Hashes a file that stands at a destination, whole, with several threads where none of the others
//! has them. Writes nothing.

use super::digest;
use super::lock;
use super::sparse::KnownHole;
use super::stamp::Stamp;
use content::{FileContent, Hash, ZeroPieces};
use rustix::fs::Advice;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::sync::Mutex;

/// Threads that hash one file at a time.
#[derive(Debug)]
pub(super) struct Hasher {
    threads: usize,
    /// Locked while a file is hashed by several threads.
    helped: Mutex<()>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Hasher {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads, helped: Mutex::default() }
    }

    /// The hashes of all pieces of a file; `None` where it changes meanwhile.
    pub(super) fn hash_whole(
        &self,
        file: &File,
        stamp: Stamp,
        content: FileContent,
    ) -> io::Result<Option<Vec<Hash>>> {
        let geometry = content.geometry;
        if !geometry.is_single_piece() {
            // Advice only: a file system that knows none of it reads all the same.
            let _ = rustix::fs::fadvise(file, 0, None, Advice::Sequential);
        }
        // Where several files are surveyed at once, one of them has help: the workers are busy.
        let helped = self.helped.try_lock();
        let threads = if helped.is_ok() { self.threads } else { 1 };
        let (zeros, hole) = (ZeroPieces::of(geometry), KnownHole::default());
        let hashes = Mutex::new(vec![Hash::ZERO; geometry.piece_count() as usize]);
        let whole = Mutex::new(Ok(true));
        let count = std::iter::once(geometry.piece_count());
        digest::over_pieces(count, threads, &|_, piece, buffer| match digest::hash_piece(
            file,
            geometry,
            (&zeros, &hole),
            piece,
            buffer,
        ) {
            Ok(Some(hash)) => {
                lock(&hashes)[piece.0 as usize] = hash;
                ControlFlow::Continue(())
            }
            cut => {
                *lock(&whole) = cut.map(|_| false);
                ControlFlow::Break(())
            }
        });
        let whole = whole.into_inner().expect("no thread panicked")?;
        let unchanged = whole && Stamp::of_file(file)? == stamp;
        Ok(unchanged.then(|| hashes.into_inner().expect("no thread panicked")))
    }
}
