//! `shoal simulate --plans`: many small jobs drawn from seeds, in each of which a lot goes wrong,
//! on all cores. What is printed does not depend on which thread runs which.

use super::meter::Meter;
use super::{BROKEN, cost, replayable};
use crate::env::Env;
use crate::human;
use anyhow::{Result, anyhow};
use sim::{Run, Scenario, random_plan, run_twice};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

/// The most plans of one call.
const MAX_PLANS: u64 = 100_000_000;

/// Plans by their seeds.
#[derive(Debug)]
pub struct Plans {
    seeds: Range<u64>,
}

/// What came of one plan.
struct Tried {
    seed: u64,
    scenario: Scenario,
    /// Nothing where a machine panicked.
    run: Option<Run>,
}

/// What came of all.
#[derive(Default)]
struct Sum {
    plans: u64,
    events: u64,
    outcomes: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
    duplicates: u64,
    /// By seed: what broke, and what replays it.
    broken: BTreeMap<u64, String>,
}

impl Plans {
    /// So many plans from a seed on.
    ///
    /// # Errors
    ///
    /// Refuses none, and more than make sense.
    pub fn new(first: u64, count: u64) -> Result<Self> {
        if !(1..=MAX_PLANS).contains(&count) {
            return Err(anyhow!("--plans {count}: it is a whole number from 1 to {MAX_PLANS}"));
        }
        let end = first.checked_add(count);
        let end = end.ok_or_else(|| anyhow!("--seed {first}: too few seeds follow"))?;
        Ok(Self { seeds: first..end })
    }

    /// Runs them all, each twice, prints what came of them, and gives the exit status.
    pub fn run(&self, mut meter: Meter, told: bool, env: Env) -> i32 {
        let Env { mut stdout, mut stderr, cores, .. } = env;
        let all = self.seeds.end - self.seeds.start;
        let mut sum = Sum::default();
        let next = AtomicU64::new(self.seeds.start);
        let (sender, tried) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..cores.max(1) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || work(next, self.seeds.end, &sender));
            }
            drop(sender);
            for one in tried {
                sum.add(&one);
                let broken = sum.broken.len();
                let _ = meter.show((sum.plans, all), || format!("{broken} broken"), &mut *stderr);
            }
        });
        let _ = meter.finish(&mut *stderr);
        let printed = stdout.write_all(self.table(&sum).as_bytes()).and_then(|()| stdout.flush());
        if told {
            let _ = writeln!(stderr, "shoal: {}", cost(meter.elapsed(), sum.events));
        }
        if let Err(why) = &printed {
            let _ = writeln!(stderr, "shoal: {why}");
        }
        if sum.broken.is_empty() && printed.is_ok() { 0 } else { BROKEN }
    }

    fn table(&self, sum: &Sum) -> String {
        let (first, last) = (self.seeds.start, self.seeds.end - 1);
        let mut text = format!("{} random plans, seeds {first} to {last}\n", sum.plans);
        let join = |counts: &BTreeMap<&str, u64>| {
            let each = counts.iter().map(|(word, count)| format!("{word} {count}"));
            each.collect::<Vec<_>>().join(", ")
        };
        let _ = writeln!(text, "{:<26}{}", "faults", join(&sum.faults));
        let _ = writeln!(text, "{:<26}{}", "outcomes", join(&sum.outcomes));
        let _ = writeln!(text, "{:<26}{}", "most duplicates", sum.duplicates);
        for (seed, what) in &sum.broken {
            let _ = writeln!(text, "broken  seed {seed}: {what}");
        }
        let broken = human::count(sum.broken.len(), "plan");
        let _ = writeln!(text, "{broken} broke a promise");
        text
    }
}

/// Takes seeds and tries their plans until none is left.
fn work(next: &AtomicU64, end: u64, tried: &mpsc::Sender<Tried>) {
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let scenario = random_plan(seed);
        let run = catch_unwind(AssertUnwindSafe(|| replayable(&scenario, || run_twice(&scenario))));
        if tried.send(Tried { seed, scenario, run: run.ok() }).is_err() {
            return;
        }
    }
}

impl Sum {
    fn add(&mut self, tried: &Tried) {
        self.plans += 1;
        for fault in &tried.scenario.faults {
            *self.faults.entry(fault.kind.word()).or_default() += 1;
        }
        let broken = match &tried.run {
            Some(run) => {
                self.events += run.events;
                self.duplicates = self.duplicates.max(run.figures.duplicates);
                let word = run.report.as_ref().map_or("unfinished", |report| report.outcome.word());
                *self.outcomes.entry(word).or_default() += 1;
                run.finding.as_ref().map(ToString::to_string)
            }
            None => Some("a machine panicked".to_owned()),
        };
        if let Some(what) = broken {
            self.broken.insert(tried.seed, format!("{what}\n    {}", tried.scenario));
        }
    }
}
