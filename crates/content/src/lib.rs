//! What a file is to Shoal: its pieces, its Merkle root, its name, its place in the catalogue.
//!
//! This crate is pure: it never opens a file, reads a clock, starts a thread or asks for
//! randomness. Whoever calls it brings the bytes.

mod amount;
pub mod bitfield;
mod bundle;
pub mod catalogue;
pub mod entry;
pub mod geometry;
pub mod merkle;
mod metadata;
pub mod name;
pub mod twin;

pub use amount::Amount;
pub use bitfield::{Bitfield, Span, numbers_in};
pub use catalogue::{Catalogue, CatalogueError, EntryIndex, PieceId};
pub use entry::{Entry, FileContent, Kind};
pub use geometry::{Geometry, LEAF_LEN, PieceIndex, PieceLen, PieceLenError};
pub use merkle::{Hash, HashRange, LayerError, PieceLayer, VerifiedLayer, ZeroPieces};
pub use metadata::{Metadata, Owner, Timestamp, Xattrs};
pub use name::{Name, NameError};
pub use twin::{Tie, Twins};
