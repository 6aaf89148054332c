//! The beginning of INIT: who a peer is and what it wants, in as many messages as it takes.

use super::{SharedFs, ToTracker, cut, parts};
use crate::{Destination, Location, ShareId};
use serde::{Deserialize, Serialize};

/// Who a peer is, what it wants, and where it would put it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The name of its host.
    pub host: String,
    /// The name of its rack, where it was told one.
    pub rack: Option<String>,
    /// The paths that it was told to share. The last of them, where parts of the list went before.
    pub shares: Vec<SharedPath>,
    /// Whether it waits to be told which of them to read (`cast`), or reads all of them (`run`).
    pub waits_for_read: bool,
    /// Whether others may see the same source.
    pub shared_fs: SharedFs,
    /// The patterns of what it wants; the last of them likewise.
    pub wants: Vec<String>,
    /// Whether it wants what it shares itself, too (`cast`).
    pub wants_own: bool,
    /// Its destination; the reason, where it cannot receive; none where it wants nothing.
    pub destination: Option<Result<Destination, String>>,
}

/// A path that a peer was told to share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedPath {
    /// The path, for people.
    pub path: String,
    /// Where that is, and what is mounted below it; empty where it is not there.
    pub locations: Vec<Location>,
    /// What tells it apart from other shares, in this job and in later ones.
    pub id: ShareId,
}

/// Some of the shares and wants of a peer, in order; its [`Hello`] comes last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HelloPart {
    /// As in [`Hello::shares`].
    pub shares: Vec<SharedPath>,
    /// As in [`Hello::wants`].
    pub wants: Vec<String>,
}

/// One thing to tell. A part takes as many as fit a message.
#[derive(Serialize)]
enum Item {
    Share(SharedPath),
    Want(String),
}

impl HelloPart {
    /// The longest path or pattern in bytes: the longest path of Linux with every byte escaped.
    pub const MAX_TEXT_LEN: usize = 4 * 4096;
    /// The most bytes of all paths and patterns of one rank: hundreds of thousands of them, and
    /// still little beside what the files themselves take.
    pub const MAX_BYTES: usize = 64 << 20;
    /// What a path or pattern costs beside its own bytes.
    const ITEM_BYTES: usize = 32;

    /// What the lists take in memory, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        let wants = self.wants.iter().map(String::len);
        let texts = self.shares.iter().map(SharedPath::text_bytes).chain(wants);
        texts.map(|bytes| bytes + Self::ITEM_BYTES).sum()
    }

    /// Puts what another part lists behind what this one does.
    pub(crate) fn append(&mut self, mut more: Self) {
        self.shares.append(&mut more.shares);
        self.wants.append(&mut more.wants);
    }

    /// # Errors
    ///
    /// Says what is too long or too much to be told.
    fn check(&self) -> Result<(), String> {
        let texts = || self.shares.iter().map(|share| &share.path).chain(&self.wants);
        if let Some(long) = texts().find(|text| text.len() > Self::MAX_TEXT_LEN) {
            let (len, begin) = (long.len(), cut(long.clone(), 64));
            let max = Self::MAX_TEXT_LEN;
            return Err(format!(
                "a path or pattern of {len} bytes is longer than {max}: '{begin}...'"
            ));
        }
        if let Some(long) = self.shares.iter().find(|it| it.text_bytes() > SharedPath::MAX_BYTES) {
            let begin = cut(long.path.clone(), 64);
            return Err(format!("a path is too long to be told where it lies: '{begin}...'"));
        }
        if self.bytes() > Self::MAX_BYTES {
            let (count, mib) = (texts().count(), Self::MAX_BYTES >> 20);
            return Err(format!(
                "{count} paths and patterns are more than the {mib} MiB that one rank may name: share a \
                 directory that holds them, or want them with one pattern"
            ));
        }
        Ok(())
    }
}

impl SharedPath {
    /// The most bytes of what is mounted below: it fits a message beside the rest. There is more
    /// of it only below `/`, and the like.
    const MAX_MOUNTED_BYTES: usize = 8 << 10;
    /// The most bytes of all its texts.
    const MAX_BYTES: usize = 28 << 10;

    /// A path that is there.
    pub fn at(path: String, mut locations: Vec<Location>) -> Self {
        let mut bytes = 0;
        let sums = locations.iter().skip(1).map(|mounted| {
            bytes += mounted.text_bytes();
            bytes
        });
        let kept = sums.take_while(|bytes| *bytes <= Self::MAX_MOUNTED_BYTES).count();
        locations.truncate(1 + kept);
        Self { locations, ..Self::missing(path) }
    }

    /// A path that is not there.
    pub fn missing(path: String) -> Self {
        let id = ShareId::of([path.as_bytes()]);
        Self { path, locations: Vec::new(), id }
    }

    /// The same where more than its text tells it apart.
    pub fn known_as(self, id: ShareId) -> Self {
        Self { id, ..self }
    }

    /// Whether something is at the path.
    pub fn is_there(&self) -> bool {
        !self.locations.is_empty()
    }

    fn text_bytes(&self) -> usize {
        self.path.len() + self.locations.iter().map(Location::text_bytes).sum::<usize>()
    }
}

impl Hello {
    /// The messages that say it.
    ///
    /// # Errors
    ///
    /// Says what is too long or too much to be told.
    pub(crate) fn messages(mut self) -> Result<Vec<ToTracker>, String> {
        let lists = self.take_lists();
        lists.check()?;
        self.host = cut(self.host, ToTracker::MAX_SENTENCE_LEN);
        self.rack = self.rack.map(|rack| cut(rack, ToTracker::MAX_SENTENCE_LEN));
        match &mut self.destination {
            Some(Ok(destination)) => {
                destination.path =
                    cut(std::mem::take(&mut destination.path), HelloPart::MAX_TEXT_LEN);
            }
            Some(Err(why)) => *why = cut(std::mem::take(why), ToTracker::MAX_SENTENCE_LEN),
            None => {}
        }
        let shares = lists.shares.into_iter().map(Item::Share);
        let items = parts(shares.chain(lists.wants.into_iter().map(Item::Want)));
        let mut lists: Vec<HelloPart> = items.into_iter().map(HelloPart::of).collect();
        let HelloPart { shares, wants } = lists.pop().expect("there is one part at least");
        (self.shares, self.wants) = (shares, wants);
        let mut messages: Vec<ToTracker> = lists.into_iter().map(ToTracker::HelloPart).collect();
        messages.push(ToTracker::Hello(Box::new(self)));
        Ok(messages)
    }

    /// Takes the lists out.
    pub(crate) fn take_lists(&mut self) -> HelloPart {
        let (shares, wants) = (&mut self.shares, &mut self.wants);
        HelloPart { shares: std::mem::take(shares), wants: std::mem::take(wants) }
    }
}

impl HelloPart {
    fn of(items: Vec<Item>) -> Self {
        let mut part = Self::default();
        for item in items {
            match item {
                Item::Share(share) => part.shares.push(share),
                Item::Want(want) => part.wants.push(want),
            }
        }
        part
    }
}
