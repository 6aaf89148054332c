//! SHA-256 (FIPS 180-4) of many chunks of one length at once: the leaves of a Merkle tree.
//!
//! One message keeps the processor's units waiting for each other; messages side by side do not.
//! What is safe to run is asked of the processor, once a call. Beside those calls a load and an
//! empty `asm!` are `unsafe` here, both in `wide`. This crate knows nothing of trees and files.

#[cfg(target_arch = "x86_64")]
mod pair;
#[cfg(target_arch = "x86_64")]
mod wide;

use sha2::{Digest, Sha256};

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// The SHA-256 of each chunk of `chunk_len` bytes, in order; the last chunk may be shorter.
///
/// # Panics
///
/// Panics where chunks have no bytes.
pub fn digests(bytes: &[u8], chunk_len: usize) -> Vec<Hash> {
    each(&bytes.chunks(chunk_len).collect::<Vec<_>>())
}

/// The SHA-256 of each message, in order. Those of like lengths are hashed side by side.
pub fn each(messages: &[&[u8]]) -> Vec<Hash> {
    let mut order: Vec<usize> = (0..messages.len()).collect();
    // The longest first; a sort that keeps equal ones in order leaves a piece's leaves alone.
    order.sort_by_key(|&at| std::cmp::Reverse(messages[at].len()));
    let mut hashes = vec![[0; 32]; messages.len()];
    let done = side_by_side(messages, &order, &mut hashes);
    for &at in &order[done..] {
        hashes[at] = Hash::from(Sha256::digest(messages[at]));
    }
    hashes
}

/// With fewer messages than this, sixteen lanes are no faster than one after the other.
#[cfg(target_arch = "x86_64")]
const MIN_WIDE: usize = 9;

/// Hashes as many messages as are worth it side by side, in this order; returns how many.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "instructions that not every processor has")]
fn side_by_side(messages: &[&[u8]], order: &[usize], hashes: &mut [Hash]) -> usize {
    let mut done = 0;
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
        for group in order.chunks(wide::LANES).filter(|group| group.len() >= MIN_WIDE) {
            let message = |lane| group.get(lane).map_or(&[][..], |&at: &usize| messages[at]);
            // SAFETY: the processor has what the function is compiled for.
            let digests = unsafe { wide::digests(std::array::from_fn(message)) };
            group.iter().zip(digests).for_each(|(&at, hash)| hashes[at] = hash);
            done += group.len();
        }
    }
    if is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("sse4.1")
        && is_x86_feature_detected!("ssse3")
    {
        for pair in order[done..].chunks_exact(pair::LANES) {
            let of = [messages[pair[0]], messages[pair[1]]];
            if of[0].len() != of[1].len() || !of[0].len().is_multiple_of(BLOCK_LEN) {
                break;
            }
            // SAFETY: the processor has what the function is compiled for.
            let digests = unsafe { pair::digests(of) };
            pair.iter().zip(digests).for_each(|(&at, hash)| hashes[at] = hash);
            done += pair.len();
        }
    }
    done
}

/// Elsewhere one message follows the other.
#[cfg(not(target_arch = "x86_64"))]
fn side_by_side(_: &[&[u8]], _: &[usize], _: &mut [Hash]) -> usize {
    0
}

/// Bytes in a block.
#[cfg(any(test, target_arch = "x86_64"))]
const BLOCK_LEN: usize = 64;

/// What follows a chunk of whole blocks: a bit, zeros, and the length in bits.
#[cfg(target_arch = "x86_64")]
fn padding(chunk_len: usize) -> [u8; BLOCK_LEN] {
    let mut block = [0; BLOCK_LEN];
    block[0] = 0x80;
    block[BLOCK_LEN - 8..].copy_from_slice(&(chunk_len as u64 * 8).to_be_bytes());
    block
}

/// Eight bytes as they stand in memory. Loads of neighbours become one.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn eight(bytes: &[u8; BLOCK_LEN], index: usize) -> i64 {
    i64::from_le_bytes(bytes[8 * index..][..8].try_into().expect("eight bytes"))
}

/// The state before the first block (FIPS 180-4, section 5.3.3).
#[cfg(target_arch = "x86_64")]
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The constants of the rounds (FIPS 180-4, section 4.2.2).
#[cfg(target_arch = "x86_64")]
const ROUND: [u32; 64] = [
    0x428a_2f98,
    0x7137_4491,
    0xb5c0_fbcf,
    0xe9b5_dba5,
    0x3956_c25b,
    0x59f1_11f1,
    0x923f_82a4,
    0xab1c_5ed5,
    0xd807_aa98,
    0x1283_5b01,
    0x2431_85be,
    0x550c_7dc3,
    0x72be_5d74,
    0x80de_b1fe,
    0x9bdc_06a7,
    0xc19b_f174,
    0xe49b_69c1,
    0xefbe_4786,
    0x0fc1_9dc6,
    0x240c_a1cc,
    0x2de9_2c6f,
    0x4a74_84aa,
    0x5cb0_a9dc,
    0x76f9_88da,
    0x983e_5152,
    0xa831_c66d,
    0xb003_27c8,
    0xbf59_7fc7,
    0xc6e0_0bf3,
    0xd5a7_9147,
    0x06ca_6351,
    0x1429_2967,
    0x27b7_0a85,
    0x2e1b_2138,
    0x4d2c_6dfc,
    0x5338_0d13,
    0x650a_7354,
    0x766a_0abb,
    0x81c2_c92e,
    0x9272_2c85,
    0xa2bf_e8a1,
    0xa81a_664b,
    0xc24b_8b70,
    0xc76c_51a3,
    0xd192_e819,
    0xd699_0624,
    0xf40e_3585,
    0x106a_a070,
    0x19a4_c116,
    0x1e37_6c08,
    0x2748_774c,
    0x34b0_bcb5,
    0x391c_0cb3,
    0x4ed8_aa4a,
    0x5b9c_ca4f,
    0x682e_6ff3,
    0x748f_82ee,
    0x78a5_636f,
    0x84c8_7814,
    0x8cc7_0208,
    0x90be_fffa,
    0xa450_6ceb,
    0xbef9_a3f7,
    0xc671_78f2,
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one_by_one(bytes: &[u8], chunk_len: usize) -> Vec<Hash> {
        bytes.chunks(chunk_len).map(|chunk| Sha256::digest(chunk).into()).collect()
    }

    #[test]
    fn the_standards_example_comes_out() {
        let hex: String = digests(b"abc", 64)[0].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn leaves_of_a_piece_have_the_hashes_that_they_have_alone() {
        let bytes: Vec<u8> = (0..37 * 16384 + 5).map(|at: u64| ((at * 7919) >> 3) as u8).collect();
        for len in [0, 1, 16384, 3 * 16384, 16 * 16384, 18 * 16384, bytes.len()] {
            // An odd address, too.
            assert_eq!(digests(&bytes[..len], 16384), one_by_one(&bytes[..len], 16384));
            let odd = &bytes[1..len.max(1)];
            assert_eq!(digests(odd, 16384), one_by_one(odd, 16384));
        }
    }

    proptest! {
        #[test]
        fn any_messages_have_the_hashes_that_they_have_alone(
            lens in prop::collection::vec(0usize..300, 0..40),
            equal in 0usize..20,
        ) {
            let bytes: Vec<u8> = (0..300u64).map(|at| ((at * 7919) >> 3) as u8).collect();
            let mut messages: Vec<&[u8]> = lens.iter().map(|&len| &bytes[300 - len..]).collect();
            messages.extend((0..equal).map(|at| &bytes[at..at + 128]));
            let alone: Vec<Hash> = messages.iter().map(|it| Sha256::digest(it).into()).collect();
            prop_assert_eq!(each(&messages), alone);
        }

        #[test]
        fn any_chunks_have_the_hashes_that_they_have_alone(
            bytes in prop::collection::vec(any::<u8>(), 0..10_000),
            blocks in 1usize..9,
        ) {
            let chunk_len = blocks * BLOCK_LEN;
            prop_assert_eq!(digests(&bytes, chunk_len), one_by_one(&bytes, chunk_len));
        }
    }
}
