//! Jobs, and ranks, that a signal tells to stop.

use crate::support::*;
use node::{Interrupt, Job, Signal};
use std::thread::sleep;
use std::time::Duration;
use swarm::{Channel, Outcome, PeerState};

const PIECES: usize = 400;
/// So long that a test which waits for it has failed.
const LONG: Duration = Duration::from_secs(20);

fn source(world: &World) -> [Job; 2] {
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    [idle(), seeder(world.path("source"))]
}

#[test]
fn an_interrupted_job_tells_what_it_has_and_the_same_command_resumes() {
    let world = World::new();
    let into = |rank: u32| world.path(&format!("into{rank}"));
    let jobs = || source(&world).into_iter().chain((2..4).map(|rank| leecher(into(rank))));
    let mut interrupted: Vec<Job> = jobs().collect();
    let signal = Interrupt::default();
    interrupted[0].interrupt = signal.clone();
    let raise = move || signal.raise(Signal::Terminate);
    let told = Cluster::new(interrupted)
        .hook(2, when_piece(60, raise))
        .hook(3, slow(Duration::from_millis(1)))
        .run();
    let report = told.expect(Outcome::Failed);
    assert!(report.reasons[0].to_string().starts_with("interrupted by SIGTERM; "), "{report:#?}");
    assert_eq!(told.row(1).state, PeerState::Complete, "it wanted nothing");
    let mut there = 0;
    for rank in [2, 3] {
        let row = told.row(rank);
        assert_eq!((row.state, row.files_complete), (PeerState::Incomplete, 0));
        assert_eq!(row.reason, Some("interrupted by SIGTERM".into()));
        assert!(row.elapsed > Duration::ZERO && !told.ended(rank as usize).lost);
        there += row.counters.bytes_delivered;
    }
    assert!(there >= 50 * PIECE as u64, "{there} bytes were told");
    assert!(told.notices().is_empty(), "the user knows: {}", told.notices());

    let told = Cluster::new(jobs()).run();
    let report = told.expect(Outcome::Complete);
    let reused: u64 = report.peers.iter().map(|row| row.counters.bytes_reused).sum();
    assert_eq!(reused, there, "all that was told was there");
    for rank in [2, 3] {
        assert_eq!(tree(&into(rank)), tree(&world.path("source")));
    }
}

#[test]
fn a_rank_that_leaves_alone_keeps_what_it_has_and_the_others_go_on() {
    let world = World::new();
    let mut jobs = source(&world).to_vec();
    jobs.extend(["a", "b"].map(|into| leecher(world.path(into))));
    let signal = Interrupt::default();
    jobs[2].interrupt = signal.clone();
    let raise = move || signal.raise(Signal::Interrupt);
    let told = Cluster::new(jobs).hook(2, when_piece(60, raise)).run();
    let report = told.expect(Outcome::Failed);
    assert!(
        report.reasons[0].to_string().starts_with("rank 2 interrupted by SIGINT; "),
        "{report:#?}"
    );
    assert_eq!(told.row(2).reason, Some("interrupted by SIGINT".into()));
    assert!(world.path("a/.shoal").exists(), "what it has is kept");
    assert_eq!(told.row(3).state, PeerState::Complete);
    assert_eq!(tree(&world.path("b")), tree(&world.path("source")));
}

#[test]
fn a_rank_that_is_told_before_start_fetches_nothing() {
    let world = World::new();
    let mut jobs = source(&world).to_vec();
    jobs.extend(["a", "b"].map(|into| leecher(world.path(into))));
    jobs[2].interrupt.raise(Signal::Terminate);
    let told = Cluster::new(jobs).run();
    told.expect(Outcome::Failed);
    assert_eq!(told.row(2).counters.bytes_received, 0);
    assert_eq!(tree(&world.path("b")), tree(&world.path("source")));
}

#[test]
fn a_job_that_is_interrupted_before_start_leaves_nothing_behind() {
    let world = World::new();
    let mut jobs = source(&world).to_vec();
    jobs.push(leecher(world.path("into")));
    let signal = Interrupt::default();
    jobs[0].interrupt = signal.clone();
    // The other rank has not spoken yet.
    let hook = from_channel(2, Channel::Init, move |_| signal.raise(Signal::Interrupt));
    let told = Cluster::new(jobs).hook(0, hook).late(1, Duration::from_millis(500)).run();
    let report = told.expect(Outcome::Failed);
    assert!(
        report.reasons[0].to_string().contains("interrupted by SIGINT before anything"),
        "{report:#?}"
    );
    assert!(!world.path("into").exists(), "{:?}", tree(&world.path("into")).keys());
    assert!(told.took < LONG / 2, "{:?}", told.took);
}

#[test]
fn a_rank_that_hangs_does_not_hold_up_an_interrupted_job() {
    let world = World::new();
    let mut jobs = source(&world).to_vec();
    jobs.extend(["a", "b"].map(|into| leecher(world.path(into))));
    let signal = Interrupt::default();
    jobs[0].interrupt = signal.clone();
    let hang = move || {
        signal.raise(Signal::Interrupt);
        sleep(Duration::from_secs(6));
    };
    let told = Cluster::new(jobs).hook(2, when_piece(60, hang)).run();
    let report = told.report();
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(told.row(2).reason, Some("interrupted by SIGINT".into()));
    let tracker = &told.ranks[0];
    assert!(tracker.took < Duration::from_secs(5), "{:?}", tracker.took);
    assert!(told.ended(0).lost, "it may be stuck: nobody waits for it in MPI either");
}

#[test]
fn a_signal_after_all_is_there_changes_nothing() {
    let world = World::new();
    let mut jobs = source(&world).to_vec();
    jobs.push(leecher(world.path("into")));
    let signal = Interrupt::default();
    jobs[0].interrupt = signal.clone();
    let hook = from_channel(2, Channel::Finish, move |_| signal.raise(Signal::Interrupt));
    Cluster::new(jobs).hook(0, hook).run().expect(Outcome::Complete);
    assert_eq!(tree(&world.path("into")), tree(&world.path("source")));
}
