//! Sixteen messages at once, one in each lane of AVX-512's registers. Twice as fast as one after
//! the other with SHA-NI.

use crate::{BLOCK_LEN, Hash, INITIAL, ROUND, eight};
use std::arch::x86_64::*;

/// Messages that are hashed at once.
pub(crate) const LANES: usize = 16;

/// What follows the last whole block of a message: the bytes that are left, a bit, zeros, and the
/// length in bits, in one block or two.
struct End {
    blocks: [[u8; BLOCK_LEN]; 2],
    count: usize,
}

impl End {
    fn of(message: &[u8]) -> Self {
        let left = message.len() % BLOCK_LEN;
        let count = if left < BLOCK_LEN - 8 { 1 } else { 2 };
        let mut blocks = [[0; BLOCK_LEN]; 2];
        blocks[0][..left].copy_from_slice(&message[message.len() - left..]);
        blocks[0][left] = 0x80;
        let bits = message.len() as u64 * 8;
        blocks[count - 1][BLOCK_LEN - 8..].copy_from_slice(&bits.to_be_bytes());
        Self { blocks, count }
    }
}

/// The SHA-256 of each of [`LANES`] messages, of any lengths. It takes as long as the longest.
#[target_feature(enable = "avx512f,avx512bw")]
pub(crate) fn digests(messages: [&[u8]; LANES]) -> [Hash; LANES] {
    let mut state = INITIAL.map(|word| _mm512_set1_epi32(word.cast_signed()));
    let whole = messages.map(|message| message.len() / BLOCK_LEN);
    let common = whole.into_iter().min().expect("there are lanes");
    for at in 0..common {
        let block = |lane: usize| -> &[u8; BLOCK_LEN] {
            messages[lane][BLOCK_LEN * at..].first_chunk().expect("a block")
        };
        compress(&mut state, std::array::from_fn(block));
    }
    let ends = messages.map(End::of);
    let counts: [usize; LANES] = std::array::from_fn(|lane| whole[lane] + ends[lane].count);
    let most = counts.into_iter().max().expect("there are lanes");
    for at in common..most {
        let block = |lane: usize| -> &[u8; BLOCK_LEN] {
            match at.checked_sub(whole[lane]) {
                None => messages[lane][BLOCK_LEN * at..].first_chunk().expect("a block"),
                Some(after) => &ends[lane].blocks[after.min(1)],
            }
        };
        let before = state;
        compress(&mut state, std::array::from_fn(block));
        // Messages that are over stay as they are.
        let open = (0..LANES).filter(|&lane| at < counts[lane]);
        let open = open.fold(0, |open: u16, lane| open | 1 << lane);
        for (after, before) in state.iter_mut().zip(before) {
            *after = _mm512_mask_mov_epi32(before, open, *after);
        }
    }
    let mut rows = [_mm512_setzero_si512(); LANES];
    rows[..8].copy_from_slice(&state);
    transpose(rows).map(|row| hash(_mm512_castsi512_si256(row)))
}

/// The eight words of a state as bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn hash(words: __m256i) -> Hash {
    let pairs = [
        _mm256_extract_epi64(words, 0),
        _mm256_extract_epi64(words, 1),
        _mm256_extract_epi64(words, 2),
        _mm256_extract_epi64(words, 3),
    ];
    let mut hash = [0; 32];
    for (bytes, pair) in hash.chunks_exact_mut(8).zip(pairs) {
        bytes.copy_from_slice(&pair.cast_unsigned().rotate_left(32).to_be_bytes());
    }
    hash
}

/// A block's sixteen words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn words(block: &[u8; BLOCK_LEN]) -> __m512i {
    let of = |index| eight(block, index);
    let read = _mm512_set_epi64(of(7), of(6), of(5), of(4), of(3), of(2), of(1), of(0));
    let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    _mm512_shuffle_epi8(read, _mm512_broadcast_i32x4(big_endian))
}

/// Turns sixteen rows of sixteen words so that row and column change places.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let mut twos = rows;
    for (out, pair) in twos.chunks_exact_mut(2).zip(rows.chunks_exact(2)) {
        out[0] = _mm512_unpacklo_epi32(pair[0], pair[1]);
        out[1] = _mm512_unpackhi_epi32(pair[0], pair[1]);
    }
    // Lane `l` of `fours[4 * q + j]` is word `4 * l + j` of the rows from `4 * q` on.
    let mut fours = twos;
    for (out, four) in fours.chunks_exact_mut(4).zip(twos.chunks_exact(4)) {
        out[0] = _mm512_unpacklo_epi64(four[0], four[2]);
        out[1] = _mm512_unpackhi_epi64(four[0], four[2]);
        out[2] = _mm512_unpacklo_epi64(four[1], four[3]);
        out[3] = _mm512_unpackhi_epi64(four[1], four[3]);
    }
    let mut columns = fours;
    for j in 0..4 {
        let even_low = _mm512_shuffle_i32x4::<0x88>(fours[j], fours[4 + j]);
        let odd_low = _mm512_shuffle_i32x4::<0xdd>(fours[j], fours[4 + j]);
        let even_high = _mm512_shuffle_i32x4::<0x88>(fours[8 + j], fours[12 + j]);
        let odd_high = _mm512_shuffle_i32x4::<0xdd>(fours[8 + j], fours[12 + j]);
        columns[j] = _mm512_shuffle_i32x4::<0x88>(even_low, even_high);
        columns[4 + j] = _mm512_shuffle_i32x4::<0x88>(odd_low, odd_high);
        columns[8 + j] = _mm512_shuffle_i32x4::<0xdd>(even_low, even_high);
        columns[12 + j] = _mm512_shuffle_i32x4::<0xdd>(odd_low, odd_high);
    }
    columns
}

/// The functions of FIPS 180-4, section 4.1.2, and its two parities of three.
macro_rules! rotated {
    ($word:expr, $a:literal, $b:literal, $c:literal) => {{
        let (a, b) = (_mm512_ror_epi32::<$a>($word), _mm512_ror_epi32::<$b>($word));
        _mm512_ternarylogic_epi32::<0x96>(a, b, _mm512_ror_epi32::<$c>($word))
    }};
    ($word:expr, $a:literal, $b:literal, shift $c:literal) => {{
        let (a, b) = (_mm512_ror_epi32::<$a>($word), _mm512_ror_epi32::<$b>($word));
        _mm512_ternarylogic_epi32::<0x96>(a, b, _mm512_srli_epi32::<$c>($word))
    }};
}

/// Takes a block of each message.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn compress(state: &mut [__m512i; 8], blocks: [&[u8; BLOCK_LEN]; LANES]) {
    let mut w = transpose(blocks.map(|block| words(block)));
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for turn in 0..4 {
        for i in 0..16 {
            if turn > 0 {
                let s0 = rotated!(w[(i + 1) % 16], 7, 18, shift 3);
                let s1 = rotated!(w[(i + 14) % 16], 17, 19, shift 10);
                let others = _mm512_add_epi32(w[(i + 9) % 16], s1);
                w[i] = _mm512_add_epi32(_mm512_add_epi32(w[i], s0), others);
            }
            let k = _mm512_set1_epi32(ROUND[16 * turn + i].cast_signed());
            let choice = _mm512_ternarylogic_epi32::<0xca>(e, f, g);
            let t1 = _mm512_add_epi32(_mm512_add_epi32(h, _mm512_add_epi32(w[i], k)), choice);
            let t1 = _mm512_add_epi32(t1, rotated!(e, 6, 11, 25));
            let majority = _mm512_ternarylogic_epi32::<0xe8>(a, b, c);
            let t2 = _mm512_add_epi32(rotated!(a, 2, 13, 22), majority);
            (h, g, f, e) = (g, f, e, _mm512_add_epi32(d, t1));
            (d, c, b, a) = (c, b, a, _mm512_add_epi32(t1, t2));
        }
    }
    for (before, after) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *before = _mm512_add_epi32(*before, after);
    }
}
