//! Random plans: whatever goes wrong in them, every promise is kept, and each runs twice in the
//! same way. A plan that breaks one prints the command that replays it.
//!
//! `make plans` runs ten thousand of them, `shoal simulate --plans N --seed FIRST` any number;
//! `SHOAL_SIM_PLANS` and `SHOAL_SIM_FIRST` set what is run here.

use sim::{Scenario, random_plan, run, run_twice};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Plans that every `cargo test` runs: what fits into a minute of its four cores.
const PLANS: u64 = 2000;
/// Parts that they are run in.
const PARTS: u64 = 4;
/// Failures that are shown.
const SHOWN: usize = 20;

#[expect(clippy::disallowed_methods, reason = "how many plans are run comes from outside")]
fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

/// What is wrong with a plan's run, if anything.
fn failure(scenario: &Scenario) -> Option<String> {
    let ran = catch_unwind(AssertUnwindSafe(|| run_twice(scenario)));
    let what = match ran {
        Ok(run) => run.finding?.to_string(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("a machine panicked: {}", text.unwrap_or("?"))
        }
    };
    Some(format!("{what}\n    {scenario}"))
}

/// Tries one part of the plans; the parts run at the same time, as tests do.
fn try_part(part: u64) {
    let first = number("SHOAL_SIM_FIRST", 0);
    let plans = number("SHOAL_SIM_PLANS", PLANS);
    let seeds = (first..first + plans).filter(|seed| seed % PARTS == part);
    let failures: Vec<String> = seeds.filter_map(|seed| failure(&random_plan(seed))).collect();
    assert!(
        failures.is_empty(),
        "{} plans broke a promise; the first:\n{}",
        failures.len(),
        failures.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn every_promise_is_kept_in_random_plans() {
    try_part(0);
}

#[test]
fn every_promise_is_kept_in_more_random_plans() {
    try_part(1);
}

#[test]
fn every_promise_is_kept_in_still_more_random_plans() {
    try_part(2);
}

#[test]
fn every_promise_is_kept_in_the_last_random_plans() {
    try_part(3);
}

#[test]
fn different_seeds_give_different_traces() {
    let with_seed = |seed| run(&Scenario { seed, ..Scenario::new(8, 50) }, &mut |_| ()).trace;
    assert_eq!(with_seed(1), with_seed(1));
    assert_ne!(with_seed(1), with_seed(2));
}

#[test]
fn a_plan_prints_all_that_it_takes_to_replay_it() {
    let mut scenario = Scenario::new(5, 7);
    assert_eq!(scenario.to_string(), "shoal simulate --peers 5 --pieces 7 --seed 1");
    scenario.racks = 2;
    scenario.uplink = 1;
    scenario.faults = vec!["kill:3@9".parse().unwrap()];
    let told = "shoal simulate --peers 5 --pieces 7 --racks 2 --uplink 1 --fault kill:3@9 --seed 1";
    assert_eq!(scenario.to_string(), told);
    scenario.racks_untold = true;
    assert!(scenario.to_string().contains(" --racks-untold --fault"));
}
