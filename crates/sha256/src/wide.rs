//! Sixteen messages at once, one in each lane of AVX-512's registers. Two to three times as fast as
//! one after the other with SHA-NI.

use crate::{BLOCK_LEN, Hash, INITIAL, ROUND};
use std::arch::asm;
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
#[allow(unsafe_code, reason = "put together from parts it takes eight instructions, not one")]
fn words(block: &[u8; BLOCK_LEN]) -> __m512i {
    // SAFETY: the block has the sixty-four bytes that are read, at whatever address.
    let read = unsafe { _mm512_loadu_si512(block.as_ptr().cast()) };
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

/// Writes a statement sixteen times, with the numbers from 0. A loop so long stays a loop, and its
/// words and state would be looked up in memory.
macro_rules! sixteen_times {
    ($i:ident => $do:expr) => {
        sixteen_times!($i => $do; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($i:ident => $do:expr; $($number:literal)*) => {$({
        const $i: usize = $number;
        $do;
    })*};
}

/// Takes a block of each message.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn compress(state: &mut [__m512i; 8], blocks: [&[u8; BLOCK_LEN]; LANES]) {
    let mut rows = [_mm512_setzero_si512(); LANES];
    sixteen_times!(LANE => rows[LANE] = words(blocks[LANE]));
    let mut w = transpose(rows);
    let mut letters = *state;
    let (first, later) = ROUND.as_chunks::<16>().0.split_first().expect("sixty-four rounds");
    sixteen_times!(I => round(&mut letters, I, w[I], first[I]));
    for k in later {
        sixteen_times!(I => {
            let s0 = rotated!(w[(I + 1) % 16], 7, 18, shift 3);
            let s1 = rotated!(w[(I + 14) % 16], 17, 19, shift 10);
            let others = _mm512_add_epi32(w[(I + 9) % 16], s1);
            w[I] = _mm512_add_epi32(_mm512_add_epi32(w[I], s0), others);
            round(&mut letters, I, w[I], k[I]);
        });
    }
    for (before, after) in state.iter_mut().zip(letters) {
        *before = _mm512_add_epi32(*before, after);
    }
}

/// One round. The letters do not move: in round `i` letter `n` is where `n - i` was at first.
///
/// What a round waits for are the new `e` of the one before, which needs a rotation, a parity and
/// an addition, and the new `a` likewise. So all else is added up before, and in this order: with
/// the additions of the standard's order each round takes a third longer where an instruction takes
/// two cycles.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn round(letters: &mut [__m512i; 8], i: usize, w: __m512i, k: u32) {
    let at = |n: usize| (n + 16 - i) % 8;
    let [a, b, c, d, e, f, g, h] = std::array::from_fn(|n| letters[at(n)]);
    let k = _mm512_set1_epi32(k.cast_signed());
    let early = sum(d, sum(h, sum(w, k)));
    let choice = _mm512_ternarylogic_epi32::<0xca>(e, f, g);
    let new_e = sum(sum(early, choice), rotated!(e, 6, 11, 25));
    let majority = _mm512_ternarylogic_epi32::<0xe8>(a, b, c);
    let t1 = settled(_mm512_sub_epi32(new_e, d));
    letters[at(3)] = new_e;
    letters[at(7)] = sum(sum(t1, majority), rotated!(a, 2, 13, 22));
}

/// A sum that is made of these two, whatever they are sums of.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn sum(a: __m512i, b: __m512i) -> __m512i {
    settled(_mm512_add_epi32(a, b))
}

/// The same value, of which the compiler does not know how it came about: it may not add in
/// another order than is written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
#[allow(unsafe_code, reason = "nothing else keeps the order of additions")]
fn settled(mut value: __m512i) -> __m512i {
    // SAFETY: there is no instruction in it.
    unsafe {
        asm!(
            "/* {0} */",
            inout(zmm_reg) value,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    value
}
