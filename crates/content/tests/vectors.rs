//! The Merkle tree against roots and piece layers that libtorrent, an independent implementation of
//! BEP 52, computed for the same bytes. `scripts/merkle-vectors.py` regenerates the data.

use content::merkle::piece_hash;
use content::{Geometry, PieceLayer, PieceLen};
use sha2::{Digest, Sha256};

const VECTORS: &str = include_str!("data/merkle-vectors.txt");

/// The same bytes as `content` in `scripts/merkle-vectors.py`.
fn content(len: u64) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251 + i / 16384 * 7) as u8).collect()
}

fn layer_of(bytes: &[u8], piece_len: PieceLen) -> PieceLayer {
    let geometry = Geometry::new(bytes.len() as u64, piece_len);
    let hashes =
        bytes.chunks(piece_len.bytes() as usize).map(|piece| piece_hash(geometry, piece)).collect();
    PieceLayer::new(geometry, hashes).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn roots_and_piece_layers_are_those_of_libtorrent() {
    let mut compared = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(' ').collect();
        let [len, piece_len, root, layer_digest] = fields[..] else {
            panic!("not a vector: {line}");
        };
        let piece_len = PieceLen::from_bytes(piece_len.parse().unwrap()).unwrap();
        let layer = layer_of(&content(len.parse().unwrap()), piece_len);
        assert_eq!(layer.root().to_string(), root, "the root of {line}");
        if layer.geometry().is_single_piece() {
            assert_eq!(layer_digest, "-", "{line}");
        } else {
            let mut sha = Sha256::new();
            layer.hashes().iter().for_each(|hash| sha.update(hash.0));
            assert_eq!(hex(&sha.finalize()), layer_digest, "the piece layer of {line}");
        }
        compared += 1;
    }
    assert_eq!(compared, 44, "11 lengths in 4 piece lengths");
}

#[test]
fn an_empty_file_has_no_pieces_and_the_zero_root() {
    let layer = layer_of(&[], PieceLen::MIN);
    assert!(layer.hashes().is_empty());
    assert_eq!(layer.root(), content::Hash::ZERO);
}
