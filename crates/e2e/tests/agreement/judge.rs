//! Tries one case and says which promise it breaks.

use crate::case::{CHECK, Case, DRY_RUN};
use crate::expected::{Destination, Expected};
use crate::facts::{Facts, Links, below};
use e2e::{Cluster, Finished, Report};
use std::path::Path;

/// A case that broke no promise.
#[derive(Clone, Copy)]
pub struct Held {
    /// The status of its run.
    pub status: i32,
    /// Whether something of an earlier job lay at a destination.
    pub has_leftovers: bool,
}

/// Tries a case in an empty directory.
///
/// # Errors
///
/// Says which promise was broken in the first line, and how in the others.
pub fn judge(case: &Case, cluster: &Cluster) -> Result<Held, String> {
    let preparation = case.preparation();
    cluster.script(&["bash", "-c", &preparation], Vec::new()).without_json().run();
    let stores = || case.destinations().into_iter().map(|into| cluster.path(into).join(".shoal"));
    let has_leftovers = stores().any(|store| store.exists());
    let expected = Expected::of(case, &cluster.path(""));
    let look = match case.look {
        Some(look) => Some((look, looked(case, cluster, look)?)),
        None => None,
    };
    let wrongs_before = wrongs(&expected.destinations);
    let outside = outside(case, cluster);
    let run = Job::run(case, cluster, None);
    let status = run.finished.status;
    let held = Held { status, has_leftovers };
    // Only root may write whatever the modes are.
    if status != expected.status && e2e::is_root() {
        return run.breaks(&format!("status {status}, and it must be {}", expected.status));
    }
    if self::outside(case, cluster) != outside {
        return run.breaks("something outside of the destinations was touched");
    }
    match &look {
        Some((DRY_RUN, forecast)) => agrees(forecast, &run)?,
        Some((CHECK, check)) if check.finished.status == 0 => {
            if !wrongs_before.is_empty() {
                return check.breaks(&format!("--check says 0 before the run\n{wrongs_before}"));
            }
            if status != 0 || run.report.bytes_delivered > 0 {
                return run.breaks("--check said 0, and the run had something to do");
            }
        }
        _ => {}
    }
    if status != 0 {
        return Ok(held);
    }
    let wrongs = wrongs(&expected.destinations);
    if !wrongs.is_empty() {
        return run.breaks(&format!("status 0, and a destination differs\n{wrongs}"));
    }
    if stores().any(|store| store.exists() && !has_part(&store)) {
        return run.breaks("status 0, and .shoal is left with no part of a file in it");
    }
    // A part of what is shared and not wanted now serves others, and a job to come.
    let is_told = !run.report.left_alone.is_empty() || case.want.is_some();
    if stores().any(|store| store.exists()) && !is_told {
        return run.breaks("status 0, and a part is left that the report does not name");
    }
    let check = looked(case, cluster, CHECK)?;
    if check.finished.status != 0 {
        return check.breaks("status 0, and --check says something else");
    }
    Ok(held)
}

/// A job that has ended.
struct Job {
    finished: Finished,
    report: Report,
}

impl Job {
    fn run(case: &Case, cluster: &Cluster, look: Option<&'static str>) -> Self {
        let finished = cluster.launch(case.ranks, case.args(look)).run();
        let report = finished.report();
        Self { finished, report }
    }

    /// A failure, with all that the job said.
    fn breaks<T>(&self, promise: &str) -> Result<T, String> {
        Err(format!("{promise}\n{}", self.finished))
    }

    /// How many entries it removed, or would remove.
    fn removed(&self) -> Option<u32> {
        let last = self.finished.stdout.lines().rfind(|line| !line.is_empty())?;
        let (before, _) = last.split_once(" removed")?;
        before.split_whitespace().rev().find_map(|word| word.parse().ok())
    }
}

/// `--check` or `--dry-run`, which change nothing.
fn looked(case: &Case, cluster: &Cluster, look: &'static str) -> Result<Job, String> {
    let all = || {
        let mut all = below(&cluster.path(""), Links::Kept);
        all.retain(|name, _| !is_output(name));
        let stores = case.destinations().into_iter();
        all.extend(stores.flat_map(|into| below(&cluster.path(into).join(".shoal"), Links::Kept)));
        all
    };
    let before = all();
    let job = Job::run(case, cluster, Some(look));
    if all() != before {
        return job.breaks("a look changes something");
    }
    Ok(job)
}

/// Whether something of a file is left for a job to come.
fn has_part(store: &Path) -> bool {
    below(store, Links::Kept).keys().any(|name| name.ends_with(b".part"))
}

/// Everything that is no destination.
fn outside(case: &Case, cluster: &Cluster) -> Facts {
    let intos = case.destinations();
    let is_above = |name: &[u8]| intos.iter().any(|into| into.as_bytes().starts_with(name));
    let is_in = |name: &[u8]| intos.iter().any(|into| name.starts_with(into.as_bytes()));
    let mut all = below(&cluster.path(""), Links::Kept);
    all.retain(|name, _| !is_output(name) && !is_above(name) && !is_in(name));
    all
}

/// What jobs of the harness write beside the trees.
fn is_output(name: &[u8]) -> bool {
    [&b"report.json"[..], b"stdout-", b"stderr-"].iter().any(|start| name.starts_with(start))
}

fn wrongs(destinations: &[Destination]) -> String {
    destinations.iter().flat_map(Destination::wrongs).collect::<Vec<_>>().join("\n")
}

/// A dry run says what the run does: status, files, bytes, removals.
fn agrees(forecast: &Job, run: &Job) -> Result<(), String> {
    let status = |job: &Job| job.finished.status;
    if status(forecast) != status(run) {
        let (said, is) = (status(forecast), status(run));
        let promise = format!("--dry-run says {said}, and the run ends with {is}");
        return run.breaks(&format!("{promise}\n{}", forecast.finished));
    }
    let figures = |job: &Job| {
        let rows = job.report.peers.iter();
        let rows: Vec<_> =
            rows.map(|row| (row.rank, row.files_wanted, row.files_complete)).collect();
        (rows, job.report.bytes_wanted, job.removed())
    };
    if figures(forecast) != figures(run) {
        let (said, is) = (figures(forecast), figures(run));
        let promise = "--dry-run and the run differ in their figures";
        return run.breaks(&format!("{promise}\n{said:?}\n{is:?}\n{}", forecast.finished));
    }
    Ok(())
}
