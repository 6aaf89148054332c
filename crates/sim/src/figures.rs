//! What a run came to, in numbers that depend on the scenario alone.

use crate::fault::FaultKind;
use crate::world::World;

/// The most that one peer had at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peaks {
    /// Pieces on their way to it or not written: buffers.
    pub receiving: u32,
    /// Pieces read to be sent, or on their way from it: buffers.
    pub sending: u32,
    /// Control messages that waited for it.
    pub letters: u64,
}

/// The yardsticks of a run. A round is the time of one piece on a link.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Figures {
    /// Rounds from START until the last peer had all; of those that did get all.
    pub makespan: f64,
    /// The least that could be; see [`crate::Scenario::bound`].
    pub bound: u64,
    /// The makespan over the bound.
    pub ratio: f64,
    /// The rank that was last.
    pub slowest: u32,
    /// Rounds until the last peer had all that has no fault of its own.
    pub makespan_of_the_sound: f64,
    /// Pieces that the seeders sent, over the pieces there are.
    pub seeder_copies: f64,
    /// Rounds until every piece had left the seeders once.
    pub first_copy: f64,
    /// Rounds until half of the peers had all, of those that fetch.
    pub median: f64,
    /// Pieces that entered a rack without a seeder, over the pieces there are: the mean of those
    /// racks, or of all racks where each has a seeder. 0 with one rack.
    pub uplink_copies: f64,
    /// Good pieces that came to a rank which they had come to before.
    pub duplicates: u64,
    /// Control messages from and to the tracker, over the peers.
    pub tracker_messages_per_peer: f64,
    /// The most buffers and messages of one peer.
    pub peaks: Peaks,
    /// Peers that have all.
    pub peers_complete: u32,
    /// Whether every peer has all.
    pub complete: bool,
}

impl Figures {
    pub(crate) fn of(world: &World<'_>) -> Self {
        let scenario = world.scenario;
        let started = world.started.unwrap_or(world.now);
        let rounds = |at: u64| (at - started) as f64 / scenario.round_us as f64;
        let ranked = || world.nodes.iter().enumerate().skip(1);
        let ends = || ranked().filter_map(|(rank, node)| Some((node.desk.completed?, rank)));
        let last = ends().max_by_key(|&(at, rank)| (at, std::cmp::Reverse(rank)));
        let harmful = |kind| {
            !matches!(kind, FaultKind::Corrupt(_) | FaultKind::Lose | FaultKind::LoseFile(_))
        };
        let faults = scenario.all_faults();
        let sound = |rank: usize| {
            !faults.iter().any(|fault| fault.rank as usize == rank && harmful(fault.kind))
        };
        let mut all: Vec<u64> = ends().map(|(at, _)| at).collect();
        all.sort_unstable();
        let median = all.get(all.len() / 2);
        let last_sound = ends().filter(|&(_, rank)| sound(rank)).map(|(at, _)| at).max();
        let seeders = ranked().take(scenario.seeders as usize);
        let from_seeders: u64 = seeders.map(|(_, node)| node.desk.pieces_sent).sum();
        let pieces = f64::from(scenario.pieces);
        let bound = scenario.bound();
        let makespan = last.map_or(0.0, |(at, _)| rounds(at));
        let whole = ranked().filter(|(_, node)| node.desk.disk.is_complete()).count() as u32;
        Self {
            makespan,
            bound,
            ratio: if bound == 0 { 1.0 } else { makespan / bound as f64 },
            slowest: last.map_or(0, |(_, rank)| rank as u32),
            makespan_of_the_sound: last_sound.map_or(0.0, rounds),
            first_copy: rounds(world.last_seeded.max(started)),
            median: median.map_or(0.0, |&at| rounds(at)),
            seeder_copies: from_seeders as f64 / pieces,
            uplink_copies: uplink_copies(world),
            duplicates: world.duplicates,
            tracker_messages_per_peer: world.tracker_messages as f64 / f64::from(scenario.peers),
            peaks: world.peaks,
            peers_complete: whole,
            complete: whole == scenario.peers,
        }
    }
}

fn uplink_copies(world: &World<'_>) -> f64 {
    let scenario = world.scenario;
    let entered = world.network.entered();
    let seeded =
        |rack: usize| (1..=scenario.seeders).any(|rank| scenario.rack_of(rank) as usize == rack);
    let used = |rack: usize| {
        (1..=scenario.peers.min(scenario.hosts)).any(|rank| scenario.rack_of(rank) as usize == rack)
    };
    let racks: Vec<usize> = (0..entered.len()).filter(|&rack| used(rack)).collect();
    let without: Vec<usize> = racks.iter().copied().filter(|&rack| !seeded(rack)).collect();
    let counted = if without.is_empty() { racks } else { without };
    if entered.len() < 2 || counted.is_empty() {
        return 0.0;
    }
    let copies: u64 = counted.iter().map(|&rack| entered[rack]).sum();
    copies as f64 / counted.len() as f64 / f64::from(scenario.pieces)
}
