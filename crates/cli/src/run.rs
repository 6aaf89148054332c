//! The seam to the library: the only place that runs a job. Here the front end ends and MPI begins.

use crate::{Launcher, Terminal, Whose, human, process, refusal};
use anyhow::anyhow;
use mpi::Ending;
use shoal::{Job, Transport, memory};
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
pub fn run(job: Job, launcher: &Launcher, terminal: Terminal, pause: fn(Duration)) -> ! {
    // `env -i` takes a launcher's variables away, not the launcher.
    if launcher.is_present() || mpi::is_below_a_launcher() {
        run_in_mpi(job, launcher, terminal, pause)
    }
    run_alone(job, terminal)
}

/// Runs a job of one rank, for which no MPI is needed.
fn run_alone(job: Job, mut terminal: Terminal) -> ! {
    process::abort_on_panic();
    tracing::info!("one rank, and no launcher: no MPI library is loaded");
    let mut transport = memory::network(1).pop().expect("it was asked for one");
    let ended = shoal::run(job, &mut transport, &mut terminal);
    let _ = std::io::stdout().flush();
    std::process::exit(terminal.status(ended.outcome).into())
}

fn run_in_mpi(job: Job, launcher: &Launcher, mut terminal: Terminal, pause: fn(Duration)) -> ! {
    let limit = JOINING_MIN.max(job.patience.saturating_mul(JOINING_PATIENCES));
    // Every process has the same library, or none, so rank 0 speaks for all.
    let refuse = |terminal: &mut Terminal, why: anyhow::Error| {
        refusal::end(launcher, Whose::Everybodys, pause, terminal.stderr(), &why)
    };
    let library = match mpi::choose() {
        Ok(library) => library,
        Err(why) => std::process::exit(refuse(&mut terminal, why.into())),
    };
    tracing::info!("MPI is {library}");
    if let Some(launcher) = mpi::silent_launcher() {
        std::process::exit(refuse(&mut terminal, anyhow!(no_variables(&launcher))));
    }
    let me = format!("[rank {} {}]", launcher.rank, human::safe(&job.host));
    let slow = format!(
        "shoal: {me} MPI_Init has not returned for {} s: most likely another rank died, or hangs, \
         before it had joined the job; nothing was transferred; start it again\n",
        limit.as_secs()
    );
    let dead = format!(
        "shoal: {me} MPI_Init of {library} ended this process: most likely that is not the library \
         of {}, which started it; set {} to the launcher's own libmpi.so.40 (Open MPI) or \
         libmpi.so.12 (MPICH, Intel MPI)\n",
        launcher.kind,
        mpi::OVERRIDE
    );
    let (give_up, last_words) = (say(launcher, slow, pause), say(launcher, dead, pause));
    let mut transport = match process::join(&library, limit, give_up, last_words) {
        Ok(transport) => transport,
        Err(why) => std::process::exit(refuse(&mut terminal, why.into())),
    };
    if let Err(why) = launcher.check_world(transport.size(), &library.to_string()) {
        let status = refuse(&mut terminal, why.into()) as u8;
        process::leave(transport, Ending { status, lost: false, is_tracker: false })
    }
    let ended = shoal::run(job, &mut transport, &mut terminal);
    let shoal::Ended { outcome, lost, is_tracker, .. } = ended;
    process::leave(transport, Ending { status: terminal.status(outcome), lost, is_tracker })
}

/// Each process would be a job of one rank, and their copies in each other's way.
fn no_variables(launcher: &str) -> String {
    format!(
        "{launcher} started this process, but none of its variables are here, so that the rank is \
         not known: something between drops them (env -i, sudo, a container with an environment of \
         its own); let it pass PMI*, PMIX*, OMPI* and SLURM* on, or start it without the launcher \
         and shoal with --ranks"
    )
}

/// Says what is wrong with `MPI_Init`, where this rank is one of those that speak.
fn say(launcher: &Launcher, text: String, pause: fn(Duration)) -> impl FnOnce() + Send + use<> {
    let rank = launcher.rank;
    move || {
        if rank > LAST_SPEAKER {
            return pause(COURTESY);
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
