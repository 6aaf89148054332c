//! How much a scenario asks of the machine that simulates it: known before it is run, so that what
//! would take too long is refused. It simulates nothing.

use crate::fault::{Fault, FaultKind};
use crate::network::Micros;
use crate::scenario::Scenario;
use crate::world::LONGEST_TICK;

/// What happens for each piece that a peer fetches: it is asked for, acknowledged, read, sent,
/// received, verified, and told of.
const EVENTS_A_PIECE: u64 = 8;

/// The most that is simulated. Around a million events are simulated in a second.
pub(crate) const EVENTS_MOST: u64 = 20_000_000_000;

/// What a run comes to at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// Rounds that pass.
    pub(crate) rounds: u64,
    /// Happenings that are simulated.
    pub(crate) events: u64,
}

impl Estimate {
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let faults = scenario.all_faults();
        let silence = faults.iter().map(|fault| silence(fault.kind, scenario)).max().unwrap_or(0);
        let rounds = rounds(scenario, &faults).saturating_add(silence / scenario.round_us);
        let time = rounds.saturating_mul(scenario.round_us);
        let ranks = u64::from(scenario.peers) + 1;
        let leechers = u64::from(scenario.peers - scenario.seeders);
        let moving = leechers * u64::from(scenario.pieces) * EVENTS_A_PIECE;
        // A rank that has nothing to do hears of the time all the same.
        let waiting = ranks.saturating_mul(time / LONGEST_TICK);
        Self { rounds, events: moving.saturating_add(waiting) }
    }
}

/// The bound of the job, with those slow ranks that stay in it.
fn rounds(scenario: &Scenario, faults: &[Fault]) -> u64 {
    let stays = |rank: u32| {
        let mut own = faults.iter().filter(|fault| fault.rank == rank);
        own.all(|fault| !fault.kind.silences() && fault.kind != FaultKind::Full)
    };
    let slow: Vec<(Fault, u64)> = faults
        .iter()
        .filter_map(|fault| match fault.kind {
            FaultKind::Slow(factor) if stays(fault.rank) => Some((*fault, factor)),
            _ => None,
        })
        .collect();
    let with =
        |faults: Vec<Fault>| Scenario { faults, random_faults: 0, ..scenario.clone() }.bound();
    let from_the_start = slow.iter().map(|(fault, _)| *fault).filter(|fault| fault.at == 0);
    let bound = with(from_the_start.collect());
    let plain = with(Vec::new());
    let later = slow.iter().filter(|(fault, _)| (1..plain).contains(&fault.at));
    later
        .map(|(fault, factor)| fault.at.saturating_add((plain - fault.at).saturating_mul(*factor)))
        .fold(bound, u64::max)
}

/// How long a fault lets the others wait.
fn silence(kind: FaultKind, scenario: &Scenario) -> Micros {
    let patience = scenario.patience_s * 1_000_000;
    match kind {
        FaultKind::Vanish => patience,
        FaultKind::Hang(rounds) | FaultKind::Late(rounds) => {
            patience.min(rounds.saturating_mul(scenario.round_us))
        }
        FaultKind::Kill
        | FaultKind::Slow(_)
        | FaultKind::Corrupt(_)
        | FaultKind::Full
        | FaultKind::Lose
        | FaultKind::LoseFile(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(change: impl Fn(&mut Scenario)) -> Estimate {
        let mut scenario = Scenario::new(64, 1000);
        change(&mut scenario);
        Estimate::of(&scenario)
    }

    fn faults(texts: &[&str]) -> Vec<Fault> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_slow_rank_takes_as_much_longer_unless_it_is_out_of_the_job() {
        let plain = estimate(|_| {});
        assert_eq!(plain, Estimate { rounds: 1005, events: 63 * 1000 * 8 + 65 * 100 });
        assert_eq!(estimate(|s| s.faults = faults(&["slow:64@0:100000"])).rounds, 99_999_999);
        assert_eq!(estimate(|s| s.faults = faults(&["slow:64@1004:100000"])).rounds, 101_004);
        assert_eq!(estimate(|s| s.faults = faults(&["slow:64@2000:100000"])), plain);
        let dies = estimate(|s| s.faults = faults(&["slow:64@0:100000", "kill:64@9"]));
        assert_eq!(dies, plain);
    }

    #[test]
    fn a_silence_lasts_as_long_as_the_patience_at_most() {
        let rounds = |text: &str| estimate(|s| s.faults = faults(&[text])).rounds - 1005;
        assert_eq!(rounds("vanish:3@1"), 3000, "thirty seconds");
        assert_eq!(rounds("hang:3@1:100"), 100);
        assert_eq!(rounds("hang:3@1:1000000000"), 3000);
        assert_eq!(rounds("late:3@1:1000000000"), 3000);
        assert_eq!(rounds("kill:3@1"), 0, "all are told");
    }

    #[test]
    fn long_rounds_and_many_ranks_count() {
        assert!(estimate(|s| s.round_us = 1_000_000_000).events > 600_000_000);
        assert!(estimate(|s| (s.peers, s.pieces) = (1_000_000, 1_000_000)).events > EVENTS_MOST);
        assert!(estimate(|s| s.faults = faults(&["slow:64@0:1000000000"])).events > EVENTS_MOST);
    }
}
