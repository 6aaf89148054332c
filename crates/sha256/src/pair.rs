//! Two messages at once with SHA-NI: while one waits for its round, the other has its own.

use crate::{BLOCK_LEN, Hash, INITIAL, ROUND, eight, padding};
use std::arch::x86_64::*;

/// Messages that are hashed at once.
pub(crate) const LANES: usize = 2;

/// A state as SHA-NI keeps it: words a, b, e, f and words c, d, g, h of each message.
struct State {
    abef: [__m128i; LANES],
    cdgh: [__m128i; LANES],
}

/// The SHA-256 of each of [`LANES`] messages of one length, in whole blocks.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(crate) fn digests(messages: [&[u8]; LANES]) -> [Hash; LANES] {
    let len = messages[0].len();
    assert!(len.is_multiple_of(BLOCK_LEN) && messages[1].len() == len);
    let [a, b, c, d, e, f, g, h] = INITIAL.map(u32::cast_signed);
    let mut state = State {
        abef: [_mm_set_epi32(a, b, e, f); LANES],
        cdgh: [_mm_set_epi32(c, d, g, h); LANES],
    };
    for at in (0..len).step_by(BLOCK_LEN) {
        let block = |lane: usize| messages[lane][at..].first_chunk().expect("a block");
        compress(&mut state, std::array::from_fn(block));
    }
    let end = padding(len);
    compress(&mut state, [&end; LANES]);
    [hash(state.abef[0], state.cdgh[0]), hash(state.abef[1], state.cdgh[1])]
}

/// The eight words of a state as bytes.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn hash(abef: __m128i, cdgh: __m128i) -> Hash {
    let words = [
        _mm_extract_epi32(abef, 3),
        _mm_extract_epi32(abef, 2),
        _mm_extract_epi32(cdgh, 3),
        _mm_extract_epi32(cdgh, 2),
        _mm_extract_epi32(abef, 1),
        _mm_extract_epi32(abef, 0),
        _mm_extract_epi32(cdgh, 1),
        _mm_extract_epi32(cdgh, 0),
    ];
    let mut hash = [0; 32];
    for (bytes, word) in hash.chunks_exact_mut(4).zip(words) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

/// Four words of a block.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn words(block: &[u8; BLOCK_LEN], quarter: usize) -> __m128i {
    let read = _mm_set_epi64x(eight(block, 2 * quarter + 1), eight(block, 2 * quarter));
    _mm_shuffle_epi8(read, _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203))
}

/// Takes a block of each message.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
fn compress(state: &mut State, blocks: [&[u8; BLOCK_LEN]; LANES]) {
    let (mut abef, mut cdgh) = (state.abef, state.cdgh);
    let mut w = [[_mm_setzero_si128(); 4]; LANES];
    for i in 0..16 {
        let k = _mm_set_epi32(
            ROUND[4 * i + 3].cast_signed(),
            ROUND[4 * i + 2].cast_signed(),
            ROUND[4 * i + 1].cast_signed(),
            ROUND[4 * i].cast_signed(),
        );
        for lane in 0..LANES {
            let w = &mut w[lane];
            w[i % 4] = if i < 4 {
                words(blocks[lane], i)
            } else {
                let older = _mm_alignr_epi8::<4>(w[(i + 3) % 4], w[(i + 2) % 4]);
                let sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w[(i + 1) % 4]), older);
                _mm_sha256msg2_epu32(sum, w[(i + 3) % 4])
            };
            let sum = _mm_add_epi32(w[i % 4], k);
            cdgh[lane] = _mm_sha256rnds2_epu32(cdgh[lane], abef[lane], sum);
            let high = _mm_shuffle_epi32::<0x0e>(sum);
            abef[lane] = _mm_sha256rnds2_epu32(abef[lane], cdgh[lane], high);
        }
    }
    for lane in 0..LANES {
        state.abef[lane] = _mm_add_epi32(state.abef[lane], abef[lane]);
        state.cdgh[lane] = _mm_add_epi32(state.cdgh[lane], cdgh[lane]);
    }
}
