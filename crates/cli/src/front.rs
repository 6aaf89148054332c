//! From the world to what is to be done, as a value. Nothing is started here, and no MPI is
//! touched.

use crate::args::{Args, CastArgs, Common, ProgressArg, RunArgs, Subcommand, Want};
use crate::env::Env;
use crate::launch::Launch;
use crate::launcher::Launcher;
use crate::simulate::Simulation;
use crate::usage::{self, NotParsed};
use crate::{job, target};
use anyhow::{Result, bail};
use clap::Parser;
use shoal::{Job, TrackerPlace};
use std::path::PathBuf;
use swarm::Rank;

/// What the command line comes to.
#[derive(Debug)]
pub enum Action {
    /// Print this to standard output and end with status 0.
    Print(String),
    /// Print this, and the MPI library that would be taken, to standard output and end with status
    /// 0.
    Version(String),
    /// Start this program again under a launcher.
    Launch(Launch),
    /// Be a rank of a job.
    Run(Box<Orders>),
    /// Simulate a job.
    Simulate(Simulation),
}

/// What one rank is to do, and how it is to tell of it.
#[derive(Debug)]
pub struct Orders {
    /// What the node does.
    pub job: Job,
    /// How progress is shown.
    pub progress: ProgressArg,
    /// Where the report goes beside standard output.
    pub json: Option<PathBuf>,
    /// 0, 1 for phases, 2 and above for messages.
    pub verbosity: u8,
}

/// Decides what to do.
///
/// # Errors
///
/// Says, in a sentence, what is wrong with the command line: status 1.
pub fn decide(env: &Env, launcher: &Launcher) -> Result<Action> {
    let args = match Args::try_parse_from(&env.args) {
        Ok(args) => args,
        Err(error) => match usage::explain(&error, command_given(env)) {
            NotParsed::Shown(text) => return Ok(Action::Print(text)),
            NotParsed::Version(text) => return Ok(Action::Version(text)),
            NotParsed::Wrong(why) => return Err(why),
        },
    };
    match &args.command {
        Subcommand::Run(run) => decide_run(env, launcher, run),
        Subcommand::Cast(cast) => decide_cast(env, launcher, cast),
        Subcommand::Simulate(simulate) => {
            Ok(Action::Simulate(Simulation::new(&env.current_dir, simulate)?))
        }
    }
}

fn decide_run(env: &Env, launcher: &Launcher, run: &RunArgs) -> Result<Action> {
    let wants_nothing = !run.want.is_empty() && run.want.iter().all(|want| *want == Want::Nothing);
    if run.plan.is_none() && run.into.is_none() && !wants_nothing {
        bail!(job::NOWHERE_TO_PUT);
    }
    let tracker = run.tracker.map_or(TrackerPlace::Dedicated, TrackerPlace::from);
    if let Some(launch) = launch(env, launcher, &run.common, tracker)? {
        return Ok(Action::Launch(launch));
    }
    let job = job::for_run(env, launcher, run, tracker)?;
    orders(env, launcher, &run.common, job)
}

fn decide_cast(env: &Env, launcher: &Launcher, cast: &CastArgs) -> Result<Action> {
    let tracker = cast.tracker.map_or(TrackerPlace::Colocated, TrackerPlace::from);
    if let Some(launch) = launch(env, launcher, &cast.common, tracker)? {
        return Ok(Action::Launch(launch));
    }
    let job = job::for_cast(env, launcher, cast, tracker)?;
    orders(env, launcher, &cast.common, job)
}

/// The command that starts the ranks, where `--ranks` asks for it and no launcher has done so.
fn launch(
    env: &Env,
    launcher: &Launcher,
    common: &Common,
    tracker: TrackerPlace,
) -> Result<Option<Launch>> {
    let size = match (common.ranks, launcher.is_present()) {
        (Some(ranks), true) if launcher.size.is_some_and(|size| size != ranks) => bail!(
            "--ranks {ranks} contradicts {}, which started {}; under a launcher leave --ranks out",
            launcher.kind,
            launcher.size.unwrap_or_default()
        ),
        (ranks, false) => Some(ranks.unwrap_or(1)),
        (_, true) => launcher.size,
    };
    if size == Some(1) && tracker == TrackerPlace::Dedicated {
        bail!(
            "one rank is not enough: rank 0 only tracks, and nobody is left to share or fetch; \
             start at least two, under mpirun, mpiexec or srun or with --ranks N (the tracker \
             counts), or make rank 0 a peer too with --tracker colocated"
        );
    }
    match common.ranks {
        Some(ranks) if ranks > 1 && !launcher.is_present() => Launch::new(env, ranks).map(Some),
        _ => Ok(None),
    }
}

fn orders(env: &Env, launcher: &Launcher, common: &Common, mut job: Job) -> Result<Action> {
    let json = match &common.json {
        Some(template) => {
            let here = job::surroundings(env, launcher);
            let path = job::fill_path("--json", template, here)?;
            Some(target::named(&env.current_dir, &path))
        }
        None => None,
    };
    // Only the tracker's host need have the directory, and a mistake is better told now than after
    // the job. The job is refused with it: rank 0 alone cannot end the others before MPI begins.
    let is_tracker = launcher.rank == Rank::TRACKER;
    let checked = json.as_deref().filter(|_| is_tracker).map_or(Ok(()), target::check);
    let json = match checked {
        Ok(()) => json,
        Err(why) => {
            job.problem.get_or_insert(format!("{why:#}"));
            None
        }
    };
    let verbosity = common.verbose;
    Ok(Action::Run(Box::new(Orders { job, progress: common.progress, json, verbosity })))
}

fn command_given(env: &Env) -> Option<&'static str> {
    let given = env.args.get(1)?;
    ["run", "cast", "simulate"].into_iter().find(|command| given == command)
}
