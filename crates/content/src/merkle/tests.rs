//! The tree against its definition, written out naively.

use super::*;
use crate::PieceLen;
use proptest::prelude::*;

/// BEP 52 word for word: hash all leaves, pad with zeros to a power of two, fold.
fn naive_root(bytes: &[u8]) -> Hash {
    if bytes.is_empty() {
        return Hash::ZERO;
    }
    let mut level: Vec<Hash> =
        bytes.chunks(LEAF_LEN as usize).map(|leaf| Hash(Sha256::digest(leaf).into())).collect();
    level.resize(level.len().next_power_of_two(), Hash::ZERO);
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| Hash::parent(pair[0], pair[1])).collect();
    }
    level[0]
}

fn layer_of(geometry: Geometry, bytes: &[u8]) -> PieceLayer {
    let hashes = bytes
        .chunks(geometry.piece_len().bytes() as usize)
        .map(|piece| piece_hash(geometry, piece))
        .collect();
    PieceLayer::new(geometry, hashes).unwrap()
}

#[test]
fn a_piece_of_zeros_is_known_by_its_hash() {
    const KIB: u64 = 1024;
    for (len, log2) in [(4 << 20, 20), (100_000, 14), (700 * KIB + 1, 18), (1300 * KIB, 20)] {
        let geometry = Geometry::new(len, PieceLen::try_from(log2).unwrap());
        let layer = layer_of(geometry, &vec![0; len as usize]);
        let zeros = ZeroPieces::of(geometry);
        let mut known = 0;
        for (piece, &hash) in (0..).map(PieceIndex).zip(layer.hashes()) {
            let short = geometry.size(piece) < geometry.piece_len().bytes();
            let expected = (!short || geometry.size(piece) >= 256 * 1024).then_some(hash);
            assert_eq!(zeros.hash(piece), expected, "{piece:?} of {len} bytes");
            known += expected.map_or(0, |_| u64::from(geometry.size(piece)));
        }
        assert_eq!(layer.zero_bytes(), known);
        assert!(known > len / 2, "nearly all of {len} bytes");
    }
    // Files of one piece, likewise; an empty one has none.
    let whole = |len: usize| {
        let geometry = Geometry::new(len as u64, PieceLen::MAX);
        layer_of(geometry, &vec![0; len]).zero_bytes()
    };
    assert_eq!([0, 1000, 300_000, 1 << 20].map(whole), [0, 0, 300_000, 1 << 20]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_root_does_not_depend_on_the_piece_length(len in 0usize..600_000, log2 in 14u8..19) {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
        let geometry = Geometry::new(len as u64, PieceLen::try_from(log2).unwrap());
        prop_assert_eq!(layer_of(geometry, &bytes).root(), naive_root(&bytes));
    }

    #[test]
    fn every_range_of_a_layer_is_proven_and_no_other(
        pieces in 2u32..3000,
        flip in any::<prop::sample::Index>(),
    ) {
        let geometry = Geometry::new(u64::from(pieces) * u64::from(LEAF_LEN) - 1, PieceLen::MIN);
        let hashes = (0..pieces).map(|i| Hash(Sha256::digest(i.to_le_bytes()).into())).collect();
        let layer = PieceLayer::new(geometry, hashes).unwrap();
        let proven = layer.prove();
        let mut learned = VerifiedLayer::new(geometry, layer.root());
        for range in proven.ranges() {
            let mut wrong = range.clone();
            let victim = flip.index(wrong.hashes.len() + wrong.proof.len());
            let hash = if victim < wrong.hashes.len() {
                &mut wrong.hashes[victim]
            } else {
                let victim = victim - wrong.hashes.len();
                &mut wrong.proof[victim]
            };
            hash.0[31] ^= 1;
            prop_assert_eq!(learned.insert(wrong), Err(LayerError::Unproven(range.index)));
            prop_assert_eq!(learned.insert(range.clone()), Ok(()));
        }
        prop_assert_eq!(&learned, &proven);
        for piece in 0..pieces {
            let expected = layer.hashes()[piece as usize];
            prop_assert_eq!(learned.piece_hash(PieceIndex(piece)), Some(expected));
        }
    }
}

#[test]
fn a_range_of_the_wrong_shape_is_refused_without_a_panic() {
    let geometry = Geometry::new(1 << 20, PieceLen::MIN);
    let mut layer = VerifiedLayer::new(geometry, Hash::ZERO);
    let range = |index, hashes, proof| HashRange {
        index,
        hashes: vec![Hash::ZERO; hashes],
        proof: vec![Hash::ZERO; proof],
    };
    assert_eq!(layer.insert(range(1, 64, 0)), Err(LayerError::NoSuchRange(1)));
    assert_eq!(layer.insert(range(u32::MAX, 0, 0)), Err(LayerError::NoSuchRange(u32::MAX)));
    for (hashes, proof) in [(0, 0), (63, 0), (65, 0), (64, 1), (64, 40)] {
        assert_eq!(layer.insert(range(0, hashes, proof)), Err(LayerError::Unproven(0)));
    }
}

#[test]
fn a_file_of_one_piece_needs_no_layer() {
    let bytes = vec![7u8; 40_000];
    let geometry = Geometry::with_default_pieces(40_000);
    let layer = VerifiedLayer::new(geometry, naive_root(&bytes));
    assert_eq!(HashRange::count(geometry), 0);
    assert_eq!(layer.piece_hash(PieceIndex(0)), Some(piece_hash(geometry, &bytes)));
}

#[test]
fn pieces_have_the_hashes_together_that_they_have_alone() {
    let lens = [1, 100, 16384, 16385, 40_000, 64 * 1024, 3, 256 * 1024];
    let bytes: Vec<u8> = (0..256 * 1024u64).map(|at| ((at * 7919) >> 3) as u8).collect();
    for count in [1, 3, 8, 40] {
        let pieces: Vec<(Geometry, &[u8])> = (0..count)
            .map(|at| {
                let len = lens[at % lens.len()];
                (Geometry::new(len as u64, PieceLen::default_for(len as u64)), &bytes[..len])
            })
            .collect();
        let alone: Vec<Hash> = pieces.iter().map(|(it, bytes)| piece_hash(*it, bytes)).collect();
        assert_eq!(piece_hashes(&pieces), alone);
    }
}
