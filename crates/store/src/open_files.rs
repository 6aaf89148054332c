//! A bounded set of open files and sources, the longest unused closed first. Opens nothing itself.

use super::lock;
use super::source::OpenSource;
use content::EntryIndex;
use rustix::process::{Resource, getrlimit};
use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

/// The most files that the store keeps open between two uses: far below the usual soft limit of
/// 1,024, and enough for every worker.
const KEPT_MOST: u64 = 256;
/// The fewest. Below them each use opens its file anew, which takes time and needs no more.
const KEPT_LEAST: u64 = 2;
/// The store keeps one in so many of what may still be opened: connections to other ranks are made
/// when they are first needed, and each worker opens a file or two, and their directory.
const KEPT_ONE_IN: u64 = 4;

/// Which file of an entry an open file is; the number is the entry's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// What this rank shares.
    Shared(u32),
    /// What grows under `.shoal`, or the finished file: the same inode before and after the rename.
    Own(u32),
    /// What stood at the destination before.
    Standing(u32),
    /// What is left of a partial of another root.
    Old(u32),
    /// The same source, present on this rank.
    Local(u32),
}

impl Key {
    /// The entry.
    pub(super) fn entry(self) -> EntryIndex {
        let (Self::Shared(entry)
        | Self::Own(entry)
        | Self::Standing(entry)
        | Self::Old(entry)
        | Self::Local(entry)) = self;
        EntryIndex(entry)
    }
}

/// A file that may be written, or a source that is only read.
#[derive(Clone)]
enum Handle {
    File(Arc<File>),
    Source(Arc<dyn OpenSource>),
}

/// Open files and sources of the store.
pub(super) struct OpenFiles {
    inner: Mutex<Inner>,
    most: usize,
}

#[derive(Default)]
struct Inner {
    clock: u64,
    open: HashMap<Key, (Handle, u64)>,
}

impl OpenFiles {
    /// A set of as many as this process may keep open.
    pub(super) fn within_limit() -> Self {
        Self::at_most(kept_open())
    }

    /// A set of at most so many.
    fn at_most(most: usize) -> Self {
        Self { inner: Mutex::default(), most }
    }

    /// The file under a key, where it is open.
    pub(super) fn file(&self, key: Key) -> Option<Arc<File>> {
        match self.get(key)? {
            Handle::File(file) => Some(file),
            Handle::Source(_) => None,
        }
    }

    /// The source under a key, where it is open.
    pub(super) fn source(&self, key: Key) -> Option<Arc<dyn OpenSource>> {
        match self.get(key)? {
            Handle::Source(source) => Some(source),
            Handle::File(_) => None,
        }
    }

    /// Keeps a file open; one that is in use elsewhere is closed only after that use.
    pub(super) fn keep_file(&self, key: Key, file: &Arc<File>) {
        self.put(key, Handle::File(Arc::clone(file)));
    }

    /// Keeps a source open; one that is in use elsewhere is closed only after that use.
    pub(super) fn keep_source(&self, key: Key, source: &Arc<dyn OpenSource>) {
        self.put(key, Handle::Source(Arc::clone(source)));
    }

    /// Closes what is open under a key, once nobody uses it.
    pub(super) fn close(&self, key: Key) {
        let closed = lock(&self.inner).open.remove(&key);
        drop(closed);
    }

    fn get(&self, key: Key) -> Option<Handle> {
        let inner = &mut *lock(&self.inner);
        inner.clock += 1;
        let (handle, used) = inner.open.get_mut(&key)?;
        *used = inner.clock;
        Some(handle.clone())
    }

    fn put(&self, key: Key, handle: Handle) {
        let mut closed = None;
        let inner = &mut *lock(&self.inner);
        inner.clock += 1;
        if inner.open.len() >= self.most && !inner.open.contains_key(&key) {
            let oldest = inner.open.iter().min_by_key(|(_, (_, used))| *used).map(|(&key, _)| key);
            closed = oldest.and_then(|key| inner.open.remove(&key));
        }
        inner.open.insert(key, (handle, inner.clock));
        drop(closed);
    }
}

/// How many files the store may keep open between two uses.
fn kept_open() -> usize {
    // Where /proc is not there, an MPI that runs has about so many.
    const UNKNOWN: u64 = 64;
    let open = std::fs::read_dir("/proc/self/fd").map_or(UNKNOWN, |found| found.count() as u64);
    kept_of(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), open) as usize
}

fn kept_of(limit: u64, open: u64) -> u64 {
    (limit.saturating_sub(open) / KEPT_ONE_IN).clamp(KEPT_LEAST, KEPT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_keeps_a_part_of_what_the_limit_leaves() {
        let cases = [(u64::MAX, 40, 256), (4096, 40, 256), (1024, 40, 246), (256, 40, 54)];
        let low = [(64, 40, 6), (64, 60, 2), (64, 80, 2)];
        for (limit, open, kept) in cases.into_iter().chain(low) {
            assert_eq!(kept_of(limit, open), kept, "{open} open of {limit}");
        }
    }

    #[test]
    fn the_longest_unused_file_is_closed_first() {
        let files = OpenFiles::at_most(3);
        let file = Arc::new(tempfile::tempfile().unwrap());
        for number in 0..3 {
            files.keep_file(Key::Own(number), &file);
        }
        assert!(files.file(Key::Own(0)).is_some());
        files.keep_file(Key::Shared(0), &file);
        assert!(files.file(Key::Own(0)).is_some());
        assert!(files.file(Key::Own(1)).is_none());
        assert_eq!(lock(&files.inner).open.len(), 3);
    }
}
