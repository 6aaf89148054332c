//! Faults on the way to a rank: a transport that lets a hook see, and change, whatever arrives.

use node::memory::Memory;
use node::{Arrival, Buffer, SharedBuffer, Ticket, Transport};
use std::collections::{BTreeMap, VecDeque};
use std::panic::resume_unwind;
use std::thread::sleep;
use std::time::{Duration, Instant};
use swarm::{Channel, Rank};

/// What a hook sees after each poll.
pub struct Seen<'a> {
    /// What arrived; the hook may change, keep and add.
    pub arrivals: &'a mut Vec<Arrival>,
    /// From whom each receive of a piece is, of those that were ever posted.
    pub sources: &'a BTreeMap<Ticket, Rank>,
}

/// Looks at what arrives at one rank, on that rank's thread.
pub type Hook = Box<dyn FnMut(&mut Seen<'_>) + Send>;

/// A rank's end of the transport, with a hook.
pub struct Hooked {
    pub inner: Memory,
    pub hook: Option<Hook>,
    pub sources: BTreeMap<Ticket, Rank>,
}

impl Transport for Hooked {
    fn rank(&self) -> Rank {
        self.inner.rank()
    }

    fn size(&self) -> u32 {
        self.inner.size()
    }

    fn send(&mut self, to: Rank, channel: Channel, bytes: Vec<u8>) {
        self.inner.send(to, channel, bytes);
    }

    fn send_piece(&mut self, to: Rank, ticket: Ticket, piece: Option<SharedBuffer>) {
        self.inner.send_piece(to, ticket, piece);
    }

    fn receive_piece(&mut self, from: Rank, ticket: Ticket, buffer: Buffer) {
        if self.hook.is_some() {
            self.sources.insert(ticket, from);
        }
        self.inner.receive_piece(from, ticket, buffer);
    }

    fn poll(&mut self, arrivals: &mut Vec<Arrival>) {
        self.inner.poll(arrivals);
        if let Some(hook) = &mut self.hook {
            hook(&mut Seen { arrivals, sources: &self.sources });
        }
    }

    fn is_drained(&self) -> bool {
        self.inner.is_drained()
    }
}

/// What a rank dies of.
pub struct Death;

impl Seen<'_> {
    /// The pieces among what arrived, with their senders.
    pub fn pieces(&mut self) -> impl Iterator<Item = (Rank, &mut Buffer)> {
        self.arrivals.iter_mut().filter_map(|arrival| match arrival {
            Arrival::PieceReceived { ticket, buffer } => Some((self.sources[ticket], buffer)),
            _ => None,
        })
    }
}

/// Does something once, when so many pieces have come: before the last of them is seen.
pub fn when_piece(number: usize, mut act: impl FnMut() + Send + 'static) -> Hook {
    let mut count = 0;
    Box::new(move |seen| {
        let before = count;
        count += seen.pieces().count();
        if before < number && number <= count {
            act();
        }
    })
}

/// The rank dies when so many pieces have come.
pub fn die_at_piece(number: usize) -> Hook {
    when_piece(number, die)
}

/// The rank dies once so many pieces have come and were seen, which may all be in one poll, and
/// what its workers make of them `suffices`.
pub fn die_after_pieces(number: usize, suffices: impl Fn() -> bool + Send + 'static) -> Hook {
    let mut count = 0;
    Box::new(move |seen| {
        if count >= number {
            let began = Instant::now();
            while !suffices() && began.elapsed() < Duration::from_secs(20) {
                sleep(Duration::from_millis(1));
            }
            die();
        }
        count += seen.pieces().count();
    })
}

/// Does something at the first message on a channel from a rank, before it is seen.
pub fn from_channel(
    rank: u32,
    channel: Channel,
    mut act: impl FnMut(&mut Seen<'_>) + Send + 'static,
) -> Hook {
    let mut done = false;
    Box::new(move |seen| {
        let found = seen.arrivals.iter().any(|arrival| is_from(arrival, rank, channel));
        if found && !std::mem::replace(&mut done, true) {
            act(seen);
        }
    })
}

/// The messages on a channel from a rank never arrive.
pub fn without(rank: u32, channel: Channel) -> Hook {
    Box::new(move |seen| seen.arrivals.retain(|arrival| !is_from(arrival, rank, channel)))
}

fn is_from(arrival: &Arrival, rank: u32, channel: Channel) -> bool {
    matches!(arrival, Arrival::Message { from, channel: on, .. }
        if *from == Rank(rank) && *on == channel)
}

/// This rank's death, without a word on standard error.
pub fn die() {
    resume_unwind(Box::new(Death));
}

/// Turns a bit of each of the first pieces from a rank.
pub fn corrupt(rank: u32, mut pieces: usize) -> Hook {
    Box::new(move |seen| {
        for (from, buffer) in seen.pieces() {
            if from == Rank(rank) && pieces > 0 && !buffer.is_empty() {
                pieces -= 1;
                let middle = buffer.len() / 2;
                buffer[middle] ^= 0x10;
            }
        }
    })
}

/// Everything comes late, in its order.
pub fn delay(by: Duration) -> Hook {
    let mut held = VecDeque::new();
    Box::new(move |seen| {
        let now = Instant::now();
        held.extend(seen.arrivals.drain(..).map(|arrival| (now + by, arrival)));
        while held.front().is_some_and(|(due, _)| *due <= now) {
            seen.arrivals.extend(held.pop_front().map(|(_, arrival)| arrival));
        }
    })
}

/// Each piece takes so long.
pub fn slow(each: Duration) -> Hook {
    Box::new(move |seen| std::thread::sleep(each * seen.pieces().count() as u32))
}
