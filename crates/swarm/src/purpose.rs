//! What a job is for, and how what stands at a destination differs from the catalogue. Looks at
//! nothing itself.

use serde::{Deserialize, Serialize};

/// What a job is for. All its ranks are told the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Purpose {
    /// Wanted files are brought to their destinations.
    #[default]
    Transfer,
    /// What stands at the destinations is compared with the catalogue. Nothing is written there,
    /// and no piece moves.
    Check,
    /// The same, to say what a transfer would do, and whether it could.
    DryRun,
}

impl Purpose {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Check => "check",
            Self::DryRun => "forecast",
        }
    }
}

/// Where what the catalogue lacks is removed from destinations (`--delete`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// All over them (`run`).
    Everywhere,
    /// Below what the job itself makes there (`cast`).
    BelowItsOwn,
}

/// In what an entry's destination differs from the catalogue; nothing where it does not.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u16", into = "u16")]
pub struct Differences(u16);

impl Differences {
    /// Nothing stands under the name.
    pub const MISSING: Self = Self(1);
    /// Something of another kind does.
    pub const KIND: Self = Self(2);
    /// What stands there cannot be read.
    pub const UNREADABLE: Self = Self(4);
    /// A file has other content.
    pub const CONTENT: Self = Self(8);
    /// A link leads elsewhere.
    pub const LINK: Self = Self(16);
    /// The permissions are others.
    pub const MODE: Self = Self(32);
    /// The modification time is another.
    pub const TIME: Self = Self(64);
    /// It belongs to others.
    pub const OWNER: Self = Self(128);
    /// The extended attributes are others.
    pub const XATTRS: Self = Self(256);
    /// All bits that mean something.
    const ALL: u16 = 511;

    /// Each with its word.
    const WORDS: [(Self, &'static str); 9] = [
        (Self::MISSING, "missing"),
        (Self::KIND, "kind"),
        (Self::UNREADABLE, "unreadable"),
        (Self::CONTENT, "content"),
        (Self::LINK, "link"),
        (Self::MODE, "mode"),
        (Self::TIME, "time"),
        (Self::OWNER, "owner"),
        (Self::XATTRS, "xattrs"),
    ];

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the content of a file so different is not there.
    pub const fn lack_content(self) -> bool {
        let without = Self::MISSING.0 | Self::KIND.0 | Self::UNREADABLE.0 | Self::CONTENT.0;
        self.0 & without != 0
    }

    /// Whether these are among them.
    pub const fn has(self, which: Self) -> bool {
        self.0 & which.0 == which.0
    }

    /// These and others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// These where something holds, else none.
    #[must_use]
    pub const fn only_if(self, holds: bool) -> Self {
        if holds { self } else { Self(0) }
    }

    /// What differs, for people: `content, time`.
    pub fn words(self) -> String {
        let words = Self::WORDS.iter().filter(|(which, _)| self.has(*which));
        words.map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
    }
}

impl From<Differences> for u16 {
    fn from(differences: Differences) -> Self {
        differences.0
    }
}

impl TryFrom<u16> for Differences {
    type Error = &'static str;

    /// What comes from another rank is something that can be: some differences exclude all others,
    /// so that there are few sets of them.
    fn try_from(bits: u16) -> Result<Self, Self::Error> {
        let differences = Self(bits);
        let alone = [Self::MISSING, Self::KIND, Self::UNREADABLE];
        let excluded = alone.iter().any(|it| differences.has(*it) && differences != *it);
        if bits == 0 || bits > Self::ALL || excluded {
            return Err("nothing differs so");
        }
        Ok(differences)
    }
}

/// What stands at a destination and is no entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Extra {
    /// How many files, links and directories.
    pub count: u64,
    /// The first of them, for people; not all where there are many.
    pub names: Vec<String>,
}

impl Extra {
    /// Names that are told, and bytes of all of them: they fit one message.
    const MAX_NAMES: usize = 20;
    const MAX_BYTES: usize = 16 << 10;

    /// Counts one, by its path below the destination.
    pub fn note(&mut self, path: &[u8]) {
        self.count += 1;
        let name = content::name::escape(path);
        let bytes: usize = self.names.iter().map(String::len).sum();
        if self.names.len() < Self::MAX_NAMES && bytes + name.len() <= Self::MAX_BYTES {
            self.names.push(name);
        }
    }

    /// No more than a rank may say: another one may have said anything.
    pub(crate) fn bounded(mut self) -> Self {
        self.names.truncate(Self::MAX_NAMES);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixty_six_sets_of_differences_can_be_told() {
        let possible: Vec<Differences> =
            (0..=u16::MAX).filter_map(|bits| Differences::try_from(bits).ok()).collect();
        assert_eq!(possible.len(), 66);
        for differences in possible {
            assert_eq!(Differences::try_from(u16::from(differences)), Ok(differences));
        }
    }

    #[test]
    fn what_differs_is_told_in_words() {
        let both = Differences::CONTENT.and(Differences::TIME.only_if(true));
        assert_eq!(both.and(Differences::MODE.only_if(false)).words(), "content, time");
        assert_eq!(Differences::default().words(), "");
    }
}
