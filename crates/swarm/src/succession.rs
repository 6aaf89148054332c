//! The knowledge that a rank takes over the tracker with: its peer hands it to the new tracker, and
//! both know this type alone of each other.

use crate::{Instant, Rank};
use content::Catalogue;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a rank knows that takes over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Succession {
    /// The catalogue, where START had reached it.
    pub catalogue: Option<Arc<Catalogue>>,
    /// Ranks that are lost, and why.
    pub lost: BTreeMap<Rank, String>,
    /// When START had reached it.
    pub started: Option<Instant>,
}
