//! The seam to the node: the only place that starts one. Here the front end ends and MPI begins.

use crate::{Launcher, Terminal, Whose, refusal};
use mpi::Ending;
use node::Job;
use std::time::Duration;

/// Runs this rank of the job to its end, and ends the process with the job's status.
pub fn run(job: Job, launcher: &Launcher, mut terminal: Terminal, pause: fn(Duration)) -> ! {
    let launcher = launcher.clone();
    mpi::run(move |transport| {
        if let Err(why) = launcher.check_world(transport.size(), &mpi::library()) {
            // Every process sees itself alone, so rank 0 speaks for all.
            let whose = Whose::Everybodys;
            refusal::end(&launcher, whose, pause, terminal.stderr(), &why.into());
            return Ending { status: refusal::STATUS as u8, lost: false, is_tracker: false };
        }
        let ended = node::run(job, transport, &mut terminal);
        let node::Ended { outcome, lost, is_tracker } = ended;
        Ending { status: outcome.status(), lost, is_tracker }
    })
}
