//! Pooled buffers that hold one piece each. What the pool hands out is what bounds a rank's memory.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps freed buffers for the next piece, so that the pages stay mapped and the allocator is left
/// alone.
#[derive(Clone, Default)]
pub struct Pool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
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

    /// Takes a buffer of `len` bytes with any content. Its memory is at most twice as long, so that
    /// a bound on what is asked for bounds the memory too.
    pub fn take(&self, len: usize) -> Buffer {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = free.iter().rposition(|bytes| (len..=2 * len).contains(&bytes.len()));
        let bytes = fitting.map(|at| free.remove(at));
        drop(free);
        Buffer { bytes: bytes.unwrap_or_else(|| vec![0; len]), len, pool: self.clone() }
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
        if self.bytes.len() < Pool::MIN_LEN {
            return;
        }
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = (free.len() >= Pool::MAX_FREE).then(|| free.remove(0));
        free.push(std::mem::take(&mut self.bytes));
        drop(free);
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
        assert_eq!(short.bytes.len(), LEN);
        assert_eq!(pool.take(10).bytes.len(), 10);
    }

    #[test]
    fn buffers_of_a_length_that_is_asked_for_no_more_go_first() {
        let pool = Pool::default();
        drop(Vec::from_iter((0..Pool::MAX_FREE).map(|_| pool.take(LEN))));
        drop(pool.take(10 * LEN));
        let free = pool.free.lock().unwrap();
        assert_eq!((free.len(), free.last().unwrap().len()), (Pool::MAX_FREE, 10 * LEN));
    }
}
