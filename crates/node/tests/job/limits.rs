//! Jobs in which ranks have caps.

use crate::support::*;
use node::Job;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use swarm::Outcome;
use swarm::peer::Limits;

const RATE: u64 = 4_000_000;

fn upload(limit: u64, job: Job) -> Job {
    Job { limits: Limits { upload: Some(limit), download: None }, ..job }
}

fn download(limit: u64, job: Job) -> Job {
    Job { limits: Limits { upload: None, download: Some(limit) }, ..job }
}

/// When bytes came, and how many.
type Arrivals = Arc<Mutex<Vec<(Instant, u64)>>>;

/// Notes what comes to a rank.
fn note() -> (Arrivals, Hook) {
    let arrivals = Arrivals::default();
    let notes = Arc::clone(&arrivals);
    let hook: Hook = Box::new(move |seen| {
        let bytes: usize = seen.pieces().map(|(_, buffer)| buffer.len()).sum();
        if bytes > 0 {
            notes.lock().unwrap().push((Instant::now(), bytes as u64));
        }
    });
    (arrivals, hook)
}

/// A rank that has to wait for a core falls below its cap, whatever it does: one of so many jobs
/// has to be undisturbed. What is above the cap fails at once.
const JOBS: usize = 6;

/// Runs a job until one goes as it should.
fn undisturbed(mut job: impl FnMut(&World) -> Result<(), String>) {
    // One at a time: they would disturb each other.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let failures: Vec<String> = (0..JOBS).map_while(|_| job(&World::new()).err()).collect();
    assert!(failures.len() < JOBS, "{failures:?}");
}

/// Whether what came did so at the rate, and evenly: in every quarter of a second.
///
/// # Panics
///
/// Where more came than the rate allows.
fn paced(arrivals: &Arrivals, began: Instant, seconds: f64, bytes: u64) -> Result<(), String> {
    let rate = bytes as f64 / seconds;
    assert!(rate <= RATE as f64, "{rate} bytes a second");
    if rate < 0.95 * RATE as f64 {
        return Err(format!("{rate} bytes a second"));
    }
    let arrivals = arrivals.lock().unwrap();
    let quarter = Duration::from_millis(250);
    let since = |at: &Instant| at.saturating_duration_since(began);
    let from = since(&arrivals.first().unwrap().0);
    for number in 0..(since(&arrivals.last().unwrap().0) - from).as_millis() as u32 / 250 {
        let times = from + number * quarter..from + (number + 1) * quarter;
        let within = arrivals.iter().filter(|(at, _)| times.contains(&since(at)));
        let share = within.map(|(_, bytes)| bytes).sum::<u64>() as f64 / (RATE as f64 / 4.0);
        // What a rank missed that had to wait comes in the next quarter.
        if !(0.5..=1.5).contains(&share) {
            return Err(format!("{share} of its share in quarter {number}"));
        }
    }
    Ok(())
}

/// Sends a file from these seeders to a leecher, and looks at what comes.
fn assert_paced(seeders: &[fn(Job) -> Job], leecher_job: fn(Job) -> Job) {
    undisturbed(|world| {
        let len = RATE as usize * 2;
        world.file("source/data", &bytes(len, 1));
        let mut jobs = vec![idle()];
        jobs.extend(seeders.iter().map(|how| how(seeder(world.path("source")))));
        jobs.push(leecher_job(leecher(world.path("into"))));
        let (arrivals, hook) = note();
        let (rank, began) = (jobs.len() - 1, Instant::now());
        let told = Cluster::new(jobs).hook(rank, hook).run();
        let report = told.expect(Outcome::Complete);
        assert_eq!(tree(&world.path("into")), tree(&world.path("source")));
        paced(&arrivals, began, report.elapsed.as_secs_f64(), len as u64)
    });
}

#[test]
fn a_rank_sends_at_its_cap_and_evenly() {
    assert_paced(&[|job| upload(RATE, job)], |job| job);
}

#[test]
fn a_rank_receives_at_its_cap_and_evenly() {
    assert_paced(&[|job| job], |job| download(RATE, job));
}

#[test]
fn two_senders_together_keep_to_the_cap_of_their_receiver() {
    assert_paced(&[|job| job, |job| job], |job| download(RATE, job));
}

#[test]
fn a_cap_below_a_piece_a_second_goes_on_and_nobody_is_lost() {
    let world = World::new();
    world.file("source/data", &bytes(3 * PIECE, 1));
    // A piece in 1.6 s: beyond every stall time, and more than half the patience.
    let slow = upload(10_000, seeder(world.path("source")));
    let told = Cluster::new([idle(), slow, leecher(world.path("a")), leecher(world.path("b"))])
        .patience(Duration::from_secs(1))
        .run();
    told.expect(Outcome::Complete);
    assert!(told.took > Duration::from_millis(4_800), "{:?}", told.took);
    assert_eq!(told.row(1).counters.bytes_wasted, 0);
    assert_eq!(tree(&world.path("b")), tree(&world.path("source")));
}

#[test]
fn ranks_without_a_cap_finish_as_if_the_one_that_has_one_were_not_there() {
    undisturbed(|world| {
        world.file("source/data", &bytes(1000 * PIECE, 1));
        let (without, with) = (uncapped_took(world, false), uncapped_took(world, true));
        match with < without * 2 + Duration::from_millis(500) {
            true => Ok(()),
            false => Err(format!("{without:?} without, {with:?} with")),
        }
    });
}

/// How long ranks without a cap take, alone or beside two that have one.
fn uncapped_took(world: &World, limited: bool) -> Duration {
    let into = |rank: u32| world.path(&format!("{limited}{rank}"));
    let mut jobs = vec![idle(), seeder(world.path("source"))];
    jobs.extend((2..5).map(|rank| leecher(into(rank))));
    if limited {
        // It would send one of the pieces that it has in 160 ms, ...
        let has = upload(100_000, leecher(into(5)));
        // ... and there is one that receives more slowly than the others.
        jobs.extend([has, download(8_000_000, leecher(into(6)))]);
    }
    let told = Cluster::new(jobs).run();
    told.expect(Outcome::Complete);
    (2..5).map(|rank| told.row(rank).elapsed).max().unwrap()
}
