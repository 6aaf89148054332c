//! Pooled buffers that hold one piece each. What the pool hands out is what bounds a rank's memory.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps freed buffers for the next piece, so that the pages stay mapped and the allocator is left
/// alone.
#[derive(Clone, Default)]
pub struct Pool {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    free: Vec<Vec<u8>>,
    /// Bytes of all buffers, free or in use; and the most that they ever were.
    bytes: u64,
    peak_bytes: u64,
    /// Free buffers are given back before all have more than this.
    limit: Option<u64>,
}

/// A buffer for one piece; goes back to its pool when dropped.
pub struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    pool: Pool,
}

/// A buffer that is only read, by several sends at once.
pub type SharedBuffer = Arc<Buffer>;

impl Pool {
    /// Buffers kept beyond this many go back to the allocator, the longest unused first.
    const MAX_FREE: usize = 64;
    /// The allocator is quick with shorter buffers, and they would take the long ones' places.
    const MIN_LEN: usize = 64 * 1024;

    /// A pool that keeps no free buffers beyond so many bytes together with those in use. Who takes
    /// buffers bounds what is in use.
    pub fn bounded(bytes: Option<u64>) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { limit: bytes, ..Shared::default() })) }
    }

    /// Takes a buffer of `len` bytes with any content. Its memory is at most twice as long, in a
    /// bounded pool hardly longer, so that a bound on what is asked for bounds the memory too.
    ///
    /// Bundles of small files all differ a little: where a pool has no bound they get buffers of
    /// one length, of which each serves the next.
    pub fn take(&self, len: usize) -> Buffer {
        let mut shared = self.lock();
        let bounded = shared.limit.is_some();
        let longest = if bounded { len + len / 16 } else { 2 * len };
        let made = if bounded || len < Self::MIN_LEN { len } else { stepped(len) };
        let fitting = shared.free.iter().rposition(|bytes| (len..=longest).contains(&bytes.len()));
        let bytes = fitting.map(|at| shared.free.remove(at));
        let mut unused = Vec::new();
        if bytes.is_none() {
            unused = shared.make_room(made as u64);
            shared.bytes += made as u64;
            shared.peak_bytes = shared.peak_bytes.max(shared.bytes);
        }
        drop(shared);
        drop(unused);
        Buffer { bytes: bytes.unwrap_or_else(|| vec![0; made]), len, pool: self.clone() }
    }

    /// The most bytes that all buffers ever had together.
    pub fn peak_bytes(&self) -> u64 {
        self.lock().peak_bytes
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next of eight steps between two powers of two.
fn stepped(len: usize) -> usize {
    len.next_multiple_of((len.next_power_of_two() / 16).max(1))
}

impl Shared {
    /// Gives free buffers back until so many more bytes are within the limit; the longest unused
    /// go first.
    fn make_room(&mut self, more: u64) -> Vec<Vec<u8>> {
        let Some(limit) = self.limit else { return Vec::new() };
        let mut count = 0;
        while count < self.free.len() && self.bytes + more > limit {
            self.bytes -= self.free[count].len() as u64;
            count += 1;
        }
        self.free.drain(..count).collect()
    }
}

impl Buffer {
    /// Shortens what the buffer counts as its content.
    ///
    /// # Panics
    ///
    /// Panics where `len` is more than it has.
    pub fn truncate(&mut self, len: usize) {
        assert!(len <= self.len, "{len} of {}", self.len);
        self.len = len;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut shared = self.pool.lock();
        let over = shared.limit.is_some_and(|limit| shared.bytes > limit);
        let unused = if bytes.len() < Pool::MIN_LEN || over {
            Some(bytes)
        } else {
            let oldest = (shared.free.len() >= Pool::MAX_FREE).then(|| shared.free.remove(0));
            shared.free.push(bytes);
            oldest
        };
        shared.bytes -= unused.as_ref().map_or(0, |bytes| bytes.len() as u64);
        drop(shared);
        drop(unused);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEN: usize = 2 * Pool::MIN_LEN;

    #[test]
    fn a_buffer_comes_back_to_the_pool_and_is_used_again() {
        let pool = Pool::default();
        let mut buffer = pool.take(LEN);
        buffer[LEN - 1] = 7;
        let address = buffer.as_ptr();
        drop(buffer);
        let again = pool.take(LEN - 50);
        assert_eq!((again.as_ptr(), again.len()), (address, LEN - 50));
    }

    #[test]
    fn bundles_of_like_lengths_use_one_buffer_after_the_other() {
        let pool = Pool::default();
        for len in (0..100).map(|n| (1 << 20) - n * 600) {
            let buffer = pool.take(len);
            assert_eq!((buffer.len(), buffer.bytes.len()), (len, 1 << 20));
        }
        assert_eq!(pool.peak_bytes(), 1 << 20);
    }

    #[test]
    fn a_truncated_buffer_has_its_full_length_next_time() {
        let pool = Pool::default();
        let mut buffer = pool.take(LEN);
        buffer.truncate(0);
        drop(buffer);
        assert_eq!(pool.take(LEN).len(), LEN);
    }

    #[test]
    fn a_short_piece_never_holds_a_long_buffer() {
        let pool = Pool::default();
        drop(pool.take(10 * LEN));
        let short = pool.take(LEN);
        assert_eq!(short.bytes.len(), LEN, "a power of two is as long as it was asked for");
        assert_eq!(pool.take(10).bytes.len(), 10);
    }

    #[test]
    fn buffers_of_a_length_that_is_asked_for_no_more_go_first() {
        let pool = Pool::default();
        drop(Vec::from_iter((0..Pool::MAX_FREE).map(|_| pool.take(LEN))));
        drop(pool.take(10 * LEN));
        let shared = pool.lock();
        let last = shared.free.last().unwrap();
        assert_eq!((shared.free.len(), last.len()), (Pool::MAX_FREE, 10 * LEN));
    }

    #[test]
    fn a_bounded_pool_gives_free_buffers_back_before_it_has_too_much() {
        let pool = Pool::bounded(Some(4 * LEN as u64));
        drop(Vec::from_iter((0..3).map(|_| pool.take(LEN))));
        let long = pool.take(3 * LEN);
        assert_eq!(pool.lock().free.len(), 1, "two made room");
        assert_eq!(pool.peak_bytes(), 4 * LEN as u64);
        drop(long);
        assert_eq!(pool.lock().bytes, 4 * LEN as u64);
        let short = pool.take(10);
        drop(short);
        assert_eq!(pool.peak_bytes(), 4 * LEN as u64);
    }
}
