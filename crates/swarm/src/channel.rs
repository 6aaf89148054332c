//! The channels of the protocol: MPI tags with a meaning, as the seed named and numbered them.

use std::fmt;

/// What a message is about. The discriminants are the MPI tags; they are a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Channel {
    /// Questions to the tracker (who holds this file? STOP), and its answers.
    TrackerDth = 0,
    /// INIT of each peer; START of the tracker.
    Init = 1,
    /// Requests of a download role to an upload role.
    DthUth = 2,
    /// The raw bytes of acknowledged pieces.
    Piece = 3,
    /// The end: FINISH, the final counters, END.
    Finish = 4,
    /// Acknowledgements of requests, in front of their pieces.
    Ack = 5,
    /// What a peer gained, and signs of life.
    Update = 6,
}

impl Channel {
    /// The channels that carry encoded messages: all but [`Channel::Piece`].
    pub const CONTROL: [Self; 6] =
        [Self::TrackerDth, Self::Init, Self::DthUth, Self::Finish, Self::Ack, Self::Update];

    /// The MPI tag.
    pub const fn tag(self) -> i32 {
        self as i32
    }

    /// The seed's name, as it is shown in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TrackerDth => "TRACKER_DTH",
            Self::Init => "INIT",
            Self::DthUth => "DTH_UTH",
            Self::Piece => "PIECE",
            Self::Finish => "FINISH",
            Self::Ack => "ACK",
            Self::Update => "UPDATE",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_are_those_of_the_contract() {
        let tags: Vec<(i32, &str)> = Channel::CONTROL.iter().map(|c| (c.tag(), c.name())).collect();
        let contract = [
            (0, "TRACKER_DTH"),
            (1, "INIT"),
            (2, "DTH_UTH"),
            (4, "FINISH"),
            (5, "ACK"),
            (6, "UPDATE"),
        ];
        assert_eq!(tags, contract);
        assert_eq!(Channel::Piece.tag(), 3);
    }
}
