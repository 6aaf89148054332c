//! The seam to the node: the only place that starts one. Here the front end ends and MPI begins.

use crate::{Launcher, Terminal, Whose, human, refusal};
use mpi::Ending;
use node::Job;
use std::io::Write;
use std::time::Duration;
use swarm::Rank;

/// How long `MPI_Init` may take at least, and how many times the job's patience: the slowest node
/// of a large job may be minutes behind the first.
const JOINING_MIN: Duration = Duration::from_secs(120);
const JOINING_PATIENCES: u32 = 4;
/// Ranks up to this one say what went wrong, so that a large job does not say it a thousand times;
/// the others leave a moment later, lest their exit ends the job before it is said.
const LAST_SPEAKER: Rank = Rank(7);
const COURTESY: Duration = Duration::from_secs(1);

/// Runs this rank of the job to its end, and ends the process with the job's status.
pub fn run(job: Job, launcher: &Launcher, mut terminal: Terminal, pause: fn(Duration)) -> ! {
    let launcher = launcher.clone();
    let limit = JOINING_MIN.max(job.patience.saturating_mul(JOINING_PATIENCES));
    let (rank, host) = (launcher.rank, human::safe(&job.host));
    let give_up = move || {
        if rank > LAST_SPEAKER {
            return pause(COURTESY);
        }
        let text = format!(
            "shoal: [rank {rank} {host}] MPI_Init has not returned for {} s: most likely another \
             rank died, or hangs, before it had joined the job; nothing was transferred; start it \
             again\n",
            limit.as_secs()
        );
        let _ = std::io::stderr().write_all(text.as_bytes());
    };
    mpi::run(limit, give_up, move |transport| {
        if let Err(why) = launcher.check_world(transport.size(), &mpi::library()) {
            // Every process sees itself alone, so rank 0 speaks for all.
            let whose = Whose::Everybodys;
            refusal::end(&launcher, whose, pause, terminal.stderr(), &why.into());
            return Ending { status: refusal::STATUS as u8, lost: false, is_tracker: false };
        }
        let ended = node::run(job, transport, &mut terminal);
        let node::Ended { outcome, lost, is_tracker, .. } = ended;
        Ending { status: terminal.status(outcome), lost, is_tracker }
    })
}
