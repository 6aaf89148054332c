//! What is on the disk: files compared byte for byte, with modes and times.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Node {
    File,
    Directory,
    Other,
}

/// Everything below a directory, with paths relative to it; nothing where the directory does not
/// exist.
pub fn names_below(directory: &Path) -> BTreeMap<PathBuf, Node> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        let Ok(entries) = fs::read_dir(directory.join(&relative)) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let path = relative.join(entry.file_name());
            let kind = entry.file_type().unwrap();
            let node = if kind.is_dir() {
                open.push(path.clone());
                Node::Directory
            } else if kind.is_file() {
                Node::File
            } else {
                Node::Other
            };
            found.insert(path, node);
        }
    }
    found
}

/// The destination holds exactly these files, each equal to its source in bytes, mode and
/// modification time, and no `.shoal`.
pub fn assert_same_tree<N, S>(directory: &Path, expected: impl IntoIterator<Item = (N, S)>)
where
    N: Into<OsString>,
    S: AsRef<Path>,
{
    no_leftovers(directory);
    let mut found = names_below(directory);
    found.retain(|_, node| *node != Node::Directory);
    for (name, source) in expected {
        let name = PathBuf::from(name.into());
        assert_same_file(source.as_ref(), &directory.join(&name));
        found.remove(&name);
    }
    assert!(found.is_empty(), "more than expected in {}: {found:?}", directory.display());
}

/// Two regular files are equal in bytes, mode and modification time.
pub fn assert_same_file(source: &Path, copy: &Path) {
    let stat = |path: &Path| {
        fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let (source_stat, copy_stat) = (stat(source), stat(copy));
    assert!(copy_stat.is_file(), "{} is no regular file", copy.display());
    assert_eq!(source_stat.len(), copy_stat.len(), "the length of {}", copy.display());
    assert_same_bytes(source, copy);
    let mode = |stat: &Metadata| format!("{:o}", stat.mode() & 0o7777);
    assert_eq!(mode(&source_stat), mode(&copy_stat), "the mode of {}", copy.display());
    let time = |stat: &Metadata| (stat.mtime(), stat.mtime_nsec());
    assert_eq!(time(&source_stat), time(&copy_stat), "the time of {}", copy.display());
}

fn assert_same_bytes(source: &Path, copy: &Path) {
    let open = |path| File::open(path).unwrap();
    let (mut left, mut right) = (open(source), open(copy));
    let (mut left_block, mut right_block) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut offset = 0;
    loop {
        let count = read_full(&mut left, &mut left_block);
        assert_eq!(count, read_full(&mut right, &mut right_block), "{}", copy.display());
        if count == 0 {
            return;
        }
        if left_block[..count] != right_block[..count] {
            let differs = (0..count).find(|&i| left_block[i] != right_block[i]).unwrap();
            panic!("{} differs at byte {}", copy.display(), offset + differs);
        }
        offset += count;
    }
}

fn read_full(file: &mut File, block: &mut [u8]) -> usize {
    let mut count = 0;
    while count < block.len() {
        match file.read(&mut block[count..]).unwrap() {
            0 => break,
            more => count += more,
        }
    }
    count
}

/// Nothing of the store's own is left in a destination.
pub fn no_leftovers(directory: &Path) {
    let store = directory.join(".shoal");
    let left = names_below(&store);
    assert!(!store.exists(), "{} is left, with {left:?}", store.display());
}

/// Bytes that may still be written on the file system of a path.
pub fn free_bytes(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).expect("the path exists");
    stat.f_bavail * stat.f_frsize
}
