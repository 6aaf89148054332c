//! The conformance suite: what every transport owes its callers, checked by all ranks of a job at
//! once.
//!
//! It uses nothing but the trait; the barrier between its phases is made of messages too. It never
//! prints, and never waits for longer than a phase may take.

use crate::buffer::{Buffer, Pool, SharedBuffer};
use crate::transport::{Arrival, Ticket, Transport};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm::{Channel, MAX_MESSAGE_LEN, Rank};

/// How long one phase may take: far more than 16 ranks need on two cores, and less than a tester's
/// patience.
const PHASE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long nothing may arrive after the last phase.
const QUIET: Duration = Duration::from_millis(50);
/// How long a late receive is late: enough for any piece to arrive before it.
const LATENESS: Duration = Duration::from_millis(20);
/// Numbered messages from each rank to each other.
const NUMBERED: u32 = 500;
/// Pieces from each rank to each other, all in flight together.
const IN_FLIGHT: u32 = 64;
const KIB: usize = 1024;

type Phase = fn(&mut Suite<'_>) -> Result<(), String>;

const PHASES: [(&str, Phase); 9] = [
    ("every length passes on every control channel", every_length),
    ("messages of a pair and channel keep their order", order_of_messages),
    ("pieces of every size pass", sizes),
    ("pieces meet posted receives in order", order_of_pieces),
    ("receives are posted before their pieces are sent", early_receives),
    ("receives are posted after their pieces were sent", late_receives),
    ("one buffer goes to many", one_to_many),
    ("many pieces are in flight between all", many_in_flight),
    ("messages pass while pieces are in flight", messages_among_pieces),
];

/// Checks a transport. Every rank of a job of two or more calls it at the same time, on a fresh
/// transport.
///
/// # Errors
///
/// Names the rank, the phase and what went wrong; a rank that misses another's part says so after a
/// minute.
///
/// # Panics
///
/// Panics in a job of one rank.
pub fn run(transport: &mut dyn Transport) -> Result<(), String> {
    assert!(transport.size() > 1, "a transport is checked between ranks");
    let rank = transport.rank();
    let mut suite = Suite::new(transport);
    for (name, phase) in PHASES {
        suite.deadline = Instant::now() + PHASE_TIMEOUT;
        let ended = phase(&mut suite).and_then(|()| suite.settle()).and_then(|()| suite.barrier());
        ended.map_err(|error| format!("rank {rank}: {name}: {error}"))?;
    }
    suite.quiet().map_err(|error| format!("rank {rank}: after the last phase: {error}"))
}

fn every_length(suite: &mut Suite<'_>) -> Result<(), String> {
    let lengths = [0, 1, MAX_MESSAGE_LEN];
    let me = suite.me();
    for channel in Channel::CONTROL {
        for to in suite.others() {
            for (number, len) in (0..).zip(lengths) {
                suite.transport.send(to, channel, pattern(me, number, len));
            }
        }
    }
    for channel in Channel::CONTROL {
        for from in suite.others() {
            for (number, len) in (0..).zip(lengths) {
                suite.expect(from, channel, &pattern(from, number, len))?;
            }
        }
    }
    Ok(())
}

fn order_of_messages(suite: &mut Suite<'_>) -> Result<(), String> {
    let me = suite.me();
    for number in 0..NUMBERED {
        for to in suite.others() {
            suite.transport.send(to, channel_of(number), numbered(me, number));
        }
        suite.pump()?;
    }
    for from in suite.others() {
        for number in 0..NUMBERED {
            suite.expect(from, channel_of(number), &numbered(from, number))?;
        }
    }
    Ok(())
}

fn sizes(suite: &mut Suite<'_>) -> Result<(), String> {
    let sizes = [Some(1), Some(16 * KIB), None, Some(1024 * KIB), Some(4096 * KIB), Some(0)];
    for (number, size) in (0..).zip(sizes) {
        let ticket = suite.post(suite.previous(), size.unwrap_or(16 * KIB));
        suite.give(suite.next(), number, size);
        suite.collect(ticket, suite.previous(), number, size)?;
    }
    Ok(())
}

fn order_of_pieces(suite: &mut Suite<'_>) -> Result<(), String> {
    let sizes = [Some(100 * KIB), Some(7), None, Some(300 * KIB), Some(4 * KIB)];
    let sizes = || (0..).zip(sizes.into_iter().cycle().take(20));
    for (number, size) in sizes() {
        suite.give(suite.next(), number, size);
    }
    let tickets: Vec<_> = sizes().map(|_| suite.post(suite.previous(), 512 * KIB)).collect();
    // The last one first: each ticket has its own piece, whatever order they end in.
    for ((number, size), ticket) in sizes().zip(tickets).collect::<Vec<_>>().into_iter().rev() {
        suite.collect(ticket, suite.previous(), number, size)?;
    }
    Ok(())
}

fn early_receives(suite: &mut Suite<'_>) -> Result<(), String> {
    let sizes = [Some(64), Some(2048 * KIB), None];
    let (next, previous) = (suite.next(), suite.previous());
    let tickets = sizes.map(|size| suite.post(previous, size.unwrap_or(1)));
    suite.transport.send(previous, Channel::DthUth, b"posted".to_vec());
    suite.expect(next, Channel::DthUth, b"posted")?;
    for (number, size) in (0..).zip(sizes) {
        suite.give(next, number, size);
    }
    for ((number, size), ticket) in (0..).zip(sizes).zip(tickets) {
        suite.collect(ticket, previous, number, size)?;
    }
    Ok(())
}

fn late_receives(suite: &mut Suite<'_>) -> Result<(), String> {
    let sizes = [Some(64), None, Some(2048 * KIB), Some(32 * KIB)];
    let (next, previous) = (suite.next(), suite.previous());
    for (number, size) in (0..).zip(sizes) {
        suite.give(next, number, size);
    }
    suite.transport.send(next, Channel::Ack, b"sent".to_vec());
    suite.expect(previous, Channel::Ack, b"sent")?;
    let until = Instant::now() + LATENESS;
    suite.wait(|_| Instant::now() > until, || "the time to pass".into())?;
    for (number, size) in (0..).zip(sizes) {
        let ticket = suite.post(previous, size.unwrap_or(1));
        suite.collect(ticket, previous, number, size)?;
    }
    Ok(())
}

fn one_to_many(suite: &mut Suite<'_>) -> Result<(), String> {
    let piece = suite.piece(0, 256 * KIB);
    let posted: Vec<_> =
        suite.others().into_iter().map(|from| (from, suite.post(from, 256 * KIB))).collect();
    for to in suite.others() {
        suite.give_shared(to, Some(piece.clone()));
    }
    for (from, ticket) in posted {
        suite.collect(ticket, from, 0, Some(256 * KIB))?;
    }
    suite.settle()?;
    match Arc::strong_count(&piece) {
        1 => Ok(()),
        count => Err(format!("{} sends that have ended still hold their buffer", count - 1)),
    }
}

fn many_in_flight(suite: &mut Suite<'_>) -> Result<(), String> {
    let size = |number: u32| [Some(16 * KIB), Some(1000), None][number as usize % 3];
    let mut posted = Vec::new();
    // Half of the receives stand before the first piece is sent, the others come behind the last.
    let mut post = |suite: &mut Suite<'_>, numbers: std::ops::Range<u32>| {
        for number in numbers {
            for from in suite.others() {
                posted.push((number, from, suite.post(from, 16 * KIB)));
            }
        }
    };
    post(suite, 0..IN_FLIGHT / 2);
    for number in 0..IN_FLIGHT {
        let piece = size(number).map(|len| suite.piece(number, len));
        for to in suite.others() {
            suite.give_shared(to, piece.clone());
        }
    }
    post(suite, IN_FLIGHT / 2..IN_FLIGHT);
    for (number, from, ticket) in posted {
        suite.collect(ticket, from, number, size(number))?;
    }
    Ok(())
}

fn messages_among_pieces(suite: &mut Suite<'_>) -> Result<(), String> {
    let (next, previous) = (suite.next(), suite.previous());
    let me = suite.me();
    for number in 0..4 {
        suite.give(next, number, Some(1024 * KIB));
    }
    let first = suite.post(previous, 1024 * KIB);
    // Three pieces have no receive yet: messages pass them by.
    for number in 0..NUMBERED / 10 {
        for to in suite.others() {
            suite.transport.send(to, channel_of(number), numbered(me, number));
        }
    }
    for from in suite.others() {
        for number in 0..NUMBERED / 10 {
            suite.expect(from, channel_of(number), &numbered(from, number))?;
        }
    }
    suite.collect(first, previous, 0, Some(1024 * KIB))?;
    for number in 1..4 {
        let ticket = suite.post(previous, 1024 * KIB);
        suite.collect(ticket, previous, number, Some(1024 * KIB))?;
    }
    Ok(())
}

/// Bytes that tell their sender, number and place.
fn pattern(from: Rank, number: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fill(&mut bytes, from, number);
    bytes
}

fn fill(bytes: &mut [u8], from: Rank, number: u32) {
    let seed = from.0.wrapping_mul(31).wrapping_add(number.wrapping_mul(7));
    for (block, bytes) in (0u32..).zip(bytes.chunks_mut(251)) {
        let start = seed.wrapping_add(block.wrapping_mul(13));
        for (at, byte) in (start..).zip(bytes) {
            *byte = at.to_le_bytes()[0];
        }
    }
}

/// A message that begins with its number; its length varies between a few bytes and the limit, so
/// that those that a transport sends at once and those that it has to agree upon follow each other.
fn numbered(from: Rank, number: u32) -> Vec<u8> {
    let len = if number % 50 == 11 { MAX_MESSAGE_LEN } else { 4 + number as usize % 9 * 200 };
    let mut bytes = pattern(from, number, len);
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn channel_of(number: u32) -> Channel {
    Channel::CONTROL[number as usize % Channel::CONTROL.len()]
}

/// One rank's side of the suite: what it has asked of the transport, and what has come.
struct Suite<'t> {
    transport: &'t mut dyn Transport,
    pool: Pool,
    messages: BTreeMap<(Rank, Channel), VecDeque<Vec<u8>>>,
    received: BTreeMap<Ticket, Buffer>,
    posted: BTreeSet<Ticket>,
    sending: BTreeSet<Ticket>,
    next_ticket: u64,
    deadline: Instant,
}

impl<'t> Suite<'t> {
    fn new(transport: &'t mut dyn Transport) -> Self {
        Self {
            transport,
            pool: Pool::default(),
            messages: BTreeMap::new(),
            received: BTreeMap::new(),
            posted: BTreeSet::new(),
            sending: BTreeSet::new(),
            next_ticket: 0,
            deadline: Instant::now(),
        }
    }

    fn me(&self) -> Rank {
        self.transport.rank()
    }

    /// All other ranks, from the next one on, so that not all of them begin with the same.
    fn others(&self) -> Vec<Rank> {
        let (me, size) = (self.me().0, self.transport.size());
        (1..size).map(|step| Rank((me + step) % size)).collect()
    }

    fn next(&self) -> Rank {
        Rank((self.me().0 + 1) % self.transport.size())
    }

    fn previous(&self) -> Rank {
        Rank((self.me().0 + self.transport.size() - 1) % self.transport.size())
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn piece(&self, number: u32, len: usize) -> SharedBuffer {
        let mut buffer = self.pool.take(len);
        fill(&mut buffer, self.me(), number);
        Arc::new(buffer)
    }

    /// Sends a piece of so many bytes, or withdraws one.
    fn give(&mut self, to: Rank, number: u32, len: Option<usize>) {
        let piece = len.map(|len| self.piece(number, len));
        self.give_shared(to, piece);
    }

    fn give_shared(&mut self, to: Rank, piece: Option<SharedBuffer>) {
        let ticket = self.ticket();
        self.sending.insert(ticket);
        self.transport.send_piece(to, ticket, piece);
    }

    fn post(&mut self, from: Rank, room: usize) -> Ticket {
        let ticket = self.ticket();
        self.posted.insert(ticket);
        let mut buffer = self.pool.take(room);
        buffer.fill(0xEE);
        self.transport.receive_piece(from, ticket, buffer);
        ticket
    }

    /// Waits for a posted receive to get its piece, and compares it.
    fn collect(
        &mut self,
        ticket: Ticket,
        from: Rank,
        number: u32,
        len: Option<usize>,
    ) -> Result<(), String> {
        let what = || format!("piece {number} of {len:?} bytes from rank {from}");
        self.wait(|suite| suite.received.contains_key(&ticket), what)?;
        let got = self.received.remove(&ticket).expect("waited for");
        if got[..] == pattern(from, number, len.unwrap_or(0))[..] {
            return Ok(());
        }
        Err(format!("{} came as {} bytes: {:?}", what(), got.len(), got.get(..8)))
    }

    /// Waits for the next message on a channel from a rank, and compares it.
    fn expect(&mut self, from: Rank, channel: Channel, bytes: &[u8]) -> Result<(), String> {
        let what = || format!("a message of {} bytes on {channel} from rank {from}", bytes.len());
        let key = (from, channel);
        self.wait(|suite| suite.messages.get(&key).is_some_and(|queue| !queue.is_empty()), what)?;
        let got = self.messages.get_mut(&key).and_then(VecDeque::pop_front).expect("waited for");
        if got == bytes {
            return Ok(());
        }
        Err(format!("{} came as {} bytes: {:?}", what(), got.len(), got.get(..8)))
    }

    /// Waits until everything that this rank has begun has ended.
    fn settle(&mut self) -> Result<(), String> {
        self.wait(|suite| suite.sending.is_empty(), || "every piece to leave".into())?;
        self.wait(|suite| suite.posted.is_empty(), || "every receive to end".into())?;
        self.wait(|suite| suite.transport.is_drained(), || "the transport to be drained".into())
    }

    /// Waits until all ranks are here. Rank 0 counts them.
    fn barrier(&mut self) -> Result<(), String> {
        let (first, others) = (Rank(0), self.others());
        if self.me() != first {
            self.transport.send(first, Channel::Finish, b"here".to_vec());
            return self.expect(first, Channel::Finish, b"all here");
        }
        for from in &others {
            self.expect(*from, Channel::Finish, b"here")?;
        }
        for to in others {
            self.transport.send(to, Channel::Finish, b"all here".to_vec());
        }
        Ok(())
    }

    /// Checks that nothing is left, and that nothing comes any more.
    fn quiet(&mut self) -> Result<(), String> {
        let until = Instant::now() + QUIET;
        self.deadline = until + PHASE_TIMEOUT;
        self.wait(|_| Instant::now() > until, || "the time to pass".into())?;
        self.settle()?;
        let left = self.messages.values().map(VecDeque::len).sum::<usize>() + self.received.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} arrivals that nobody sent")) }
    }

    /// Polls until `done`, giving way to other ranks the longer it takes.
    fn wait(
        &mut self,
        done: impl Fn(&Self) -> bool,
        what: impl Fn() -> String,
    ) -> Result<(), String> {
        let mut idle = 0u32;
        while !done(self) {
            idle = if self.pump()? { 0 } else { idle + 1 };
            match idle {
                0..64 => std::thread::yield_now(),
                64..256 => std::thread::sleep(Duration::from_micros(50)),
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
            if Instant::now() > self.deadline {
                return Err(format!("waited in vain for {}", what()));
            }
        }
        Ok(())
    }

    /// Polls once and files what came; whether anything did.
    fn pump(&mut self) -> Result<bool, String> {
        let mut arrivals = Vec::new();
        self.transport.poll(&mut arrivals);
        let any = !arrivals.is_empty();
        for arrival in arrivals {
            self.file(arrival)?;
        }
        Ok(any)
    }

    fn file(&mut self, arrival: Arrival) -> Result<(), String> {
        match arrival {
            Arrival::Message { from, channel, bytes } => {
                if channel == Channel::Piece || from == self.me() || from.0 >= self.transport.size()
                {
                    return Err(format!("a message on {channel} from rank {from}"));
                }
                self.messages.entry((from, channel)).or_default().push_back(bytes);
            }
            Arrival::PieceReceived { ticket, buffer } => {
                if !self.posted.remove(&ticket) {
                    return Err(format!("a piece for {ticket:?}, which waits for none"));
                }
                self.received.insert(ticket, buffer);
            }
            Arrival::PieceSent { ticket } => {
                if !self.sending.remove(&ticket) {
                    return Err(format!("{ticket:?} has left, but is not on its way"));
                }
            }
            Arrival::Lost { rank } => return Err(format!("rank {rank} was lost")),
        }
        Ok(())
    }
}
