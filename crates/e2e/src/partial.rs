//! What a killed run left under `.shoal/`: found by its length, looked into by comparing it with
//! the source.
//!
//! This knows one thing of the store: a partial file has each piece at its place.

use crate::tree::{Node, names_below};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The partial files in a destination and the bytes that the disk holds of each, the largest first.
/// Files too small to be anything but the store's own notes are left out.
pub fn partials(into: &Path) -> Vec<(PathBuf, u64)> {
    let store = into.join(".shoal");
    let files = names_below(&store).into_iter().filter(|(_, node)| *node == Node::File);
    let mut found: Vec<(PathBuf, u64)> = files
        .filter_map(|(name, _)| {
            let path = store.join(name);
            // It may be renamed while we look.
            let stat = fs::metadata(&path).ok()?;
            (stat.len() >= 1 << 20).then(|| (path, stat.blocks() * 512))
        })
        .collect();
    found.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    found
}

/// The bytes of all pieces of `source` that `copy` has at their places; 0 where there is no copy.
pub fn verified_bytes(source: &Path, copy: &Path, piece_len: u64) -> u64 {
    let source = File::open(source).unwrap();
    let len = source.metadata().unwrap().len();
    let Ok(copy) = File::open(copy) else { return 0 };
    let mut verified = 0;
    for offset in (0..len).step_by(piece_len as usize) {
        let size = piece_len.min(len - offset);
        let (mut left, mut right) = (vec![0; size as usize], vec![0; size as usize]);
        source.read_exact_at(&mut left, offset).unwrap();
        if copy.read_exact_at(&mut right, offset).is_ok() && left == right {
            verified += size;
        }
    }
    verified
}

/// Makes a partial hold exactly the pieces for which `has` says yes, and zeros elsewhere.
pub fn have_pieces_of(source: &Path, partial: &Path, piece_len: u64, has: impl Fn(u64) -> bool) {
    let source = File::open(source).unwrap();
    let len = source.metadata().unwrap().len();
    let partial = File::options().write(true).open(partial).unwrap();
    partial.set_len(len).unwrap();
    for piece in 0..len.div_ceil(piece_len) {
        let offset = piece * piece_len;
        let mut bytes = vec![0; piece_len.min(len - offset) as usize];
        if has(piece) {
            source.read_exact_at(&mut bytes, offset).unwrap();
        }
        partial.write_all_at(&bytes, offset).unwrap();
    }
}

/// How many pieces a file of this length has.
pub fn all_pieces_of(len: u64, piece_len: u64) -> u64 {
    len.div_ceil(piece_len)
}
