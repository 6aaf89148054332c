//! Runs a job: a thread a rank, and one deadline for all.

use super::hook::{Death, Hook, Hooked};
use node::{Ended, Job, Notice, Observer, Progress, memory};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use swarm::{Outcome, PeerRow, PeerState, Report};

/// A job takes longer than this only where it hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// A job that has not begun.
pub struct Cluster {
    jobs: Vec<Job>,
    hooks: BTreeMap<usize, Hook>,
    late: BTreeMap<usize, Duration>,
    deadline: Duration,
}

/// What all ranks told.
#[derive(Debug)]
pub struct Told {
    pub ranks: Vec<Rank>,
    pub took: Duration,
}

/// What a rank told.
#[derive(Debug, Default)]
pub struct Rank {
    /// None where it died.
    pub ended: Option<Ended>,
    pub notices: Vec<String>,
    pub reports: Vec<Report>,
    pub progress: Vec<Progress>,
    /// How long it ran, ...
    pub took: Duration,
    /// ... and for how much of that its loop used a core.
    pub used: Duration,
}

impl Cluster {
    /// A job of these ranks, in order.
    pub fn new(jobs: impl IntoIterator<Item = Job>) -> Self {
        let jobs = jobs.into_iter().collect();
        Self { jobs, hooks: BTreeMap::new(), late: BTreeMap::new(), deadline: DEADLINE }
    }

    /// Lets a hook see what arrives at a rank.
    pub fn hook(mut self, rank: usize, hook: Hook) -> Self {
        self.hooks.insert(rank, hook);
        self
    }

    /// A rank begins later than the others.
    pub fn late(mut self, rank: usize, by: Duration) -> Self {
        self.late.insert(rank, by);
        self
    }

    /// The whole job may take so long.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Gives all ranks this patience.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.jobs.iter_mut().for_each(|job| job.patience = patience);
        self
    }

    /// Runs it.
    ///
    /// # Panics
    ///
    /// Panics where it does not end in time, or a rank panics that was not told to die.
    pub fn run(mut self) -> Told {
        let began = Instant::now();
        let size = self.jobs.len();
        let (end, ends) = channel();
        let endpoints = memory::network(size as u32);
        for (rank, (job, inner)) in self.jobs.into_iter().zip(endpoints).enumerate() {
            let hook = self.hooks.remove(&rank);
            let wait = self.late.remove(&rank).unwrap_or_default();
            let transport = Hooked { inner, hook, sources: BTreeMap::new() };
            let end = Sender::clone(&end);
            std::thread::spawn(move || {
                std::thread::sleep(wait);
                // It fails where the deadline is over.
                let _ = end.send((rank, be_rank(job, transport)));
            });
        }
        let ranks = collect(&ends, size, began + self.deadline);
        Told { ranks, took: began.elapsed() }
    }
}

/// What a rank told, and its end of the transport where it lives; or its panic.
type End = std::thread::Result<(Rank, Option<Hooked>)>;

/// Waits for all ranks. Their ends of the transport live so long: each one's end would be its death
/// to the others.
fn collect(ends: &Receiver<(usize, End)>, size: usize, until: Instant) -> Vec<Rank> {
    let mut told: BTreeMap<usize, (Rank, Option<Hooked>)> = BTreeMap::new();
    while told.len() < size {
        let left = until.saturating_duration_since(Instant::now());
        let Ok((rank, end)) = ends.recv_timeout(left) else {
            let hung: Vec<_> = (0..size).filter(|rank| !told.contains_key(rank)).collect();
            let told: Vec<_> = told.into_iter().map(|(at, (rank, _))| (at, rank)).collect();
            panic!("ranks {hung:?} did not end in time; the others: {told:#?}");
        };
        told.insert(rank, end.unwrap_or_else(|panic| resume_unwind(panic)));
    }
    told.into_values().map(|(rank, _)| rank).collect()
}

fn be_rank(job: Job, mut transport: Hooked) -> End {
    let mut told = Rank::default();
    let (began, used) = (Instant::now(), cpu_time());
    let ended = catch_unwind(AssertUnwindSafe(|| node::run(job, &mut transport, &mut told)));
    told.took = began.elapsed();
    told.used = cpu_time() - used;
    match ended {
        Ok(ended) => {
            told.ended = Some(ended);
            Ok((told, Some(transport)))
        }
        Err(panic) if panic.is::<Death>() => Ok((told, None)),
        Err(panic) => Err(panic),
    }
}

/// The time that this thread spent on a core.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

impl Observer for Rank {
    fn notice(&mut self, notice: &Notice) {
        self.notices.push(notice.to_string());
    }

    fn progress(&mut self, progress: &Progress) {
        self.progress.push(progress.clone());
    }

    fn report(&mut self, report: &Report) {
        self.reports.push(report.clone());
    }
}

impl Told {
    /// Why the job ended as it did, a line each.
    pub fn reasons(&self) -> String {
        let reasons: Vec<_> = self.report().reasons.iter().map(ToString::to_string).collect();
        reasons.join("\n")
    }

    /// The only report, of the rank that tracked in the end.
    pub fn report(&self) -> &Report {
        let reports: Vec<&Report> = self.ranks.iter().flat_map(|rank| &rank.reports).collect();
        assert_eq!(reports.len(), 1, "one report: {self:#?}");
        let tracker = &self.ranks[reports[0].tracker.index()];
        assert_eq!(tracker.reports.len(), 1, "the tracker's: {self:#?}");
        reports[0]
    }

    /// A rank's row of the report.
    pub fn row(&self, rank: u32) -> &PeerRow {
        let rows = &self.report().peers;
        rows.iter().find(|row| row.rank.0 == rank).unwrap_or_else(|| panic!("no row in {rows:#?}"))
    }

    /// How a rank ended that did not die.
    pub fn ended(&self, rank: usize) -> Ended {
        self.ranks[rank].ended.unwrap_or_else(|| panic!("rank {rank} died: {self:#?}"))
    }

    /// What all ranks said, one notice a line.
    pub fn notices(&self) -> String {
        let notices: Vec<&str> =
            self.ranks.iter().flat_map(|rank| &rank.notices).map(String::as_str).collect();
        notices.join("\n")
    }

    /// Holds that every live rank ended with this outcome, and the report's sums. Gives the
    /// report.
    pub fn expect(&self, outcome: Outcome) -> &Report {
        let report = self.report();
        assert_eq!(report.outcome, outcome, "{self:#?}");
        for (rank, told) in self.ranks.iter().enumerate() {
            let Some(ended) = told.ended else { continue };
            let was_lost = report
                .peers
                .iter()
                .any(|r| r.rank.0 as usize == rank && r.state == PeerState::Lost);
            assert!(was_lost || ended.outcome == outcome, "rank {rank}: {self:#?}");
            assert_eq!(ended.is_tracker, rank == report.tracker.index());
        }
        self.check_sums();
        report
    }

    /// What must hold of the report's numbers where nobody was lost.
    fn check_sums(&self) {
        let report = self.report();
        let sum = |count: fn(&PeerRow) -> u64| report.peers.iter().map(count).sum::<u64>();
        assert_eq!(report.bytes_delivered, sum(|row| row.counters.bytes_delivered));
        for row in &report.peers {
            assert!(row.files_complete <= row.files_wanted, "{row:#?}");
            let complete = row.state == PeerState::Complete;
            assert_eq!(complete, row.reason.is_none(), "{row:#?}");
            assert!(!complete || row.files_complete == row.files_wanted, "{row:#?}");
        }
        if report.peers.iter().any(|row| row.state == PeerState::Lost) {
            assert!(self.ranks.iter().filter_map(|rank| rank.ended).all(|ended| ended.lost));
            return;
        }
        assert_eq!(
            sum(|row| row.counters.bytes_received),
            sum(|row| row.counters.bytes_sent),
            "what one rank sent another received: {report:#?}"
        );
        if report.outcome == Outcome::Complete {
            assert!(report.missing.is_empty(), "{report:#?}");
            let found = sum(|row| row.counters.bytes_reused);
            assert_eq!(report.bytes_wanted, report.bytes_delivered + found, "{report:#?}");
        }
    }
}
