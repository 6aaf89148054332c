//! Whether whoever has the lock of a destination belongs to this job, as far as that shows from
//! here: by what the launcher calls the job, else by who started the process. Takes no lock.

use std::ffi::OsStr;
use std::sync::OnceLock;

/// What tells the launches apart: the first of these that are all set.
const LAUNCH_VARIABLES: [&[&str]; 3] =
    [&["PMIX_NAMESPACE"], &["SLURM_JOB_ID", "SLURM_STEP_ID"], &["OMPI_MCA_ess_base_jobid"]];

/// Bits of a lock's number that are the launch's; the others are random.
const LAUNCH_BITS: u32 = 64;

/// A number for a lock that this process takes.
pub(super) fn number(random: u128) -> u128 {
    let own = launch().unwrap_or((random >> LAUNCH_BITS) as u64);
    u128::from(own) << LAUNCH_BITS | random & u128::from(u64::MAX)
}

/// Whether a lock of this number, and of this owner by its own account, is certainly another job's.
pub(super) fn is_foreign(number: u128, owner: &str, host: &str) -> bool {
    match launch() {
        Some(own) => number >> LAUNCH_BITS != u128::from(own),
        None => {
            let (parent, own) = (owner_pid(owner, host).map(parent_of), std::process::id());
            // One that is no more had the lock until just now.
            parent.is_some_and(|parent| parent.is_none() || parent != parent_of(own))
        }
    }
}

/// The name of this launch, as a number: FNV-1a. None where the launcher gives it no name.
fn launch() -> Option<u64> {
    static LAUNCH: OnceLock<Option<u64>> = OnceLock::new();
    *LAUNCH.get_or_init(|| {
        let values = LAUNCH_VARIABLES.iter().find_map(|names| {
            let values = names.iter().map(std::env::var_os);
            values.collect::<Option<Vec<_>>>()
        })?;
        let text = values.join(OsStr::new(" "));
        let fold =
            |digest: u64, byte: &u8| (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        Some(text.as_encoded_bytes().iter().fold(0xCBF2_9CE4_8422_2325, fold))
    })
}

/// The process on this host that an owner names.
fn owner_pid(owner: &str, host: &str) -> Option<u32> {
    let (before, pid) = owner.rsplit_once(", process ")?;
    let on = before.rsplit_once("host ").map(|(_, on)| on)?;
    (on == host).then(|| pid.parse().ok())?
}

/// The parent of a process that is there and no zombie, see proc_pid_stat(5).
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    let state = words.next()?;
    words.next()?.parse().ok().filter(|_| state != "Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_on_this_host_is_known_by_its_process() {
        let own = format!("Slurm job 7, host here, process {}", std::process::id());
        assert_eq!(owner_pid(&own, "here"), Some(std::process::id()));
        assert_eq!(owner_pid(&own, "there"), None);
        assert_eq!(owner_pid("somebody who left no name", "here"), None);
        assert!(parent_of(std::process::id()).is_some() && parent_of(u32::MAX).is_none());
    }

    #[test]
    fn a_number_of_this_launch_is_never_foreign() {
        let owner = format!("host here, process {}", std::process::id());
        assert!(!is_foreign(number(1 << 100 | 5), &owner, "here"));
        if launch().is_none() {
            assert!(is_foreign(7, "host here, process 4294967295", "here"), "it is dead");
            assert!(!is_foreign(7, "host there, process 4294967295", "here"), "nobody can know");
        }
    }
}
