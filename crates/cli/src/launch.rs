//! Starting itself under a launcher, for `--ranks N` outside of one.

use crate::Vars;
use crate::env::Env;
use mpi::{Family, Program};
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Programs that start ranks, in the order in which they are taken: first what a loaded module or
/// an environment puts on the path.
const LAUNCHERS: [&str; 6] =
    ["mpirun", "mpiexec", "mpirun.openmpi", "mpirun.mpich", "mpiexec.hydra", "orterun"];

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

impl Launch {
    /// Makes the command that starts this program with `ranks` ranks: `srun` inside a Slurm
    /// allocation, else the first launcher on the path. Each rank then finds the library that
    /// belongs to it.
    ///
    /// # Errors
    ///
    /// Says what to install where there is no launcher.
    pub fn new(env: &Env, ranks: u32) -> Result<Self, anyhow::Error> {
        let mut args: Vec<OsString> = Vec::new();
        let mut vars = Vec::new();
        let in_allocation = env.vars.contains_key(OsStr::new("SLURM_JOB_ID"));
        let srun = in_allocation.then(|| on_path(&env.vars, "srun")).flatten();
        let launcher = launcher(&env.vars);
        let program = match (srun, launcher) {
            (Some(srun), launcher) => {
                // Ranks may outnumber the allocation's tasks (the tracker is one more), and each
                // rank has threads.
                args.extend(["--overcommit", "--cpu-bind=none"].map(OsString::from));
                let family = launcher.and_then(|launcher| launcher.family);
                args.extend(slurm_plugin(&env.vars, family).map(OsString::from));
                srun
            }
            (None, Some(Program { path, family })) => {
                if family == Some(Family::OpenMpi) {
                    // Ranks may outnumber cores, and each rank has threads that want more than one
                    // of them.
                    args.extend(["--oversubscribe", "--bind-to", "none"].map(OsString::from));
                    if env.is_root {
                        vars.extend(AS_ROOT.map(|name| (name, "1")));
                    }
                }
                path
            }
            (None, None) => anyhow::bail!(
                "--ranks {ranks} needs an MPI launcher, and there is no mpirun or mpiexec on the \
                 PATH: load an MPI module, or install one (Debian and Ubuntu: apt-get install \
                 openmpi-bin), or start shoal under a launcher yourself"
            ),
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

/// The launcher on the path: of several, where `SHOAL_LIBMPI` names a library, one of its family.
fn launcher(vars: &Vars) -> Option<Program> {
    let found = LAUNCHERS.iter().filter_map(|name| on_path(vars, name));
    let told =
        vars.get(OsStr::new(mpi::OVERRIDE)).and_then(|told| Family::of_library(Path::new(told)));
    let mut found = found.map(mpi::launcher_at);
    let Some(told) = told else { return found.next() };
    let mut found: Vec<_> = found.collect();
    let fits = found.iter().position(|program| program.family == Some(told));
    (!found.is_empty()).then(|| found.swap_remove(fits.unwrap_or(0)))
}

/// The option of `srun` that lets an MPI find its ranks, where neither the user nor the cluster
/// says: Slurm's own default is none, and then each rank believes that it is alone.
fn slurm_plugin(vars: &Vars, family: Option<Family>) -> Option<&'static str> {
    let plugin = match family? {
        Family::OpenMpi => "--mpi=pmix",
        Family::Mpich => "--mpi=pmi2",
    };
    // Intel MPI finds its ranks through a library that the user names.
    if ["SLURM_MPI_TYPE", "I_MPI_PMI_LIBRARY"].iter().any(|v| vars.contains_key(OsStr::new(v))) {
        return None;
    }
    let config = Command::new(on_path(vars, "scontrol")?).args(["show", "config"]).output();
    let config = String::from_utf8_lossy(&config.ok()?.stdout).into_owned();
    let default = config.lines().find_map(|line| line.strip_prefix("MpiDefault"))?;
    let says_none = default.trim_start_matches([' ', '=']).trim_end() == "none";
    says_none.then_some(plugin)
}

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
}
