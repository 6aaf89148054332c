//! Jobs in which ranks have caps.

use crate::support::*;
use node::Job;
use std::sync::{Arc, Mutex};
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

/// Holds that what came did so at the rate, and evenly: in every quarter of a second.
fn assert_paced(arrivals: &Arrivals, began: Instant, seconds: f64, bytes: u64) {
    let rate = bytes as f64 / seconds;
    assert!((0.95..=1.0).contains(&(rate / RATE as f64)), "{rate} bytes a second");
    let arrivals = arrivals.lock().unwrap();
    let quarter = Duration::from_millis(250);
    let since = |at: &Instant| at.saturating_duration_since(began);
    let from = since(&arrivals.first().unwrap().0);
    for number in 0..(since(&arrivals.last().unwrap().0) - from).as_millis() as u32 / 250 {
        let times = from + number * quarter..from + (number + 1) * quarter;
        let within = arrivals.iter().filter(|(at, _)| times.contains(&since(at)));
        let share = within.map(|(_, bytes)| bytes).sum::<u64>() as f64 / (RATE as f64 / 4.0);
        // A loaded machine may keep a rank waiting: what it missed comes in the next quarter.
        assert!((0.5..=1.5).contains(&share), "{share} of its share in quarter {number}");
    }
}

fn paced(seeder_job: Job, leecher_job: impl FnOnce(&World) -> Job) {
    let world = World::new();
    let len = RATE as usize * 5 / 2;
    world.file("source/data", &bytes(len, 1));
    let seeder_job = Job { shares: seeder(world.path("source")).shares, ..seeder_job };
    let (arrivals, hook) = note();
    let began = Instant::now();
    let leecher_job = leecher_job(&world);
    let told = Cluster::new([idle(), seeder_job, leecher_job]).hook(2, hook).run();
    let report = told.expect(Outcome::Complete);
    assert_paced(&arrivals, began, report.elapsed.as_secs_f64(), len as u64);
    assert_eq!(tree(&world.path("into")), tree(&world.path("source")));
}

#[test]
fn a_rank_sends_at_its_cap_and_evenly() {
    paced(upload(RATE, idle()), |world| leecher(world.path("into")));
}

#[test]
fn a_rank_receives_at_its_cap_and_evenly() {
    paced(idle(), |world| download(RATE, leecher(world.path("into"))));
}

#[test]
fn two_senders_together_keep_to_the_cap_of_their_receiver() {
    let world = World::new();
    let len = RATE as usize * 2;
    world.file("source/data", &bytes(len, 1));
    let seeders = [seeder(world.path("source")), seeder(world.path("source"))];
    let (arrivals, hook) = note();
    let began = Instant::now();
    let jobs = [idle()].into_iter().chain(seeders);
    let jobs = jobs.chain([download(RATE, leecher(world.path("into")))]);
    let told = Cluster::new(jobs).hook(3, hook).run();
    let report = told.expect(Outcome::Complete);
    assert_paced(&arrivals, began, report.elapsed.as_secs_f64(), len as u64);
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
    let world = World::new();
    world.file("source/data", &bytes(1000 * PIECE, 1));
    let others = |limited: bool| {
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
    };
    let (without, with) = (others(false), others(true));
    assert!(with < without * 2 + Duration::from_millis(500), "{without:?} without, {with:?} with");
}
