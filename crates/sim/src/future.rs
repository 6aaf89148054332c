//! All that is planned, in order of time. Equal times: in the order in which it was planned.
//!
//! A big job has a hundred thousand things planned at any moment, nearly all of them within a few
//! rounds, and plans a hundred million of them in all. So the near future is a wheel of slots, each
//! a short time, in which what is planned lies unsorted; a slot is sorted when its time has come.
//! What is further away waits in a heap.

use crate::event::Happening;
use crate::network::Micros;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The time of a slot is two to this power, in microseconds: short enough that few things are in
/// it, long enough that a slot is seldom empty.
const SLOT_BITS: u32 = 6;
/// Slots on the wheel: a quarter of a second, more than the longest tick.
const SLOTS: u64 = 1 << 12;

#[derive(Debug)]
struct Planned {
    at: Micros,
    number: u64,
    what: Happening,
}

impl Planned {
    fn key(&self) -> (Micros, u64) {
        (self.at, self.number)
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// All that is planned.
#[derive(Debug)]
pub(crate) struct Future {
    /// The number of the slot whose time it is, counted from the beginning.
    slot: u64,
    /// What was in that slot, the last first, ...
    sorted: Vec<Planned>,
    /// ... and what was planned into it since.
    added: BinaryHeap<Reverse<Planned>>,
    /// The slots after it, each at its number modulo their count.
    wheel: Vec<Vec<Planned>>,
    /// How much is on the wheel.
    on_wheel: usize,
    /// What is beyond the wheel.
    far: BinaryHeap<Reverse<Planned>>,
    next_number: u64,
}

impl Default for Future {
    fn default() -> Self {
        Self {
            slot: 0,
            sorted: Vec::new(),
            added: BinaryHeap::new(),
            wheel: (0..SLOTS).map(|_| Vec::new()).collect(),
            on_wheel: 0,
            far: BinaryHeap::new(),
            next_number: 0,
        }
    }
}

impl Future {
    /// Plans something; nothing is planned into the past.
    pub(crate) fn plan(&mut self, at: Micros, what: Happening) {
        let planned = Planned { at, number: self.next_number, what };
        self.next_number += 1;
        let slot = at >> SLOT_BITS;
        if slot <= self.slot {
            self.added.push(Reverse(planned));
        } else if slot - self.slot < SLOTS {
            self.wheel[(slot % SLOTS) as usize].push(planned);
            self.on_wheel += 1;
        } else {
            self.far.push(Reverse(planned));
        }
    }

    /// What happens next, and when.
    pub(crate) fn next(&mut self) -> Option<(Micros, Happening)> {
        while self.sorted.is_empty() && self.added.is_empty() {
            self.turn()?;
        }
        let added = self.added.peek().map(|Reverse(planned)| planned.key());
        let sorted = self.sorted.last().map(Planned::key);
        let added_is_first = added.is_some_and(|added| sorted.is_none_or(|sorted| added < sorted));
        let next = if added_is_first {
            self.added.pop().map(|Reverse(planned)| planned)
        } else {
            self.sorted.pop()
        };
        next.map(|planned| (planned.at, planned.what))
    }

    /// The next slot's time comes, or, where the wheel is empty, that of the first thing beyond.
    fn turn(&mut self) -> Option<()> {
        let far = self.far.peek().map(|Reverse(planned)| planned.at >> SLOT_BITS);
        self.slot = if self.on_wheel > 0 { self.slot + 1 } else { far? };
        let slot = &mut self.wheel[(self.slot % SLOTS) as usize];
        self.on_wheel -= slot.len();
        // What is in a slot is in the order in which it was planned, and the slot keeps its room.
        self.sorted.extend(slot.drain(..).rev());
        self.sorted.sort_by_key(|planned| Reverse(planned.key()));
        while self.far.peek().is_some_and(|far| far.0.at >> SLOT_BITS <= self.slot) {
            self.added.extend(self.far.pop());
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn whatever_is_planned_happens_in_order_of_time_and_then_of_planning() {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let (mut future, mut expected) = (Future::default(), Vec::new());
            let (mut now, mut number, mut happened) = (0, 0, Vec::new());
            let mut plan =
                |future: &mut Future, expected: &mut Vec<_>, now, random: &mut Random| {
                    let spread = random.one_of(&[1, 50, 10_000, 2_000_000]);
                    let at = now + random.below(spread);
                    future.plan(at, Happening::Wake(number));
                    expected.push((at, number));
                    number += 1;
                };
            plan(&mut future, &mut expected, now, &mut random);
            while let Some((at, what)) = future.next() {
                let Happening::Wake(number) = what else { unreachable!() };
                now = at;
                happened.push((at, number));
                let more = if happened.len() < 3000 { random.within(1, 2) } else { 0 };
                (0..more).for_each(|_| plan(&mut future, &mut expected, now, &mut random));
            }
            expected.sort_unstable();
            assert_eq!(happened, expected, "seed {seed}");
        }
    }
}
