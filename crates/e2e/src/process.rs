//! The processes of one run, as `/proc` shows them. A process belongs to a run if its environment
//! has the mark.

use crate::launch::MARK;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::time::Duration;

/// What launchers tell each process of its rank: Open MPI, PMIx, Hydra.
const RANK_VARIABLES: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"];

/// A process of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RankProcess {
    /// Its process id.
    pub pid: i32,
    /// Its rank; `None` for the launcher and its helpers.
    pub rank: Option<u32>,
}

impl RankProcess {
    /// All processes that carry the mark, zombies excepted.
    pub(crate) fn marked(mark: &str) -> Vec<Self> {
        let wanted = format!("{MARK}={mark}");
        let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
        let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
        pids.filter_map(|pid| Self::marked_process(pid, &wanted)).collect()
    }

    /// This process, if it carries the mark. A zombie has no environment any more.
    fn marked_process(pid: i32, wanted: &str) -> Option<Self> {
        let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let variables = || environ.split(|&byte| byte == 0);
        variables().find(|variable| *variable == wanted.as_bytes())?;
        let number = |name: &str| {
            let text =
                variables().find_map(|v| v.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
            std::str::from_utf8(text?).ok()?.parse().ok()
        };
        let rank = RANK_VARIABLES.into_iter().find_map(number);
        Some(Self { pid, rank })
    }

    /// Sends a signal; a process that is gone does not mind.
    pub fn signal(self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            let _ = kill_process(pid, signal);
        }
    }

    /// SIGKILL.
    pub fn kill(self) {
        self.signal(Signal::KILL);
    }

    /// SIGSTOP: it hangs.
    pub fn stop(self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT: it wakes.
    pub fn wake(self) {
        self.signal(Signal::CONT);
    }

    /// Whether it exists, and has not ended.
    pub fn is_alive(self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The state follows the command's name: a zombie has ended.
        let state = stat.rfind(')').and_then(|at| stat[at + 1..].trim_start().chars().next());
        state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
    }

    /// Processor time used so far, user and system, all threads; `None` where the process is gone.
    pub fn cpu_time(self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // The command's name may hold spaces: count from the closing parenthesis. utime and stime
        // are fields 14 and 15 of proc(5).
        let fields: Vec<&str> = stat[stat.rfind(')')? + 2..].split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
        Some(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
    }

    /// Memory of its own (`RssAnon`: no page cache, no shared memory) in bytes; `None` where it is
    /// gone.
    pub fn anonymous_bytes(self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
    }
}
