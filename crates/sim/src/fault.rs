//! What goes wrong, with whom and when; and how that is written on the command line.
//!
//! The tracker, rank 0, is a rank as others; but it holds and sends no pieces, so that nothing can
//! ail them.

use crate::random::Random;
use crate::scenario::Scenario;
use std::fmt;
use std::str::FromStr;

/// Something that goes wrong with a rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// With whom. Rank 0 is the tracker.
    pub rank: u32,
    /// When, in rounds after START. A round is the time of one piece on a link.
    pub at: u64,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// It dies, and its transport tells all others.
    Kill,
    /// It dies, and nobody is told: it falls silent.
    Vanish,
    /// It does nothing for so many rounds, and then goes on.
    Hang(u64),
    /// From now on its links and its disk are so many times slower.
    Slow(u64),
    /// From now on so many of a hundred pieces that it sends are corrupt.
    Corrupt(u64),
    /// From now on its disk is full.
    Full,
    /// It can no longer read what it holds, nor what it fetches from now on.
    Lose,
    /// The same of one file, by its number, from 1.
    LoseFile(u64),
    /// From now on messages from and to it are late, by up to so many rounds.
    Late(u64),
}

/// Why a text is no fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// It is not written as faults are.
    #[error(
        "'{0}' is no fault: write KIND:RANK@ROUND, as in kill:5@100, with kill, vanish, full or \
         lose, or KIND:RANK@ROUND:VALUE, as in slow:5@100:10, with hang (rounds), slow (factor), \
         corrupt (percent), lose (the number of a file) or late (rounds)"
    )]
    Form(String),
    /// A value beyond its limits.
    #[error("'{0}': {1}")]
    Value(String, &'static str),
}

impl FaultKind {
    /// The word that it is written with.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Vanish => "vanish",
            Self::Hang(_) => "hang",
            Self::Slow(_) => "slow",
            Self::Corrupt(_) => "corrupt",
            Self::Full => "full",
            Self::Lose | Self::LoseFile(_) => "lose",
            Self::Late(_) => "late",
        }
    }

    /// Whether a rank may fall silent with it.
    pub(crate) fn silences(self) -> bool {
        matches!(self, Self::Kill | Self::Vanish | Self::Hang(_) | Self::Late(_))
    }

    fn value(self) -> Option<u64> {
        match self {
            Self::Kill | Self::Vanish | Self::Full | Self::Lose => None,
            Self::Hang(value)
            | Self::Slow(value)
            | Self::Corrupt(value)
            | Self::LoseFile(value)
            | Self::Late(value) => Some(value),
        }
    }

    fn of(word: &str, value: Option<u64>) -> Option<Self> {
        Some(match (word, value) {
            ("kill", None) => Self::Kill,
            ("vanish", None) => Self::Vanish,
            ("full", None) => Self::Full,
            ("lose", None) => Self::Lose,
            ("lose", Some(file)) => Self::LoseFile(file),
            ("hang", Some(rounds)) => Self::Hang(rounds),
            ("slow", Some(factor)) => Self::Slow(factor),
            ("corrupt", Some(percent)) => Self::Corrupt(percent),
            ("late", Some(rounds)) => Self::Late(rounds),
            _ => return None,
        })
    }
}

impl Fault {
    /// Rounds beyond this are typing errors.
    const MAX_ROUNDS: u64 = 1_000_000_000;

    /// A fault as it may happen in a scenario. Mild or fatal, early or late, of any kind.
    pub(crate) fn random(random: &mut Random, scenario: &Scenario) -> Self {
        let rank = random.within(1, u64::from(scenario.peers)) as u32;
        let at = random.below(scenario.bound() * 3 / 2 + 2);
        let patience = scenario.patience_rounds();
        let kind = match random.below(16) {
            0..=2 => FaultKind::Kill,
            3 => FaultKind::Vanish,
            4 | 5 => FaultKind::Hang(random.within(1, patience / 2)),
            6 => FaultKind::Hang(random.within(patience, patience * 3)),
            7 | 8 => FaultKind::Slow(random.within(2, 20)),
            9 | 10 => FaultKind::Corrupt(random.one_of(&[1, 10, 50, 100])),
            11 => FaultKind::Full,
            12 if scenario.files == 1 => FaultKind::Lose,
            12 => FaultKind::LoseFile(random.within(1, u64::from(scenario.files))),
            _ => FaultKind::Late(random.one_of(&[1, 5, 30])),
        };
        Self { rank, at, kind }
    }
}

impl Fault {
    /// The loss of a rank that tracks, or may have to.
    pub(crate) fn of_tracker(random: &mut Random, scenario: &Scenario, rank: u32) -> Self {
        let at = random.below(scenario.bound() * 3 / 2 + 2);
        let patience = scenario.patience_rounds();
        let kind = match random.below(4) {
            0 => FaultKind::Kill,
            1 => FaultKind::Vanish,
            2 => FaultKind::Hang(random.within(1, patience)),
            _ => FaultKind::Hang(random.within(patience, patience * 3)),
        };
        Self { rank, at, kind }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}@{}", self.kind.word(), self.rank, self.at)?;
        self.kind.value().map_or(Ok(()), |value| write!(f, ":{value}"))
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let form = || FaultError::Form(text.to_owned());
        let number = |text: &str| text.parse::<u64>().map_err(|_| form());
        let (word, rest) = text.split_once(':').ok_or_else(form)?;
        let (rank, rest) = rest.split_once('@').ok_or_else(form)?;
        let (at, value) = match rest.split_once(':') {
            Some((at, value)) => (number(at)?, Some(number(value)?)),
            None => (number(rest)?, None),
        };
        let kind = FaultKind::of(word, value).ok_or_else(form)?;
        let wrong = |why| Err(FaultError::Value(text.to_owned(), why));
        let of_pieces = !kind.silences() && !matches!(kind, FaultKind::Late(_));
        if number(rank)? == 0 && of_pieces {
            return wrong(
                "rank 0 tracks, and has no pieces; it can be killed, vanish, hang, be late",
            );
        }
        if at > Self::MAX_ROUNDS || value.is_some_and(|value| value > Self::MAX_ROUNDS) {
            return wrong("at most a thousand million rounds");
        }
        match kind {
            FaultKind::Slow(0) => wrong("a factor is at least 1"),
            FaultKind::LoseFile(0) => wrong("files are numbered from 1"),
            FaultKind::Corrupt(101..) => wrong("at most 100 of 100 pieces"),
            _ => Ok(Self { rank: u32::try_from(number(rank)?).map_err(|_| form())?, at, kind }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_reads_as_it_is_written() {
        for text in [
            "kill:5@100",
            "vanish:1@0",
            "hang:7@3:500",
            "slow:2@0:10",
            "corrupt:3@9:100",
            "lose:1@5",
            "lose:1@5:2",
        ] {
            assert_eq!(text.parse::<Fault>().unwrap().to_string(), text);
        }
        for text in ["", "kill", "kill:5", "kill:x@1", "kill:5@1:2", "hang:5@1", "fly:5@1"] {
            assert!(matches!(text.parse::<Fault>(), Err(FaultError::Form(_))), "{text}");
        }
        for text in
            ["full:0@1", "slow:1@0:0", "lose:1@0:0", "corrupt:1@0:101", "kill:1@99999999999"]
        {
            assert!(matches!(text.parse::<Fault>(), Err(FaultError::Value(..))), "{text}");
        }
    }
}
