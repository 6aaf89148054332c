//! How much of everything a scenario may take: what is beyond is a broken promise. Each limit
//! follows from the scenario alone, and most are those that the machines were given.

use crate::fault::{Fault, FaultKind};
use crate::network::Micros;
use crate::scenario::Scenario;

/// The longest nothing may happen that brings a job nearer to its end, as a multiple of the
/// patience: a silence is noticed, what was asked is asked elsewhere, and what is gone is found
/// out, each within less than one.
const SILENCES: u64 = 4;

/// Control messages that may wait for a peer, besides a few from each rank: START, answers, the
/// holders of many entries.
const LETTERS_OF_A_PEER: u64 = 64;
/// Messages from one rank that may wait for another: a request and its cancellation, an answer or
/// two, news; ...
const LETTERS_OF_A_PAIR: u64 = 8;
/// ... and so many more for each round that messages take.
const LETTERS_OF_A_ROUND: u64 = 2;

/// Askers that an upload role serves at once, and some that it acknowledged before.
const SERVED_AT_ONCE: u64 = 16;

/// Of so many pieces that are wanted one may come twice though nothing is wrong: it waited in so
/// long a queue that it was asked elsewhere, too.
const DUPLICATE_OF: u64 = 10_000;

/// What is asked of one and does not come is asked elsewhere after this part of the patience, but
/// neither sooner than the first of these times nor later than the second.
const STALL_FRACTION: u64 = 6;
const STALL_MICROS: (Micros, Micros) = (500_000, 5_000_000);

/// A tick or a message may follow from nothing so many times in a tick of each machine; the rest of
/// a run's events is bounded by the pieces.
const EVENTS_A_TICK: u64 = 64;

/// What a run may take at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The time within which something must be written, given a name, lost, or ended. There are
    /// only so many pieces, names and ranks, so every job ends.
    pub(crate) quiet: Micros,
    /// Events within which the same must happen, in case time stands still.
    pub(crate) quiet_events: u64,
    /// Control messages that wait for one live peer.
    pub(crate) letters: u64,
    /// Those that wait for the tracker.
    pub(crate) letters_of_tracker: u64,
    /// Pieces that one peer receives or has not written.
    pub(crate) receiving: u32,
    /// Pieces that one peer has read to be sent, or is sending.
    pub(crate) sending: u32,
    /// Pieces that come twice, over all peers.
    pub(crate) duplicates: u64,
}

impl Limits {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let faults = scenario.all_faults();
        let delaying = faults.iter().filter(|fault| delays(fault.kind)).count() as u64;
        let excused = delaying + strained(scenario);
        let quiet = quiet(scenario, &faults);
        let late_rounds = faults.iter().filter_map(|fault| match fault.kind {
            FaultKind::Late(rounds) => Some(rounds),
            _ => None,
        });
        let late_rounds = late_rounds.max().unwrap_or(0) + scenario.latency_us / scenario.round_us;
        let letters_of_a_pair = LETTERS_OF_A_PAIR + LETTERS_OF_A_ROUND * late_rounds;
        let leechers = u64::from(scenario.peers - scenario.seeders);
        let wanted = leechers * u64::from(scenario.pieces);
        let ranks = u64::from(scenario.peers) + 1;
        let batch = scenario.batch.min(scenario.window);
        // What is asked elsewhere while its acknowledgement is on its way comes all the same, and
        // what a rank owes that hangs stays in its buffer: a batch each.
        let late = u32::try_from(1 + excused).unwrap_or(u32::MAX);
        let served = SERVED_AT_ONCE.min(u64::from(scenario.peers));
        let each = 2 * served * u64::from(scenario.batch) + u64::from(scenario.window);
        Self {
            quiet,
            quiet_events: (quiet / crate::world::TICK + 1000).saturating_mul(ranks * EVENTS_A_TICK),
            letters: LETTERS_OF_A_PEER + letters_of_a_pair * ranks,
            letters_of_tracker: LETTERS_OF_A_PEER * ranks + unread(&faults, scenario),
            receiving: scenario.window + batch.saturating_mul(late),
            // What waits for late ranks may fill another window, whatever makes them late.
            sending: scenario.upload_window.saturating_mul(late.saturating_add(1)),
            // It may have been asked for two batches by each of the peers that it serves at once,
            // and has a window of its own; what is asked elsewhere meanwhile comes twice.
            duplicates: excused * each + wanted / DUPLICATE_OF,
        }
    }
}

/// What waits for a tracker that hangs, or hears late: others go on, and tell it of each batch.
fn unread(faults: &[Fault], scenario: &Scenario) -> u64 {
    let stops = |fault: &Fault| matches!(fault.kind, FaultKind::Hang(_) | FaultKind::Late(_));
    if !faults.iter().any(stops) {
        return 0;
    }
    let leechers = u64::from(scenario.peers - scenario.seeders);
    leechers * u64::from(scenario.pieces.div_ceil(scenario.batch.min(scenario.pieces)))
}

/// Whether what a rank owes, or is owed, may come so late because of a fault that it is asked
/// elsewhere before.
fn delays(kind: FaultKind) -> bool {
    match kind {
        FaultKind::Kill
        | FaultKind::Vanish
        | FaultKind::Hang(_)
        | FaultKind::Slow(_)
        | FaultKind::Late(_) => true,
        FaultKind::Corrupt(_) | FaultKind::Full | FaultKind::Lose | FaultKind::LoseFile(_) => false,
    }
}

/// Ranks whose links are so slow that what they ask for, or are asked for, takes longer than
/// anybody waits before he asks elsewhere: those of a host wait for each other, and where all that
/// is asked comes out of one rack, everybody waits for its uplink.
fn strained(scenario: &Scenario) -> u64 {
    let (soonest, latest) = STALL_MICROS;
    let stall = (scenario.patience_s * 1_000_000 / STALL_FRACTION).clamp(soonest, latest);
    let (peers, window) = (u64::from(scenario.peers), u64::from(scenario.window));
    if peers * window * scenario.round_us / u64::from(scenario.uplink) > stall && scenario.racks > 1
    {
        return peers;
    }
    let time = |milli: u32| scenario.round_us * 1000 / u64::from(milli);
    let links = scenario.links_of_ranks();
    let mut asked_of_host = vec![0; scenario.hosts as usize];
    for rank in 1..=scenario.peers {
        let (up, down) = links[rank as usize];
        let sent = time(up) * SERVED_AT_ONCE.min(peers);
        asked_of_host[scenario.host_of(rank) as usize] += sent.max(time(down) * window);
    }
    let is_strained = |rank: &u32| asked_of_host[scenario.host_of(*rank) as usize] > stall;
    (1..=scenario.peers).filter(is_strained).count() as u64
}

fn quiet(scenario: &Scenario, faults: &[Fault]) -> Micros {
    let slowest_of = |value: fn(FaultKind) -> Option<u64>| {
        faults.iter().filter_map(|fault| value(fault.kind)).max().unwrap_or(0)
    };
    let slowness = slowest_of(|kind| match kind {
        FaultKind::Slow(factor) => Some(factor),
        _ => None,
    });
    let rounds = slowest_of(|kind| match kind {
        FaultKind::Hang(rounds) | FaultKind::Late(rounds) => Some(rounds),
        _ => None,
    });
    let slowest_link = scenario.links.iter().map(|link| link.up_milli.min(link.down_milli)).min();
    let slowest_link = u64::from(slowest_link.unwrap_or(1000).min(1000));
    // Everybody waits for all that one slow rank sends to each of the others at once.
    let queue = u64::from(scenario.peers) * u64::from(scenario.window.max(2 * scenario.batch));
    // Whoever is very slow for a short time, because he dies, has numbers here that are no times.
    let slowed = |time: Micros| time.saturating_mul(slowness.max(1));
    let piece = slowed(scenario.round_us).saturating_mul(1000) / slowest_link;
    let messages = (16 * scenario.latency_us).saturating_add(slowed(scenario.disk_us));
    let ages = Micros::MAX / 4;
    let pieces = queue.min(u64::from(scenario.pieces) * 2).saturating_mul(piece);
    let others = rounds * scenario.round_us + SILENCES * scenario.patience_s * 1_000_000;
    pieces.saturating_add(messages).saturating_add(others).min(ages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_job_has_its_windows_and_a_batch_and_no_duplicate() {
        let scenario = Scenario::new(8, 100);
        let limits = Limits::of(&scenario);
        assert_eq!((limits.receiving, limits.sending, limits.duplicates), (30, 16, 0));
    }

    #[test]
    fn an_update_a_batch_may_wait_for_a_tracker_that_hangs() {
        let mut scenario = Scenario::new(8, 100);
        assert_eq!(Limits::of(&scenario).letters_of_tracker, 64 * 9);
        scenario.faults = vec!["hang:0@1:100".parse().unwrap()];
        assert_eq!(Limits::of(&scenario).letters_of_tracker, 64 * 9 + 7 * 10);
    }

    #[test]
    fn what_delays_and_what_strains_excuse_duplicates_and_nothing_else_does() {
        let excused = |change: &dyn Fn(&mut Scenario)| {
            let mut scenario = Scenario::new(8, 100);
            change(&mut scenario);
            Limits::of(&scenario).duplicates
        };
        let fault = |text: &str| vec![text.parse().unwrap()];
        assert_eq!(excused(&|s| s.faults = fault("full:3@1")), 0);
        assert_eq!(excused(&|s| s.faults = fault("kill:3@1")), 180);
        assert_eq!(excused(&|s| s.links = vec!["3=1/0.1".parse().unwrap()]), 0, "2 s are waited");
        assert_eq!(excused(&|s| s.links = vec!["3=1/0.03".parse().unwrap()]), 180);
    }
}
