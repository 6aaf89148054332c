//! What stands above this process: the programs that started it, and whether a launcher is among
//! them whose word has not come down.
//!
//! It looks at the environment and at `/proc`, and changes nothing.

use crate::find::{Search, Surroundings};
use std::ffi::OsString;
use std::path::PathBuf;

/// How far up it is looked for a launcher: shells, wrappers and schedulers are a handful.
const ANCESTORS_MAX: usize = 64;

/// Variables by which launchers tell a process its rank, or where to ask for it. Every process of a
/// job has one of them: Open MPI's and PMIx's, MPICH's and its relatives', Slurm's, Cray's, Flux's.
const TELLING: [&str; 14] = [
    "OMPI_COMM_WORLD_RANK",
    "PMIX_RANK",
    "PMIX_NAMESPACE",
    "PMI_RANK",
    "PMI_ID",
    "PMI_FD",
    "PMI_PORT",
    "MPI_LOCALRANKID",
    "MV2_COMM_WORLD_RANK",
    "MPIRUN_RANK",
    "SLURM_PROCID",
    "PALS_RANKID",
    "ALPS_APP_PE",
    "FLUX_TASK_RANK",
];

/// How Slurm's daemon on a node calls itself for a step of `srun`; a batch script has no number.
const SLURM_STEP: &[u8] = b"slurmstepd: [";

/// Whether a launcher of MPI, or a step of `srun`, stands above this process, whatever its
/// variables say.
pub fn is_below_a_launcher() -> bool {
    launcher_above().is_some()
}

/// The launcher above this process, where none of the variables are here by which it would know its
/// rank: something between took them away. Each process would then be a job of its own.
pub fn silent_launcher() -> Option<String> {
    if is_told(&|name| std::env::var_os(name)) { None } else { launcher_above() }
}

fn is_told(var: &dyn Fn(&str) -> Option<OsString>) -> bool {
    TELLING.iter().any(|name| var(name).is_some())
}

fn launcher_above() -> Option<String> {
    let ancestors = ancestors();
    let around = Surroundings { var: &|_| None, ancestors: &ancestors, look: &|_| None };
    let launcher = Search::new(&around).launcher.map(|launcher| launcher.name);
    launcher.or_else(|| {
        // Root's, so that its program cannot be seen, but its name can.
        let names = processes().filter_map(|id| std::fs::read(format!("/proc/{id}/cmdline")).ok());
        names.into_iter().find_map(|name| step_of_srun(&name))
    })
}

/// The step of `srun` that a daemon's name tells.
fn step_of_srun(name: &[u8]) -> Option<String> {
    let step = name.strip_prefix(SLURM_STEP)?;
    let step = str::from_utf8(step.split(|&byte| byte == b']').next()?).ok()?;
    let (_, number) = step.rsplit_once('.')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("srun (step {step})"))
}

/// The programs above this process, the nearest first, as far as they can be seen.
pub(crate) fn ancestors() -> Vec<PathBuf> {
    // Those of other users are passed by.
    processes().filter_map(|id| std::fs::read_link(format!("/proc/{id}/exe")).ok()).collect()
}

/// The processes above this one, the nearest first.
fn processes() -> impl Iterator<Item = u32> {
    let parent = Some(std::os::unix::process::parent_id());
    let above = std::iter::successors(parent, |&process| parent_of(process));
    above.take_while(|&process| process != 0).take(ANCESTORS_MAX)
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = std::fs::read(format!("/proc/{process}/stat")).ok()?;
    // The second field is the program's name, in parentheses, with whatever it likes inside.
    let at = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = String::from_utf8_lossy(&stat[at + 1..]).into_owned();
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_above_are_those_that_proc_names() {
        let parent = std::os::unix::process::parent_id();
        assert_eq!(parent_of(std::process::id()), Some(parent));
        let program = std::fs::read_link(format!("/proc/{parent}/exe")).unwrap();
        assert_eq!(ancestors().first(), Some(&program));
    }

    #[test]
    fn one_variable_of_a_launcher_is_enough_to_be_told() {
        let told_by = |given: &'static str| is_told(&|name| (name == given).then(OsString::new));
        assert!(told_by("PMI_PORT") && told_by("OMPI_COMM_WORLD_RANK") && told_by("SLURM_PROCID"));
        assert!(!told_by("PATH") && !told_by("SLURM_JOB_ID") && !told_by("OMPI_MCA_btl"));
    }

    #[test]
    fn a_step_of_srun_has_a_number_and_a_batch_script_has_none() {
        let name = |text: &str| step_of_srun(text.as_bytes());
        assert_eq!(name("slurmstepd: [12.3]\0\0").as_deref(), Some("srun (step 12.3)"));
        assert_eq!(name("slurmstepd: [12+1.0]").as_deref(), Some("srun (step 12+1.0)"));
        for other in ["slurmstepd: [12.batch]", "slurmstepd: [12.extern]", "slurmstepd", "12.3"] {
            assert_eq!(name(other), None, "{other}");
        }
    }
}
