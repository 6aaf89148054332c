//! Bundles: small files that are neighbours in the row of all pieces travel together. Says where a
//! bundle begins and ends, and knows nothing of who has what.
//!
//! The row is cut once and for all, alike on every rank, so that a bundle that one rank has fetched
//! is what the next asks for. A small file keeps its own number, its own hash and its own place in
//! every set of pieces; only what travels is joined.

use crate::{Bitfield, Entry, Geometry, PieceLen, Span};
use std::ops::Range;

/// The longest file that travels with others: the shortest piece of the default rule.
const MAX_FILE_BYTES: u64 = 256 << 10;
/// The longest bundle. Where all small files together are short it is as long as a piece of one
/// file of their length would be, so that many ranks can fetch different ones.
const MAX_BYTES: u64 = 1 << 20;

/// Where the row of pieces is cut into what travels as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bundles {
    /// The pieces that travel with the one before them.
    joined: Bitfield,
    /// The bytes of the longest piece or bundle.
    longest: u64,
    /// The pieces of the bundle with the most.
    most: u32,
}

impl Bundles {
    /// The most files in a bundle: ten of them are listed in a message, however short they are.
    const MAX_FILES: u32 = 128;

    /// Cuts the row of `pieces` that these entries make.
    pub(crate) fn of(entries: &[Entry], pieces: u32) -> Self {
        let files = || entries.iter().filter_map(Entry::file).map(|content| content.geometry);
        let small = |len: u64| len <= MAX_FILE_BYTES;
        let all: u64 = files()
            .filter(|file| file.is_single_piece() && small(file.len()))
            .map(Geometry::len)
            .sum();
        let limit = u64::from(PieceLen::default_for(all).bytes()).min(MAX_BYTES);
        let mut bundles = Self { joined: Bitfield::new(pieces), longest: 0, most: 1 };
        // Bytes and files of the bundle that ends with the last piece; none where nothing joins it.
        let (mut piece, mut open) = (0, None);
        for file in files().filter(|file| !file.is_empty()) {
            let len = file.len();
            open = match open {
                _ if !file.is_single_piece() || !small(len) => None,
                Some((bytes, count)) if bytes + len <= limit && count < Self::MAX_FILES => {
                    bundles.joined.insert(piece);
                    bundles.most = bundles.most.max(count + 1);
                    Some((bytes + len, count + 1))
                }
                _ => Some((len, 1)),
            };
            let alone = len.min(u64::from(file.piece_len().bytes()));
            bundles.longest = bundles.longest.max(open.map_or(alone, |(bytes, _)| bytes));
            piece += file.piece_count();
        }
        bundles
    }

    /// The bytes of the longest piece or bundle.
    pub(crate) fn longest(&self) -> u64 {
        self.longest
    }

    /// The pieces of the bundle with the most; 1 where nothing is joined.
    pub(crate) fn most(&self) -> u32 {
        self.most
    }

    /// Whether a piece travels with the one before it, where both are to travel.
    pub(crate) fn is_joined(&self, piece: u32) -> bool {
        self.joined.get(piece)
    }

    /// Cuts a run of pieces into what travels as one.
    pub(crate) fn cut(&self, run: Range<u32>) -> impl Iterator<Item = Span> + '_ {
        let mut next = run.start;
        std::iter::from_fn(move || {
            let first = next;
            if first >= run.end {
                return None;
            }
            next += 1;
            while next < run.end && self.joined.get(next) {
                next += 1;
            }
            Some(Span { first, count: next - first })
        })
    }

    /// Joins what travels as one into runs that [`Self::cut`] takes apart in the same way.
    pub(crate) fn join(&self, parts: impl IntoIterator<Item = Span>) -> Vec<Span> {
        let mut runs: Vec<Span> = Vec::new();
        for part in parts {
            match runs.last_mut() {
                Some(run)
                    if run.first.checked_add(run.count) == Some(part.first)
                        && !self.joined.get(part.first) =>
                {
                    run.count += part.count;
                }
                _ => runs.push(part),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FileContent, Kind, Metadata, Name, Timestamp};
    use proptest::prelude::*;

    const KIB: u64 = 1024;

    fn bundles(lens: &[u64]) -> (Bundles, u32) {
        let modified = Timestamp { seconds: 0, nanoseconds: 0 };
        let entry = |(number, &len): (usize, &u64)| Entry {
            name: Name::new(number.to_string()).unwrap(),
            kind: Kind::File(FileContent {
                geometry: Geometry::new(len, PieceLen::default_for(len)),
                root: None,
                zero_bytes: 0,
            }),
            metadata: Metadata::new(0o644, modified),
        };
        let entries: Vec<Entry> = lens.iter().enumerate().map(entry).collect();
        let pieces = entries.iter().filter_map(Entry::file);
        let pieces = pieces.map(|content| content.geometry.piece_count()).sum();
        (Bundles::of(&entries, pieces), pieces)
    }

    fn counts(lens: &[u64]) -> Vec<u32> {
        let (bundles, pieces) = bundles(lens);
        bundles.cut(0..pieces).map(|bundle| bundle.count).collect()
    }

    #[test]
    fn small_files_travel_together_up_to_a_quarter_of_a_mebibyte_where_there_are_few() {
        assert_eq!(counts(&[100 * KIB; 5]), [2, 2, 1]);
        assert_eq!(counts(&[1; 300]), [128, 128, 44]);
        assert_eq!(counts(&[]), [0; 0]);
    }

    #[test]
    fn many_small_files_make_bundles_of_a_mebibyte() {
        assert!(counts(&vec![128 * KIB; 16 * 1024])[..100].iter().all(|&count| count == 8));
    }

    #[test]
    fn a_long_file_travels_piece_by_piece_and_parts_its_neighbours() {
        assert_eq!(counts(&[KIB, 0, KIB, 600 * KIB, KIB]), [2, 1, 1, 1, 1]);
        assert_eq!(bundles(&[KIB, 600 * KIB]).0.longest(), 256 * KIB);
        assert_eq!(bundles(&[KIB, KIB]).0.longest(), 2 * KIB);
    }

    proptest! {
        #[test]
        fn what_is_joined_is_cut_in_the_same_way(
            lens in prop::collection::vec(0u64..400 * KIB, 0..60),
            kept in prop::collection::vec(any::<bool>(), 120),
            alone in prop::collection::vec(any::<bool>(), 120),
        ) {
            let (bundles, pieces) = bundles(&lens);
            let mut parts: Vec<Span> = Vec::new();
            for part in bundles.cut(0..pieces) {
                for piece in part.numbers() {
                    if !kept[piece as usize % 120] {
                        continue;
                    }
                    match parts.last_mut() {
                        Some(last) if !alone[piece as usize % 120]
                            && last.first >= part.first
                            && last.last() + 1 == piece => last.count += 1,
                        _ => parts.push(Span { first: piece, count: 1 }),
                    }
                }
            }
            let runs = bundles.join(parts.iter().copied());
            let cut: Vec<Span> = runs
                .iter()
                .flat_map(|run| bundles.cut(run.first..run.first + run.count))
                .collect();
            prop_assert_eq!(cut, parts);
        }
    }
}
