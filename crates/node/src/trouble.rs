//! Why this rank cannot do what it was told, as a value, on its way to a sentence: other ranks are
//! told a sentence, so this one words it. The words are the program's, where it has some.

use std::fmt;
use store::{ShareError, SourceError, WriteError};

/// Why this rank cannot do what it was told.
#[derive(Debug)]
pub enum Trouble<'a> {
    /// Something cannot be shared.
    Share(&'a ShareError),
    /// Something cannot be written.
    Write(&'a WriteError),
    /// A part of a source that all ranks see cannot be read, or not be kept.
    Source(&'a SourceError),
    /// Something is wanted, and there is nowhere to put it.
    NoDestination,
    /// Owners are to be kept, and this process may not give them.
    OwnersNeedRoot,
    /// The destination's file system keeps no extended attributes.
    NoXattrs {
        /// The destination.
        into: String,
    },
    /// What the catalogue lacks would be removed from `/`.
    RemovesRoot,
    /// What this rank shares would be removed.
    RemovesShare {
        /// What it shares.
        path: String,
    },
}

impl fmt::Display for Trouble<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(error) => error.fmt(f),
            Self::Write(error) => error.fmt(f),
            Self::Source(error) => error.fmt(f),
            Self::NoDestination => f.write_str("there is no destination to put it in"),
            Self::OwnersNeedRoot => f.write_str(
                "owners can be given by root alone: start the job as root, or keep no owners",
            ),
            Self::NoXattrs { into } => write!(
                f,
                "'{into}' lies on a file system that keeps no extended attributes; choose another \
                 destination, or keep none"
            ),
            Self::RemovesRoot => {
                f.write_str("what is extra would be removed from '/': choose another destination")
            }
            Self::RemovesShare { path } => write!(
                f,
                "what is shared would be removed: '{path}' lies in the destination under another \
                 name; choose another destination, or remove nothing"
            ),
        }
    }
}

/// How a program words troubles for its users.
#[derive(Clone, Copy)]
pub struct Words(pub fn(&Trouble<'_>) -> String);

impl Words {
    /// The sentence for a trouble.
    pub(crate) fn of(self, trouble: &Trouble<'_>) -> String {
        (self.0)(trouble)
    }
}

impl Default for Words {
    fn default() -> Self {
        Self(|trouble| trouble.to_string())
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words")
    }
}
