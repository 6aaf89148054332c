#!/usr/bin/env python3
"""Regenerates the Merkle test vectors with libtorrent, an independent implementation of BEP 52.

    python3 -m venv venv && venv/bin/pip install libtorrent
    venv/bin/python scripts/merkle-vectors.py > crates/content/tests/data/merkle-vectors.txt

Each line: the file's length, the piece length, the file's root, and the SHA-256 of its piece layer (all piece
hashes one after the other, as the torrent holds them), or '-' where a file is one piece and has no layer.
"""

import hashlib
import os
import tempfile

import libtorrent as lt

LENGTHS = [1, 16383, 16384, 16385, 32768, 49153, 262143, 262144, 262145, 1000000, 5000000]
PIECE_LENGTHS = [16 * 1024, 64 * 1024, 256 * 1024, 1024 * 1024]


def content(length):
    """The same bytes as `content` in crates/content/tests/vectors.rs."""
    return bytes((i * 31 + i // 251 + i // 16384 * 7) & 0xFF for i in range(length))


def vectors(directory, piece_length):
    files = lt.file_storage()
    lt.add_files(files, directory)
    torrent = lt.create_torrent(files, piece_size=piece_length, flags=lt.create_torrent.v2_only)
    lt.set_piece_hashes(torrent, os.path.dirname(directory))
    made = torrent.generate()
    assert made[b"info"][b"piece length"] == piece_length
    tree = made[b"info"][b"file tree"]
    layers = made[b"piece layers"]
    for length in LENGTHS:
        leaf = tree[str(length).encode()][b""]
        assert leaf[b"length"] == length
        root = leaf[b"pieces root"]
        layer = layers.get(root)
        assert (layer is None) == (length <= piece_length)
        digest = hashlib.sha256(layer).hexdigest() if layer else "-"
        print(length, piece_length, root.hex(), digest)


with tempfile.TemporaryDirectory() as parent:
    directory = os.path.join(parent, "vectors")
    os.mkdir(directory)
    for length in LENGTHS:
        with open(os.path.join(directory, str(length)), "wb") as file:
            file.write(content(length))
    print(f"# scripts/merkle-vectors.py, libtorrent {lt.__version__}")
    print("# length, piece length, root, SHA-256 of the piece layer")
    for piece_length in PIECE_LENGTHS:
        vectors(directory, piece_length)
