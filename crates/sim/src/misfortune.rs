//! Faults as they happen: who dies, hangs, slows down, and what that does to what is on its way.

use crate::event::Happening;
use crate::fault::{Fault, FaultKind};
use crate::node::Life;
use crate::world::World;
use content::EntryIndex;

/// Rounds until the transport has told everybody of a death, at most.
const TOLD_WITHIN_ROUNDS: u64 = 10;

impl World<'_> {
    /// A fault begins. Whoever is dead or has left is past all faults.
    pub(crate) fn strike(&mut self, fault: Fault) {
        self.moves();
        let (rank, round) = (fault.rank, self.scenario.round_us);
        let node = &mut self.nodes[rank as usize];
        if matches!(node.life, Life::Dead | Life::Exited) {
            return;
        }
        match fault.kind {
            FaultKind::Kill | FaultKind::Vanish => self.die(rank, fault.kind == FaultKind::Kill),
            FaultKind::Hang(rounds) => {
                if node.life == Life::Live {
                    node.life = Life::Hung;
                    self.count(rank);
                    self.future.plan(self.now + rounds * round, Happening::Wake(rank));
                }
            }
            FaultKind::Slow(factor) => self.network.slow_down(rank, factor),
            FaultKind::Corrupt(percent) => node.desk.corrupt_percent = percent,
            FaultKind::Full => node.desk.full = true,
            FaultKind::Lose => node.desk.disk.lose_all(),
            FaultKind::LoseFile(file) => node.desk.disk.lose(EntryIndex(file as u32 - 1)),
            FaultKind::Late(rounds) => {
                node.desk.late = rounds * round;
                self.is_any_late = true;
            }
        }
    }

    fn die(&mut self, rank: u32, is_told: bool) {
        let node = &mut self.nodes[rank as usize];
        node.life = Life::Dead;
        node.desk.died = Some(self.now);
        node.desk.deferred = Vec::new();
        self.count(rank);
        if !is_told {
            return;
        }
        for to in (0..=self.scenario.peers).filter(|&to| to != rank) {
            let after = self.random.below(TOLD_WITHIN_ROUNDS * self.scenario.round_us);
            self.future.plan(self.now + after, Happening::Lost { to, gone: rank });
        }
    }

    /// A rank that hung goes on, with all that waited for it.
    pub(crate) fn wake(&mut self, rank: u32) {
        let node = &mut self.nodes[rank as usize];
        if node.life != Life::Hung {
            return;
        }
        node.life = Life::Live;
        let waited = std::mem::take(&mut node.desk.deferred);
        waited.into_iter().for_each(|what| self.future.plan(self.now, what));
        self.moves();
        self.count(rank);
        if self.nodes[rank as usize].peer.is_some() {
            self.plan_tick(rank, self.now);
        }
    }

    /// Keeps what is for a rank that hangs until it goes on, and drops what is for one that is no
    /// more; gives the rest.
    pub(crate) fn defer(&mut self, what: Happening) -> Option<Happening> {
        let rank = match &what {
            Happening::Message { to: rank, .. }
            | Happening::Verified { rank, .. }
            | Happening::TrackerTick(rank)
            | Happening::Own(rank, _)
            | Happening::Sent { from: rank, .. }
            | Happening::Lost { to: rank, .. } => *rank,
            Happening::Flight(flight) if flight.is_through() => flight.to,
            _ => return Some(what),
        };
        match self.nodes[rank as usize].life {
            Life::Live => Some(what),
            Life::Hung => {
                self.nodes[rank as usize].desk.deferred.push(what);
                None
            }
            Life::Dead | Life::Exited => None,
        }
    }
}
