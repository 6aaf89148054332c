//! A table of simulated results: peers × pieces × policy × fault, as a reviewed snapshot. A change
//! of protocol shows in it as a change of numbers. `BLESS=1 cargo test -p shoal-sim` writes it
//! anew; read the difference before it is committed.

use sim::{Scenario, run};
use std::fmt::Write;

/// The width of a scenario's column; few are wider.
const WIDTH: usize = 70;
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios.txt");

/// Some scenarios of a kind; each by what differs from the default model.
struct Section {
    title: &'static str,
    scenarios: Vec<Scenario>,
}

fn section(title: &'static str, scenarios: impl IntoIterator<Item = Scenario>) -> Section {
    Section { title, scenarios: scenarios.into_iter().collect() }
}

/// A scenario of the default model.
fn plain(peers: u32, pieces: u32) -> Scenario {
    Scenario::new(peers, pieces)
}

fn with_links(mut scenario: Scenario, links: &[&str]) -> Scenario {
    scenario.links = links.iter().map(|link| link.parse().expect("a link")).collect();
    scenario
}

fn with_faults(mut scenario: Scenario, faults: &[&str]) -> Scenario {
    scenario.faults = faults.iter().map(|fault| fault.parse().expect("a fault")).collect();
    scenario
}

fn sections() -> Vec<Section> {
    let eight = || plain(8, 200);
    let faults = |all: &[&[&str]]| -> Vec<Scenario> {
        all.iter().map(|faults| with_faults(eight(), faults)).collect()
    };
    vec![
        section(
            "sizes",
            [(2, 100), (8, 20), (8, 200), (30, 200), (64, 300), (8, 1000), (64, 1000)]
                .map(|(peers, pieces)| plain(peers, pieces)),
        ),
        section("policies", policies()),
        section("hosts, racks and links", places()),
        section("racks that nobody told of", untold()),
        section(
            "a leecher fails",
            faults(&[
                &["kill:3@50"],
                &["vanish:3@50"],
                &["hang:3@50:300"],
                &["hang:3@50:9000"],
                &["slow:8@0:10"],
                &["slow:8@50:10"],
                &["corrupt:3@0:100"],
                &["full:3@80"],
                &["lose:3@80"],
                &["late:3@0:20"],
            ]),
        ),
        section("slow links, where messages take long", slow_links()),
        section(
            "the only seeder fails",
            faults(&[
                &["kill:1@60"],
                &["vanish:1@60"],
                &["kill:1@600"],
                &["hang:1@60:300"],
                &["slow:1@60:4"],
                &["corrupt:1@0:50"],
                &["corrupt:1@0:100"],
                &["lose:1@100"],
                &["late:1@0:20"],
            ])
            .into_iter()
            .chain([with_faults(Scenario { files: 4, ..eight() }, &["lose:1@60:4"])]),
        ),
        section("one of two seeders fails", {
            let two = || Scenario { seeders: 2, ..eight() };
            let faults = ["kill:1@60", "vanish:1@60", "hang:1@60:9000", "corrupt:1@0:100"];
            faults.map(|fault| with_faults(two(), &[fault]))
        }),
        section("several fail", several()),
    ]
}

/// The windows of a real rank with pieces of 256 KiB, and messages that wait behind pieces.
fn slow_links() -> Vec<Scenario> {
    let real = |peers| Scenario { window: 320, upload_window: 128, ..plain(peers, 512) };
    let racks = |racks| Scenario { racks, uplink: 1, ..real(4 * racks) };
    let all = [100, 10_000, 30_000].map(|latency_us| {
        let all = [real(4), real(8), real(16), racks(2), racks(3)];
        all.map(|scenario| Scenario { latency_us, ..scenario })
    });
    let mut all = all.concat();
    let slow = Scenario { latency_us: 10_000, ..real(8) };
    all.push(with_faults(slow, &["slow:8@0:10"]));
    all.push(Scenario { latency_us: 10_000, ..plain(4, 512) });
    all.push(Scenario { latency_us: 10_000, racks: 2, uplink: 4, ..plain(8, 512) });
    all
}

fn policies() -> Vec<Scenario> {
    let batches = [1, 3, 40].map(|batch| Scenario { batch, ..plain(8, 200) });
    let windows = [(5, 2), (60, 16)].map(|(window, upload_window)| Scenario {
        window,
        upload_window,
        ..plain(8, 200)
    });
    let mut all: Vec<Scenario> = batches.into_iter().chain(windows).collect();
    all.push(Scenario { seeders: 3, ..plain(12, 200) });
    all.push(Scenario { files: 50, ..plain(12, 200) });
    all.push(Scenario { latency_us: 10_000, ..plain(8, 200) });
    all.push(Scenario { disk_us: 20_000, ..plain(8, 200) });
    all
}

fn places() -> Vec<Scenario> {
    let mut all = vec![
        Scenario { hosts: 4, uplink: 4, ..plain(16, 200) },
        Scenario { racks: 4, uplink: 4, ..plain(16, 200) },
        Scenario { racks: 4, uplink: 2, ..plain(16, 200) },
        Scenario { racks: 4, uplink: 1, ..plain(16, 200) },
        Scenario { hosts: 8, racks: 4, uplink: 1, ..plain(32, 200) },
        Scenario { hosts: 2, ..plain(8, 512) },
        Scenario { racks: 2, uplink: 1, ..plain(8, 512) },
        Scenario { racks: 3, uplink: 1, ..plain(12, 512) },
        with_faults(Scenario { hosts: 4, ..plain(16, 200) }, &["kill:5@40"]),
        with_faults(Scenario { racks: 4, uplink: 1, ..plain(16, 200) }, &["kill:6@20"]),
        with_faults(Scenario { racks: 4, uplink: 1, ..plain(16, 200) }, &["hang:6@20:9000"]),
    ];
    for links in [&["1=0.5"][..], &["1=2"], &["3=1/0.5"], &["3=0.5/1"], &["5-8=0.5"], &["2=4/1"]] {
        all.push(with_links(plain(8, 200), links));
    }
    all
}

/// What the ranks find out for themselves.
fn untold() -> Vec<Scenario> {
    let racks = |racks, size, uplink, pieces| Scenario {
        racks,
        uplink,
        racks_untold: true,
        ..plain(racks * size, pieces)
    };
    let real = |scenario| Scenario { window: 320, upload_window: 128, ..scenario };
    vec![
        racks(2, 4, 1, 500),
        racks(3, 4, 1, 500),
        racks(4, 4, 1, 500),
        racks(2, 8, 2, 500),
        racks(3, 8, 2, 500),
        racks(4, 8, 2, 500),
        real(racks(4, 4, 1, 500)),
        real(racks(4, 8, 2, 500)),
        Scenario { latency_us: 10_000, ..racks(4, 8, 2, 500) },
        Scenario { hosts: 16, ..racks(4, 8, 1, 500) },
        racks(2, 4, 4, 500),
        with_links(racks(4, 4, 1, 500), &["6=0.5"]),
        with_links(racks(1, 16, 16, 500), &["9-16=0.25"]),
        with_links(racks(1, 16, 16, 500), &["2-9=4"]),
        with_faults(racks(4, 4, 1, 500), &["kill:6@200", "hang:11@150:9000"]),
        with_faults(racks(4, 4, 1, 500), &["kill:0@200"]),
    ]
}

fn several() -> Vec<Scenario> {
    vec![
        with_faults(plain(8, 200), &["kill:2@30", "kill:3@31", "kill:4@32"]),
        with_faults(plain(8, 200), &["full:2@50", "full:3@50", "kill:4@60", "corrupt:5@0:10"]),
        with_faults(
            Scenario { racks: 4, uplink: 2, ..plain(16, 200) },
            &["kill:5@40", "kill:6@40", "kill:7@40", "kill:8@40"],
        ),
        with_faults(plain(30, 200), &["slow:30@0:10", "hang:29@60:400", "vanish:28@60"]),
        Scenario { random_faults: 4, ..plain(30, 200) },
    ]
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
    format!("{options:<WIDTH$} {outcome:<9} {peers:>6} {numbers}{finding}")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a snapshot lies in a file")]
fn the_table_of_scenarios_is_as_reviewed() {
    let mut table = format!(
        "{:<WIDTH$} {:<9} {:>6} {:>8} {:>6} {:>6} {:>8} {:>7} {:>6} {:>5} {:>8}\n",
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
    for Section { title, scenarios } in sections() {
        writeln!(table, "\n# {title}").expect("a string takes everything");
        for scenario in scenarios {
            writeln!(table, "{}", row(&scenario)).expect("a string takes everything");
        }
    }
    if std::env::var_os("BLESS").is_some() {
        return std::fs::write(TABLE, table).expect("the table can be written");
    }
    let expected = std::fs::read_to_string(TABLE).unwrap_or_default();
    assert_eq!(table, expected, "\n{TABLE} differs; if that is what you want: BLESS=1");
}
