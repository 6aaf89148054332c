//! Which launcher started this process, and as which rank: from the environment alone, before MPI
//! is touched.

use crate::Vars;
use crate::env::number;
use std::ffi::OsStr;
use std::fmt;
use swarm::Rank;

/// Slurm's numbers for steps that are no `srun`: the batch script, the interactive shell, the
/// container.
const SLURM_FIRST_SPECIAL_STEP: u64 = 0xffff_fff0;

/// Variables that hold the rank under Cray's PALS and ALPS, and under Flux, by their manuals.
const OTHERS: [&str; 3] = ["PALS_RANKID", "ALPS_APP_PE", "FLUX_TASK_RANK"];

/// What the launcher's variables say of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// Which launcher it is.
    pub kind: LauncherKind,
    /// This process's rank.
    pub rank: Rank,
    /// How many ranks the job has, where it is told.
    pub size: Option<u32>,
    /// The rank among those on this host, where it is told.
    pub local_rank: Option<u32>,
    /// How many ranks run on this host, where it is told.
    pub local_size: Option<u32>,
    /// The socket on which Hydra takes commands, where there is one.
    pub pmi_socket: Option<i32>,
}

/// The launchers whose variables we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LauncherKind {
    /// Nobody: started by hand, as the only process.
    Nobody,
    /// Open MPI's `mpirun`.
    OpenMpi,
    /// Hydra: MPICH's, Intel MPI's and MVAPICH's `mpiexec`.
    Hydra,
    /// Slurm's `srun`.
    Slurm,
    /// Something else that speaks PMIx.
    Pmix,
    /// Something whose word for the number of ranks is not known.
    Other,
}

/// Why a process finds itself alone under a launcher that started many: its MPI library is not that
/// launcher's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongMpi(String);

impl fmt::Display for LauncherKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody",
            Self::OpenMpi => "Open MPI's mpirun",
            Self::Hydra => "MPICH's mpiexec",
            Self::Slurm => "srun",
            Self::Pmix => "a PMIx launcher",
            Self::Other => "a launcher",
        })
    }
}

impl Launcher {
    /// Reads the launcher's variables. An `mpirun` inside a Slurm job comes before Slurm itself.
    pub fn detect(vars: &Vars) -> Self {
        open_mpi(vars)
            .or_else(|| hydra(vars))
            .or_else(|| slurm(vars))
            .or_else(|| pmix(vars))
            .or_else(|| other(vars))
            .unwrap_or(Self {
                kind: LauncherKind::Nobody,
                rank: Rank::TRACKER,
                size: Some(1),
                local_rank: Some(0),
                local_size: Some(1),
                pmi_socket: None,
            })
    }

    /// Whether a launcher started this process.
    pub fn is_present(&self) -> bool {
        self.kind != LauncherKind::Nobody
    }

    /// Compares the launcher's word with MPI's. They differ when the library belongs to another MPI
    /// than the launcher: then every process believes that it is alone.
    ///
    /// `library` is the one that was taken, and how it was found.
    ///
    /// # Errors
    ///
    /// Says which library was taken and how to get the right one.
    pub fn check_world(&self, mpi_size: u32, library: &str) -> Result<(), WrongMpi> {
        let Some(size) = self.size.filter(|&size| size > 1 && mpi_size == 1) else {
            return Ok(());
        };
        let advice = match self.kind {
            LauncherKind::Slurm => {
                "try srun --mpi=pmix or --mpi=pmi2 (srun --mpi=list shows what there is), or "
            }
            _ => "start shoal with the launcher of that library, or ",
        };
        Err(WrongMpi(format!(
            "{} started {size} processes, but each finds itself alone in {library}, which is of \
             another MPI; {advice}set {} to the launcher's own libmpi.so.40 (Open MPI) or \
             libmpi.so.12 (MPICH, Intel MPI)",
            self.kind,
            mpi::OVERRIDE
        )))
    }
}

fn open_mpi(vars: &Vars) -> Option<Launcher> {
    Some(Launcher {
        kind: LauncherKind::OpenMpi,
        rank: Rank(number(vars, "OMPI_COMM_WORLD_RANK")?),
        size: number(vars, "OMPI_COMM_WORLD_SIZE"),
        local_rank: number(vars, "OMPI_COMM_WORLD_LOCAL_RANK"),
        local_size: number(vars, "OMPI_COMM_WORLD_LOCAL_SIZE"),
        pmi_socket: None,
    })
}

fn hydra(vars: &Vars) -> Option<Launcher> {
    let local_rank = number(vars, "MPI_LOCALRANKID");
    // srun speaks PMI too, and sets PMI_RANK without hydra's own variables: that is Slurm's.
    if local_rank.is_none() && slurm(vars).is_some() {
        return None;
    }
    Some(Launcher {
        kind: LauncherKind::Hydra,
        rank: Rank(number(vars, "PMI_RANK")?),
        size: number(vars, "PMI_SIZE"),
        local_rank,
        local_size: number(vars, "MPI_LOCALNRANKS"),
        pmi_socket: number(vars, "PMI_FD").and_then(|fd| i32::try_from(fd).ok()),
    })
}

/// A step of `srun`. The batch script and an interactive shell have Slurm's variables too, rank 0
/// among them, but nobody started them as ranks.
fn slurm(vars: &Vars) -> Option<Launcher> {
    let step = vars.get(OsStr::new("SLURM_STEP_ID"))?.to_str()?.parse::<u64>().ok()?;
    if step >= SLURM_FIRST_SPECIAL_STEP {
        return None;
    }
    Some(Launcher {
        kind: LauncherKind::Slurm,
        rank: Rank(number(vars, "SLURM_PROCID")?),
        size: number(vars, "SLURM_STEP_NUM_TASKS").or_else(|| number(vars, "SLURM_NTASKS")),
        local_rank: number(vars, "SLURM_LOCALID"),
        local_size: slurm_tasks_here(vars),
        pmi_socket: None,
    })
}

fn pmix(vars: &Vars) -> Option<Launcher> {
    Some(Launcher {
        kind: LauncherKind::Pmix,
        rank: Rank(number(vars, "PMIX_RANK")?),
        size: None,
        local_rank: None,
        local_size: None,
        pmi_socket: None,
    })
}

/// A launcher that tells a rank its number; all else its MPI knows.
fn other(vars: &Vars) -> Option<Launcher> {
    let rank = OTHERS.iter().find_map(|name| number(vars, name))?;
    Some(Launcher {
        kind: LauncherKind::Other,
        rank: Rank(rank),
        size: None,
        local_rank: None,
        local_size: None,
        pmi_socket: None,
    })
}

/// The tasks on this node, out of a list such as `2(x3),1` and this node's number in it.
fn slurm_tasks_here(vars: &Vars) -> Option<u32> {
    let list = vars.get(OsStr::new("SLURM_STEP_TASKS_PER_NODE"))?.to_str()?;
    let mut node = number(vars, "SLURM_NODEID")?;
    for part in list.split(',') {
        let (tasks, nodes) = match part.split_once("(x") {
            Some((tasks, nodes)) => (tasks, nodes.strip_suffix(')')?.parse().ok()?),
            None => (part, 1),
        };
        if node < nodes {
            return tasks.parse().ok();
        }
        node -= nodes;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(pairs: &[(&str, &str)]) -> Launcher {
        Launcher::detect(&pairs.iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    fn told(launcher: &Launcher) -> (LauncherKind, u32, Option<u32>, Option<u32>, Option<u32>) {
        let Launcher { kind, rank, size, local_rank, local_size, .. } = launcher;
        (*kind, rank.0, *size, *local_rank, *local_size)
    }

    const SLURM_STEP: [(&str, &str); 7] = [
        ("SLURM_JOB_ID", "7"),
        ("SLURM_STEP_ID", "0"),
        ("SLURM_PROCID", "5"),
        ("SLURM_NTASKS", "7"),
        ("SLURM_LOCALID", "1"),
        ("SLURM_NODEID", "2"),
        ("SLURM_STEP_TASKS_PER_NODE", "2(x3),1"),
    ];

    #[test]
    fn without_a_launcher_a_process_is_rank_0_of_1() {
        let launcher = detect(&[("SLURM_JOB_ID", "7"), ("PMI_FD", "3")]);
        assert_eq!(told(&launcher), (LauncherKind::Nobody, 0, Some(1), Some(0), Some(1)));
        assert!(!launcher.is_present());
    }

    #[test]
    fn open_mpi_comes_before_the_pmix_and_slurm_that_carry_it() {
        let mut vars = SLURM_STEP.to_vec();
        vars.extend([
            ("OMPI_COMM_WORLD_RANK", "3"),
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
            ("PMIX_RANK", "3"),
        ]);
        let expected = (LauncherKind::OpenMpi, 3, Some(4), Some(1), Some(2));
        assert_eq!(told(&detect(&vars)), expected);
    }

    #[test]
    fn hydra_tells_the_rank_through_pmi() {
        let launcher = detect(&[
            ("PMI_RANK", "1"),
            ("PMI_SIZE", "2"),
            ("MPI_LOCALRANKID", "1"),
            ("MPI_LOCALNRANKS", "2"),
        ]);
        assert_eq!(told(&launcher), (LauncherKind::Hydra, 1, Some(2), Some(1), Some(2)));
    }

    #[test]
    fn a_step_of_srun_is_a_launcher_whatever_pmi_it_speaks() {
        let expected = (LauncherKind::Slurm, 5, Some(7), Some(1), Some(2));
        for pmi in [("PMI_RANK", "5"), ("PMIX_RANK", "5"), ("X", "")] {
            let mut vars = SLURM_STEP.to_vec();
            vars.push(pmi);
            assert_eq!(told(&detect(&vars)), expected, "{pmi:?}");
        }
    }

    #[test]
    fn a_batch_script_and_an_interactive_shell_are_no_ranks() {
        for step in ["", "4294967291", "4294967290", "batch"] {
            let vars = [("SLURM_STEP_ID", step), ("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8")];
            assert!(!detect(&vars).is_present(), "{step}");
        }
        assert!(!detect(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "8")]).is_present());
    }

    #[test]
    fn a_step_of_a_larger_job_counts_its_own_tasks() {
        let mut vars = SLURM_STEP.to_vec();
        vars.push(("SLURM_STEP_NUM_TASKS", "6"));
        assert_eq!(detect(&vars).size, Some(6));
    }

    #[test]
    fn whoever_tells_a_rank_only_its_number_is_a_launcher_too() {
        let launcher = detect(&[("PALS_RANKID", "3")]);
        assert_eq!(told(&launcher), (LauncherKind::Other, 3, None, None, None));
        assert!(launcher.is_present());
        assert!(launcher.check_world(1, "an MPI").is_ok());
    }

    #[test]
    fn a_launcher_of_another_mpi_is_found_out() {
        let launcher = detect(&[("PMI_RANK", "1"), ("PMI_SIZE", "4"), ("MPI_LOCALRANKID", "1")]);
        let library = "Open MPI 4.1.4 (/lib/libmpi.so.40, found in LD_LIBRARY_PATH)";
        assert_eq!(
            launcher.check_world(1, library).unwrap_err().to_string(),
            "MPICH's mpiexec started 4 processes, but each finds itself alone in Open MPI 4.1.4 \
             (/lib/libmpi.so.40, found in LD_LIBRARY_PATH), which is of another MPI; start shoal \
             with the launcher of that library, or set SHOAL_LIBMPI to the launcher's own \
             libmpi.so.40 (Open MPI) or libmpi.so.12 (MPICH, Intel MPI)"
        );
        assert!(launcher.check_world(4, library).is_ok());
        assert!(detect(&[]).check_world(1, library).is_ok());
    }
}
