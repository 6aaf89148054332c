//! What grows under `.shoal`: a file's data, and the sidecar that says what the data is to become.
//!
//! A sidecar is a row of records, each with its length and a checksum: first the entry, then piece
//! hashes as they become known. A kill may cut the last record short; what stands before it is
//! good. Moves no piece.

use super::claim::TEMPORARY;
use super::digest::fingerprint;
use super::random;
use content::{Catalogue, Entry, Hash, HashRange, Name, VerifiedLayer};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};
use swarm::ShareId;

/// The name under which an entry's files lie in `.shoal`: the beginning of its name's SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PartName(String);

/// The files that an entry may have in `.shoal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The data, as long as the file will be.
    Data,
    /// The sidecar.
    Sidecar,
    /// The data of a partial that was to become something else.
    Old,
    /// A link before it has its name.
    Link,
}

impl Part {
    const ALL: [Self; 4] = [Self::Data, Self::Sidecar, Self::Old, Self::Link];

    fn suffix(self) -> &'static str {
        match self {
            Self::Data => ".part",
            Self::Sidecar => ".meta",
            Self::Old => ".old",
            Self::Link => ".link",
        }
    }
}

impl PartName {
    const LEN: usize = 32;

    /// The name for an entry's files.
    pub(super) fn of(name: &Name) -> Self {
        let mut hex = fingerprint(name.as_bytes()).to_string();
        hex.truncate(Self::LEN);
        Self(hex)
    }

    /// Takes apart the name of a file in `.shoal`.
    pub(super) fn parse(file_name: &str) -> Option<(Self, Part)> {
        let part = Part::ALL.into_iter().find(|part| file_name.ends_with(part.suffix()))?;
        let stem = file_name.strip_suffix(part.suffix())?;
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (stem.len() == Self::LEN && stem.bytes().all(hex)).then(|| (Self(stem.to_owned()), part))
    }

    /// The name of one of the files.
    pub(super) fn file(&self, part: Part) -> String {
        format!("{}{}", self.0, part.suffix())
    }
}

/// The first record.
#[derive(Serialize, Deserialize)]
struct Header {
    magic: [u8; 8],
    version: u32,
    entry: Entry,
    /// The share that it came from, where that was known: a later job asks for it.
    share: Option<ShareId>,
}

/// What a sidecar is about.
pub(super) struct Described<'a> {
    pub(super) entry: &'a Entry,
    /// The share that it comes from, where that is known.
    pub(super) share: Option<ShareId>,
}

impl Described<'_> {
    fn name(&self) -> PartName {
        PartName::of(&self.entry.name)
    }
}

const MAGIC: [u8; 8] = *b"shoalpar";
const VERSION: u32 = 3;
/// Before each record: its length, and the beginning of its hash.
const PREAMBLE_LEN: usize = 4 + CHECKSUM_LEN;
const CHECKSUM_LEN: usize = 8;
/// Longer than any record: a name and a link's target, or a range of hashes with its proof.
const MAX_RECORD_LEN: usize = 64 * 1024;

/// Writes the first sidecar of an entry. A kill in between leaves one that cannot be read, and no
/// data.
pub(super) fn write_sidecar(shoal: &OwnedFd, described: &Described<'_>) -> io::Result<()> {
    write_records(shoal, &described.name().file(Part::Sidecar), described, None)
}

/// Writes a sidecar anew with what is known of the piece hashes. Whoever reads meanwhile, or after
/// a kill, sees the one before, or this one.
pub(super) fn rewrite_sidecar(
    shoal: &OwnedFd,
    described: &Described<'_>,
    layer: &VerifiedLayer,
) -> io::Result<()> {
    let temporary = format!("meta-{:032x}{TEMPORARY}", random()?);
    let sidecar = described.name().file(Part::Sidecar);
    let written = write_records(shoal, &temporary, described, Some(layer))
        .and_then(|()| Ok(rustix::fs::renameat(shoal, &temporary, shoal, sidecar)?));
    if written.is_err() {
        let _ = remove(shoal, &temporary);
    }
    written
}

fn write_records(
    shoal: &OwnedFd,
    file_name: &str,
    &Described { entry, share }: &Described<'_>,
    layer: Option<&VerifiedLayer>,
) -> io::Result<()> {
    let mut file = create(shoal, file_name)?;
    let header = Header { magic: MAGIC, version: VERSION, entry: entry.clone(), share };
    file.write_all(&record(&header))?;
    for range in layer.into_iter().flat_map(VerifiedLayer::ranges) {
        file.write_all(&record(range))?;
    }
    Ok(())
}

/// Adds piece hashes to a sidecar.
pub(super) fn append_range(shoal: &OwnedFd, name: &PartName, range: &HashRange) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::APPEND;
    open(shoal, &name.file(Part::Sidecar), flags)?.write_all(&record(range))
}

/// What a sidecar says.
pub(super) struct Sidecar {
    /// A file of at least one byte, with a root.
    pub(super) entry: Entry,
    /// The share that it came from, where that was known.
    pub(super) share: Option<ShareId>,
    /// What is known of its piece hashes.
    pub(super) layer: VerifiedLayer,
}

/// Reads a sidecar. `None` where it is none, or somebody else's, or not about data of this length:
/// how much memory its hashes take is not for a damaged file to say.
pub(super) fn read_sidecar(shoal: &OwnedFd, name: &PartName, data_len: u64) -> Option<Sidecar> {
    let (Header { entry, share, .. }, mut records) = read_header(shoal, name)?;
    let content = entry.file().filter(|content| content.geometry.len() == data_len)?;
    let mut layer = VerifiedLayer::new(content.geometry, content.root?);
    while let Some(range) = read_record::<HashRange>(&mut records) {
        if layer.insert(range).is_err() {
            break;
        }
    }
    Some(Sidecar { entry, share, layer })
}

/// Whether an entry has data, and a sidecar that is about data of this length.
pub(super) fn is_pair(shoal: &OwnedFd, name: &PartName) -> bool {
    let data = rustix::fs::statat(shoal, name.file(Part::Data), AtFlags::SYMLINK_NOFOLLOW);
    let header = read_header(shoal, name);
    data.is_ok_and(|data| {
        header.is_some_and(|(header, _)| header.entry.len() == data.st_size as u64)
    })
}

/// How long ago a sidecar was written, or added to; none where that is not known.
pub(super) fn sidecar_age(shoal: &OwnedFd, name: &PartName) -> Option<Duration> {
    let file = open(shoal, &name.file(Part::Sidecar), OFlags::RDONLY).ok()?;
    SystemTime::now().duration_since(file.metadata().ok()?.modified().ok()?).ok()
}

/// Removes all files that an entry has in `.shoal`; says whether that succeeded.
pub(super) fn remove_all(shoal: &OwnedFd, name: &PartName) -> bool {
    Part::ALL.into_iter().all(|part| remove(shoal, &name.file(part)).is_ok())
}

fn read_header(shoal: &OwnedFd, name: &PartName) -> Option<(Header, BufReader<File>)> {
    let mut file = BufReader::new(open(shoal, &name.file(Part::Sidecar), OFlags::RDONLY).ok()?);
    let header: Header = read_record(&mut file)?;
    let known = header.magic == MAGIC && header.version == VERSION;
    let content = header.entry.file()?;
    let usable = content.root.is_some()
        && !content.geometry.is_empty()
        && content.geometry.piece_count_wide() <= Catalogue::MAX_PIECES
        && PartName::of(&header.entry.name) == *name;
    (known && usable).then_some((header, file))
}

fn record<T: Serialize>(value: &T) -> Vec<u8> {
    let payload = postcard::to_allocvec(value).expect("a record can be written into memory");
    assert!(payload.len() <= MAX_RECORD_LEN, "a record of {} bytes", payload.len());
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend(checksum(&payload));
    bytes.extend(payload);
    bytes
}

/// The next record; `None` at the end, and where it is cut short or damaged.
fn read_record<T: DeserializeOwned>(file: &mut impl Read) -> Option<T> {
    let mut preamble = [0; PREAMBLE_LEN];
    file.read_exact(&mut preamble).ok()?;
    let (len, expected) = preamble.split_at(4);
    let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    if len > MAX_RECORD_LEN {
        return None;
    }
    let mut payload = vec![0; len];
    file.read_exact(&mut payload).ok()?;
    (checksum(&payload) == expected).then(|| postcard::from_bytes(&payload).ok())?
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM_LEN] {
    let Hash(hash) = fingerprint(payload);
    *hash.first_chunk().expect("a hash is longer than a checksum")
}

/// Makes a file in `.shoal` that only its owner may read: its content may be secret once it has its
/// own mode. What stood there is removed, never written into.
pub(super) fn create(shoal: &OwnedFd, file_name: &str) -> rustix::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    match open(shoal, file_name, flags) {
        Err(Errno::EXIST) => {
            remove(shoal, file_name)?;
            open(shoal, file_name, flags)
        }
        opened => opened,
    }
}

/// Opens a file in `.shoal`.
pub(super) fn open(shoal: &OwnedFd, file_name: &str, flags: OFlags) -> rustix::io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(shoal, file_name, flags, Mode::from_raw_mode(0o600)).map(File::from)
}

/// Removes a file from `.shoal`; it may be gone already.
pub(super) fn remove(shoal: &OwnedFd, file_name: &str) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(shoal, file_name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

/// The names of all files in `.shoal`.
pub(super) fn list(shoal: &OwnedFd) -> rustix::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for item in rustix::fs::Dir::read_from(shoal)? {
        let name = item?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_of_any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            len in any::<u32>(),
        ) {
            prop_assert!(read_record::<Header>(&mut bytes.as_slice()).is_none());
            let mut framed = (bytes.len() as u32).to_le_bytes().to_vec();
            framed.extend(checksum(&bytes));
            framed.extend(&bytes);
            let _ = read_record::<Header>(&mut framed.as_slice());
            let _ = read_record::<HashRange>(&mut framed.as_slice());
            // A length is believed only as far as a record may be long, and bytes are there.
            framed[..4].copy_from_slice(&len.to_le_bytes());
            let read = read_record::<HashRange>(&mut framed.as_slice());
            prop_assert!(read.is_none() || len as usize == bytes.len());
        }

        #[test]
        fn a_file_in_the_stores_directory_has_a_name_of_the_store_or_none(name in ".{0,60}") {
            if let Some((parsed, part)) = PartName::parse(&name) {
                prop_assert_eq!(parsed.file(part), name);
            }
        }
    }
}
