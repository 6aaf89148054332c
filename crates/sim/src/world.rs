//! The run: takes what happens next, hands it to the machine that it concerns, carries out what the
//! machine wants done, and lets the oracles look.

use crate::disk::Files;
use crate::estimate::Estimate;
use crate::event::Happening;
use crate::fault::Fault;
use crate::figures::{Figures, Peaks};
use crate::future::Future;
use crate::limits;
use crate::network::{Micros, Network};
use crate::node::{Life, Node};
use crate::oracle::{self, Ended, Finding};
use crate::random::{Random, mix};
use crate::reign;
use crate::scenario::Scenario;
use content::Bitfield;
use std::collections::{BTreeMap, VecDeque};
use swarm::message::{Hello, SharedFs, SharedPath};
use swarm::peer::{Peer, PeerAction, PeerEvent};
use swarm::tracker::{Tracker, TrackerEvent};
use swarm::{Destination, Instant, Location, Lock, Rank, Report};

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What it came to.
    pub figures: Figures,
    /// The promise that was broken, if one was.
    pub finding: Option<Finding>,
    /// What the tracker said at the end.
    pub report: Option<Report>,
    /// A digest of everything that happened, in order.
    pub trace: u64,
    /// How much happened.
    pub events: u64,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// Rounds after START.
    pub round: u64,
    /// Rounds that the job takes at least.
    pub rounds_least: u64,
    /// Pieces that were verified and written, over all peers.
    pub pieces_have: u64,
    /// Pieces that all peers want together.
    pub pieces_wanted: u64,
    /// Peers that have all.
    pub peers_done: u32,
}

/// A machine hears of the time so soon after its last event, as a real one does.
pub(crate) const TICK: Micros = 10_000;
/// A machine that has nothing to say to the time hears of it more and more rarely, up to this.
pub(crate) const LONGEST_TICK: Micros = 100_000;
/// After so many events whoever watches is told.
const SIGHTING_EVERY: u64 = 1 << 14;

/// Everything.
pub(crate) struct World<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) now: Micros,
    pub(crate) future: Future,
    pub(crate) network: Network,
    pub(crate) nodes: Vec<Node>,
    /// Control messages that are on their way to each rank, or wait while it hangs. They are not
    /// counted in its node, for whoever says something to it would have to fetch that.
    pub(crate) letters: Vec<u32>,
    pub(crate) random: Random,
    pub(crate) faults: Vec<Fault>,
    /// Events of the peer in hand that follow at once.
    pub(crate) at_once: VecDeque<PeerEvent>,
    /// What a machine wants done: empty between events, kept for its room.
    pub(crate) actions: Vec<PeerAction>,
    pub(crate) started: Option<Micros>,
    /// When FINISH was first said.
    pub(crate) stopped: Option<Micros>,
    /// Ranks that may still do something.
    pub(crate) open: u32,
    pub(crate) limits: limits::Limits,
    /// Whether messages of any rank are, or were, late.
    pub(crate) is_any_late: bool,
    /// When the last message of a pair and channel arrives, where messages may be late.
    pub(crate) last_letter: BTreeMap<(u32, u32, u8), Micros>,
    pub(crate) until_check: u32,
    pub(crate) until_tracker_check: u32,
    /// The last report, and all ranks that made one.
    pub(crate) report: Option<Report>,
    pub(crate) reports: Vec<u32>,
    pub(crate) finding: Option<Finding>,
    /// When the job last came nearer to its end.
    pub(crate) moved: Micros,
    /// Events since then.
    pub(crate) quiet_events: u64,
    pub(crate) peaks: Peaks,
    pub(crate) duplicates: u64,
    pub(crate) pieces_have: u64,
    pub(crate) peers_done: u32,
    pub(crate) tracker_messages: u64,
    /// Pieces that left a seeder at least once, and when the last of them did first.
    pub(crate) seeded: Bitfield,
    pub(crate) last_seeded: Micros,
    rounds_least: u64,
    trace: u64,
    events: u64,
}

/// Runs a scenario to its end, or to the first broken promise, and tells `watch` now and then how
/// far it is.
///
/// # Panics
///
/// Panics where a machine breaks one of its own assertions, and on a scenario that
/// [`Scenario::check`] refuses.
pub fn run(scenario: &Scenario, watch: &mut dyn FnMut(&Sighting)) -> Run {
    scenario.check().expect("a scenario is checked before it is run");
    let mut world = World::new(scenario);
    world.drive(watch);
    world.end()
}

impl<'a> World<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let ranks = scenario.peers + 1;
        let peers = (1..ranks)
            .map(|rank| Some(Peer::new(reign::peer_config(scenario, rank), Instant::ZERO)));
        let nodes = std::iter::once(None).chain(peers).map(Node::new).collect();
        let mut world = Self {
            scenario,
            now: 0,
            future: Future::default(),
            network: Network::new(scenario),
            nodes,
            letters: vec![0; ranks as usize],
            random: Random::new(mix(scenario.seed)),
            faults: scenario.all_faults(),
            at_once: VecDeque::new(),
            actions: Vec::new(),
            started: None,
            stopped: None,
            open: ranks,
            limits: limits::Limits::of(scenario),
            is_any_late: false,
            last_letter: BTreeMap::new(),
            until_check: scenario.check_every,
            until_tracker_check: scenario.check_every,
            report: None,
            reports: Vec::new(),
            finding: None,
            moved: 0,
            quiet_events: 0,
            peaks: Peaks::default(),
            duplicates: 0,
            pieces_have: 0,
            peers_done: 0,
            tracker_messages: 0,
            seeded: Bitfield::new(scenario.pieces),
            last_seeded: 0,
            rounds_least: Estimate::of(scenario).rounds,
            trace: 0,
            events: 0,
        };
        let config = reign::tracker_config(scenario, 0);
        world.nodes[0].tracker = Some(Box::new(Tracker::new(config, Instant::ZERO)));
        world.introduce();
        world
    }

    /// Every peer says who it is and what it offers; what is shared is known at once.
    fn introduce(&mut self) {
        let files = Files::new(self.scenario);
        self.future.plan(0, Happening::TrackerTick(0));
        for rank in 1..=self.scenario.peers {
            let is_seeder = rank <= self.scenario.seeders;
            let hello = PeerEvent::Hello(Box::new(hello(self.scenario, rank, is_seeder)));
            let offered = if is_seeder { files.offered() } else { Vec::new() };
            // Processes do not begin at the same moment.
            let at = self.random.below(TICK);
            self.future.plan(at, Happening::Own(rank, Box::new(hello)));
            self.future.plan(at, Happening::Own(rank, Box::new(PeerEvent::Offered(offered))));
        }
    }

    /// Takes one thing after the other until all is over or a promise is broken.
    pub(crate) fn drive(&mut self, watch: &mut dyn FnMut(&Sighting)) {
        while !self.is_over() {
            self.step();
            if self.events.is_multiple_of(SIGHTING_EVERY) {
                watch(&self.sighting());
            }
        }
    }

    /// Takes what happens next.
    pub(crate) fn step(&mut self) {
        let Some((at, what)) = self.future.next() else {
            return self.stands_still("nothing more happens");
        };
        self.quiet_events += 1;
        if at > self.moved + self.limits.quiet {
            let quiet_s = self.limits.quiet / 1_000_000;
            return self.stands_still(&format!("nothing moved for {quiet_s} s"));
        }
        if self.quiet_events > self.limits.quiet_events {
            return self.stands_still(&format!("{} events moved nothing", self.quiet_events));
        }
        self.now = at;
        self.happen(what);
    }

    fn stands_still(&mut self, what: &str) {
        let stuck = oracle::stuck(&self.nodes, self.report.is_some());
        self.broken(format!("{what}: {stuck}"));
    }

    fn is_over(&self) -> bool {
        // Where all others are gone, those that hang will have to go on.
        let hangs = |node: &Node| node.life == Life::Hung;
        let none_runs = self.open == 0 && (self.report.is_some() || !self.nodes.iter().any(hangs));
        self.finding.is_some() || none_runs
    }

    /// One thing happens.
    fn happen(&mut self, what: Happening) {
        self.events += 1;
        for number in what.digest().into_iter().chain([self.now]) {
            self.trace = mix(self.trace ^ number).wrapping_add(number);
        }
        let Some(what) = self.defer(what) else { return };
        match what {
            Happening::Message { to, letter } => self.letter_arrives(to, *letter),
            Happening::Flight(flight) => self.flight_goes_on(flight),
            Happening::Verified { rank, transfer, pieces, good } => {
                self.verified(rank, transfer, pieces, good);
            }
            Happening::Sent { from, to, transfer } => self.sent(from, to, transfer),
            Happening::Own(rank, event) => self.peer_event(rank, *event),
            Happening::Tick { rank, number } => self.tick(rank, number),
            Happening::TrackerTick(rank) => {
                if self.nodes[rank as usize].tracker.is_some() {
                    self.tracker_event(rank, TrackerEvent::Tick);
                    self.future.plan(self.now + LONGEST_TICK, Happening::TrackerTick(rank));
                }
            }
            Happening::Fault(number) => self.strike(self.faults[number]),
            Happening::Wake(rank) => self.wake(rank),
            Happening::Lost { to, gone } => self.lost(to, gone),
        }
    }

    fn lost(&mut self, to: u32, gone: u32) {
        self.tracker_event(to, TrackerEvent::Lost(Rank(gone)));
        self.peer_event(to, PeerEvent::Lost(Rank(gone)));
    }

    /// The job came nearer to its end.
    pub(crate) fn moves(&mut self) {
        self.moved = self.now;
        self.quiet_events = 0;
    }

    /// A promise was broken.
    pub(crate) fn broken(&mut self, what: String) {
        if self.finding.is_none() {
            self.finding = Some(Finding { round: self.round(), what });
        }
    }

    /// Whole rounds after START.
    fn round(&self) -> u64 {
        self.started.map_or(0, |started| (self.now - started) / self.scenario.round_us)
    }

    fn sighting(&self) -> Sighting {
        let leechers = u64::from(self.scenario.peers - self.scenario.seeders);
        Sighting {
            round: self.round(),
            rounds_least: self.rounds_least,
            pieces_have: self.pieces_have,
            pieces_wanted: leechers * u64::from(self.scenario.pieces),
            peers_done: self.peers_done,
        }
    }

    /// The last look, and what the run came to.
    pub(crate) fn end(mut self) -> Run {
        if self.finding.is_none() {
            let what = oracle::at_the_end(&Ended {
                scenario: self.scenario,
                nodes: &self.nodes,
                report: self.report.as_ref(),
                reports: &self.reports,
                stopped: self.stopped,
                duplicates: self.duplicates,
                duplicates_max: self.limits.duplicates,
            });
            what.into_iter().for_each(|what| self.broken(what));
        }
        Run {
            figures: Figures::of(&self),
            finding: self.finding,
            report: self.report,
            trace: self.trace,
            events: self.events,
        }
    }
}

fn hello(scenario: &Scenario, rank: u32, is_seeder: bool) -> Hello {
    let destination = Destination {
        id: u128::from(rank),
        path: format!("/local/{rank}"),
        location: Location::on_device("0", "/local".into(), &format!("node{rank}")),
        lock: Lock::Held { nonce: u128::from(rank) },
        file_system: u64::from(rank),
        free_bytes: u64::MAX / 2,
    };
    let at = Location::on_device("0", "/data".into(), &format!("node{rank}"));
    let data = SharedPath::at("/data".into(), vec![at]);
    Hello {
        host: format!("node{}", scenario.host_of(rank)),
        rack: (!scenario.racks_untold).then(|| format!("rack{}", scenario.rack_of(rank))),
        shares: if is_seeder { vec![data] } else { Vec::new() },
        waits_for_read: false,
        shared_fs: SharedFs::No,
        wants: vec!["**".into()],
        wants_own: false,
        destination: Some(Ok(destination)),
    }
}
