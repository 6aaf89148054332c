//! `shoal simulate`: from the options to a scenario, and from the figures of its run to a table and
//! to JSON.

use crate::args::{ProgressArg, SimulateArgs};
use crate::env::Env;
use crate::{human, target};
use anyhow::{Context, Result, anyhow};
use serde::Serialize;
use sim::{Fault, FaultKind, Figures, Run, Scenario, Sighting};
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The status of a run in which a promise was broken.
const BROKEN: i32 = 3;
/// The bar is drawn anew at most so often, ...
const NEXT_BAR: Duration = Duration::from_millis(100);
/// ... and a line printed at most so often.
const NEXT_LINE: Duration = Duration::from_secs(5);
/// Cells of the bar.
const BAR_CELLS: u64 = 12;
/// Back to the line's beginning, and clear it.
const CLEAR_LINE: &str = "\r\x1b[2K";

/// What `shoal simulate` is to do.
#[derive(Debug)]
pub struct Simulation {
    /// What is simulated.
    pub scenario: Scenario,
    /// Where the figures go beside standard output.
    pub json: Option<PathBuf>,
    /// How progress is shown.
    pub progress: ProgressArg,
}

impl Simulation {
    /// Reads the options.
    ///
    /// # Errors
    ///
    /// Names the option that does not fit.
    pub fn new(directory: &Path, args: &SimulateArgs) -> Result<Self> {
        let json = args.json.as_ref().map(|path| directory.join(path));
        if let Some(path) = &json {
            target::check(path)?;
        }
        let hosts = args.hosts.unwrap_or(args.peers);
        let mut scenario = Scenario {
            seed: args.seed,
            files: args.files,
            seeders: args.seeders,
            hosts,
            racks: args.racks,
            uplink: args.uplink.unwrap_or(Scenario::default_uplink(hosts, args.racks)),
            links: args.link.clone(),
            round_us: args.round,
            latency_us: args.latency,
            disk_us: args.disk,
            batch: args.batch,
            window: args.window,
            upload_window: args.upload_window,
            patience_s: args.patience,
            faults: args.fault.clone(),
            random_faults: args.faults,
            ..Scenario::new(args.peers, args.pieces)
        };
        scenario.check_every = args.check_every.unwrap_or(scenario.check_every);
        for kill in &args.kill {
            scenario.faults.push(format!("kill:{kill}").parse().context("--kill")?);
        }
        if args.slow_peers > args.peers {
            return Err(anyhow!(
                "--slow-peers {}: there are {} peers",
                args.slow_peers,
                args.peers
            ));
        }
        for rank in args.peers - args.slow_peers + 1..=args.peers {
            scenario.faults.push(Fault { rank, at: 0, kind: FaultKind::Slow(args.slow_factor) });
        }
        scenario.check()?;
        Ok(Self { scenario, json, progress: args.progress })
    }

    /// Runs it, prints the table, and gives the exit status.
    pub fn run(&self, env: Env) -> i32 {
        let Env { mut stdout, mut stderr, is_terminal, .. } = env;
        let replay = self.scenario.to_string();
        say_how_to_replay_a_panic(replay.clone());
        let mut meter = Meter::new(self.progress, is_terminal);
        let run = sim::run(&self.scenario, &mut |sighting| {
            // Where progress cannot be shown there is no one left to tell.
            let _ = meter.show(sighting, &mut *stderr);
        });
        let _ = meter.finish(&mut *stderr);
        let written = match &self.json {
            Some(path) => target::write(path, &json_text(&self.scenario, &run), &mut *stdout),
            None => Ok(()),
        };
        let table = table(&self.scenario, &run);
        let printed = stdout.write_all(table.as_bytes()).and_then(|()| stdout.flush());
        let mut say = |text: String| {
            let _ = stderr.write_all(format!("shoal: {text}\n").as_bytes());
        };
        if self.progress != ProgressArg::None {
            say(cost(meter.began.elapsed(), run.events));
        }
        let mut status = 0;
        for why in [written.err(), printed.err().map(anyhow::Error::from)].into_iter().flatten() {
            say(format!("{why:#}"));
            status = BROKEN;
        }
        if let Some(finding) = &run.finding {
            say(format!("a promise was broken in {finding}"));
            say(format!("replay it with: {replay}"));
            status = BROKEN;
        }
        status
    }
}

/// A machine that breaks an assertion of its own panics; that run, too, is to be replayed.
fn say_how_to_replay_a_panic(replay: String) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        eprintln!("shoal: replay it with: {replay}");
    }));
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
    rows
}

/// Shows how far the run is, on a clock of this world.
struct Meter {
    began: Instant,
    due: Duration,
    style: ProgressArg,
    shown: bool,
}

impl Meter {
    fn new(progress: ProgressArg, is_terminal: bool) -> Self {
        let style = match (progress, is_terminal) {
            (ProgressArg::Auto, true) => ProgressArg::Bar,
            (ProgressArg::Auto, false) => ProgressArg::Plain,
            (style, _) => style,
        };
        let due = if style == ProgressArg::Bar { Duration::ZERO } else { NEXT_LINE };
        Self { began: Instant::now(), due, style, shown: false }
    }

    fn show(&mut self, sighting: &Sighting, stderr: &mut dyn Write) -> std::io::Result<()> {
        let elapsed = self.began.elapsed();
        if self.style == ProgressArg::None || elapsed < self.due {
            return Ok(());
        }
        let Sighting { round, pieces_have: have, pieces_wanted: wanted, peers_done } = *sighting;
        let percent = (have * 100).checked_div(wanted).unwrap_or(100);
        let text = format!("{percent:3}%  round {round}  {peers_done} peers done");
        if self.style == ProgressArg::Bar {
            self.due = elapsed + NEXT_BAR;
            self.shown = true;
            let full = (BAR_CELLS * percent / 100) as usize;
            let bar = "#".repeat(full) + &".".repeat(BAR_CELLS as usize - full);
            write!(stderr, "{CLEAR_LINE}[{bar}]  {text}")?;
        } else {
            self.due = elapsed + NEXT_LINE;
            writeln!(stderr, "shoal: {text}")?;
        }
        stderr.flush()
    }

    fn finish(&mut self, stderr: &mut dyn Write) -> std::io::Result<()> {
        if std::mem::take(&mut self.shown) {
            write!(stderr, "{CLEAR_LINE}")?;
        }
        stderr.flush()
    }
}
