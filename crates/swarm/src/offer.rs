//! What a peer says of itself at INIT: what it offers, and where it would put what it wants.

use crate::Location;
use content::{Bitfield, Entry, FileContent, Kind, Name};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One entry that a peer offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The entry; a file's root is known.
    pub entry: Entry,
    /// How much of it the peer has.
    pub held: Held,
    /// Where it comes from.
    pub origin: Origin,
}

/// What tells the share of a rank apart from others, in one job and in later ones: a hash of its
/// absolute path, its prefix, and how names begin under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShareId(pub u128);

impl ShareId {
    /// The hash of what tells a share apart (FNV-1a, 128 bits).
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = (1 << 88) | 0x13b;
        let fold = |hash: u128, byte: &u8| (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
        // No part holds a zero byte, but for the ends of parts.
        let ended = parts.into_iter().flat_map(|part| part.iter().chain([&0]));
        Self(ended.fold(BASIS, fold))
    }
}

/// Where an offered entry comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The share at this position of what the rank was told to share.
    Share(u32),
    /// An earlier job, which left a part of it here.
    Earlier {
        /// The share that it was part of; none where that is not known.
        share: Option<ShareId>,
        /// Whether nobody has gone on with it for [`STALE_AFTER`].
        is_stale: bool,
    },
}

/// What an earlier job left, and a later one has no use for, is cleared away by then.
pub const STALE_AFTER: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How much of an offered entry a peer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// All of it: something shared.
    Whole,
    /// Some pieces, left by an earlier run under `.shoal/`; numbers are within the file.
    Pieces(Bitfield),
    /// Nothing: something shared that kept changing while it was hashed. Nobody can have it.
    Nothing,
}

/// Something that lies below a share and is not shared, for it stands in the destination of the
/// rank that shares: what one run puts there is nothing that the next one offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The name that the destination would have as a directory of the share.
    pub destination: Name,
    /// The name in the destination.
    pub name: Name,
    /// How many files, directories and links that are: more than one where it is a directory.
    pub count: u64,
    /// The first names of them, below the destination.
    pub first: Vec<Name>,
}

impl LeftOut {
    /// Names that are told: with the others they fit a message.
    pub const MAX_NAMES: usize = 4;

    /// Whether all of it is named.
    pub(crate) fn is_told(&self) -> bool {
        self.first.len() as u64 == self.count
    }

    /// The names that the first of it would have in the catalogue.
    pub(crate) fn names(&self) -> impl Iterator<Item = Name> {
        let below = |name: &Name| [self.destination.as_bytes(), b"/", name.as_bytes()].concat();
        self.first.iter().filter_map(move |name| Name::new(below(name)).ok())
    }
}

/// The directory in which a peer puts what it wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Its identity, random, kept in `INTO/.shoal/id`: ranks that report the same one share the
    /// directory.
    pub id: u128,
    /// Where it is, for people.
    pub path: String,
    /// Where that is, whatever path leads there.
    pub location: Location,
    /// Whether this rank holds the directory's lock.
    pub lock: Lock,
    /// The file system that it lies on; meaningful together with the host.
    pub file_system: u64,
    /// Bytes that may still be written there.
    pub free_bytes: u64,
}

/// The state of a destination's lock, as one rank found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lock {
    /// This rank took it, and wrote this random number into it.
    Held {
        /// The number.
        nonce: u128,
    },
    /// Another process has it. It belongs to this job if a rank of this job holds the same number.
    Taken {
        /// The number found in it.
        nonce: u128,
        /// Who has it, for people: job, host and process.
        owner: String,
    },
    /// Nobody of this job wants it: the destination is only looked at.
    Unclaimed,
    /// It cannot be taken, for nothing can be written there: all that is wanted stands there
    /// already, or cannot be had.
    Sealed,
}

/// Makes the root of a file's content unknown: it is the tracker's to say.
pub(crate) fn forget_root(entry: &mut Entry) {
    if let Kind::File(content) = &mut entry.kind {
        *content = FileContent::unhashed(content.geometry);
    }
}
