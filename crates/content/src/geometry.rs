//! All arithmetic between a file's length and its pieces. No other place multiplies by a piece
//! length.

use serde::{Deserialize, Serialize};

/// Bytes under one leaf of the Merkle tree (BEP 52: 16 KiB blocks).
pub const LEAF_LEN: u32 = 16 * 1024;

/// The number of a piece inside its file, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PieceIndex(pub u32);

/// A piece length: a power of two of bytes, at least [`LEAF_LEN`] and at most [`PieceLen::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct PieceLen {
    log2: u8,
}

/// Why a number of bytes cannot be a piece length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a piece length is a power of two from 16 KiB to 64 MiB, and {bytes} bytes is not")]
pub struct PieceLenError {
    bytes: u64,
}

impl PieceLen {
    /// The shortest: one leaf.
    pub const MIN: Self = Self { log2: 14 };
    /// The longest, 64 MiB: a piece is held in memory whole, and the window must hold a few of
    /// them.
    pub const MAX: Self = Self { log2: 26 };
    /// The default rule never goes below this, 256 KiB, ...
    const DEFAULT_MIN: Self = Self { log2: 18 };
    /// ... nor above this, 4 MiB.
    const DEFAULT_MAX: Self = Self { log2: 22 };
    /// The default rule aims at this many pieces in a file.
    const DEFAULT_PIECES: u64 = 1024;

    /// Takes a length in bytes.
    ///
    /// # Errors
    ///
    /// Refuses what is not a power of two from [`Self::MIN`] to [`Self::MAX`].
    pub fn from_bytes(bytes: u64) -> Result<Self, PieceLenError> {
        let fits = (u64::from(Self::MIN.bytes())..=u64::from(Self::MAX.bytes())).contains(&bytes);
        if !bytes.is_power_of_two() || !fits {
            return Err(PieceLenError { bytes });
        }
        Ok(Self { log2: bytes.trailing_zeros() as u8 })
    }

    /// The length that a file of `len` bytes gets unless told otherwise: `len / 1024` rounded up to
    /// a power of two, within 256 KiB and 4 MiB. It depends on the length alone, so that all ranks
    /// agree.
    pub fn default_for(len: u64) -> Self {
        let aim = len.div_ceil(Self::DEFAULT_PIECES).max(1);
        let capped = aim.min(u64::from(Self::DEFAULT_MAX.bytes())).next_power_of_two();
        let log2 = capped.trailing_zeros() as u8;
        Self { log2: log2.max(Self::DEFAULT_MIN.log2) }
    }

    /// The length in bytes.
    pub const fn bytes(self) -> u32 {
        1 << self.log2
    }

    /// The leaves under one piece.
    pub const fn leaves(self) -> u32 {
        self.bytes() / LEAF_LEN
    }
}

impl TryFrom<u8> for PieceLen {
    type Error = PieceLenError;

    fn try_from(log2: u8) -> Result<Self, PieceLenError> {
        Self::from_bytes(1u64.checked_shl(u32::from(log2)).unwrap_or(0))
    }
}

impl From<PieceLen> for u8 {
    fn from(piece_len: PieceLen) -> u8 {
        piece_len.log2
    }
}

/// How a file of a given length is cut into pieces. The last piece is shorter unless the length
/// divides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Geometry {
    len: u64,
    piece_len: PieceLen,
}

impl Geometry {
    /// Cuts `len` bytes into pieces of `piece_len`.
    pub const fn new(len: u64, piece_len: PieceLen) -> Self {
        Self { len, piece_len }
    }

    /// Cuts `len` bytes into pieces of the default length.
    pub fn with_default_pieces(len: u64) -> Self {
        Self::new(len, PieceLen::default_for(len))
    }

    /// The file's length in bytes.
    pub const fn len(self) -> u64 {
        self.len
    }

    /// Whether the file has no bytes, and so no pieces.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The length of every piece but the last.
    pub const fn piece_len(self) -> PieceLen {
        self.piece_len
    }

    /// How many pieces; 0 for an empty file. A `u64`, because a hostile length can exceed any
    /// index; [`crate::Catalogue`] refuses those.
    pub const fn piece_count_wide(self) -> u64 {
        self.len.div_ceil(self.piece_len.bytes() as u64)
    }

    /// How many pieces, for a geometry whose number of pieces is known to fit.
    ///
    /// # Panics
    ///
    /// Panics where [`Self::piece_count_wide`] exceeds `u32::MAX`.
    pub fn piece_count(self) -> u32 {
        u32::try_from(self.piece_count_wide()).expect("more pieces than a catalogue admits")
    }

    /// How many leaves of [`LEAF_LEN`]; 0 for an empty file.
    pub const fn leaf_count(self) -> u64 {
        self.len.div_ceil(LEAF_LEN as u64)
    }

    /// Where a piece begins in the file, in bytes.
    pub fn offset(self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_len.bytes())
    }

    /// How many bytes a piece has.
    ///
    /// # Panics
    ///
    /// Panics where the file has no such piece.
    pub fn size(self, piece: PieceIndex) -> u32 {
        let offset = self.offset(piece);
        assert!(offset < self.len, "piece {} is beyond {} bytes", piece.0, self.len);
        u32::try_from((self.len - offset).min(u64::from(self.piece_len.bytes())))
            .expect("a piece fits in u32")
    }

    /// Whether the file is one piece or less: then its root is its only piece's hash, and there is
    /// no layer of piece hashes (BEP 52, "piece layers").
    pub const fn is_single_piece(self) -> bool {
        self.len <= self.piece_len.bytes() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    #[test]
    fn the_default_piece_length_follows_the_contract() {
        let cases = [
            (0, 256 * KIB),
            (1, 256 * KIB),
            (256 * MIB, 256 * KIB),
            (256 * MIB + 1, 512 * KIB),
            (1024 * MIB, MIB),
            (3 * 1024 * MIB, 4 * MIB),
            (u64::MAX, 4 * MIB),
        ];
        for (len, expected) in cases {
            assert_eq!(u64::from(PieceLen::default_for(len).bytes()), expected, "of {len} bytes");
        }
    }

    #[test]
    fn the_last_piece_is_what_is_left() {
        let piece_len = PieceLen::from_bytes(32 * KIB).unwrap();
        for (len, count, last) in [
            (0, 0, 0),
            (1, 1, 1),
            (32 * KIB - 1, 1, 32 * KIB - 1),
            (32 * KIB, 1, 32 * KIB),
            (32 * KIB + 1, 2, 1),
        ] {
            let geometry = Geometry::new(len, piece_len);
            assert_eq!(geometry.piece_count(), count, "of {len} bytes");
            if count > 0 {
                assert_eq!(u64::from(geometry.size(PieceIndex(count - 1))), last);
            }
        }
    }

    #[test]
    fn what_is_no_power_of_two_is_no_piece_length() {
        for bytes in [0, 1, 8 * KIB, 48 * KIB, 128 * MIB, u64::MAX] {
            assert!(PieceLen::from_bytes(bytes).is_err(), "{bytes}");
        }
        for log2 in [0u8, 13, 27, 64, 255] {
            assert!(PieceLen::try_from(log2).is_err(), "2^{log2}");
        }
    }
}
