//! Random plans: whatever goes wrong in them, every promise is kept. A plan that breaks one prints
//! the command that replays it.
//!
//! `SHOAL_SIM_PLANS=10000 cargo test --release -p shoal-sim --test plans` runs more of them, and
//! `SHOAL_SIM_FIRST` sets the first seed.

use sim::{Scenario, random_plan, run};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Plans that every `cargo test` runs.
const PLANS: u64 = 300;
/// Failures that are shown.
const SHOWN: usize = 20;

#[expect(clippy::disallowed_methods, reason = "how many plans are run comes from outside")]
fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

/// What is wrong with a plan's run, if anything.
fn failure(scenario: &Scenario) -> Option<String> {
    let ran = catch_unwind(AssertUnwindSafe(|| run(scenario, &mut |_| ())));
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

#[test]
fn every_promise_is_kept_in_random_plans() {
    let first = number("SHOAL_SIM_FIRST", 0);
    let plans = number("SHOAL_SIM_PLANS", PLANS);
    let failures: Vec<String> =
        (first..first + plans).filter_map(|seed| failure(&random_plan(seed))).collect();
    assert!(
        failures.is_empty(),
        "{} of {plans} plans broke a promise; the first:\n{}",
        failures.len(),
        failures.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn equal_plans_give_equal_traces_and_different_seeds_different_ones() {
    for seed in 0..40 {
        let plan = random_plan(seed);
        if failure(&plan).is_some() {
            continue;
        }
        let (first, second) = (run(&plan, &mut |_| ()), run(&plan, &mut |_| ()));
        assert_eq!(first, second, "{plan}");
    }
    let with_seed = |seed| run(&Scenario { seed, ..Scenario::new(8, 50) }, &mut |_| ()).trace;
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
}
