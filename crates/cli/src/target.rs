//! Where `--json` writes to: looked at before the job, written to at its end. A regular file
//! appears whole or not at all, but where it can only be overwritten; nothing here waits for ever.

mod place;

use anyhow::{Context, Result, bail};
use place::Place;
use rustix::fs::{Access, OFlags};
use rustix::io::Errno;
use std::fs::{self, File, FileType, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a pipe may have no reader, or one that does not read: all ranks wait meanwhile.
const READER: Duration = Duration::from_secs(1);

/// The room that must be there before the job: the report of some hundred ranks.
const ROOM: usize = 64 << 10;

const PREFIX: &str = ".shoal-report-";

/// The target that an option names, seen from a directory; `-` is standard output.
pub fn named(directory: &Path, text: &Path) -> PathBuf {
    if text == Path::new("-") { PathBuf::from(place::STDOUT) } else { directory.join(text) }
}

/// Finds out before the job whether the report could be written.
///
/// # Errors
///
/// Names the directory that is missing, closed or full, or says what the target is.
pub fn check(path: &Path) -> Result<()> {
    let checked = Place::of(path).and_then(|place| match place {
        Place::Stdout => Ok(()),
        Place::Descriptor(number) => check_descriptor(path, number),
        // A pipe's reader would take an open and a close for the end.
        Place::Stream(_) => {
            rustix::fs::access(path, Access::WRITE_OK).context("it cannot be written to")
        }
        Place::NewFile(path) => check_directory(&path),
        Place::StandingFile(path) => check_standing(&path),
    });
    checked.with_context(|| format!("--json {}", path.display()))
}

/// Writes the report's text. A regular file is replaced as a whole; anything else (a pipe,
/// `/dev/stdout`) is written to as it is.
///
/// # Errors
///
/// Names the path, and says why.
pub fn write(path: &Path, text: &str, stdout: &mut dyn Write) -> Result<()> {
    let written = Place::of(path).and_then(|place| {
        match place {
            // Opened anew, a redirected standard output would be overwritten from its beginning.
            Place::Stdout => stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()),
            Place::Descriptor(_) => OpenOptions::new()
                .append(true)
                .open(path)
                .and_then(|mut file| fill(&mut file, text)),
            Place::Stream(kind) => stream(path, kind, text),
            Place::NewFile(path) => replace(&path, text),
            Place::StandingFile(path) => replace(&path, text).or_else(|why| {
                // A file that is mounted by itself, or in a directory of somebody else.
                overwrite(&path, text).map_err(|_| why)
            }),
        }
        .map_err(anyhow::Error::from)
    });
    written.with_context(|| format!("cannot write the report to {}", path.display()))
}

/// A descriptor that this process was started with.
fn check_descriptor(path: &Path, number: u32) -> Result<()> {
    let kind = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("no file is open as {number}"),
        found => found?,
    };
    if kind.is_dir() || kind.file_type().is_socket() || place::is_read_only(number) {
        bail!("what is open as {number} cannot be written to; name a file");
    }
    // The process itself has it open, so that no reader takes this for the end.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    OpenOptions::new().append(true).custom_flags(flags).open(path).map(drop)?;
    Ok(())
}

/// The one certain way to know whether a file can be made, and has room, is to make one.
fn check_directory(path: &Path) -> Result<()> {
    let parent = parent_of(path);
    if !parent.is_dir() {
        return Err(missing(parent).into());
    }
    let made = tempfile::Builder::new().prefix(PREFIX).tempfile_in(parent);
    let mut made = made
        .map_err(plain)
        .with_context(|| format!("no file can be made in {}", parent.display()))?;
    made.as_file_mut()
        .write_all(&[0; ROOM])
        .with_context(|| format!("no report can be written in {}", parent.display()))
}

/// A file that stands there is replaced, or else overwritten.
fn check_standing(path: &Path) -> Result<()> {
    let is_writable = match rustix::fs::access(path, Access::WRITE_OK) {
        Ok(()) => true,
        // Its own mode is no obstacle where another file can take its place.
        Err(Errno::ACCESS) => false,
        Err(error) => return Err(error).context("it cannot be written to"),
    };
    let replaceable = match is_held_by_sticky_directory(path)? {
        true => Err(anyhow::anyhow!("it belongs to another user")),
        false => check_directory(path),
    };
    if is_writable { Ok(()) } else { replaceable }
}

/// Whether only the owners of a file and of its directory may give its name to another.
fn is_held_by_sticky_directory(path: &Path) -> io::Result<bool> {
    const STICKY: u32 = 0o1000;
    let (file, directory) = (fs::metadata(path)?, fs::metadata(parent_of(path))?);
    let user = rustix::process::geteuid();
    let is_mine = user.is_root() || [file.uid(), directory.uid()].contains(&user.as_raw());
    Ok(directory.mode() & STICKY != 0 && !is_mine)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let parent = parent_of(path);
    // Like any new file, for whomever the umask lets read it; tempfile's own choice is the owner
    // alone.
    let mut file = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent)
        .map_err(|error| match parent.is_dir() {
            true => plain(error),
            false => missing(parent),
        })?;
    fill(file.as_file_mut(), text)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn overwrite(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    fill(&mut file, text)
}

/// Writes to a pipe or a device, without waiting for a reader for long.
fn stream(path: &Path, kind: FileType, text: &str) -> io::Result<()> {
    let until = Instant::now() + READER;
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
    let nobody = |error: io::Error| match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NXIO) if kind.is_fifo() => {
            io::Error::new(ErrorKind::NotConnected, "nobody reads this pipe")
        }
        _ => error,
    };
    let retry = |error: &io::Error| {
        let later = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected);
        let again = later && Instant::now() < until;
        if again {
            std::thread::sleep(Duration::from_millis(5));
        }
        again
    };
    let mut file = loop {
        match options.open(path).map_err(nobody) {
            Err(error) if retry(&error) => {}
            opened => break opened?,
        }
    };
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match file.write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if retry(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                return Err(io::Error::new(error.kind(), "its reader does not read"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn fill(file: &mut File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())
}

fn missing(directory: &Path) -> io::Error {
    let why = format!("there is no directory {}", directory.display());
    io::Error::new(ErrorKind::NotFound, why)
}

/// The system's error alone: that of tempfile names the file that it tried.
fn plain(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|named| named.source());
    let cause = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    match error.raw_os_error().or_else(|| cause?.raw_os_error()) {
        Some(number) => io::Error::from_raw_os_error(number),
        None => error,
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
