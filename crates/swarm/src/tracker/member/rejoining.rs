//! A rank that tells a tracker that took over what it told the lost one. What only the catalogue
//! makes sense of is kept until that is known. Judges nothing of it.

use super::offering::Offering;
use super::serving::Serving;
use super::stage::Stage;
use crate::message::{Recall, Rejoined, ToTracker};
use content::{Catalogue, Span};

/// Messages of one rank that may wait until it has rejoined; more come from no peer of ours.
const MAX_WAITING: usize = 1 << 12;

/// A rank that has not said all of INIT again.
#[derive(Debug, Default)]
pub(super) struct Rejoining {
    /// What it offers anew, where START had not reached it.
    offering: Offering,
    memory: Memory,
    /// What it said meanwhile.
    waiting: Vec<ToTracker>,
}

/// What a rank recalls of the job.
#[derive(Debug)]
enum Memory {
    /// The catalogue is not known yet.
    Kept(Recollection),
    /// What it has and does, by the numbers of the catalogue.
    Placed(Box<Serving>),
}

impl Default for Memory {
    fn default() -> Self {
        Self::Kept(Recollection::default())
    }
}

impl Rejoining {
    pub(super) fn offering(&self) -> &Offering {
        &self.offering
    }

    pub(super) fn offering_mut(&mut self) -> &mut Offering {
        &mut self.offering
    }

    /// What it has and does, once the catalogue is known.
    pub(super) fn serving(&self) -> Option<&Serving> {
        match &self.memory {
            Memory::Kept(_) => None,
            Memory::Placed(serving) => Some(serving),
        }
    }

    pub(super) fn serving_mut(&mut self) -> Option<&mut Serving> {
        match &mut self.memory {
            Memory::Kept(_) => None,
            Memory::Placed(serving) => Some(serving),
        }
    }

    /// What it recalled, until the catalogue is known.
    pub(super) fn recollection(&self) -> Option<&Recollection> {
        match &self.memory {
            Memory::Kept(recollection) => Some(recollection),
            Memory::Placed(_) => None,
        }
    }

    pub(super) fn recollection_mut(&mut self) -> Option<&mut Recollection> {
        match &mut self.memory {
            Memory::Kept(recollection) => Some(recollection),
            Memory::Placed(_) => None,
        }
    }

    /// Keeps what can be taken only once it has rejoined.
    pub(super) fn keep_waiting(&mut self, message: ToTracker) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push(message);
        }
    }

    pub(super) fn recall_reads(&mut self, reads: &[Span]) {
        self.offering.recall_reads(reads);
    }

    /// The catalogue is known: gives what it recalled of that.
    pub(super) fn open(self, catalogue: &Catalogue) -> (Self, Recollection) {
        match self.memory {
            Memory::Placed(_) => (self, Recollection::default()),
            Memory::Kept(recollection) => {
                let memory = Memory::Placed(Box::new(Serving::new(catalogue)));
                (Self { memory, ..self }, recollection)
            }
        }
    }

    /// It offers anew, and has said it all: gives what it said meanwhile.
    pub(super) fn introduce(self) -> (Stage, Vec<ToTracker>) {
        let offering = Box::new(self.offering);
        let stage = match self.memory {
            Memory::Kept(_) => Stage::Introduced(offering),
            Memory::Placed(serving) => Stage::Latecomer { offering, serving },
        };
        (stage, self.waiting)
    }

    /// It has recalled all that it has and does: gives what it said meanwhile. Not so before the
    /// catalogue is known.
    pub(super) fn rejoin(mut self) -> (Stage, Vec<ToTracker>) {
        match self.memory {
            Memory::Kept(_) => (Stage::Rejoining(Box::new(self)), Vec::new()),
            Memory::Placed(serving) => (Stage::Serving(serving), std::mem::take(&mut self.waiting)),
        }
    }

    /// What it has and does in a job; nothing, where it recalled nothing.
    pub(super) fn into_serving(self, catalogue: &Catalogue) -> Box<Serving> {
        match self.memory {
            Memory::Kept(_) => Box::new(Serving::new(catalogue)),
            Memory::Placed(serving) => serving,
        }
    }
}

/// What a rank recalled of a job whose catalogue the tracker lacks.
#[derive(Debug, Default)]
pub(in crate::tracker) struct Recollection {
    recalls: Vec<Recall>,
    /// The end of it.
    rejoined: Option<Box<Rejoined>>,
}

impl Recollection {
    /// Keeps some of it.
    pub(super) fn keep(&mut self, recall: Recall) {
        if self.recalls.len() < MAX_WAITING {
            let recall = Recall { lost: Vec::new(), read: Vec::new(), ..recall };
            self.recalls.push(recall);
        }
    }

    /// Keeps the end of it, once.
    pub(super) fn conclude(&mut self, rejoined: Box<Rejoined>) {
        self.rejoined.get_or_insert(rejoined);
    }

    /// The digest of the catalogue that it is about, once all is recalled.
    pub(super) fn catalogue(&self) -> Option<u64> {
        self.rejoined.as_ref()?.catalogue
    }

    /// The messages that said it.
    pub(in crate::tracker) fn into_messages(self) -> impl Iterator<Item = ToTracker> {
        let recalls = self.recalls.into_iter().map(ToTracker::Recall);
        recalls.chain(self.rejoined.map(ToTracker::Rejoined))
    }
}
