//! How a rank ends that starts nothing: status 1, and the reason printed by one rank where all
//! have it.
//!
//! No rank can ask another before MPI has started, and launchers differ. Open MPI kills the others
//! when one ends with an error, but not at once, so a rank works out for itself whether rank 0 has
//! the same mistake. Hydra does not, and would let ranks without the mistake wait for ever in
//! `MPI_Init`: it is asked to.

use crate::env::{Env, number};
use crate::front;
use crate::launcher::Launcher;
use crate::placeholder::PlaceholderError;
use anyhow::Error;
use std::io::Write;
use std::time::Duration;
use swarm::Rank;

/// The status of wrong usage, found before MPI starts.
pub const STATUS: i32 = 1;

/// How long ranks other than 0 wait: a launcher may kill all when one ends, and what rank 0 prints
/// must not be lost with it.
const COURTESY: Duration = Duration::from_secs(1);

/// How long Hydra gets to read what was printed before it is told to end all ranks. Without it, one
/// message in seven was lost when tried, with 10 ms none of 150.
const FORWARDING: Duration = Duration::from_millis(100);

/// Who has a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Every rank, so that rank 0 speaks for all.
    Everybodys,
    /// This rank, and perhaps others.
    ThisRanks,
}

/// Who has a mistake that [`front::decide`] found on this rank.
pub fn whose(why: &Error, env: &Env, launcher: &Launcher) -> Whose {
    // What a variable lacks here, rank 0 may have.
    let of_environment = matches!(
        why.downcast_ref(),
        Some(PlaceholderError::Unset { .. } | PlaceholderError::NoLocalRank)
    );
    // `mpirun -n 1 shoal A : -n 2 shoal B`: rank 0 was told something else. Hydra does not let it
    // be seen.
    let several_programs = number(&env.vars, "OMPI_NUM_APP_CTX").is_some_and(|count| count > 1);
    if of_environment || several_programs {
        return Whose::ThisRanks;
    }
    let rank_0 = Launcher { rank: Rank::TRACKER, ..launcher.clone() };
    match front::decide(env, &rank_0) {
        Ok(_) => Whose::ThisRanks,
        Err(_) => Whose::Everybodys,
    }
}

/// Ends with status 1: rank 0 prints the reason at once; another rank waits a second, and prints
/// it where it may be the only one to know.
pub fn end(
    launcher: &Launcher,
    whose: Whose,
    pause: fn(Duration),
    stderr: &mut dyn Write,
    why: &Error,
) -> i32 {
    if launcher.rank != Rank::TRACKER {
        pause(COURTESY);
        // Under Hydra rank 0 ends all ranks; whoever still lives must speak for itself.
        if whose == Whose::Everybodys && launcher.pmi_socket.is_none() {
            return STATUS;
        }
    }
    // One write, so that the lines of two ranks do not mix. Where it fails there is no one left to
    // tell.
    let _ = stderr.write_all(format!("shoal: {why:#}\n").as_bytes()).and_then(|()| stderr.flush());
    if let Some(socket) = launcher.pmi_socket {
        // Hydra forwards nothing more once it is told to end.
        pause(FORWARDING);
        mpi::abort_unstarted(socket, STATUS as u8);
    }
    STATUS
}
