//! Digests of large shared files, kept in the user's cache directory so that a second run starts at
//! once.
//!
//! Many ranks may share the directory. Nothing here ever fails: a cache that cannot be used is not
//! used.

use super::digest::fingerprint;
use super::random;
use super::stamp::Stamp;
use content::{Catalogue, Geometry, Hash, PieceLen, Timestamp};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where digests are kept, if anywhere.
pub(super) struct Cache {
    directory: Option<PathBuf>,
}

/// The content of a cache file, after its checksum. The device is left out: it differs from node to
/// node.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    path: Vec<u8>,
    inode: u64,
    len: u64,
    modified: Timestamp,
    changed: Timestamp,
    piece_len: PieceLen,
    hashes: Vec<Hash>,
}

impl Cache {
    /// Shorter files are hashed sooner than looked up on a shared home.
    const MIN_LEN: u64 = 8 << 20;
    const VERSION: u32 = 1;
    const CHECKSUM_LEN: usize = 32;

    pub(super) fn new(directory: Option<&Path>) -> Self {
        Self { directory: directory.map(Path::to_owned) }
    }

    /// The piece hashes of a file as it is now, if they are known.
    pub(super) fn find(&self, path: &Path, stamp: &Stamp, cut: Geometry) -> Option<Vec<Hash>> {
        if stamp.is_racy(SystemTime::now()) {
            return None;
        }
        let path = std::path::absolute(path).ok()?;
        let file = fs::File::open(self.place(&path, cut)?).ok()?;
        let limit = cut.piece_count_wide() * 32 + path.as_os_str().len() as u64 + 1024;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).ok()?;
        let (checksum, rest) = bytes.split_at_checked(Self::CHECKSUM_LEN)?;
        if checksum != fingerprint(rest).0 {
            return None;
        }
        let record: Record = postcard::from_bytes(rest).ok()?;
        let fits = record.version == Self::VERSION
            && record.path == path.as_os_str().as_bytes()
            && record.inode == stamp.inode
            && record.len == stamp.len
            && record.modified == stamp.modified
            && record.changed == stamp.changed
            && record.piece_len == cut.piece_len()
            && record.hashes.len() as u64 == cut.piece_count_wide();
        fits.then_some(record.hashes)
    }

    /// Keeps the piece hashes of a file. `hashed_from` is when hashing began.
    pub(super) fn keep(
        &self,
        path: &Path,
        stamp: &Stamp,
        cut: Geometry,
        hashes: &[Hash],
        hashed_from: SystemTime,
    ) {
        if !stamp.is_racy(hashed_from) {
            let kept = self.try_keep(path, stamp, cut, hashes);
            tracing::trace!(kept = kept.is_some(), "digest cache");
        }
    }

    fn try_keep(&self, path: &Path, stamp: &Stamp, cut: Geometry, hashes: &[Hash]) -> Option<()> {
        let path = std::path::absolute(path).ok()?;
        let place = self.place(&path, cut)?;
        let record = Record {
            version: Self::VERSION,
            path: path.as_os_str().as_bytes().to_vec(),
            inode: stamp.inode,
            len: stamp.len,
            modified: stamp.modified,
            changed: stamp.changed,
            piece_len: cut.piece_len(),
            hashes: hashes.to_vec(),
        };
        let record = postcard::to_allocvec(&record).ok()?;
        let bytes = [&fingerprint(&record).0[..], &record].concat();
        let directory = place.parent()?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).ok()?;
        let unique = format!(".{}-{:032x}", std::process::id(), random().ok()?);
        let temporary = directory.join(unique);
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&temporary).ok()?;
        let written = std::io::Write::write_all(&mut &file, &bytes)
            .and_then(|()| fs::rename(&temporary, &place));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.ok()
    }

    /// The file for a digest; `None` where none is kept.
    fn place(&self, absolute: &Path, cut: Geometry) -> Option<PathBuf> {
        let kept = cut.len() >= Self::MIN_LEN && cut.piece_count_wide() <= Catalogue::MAX_PIECES;
        let directory = self.directory.as_ref().filter(|_| kept)?;
        let mut key = absolute.as_os_str().as_bytes().to_vec();
        key.extend([0, u8::from(cut.piece_len())]);
        Some(directory.join(fingerprint(&key).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp() -> Stamp {
        let long_ago = Timestamp { seconds: 1, nanoseconds: 0 };
        Stamp { device: 1, inode: 2, len: 9 << 20, modified: long_ago, changed: long_ago }
    }

    proptest! {
        /// With the right checksum before them, so that they are decoded.
        #[test]
        fn what_is_no_record_of_this_file_is_not_used(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            kept in 0usize..200,
        ) {
            let home = tempfile::tempdir().unwrap();
            let cache = Cache::new(Some(home.path()));
            let cut = Geometry::with_default_pieces(stamp().len);
            let path = Path::new("/data/large");
            let hashes = vec![Hash([7; 32]); cut.piece_count() as usize];
            cache.keep(path, &stamp(), cut, &hashes, SystemTime::now());
            prop_assert_eq!(cache.find(path, &stamp(), cut), Some(hashes));
            let place = cache.place(path, cut).unwrap();
            // The beginning of a record that is good, and then anything.
            let good = fs::read(&place).unwrap();
            let mut record = good[Cache::CHECKSUM_LEN..][..kept].to_vec();
            record.extend(bytes);
            fs::write(&place, [&fingerprint(&record).0[..], &record].concat()).unwrap();
            let found = cache.find(path, &stamp(), cut);
            prop_assert!(found.is_none_or(|found| found.len() == cut.piece_count() as usize));
        }
    }
}
