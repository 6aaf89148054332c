//! The stages of a rank's life in a job, and the ways from one to the next. What a rank has in one
//! stage is not there in another.
//!
//! Under the first tracker a rank is offering, then introduced, then serving from START on. Under
//! one that took over it is rejoining at first. Whoever had START goes on serving from there;
//! whoever had not is introduced, as a latecomer where the job goes on.

use super::offering::Offering;
use super::rejoining::{Recollection, Rejoining};
use super::serving::Serving;
use crate::message::ToTracker;
use content::Catalogue;

/// What a rank is for the tracker.
#[derive(Debug)]
pub(super) enum Stage {
    /// It says what it has.
    Offering(Box<Offering>),
    /// It has said all that it has, and waits for START.
    Introduced(Box<Offering>),
    /// It waits for the START of a job that goes on.
    Latecomer { offering: Box<Offering>, serving: Box<Serving> },
    /// It has START.
    Serving(Box<Serving>),
    /// It tells a tracker that took over what it told the lost one.
    Rejoining(Box<Rejoining>),
}

impl Default for Stage {
    fn default() -> Self {
        Self::Offering(Box::default())
    }
}

impl Stage {
    /// What it offers, before START.
    pub(super) fn offering(&self) -> Option<&Offering> {
        match self {
            Self::Offering(offering)
            | Self::Introduced(offering)
            | Self::Latecomer { offering, .. } => Some(offering),
            Self::Rejoining(rejoining) => Some(rejoining.offering()),
            Self::Serving(_) => None,
        }
    }

    pub(super) fn offering_mut(&mut self) -> Option<&mut Offering> {
        match self {
            Self::Offering(offering)
            | Self::Introduced(offering)
            | Self::Latecomer { offering, .. } => Some(offering),
            Self::Rejoining(rejoining) => Some(rejoining.offering_mut()),
            Self::Serving(_) => None,
        }
    }

    /// What it offers, while it may still say more.
    pub(super) fn open_offering(&mut self) -> Option<&mut Offering> {
        match self {
            Self::Offering(offering) => Some(offering),
            Self::Rejoining(rejoining) => Some(rejoining.offering_mut()),
            Self::Introduced(_) | Self::Latecomer { .. } | Self::Serving(_) => None,
        }
    }

    /// What it has and does in a job, once the catalogue is known.
    pub(super) fn serving(&self) -> Option<&Serving> {
        match self {
            Self::Latecomer { serving, .. } | Self::Serving(serving) => Some(serving),
            Self::Rejoining(rejoining) => rejoining.serving(),
            Self::Offering(_) | Self::Introduced(_) => None,
        }
    }

    pub(super) fn serving_mut(&mut self) -> Option<&mut Serving> {
        match self {
            Self::Latecomer { serving, .. } | Self::Serving(serving) => Some(serving),
            Self::Rejoining(rejoining) => rejoining.serving_mut(),
            Self::Offering(_) | Self::Introduced(_) => None,
        }
    }

    /// What it recalled of a job whose catalogue is not known.
    pub(super) fn recollection(&self) -> Option<&Recollection> {
        match self {
            Self::Rejoining(rejoining) => rejoining.recollection(),
            _ => None,
        }
    }

    pub(super) fn recollection_mut(&mut self) -> Option<&mut Recollection> {
        match self {
            Self::Rejoining(rejoining) => rejoining.recollection_mut(),
            _ => None,
        }
    }

    /// It has said all that it offers. Gives what it said before it could be taken.
    pub(super) fn introduce(self) -> (Self, Vec<ToTracker>) {
        match self {
            Self::Offering(offering) => (Self::Introduced(offering), Vec::new()),
            Self::Rejoining(rejoining) => rejoining.introduce(),
            stage => (stage, Vec::new()),
        }
    }

    /// The catalogue of a job that goes on is known. Gives what it recalled of that before.
    pub(super) fn open(self, catalogue: &Catalogue) -> (Self, Recollection) {
        match self {
            Self::Rejoining(rejoining) => {
                let (rejoining, recollection) = rejoining.open(catalogue);
                (Self::Rejoining(Box::new(rejoining)), recollection)
            }
            Self::Offering(offering) | Self::Introduced(offering) => {
                let serving = Box::new(Serving::new(catalogue));
                (Self::Latecomer { offering, serving }, Recollection::default())
            }
            stage => (stage, Recollection::default()),
        }
    }

    /// It has recalled what it has and does. Gives what it said before it could be taken.
    pub(super) fn rejoin(self) -> (Self, Vec<ToTracker>) {
        match self {
            Self::Rejoining(rejoining) => rejoining.rejoin(),
            stage => (stage, Vec::new()),
        }
    }

    /// START is said: what it offered is dropped, for it takes as much memory as what is said next.
    pub(super) fn serve(self, catalogue: &Catalogue) -> Self {
        Self::Serving(match self {
            Self::Offering(_) | Self::Introduced(_) => Box::new(Serving::new(catalogue)),
            Self::Latecomer { serving, .. } | Self::Serving(serving) => serving,
            Self::Rejoining(rejoining) => rejoining.into_serving(catalogue),
        })
    }
}
