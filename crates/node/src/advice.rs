//! What the tracker tells the user once, at START, where the job was started so that most of what
//! it could use lies idle. It looks at its own rank and at the names of the hosts, and changes
//! nothing.

use crate::notice::Notice;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeMap;
use std::thread;

/// As few peers as this are no loss for a host that only tracks.
const FEW_PEERS: u32 = 1;

/// What is known of the hosts before START.
#[derive(Debug, Default)]
pub(crate) struct Advice {
    /// The peers on each host.
    peers: BTreeMap<String, u32>,
    given: bool,
}

impl Advice {
    /// A peer said on which host it runs; each says so once.
    pub(crate) fn met(&mut self, host: &str) {
        *self.peers.entry(host.to_owned()).or_default() += 1;
    }

    /// What the user should know, the first time that it is asked; `host` is the tracker's, and it
    /// only tracks where it is dedicated.
    pub(crate) fn give(&mut self, host: &str, is_dedicated: bool) -> Option<Notice> {
        if std::mem::replace(&mut self.given, true) {
            return None;
        }
        let cores = Cores::of_this_process();
        self.find(host, is_dedicated, cores)
    }

    fn find(&self, host: &str, is_dedicated: bool, cores: Option<Cores>) -> Option<Notice> {
        let peers_here = self.peers.get(host).copied().unwrap_or(0);
        let ranks_here = peers_here + u32::from(is_dedicated);
        if let Some(cores) = cores.filter(|cores| cores.unbound >= 2 * ranks_here && cores.is_one) {
            return Some(Notice::BoundToOneCore { of: cores.unbound });
        }
        let peers: u32 = self.peers.values().sum();
        let tracks_alone = is_dedicated && peers_here == 0 && peers > FEW_PEERS;
        tracks_alone.then(|| Notice::TracksAlone { host: host.to_owned() })
    }
}

/// What this process may use of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cores {
    /// Whether its launcher bound it to one core.
    is_one: bool,
    /// The cores that it may use where nobody binds it.
    unbound: u32,
}

impl Cores {
    /// Looks at the affinity of this thread, and at how far a thread of its own may widen it: no
    /// launcher's option gives more than the batch system does. None where that cannot be told.
    fn of_this_process() -> Option<Self> {
        let own = sched_getaffinity(None).ok()?;
        let first = (0..CpuSet::MAX_CPU).find(|&cpu| own.is_set(cpu))?;
        let core = threads_of_core(first)?;
        let is_one = (0..CpuSet::MAX_CPU).all(|cpu| !own.is_set(cpu) || core.contains(&cpu));
        let widest = thread::Builder::new().spawn(|| {
            let mut all = CpuSet::new();
            (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
            sched_setaffinity(None, &all).ok()?;
            Some(sched_getaffinity(None).ok()?.count())
        });
        let widest = widest.ok()?.join().ok()??;
        Some(Self { is_one, unbound: widest / core.len() as u32 })
    }
}

/// The hardware threads that share a core with `cpu`, itself too.
fn threads_of_core(cpu: usize) -> Option<Vec<usize>> {
    let file = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    parse_list(std::fs::read_to_string(file).ok()?.trim()).filter(|cpus| cpus.contains(&cpu))
}

/// Linux's lists of numbers, such as `0-3,8`.
fn parse_list(text: &str) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Option<Cores> = Some(Cores { is_one: true, unbound: 8 });
    const FREE: Option<Cores> = Some(Cores { is_one: false, unbound: 8 });

    fn advice(hosts: &[&str]) -> Advice {
        let mut advice = Advice::default();
        hosts.iter().for_each(|host| advice.met(host));
        advice
    }

    #[test]
    fn one_core_is_too_few_where_every_rank_could_have_two() {
        let notice = advice(&["a", "a", "a"]).find("a", true, BOUND);
        assert_eq!(notice, Some(Notice::BoundToOneCore { of: 8 }));
        assert_eq!(advice(&["a", "a", "a", "a"]).find("a", true, BOUND), None);
        assert_eq!(advice(&["a", "a", "a"]).find("a", true, FREE), None);
        assert_eq!(advice(&["a", "a", "a"]).find("a", true, None), None);
    }

    #[test]
    fn a_tracker_alone_on_its_host_could_be_a_peer() {
        let notice = advice(&["b", "c"]).find("a", true, FREE);
        assert_eq!(notice, Some(Notice::TracksAlone { host: "a".to_owned() }));
        assert_eq!(advice(&["b"]).find("a", true, FREE), None);
        assert_eq!(advice(&["a", "b", "c"]).find("a", true, FREE), None);
        assert_eq!(advice(&["a", "b", "c"]).find("a", false, FREE), None);
    }

    #[test]
    fn advice_is_given_once() {
        let mut advice = advice(&["b", "c"]);
        assert!(advice.give("a", true).is_some());
        assert_eq!(advice.give("a", true), None);
    }

    #[test]
    fn a_bound_thread_knows_what_it_could_use_and_stays_bound() {
        let free = Cores::of_this_process().unwrap();
        let bound = thread::spawn(|| {
            let own = sched_getaffinity(None).unwrap();
            let mut one = CpuSet::new();
            one.set((0..CpuSet::MAX_CPU).find(|&cpu| own.is_set(cpu)).unwrap());
            sched_setaffinity(None, &one).unwrap();
            let cores = Cores::of_this_process().unwrap();
            assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
            cores
        });
        assert_eq!(bound.join().unwrap(), Cores { is_one: true, ..free });
    }

    #[test]
    fn linux_lists_are_read() {
        assert_eq!(parse_list("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse_list("5"), Some(vec![5]));
        assert_eq!(parse_list(""), None);
        assert_eq!(parse_list("1-x"), None);
    }
}
