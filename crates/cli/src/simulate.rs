//! `shoal simulate`: from the options to a scenario, and from the figures of its run to a table and
//! to JSON; or to many random plans.

mod heap;
mod meter;
mod plans;

use crate::args::{ProgressArg, SimulateArgs};
use crate::env::Env;
use crate::launch::Launch;
use crate::{human, target};
use anyhow::{Context, Result, anyhow};
use meter::Meter;
use plans::Plans;
use serde::Serialize;
use sim::{Fault, FaultKind, Figures, Run, Scenario, Sighting};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

/// The status of a run in which a promise was broken.
const BROKEN: i32 = 3;
/// What `shoal simulate` is to do.
#[derive(Debug)]
pub struct Simulation {
    task: Task,
    /// How progress is shown.
    progress: ProgressArg,
}

#[derive(Debug)]
enum Task {
    /// One job, and where its figures go beside standard output.
    One { scenario: Box<Scenario>, json: Option<PathBuf> },
    /// Many small jobs in which a lot goes wrong.
    Many(Plans),
}

impl Simulation {
    /// Reads the options.
    ///
    /// # Errors
    ///
    /// Names the option that does not fit.
    pub fn new(directory: &Path, args: &SimulateArgs) -> Result<Self> {
        let task = match args.plans {
            Some(count) => Task::Many(Plans::new(args.seed, count)?),
            None => {
                let json = args.json.as_ref().map(|path| target::named(directory, path));
                json.as_ref().map_or(Ok(()), |path| target::check(path))?;
                Task::One { scenario: Box::new(scenario(args)?), json }
            }
        };
        Ok(Self { task, progress: args.progress })
    }

    /// The command that does the same faster in the place of this process, if there is one.
    pub fn started_over(&self, env: &Env) -> Option<Launch> {
        match &self.task {
            Task::One { scenario, .. } => heap::with_large_pages(scenario.peers, env),
            Task::Many(_) => None,
        }
    }

    /// Runs it, prints the table, and gives the exit status.
    pub fn run(&self, env: Env) -> i32 {
        let meter = Meter::new(self.progress, env.is_terminal);
        say_how_to_replay_a_panic();
        let told = self.progress != ProgressArg::None;
        match &self.task {
            Task::One { scenario, json } => run_one(scenario, json.as_deref(), meter, told, env),
            Task::Many(plans) => plans.run(meter, told, env),
        }
    }
}

/// The scenario that the options describe.
fn scenario(args: &SimulateArgs) -> Result<Scenario> {
    let hosts = args.hosts.unwrap_or(args.peers);
    let mut scenario = Scenario {
        seed: args.seed,
        files: args.files,
        seeders: args.seeders,
        hosts,
        racks: args.racks,
        uplink: args.uplink.unwrap_or(Scenario::default_uplink(hosts, args.racks)),
        racks_untold: args.racks_untold,
        links: args.link.clone(),
        round_us: args.round,
        latency_us: args.latency,
        disk_us: args.disk,
        batch: args.batch,
        window: args.window,
        upload_window: args.upload_window,
        patience_s: args.patience,
        faults: args.fault.clone(),
        catalogue_part: args.catalogue_part,
        random_faults: args.faults,
        ..Scenario::new(args.peers, args.pieces)
    };
    scenario.check_every = args.check_every.unwrap_or(scenario.check_every);
    for kill in &args.kill {
        scenario.faults.push(format!("kill:{kill}").parse().context("--kill")?);
    }
    if args.slow_peers > args.peers {
        return Err(anyhow!("--slow-peers {}: there are {} peers", args.slow_peers, args.peers));
    }
    if args.slow_factor == 0 {
        return Err(anyhow!("--slow-factor 0: a factor is at least 1"));
    }
    for before in args.peers - args.slow_peers..args.peers {
        let kind = FaultKind::Slow(args.slow_factor);
        scenario.faults.push(Fault { rank: before + 1, at: 0, kind });
    }
    scenario.check()?;
    Ok(scenario)
}

/// Runs one scenario, prints its table, and gives the exit status.
fn run_one(
    scenario: &Scenario,
    json: Option<&Path>,
    mut meter: Meter,
    told: bool,
    env: Env,
) -> i32 {
    let Env { mut stdout, mut stderr, .. } = env;
    let run = replayable(scenario, || {
        sim::run(scenario, &mut |sighting| {
            let done = (sighting.pieces_have, sighting.pieces_wanted);
            // Where progress cannot be shown there is no one left to tell.
            let _ = meter.show(done, || how_far(sighting), &mut *stderr);
        })
    });
    let _ = meter.finish(&mut *stderr);
    let written = match json {
        Some(path) => target::write(path, &json_text(scenario, &run), &mut *stdout),
        None => Ok(()),
    };
    let table = table(scenario, &run);
    let printed = stdout.write_all(table.as_bytes()).and_then(|()| stdout.flush());
    let mut say = |text: String| {
        let _ = stderr.write_all(format!("shoal: {text}\n").as_bytes());
    };
    if told {
        say(cost(meter.elapsed(), run.events));
    }
    let mut status = 0;
    for why in [written.err(), printed.err().map(anyhow::Error::from)].into_iter().flatten() {
        say(format!("{why:#}"));
        status = BROKEN;
    }
    if let Some(finding) = &run.finding {
        say(format!("a promise was broken in {finding}"));
        say(format!("replay it with: {scenario}"));
        status = BROKEN;
    }
    status
}

fn how_far(sighting: &Sighting) -> String {
    let Sighting { round, rounds_least, peers_done, .. } = sighting;
    format!("round {round} of {rounds_least} or more  {peers_done} peers done")
}

thread_local! {
    /// What replays the run that this thread is at.
    static REPLAY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs something of a scenario; a panic in it tells what replays it.
fn replayable<T>(scenario: &Scenario, run: impl FnOnce() -> T) -> T {
    REPLAY.set(scenario.to_string());
    let done = run();
    REPLAY.take();
    done
}

/// A machine that breaks an assertion of its own panics; that run, too, is to be replayed.
fn say_how_to_replay_a_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            hook(panic);
            let replay = REPLAY.take();
            if !replay.is_empty() {
                eprintln!("shoal: replay it with: {replay}");
            }
        }));
    });
}

/// What the run cost the machine that it ran on.
fn cost(elapsed: Duration, events: u64) -> String {
    let time = human::time(elapsed);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let memory = peak.map_or_else(String::new, |kib| format!(", {}", human::bytes(kib << 10)));
    format!("simulated {events} events in {time}{memory}")
}

#[derive(Serialize)]
struct Document {
    version: u32,
    seed: u64,
    peers: u32,
    pieces: u32,
    makespan: f64,
    bound: u64,
    ratio: f64,
    seeder_copies: f64,
    uplink_copies: f64,
    duplicates: u64,
    tracker_messages_per_peer: f64,
    complete: bool,
}

/// The figures as one line of JSON.
pub fn json_text(scenario: &Scenario, run: &Run) -> String {
    let figures = &run.figures;
    // More digits would be noise.
    let round = |value: f64| (value * 1e4).round() / 1e4;
    let document = Document {
        version: 1,
        seed: scenario.seed,
        peers: scenario.peers,
        pieces: scenario.pieces,
        makespan: round(figures.makespan),
        bound: figures.bound,
        ratio: round(figures.ratio),
        seeder_copies: round(figures.seeder_copies),
        uplink_copies: round(figures.uplink_copies),
        duplicates: figures.duplicates,
        tracker_messages_per_peer: round(figures.tracker_messages_per_peer),
        complete: figures.complete,
    };
    let mut text = serde_json::to_string(&document).expect("a row of numbers");
    text.push('\n');
    text
}

/// The table on standard output.
pub fn table(scenario: &Scenario, run: &Run) -> String {
    let figures = &run.figures;
    let count = |number: u32, noun| human::count(number as usize, noun);
    let mut text = format!(
        "{} on {} in {}, {}, {}, seed {}\n",
        count(scenario.peers, "peer"),
        count(scenario.hosts, "host"),
        count(scenario.racks, "rack"),
        count(scenario.pieces, "piece"),
        count(scenario.seeders, "seeder"),
        scenario.seed,
    );
    for fault in scenario.all_faults() {
        let _ = writeln!(text, "fault  {fault}");
    }
    for (name, value) in rows(scenario, figures) {
        let _ = writeln!(text, "{name:<26}{value}");
    }
    let word = run.report.as_ref().map_or("unfinished", |report| report.outcome.word());
    let (whole, peers) = (figures.peers_complete, scenario.peers);
    let _ = writeln!(text, "{word}: {whole} of {} have everything", count(peers, "peer"));
    text
}

fn rows(scenario: &Scenario, figures: &Figures) -> Vec<(&'static str, String)> {
    let rounds = |value: f64| format!("{value:.1} rounds");
    let mut rows = vec![
        ("makespan", rounds(figures.makespan)),
        ("bound", format!("{} rounds", figures.bound)),
        ("makespan over bound", format!("{:.3}", figures.ratio)),
        ("slowest peer", format!("rank {}", figures.slowest)),
        ("median peer", rounds(figures.median)),
    ];
    if !scenario.all_faults().is_empty() {
        rows.push(("makespan without faulty", rounds(figures.makespan_of_the_sound)));
    }
    rows.push(("first copy sent by", rounds(figures.first_copy)));
    rows.push(("sent by the seeders", format!("{:.2} copies", figures.seeder_copies)));
    if scenario.racks > 1 {
        rows.push(("across a rack's uplink", format!("{:.2} copies", figures.uplink_copies)));
    }
    rows.push(("duplicates", human::count(figures.duplicates as usize, "piece")));
    let messages = figures.tracker_messages_per_peer;
    rows.push(("tracker messages", format!("{messages:.1} a peer")));
    let sim::Peaks { receiving, sending, letters } = figures.peaks;
    let buffers = format!("{receiving} pieces in, {sending} out, {letters} messages");
    rows.push(("most at a peer at once", buffers));
    rows
}
