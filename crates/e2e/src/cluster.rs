//! The directory of one test, and the files in it: `rank1/share/…`, `rank2/into/…`, as the test
//! names them.

use crate::content::Content;
use crate::launch::Launch;
use crate::slots::test_directory;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// The files of one test, in a directory that goes when this is dropped (kept where
/// `SHOAL_E2E_KEEP` is set).
#[derive(Debug)]
pub struct Cluster {
    directory: TempDir,
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Cluster {
    /// Makes an empty directory beside the build.
    pub fn new() -> Self {
        Self::below(&test_directory())
    }

    /// Makes it where every user may look into it.
    pub fn for_any_user() -> Self {
        let cluster = Self::below(Path::new("/tmp"));
        fs::set_permissions(cluster.path(""), Permissions::from_mode(0o777)).unwrap();
        cluster
    }

    /// Makes it in a directory, which says on which file system.
    pub fn below(parent: &Path) -> Self {
        let mut directory = tempfile::Builder::new().prefix("shoal-").tempdir_in(parent).unwrap();
        directory.disable_cleanup(std::env::var_os("SHOAL_E2E_KEEP").is_some());
        Self { directory }
    }

    /// The full path of something in it.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// The full path of a rank's destination, as the tests name it.
    pub fn destination(&self, rank: u32) -> PathBuf {
        self.path(format!("rank{rank}/into"))
    }

    /// The full path of something whose name is bytes.
    pub fn path_of_bytes(&self, relative: &[u8]) -> PathBuf {
        self.path(OsStr::from_bytes(relative))
    }

    /// Makes a file with pseudo-random content, an odd mode and an old modification time, and the
    /// directories above it.
    pub fn file(&self, relative: impl AsRef<Path>, seed: u64, len: u64) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        Content { seed, len }.write(&path).unwrap();
        let mode = [0o644, 0o640, 0o755, 0o600, 0o444][(seed % 5) as usize];
        set_metadata(&path, mode, seed);
        path
    }

    /// Makes a file that holds this text.
    pub fn text(&self, relative: impl AsRef<Path>, text: &str) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Makes an empty directory, and those above it.
    pub fn directory(&self, relative: impl AsRef<Path>) -> PathBuf {
        let path = self.path(relative);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Gives a file or directory an odd mode and an old modification time.
    pub fn age(&self, relative: impl AsRef<Path>, mode: u32, seed: u64) {
        set_metadata(&self.path(relative), mode, seed);
    }

    /// A launch of something that starts `shoal` by itself, in this directory.
    pub fn script(&self, words: &[&str], environment: Vec<(String, String)>) -> Launch {
        Launch::new(self.path("")).by(words, environment)
    }

    /// A launch of this many ranks, in this directory, with this command line.
    pub fn launch<I, A>(&self, ranks: u32, args: I) -> Launch
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        Launch::new(self.path("")).and(ranks, args)
    }
}

/// A time in 2001 or later with nanoseconds, so that a time that was not kept, or was cut, shows.
fn set_metadata(path: &Path, mode: u32, seed: u64) {
    let after_1970 = Duration::new(1_000_000_000 + seed * 86_461, 123_456_789);
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + after_1970);
    File::open(path).and_then(|file| file.set_times(times)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}
