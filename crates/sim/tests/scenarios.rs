//! A table of simulated results: peers × pieces × policy × fault, as a reviewed snapshot. A change
//! of protocol shows in it as a change of numbers. `BLESS=1 cargo test -p shoal-sim` writes it
//! anew; read the difference before it is committed.

use sim::{Scenario, run};
use std::fmt::Write;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios.txt");

/// A scenario without faults.
fn plain(peers: u32, pieces: u32) -> Scenario {
    Scenario::new(peers, pieces)
}

fn with_faults(mut scenario: Scenario, faults: &[&str]) -> Scenario {
    scenario.faults = faults.iter().map(|fault| fault.parse().expect("a fault")).collect();
    scenario
}

fn scenarios() -> Vec<Scenario> {
    let mut all = Vec::new();
    for (peers, pieces) in [(2, 100), (8, 20), (8, 200), (30, 200), (64, 300)] {
        all.push(plain(peers, pieces));
    }
    for batch in [1, 3, 40] {
        all.push(Scenario { batch, ..plain(8, 200) });
    }
    all.push(Scenario { window: 60, upload_window: 16, ..plain(8, 200) });
    all.push(Scenario { seeders: 3, ..plain(12, 200) });
    all.push(Scenario { files: 50, ..plain(12, 200) });
    all.push(Scenario { hosts: 4, uplink: 4, ..plain(16, 200) });
    all.push(Scenario { racks: 4, uplink: 2, ..plain(16, 200) });
    for faults in [
        &["kill:3@50"][..],
        &["kill:1@60"],
        &["vanish:3@50"],
        &["hang:3@50:300"],
        &["hang:3@50:9000"],
        &["slow:8@0:10"],
        &["corrupt:3@0:100"],
        &["full:3@80"],
        &["lose:1@100"],
        &["late:3@0:20"],
        &["kill:2@30", "kill:3@31", "kill:4@32"],
    ] {
        all.push(with_faults(plain(8, 200), faults));
    }
    all
}

fn row(scenario: &Scenario) -> String {
    let run = run(scenario, &mut |_| ());
    let figures = &run.figures;
    let options = scenario.to_string().replace("shoal simulate ", "").replace(" --seed 1", "");
    let outcome = run.report.as_ref().map_or("unfinished", |report| report.outcome.word());
    let finding = run.finding.map_or_else(String::new, |finding| format!("  BROKEN: {finding}"));
    let numbers = format!(
        "{:>8.1} {:>6} {:>6.3} {:>8.1} {:>7.2} {:>6.2} {:>5} {:>8.1}",
        figures.makespan,
        figures.bound,
        figures.ratio,
        figures.makespan_of_the_sound,
        figures.seeder_copies,
        figures.uplink_copies,
        figures.duplicates,
        figures.tracker_messages_per_peer,
    );
    let peers = format!("{}/{}", figures.peers_complete, scenario.peers);
    format!("{options:<62} {outcome:<9} {peers:>6} {numbers}{finding}")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a snapshot lies in a file")]
fn the_table_of_scenarios_is_as_reviewed() {
    let mut table = format!(
        "{:<62} {:<9} {:>6} {:>8} {:>6} {:>6} {:>8} {:>7} {:>6} {:>5} {:>8}\n",
        "scenario",
        "outcome",
        "whole",
        "makespan",
        "bound",
        "ratio",
        "sound",
        "seeders",
        "uplink",
        "twice",
        "messages"
    );
    for scenario in scenarios() {
        writeln!(table, "{}", row(&scenario)).expect("a string takes everything");
    }
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(TABLE, table).expect("the table can be written");
    }
    let expected = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert_eq!(table, expected, "\n{TABLE} differs; if that is what you want: BLESS=1");
}
