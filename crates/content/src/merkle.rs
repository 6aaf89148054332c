//! The BEP 52 Merkle tree of a file: SHA-256 over leaves of 16 KiB, a layer of piece hashes, one
//! root.
//!
//! A file's *root* identifies its content. The *piece layer* is the tree's level at which one hash
//! covers one piece. It travels in ranges, each with the hashes that prove it against the root, so
//! that a receiver can verify piece by piece without trusting who sent the hashes. Source: BEP 52,
//! "The BitTorrent Protocol Specification v2", sections "file tree", "piece layers" and "hash
//! request / hashes".

use crate::{Geometry, LEAF_LEN, PieceIndex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::Range;

/// A SHA-256 value: of a leaf, of an inner node, or a file's root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// What stands for a leaf beyond the file's end (BEP 52), and for the root of an empty file.
    pub const ZERO: Self = Self([0; 32]);

    /// The SHA-256 of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The node above two others.
    fn parent(left: Self, right: Self) -> Self {
        let mut sha = Sha256::new();
        sha.update(left.0);
        sha.update(right.0);
        Self(sha.finalize().into())
    }

    /// The root of a tree of `2^height` leaves that all lie beyond the file's end.
    fn padding(height: u32) -> Self {
        (0..height).fold(Self::ZERO, |hash, _| Self::parent(hash, hash))
    }

    /// The first eight hexadecimal digits, enough to tell contents apart in a message.
    pub fn short(&self) -> String {
        self.0[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
            pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
        }
        f.write_str(std::str::from_utf8(&digits).expect("digits are ASCII"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..", self.short())
    }
}

/// The root of the tree over `nodes`, padded with `padding` up to `2^height` nodes. Neighbours that
/// are equal, as over a hole, are hashed once.
fn fold(mut nodes: Vec<Hash>, height: u32, mut padding: Hash) -> Hash {
    assert!(nodes.len() <= 1 << height, "{} nodes under height {height}", nodes.len());
    for _ in 0..height {
        let mut last = (padding, padding, Hash::parent(padding, padding));
        let above_padding = last.2;
        for i in 0..nodes.len().div_ceil(2) {
            let right = nodes.get(2 * i + 1).copied().unwrap_or(padding);
            let left = nodes[2 * i];
            if (left, right) != (last.0, last.1) {
                last = (left, right, Hash::parent(left, right));
            }
            nodes[i] = last.2;
        }
        nodes.truncate(nodes.len().div_ceil(2));
        padding = above_padding;
    }
    nodes.first().copied().unwrap_or(padding)
}

/// The height of the smallest full binary tree with at least `leaves` leaves.
fn height_over(leaves: u64) -> u32 {
    leaves.max(1).next_power_of_two().trailing_zeros()
}

/// The hash that a piece's bytes must have: the root of its leaves' subtree. For a file of a single
/// piece that is the file's root; else the subtree is as high as a full piece's, the last piece's
/// too.
///
/// # Panics
///
/// Panics where `bytes` is empty or longer than a piece.
pub fn piece_hash(geometry: Geometry, bytes: &[u8]) -> Hash {
    assert!(!bytes.is_empty() && bytes.len() <= geometry.piece_len().bytes() as usize);
    let leaves = sha256::digests(bytes, LEAF_LEN as usize).into_iter().map(Hash).collect();
    fold(leaves, piece_height(geometry), Hash::ZERO)
}

/// What [`piece_hash`] says of each of several pieces, in order: the leaves of small files are
/// hashed side by side, where each alone has too few.
///
/// # Panics
///
/// Panics where one is empty or longer than a piece.
pub fn piece_hashes(pieces: &[(Geometry, &[u8])]) -> Vec<Hash> {
    let leaves: Vec<&[u8]> =
        pieces.iter().flat_map(|(_, bytes)| bytes.chunks(LEAF_LEN as usize)).collect();
    let mut hashes = sha256::each(&leaves).into_iter().map(Hash);
    let hash = |&(geometry, bytes): &(Geometry, &[u8])| {
        assert!(!bytes.is_empty() && bytes.len() <= geometry.piece_len().bytes() as usize);
        let count = bytes.len().div_ceil(LEAF_LEN as usize);
        fold(hashes.by_ref().take(count).collect(), piece_height(geometry), Hash::ZERO)
    };
    pieces.iter().map(hash).collect()
}

/// The hashes of a file's pieces if they were zeros throughout: whoever knows what a piece must
/// hash to sees that it is zeros, and need not fetch, read or hash it.
#[derive(Debug, Clone, Copy)]
pub struct ZeroPieces {
    geometry: Geometry,
    /// The hash of a full piece.
    full: Hash,
}

impl ZeroPieces {
    /// A piece that is not full is looked at from this length on: a shorter one is sent sooner.
    const MIN_LEN: u32 = 256 * 1024;

    /// SHA-256 of 16 KiB of zeros.
    const LEAF: Hash = Hash([
        0x4f, 0xe7, 0xb5, 0x9a, 0xf6, 0xde, 0x3b, 0x66, 0x5b, 0x67, 0x78, 0x8c, 0xc2, 0xf9, 0x98,
        0x92, 0xab, 0x82, 0x7e, 0xfa, 0xe3, 0xa4, 0x67, 0x34, 0x2b, 0x3b, 0xb4, 0xe3, 0xbc, 0x8e,
        0x5b, 0xfe,
    ]);

    /// Those of a file that is cut like this.
    pub fn of(geometry: Geometry) -> Self {
        let height = if geometry.is_single_piece() { 0 } else { piece_height(geometry) };
        let full = (0..height).fold(Self::LEAF, |hash, _| Hash::parent(hash, hash));
        Self { geometry, full }
    }

    /// The hash of a piece if it is zeros throughout; `None` for one that is too short to be told
    /// apart: it counts as data.
    ///
    /// # Panics
    ///
    /// Panics where the file has no such piece.
    pub fn hash(&self, piece: PieceIndex) -> Option<Hash> {
        let len = self.geometry.size(piece);
        let is_full = len == self.geometry.piece_len().bytes();
        if is_full && !self.geometry.is_single_piece() {
            return Some(self.full);
        }
        if len < Self::MIN_LEN {
            return None;
        }
        let rest = len % LEAF_LEN;
        let mut leaves = vec![Self::LEAF; (len / LEAF_LEN) as usize];
        if rest > 0 {
            leaves.push(Hash(Sha256::digest(&[0; LEAF_LEN as usize][..rest as usize]).into()));
        }
        Some(fold(leaves, piece_height(self.geometry), Hash::ZERO))
    }

    /// Whether a piece that has this hash is zeros throughout, as far as that is looked at.
    ///
    /// # Panics
    ///
    /// Panics where the file has no such piece.
    pub fn has(&self, piece: PieceIndex, hash: Hash) -> bool {
        self.hash(piece) == Some(hash)
    }
}

/// The height of the tree below one piece hash.
fn piece_height(geometry: Geometry) -> u32 {
    if geometry.is_single_piece() {
        height_over(geometry.leaf_count())
    } else {
        geometry.piece_len().leaves().trailing_zeros()
    }
}

/// The hashes of all pieces of a file, as one who has the whole file knows them.
#[derive(Clone, PartialEq, Eq)]
pub struct PieceLayer {
    geometry: Geometry,
    hashes: Vec<Hash>,
}

/// Why hashes do not make or join a piece layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// The number of hashes does not fit the geometry.
    #[error("{got} piece hashes where the file has {expected} pieces")]
    Count {
        /// How many there must be.
        expected: u64,
        /// How many there are.
        got: u64,
    },
    /// The file has no such range.
    #[error("the file has no hash range {0}")]
    NoSuchRange(u32),
    /// The range does not lead to the root.
    #[error("hash range {0} does not lead to the file's root")]
    Unproven(u32),
}

impl PieceLayer {
    /// Takes the hashes of all pieces in order; none for an empty file.
    ///
    /// # Errors
    ///
    /// Refuses a number of hashes that is not the number of pieces.
    pub fn new(geometry: Geometry, hashes: Vec<Hash>) -> Result<Self, LayerError> {
        let (expected, got) = (geometry.piece_count_wide(), hashes.len() as u64);
        if expected != got {
            return Err(LayerError::Count { expected, got });
        }
        Ok(Self { geometry, hashes })
    }

    /// How the file is cut.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The hashes in order of the pieces.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The file's root; [`Hash::ZERO`] for an empty file.
    pub fn root(&self) -> Hash {
        match self.hashes.as_slice() {
            [] => Hash::ZERO,
            [only] => *only,
            hashes => {
                let padding = Hash::padding(piece_height(self.geometry));
                fold(hashes.to_vec(), layer_height(self.geometry), padding)
            }
        }
    }

    /// How many bytes the pieces have together that are zeros throughout.
    pub fn zero_bytes(&self) -> u64 {
        let zeros = ZeroPieces::of(self.geometry);
        let pieces = (0..).map(PieceIndex).zip(&self.hashes);
        let zeros = pieces.filter(|&(piece, &hash)| zeros.has(piece, hash));
        zeros.map(|(piece, _)| u64::from(self.geometry.size(piece))).sum()
    }

    /// Everything about the layer that another rank can ask for, with proofs.
    pub fn prove(&self) -> VerifiedLayer {
        let mut layer = VerifiedLayer::new(self.geometry, self.root());
        if self.hashes.len() < 2 {
            return layer;
        }
        let range_height = range_height(self.geometry);
        let padding = Hash::padding(piece_height(self.geometry));
        // Level 0 holds the roots of the ranges; every level above is kept until the proofs are cut
        // from it.
        let mut level: Vec<Hash> = self
            .hashes
            .chunks(1 << range_height)
            .map(|hashes| fold(hashes.to_vec(), range_height, padding))
            .collect();
        let mut proofs = vec![Vec::new(); level.len()];
        let mut absent = Hash::padding(piece_height(self.geometry) + range_height);
        for height in 0..layer_height(self.geometry) - range_height {
            for (range, proof) in proofs.iter_mut().enumerate() {
                proof.push(level.get((range >> height) ^ 1).copied().unwrap_or(absent));
            }
            let parent =
                |pair: &[Hash]| Hash::parent(pair[0], pair.get(1).copied().unwrap_or(absent));
            level = level.chunks(2).map(parent).collect();
            absent = Hash::parent(absent, absent);
        }
        for (index, (proof, hashes)) in
            proofs.into_iter().zip(self.hashes.chunks(1 << range_height)).enumerate()
        {
            layer.ranges[index] =
                Some(HashRange { index: index as u32, hashes: hashes.to_vec(), proof });
        }
        layer
    }
}

/// The height of the tree between a file's piece layer and its root.
fn layer_height(geometry: Geometry) -> u32 {
    height_over(geometry.piece_count_wide())
}

/// The height of the tree over one hash range.
fn range_height(geometry: Geometry) -> u32 {
    HashRange::MAX_HASHES.trailing_zeros().min(layer_height(geometry))
}

/// Some consecutive piece hashes and what proves them: the unit in which a piece layer travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashRange {
    /// The number of the range: it covers pieces from `index * MAX_HASHES` on.
    pub index: u32,
    /// The hashes of its pieces; only the last range of a file has fewer than [`Self::MAX_HASHES`].
    pub hashes: Vec<Hash>,
    /// The sibling at each level from the range's root up to just below the file's root.
    pub proof: Vec<Hash>,
}

impl HashRange {
    /// Piece hashes in a range: 16 KiB of them, so that a range and its proof fit a control
    /// message.
    pub const MAX_HASHES: u32 = 512;

    /// The range that covers a piece.
    pub fn covering(piece: PieceIndex) -> u32 {
        piece.0 / Self::MAX_HASHES
    }

    /// How many ranges a file's piece layer has; 0 where the root is the only hash.
    pub fn count(geometry: Geometry) -> u32 {
        if geometry.is_single_piece() {
            0
        } else {
            geometry.piece_count().div_ceil(Self::MAX_HASHES)
        }
    }

    /// The pieces that a range of this file covers.
    ///
    /// # Panics
    ///
    /// Panics where the file has no such range.
    pub fn pieces(geometry: Geometry, index: u32) -> Range<u32> {
        assert!(index < Self::count(geometry));
        let first = index * Self::MAX_HASHES;
        first..(first + Self::MAX_HASHES).min(geometry.piece_count())
    }

    /// Whether the range leads to `root` in a file cut like this.
    fn leads_to(&self, geometry: Geometry, root: Hash) -> bool {
        let range_height = range_height(geometry);
        let expected = Self::pieces(geometry, self.index).len();
        let levels = (layer_height(geometry) - range_height) as usize;
        if self.hashes.len() != expected || self.proof.len() != levels {
            return false;
        }
        let padding = Hash::padding(piece_height(geometry));
        let mut node = fold(self.hashes.clone(), range_height, padding);
        for (height, &sibling) in self.proof.iter().enumerate() {
            let right = self.index >> height & 1 == 1;
            node = if right { Hash::parent(sibling, node) } else { Hash::parent(node, sibling) };
        }
        node == root
    }
}

/// What is known for certain of a file's piece hashes: its root, and the ranges that were proven
/// against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLayer {
    geometry: Geometry,
    root: Hash,
    ranges: Vec<Option<HashRange>>,
}

impl VerifiedLayer {
    /// Begins with the root alone. For a file of a single piece that is all there is to know.
    pub fn new(geometry: Geometry, root: Hash) -> Self {
        Self { geometry, root, ranges: vec![None; HashRange::count(geometry) as usize] }
    }

    /// How the file is cut.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The file's root.
    pub fn root(&self) -> Hash {
        self.root
    }

    /// The hash that a piece must have; `None` while its range is unknown.
    ///
    /// # Panics
    ///
    /// Panics where the file has no such piece.
    pub fn piece_hash(&self, piece: PieceIndex) -> Option<Hash> {
        assert!(u64::from(piece.0) < self.geometry.piece_count_wide());
        if self.geometry.is_single_piece() {
            return Some(self.root);
        }
        let range = self.ranges[HashRange::covering(piece) as usize].as_ref()?;
        Some(range.hashes[(piece.0 % HashRange::MAX_HASHES) as usize])
    }

    /// A known range, to be handed on to another rank; `None` where it is unknown or does not
    /// exist.
    pub fn range(&self, index: u32) -> Option<&HashRange> {
        self.ranges.get(index as usize)?.as_ref()
    }

    /// The known ranges in order.
    pub fn ranges(&self) -> impl Iterator<Item = &HashRange> {
        self.ranges.iter().flatten()
    }

    /// Takes a range that somebody sent.
    ///
    /// # Errors
    ///
    /// Refuses a range that the file does not have, or that does not lead to its root.
    pub fn insert(&mut self, range: HashRange) -> Result<(), LayerError> {
        let index = range.index;
        let Some(slot) = self.ranges.get_mut(index as usize) else {
            return Err(LayerError::NoSuchRange(index));
        };
        if !range.leads_to(self.geometry, self.root) {
            return Err(LayerError::Unproven(index));
        }
        *slot = Some(range);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
