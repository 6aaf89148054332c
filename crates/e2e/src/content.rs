//! Bytes of test files: the same seed gives the same bytes, and no two pieces of a file are equal.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// 1024 bytes.
pub const KIB: u64 = 1024;
/// 1024 KiB.
pub const MIB: u64 = 1024 * KIB;

/// What a test file holds.
#[derive(Debug, Clone, Copy)]
pub struct Content {
    /// Different seeds give different bytes.
    pub seed: u64,
    /// The length in bytes.
    pub len: u64,
}

/// Pseudo-random bytes (SplitMix64, Steele et al. 2014), the same for the same seed.
pub fn pseudo_random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// One block is generated, then written again and again with its number stamped into every 16 KiB:
/// quick to make, and no two leaves are alike.
const BLOCK_LEN: usize = 4 * 1024 * 1024;

impl Content {
    /// Writes the file.
    pub(crate) fn write(self, path: &Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        let block_len = BLOCK_LEN.min(usize::try_from(self.len).unwrap_or(BLOCK_LEN));
        let mut block = pseudo_random(self.seed, block_len);
        let mut written = 0u64;
        while written < self.len {
            if block.len() == BLOCK_LEN {
                for leaf in block.chunks_mut(16 * 1024) {
                    leaf[..8].copy_from_slice(&written.to_le_bytes());
                }
            }
            let now = block.len().min(usize::try_from(self.len - written).unwrap_or(BLOCK_LEN));
            file.write_all(&block[..now])?;
            written += now as u64;
        }
        Ok(())
    }
}
