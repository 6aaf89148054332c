//! Something that a user should know and that does not stop the job, as a value. Its sentences name
//! what a job is told, and no option of a command line.

use std::fmt;

/// What a rank has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The tracker tells it.
    Tracker(swarm::Notice),
    /// Rank 0 may use one core of so many, and other ranks likely no more: the launcher binds them.
    BoundToOneCore {
        /// The cores that it could use.
        of: u32,
    },
    /// Rank 0 only tracks, and has a host to itself.
    TracksAlone {
        /// The host.
        host: String,
    },
    /// Some of what the catalogue lacks could not be removed, or looked into.
    LeftAlone {
        /// Why, a clause each.
        failures: Vec<String>,
    },
    /// It is about what this rank shares.
    Share(store::Notice),
    /// A sentence that names nothing which a job is told.
    Told(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracker(notice) => notice.fmt(f),
            Self::Share(notice) => notice.fmt(f),
            Self::BoundToOneCore { of } => write!(
                f,
                "rank 0 may use one core of {of}, and other ranks likely no more: have the \
                 launcher bind them to none"
            ),
            Self::TracksAlone { host } => write!(
                f,
                "rank 0 only tracks, and has host {host} to itself: colocated, it is a peer too"
            ),
            Self::LeftAlone { failures } => {
                write!(f, "left alone, though extra: {}", failures.join("; "))
            }
            Self::Told(sentence) => f.write_str(sentence),
        }
    }
}
