//! Takes the library that belongs to the launcher: the first that was found and is fit, and a
//! sentence where none is.
//!
//! It looks at the world, at the environment, `/proc` and the first bytes of files, and changes
//! nothing but what is loaded.

use crate::above::ancestors;
use crate::find::{Family, Kind, OVERRIDE, Place, Search, Seen, Surroundings, Why};
use crate::library::{Library, Unfit};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Reasons that an error names; the rest says the same.
const REASONS_MAX: usize = 4;

/// Why there is no library.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLibrary {
    /// The one that was named cannot be taken.
    #[error(
        "{OVERRIDE}={value}: {why}; set it to the libmpi.so.40 (Open MPI) or libmpi.so.12 (MPICH, \
         Intel MPI) of the launcher, or unset it"
    )]
    Told {
        /// What the variable says.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The launcher is one whose libraries are not known.
    #[error(
        "{launcher} is HPE MPT's, whose library has an ABI of its own, which shoal does not know; \
         load another MPI, such as HPE's HMPT, and start shoal with its launcher"
    )]
    Mpt {
        /// The launcher's program.
        launcher: String,
    },
    /// No place has one.
    #[error(
        "no MPI library{of} was found{reasons}; set {OVERRIDE} to its libmpi.so.40 (Open MPI) or \
         libmpi.so.12 (MPICH, Intel MPI), or LD_LIBRARY_PATH to the directory"
    )]
    Nowhere {
        /// Of which launcher, where one is known: ` of ...`.
        of: String,
        /// What was found instead: ` (...)`.
        reasons: String,
    },
}

/// A program that starts ranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it is.
    pub path: PathBuf,
    /// Whose it is, where its name or the library beside it tells.
    pub family: Option<Family>,
}

/// Loads the library that belongs to whatever started this process; without a launcher, that of the
/// launcher which would be taken.
///
/// # Errors
///
/// Says what was looked for, what is wrong with what was found, and what to set.
pub fn choose() -> Result<Library, NoLibrary> {
    let ancestors = ancestors();
    let var = |name: &str| std::env::var_os(name);
    let around = Surroundings { var: &var, ancestors: &ancestors, look: &look };
    take(&Search::new(&around), std::env::var_os(OVERRIDE))
}

/// Tells whose a launcher is, by its name or by the library of its installation.
pub fn launcher_at(path: PathBuf) -> Program {
    let real = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let by_name = Family::of_program(&real).or_else(|| Family::of_program(&path));
    let around = Surroundings { var: &|_| None, ancestors: &[real], look: &look };
    let beside = || {
        let candidates = Search::new(&around).candidates.into_iter();
        let file = candidates.filter(|candidate| matches!(candidate.why, Why::OfLauncher(_)));
        file.into_iter().find_map(|candidate| Family::of_library(candidate.place.path()))
    };
    let family = by_name.or_else(beside);
    Program { path, family }
}

/// The first candidate that is fit.
fn take(search: &Search, told: Option<OsString>) -> Result<Library, NoLibrary> {
    let told = told.filter(|value| !value.is_empty());
    let launcher = search.launcher.as_ref();
    if let Some(launcher) = launcher.filter(|launcher| launcher.is_mpt() && told.is_none()) {
        return Err(NoLibrary::Mpt { launcher: launcher.name.clone() });
    }
    let unfit = search.unfit.iter();
    let mut reasons: Vec<_> = unfit.map(|(path, kind)| (path.clone(), kind.to_string())).collect();
    for candidate in &search.candidates {
        let why_not = match Library::open(candidate) {
            Ok(library) => match launcher {
                Some(launcher) if !launcher.families.contains(&library.family()) => {
                    let name = library.name();
                    library.close();
                    format!("{name}, which {} cannot start", launcher.name)
                }
                _ => {
                    library.publish();
                    return Ok(library);
                }
            },
            // Nothing was expected there.
            Err(Unfit::NotLoaded(_)) if matches!(candidate.why, Why::System) => continue,
            Err(_) if candidate.place == Place::Process => continue,
            Err(unfit) => unfit.to_string(),
        };
        reasons.push((candidate.place.path().to_owned(), why_not));
    }
    match told {
        Some(value) => Err(NoLibrary::Told {
            value: value.to_string_lossy().into_owned(),
            why: reasons.into_iter().next().map_or_else(|| "not loaded".to_owned(), |(_, why)| why),
        }),
        None => Err(nowhere(launcher.map(|launcher| &*launcher.name), &reasons)),
    }
}

fn nowhere(launcher: Option<&str>, reasons: &[(PathBuf, String)]) -> NoLibrary {
    let shown = reasons.iter().take(REASONS_MAX);
    let shown: Vec<_> = shown.map(|(path, why)| format!("{}: {why}", path.display())).collect();
    NoLibrary::Nowhere {
        of: launcher.map_or_else(String::new, |name| format!(" for {name}")),
        reasons: if shown.is_empty() { String::new() } else { format!(" ({})", shown.join("; ")) },
    }
}

fn look(path: &Path) -> Option<Seen> {
    let real = std::fs::canonicalize(path).ok().filter(|path| path.is_file())?;
    let mut head = [0; 20];
    // What cannot be read now will not be loaded later, which says why.
    let len = File::open(&real).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    Some(Seen { kind: kind(&head[..len]), real })
}

/// What a file is by its head: ELF of this machine's word length, byte order and processor.
fn kind(head: &[u8]) -> Kind {
    const MAGIC: &[u8] = b"\x7fELF";
    let processor: Option<u16> = match std::env::consts::ARCH {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        _ => None,
    };
    if !head.starts_with(MAGIC) || head.len() < 20 {
        return Kind::Text;
    }
    let words_of_64_bits = head[4] == 2;
    let theirs = u16::from_ne_bytes([head[18], head[19]]);
    let is_ours = words_of_64_bits && processor.is_none_or(|ours| ours == theirs);
    if is_ours { Kind::Ours } else { Kind::Foreign }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_head() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut head = own[..20].to_vec();
        assert_eq!(kind(&head), Kind::Ours);
        head[18] ^= 1;
        assert_eq!(kind(&head), Kind::Foreign, "another processor");
        head[18] ^= 1;
        head[4] = 1;
        assert_eq!(kind(&head), Kind::Foreign, "32 bits");
        assert_eq!(kind(b"INPUT(libmpi.so.12)\n"), Kind::Text);
        assert_eq!(kind(&own[..19]), Kind::Text, "cut off");
        assert_eq!(kind(b""), Kind::Text);
    }

    #[test]
    fn what_is_no_file_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look(dir.path()), None);
        assert_eq!(look(&dir.path().join("gone")), None);
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "a script").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(look(&link), Some(Seen { real: file, kind: Kind::Text }));
    }

    /// A search that found only files that are no library.
    fn search_of(launcher: &str, files: &[&str]) -> Search {
        let ancestors = [PathBuf::from(launcher)];
        let is_one = |path: &Path| files.iter().any(|file| Path::new(file) == path);
        let text =
            |path: &Path| is_one(path).then(|| Seen { real: path.to_owned(), kind: Kind::Text });
        let around = Surroundings { var: &|_| None, ancestors: &ancestors, look: &text };
        let mut search = Search::new(&around);
        // What this machine has is another test's.
        search.candidates.retain(|candidate| !matches!(candidate.why, Why::System));
        search
    }

    #[test]
    fn what_was_found_and_is_no_library_is_in_the_sentence() {
        let search = search_of("/opt/mpi/bin/hydra_pmi_proxy", &["/opt/mpi/lib/libmpi.so.12"]);
        assert_eq!(
            take(&search, None).unwrap_err().to_string(),
            "no MPI library for /opt/mpi/bin/hydra_pmi_proxy was found (/opt/mpi/lib/libmpi.so.12: \
             a text and no library; the file meant has a number behind '.so.'); set SHOAL_LIBMPI \
             to its libmpi.so.40 (Open MPI) or libmpi.so.12 (MPICH, Intel MPI), or LD_LIBRARY_PATH \
             to the directory"
        );
    }

    #[test]
    fn hpe_mpt_is_refused_by_its_name_before_anything_is_loaded() {
        let search = search_of("/opt/hpe/mpt-2.25/bin/mpirun", &[]);
        let why = take(&search, None).unwrap_err().to_string();
        assert!(why.starts_with("/opt/hpe/mpt-2.25/bin/mpirun is HPE MPT's, whose library has an"));
    }
}
