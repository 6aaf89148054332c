//! Which `shoal` is tested, and which launcher fits it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The MPI under which the binary is tested, as far as tests must know. The binary is the same for
/// all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mpi {
    /// Open MPI: may be told to start more ranks than cores. A rank that dies takes the job along.
    OpenMpi,
    /// Open MPI 5 started with `--with-ft ulfm`: the job outlives its dead, and is told of them.
    Ulfm,
    /// MPICH and its relatives, with the Hydra launcher. A rank that dies takes the job along.
    Mpich,
}

impl Mpi {
    /// The MPI of the launcher that tests start.
    pub fn tested() -> Self {
        static MPI: OnceLock<Mpi> = OnceLock::new();
        *MPI.get_or_init(|| {
            let (launcher, flags) = launcher();
            let has_ulfm = flags.iter().any(|flag| flag == "ulfm");
            if has_ulfm { Self::Ulfm } else { Self::of_launcher(&launcher) }
        })
    }

    /// The MPI that a launcher says it belongs to.
    fn of_launcher(launcher: &Path) -> Self {
        let output = Command::new(launcher).arg("--version").output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", launcher.display()));
        let text = String::from_utf8_lossy(&output.stdout).to_lowercase();
        if text.contains("open mpi") || text.contains("openrte") || text.contains("prte") {
            Self::OpenMpi
        } else {
            Self::Mpich
        }
    }

    /// Whether a job goes on without a rank that was killed.
    pub fn outlives_its_dead(self) -> bool {
        self == Self::Ulfm
    }

    /// The launcher.
    pub fn launcher(self) -> PathBuf {
        launcher().0
    }

    /// What the launcher must be told: what `SHOAL_MPIRUN` says, and that ranks may outnumber cores
    /// and share them.
    pub fn flags(self) -> Vec<String> {
        let (_, mut flags) = launcher();
        if self != Self::Mpich {
            flags.extend(["--oversubscribe", "--bind-to", "none"].map(str::to_owned));
        }
        flags
    }

    /// What the environment must say for the same, and so that root may start ranks (a container's
    /// CI is root).
    pub fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::OpenMpi | Self::Ulfm => &[
                ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
                ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
                ("PRTE_ALLOW_RUN_AS_ROOT", "1"),
                ("PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
                ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
                ("OMPI_MCA_hwloc_base_binding_policy", "none"),
                ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"),
            ],
            Self::Mpich => &[],
        }
    }
}

/// What `SHOAL_MPIRUN` says: a launcher, and perhaps flags after it, split at blanks. Else Debian's
/// name for Open MPI's, else `mpirun`.
fn launcher() -> (PathBuf, Vec<String>) {
    let line = std::env::var("SHOAL_MPIRUN").unwrap_or_default();
    let mut words = line.split_whitespace().map(str::to_owned);
    let given = words.next().map(PathBuf::from);
    let launcher = given.unwrap_or_else(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let debian = std::env::split_paths(&path).map(|dir| dir.join("mpirun.openmpi"));
        debian.into_iter().find(|path| path.exists()).unwrap_or_else(|| "mpirun".into())
    });
    (launcher, words.collect())
}

/// The binary under test: `SHOAL_BIN`; else the one of this test's own profile, brought up to date
/// by cargo where cargo runs the test.
pub fn shoal() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("SHOAL_BIN") {
            let path = std::fs::canonicalize(&given);
            return path.unwrap_or_else(|error| panic!("SHOAL_BIN={}: {error}", given.display()));
        }
        // <target>/<profile>/deps/<test>
        let test = std::env::current_exe().expect("a test knows its executable");
        let profile_dir = test.parent().and_then(Path::parent).expect("a test lies in deps/");
        let binary = profile_dir.join("shoal");
        if let Some(cargo) = std::env::var_os("CARGO") {
            build(Path::new(&cargo), profile_dir);
        }
        assert!(binary.exists(), "{} is missing: cargo build -p shoal-cli", binary.display());
        binary
    })
}

/// Builds the binary in the profile and target directory of the test, so that no stale one is
/// tested.
fn build(cargo: &Path, profile_dir: &Path) {
    let name = profile_dir.file_name().expect("a profile has a directory").to_string_lossy();
    let profile = if name == "debug" { "dev" } else { &*name };
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "shoal-cli", "--profile", profile, "--target-dir"])
        .arg(profile_dir.parent().expect("a profile lies in a target directory"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo can be started");
    assert!(status.success(), "cargo build -p shoal-cli failed");
}
