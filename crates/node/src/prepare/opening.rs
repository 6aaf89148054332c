//! Opening the destination, before INIT. Another job that has it may be about to end: this waits a
//! moment for it. Looks at no share.

use super::Place;
use crate::job::Job;
use crate::trouble::Trouble;
use content::Name;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};
use store::{Destination, Look, exists};
use swarm::{Lock, Purpose};

/// How long another job's lock is waited for: the ranks of a job whose launcher was killed need a
/// moment to notice.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// How long before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Opens the destination where something is wanted, or where an earlier run left something to
/// offer. `say` tells the user something at once.
pub(super) fn open(job: &Job, say: &dyn Fn(String)) -> Option<Result<Place, String>> {
    if job.problem.is_some() {
        return None;
    }
    let Some(into) = &job.into else {
        return (!job.wants.is_empty()).then(|| Err(job.words.of(&Trouble::NoDestination)));
    };
    let wants_nothing = job.wants.is_empty();
    if job.purpose != Purpose::Transfer {
        return match job.purpose {
            Purpose::DryRun => Some(look(job, into, say)).filter(|it| it.is_ok() || !wants_nothing),
            _ if wants_nothing => None,
            _ => Some(look(job, into, say)),
        };
    }
    if wants_nothing && !exists(&into.join(OsStr::from_bytes(Name::RESERVED))) {
        return None;
    }
    let opened = claim(job, into, say);
    if wants_nothing { opened.ok().map(Ok) } else { Some(opened) }
}

/// Makes the destination and takes its lock.
fn claim(job: &Job, into: &Path, say: &dyn Fn(String)) -> Result<Place, String> {
    let owner = format!("{}host {}, process {}", batch_job(), job.host, std::process::id());
    let open = || {
        let opened = Destination::open(into, &owner).or_else(|error| match job.wants.is_empty() {
            true => Err(error),
            // All that is wanted may stand there already.
            false => Destination::open_sealed(into, &job.host, error),
        });
        opened.map_err(|error| error.to_string())
    };
    let destination = wait(into, say, open, |destination| {
        destination.foreign_owner(&job.host).map(str::to_owned)
    });
    let destination = destination?;
    if job.keeps.xattrs && !destination.keeps_xattrs() {
        destination.abandon();
        return Err(job.words.of(&Trouble::NoXattrs { into: super::shown(into) }));
    }
    Ok(Place::Claimed(destination))
}

/// Looks at the destination.
fn look(job: &Job, into: &Path, say: &dyn Fn(String)) -> Result<Place, String> {
    let open = || Look::open(into, &job.host, job.purpose).map_err(|error| error.to_string());
    let look = wait(into, say, open, |look| match look.facts().lock {
        Lock::Taken { owner, .. } => Some(owner),
        _ => None,
    });
    look.map(Place::Seen)
}

/// Opens something again and again while another job has it, for a few seconds.
fn wait<T>(
    into: &Path,
    say: &dyn Fn(String),
    open: impl Fn() -> Result<T, String>,
    owner: impl Fn(&T) -> Option<String>,
) -> Result<T, String> {
    let until = Instant::now() + LOCK_PATIENCE;
    let mut is_told = false;
    loop {
        let opened = open()?;
        let Some(owner) = owner(&opened).filter(|_| Instant::now() < until) else {
            return Ok(opened);
        };
        if !std::mem::replace(&mut is_told, true) {
            say(format!(
                "'{}' is in use by another job ({owner}): waiting up to {} s for it to end",
                super::shown(into),
                LOCK_PATIENCE.as_secs()
            ));
        }
        drop(opened);
        std::thread::sleep(PAUSE);
    }
}

/// The batch system's name for this job, for people who find its lock.
fn batch_job() -> String {
    let known = [("SLURM_JOB_ID", "Slurm"), ("PBS_JOBID", "PBS"), ("LSB_JOBID", "LSF")];
    known
        .iter()
        .find_map(|(variable, system)| {
            Some(format!("{system} job {}, ", std::env::var(variable).ok()?))
        })
        .unwrap_or_default()
}
