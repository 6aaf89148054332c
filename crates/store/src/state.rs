//! How far each entry is. Holds no content and opens nothing.

use super::lock;
use super::resume::Partial;
use super::salvage::Candidates;
use super::stamp::Stamp;
use content::EntryIndex;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The entries of which there is something to say; all others are untouched.
#[derive(Default)]
pub(super) struct States {
    inner: Mutex<HashMap<u32, Arc<Mutex<State>>>>,
}

/// How far an entry is.
#[derive(Default)]
pub(super) struct State {
    pub(super) phase: Phase,
    /// What its pieces may be found in; none where there is nothing, or it is finished.
    pub(super) candidates: Option<Arc<Candidates>>,
}

#[derive(Default)]
pub(super) enum Phase {
    /// There is nothing of it.
    #[default]
    Untouched,
    /// An earlier run left pieces of it, and this one has not written yet.
    Kept(Box<Partial>),
    /// It grows under `.shoal`.
    Growing,
    /// It stands whole under its name.
    Done(Stamp),
}

impl States {
    /// The state of an entry.
    pub(super) fn get(&self, entry: EntryIndex) -> Arc<Mutex<State>> {
        Arc::clone(lock(&self.inner).entry(entry.0).or_default())
    }

    /// The state of an entry of which there may be something to say.
    pub(super) fn find(&self, entry: EntryIndex) -> Option<Arc<Mutex<State>>> {
        lock(&self.inner).get(&entry.0).cloned()
    }

    /// Begins in another state than untouched.
    pub(super) fn begin(&self, entry: EntryIndex, phase: Phase) {
        lock(&self.get(entry)).phase = phase;
    }
}

impl State {
    pub(super) fn is_untouched(&self) -> bool {
        matches!(self.phase, Phase::Untouched)
    }

    /// How the finished file was when it got its name.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        match self.phase {
            Phase::Done(stamp) => Some(stamp),
            _ => None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done(_))
    }
}
