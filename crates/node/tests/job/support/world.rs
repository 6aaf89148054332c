//! Directories for the ranks of one job, gone after the test.

use rustix::fs::{FlockOperation, flock};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The disks of all ranks.
pub struct World {
    directory: TempDir,
}

impl World {
    pub fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    /// A path in this world; nothing is made.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a file, and the directories above it.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Waits until a destination is let go by a rank that died: its workers end what they do.
    pub fn wait_for_lock(&self, into: &str) {
        let Ok(lock) = fs::File::open(self.path(into).join(".shoal/lock")) else { return };
        flock(&lock, FlockOperation::LockExclusive).unwrap();
    }
}

/// Bytes that no two seeds have in common.
pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes
}

/// The bytes of a file, which a failed comparison does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(pub Vec<u8>);

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum: u64 = self.0.iter().fold(7, |sum, &byte| sum * 31 % 0xffff_fffb + u64::from(byte));
        write!(f, "{} bytes {sum:08x}", self.0.len())
    }
}

/// All that is below a directory: files with their bytes, links with where they point to, and
/// directories, whose names end in `/`. Empty where there is none.
pub fn tree(directory: &Path) -> BTreeMap<String, Content> {
    let mut found = BTreeMap::new();
    walk(directory, "", &mut found);
    found
}

/// The tree that is one file.
pub fn one_file(name: &str, bytes: &[u8]) -> BTreeMap<String, Content> {
    BTreeMap::from([(name.to_owned(), Content(bytes.to_vec()))])
}

fn walk(directory: &Path, prefix: &str, found: &mut BTreeMap<String, Content>) {
    let Ok(items) = fs::read_dir(directory) else { return };
    for item in items.map(Result::unwrap) {
        let name = format!("{prefix}{}", item.file_name().to_string_lossy());
        let kind = item.file_type().unwrap();
        if kind.is_dir() {
            walk(&item.path(), &format!("{name}/"), found);
            found.insert(format!("{name}/"), Content(Vec::new()));
        } else if kind.is_symlink() {
            let target = fs::read_link(item.path()).unwrap();
            found.insert(name, Content(target.into_os_string().into_encoded_bytes()));
        } else {
            found.insert(name, Content(fs::read(item.path()).unwrap()));
        }
    }
}
