//! Jobs drawn at random, with faults of every kind: they end, and their reports are true.
//!
//! `SHOAL_PLANS=10000 cargo test -p shoal-swarm --test random` runs more of them;
//! `SHOAL_SEED=123 cargo test -p shoal-swarm --test random one_seed` runs one.

// A test, unlike the crate, is told its seed by the environment, and says which one failed.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros)]

mod plan;
mod world;

use plan::Plan;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

/// Plans of a usual run: about ten seconds.
const PLANS: u64 = 3000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

fn run(seed: u64) -> Vec<String> {
    let plan = Plan::draw(seed);
    let mut world = plan.world();
    world.run(plan.limit());
    world.audit();
    world.log
}

#[test]
fn jobs_end_and_their_reports_are_true() {
    let plans = number("SHOAL_PLANS").unwrap_or(PLANS);
    let first = number("SHOAL_FIRST").unwrap_or(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(first);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + plans {
                return failed;
            }
            let result = catch_unwind(AssertUnwindSafe(|| {
                let log = run(seed);
                assert!(
                    !seed.is_multiple_of(16) || log == run(seed),
                    "a seed does not repeat itself"
                );
            }));
            if result.is_err() {
                eprintln!(
                    "SHOAL_SEED={seed} cargo test -p shoal-swarm --test random one_seed fails"
                );
                failed.push(seed);
            }
        }
    };
    let failed: Vec<u64> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{} of {plans} plans fail: {failed:?}", failed.len());
}

#[test]
fn one_seed() {
    let Some(seed) = number("SHOAL_SEED") else { return };
    let plan = Plan::draw(seed);
    let mut world = plan.world();
    println!("{:?}\n{:?}", plan.settings, plan.faults);
    plan.orders.iter().enumerate().for_each(|(rank, orders)| println!("{rank}: {orders:?}"));
    let result = catch_unwind(AssertUnwindSafe(|| world.run(plan.limit())));
    let lines = number("SHOAL_LINES").unwrap_or(200) as usize;
    let log = &world.log;
    log[log.len().saturating_sub(lines)..].iter().for_each(|line| println!("{line}"));
    world.notices.iter().for_each(|notice| println!("{notice}"));
    if let Some(report) = &world.report {
        println!("{}: {:?}, missing {:?}", report.outcome.word(), report.reasons, report.missing);
        report.peers.iter().for_each(|row| println!("{row:?}"));
    }
    assert!(result.is_ok(), "it does not run");
    world.audit();
}
