//! Random plans: small jobs in which a lot goes wrong, and what it takes to pass one.

use crate::fault::Fault;
use crate::link::Link;
use crate::oracle::Finding;
use crate::random::Random;
use crate::scenario::Scenario;
use crate::world::{Run, run};

/// A job drawn from a seed, with up to five faults, all of them written out: what replays it says
/// what it is.
pub fn random_plan(seed: u64) -> Scenario {
    let mut random = Random::new(seed);
    let peers = random.within(2, 20) as u32;
    let pieces = random.one_of(&[1, 2, 7, 30, 64, 100, 150]) + random.below(10) as u32;
    let mut scenario = Scenario::new(peers, pieces);
    scenario.seed = seed;
    // Where each piece is a file, sixteen of them travel together.
    scenario.files = random.one_of(&[1, 1, 2, 5, pieces]).min(pieces);
    scenario.seeders = random.one_of(&[1, 1, 1, 2, 3]).min(peers - 1);
    if random.below(3) == 0 {
        scenario.hosts = random.within(1, u64::from(peers)) as u32;
    }
    scenario.uplink = Scenario::default_uplink(scenario.hosts, 1);
    if random.below(3) == 0 {
        scenario.racks = random.within(1, u64::from(scenario.hosts)).min(4) as u32;
        let full = Scenario::default_uplink(scenario.hosts, scenario.racks);
        scenario.uplink = random.within(1, u64::from(full)) as u32;
    }
    // Drawn apart, so that the rest of a plan does not depend on it.
    scenario.racks_untold = scenario.racks > 1 && Random::new(seed ^ 0x4AC5).below(2) == 0;
    if random.below(3) == 0 {
        scenario.links = (0..random.within(1, 3)).map(|_| link(&mut random, peers)).collect();
    }
    scenario.batch = random.one_of(&[1, 3, 10, 10, 10, 40]);
    scenario.window = random.one_of(&[1, 5, 20, 20, 20]);
    scenario.upload_window = random.one_of(&[1, 8, 8]);
    scenario.latency_us = random.one_of(&[0, 100, 100, 3_000, 40_000]);
    scenario.disk_us = random.one_of(&[0, 500, 500, 25_000]);
    scenario.patience_s = random.one_of(&[4, 12, 30]);
    let faults = random.below(6);
    scenario.faults = (0..faults).map(|_| Fault::random(&mut random, &scenario)).collect();
    if random.below(3) == 0 {
        // The tracker, and now and then those that take over from it.
        let lost = random.one_of(&[1, 1, 1, 2, 3]).min(u64::from(peers) - 1);
        let lose = |rank| Fault::of_tracker(&mut random, &scenario, rank);
        let losses: Vec<Fault> = (0..lost as u32).map(lose).collect();
        scenario.faults.extend(losses);
    }
    if random.below(2) == 0 {
        // From a part a file to all in one.
        scenario.catalogue_part = random.one_of(&[1, 150, 300, 2000]);
    }
    scenario
}

/// Runs a scenario twice, the second time without looking at the machines' invariants, which must
/// not change a thing: that the two runs are equal to the letter is one more promise.
///
/// # Panics
///
/// Panics as [`run`] does.
pub fn run_twice(scenario: &Scenario) -> Run {
    let mut first = run(scenario, &mut |_| ());
    let second = run(&Scenario { check_every: 0, ..scenario.clone() }, &mut |_| ());
    if first.finding.is_none() && first != second {
        let what = format!("two runs differ: traces {:x} and {:x}", first.trace, second.trace);
        first.finding = Some(Finding { round: 0, what });
    }
    first
}

/// Some ranks whose links are faster or slower than the others, each way.
fn link(random: &mut Random, peers: u32) -> Link {
    let first = random.within(1, u64::from(peers)) as u32;
    let last = random.within(u64::from(first), u64::from(peers)) as u32;
    let rates = [100, 250, 500, 1000, 2000, 4000];
    Link { first, last, up_milli: random.one_of(&rates), down_milli: random.one_of(&rates) }
}
