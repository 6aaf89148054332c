//! What drives Shoal's decoders and state machines with arbitrary bytes: one function a family.
//!
//! Each takes any bytes and panics where something is wrong: a panic inside, an answer that makes no
//! sense, or an action that is absurd. libFuzzer calls them (`fuzz_targets/`), and so does a test on
//! the corpus and on mutations of it, on any toolchain, so that they cannot rot.

mod bytes;
mod driver;
mod input;
pub mod memory;
mod peer;
#[cfg(feature = "text")]
mod texts;
mod tracker;
mod words;

pub use bytes::{hashes, message, sidecar};
pub use peer::peer;
#[cfg(feature = "text")]
pub use texts::text;
pub use tracker::tracker;

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// All of them, by the names of their directories under `corpus/`.
pub const TARGETS: &[(&str, Target)] = &[
    ("message", message),
    ("hashes", hashes),
    ("sidecar", sidecar),
    ("peer", peer),
    ("tracker", tracker),
    #[cfg(feature = "text")]
    ("text", text),
];
