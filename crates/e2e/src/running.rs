//! A job that runs: it is watched, stopped, killed, or waited for until its deadline.

use crate::binary::Mpi;
use crate::cluster::Cluster;
use crate::finished::Finished;
use crate::partial::partials;
use crate::process::RankProcess;
use crate::slots::Slots;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// What the launcher of Open MPI 5 says when it fails by itself, now and then, before any rank runs
/// (lfortran/lfortran#8610 saw the same).
const STILLBORN: &str = "PMIx server's listener thread failed to start";
const POLL: Duration = Duration::from_millis(5);
/// Helpers of a launcher may outlive it by a moment, and ranks of a degraded job leave one second
/// after END.
const GRACE: Duration = Duration::from_secs(5);

/// A job that was started. Whatever is left of it when this is dropped is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    mark: String,
    command: String,
    started: Instant,
    deadline: Duration,
    outputs: (PathBuf, PathBuf),
    json: PathBuf,
    hung: Vec<RankProcess>,
    _slots: Slots,
}

impl Running {
    pub(crate) fn new(
        child: Child,
        mark: String,
        command: String,
        deadline: Duration,
        outputs: (PathBuf, PathBuf),
        json: PathBuf,
        slots: Slots,
    ) -> Self {
        let started = Instant::now();
        let hung = Vec::new();
        Self { child, mark, command, started, deadline, outputs, json, hung, _slots: slots }
    }

    /// Waits until there are ranks. Returns true where the launcher could not begin, through no
    /// fault of theirs.
    pub(crate) fn is_stillborn(&mut self) -> bool {
        Mpi::tested() == Mpi::Ulfm
            && !self.wait_until(|running| !running.ranks().is_empty())
            && self.stderr().contains(STILLBORN)
    }

    /// The processes that there are now, the launcher among them.
    pub fn processes(&self) -> Vec<RankProcess> {
        RankProcess::marked(&self.mark)
    }

    /// The processes that are ranks now, in order.
    pub fn ranks(&self) -> Vec<RankProcess> {
        let mut ranks = self.processes();
        ranks.retain(|process| process.rank.is_some());
        ranks.sort_by_key(|process| process.rank);
        ranks
    }

    /// The process of the launcher.
    pub fn launcher(&self) -> RankProcess {
        RankProcess { pid: self.child.id().try_into().expect("a process id"), rank: None }
    }

    /// The process of a rank.
    ///
    /// # Panics
    ///
    /// Panics where there is none.
    pub fn rank(&self, rank: u32) -> RankProcess {
        let found = self.ranks().into_iter().find(|process| process.rank == Some(rank));
        found.unwrap_or_else(|| panic!("no process of rank {rank}\n{}", self.output()))
    }

    /// Kills a rank with SIGKILL and waits until it is dead.
    pub fn kill_rank(&mut self, rank: u32) {
        self.kill_ranks(&[rank]);
    }

    /// Kills ranks with SIGKILL, all before the first death can be heard of, and waits until they
    /// are dead.
    pub fn kill_ranks(&mut self, ranks: &[u32]) {
        let doomed: Vec<RankProcess> = ranks.iter().map(|rank| self.rank(*rank)).collect();
        doomed.iter().for_each(|process| process.kill());
        while doomed.iter().any(|process| process.is_alive()) {
            self.check_deadline();
            std::thread::sleep(POLL);
        }
    }

    /// Kills the launcher with SIGKILL, and no rank.
    pub fn kill_launcher(&mut self) {
        self.child.kill().expect("a child can be killed");
    }

    /// Lets a rank hang (SIGSTOP). Where it still does when the launcher has ended, `finish` wakes
    /// it, and it must end by itself.
    pub fn hang_rank(&mut self, rank: u32) {
        let process = self.rank(rank);
        process.stop();
        self.hung.push(process);
    }

    /// Wakes a rank that hangs.
    pub fn wake_rank(&mut self, rank: u32) {
        let (woken, hung) = self.hung.drain(..).partition(|process| process.rank == Some(rank));
        self.hung = hung;
        let woken: Vec<RankProcess> = woken;
        assert!(!woken.is_empty(), "rank {rank} does not hang");
        woken.into_iter().for_each(RankProcess::wake);
    }

    /// What standard error holds so far.
    pub fn stderr(&self) -> String {
        self.read_outputs().1
    }

    /// Waits until something is so. Returns false where the job ended before.
    ///
    /// # Panics
    ///
    /// Panics at the deadline, with the output so far.
    pub fn wait_until(&mut self, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        loop {
            if is_so(self) {
                return true;
            }
            if self.ended().is_some() {
                return false;
            }
            self.check_deadline();
            std::thread::sleep(POLL);
        }
    }

    /// Waits until something is so while the job runs.
    ///
    /// # Panics
    ///
    /// Panics where the job ends before, and at the deadline, with the output so far.
    pub fn wait_for(&mut self, what: &str, is_so: impl FnMut(&Self) -> bool) {
        let in_time = self.wait_until(is_so);
        assert!(in_time, "the job ended before {what}\n{}", self.output());
    }

    /// Waits until each of these ranks has begun to write a long file.
    ///
    /// # Panics
    ///
    /// Panics where the job ends before, and at the deadline, with the output so far.
    pub fn wait_for_mid_transfer(&mut self, cluster: &Cluster, ranks: &[u32]) {
        let begun = |rank: &u32| {
            let found = partials(&cluster.destination(*rank));
            found.first().is_some_and(|partial| partial.1 > 0)
        };
        self.wait_for("it was in mid-transfer", |_| ranks.iter().all(begun));
    }

    /// Kills every process of the job with SIGKILL, by process id, and waits until they are gone.
    pub fn kill_all(mut self) {
        self.kill_marked();
        let _ = self.child.wait();
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// Panics at the deadline, and where processes of the job outlive it.
    pub fn finish(mut self) -> Finished {
        let status = loop {
            if let Some(status) = self.ended() {
                break status;
            }
            self.check_deadline();
            std::thread::sleep(POLL);
        };
        let wall = self.started.elapsed();
        // A launcher that knows how to go on without a rank leaves one that hangs alone.
        self.hung.drain(..).for_each(RankProcess::wake);
        self.check_nothing_left();
        let (stdout, stderr) = self.read_outputs();
        Finished::new(std::mem::take(&mut self.command), status, wall, stdout, stderr, &self.json)
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    fn check_deadline(&self) {
        if self.started.elapsed() > self.deadline {
            let left = self.processes();
            self.kill_marked();
            let seconds = self.deadline.as_secs();
            panic!("not done after {seconds} s; alive: {left:?}\n{}", self.output());
        }
    }

    fn check_nothing_left(&self) {
        let waiting = Instant::now();
        while !self.processes().is_empty() {
            if waiting.elapsed() > GRACE {
                let left = self.processes();
                self.kill_marked();
                panic!("processes outlive the launcher: {left:?}\n{}", self.output());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Kills what carries the mark, until nothing does: a process may be forking while it is looked
    /// for.
    fn kill_marked(&self) {
        for _ in 0..1000 {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            left.into_iter().for_each(RankProcess::kill);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn read_outputs(&self) -> (String, String) {
        let read = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into();
        (read(&self.outputs.0), read(&self.outputs.1))
    }

    fn output(&self) -> String {
        let (stdout, stderr) = self.read_outputs();
        format!("{}\n--- stdout\n{stdout}\n--- stderr\n{stderr}", self.command)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_marked();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
