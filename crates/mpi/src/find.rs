//! Where the launcher's libmpi may be: from the environment, from the programs that started this
//! one, and from the answers to one question, what is at a path.
//!
//! Library and launcher must be of one installation: another MPI's library finds itself alone, or
//! dies in `MPI_Init`. So whatever the launcher says, or where it lies, comes before all that only
//! might belong to it. Nothing is opened here, and the world is not looked at: each rule is a test.

use crate::abi::{self, Abi};
use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// MPIs that can be started by each other's launchers, if at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Open MPI.
    OpenMpi,
    /// MPICH and what descends from it: Intel MPI, MVAPICH, Cray MPICH.
    Mpich,
}

/// The world, as far as it is asked.
pub(crate) struct Surroundings<'a> {
    /// An environment variable.
    pub(crate) var: &'a dyn Fn(&str) -> Option<OsString>,
    /// The programs above this process, its parent's first.
    pub(crate) ancestors: &'a [PathBuf],
    /// What is at a path, links followed.
    pub(crate) look: &'a dyn Fn(&Path) -> Option<Seen>,
}

/// Something at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Where it really is.
    pub(crate) real: PathBuf,
    pub(crate) kind: Kind,
}

/// What something is, as far as its first bytes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A library or a program of this machine.
    Ours,
    /// One of a machine with other words, or of another processor.
    Foreign,
    /// Text: a script, or what the linker reads in a library's stead.
    Text,
}

/// What is to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// What this process has already.
    Process,
    File(PathBuf),
    /// Whatever the system finds by that name.
    Name(Cow<'static, str>),
}

/// Where a choice came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// `SHOAL_LIBMPI` names it.
    Told,
    /// It is in this process already: preloaded, or lent by the program that shoal is part of.
    Here,
    /// A variable that the launcher sets leads to it.
    LauncherSays(&'static str),
    /// It lies in the installation of the launcher, which is this program.
    OfLauncher(PathBuf),
    /// A directory in `LD_LIBRARY_PATH` has it.
    LibraryPath,
    /// A variable that environment modules set leads to it.
    Module(&'static str),
    /// It lies in the installation of this program, which is on the `PATH`.
    OnPath(PathBuf),
    /// The system has one.
    System,
}

/// A library that may be the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) place: Place,
    pub(crate) why: Why,
}

/// What started this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launcher {
    /// How it is called in a sentence.
    pub(crate) name: String,
    /// Families whose libraries it can start, the likely one first.
    pub(crate) families: Vec<Family>,
    /// Its program, where that is seen.
    program: Option<PathBuf>,
}

/// All that may be tried, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) launcher: Option<Launcher>,
    pub(crate) candidates: Vec<Candidate>,
    /// Files that have the name of a library and are none.
    pub(crate) unfit: Vec<(PathBuf, Kind)>,
}

/// Names the library to load.
pub const OVERRIDE: &str = "SHOAL_LIBMPI";

/// Libraries by their versioned names. A name without a version is the linker's: often it leads to
/// a text.
const OPEN_MPI_NAMES: &[&str] = &["libmpi.so.40"];
const MPICH_NAMES: &[&str] = &["libmpi.so.12", "libmpich.so.12"];
/// MPI 5.0's ABI: taken where an installation has none of its own.
const MPI_5_NAME: &str = "libmpi_abi.so.1";

/// Variables by which Open MPI's launchers lead to its library: to its directory (Open MPI 5), and
/// to where the installation was moved to.
const LIBDIR: &str = "OMPI_LIBDIR_LOC";
const PREFIX: &str = "OPAL_PREFIX";

/// Variables of environment modules that name an installation, and whose.
const MODULES: [(&str, Option<Family>); 8] = [
    ("I_MPI_ROOT", Some(Family::Mpich)),
    ("CRAY_MPICH_DIR", Some(Family::Mpich)),
    ("MPICH_DIR", Some(Family::Mpich)),
    ("EBROOTOPENMPI", Some(Family::OpenMpi)),
    ("EBROOTIMPI", Some(Family::Mpich)),
    ("EBROOTMPICH", Some(Family::Mpich)),
    ("EBROOTMVAPICH2", Some(Family::Mpich)),
    ("MPI_HOME", None),
];

/// Programs on the `PATH` that lie in an installation of MPI.
const PROGRAMS: [&str; 3] = ["mpirun", "mpiexec", "mpicc"];

/// Slurm's part on each node. What stands above it is not what started this process.
const SLURM_STEP: &str = "slurmstepd";

impl Family {
    const ALL: [Self; 2] = [Self::OpenMpi, Self::Mpich];

    /// The family of a library, by its own words and its ABI. Both families have MPI 5.0's.
    pub(crate) fn of_version(version: &str, abi: &Abi) -> Self {
        let is_open = std::ptr::eq(abi, &abi::OPEN_MPI) || version.starts_with("Open MPI");
        if is_open { Self::OpenMpi } else { Self::Mpich }
    }

    /// The family of a program of MPI, where its name tells.
    pub fn of_program(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let begins = |parts: &[&str]| parts.iter().any(|part| name.starts_with(part));
        let holds = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
        if begins(&["orte", "prte", "opal"]) || holds(&["openmpi"]) {
            Some(Self::OpenMpi)
        } else if holds(&["hydra", "mpich", "mvapich"]) {
            Some(Self::Mpich)
        } else {
            None
        }
    }

    /// The family of a library, where its name tells.
    pub fn of_library(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        Self::ALL
            .into_iter()
            .find(|family| family.names().iter().any(|known| name.starts_with(known)))
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::OpenMpi => OPEN_MPI_NAMES,
            Self::Mpich => MPICH_NAMES,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenMpi => "Open MPI",
            Self::Mpich => "MPICH",
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told => write!(f, "named by {OVERRIDE}"),
            Self::Here => f.write_str("loaded into this process before"),
            Self::LauncherSays(name) => write!(f, "named by the launcher in {name}"),
            Self::OfLauncher(program) => write!(f, "of the launcher {}", program.display()),
            Self::LibraryPath => f.write_str("found in LD_LIBRARY_PATH"),
            Self::Module(name) => write!(f, "found by {name}"),
            Self::OnPath(program) => write!(f, "of {} on the PATH", program.display()),
            Self::System => f.write_str("found by the system"),
        }
    }
}

impl Place {
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Process => Path::new("/proc/self/exe"),
            Self::File(path) => path,
            Self::Name(name) => Path::new(&**name),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ours => "no MPI library",
            Self::Foreign => "a library of another machine, 32-bit perhaps",
            Self::Text => "a text and no library; the file meant has a number behind '.so.'",
        })
    }
}

impl Search {
    /// Lists what may be tried. Where `SHOAL_LIBMPI` says it, nothing else is.
    pub(crate) fn new(around: &Surroundings<'_>) -> Self {
        let launcher = Launcher::detect(around);
        let families = launcher.as_ref().map_or(Family::ALL.to_vec(), |l| l.families.clone());
        let mut search = Self { launcher, candidates: Vec::new(), unfit: Vec::new() };
        if let Some(told) = text(around, OVERRIDE) {
            search.told(around, &told);
            return search;
        }
        search.candidates.push(Candidate { place: Place::Process, why: Why::Here });
        if families.contains(&Family::OpenMpi) {
            search.open_mpi_says(around);
        }
        if let Some(program) = search.launcher.as_ref().and_then(|l| l.program.clone()) {
            let of = Family::of_program(&program).map_or(families.clone(), |family| vec![family]);
            let why = Why::OfLauncher(program.clone());
            search.prefix_of(around, &program, &names(&of), &why);
        }
        // A launcher that can start several families says by how it speaks which is the likely one,
        // and that comes before what any place says. Without a launcher it is the place alone.
        match (&search.launcher, &*families) {
            (Some(_), several @ [_, _, ..]) => {
                for family in several {
                    search.elsewhere(around, family.names());
                }
                search.elsewhere(around, &[MPI_5_NAME]);
            }
            _ => search.elsewhere(around, &names(&families)),
        }
        search
    }

    /// Lists what lies in places that only might belong to the launcher.
    fn elsewhere(&mut self, around: &Surroundings<'_>, names: Names<'_>) {
        for directory in paths(around, "LD_LIBRARY_PATH") {
            self.directory(around, &directory, names, &Why::LibraryPath);
        }
        for (name, family) in MODULES {
            if let Some(prefix) = text(around, name) {
                self.prefix(around, Path::new(&prefix), &of(family, names), &Why::Module(name));
            }
        }
        for program in PROGRAMS.iter().filter_map(|name| on_path(around, name)) {
            let real = (around.look)(&program).map_or(program.clone(), |seen| seen.real);
            let tells = Family::of_program(&real).or_else(|| Family::of_program(&program));
            self.prefix_of(around, &real, &of(tells, names), &Why::OnPath(program));
        }
        for &name in names {
            let place = Place::Name(Cow::Borrowed(name));
            self.candidates.push(Candidate { place, why: Why::System });
        }
    }

    fn told(&mut self, around: &Surroundings<'_>, told: &OsString) {
        let path = PathBuf::from(told);
        let place = if path.components().count() > 1 {
            match (around.look)(&path) {
                Some(seen) if seen.kind != Kind::Ours => return self.unfit.push((path, seen.kind)),
                _ => Place::File(path),
            }
        } else {
            Place::Name(told.to_string_lossy().into_owned().into())
        };
        self.candidates.push(Candidate { place, why: Why::Told });
    }

    fn open_mpi_says(&mut self, around: &Surroundings<'_>) {
        let of = names(&[Family::OpenMpi]);
        if let Some(directory) = text(around, LIBDIR) {
            self.directory(around, Path::new(&directory), &of, &Why::LauncherSays(LIBDIR));
        }
        if let Some(prefix) = text(around, PREFIX) {
            self.prefix(around, Path::new(&prefix), &of, &Why::LauncherSays(PREFIX));
        }
    }

    /// The installation that a program lies in. Some hide the real one in a directory below.
    fn prefix_of(
        &mut self,
        around: &Surroundings<'_>,
        program: &Path,
        names: Names<'_>,
        why: &Why,
    ) {
        let is_hidden = |dir: &&Path| {
            let name = dir.file_name().unwrap_or_default();
            name.as_encoded_bytes().starts_with(b".")
        };
        let directory = program.ancestors().skip(1).find(|directory| !is_hidden(directory));
        if let Some(prefix) = directory.and_then(Path::parent) {
            self.prefix(around, prefix, names, why);
        }
    }

    fn prefix(&mut self, around: &Surroundings<'_>, prefix: &Path, names: Names<'_>, why: &Why) {
        let debian = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
        for below in [&*debian, "lib", "lib64", "lib/release"] {
            self.directory(around, &prefix.join(below), names, why);
        }
    }

    fn directory(&mut self, around: &Surroundings<'_>, dir: &Path, names: Names<'_>, why: &Why) {
        for name in names {
            let path = dir.join(name);
            let Some(seen) = (around.look)(&path) else { continue };
            let place = Place::File(path);
            if seen.kind != Kind::Ours {
                self.unfit.push((place.path().to_owned(), seen.kind));
            } else if !self.candidates.iter().any(|known| known.place == place) {
                self.candidates.push(Candidate { place, why: why.clone() });
            }
        }
    }
}

impl Launcher {
    /// What started this process: the nearest program above it that starts ranks, else what its
    /// variables say.
    fn detect(around: &Surroundings<'_>) -> Option<Self> {
        let has = |name: &str| (around.var)(name).is_some();
        let ours = around.ancestors.iter().take_while(|path| !path.ends_with(SLURM_STEP));
        let program = ours.into_iter().find(|path| starts_ranks(path)).cloned();
        let known = program.as_deref().and_then(Family::of_program);
        // PRRTE starts whatever speaks PMIx.
        let is_only_likely = program.as_deref().is_some_and(|path| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"prte"))
        });
        let (by_vars, families): (_, &[Family]) = if has("OMPI_COMM_WORLD_RANK") {
            ("Open MPI's mpirun", &[Family::OpenMpi])
        } else if has("MPI_LOCALRANKID") || has("MV2_COMM_WORLD_RANK") {
            ("MPICH's mpiexec", &[Family::Mpich])
        } else if has("PMIX_RANK") {
            ("a launcher that speaks PMIx", &[Family::OpenMpi, Family::Mpich])
        } else if has("PMI_RANK") {
            ("a launcher that speaks PMI", &[Family::Mpich, Family::OpenMpi])
        } else {
            ("", &Family::ALL)
        };
        match (known, &program) {
            (Some(family), Some(path)) if !is_only_likely => {
                Some(Self { name: path.display().to_string(), families: vec![family], program })
            }
            (_, Some(path)) => Some(Self {
                name: path.display().to_string(),
                families: families.to_vec(),
                program,
            }),
            (_, None) if by_vars.is_empty() => None,
            (_, None) => {
                Some(Self { name: by_vars.to_owned(), families: families.to_vec(), program })
            }
        }
    }

    /// Whether it is HPE MPT's, whose libraries have an ABI of their own.
    pub(crate) fn is_mpt(&self) -> bool {
        let is_mpts = |part: std::path::Component<'_>| {
            let name = part.as_os_str().as_encoded_bytes();
            name == b"mpt" || name.starts_with(b"mpt-")
        };
        self.program.as_ref().is_some_and(|program| program.components().any(is_mpts))
    }
}

/// Whether a program is one that starts ranks of MPI.
fn starts_ranks(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let exact = ["orterun", "orted", "prterun", "prted", "prte"];
    let begins = ["mpirun", "mpiexec", "hydra_", "orterun"];
    exact.contains(&&*name) || begins.iter().any(|begin| name.starts_with(begin))
}

/// The program of that name that a shell would start.
fn on_path(around: &Surroundings<'_>, name: &str) -> Option<PathBuf> {
    let there = |path: &PathBuf| (around.look)(path).is_some();
    paths(around, "PATH").into_iter().map(|directory| directory.join(name)).find(there)
}

/// Names of libraries, in the order in which they are tried.
type Names<'a> = &'a [&'static str];

/// The names of libraries of these families, their own ABI's first.
fn names(of: &[Family]) -> Vec<&'static str> {
    let own = of.iter().flat_map(|family| family.names()).copied();
    own.chain([MPI_5_NAME]).collect()
}

/// Those of the names that a library of this family may have; all where none is known.
fn of(family: Option<Family>, names: Names<'_>) -> Vec<&'static str> {
    let may_be = |name: &&&str| {
        let named = Family::of_library(Path::new(name));
        named.is_none() || family.is_none() || named == family
    };
    names.iter().filter(may_be).copied().collect()
}

fn text(around: &Surroundings<'_>, name: &str) -> Option<OsString> {
    (around.var)(name).filter(|value| !value.is_empty())
}

fn paths(around: &Surroundings<'_>, name: &str) -> Vec<PathBuf> {
    let list = text(around, name).unwrap_or_default();
    std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect()
}
