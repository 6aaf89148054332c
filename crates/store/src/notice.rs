//! What the user should know of what is shared and cannot be kept as it is, as a value. Its
//! sentences name what a share is told, and no option of a command line.

use super::Tally;
use std::fmt;

/// What a rank has to tell of what it shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Symbolic links that lead out of what is shared, and arrive as links.
    LinksLeadOut(Tally),
    /// Names that belong to other users, which is not kept.
    OwnersNotKept(Tally),
    /// A sentence that names nothing which a share is told.
    Told(String),
}

impl Notice {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::LinksLeadOut(tally) | Self::OwnersNotKept(tally) => tally.is_empty(),
            Self::Told(sentence) => sentence.is_empty(),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self {
            Self::LinksLeadOut(links) => links.sentence(
                "link leads out of what is shared, and arrives as a link; followed, what it leads \
                 to is shared",
                "links lead out of what is shared, and arrive as links; followed, what they lead \
                 to is shared",
            ),
            Self::OwnersNotKept(names) => names.sentence(
                "name shared here belongs to another user, and its owner is not kept",
                "names shared here belong to other users, and owners are not kept",
            ),
            Self::Told(sentence) => Some(sentence.clone()),
        };
        f.write_str(&sentence.unwrap_or_default())
    }
}
