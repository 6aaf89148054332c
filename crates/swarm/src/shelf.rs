//! A large catalogue in parts, for those that ask: each part has its SHA-256 for a name, by which
//! it is asked for and verified alone. Nothing encoded is kept: a part is some of the entries, and
//! whoever has these can say it again. It never decides whom to ask.

use crate::message::{PART_BYTES, parts_within};
use content::{Catalogue, Entry, Hash};
use std::collections::BTreeMap;
use std::ops::Range;

/// How a catalogue reaches the peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// One of at most so many bytes travels in START itself, to every peer; a longer one is fetched
    /// in parts, from peers that have them.
    pub inline_bytes: usize,
    /// The most bytes of a part; at most [`PART_BYTES`]. An entry that is longer is a part.
    pub part_bytes: usize,
}

impl Default for Spread {
    /// About a thousand entries inline: as long as one message may be, so that what is saved by
    /// fetching is more than the time of the questions. Parts that fill half a message.
    fn default() -> Self {
        Self { inline_bytes: 64 << 10, part_bytes: PART_BYTES }
    }
}

/// Which entries each part has.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    hashes: Vec<Hash>,
    entries: BTreeMap<Hash, Range<usize>>,
}

impl Shelf {
    /// The parts of a catalogue; none where it travels in START.
    pub(crate) fn of(catalogue: &Catalogue, spread: Spread) -> Option<Self> {
        let mut left = spread.inline_bytes;
        let is_small = catalogue.entries().iter().all(|entry| {
            let len = postcard::experimental::serialized_size(entry).expect("every entry encodes");
            let fits = len <= left;
            left = left.saturating_sub(len);
            fits
        });
        if is_small {
            return None;
        }
        let mut shelf = Self::default();
        for part in parts_within(catalogue.entries(), spread.part_bytes) {
            shelf.push(digest(&part), part.len());
        }
        Some(shelf)
    }

    /// Puts a part behind the others.
    pub(crate) fn push(&mut self, hash: Hash, entry_count: usize) {
        let from = self.hashes.last().map_or(0, |last| self.entries[last].end);
        self.hashes.push(hash);
        self.entries.insert(hash, from..from + entry_count);
    }

    /// The hashes of all parts, in order.
    pub(crate) fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The entries of a part; none where there is no such part.
    pub(crate) fn part(&self, catalogue: &Catalogue, hash: Hash) -> Option<Vec<Entry>> {
        let range = self.entries.get(&hash)?.clone();
        catalogue.entries().get(range).map(<[Entry]>::to_vec)
    }
}

/// The SHA-256 of a part: of its entries as a message carries them.
pub(crate) fn digest<T: serde::Serialize>(entries: &[T]) -> Hash {
    Hash::of(&postcard::to_allocvec(entries).expect("every entry encodes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use content::{Kind, Metadata, Name, Timestamp};
    use proptest::prelude::*;

    fn entry(name: &str) -> Entry {
        let modified = Timestamp { seconds: 0, nanoseconds: 0 };
        let metadata = Metadata::new(0o755, modified);
        Entry { name: Name::new(name).unwrap(), kind: Kind::Directory, metadata }
    }

    fn catalogue(names: impl IntoIterator<Item = String>) -> Catalogue {
        Catalogue::new(names.into_iter().map(|name| entry(&name)).collect()).unwrap()
    }

    #[test]
    fn a_small_catalogue_has_no_parts_and_one_byte_more_makes_some() {
        let catalogue = catalogue((0..10).map(|at| format!("d{at}")));
        let len = |entry| postcard::to_allocvec(entry).unwrap().len();
        let bytes: usize = catalogue.entries().iter().map(len).sum();
        let spread = |inline_bytes| Spread { inline_bytes, part_bytes: PART_BYTES };
        assert!(Shelf::of(&catalogue, spread(bytes)).is_none());
        assert_eq!(Shelf::of(&catalogue, spread(bytes - 1)).unwrap().hashes().len(), 1);
    }

    #[test]
    fn an_unknown_part_is_not_there() {
        let catalogue = catalogue((0..10).map(|at| format!("d{at}")));
        let shelf = Shelf::of(&catalogue, Spread { inline_bytes: 0, part_bytes: 40 }).unwrap();
        assert_eq!(shelf.part(&catalogue, Hash::ZERO), None);
    }

    proptest! {
        #[test]
        fn the_parts_in_order_are_the_catalogue_and_each_is_what_its_hash_says(
            names in prop::collection::btree_set("[a-z]{1,60}", 1..200),
            part_bytes in 1_usize..2000,
        ) {
            let catalogue = catalogue(names);
            let shelf = Shelf::of(&catalogue, Spread { inline_bytes: 0, part_bytes }).unwrap();
            let parts: Vec<Vec<Entry>> = shelf.hashes().iter().map(|&hash| {
                let part = shelf.part(&catalogue, hash).unwrap();
                assert_eq!(digest(&part), hash);
                part
            }).collect();
            let len = |entry| postcard::to_allocvec(entry).unwrap().len();
            for part in &parts {
                let bytes: usize = part.iter().map(len).sum();
                prop_assert!(part.len() == 1 || bytes <= part_bytes);
            }
            prop_assert_eq!(parts.concat(), catalogue.entries());
        }
    }
}
