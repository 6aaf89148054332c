//! Where `--json` writes to: looked at before the job, written to at its end. A regular file
//! appears whole or not at all; nothing here waits for ever.

use anyhow::{Context, Result, bail};
use rustix::fs::{Access, OFlags};
use std::fs::{self, File, FileType, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a pipe may have no reader, or one that does not read: all ranks wait meanwhile.
const READER: Duration = Duration::from_secs(1);

/// The target that an option names, seen from a directory; `-` is standard output.
pub fn named(directory: &Path, text: &Path) -> PathBuf {
    if text == Path::new("-") { PathBuf::from(STDOUT) } else { directory.join(text) }
}

/// Finds out before the job whether the report could be written.
///
/// # Errors
///
/// Names the directory that is missing or closed, or says what the target is.
pub fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    if is_descriptor(path) {
        return Ok(());
    }
    match fs::metadata(path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_dir() => bail!("--json {shown}: it is a directory; name a file"),
        Ok(kind) if kind.is_socket() => bail!("--json {shown}: it is a socket; name a file"),
        Ok(kind) if kind.is_file() => {
            let path = fs::canonicalize(path).with_context(|| format!("--json {shown}"))?;
            check_directory(path.as_path(), &shown.to_string())
        }
        // A pipe's reader would take an open and a close for the end.
        Ok(_) => rustix::fs::access(path, Access::WRITE_OK)
            .with_context(|| format!("--json {shown}: it cannot be written to")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            check_directory(path, &shown.to_string())
        }
        Err(error) => Err(error).with_context(|| format!("--json {shown}")),
    }
}

/// The one certain way to know whether a file can be made is to make one.
fn check_directory(path: &Path, shown: &str) -> Result<()> {
    let parent = parent_of(path);
    if !parent.is_dir() {
        bail!("--json {shown}: there is no directory {}", parent.display());
    }
    let made = tempfile::Builder::new().prefix(PREFIX).tempfile_in(parent);
    // tempfile's error names the file that it tried.
    let made = made.map_err(|error| match error.raw_os_error() {
        Some(number) => io::Error::from_raw_os_error(number),
        None => io::Error::from(error.kind()),
    });
    made.map(drop)
        .with_context(|| format!("--json {shown}: no file can be made in {}", parent.display()))
}

/// Writes the report's text. A regular file is replaced as a whole; anything else (a pipe,
/// `/dev/stdout`) is written to as it is.
///
/// # Errors
///
/// Names the path, and the directory where that is missing.
pub fn write(path: &Path, text: &str, stdout: &mut dyn Write) -> Result<()> {
    let written = if path == Path::new(STDOUT) {
        // Opened anew, a redirected standard output would be overwritten from its beginning.
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
    } else if is_descriptor(path) {
        OpenOptions::new().append(true).open(path).and_then(|mut file| fill(&mut file, text))
    } else {
        match fs::metadata(path).map(|metadata| metadata.file_type()) {
            // Through links: the file is replaced, not the link to it.
            Ok(kind) if kind.is_file() => {
                fs::canonicalize(path).and_then(|path| replace(&path, text))
            }
            Ok(kind) => stream(path, kind, text),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                check(path)?;
                replace(path, text)
            }
            Err(error) => Err(error),
        }
    };
    written.with_context(|| format!("cannot write the report to {}", path.display()))
}

const STDOUT: &str = "/dev/stdout";

const PREFIX: &str = ".shoal-report-";

fn replace(path: &Path, text: &str) -> io::Result<()> {
    // Like any new file, for whomever the umask lets read it; tempfile's own choice is the owner
    // alone.
    let mut file = tempfile::Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent_of(path))?;
    fill(file.as_file_mut(), text)?;
    file.persist(path)?;
    Ok(())
}

/// Writes to a pipe or a device, without waiting for a reader for long.
fn stream(path: &Path, kind: FileType, text: &str) -> io::Result<()> {
    let until = Instant::now() + READER;
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
    let nobody =
        |error: io::Error| match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::NXIO) if kind.is_fifo() => {
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

/// Whether a path names what this process has open already.
fn is_descriptor(path: &Path) -> bool {
    ["/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/proc"]
        .iter()
        .any(|place| path.starts_with(place))
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
