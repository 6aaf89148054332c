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
    /// Buffers kept beyond this many go back to the allocator.
    const MAX_FREE: usize = 64;

    /// Takes a buffer of `len` bytes with any content.
    pub fn take(&self, len: usize) -> Buffer {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = free.iter().rposition(|bytes| bytes.len() >= len);
        let mut bytes = fitting.map(|at| free.swap_remove(at)).unwrap_or_default();
        drop(free);
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        Buffer { bytes, len, pool: self.clone() }
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
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < Pool::MAX_FREE {
            free.push(std::mem::take(&mut self.bytes));
        }
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

    #[test]
    fn a_buffer_comes_back_to_the_pool_and_is_used_again() {
        let pool = Pool::default();
        let mut buffer = pool.take(100);
        buffer[99] = 7;
        let address = buffer.as_ptr();
        drop(buffer);
        let again = pool.take(50);
        assert_eq!((again.as_ptr(), again.len()), (address, 50));
    }

    #[test]
    fn a_truncated_buffer_has_its_full_length_next_time() {
        let pool = Pool::default();
        let mut buffer = pool.take(100);
        buffer.truncate(0);
        drop(buffer);
        assert_eq!(pool.take(100).len(), 100);
    }
}
