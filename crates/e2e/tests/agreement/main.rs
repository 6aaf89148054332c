//! A run that ends with 0 has left what `--check` calls equal, what an independent comparison calls
//! equal, and what `--dry-run` said: over random trees, destinations and options, on a disk and on
//! a tmpfs, under the real launcher.
//!
//! `make agreement CASES=5000 SEED=1` tries more. A case that fails is made smaller, and printed as
//! a script.

mod case;
mod expected;
mod facts;
mod judge;
mod script;

use case::{Case, cases};
use e2e::{Cluster, Mpi};
use judge::{Held, judge};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So many in CI under the first MPI, and under the others: two to three jobs each.
const CASES: (u64, u64) = (240, 60);
/// Jobs wait for each other's slots, and trees are made meanwhile.
const WORKERS: usize = 2;
/// A failing case is made smaller for so long.
const SHRINK_FOR: Duration = Duration::from_secs(60);
/// After so many failures no more are looked for: most have one cause.
const FAILURES_MAX: usize = 4;
const TMPFS: &str = "/dev/shm";

#[test]
fn a_run_that_ends_well_left_what_check_and_a_comparison_call_equal() {
    let default = if Mpi::tested() == Mpi::OpenMpi { CASES.0 } else { CASES.1 };
    let first = number("SHOAL_AGREEMENT_SEED", 1);
    let end = first + number("SHOAL_AGREEMENT_CASES", default);
    let next = AtomicU64::new(first);
    let (held, broken) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while broken.lock().unwrap().len() < FAILURES_MAX {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    match try_seed(seed) {
                        Ok(one) => held.lock().unwrap().push(one),
                        Err(told) => broken.lock().unwrap().push(told),
                    }
                }
            });
        }
    });
    let (held, broken) = (held.into_inner().unwrap(), broken.into_inner().unwrap());
    let of = |status| held.iter().filter(|one| one.status == status).count();
    let leftovers = held.iter().filter(|one| one.has_leftovers).count();
    let summary = format!(
        "{} cases held: {} ended with 0, {} with 2, {} with 3; {leftovers} found leftovers",
        held.len(),
        of(0),
        of(2),
        of(3)
    );
    eprintln!("{summary}");
    assert!(broken.is_empty(), "{summary}\n{}", broken.join("\n"));
    // Refusals show little.
    let is_enough = of(0) * 10 >= held.len() * 6 && leftovers * 25 >= held.len();
    assert!(held.len() < 100 || is_enough, "{summary}");
}

fn number(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}"))
}

/// Tries the case of a seed; where it fails, makes it smaller and tells how to see it again.
fn try_seed(seed: u64) -> Result<Held, String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut tree = cases().new_tree(&mut runner).expect("nothing is filtered");
    let parent = parent(seed);
    let mut smallest = tree.current();
    let mut why = match attempt(&smallest, &parent) {
        Ok(held) => return Ok(held),
        Err(why) => why,
    };
    // Smaller, but with the same fault, which the first line names.
    let promise = |why: &str| why.lines().next().unwrap_or_default().to_owned();
    let broken = promise(&why);
    eprintln!("seed {seed}: {broken}; it is made smaller");
    let mut can_go_on = tree.simplify();
    let began = Instant::now();
    while can_go_on && began.elapsed() < SHRINK_FOR {
        let candidate = tree.current();
        can_go_on = match attempt(&candidate, &parent) {
            Err(new) if promise(&new) == broken => {
                (smallest, why) = (candidate, new);
                tree.simplify()
            }
            _ => tree.complicate(),
        };
    }
    let told = format!(
        "--- make agreement SEED={seed} CASES=1 (in {}): {why}\n--- as a script:\n{}\n",
        parent.display(),
        smallest.script()
    );
    eprintln!("{told}");
    Err(told)
}

fn attempt(case: &Case, parent: &Path) -> Result<Held, String> {
    let cluster = Cluster::below(parent);
    let judged = catch_unwind(AssertUnwindSafe(|| judge(case, &cluster)));
    // Not only root must be able to remove it.
    let _ = Command::new("chmod").args(["-R", "u+rwX"]).arg(cluster.path("")).output();
    judged.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Err(format!("a job or its report is not sound\n{}", text.unwrap_or_default()))
    })
}

/// Half of the cases are on the disk of the build, half on a tmpfs, where there is one.
fn parent(seed: u64) -> PathBuf {
    let is_on_tmpfs = seed % 2 == 1 && Path::new(TMPFS).is_dir();
    if is_on_tmpfs { TMPFS.into() } else { PathBuf::from(env!("CARGO_TARGET_TMPDIR")) }
}
