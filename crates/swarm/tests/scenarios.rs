//! The core's rules as text: events in, actions out, in the protocol's own words.
//!
//! Each file of `scenarios/tracker` and `scenarios/peer` is one story. A line `> ...` is an event,
//! the lines `< ...` below it are what the machine then wanted done. `BLESS=1 cargo test -p
//! shoal-swarm --test scenarios` writes those anew; read the difference before it is committed. The
//! words of events are listed in `runner/peer.rs` and `runner/tracker.rs`.

#![expect(
    clippy::disallowed_methods,
    reason = "the machines are pure; who tells the stories is not"
)]

mod runner;

use std::fs;
use std::path::{Path, PathBuf};

fn stories() -> Vec<PathBuf> {
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let within = |machine| fs::read_dir(scenarios.join(machine)).unwrap();
    let all = ["tracker", "peer"].into_iter().flat_map(within);
    let mut paths: Vec<PathBuf> = all.map(|item| item.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn the_machines_do_what_the_scenarios_say() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    let stories = stories();
    assert!(stories.len() >= 40, "the scenarios were not found");
    for path in stories {
        let told = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let happened = runner::play(&name, &told);
        if happened == told {
            continue;
        }
        if bless {
            fs::write(&path, happened).unwrap();
        } else {
            wrong.push(format!("{name}: {}", first_difference(&told, &happened)));
        }
    }
    let hint = "BLESS=1 cargo test -p shoal-swarm --test scenarios writes them anew";
    assert!(wrong.is_empty(), "{}\n{hint}", wrong.join("\n"));
}

fn first_difference(told: &str, happened: &str) -> String {
    let mut lines = happened.lines();
    for (at, line) in told.lines().enumerate() {
        match lines.next() {
            Some(now) if now == line => {}
            now => return format!("line {}\n  told {line}\n  now  {}", at + 1, now.unwrap_or("")),
        }
    }
    format!("at the end\n  now  {}", lines.next().unwrap_or(""))
}
