//! Something that a user should know and that does not stop the job, as a value.

/// What the tracker has to tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    /// A path that some ranks were told to share is not there.
    #[error("share '{path}' does not exist on rank {ranks}; it shares nothing there")]
    ShareMissing {
        /// The path as it was given.
        path: String,
        /// The ranks, as text.
        ranks: String,
    },
    /// So many more paths are not there.
    #[error("{0} more paths to be shared do not exist on their ranks")]
    MoreSharesMissing(usize),
    /// A sentence that names nothing which a job is told.
    #[error("{0}")]
    Told(String),
}

impl From<String> for Notice {
    fn from(sentence: String) -> Self {
        Self::Told(sentence)
    }
}
