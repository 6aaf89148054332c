//! The states of a piece, and the transitions between them. Knows no piece.

/// The state of a piece, as far as this rank's own destination is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing is to be done: the entry is not to be written, not surveyed yet, or closed; or this
    /// rank writes nothing more.
    Idle,
    /// The piece is missing, and its entry waits for the entry from which it is made.
    HeldBack,
    /// The piece is missing, and its hash is not known yet.
    NeedsHash,
    /// The piece waits to be made, or to be looked for, on this rank.
    Local,
    /// The piece is being looked for on this rank.
    Searching,
    /// The piece may be asked of a holder.
    Wanted,
    /// The piece was asked of a holder, or is on its way from one.
    InFlight,
    /// The piece came, and is being verified and written.
    Writing,
    /// The piece is written at the destination.
    Have,
    /// The piece is missing, and no rank has it.
    Unavailable,
}

impl State {
    /// Whether a piece may go from this state to another.
    pub(super) fn leads_to(self, next: State) -> bool {
        match next {
            State::Idle => self != State::Idle && self != State::Have,
            State::HeldBack => matches!(self, State::Idle | State::Wanted | State::Unavailable),
            State::NeedsHash => matches!(self, State::HeldBack | State::NeedsHash),
            State::Local => {
                matches!(self, State::HeldBack | State::NeedsHash | State::Unavailable)
                    || self == State::Searching
            }
            State::Searching => self == State::Local,
            State::Wanted => {
                matches!(self, State::HeldBack | State::NeedsHash)
                    || matches!(self, State::InFlight | State::Writing | State::Searching)
            }
            State::InFlight => self == State::Wanted,
            State::Writing => self == State::InFlight,
            State::Have => {
                matches!(self, State::Idle | State::Local | State::Searching | State::Writing)
            }
            State::Unavailable => matches!(self, State::Wanted | State::NeedsHash),
        }
    }

    /// Whether a missing piece of an entry that gathers is in this state while nothing is under way
    /// for it.
    pub(super) fn waits(self) -> bool {
        matches!(
            self,
            State::HeldBack | State::NeedsHash | State::Local | State::Wanted | State::Unavailable
        )
    }
}

/// The way in which a missing piece is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peer) enum Route {
    /// Its hash must be learned first.
    Hash,
    /// It is zeros throughout, and made on this rank.
    Make,
    /// It is looked for on this rank.
    Search,
    /// It is asked of a holder.
    Fetch,
}

/// The place in which a piece is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peer) enum SearchPlace {
    /// The destination, or a local copy of the source.
    Destination,
    /// The source that all ranks see.
    Source,
}

/// The prospects of an entry after a transition of one of its pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(in crate::peer) enum Outlook {
    /// It goes on as before.
    Open,
    /// All its pieces are written.
    Complete,
    /// All pieces that it misses are unavailable.
    Exhausted,
}

/// The use of a piece that came after its request was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peer) enum LateClaim {
    /// It was wanted, and counts as in flight from now on.
    Taken,
    /// It is in flight from another holder, too.
    InFlight,
    /// It is of no use.
    Useless,
}

/// The counts of an entry that gathers its pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) missing: u32,
    pub(super) unavailable: u32,
}

impl Tally {
    /// The prospects of the entry.
    pub(super) fn outlook(self) -> Outlook {
        if self.missing == 0 {
            Outlook::Complete
        } else if self.missing == self.unavailable {
            Outlook::Exhausted
        } else {
            Outlook::Open
        }
    }
}
