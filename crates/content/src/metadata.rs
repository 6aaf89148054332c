//! What is kept of an entry besides its content.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

/// What is kept of an entry besides its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission bits, the low twelve of `st_mode`.
    pub mode: u32,
    /// Modification time.
    pub modified: Timestamp,
    /// User and group; none where they are the receiver's own affair.
    pub owner: Option<Owner>,
    /// Extended attributes, where they are kept: these and no others.
    pub xattrs: Option<Xattrs>,
}

impl Metadata {
    /// What is kept of every entry.
    pub const fn new(mode: u32, modified: Timestamp) -> Self {
        Self { mode, modified, owner: None, xattrs: None }
    }
}

/// Whom something belongs to, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
}

/// A point of time as a file system keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp {
    /// Seconds since 1970, negative before.
    pub seconds: i64,
    /// Nanoseconds to add, below 10^9.
    #[serde(deserialize_with = "nanoseconds")]
    pub nanoseconds: u32,
}

/// Nanoseconds that may come from anywhere: numbers from 10^9 on mean something else to the system.
fn nanoseconds<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let nanoseconds = u32::deserialize(from)?;
    if nanoseconds < 1_000_000_000 {
        Ok(nanoseconds)
    } else {
        Err(D::Error::custom("a second has 10^9 nanoseconds"))
    }
}

/// The extended attributes of an entry, in order of their names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<(Vec<u8>, Vec<u8>)>", into = "Vec<(Vec<u8>, Vec<u8>)>")]
pub struct Xattrs(Vec<(Vec<u8>, Vec<u8>)>);

impl Xattrs {
    /// The most bytes of all names and values of one entry: it travels in one message with its
    /// name.
    pub const MAX_BYTES: usize = 16 << 10;
    /// Linux's `XATTR_NAME_MAX`.
    const MAX_NAME_LEN: usize = 255;

    /// The names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The value of a name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self.0.binary_search_by(|(own, _)| own.as_slice().cmp(name));
        found.ok().map(|at| self.0[at].1.as_slice())
    }
}

impl TryFrom<Vec<(Vec<u8>, Vec<u8>)>> for Xattrs {
    type Error = &'static str;

    fn try_from(mut all: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Self, Self::Error> {
        let is_name =
            |name: &Vec<u8>| (1..=Self::MAX_NAME_LEN).contains(&name.len()) && !name.contains(&0);
        if !all.iter().all(|(name, _)| is_name(name)) {
            return Err("no extended attribute can have this name");
        }
        if all.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > Self::MAX_BYTES
        {
            return Err("more extended attributes than can be told");
        }
        all.sort_unstable();
        all.dedup_by(|later, first| later.0 == first.0);
        Ok(Self(all))
    }
}

impl From<Xattrs> for Vec<(Vec<u8>, Vec<u8>)> {
    fn from(xattrs: Xattrs) -> Self {
        xattrs.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_in_order_and_few_enough_to_be_told() {
        let pair = |name: &str, len| (name.as_bytes().to_vec(), vec![7; len]);
        let some = Xattrs::try_from(vec![pair("user.b", 2), pair("user.a", 0)]).unwrap();
        assert_eq!(some.iter().map(|(name, _)| name).collect::<Vec<_>>(), [b"user.a", b"user.b"]);
        assert_eq!(some.get(b"user.b"), Some(&[7, 7][..]));
        assert_eq!(some.get(b"user.c"), None);
        assert!(Xattrs::try_from(vec![pair("user.a", Xattrs::MAX_BYTES - 6)]).is_ok());
        assert!(Xattrs::try_from(vec![pair("user.a", Xattrs::MAX_BYTES - 5)]).is_err());
        for odd in ["", "user.\0", &"x".repeat(256)] {
            assert!(Xattrs::try_from(vec![pair(odd, 1)]).is_err(), "{odd:?}");
        }
    }
}
