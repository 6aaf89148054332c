//! A bounded set of open files, the longest unused closed first. Opens nothing itself.

use super::lock;
use content::EntryIndex;
use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

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

/// Open files of the store.
pub(super) struct Files {
    inner: Mutex<Inner>,
    most: usize,
}

#[derive(Default)]
struct Inner {
    clock: u64,
    open: HashMap<Key, (Arc<File>, u64)>,
}

impl Files {
    /// A set of at most so many.
    pub(super) fn at_most(most: usize) -> Self {
        Self { inner: Mutex::default(), most }
    }

    pub(super) fn get(&self, key: Key) -> Option<Arc<File>> {
        let inner = &mut *lock(&self.inner);
        inner.clock += 1;
        let (file, used) = inner.open.get_mut(&key)?;
        *used = inner.clock;
        Some(Arc::clone(file))
    }

    /// Keeps a file open; one that is in use elsewhere is closed only after that use.
    pub(super) fn put(&self, key: Key, file: &Arc<File>) {
        let mut closed = None;
        let inner = &mut *lock(&self.inner);
        inner.clock += 1;
        if inner.open.len() >= self.most && !inner.open.contains_key(&key) {
            let oldest = inner.open.iter().min_by_key(|(_, (_, used))| *used).map(|(&key, _)| key);
            closed = oldest.and_then(|key| inner.open.remove(&key));
        }
        inner.open.insert(key, (Arc::clone(file), inner.clock));
        drop(closed);
    }

    pub(super) fn remove(&self, key: Key) {
        let closed = lock(&self.inner).open.remove(&key);
        drop(closed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_file_is_closed_first() {
        let files = Files::at_most(3);
        let file = Arc::new(tempfile::tempfile().unwrap());
        for number in 0..3 {
            files.put(Key::Own(number), &file);
        }
        assert!(files.get(Key::Own(0)).is_some());
        files.put(Key::Shared(0), &file);
        assert!(files.get(Key::Own(0)).is_some());
        assert!(files.get(Key::Own(1)).is_none());
        assert_eq!(lock(&files.inner).open.len(), 3);
    }
}
