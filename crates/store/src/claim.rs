//! The destination's identity and lock, two small files under `.shoal`. Knows nothing of pieces.

use super::digest::fingerprint;
use super::{random, tenant};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;
use swarm::Lock;

/// The file with the identity.
pub(super) const ID: &str = "id";
/// The file with the lock.
pub(super) const LOCK: &str = "lock";
/// What temporary files end in.
pub(super) const TEMPORARY: &str = ".tmp";

/// How long a reader waits before it looks again, and how often: two seconds, for network file
/// systems that are slow to show what another node made.
const PAUSE: Duration = Duration::from_millis(50);
const LOOKS: usize = 40;
/// The most characters that are kept of an owner's text.
const MAX_OWNER_CHARS: usize = 200;

/// A lock that this process tried to take.
pub(super) struct Taken {
    pub(super) lock: Lock,
    /// The file whose lock is held as long as it is open.
    pub(super) file: Option<File>,
}

/// Reads the directory's identity, and makes one where there is none. Whoever else does so at the
/// same time gets the same one.
pub(super) fn identity(shoal: &OwnedFd) -> io::Result<u128> {
    if let Err(absent) = open(shoal, ID, OFlags::RDONLY) {
        if absent != Errno::NOENT {
            return Err(absent.into());
        }
        make_identity(shoal, random()?)?;
    }
    let mut text = read(shoal, ID)?;
    for _ in 0..LOOKS {
        if let Some(id) = text.as_deref().and_then(parse_number) {
            return Ok(id);
        }
        std::thread::sleep(PAUSE);
        text = read(shoal, ID)?;
    }
    Err(match text {
        None => Errno::NOENT.into(),
        Some(_) => {
            io::Error::new(io::ErrorKind::InvalidData, "its .shoal/id is damaged; remove it")
        }
    })
}

/// The directory's identity where it has one that can be read.
pub(super) fn known_identity(shoal: &OwnedFd) -> Option<u128> {
    parse_number(&read(shoal, ID).ok()??)
}

/// The identity of a directory that has none of its own: those of one host know it by its place.
pub(super) fn derived_identity(host: &str, stat: &Stat) -> u128 {
    derived(format!("{host}\0{}\0{}", stat.st_dev, stat.st_ino).as_bytes())
}

/// A number made of a text.
pub(super) fn derived(text: &[u8]) -> u128 {
    let hash = fingerprint(text).0;
    u128::from_le_bytes(std::array::from_fn(|at| hash[at]))
}

/// Who has the lock, by what the system lists of this host's locks. To try it, even for a moment,
/// could refuse a job that begins.
pub(super) fn owner_seen(shoal: &OwnedFd) -> Option<String> {
    let file = open(shoal, LOCK, OFlags::RDONLY).ok()?;
    let stat = rustix::fs::fstat(&file).ok()?;
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let place = format!("{major:02x}:{minor:02x}:{}", stat.st_ino);
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let is_held = locks.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.clone().any(|word| word == "FLOCK") && words.any(|word| word == place)
    });
    let text = read(shoal, LOCK).ok()??;
    let owner = text.trim_end().split_once(' ').map(|(_, owner)| owner.to_owned());
    is_held.then(|| owner.unwrap_or_else(|| "somebody who left no name".to_owned()))
}

fn make_identity(shoal: &OwnedFd, id: u128) -> io::Result<()> {
    let temporary = format!("id-{:032x}{TEMPORARY}", random()?);
    write_new(shoal, &temporary, format!("{id:032x}\n").as_bytes())?;
    let placed = place_new(shoal, &temporary);
    // After a rename it is gone; after anything else it is no longer needed.
    let _ = rustix::fs::unlinkat(shoal, temporary, AtFlags::empty());
    match placed {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        // Neither a rename that keeps what is there, nor links: then not in one step.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK | Errno::NOSYS | Errno::INVAL) => {
            match write_new(shoal, ID, format!("{id:032x}\n").as_bytes()) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Gives a file its name unless the name is taken.
fn place_new(shoal: &OwnedFd, temporary: &str) -> rustix::io::Result<()> {
    match rustix::fs::renameat_with(shoal, temporary, shoal, ID, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(shoal, temporary, shoal, ID, AtFlags::empty())
        }
        placed => placed,
    }
}

/// Takes the lock, or says who has it; `None` where the lock file was removed meanwhile.
pub(super) fn take(shoal: &OwnedFd, owner: &str) -> io::Result<Option<Taken>> {
    let file = open(shoal, LOCK, OFlags::RDWR | OFlags::CREATE)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) if !is_in_place(shoal, &file)? => Ok(None),
        // A file system without locks: two jobs in one directory go unnoticed, but one job works.
        Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
            let nonce = tenant::number(random()?);
            sign(shoal, nonce, owner)?;
            Ok(Some(Taken { lock: Lock::Held { nonce }, file: Some(file) }))
        }
        Err(Errno::WOULDBLOCK) => Ok(holder(shoal)?.map(|lock| Taken { lock, file: None })),
        Err(errno) => Err(errno.into()),
    }
}

/// Writes into the lock who has it. Through a file of its own: closing that one makes a network
/// file system show the text to others, and the lock stays.
fn sign(shoal: &OwnedFd, nonce: u128, owner: &str) -> io::Result<()> {
    let plain = owner.chars().map(|c| if c.is_control() { ' ' } else { c });
    let owner: String = plain.take(MAX_OWNER_CHARS).collect();
    let mut file = open(shoal, LOCK, OFlags::WRONLY | OFlags::TRUNC)?;
    file.write_all(format!("{nonce:032x} {owner}\n").as_bytes())
}

/// Reads who has the lock; `None` where it is there no longer. What an earlier holder wrote may be
/// found for a moment, so the first look waits too.
fn holder(shoal: &OwnedFd) -> io::Result<Option<Lock>> {
    for _ in 0..LOOKS {
        std::thread::sleep(PAUSE);
        let Some(text) = read(shoal, LOCK)? else { return Ok(None) };
        if let Some((number, owner)) = text.strip_suffix('\n').and_then(|t| t.split_once(' '))
            && let Some(nonce) = parse_number(number)
        {
            return Ok(Some(Lock::Taken { nonce, owner: owner.to_owned() }));
        }
    }
    Ok(Some(Lock::Taken { nonce: 0, owner: "somebody who left no name".to_owned() }))
}

/// Whether the file is still the one under its name.
fn is_in_place(shoal: &OwnedFd, file: &File) -> io::Result<bool> {
    let own = rustix::fs::fstat(file)?;
    match rustix::fs::statat(shoal, LOCK, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => Ok((own.st_dev, own.st_ino) == (found.st_dev, found.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn parse_number(text: &str) -> Option<u128> {
    let text = text.trim_end();
    // A sign is no digit, though a number may have one.
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u128::from_str_radix(text, 16).ok())?
}

fn open(shoal: &OwnedFd, name: &str, flags: OFlags) -> rustix::io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(shoal, name, flags, Mode::from_raw_mode(0o644)).map(File::from)
}

fn write_new(shoal: &OwnedFd, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = open(shoal, name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)?;
    file.write_all(bytes)
}

/// The text of a small file; `None` where there is none.
fn read(shoal: &OwnedFd, name: &str) -> io::Result<Option<String>> {
    let file = match open(shoal, name, OFlags::RDONLY) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let mut bytes = Vec::new();
    file.take(1024).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_identity_is_thirty_two_hexadecimal_digits(text in ".{0,40}", id in any::<u128>()) {
            let digits = text.trim_end();
            let is_one = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            prop_assert_eq!(parse_number(&text).is_some(), is_one);
            prop_assert_eq!(parse_number(&format!("{id:032x}\n")), Some(id));
            prop_assert_eq!(parse_number(&format!("+{:031x}", id >> 4)), None);
        }
    }
}
