//! How jobs end under the launcher that `SHOAL_MPIRUN` names, else Debian's Open MPI's.

#[path = "../../mpi/tests/launch/mod.rs"]
mod launch;

use launch::{Ended, has_ulfm};
use std::time::{Duration, Instant};

/// Longer than any ending takes, shorter than the patience of the example that is watched.
const DEADLINE: Duration = Duration::from_secs(18);

fn end(how: &str, number: u32) -> Ended {
    launch::launch("ending", &[how, &number.to_string()], 4, DEADLINE)
}

/// Waits for the processes of a job to be gone: the ranks of a job that lost one leave within a
/// second.
fn nothing_is_left(how: &str, number: u32) {
    let until = Instant::now() + Duration::from_secs(5);
    while is_any_left(how, number) {
        assert!(Instant::now() < until, "processes of `ending {how} {number}` are left");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_any_left(how: &str, number: u32) -> bool {
    let line = format!("examples/ending\0{how}\0{number}\0");
    std::fs::read_dir("/proc").expect("this is Linux").flatten().any(|process| {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).ends_with(&line)
    })
}

#[test]
fn a_job_that_lost_nobody_ends_with_its_own_status() {
    for status in [0, 2] {
        let ended = end("well", status);
        assert_eq!(ended.status, Some(status.cast_signed()), "{}", ended.output);
        assert!(ended.output.contains(&format!("the table: status {status}")), "{}", ended.output);
    }
}

#[test]
fn a_job_with_a_hung_rank_ends_with_status_3_and_its_table() {
    let ended = end("hang", 2);
    assert_eq!(ended.status, Some(3), "{}", ended.output);
    assert!(ended.output.contains("the table: status 3"), "{}", ended.output);
    assert!(ended.took < Duration::from_secs(6), "{:?}: {}", ended.took, ended.output);
    if !has_ulfm() {
        // A launcher with ULFM leaves the hung rank alone; it ends when it wakes.
        nothing_is_left("hang", 2);
    }
}

#[test]
fn a_killed_rank_ends_the_job_or_is_heard_of_by_the_others() {
    let ended = end("kill", 2);
    if has_ulfm() {
        assert_eq!(ended.status, Some(3), "{}", ended.output);
        for rank in [0, 1, 3] {
            let went_on = format!("rank {rank}: went on without rank 2");
            assert!(ended.output.contains(&went_on), "{went_on}? {}", ended.output);
        }
    } else {
        assert_ne!(ended.status, Some(0), "{}", ended.output);
    }
    nothing_is_left("kill", 2);
}

#[test]
fn a_rank_that_dies_before_it_has_joined_is_not_waited_for_for_ever() {
    let ended = end("die first", 2);
    assert_ne!(ended.status, Some(0), "{}", ended.output);
    if has_ulfm() {
        // The first that leaves may take the others along.
        assert!(ended.output.contains("gives up"), "{}", ended.output);
    }
    nothing_is_left("die first", 2);
}

#[test]
fn a_rank_that_hangs_before_it_has_joined_is_not_waited_for_for_ever() {
    if has_ulfm() {
        // It would be left alone until it wakes.
        return;
    }
    let ended = end("sleep first", 2);
    assert_ne!(ended.status, Some(0), "{}", ended.output);
    assert!(ended.output.contains("gives up"), "{}", ended.output);
    nothing_is_left("sleep first", 2);
}

#[test]
fn a_panic_on_any_thread_is_printed_and_ends_the_process() {
    let ended = end("panic", 1);
    assert!(ended.output.contains("as asked"), "{}", ended.output);
    assert_ne!(ended.status, Some(0), "{}", ended.output);
    nothing_is_left("panic", 1);
}
