//! The network: when a piece that is sent now arrives.
//!
//! A piece passes a row of *ports*: the sending host's, the uplinks of the two racks where they
//! differ, the receiving host's. A port serves pieces in the order in which their first bytes come,
//! one at a time, each for the time that the port needs for a piece; the next begins when the one
//! before is through. Switches cut through: the first byte goes on as soon as a port begins to
//! serve it, and the last byte arrives when every port is through with it. So a piece between two
//! idle hosts takes one round and the latency, a host sends one piece at a time and receives one at
//! a time, and what comes from several senders at once waits in front of the receiver's port. No
//! piece is lost, and pieces of a pair never pass each other. Control messages are short and wait
//! for no port: they cost the latency alone. Between ranks of one host a piece costs a tenth of a
//! round of the sender's time, and a message a tenth of the latency.
//!
//! Links may have rates of their own, up and down, and a slow rank's needs so many times longer for
//! a piece; neither holds up the ports at the other end. Of several ranks on a host each piece
//! passes the host's port at the rate of the rank that it is from or for.

use crate::scenario::Scenario;
use content::Span;
use swarm::peer::TransferId;

/// Virtual time, in microseconds.
pub(crate) type Micros = u64;

/// How many times faster memory is than a link.
const MEMORY_SPEEDUP: u64 = 10;

/// A piece, or a bundle of pieces, on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) transfer: TransferId,
    pub(crate) cargo: Cargo,
    /// When its last byte leaves the sender.
    pub(crate) leaves: Micros,
    /// When the last byte is through all ports so far, latency included.
    tail: Micros,
    stage: Stage,
}

impl Flight {
    /// Whether it has passed all ports, and is there when next looked at.
    pub(crate) fn is_through(&self) -> bool {
        self.stage == Stage::Through
    }
}

/// What travels as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cargo {
    /// The bytes of a piece, or of a bundle, one after the other.
    Pieces { pieces: Span, good: bool },
    /// Nothing: it was withdrawn.
    Nothing,
}

impl Cargo {
    /// How many pieces it has.
    fn count(self) -> u64 {
        match self {
            Self::Pieces { pieces, .. } => u64::from(pieces.count),
            Self::Nothing => 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    RackUp,
    RackDown,
    Receiver,
    Through,
}

/// Serves one piece after the other.
#[derive(Debug, Clone, Copy, Default)]
struct Port {
    free: Micros,
}

impl Port {
    /// Serves what comes now for `busy`; says when that begins.
    fn serve(&mut self, now: Micros, busy: Micros) -> Micros {
        let begins = now.max(self.free);
        self.free = begins + busy;
        begins
    }
}

/// All ports.
#[derive(Debug)]
pub(crate) struct Network {
    round: Micros,
    latency: Micros,
    uplink: u64,
    /// By rank; rank 0's host is of no account.
    host: Vec<u32>,
    rack: Vec<u32>,
    slowness: Vec<u64>,
    /// The times of a piece out and in, by rank, unless it is slow.
    times: Vec<(Micros, Micros)>,
    memory: Vec<Port>,
    /// By host.
    up: Vec<Port>,
    down: Vec<Port>,
    /// By rack.
    rack_up: Vec<Port>,
    rack_down: Vec<Port>,
    /// Pieces that entered each rack from others.
    entered: Vec<u64>,
}

impl Network {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let ranks = scenario.peers as usize + 1;
        let times = |(up, down): (u32, u32)| {
            let time = |milli| (scenario.round_us * 1000 / u64::from(milli)).max(1);
            (time(up), time(down))
        };
        let place = |of: &dyn Fn(u32) -> u32| -> Vec<u32> {
            std::iter::once(u32::MAX).chain((1..=scenario.peers).map(of)).collect()
        };
        Self {
            round: scenario.round_us,
            latency: scenario.latency_us,
            uplink: u64::from(scenario.uplink),
            host: place(&|rank| scenario.host_of(rank)),
            rack: place(&|rank| scenario.rack_of(rank)),
            slowness: vec![1; ranks],
            times: scenario.links_of_ranks().into_iter().map(times).collect(),
            memory: vec![Port::default(); ranks],
            up: vec![Port::default(); scenario.hosts as usize],
            down: vec![Port::default(); scenario.hosts as usize],
            rack_up: vec![Port::default(); scenario.racks as usize],
            rack_down: vec![Port::default(); scenario.racks as usize],
            entered: vec![0; scenario.racks as usize],
        }
    }

    /// A rank's host becomes so many times slower.
    pub(crate) fn slow_down(&mut self, rank: u32, factor: u64) {
        self.slowness[rank as usize] = factor;
    }

    pub(crate) fn slowness(&self, rank: u32) -> u64 {
        self.slowness[rank as usize]
    }

    /// The time of a message between two ranks.
    pub(crate) fn message_time(&self, from: u32, to: u32) -> Micros {
        let near = self.host[from as usize] == self.host[to as usize];
        if near { self.latency / MEMORY_SPEEDUP } else { self.latency }
    }

    /// Pieces that entered each rack from others.
    pub(crate) fn entered(&self) -> &[u64] {
        &self.entered
    }

    /// The times of a cargo out of a rank's link and into it.
    fn times(&self, rank: u32, cargo: Cargo) -> (Micros, Micros) {
        let ((up, down), slowness) = (self.times[rank as usize], self.slowness[rank as usize]);
        let longer = slowness * cargo.count();
        (up * longer, down * longer)
    }

    /// A rank sends: the flight, and when its first byte is at its next port.
    pub(crate) fn send(
        &mut self,
        now: Micros,
        from: u32,
        to: u32,
        transfer: TransferId,
        cargo: Cargo,
    ) -> (Micros, Flight) {
        let (busy, _) = self.times(from, cargo);
        let (sender, receiver) = (self.host[from as usize], self.host[to as usize]);
        let latency = self.message_time(from, to);
        let near = sender == receiver;
        let memory = self.round * self.slowness(from) * cargo.count() / MEMORY_SPEEDUP;
        let busy = if near { memory } else { busy };
        let port =
            if near { &mut self.memory[from as usize] } else { &mut self.up[sender as usize] };
        let begins = port.serve(now, busy);
        let leaves = begins + busy;
        let crosses = self.rack[from as usize] != self.rack[to as usize];
        let stage = match (near, crosses) {
            (true, _) => Stage::Through,
            (false, true) => Stage::RackUp,
            (false, false) => Stage::Receiver,
        };
        let tail = leaves + latency;
        let next = if near { tail } else { begins + latency };
        (next, Flight { from, to, transfer, cargo, leaves, tail, stage })
    }

    /// A flight's first byte is at its next port, or its last byte at its end. `None`: it is there;
    /// else when to look again.
    pub(crate) fn advance(&mut self, now: Micros, flight: &mut Flight) -> Option<Micros> {
        let (source, target) = (self.rack[flight.from as usize], self.rack[flight.to as usize]);
        let (_, own) = self.times(flight.to, flight.cargo);
        let shared = self.round * flight.cargo.count() / self.uplink;
        let (port, busy, next) = match flight.stage {
            Stage::RackUp => (&mut self.rack_up[source as usize], shared, Stage::RackDown),
            Stage::RackDown => {
                self.entered[target as usize] += flight.cargo.count();
                (&mut self.rack_down[target as usize], shared, Stage::Receiver)
            }
            Stage::Receiver => {
                let host = self.host[flight.to as usize];
                (&mut self.down[host as usize], own, Stage::Through)
            }
            Stage::Through => return None,
        };
        let begins = port.serve(now, busy);
        flight.tail = flight.tail.max(begins + busy);
        flight.stage = next;
        Some(if next == Stage::Through { flight.tail } else { begins })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When each of some sends, all begun at 0 in this order, is there.
    fn arrivals(network: &mut Network, sends: &[(u32, u32)]) -> Vec<Micros> {
        let mut open: Vec<(Micros, usize, Flight)> = Vec::new();
        for (at, &(from, to)) in sends.iter().enumerate() {
            let cargo = Cargo::Pieces { pieces: Span { first: 0, count: 1 }, good: true };
            let (next, flight) = network.send(0, from, to, TransferId(0), cargo);
            open.push((next, at, flight));
        }
        let mut there = vec![0; sends.len()];
        while let Some(first) = (0..open.len()).min_by_key(|&i| (open[i].0, open[i].1)) {
            let (now, at, mut flight) = open.remove(first);
            match network.advance(now, &mut flight) {
                Some(next) => open.push((next, at, flight)),
                None => there[at] = now,
            }
        }
        there
    }

    fn network(change: impl Fn(&mut Scenario)) -> Network {
        let mut scenario = Scenario::new(6, 10);
        (scenario.round_us, scenario.latency_us) = (1000, 10);
        change(&mut scenario);
        Network::new(&scenario)
    }

    #[test]
    fn a_piece_between_idle_hosts_takes_a_round_and_the_latency() {
        assert_eq!(arrivals(&mut network(|_| ()), &[(1, 2)]), [1010]);
    }

    #[test]
    fn a_host_sends_one_piece_at_a_time_and_receives_one_at_a_time() {
        assert_eq!(arrivals(&mut network(|_| ()), &[(1, 2), (1, 3), (1, 4)]), [1010, 2010, 3010]);
        assert_eq!(arrivals(&mut network(|_| ()), &[(1, 4), (2, 4), (3, 4)]), [1010, 2010, 3010]);
        let both_ways = [(1, 2), (2, 1)];
        assert_eq!(arrivals(&mut network(|_| ()), &both_ways), [1010, 1010], "full duplex");
    }

    #[test]
    fn a_slow_host_holds_nobody_else_up() {
        let mut slow = network(|_| ());
        slow.slow_down(2, 10);
        let to_slow_then_not = [(1, 2), (1, 3)];
        assert_eq!(arrivals(&mut slow, &to_slow_then_not), [10_010, 2010]);
        let mut slow = network(|_| ());
        slow.slow_down(2, 10);
        let from_slow_and_not = [(2, 3), (1, 3)];
        assert_eq!(arrivals(&mut slow, &from_slow_and_not), [10_010, 2010]);
    }

    #[test]
    fn a_link_has_rates_of_its_own_each_way() {
        let with = |text: &str| network(|scenario| scenario.links = vec![text.parse().unwrap()]);
        assert_eq!(arrivals(&mut with("2=0.5/4"), &[(2, 1), (2, 3)]), [2010, 4010], "up");
        assert_eq!(arrivals(&mut with("2=0.5/0.1"), &[(1, 2), (1, 3)]), [10_010, 2010], "down");
        let gathered = arrivals(&mut with("4=1/2"), &[(1, 4), (2, 4), (3, 4)]);
        assert_eq!(gathered, [1010, 1010, 1510], "no faster than it is sent");
    }

    #[test]
    fn a_rack_is_entered_through_its_uplink_and_a_host_is_not_left() {
        let racks = |scenario: &mut Scenario| (scenario.racks, scenario.uplink) = (2, 1);
        let across = [(1, 4), (2, 5), (3, 6)];
        let mut network_of_racks = network(racks);
        assert_eq!(arrivals(&mut network_of_racks, &across), [1010, 2010, 3010]);
        assert_eq!(network_of_racks.entered(), [0, 3]);
        let inside = [(1, 2), (2, 3), (4, 5)];
        assert_eq!(arrivals(&mut network(racks), &inside), [1010, 1010, 1010]);
        let one_host = |scenario: &mut Scenario| scenario.hosts = 3;
        assert_eq!(arrivals(&mut network(one_host), &[(1, 4), (1, 2)]), [101, 1010]);
    }
}
