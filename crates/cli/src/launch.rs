//! Starting itself under a launcher, for `--ranks N` outside of one.

use crate::Vars;
use crate::env::Env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The version, with the MPI that the binary was built for.
pub const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (built for ", env!("SHOAL_MPI_NAME"), ")");

/// The MPI that a binary was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltFor {
    /// Its family, which decides the launcher's options.
    pub family: Family,
    /// Its name and version, as in `Open MPI 4.1.4`.
    pub name: &'static str,
    /// Its launcher where the binary was built; empty where there was none.
    pub launcher: &'static str,
}

/// MPIs whose launchers take the same options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Open MPI.
    OpenMpi,
    /// MPICH and what descends from it.
    Mpich,
    /// Something else.
    Other,
}

/// A command that replaces this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The launcher.
    pub program: PathBuf,
    /// Its arguments, this program and its own among them.
    pub args: Vec<OsString>,
    /// Variables that are added.
    pub vars: Vec<(&'static str, &'static str)>,
}

impl BuiltFor {
    /// What this binary was built for, by `build.rs`.
    pub fn this() -> Self {
        let family = match env!("SHOAL_MPI_FAMILY") {
            "openmpi" => Family::OpenMpi,
            "mpich" => Family::Mpich,
            _ => Family::Other,
        };
        Self { family, name: env!("SHOAL_MPI_NAME"), launcher: env!("SHOAL_MPI_LAUNCHER") }
    }

    /// The launcher's file name, for people.
    pub fn launcher_name(self) -> &'static str {
        self.launcher.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("mpirun")
    }

    /// The launcher: the one that was found at build time, or where the binary has been moved
    /// since, one of its names on the search path.
    fn find_launcher(self, vars: &Vars) -> Option<PathBuf> {
        let recorded = PathBuf::from(self.launcher);
        if recorded.is_absolute() && recorded.is_file() {
            return Some(recorded);
        }
        let own: &[&str] = match self.family {
            Family::OpenMpi => &["mpirun.openmpi", "mpiexec.openmpi"],
            Family::Mpich => &["mpirun.mpich", "mpiexec.mpich", "mpiexec.hydra"],
            Family::Other => &[],
        };
        own.iter().chain(&["mpirun", "mpiexec"]).find_map(|name| on_path(vars, name))
    }

    /// The option of `srun` that lets this MPI find its ranks, where neither the user nor the
    /// cluster says: Slurm's own default is none, and then each rank believes that it is alone.
    fn slurm_plugin(self, vars: &Vars) -> Option<&'static str> {
        let plugin = match self.family {
            Family::OpenMpi => "--mpi=pmix",
            Family::Mpich => "--mpi=pmi2",
            Family::Other => return None,
        };
        // Intel MPI finds its ranks through a library that the user names.
        if ["SLURM_MPI_TYPE", "I_MPI_PMI_LIBRARY"].iter().any(|v| vars.contains_key(OsStr::new(v)))
        {
            return None;
        }
        let config = Command::new(on_path(vars, "scontrol")?).args(["show", "config"]).output();
        let config = String::from_utf8_lossy(&config.ok()?.stdout).into_owned();
        let default = config.lines().find_map(|line| line.strip_prefix("MpiDefault"))?;
        let says_none = default.trim_start_matches([' ', '=']).trim_end() == "none";
        says_none.then_some(plugin)
    }

    fn how_to_install(self) -> &'static str {
        match self.family {
            Family::OpenMpi => " (Debian and Ubuntu: apt-get install openmpi-bin)",
            Family::Mpich => " (Debian and Ubuntu: apt-get install mpich)",
            Family::Other => "",
        }
    }
}

impl Launch {
    /// Makes the command that starts this program with `ranks` ranks: `srun` inside a Slurm
    /// allocation, else the launcher of the MPI that it was built for.
    ///
    /// # Errors
    ///
    /// Says what to install where there is no launcher.
    pub fn new(env: &Env, built_for: BuiltFor, ranks: u32) -> Result<Self, anyhow::Error> {
        let mut args: Vec<OsString> = Vec::new();
        let mut vars = Vec::new();
        let in_allocation = env.vars.contains_key(OsStr::new("SLURM_JOB_ID"));
        let srun = in_allocation.then(|| on_path(&env.vars, "srun")).flatten();
        let program = match srun {
            Some(srun) => {
                // Ranks may outnumber the allocation's tasks (the tracker is one more), and each
                // rank has threads.
                args.extend(["--overcommit", "--cpu-bind=none"].map(OsString::from));
                args.extend(built_for.slurm_plugin(&env.vars).map(OsString::from));
                srun
            }
            None => {
                let Some(launcher) = built_for.find_launcher(&env.vars) else {
                    anyhow::bail!(
                        "--ranks {ranks} needs the launcher of {}, and there is none: install \
                         it{}, or start shoal under a launcher of that MPI yourself",
                        built_for.name,
                        built_for.how_to_install()
                    );
                };
                if built_for.family == Family::OpenMpi {
                    // Ranks may outnumber cores, and each rank has threads that want more than one
                    // of them.
                    args.extend(["--oversubscribe", "--bind-to", "none"].map(OsString::from));
                    if env.is_root {
                        vars.extend(AS_ROOT.map(|name| (name, "1")));
                    }
                }
                launcher
            }
        };
        args.extend(["-n".into(), ranks.to_string().into(), env.exe.clone().into()]);
        args.extend(without_ranks(env.args.get(1..).unwrap_or_default()));
        Ok(Self { program, args, vars })
    }

    /// Replaces this process by the command; returns only where that fails. A launcher reads its
    /// standard input to pass it on to rank 0, and no rank of Shoal reads any: the command's input
    /// is empty, so that what a script has there stays the script's.
    pub fn exec(&self) -> anyhow::Error {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.vars.iter().copied()).stdin(Stdio::null());
        let error = command.exec();
        anyhow::anyhow!("cannot start the launcher {}: {error}", self.program.display())
    }

    /// The command in one line, for tests and people.
    pub fn shown(&self) -> String {
        let mut line = String::new();
        for (name, value) in &self.vars {
            let _ = write!(line, "{name}={value} ");
        }
        let _ = write!(line, "{}", self.program.display());
        for arg in &self.args {
            let _ = write!(line, " {}", arg.display());
        }
        line
    }
}

/// Open MPI runs for root only when told so twice; Open MPI 5 (PRRTE) asks by other names.
const AS_ROOT: [&str; 4] = [
    "OMPI_ALLOW_RUN_AS_ROOT",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM",
    "PRTE_ALLOW_RUN_AS_ROOT",
    "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM",
];

/// The arguments without `--ranks N` and `--ranks=N`.
fn without_ranks(args: &[OsString]) -> Vec<OsString> {
    let mut kept = Vec::with_capacity(args.len());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            kept.push(arg.clone());
            kept.extend(args.cloned());
            break;
        }
        if arg == "--ranks" {
            args.next();
        } else if !arg.as_encoded_bytes().starts_with(b"--ranks=") {
            kept.push(arg.clone());
        }
    }
    kept
}

fn on_path(vars: &Vars, program: &str) -> Option<PathBuf> {
    let path = vars.get(OsStr::new("PATH"))?;
    std::env::split_paths(path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_option_ranks_is_taken_out() {
        let args = ["run", "--ranks", "4", "--share", "a", "--ranks=4", "--", "--ranks", "b"];
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        assert_eq!(without_ranks(&args), ["run", "--share", "a", "--", "--ranks", "b"]);
    }

    #[test]
    fn the_build_knows_its_mpi() {
        let built_for = BuiltFor::this();
        assert!(!built_for.name.is_empty());
        assert!(VERSION.ends_with(&format!("(built for {})", built_for.name)));
    }
}
