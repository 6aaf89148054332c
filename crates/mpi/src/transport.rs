//! The trait's messages, pieces and losses in terms of MPI's probes, sends and receives.
//!
//! A control message is found by a probe and received at once; a piece only by a receive that was
//! posted for it. It never blocks, and an error of MPI costs at most the rank that it concerns.
//!
//! A piece must fit into the buffer of its receive. Where one does not, MPICH cuts it off, but Open
//! MPI 4 and 5 write beyond the buffer (tried: SIGSEGV), and nothing here can keep them from it.

use crate::communicator::{Communicator, Failure, FailureKind, Source};
use crate::flight::{Flight, Lane, Transfer};
use crate::inbox::Inbox;
use crate::join::Membership;
use node::{Arrival, Buffer, SharedBuffer, Ticket, Transport};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use swarm::{Channel, MAX_MESSAGE_LEN, Rank};

/// The most messages of one channel that are received in one poll, so that no channel keeps the
/// others waiting.
const MESSAGES_PER_POLL: usize = 64;

/// How often every rank is asked after while MPI says that some rank has failed but not which: a
/// failure is told soon enough, and the asking costs a hundredth of a core at a thousand ranks.
const ASK_AFTER_EVERY: Duration = Duration::from_millis(100);

/// The transport over a communicator of MPI. Dropped while transfers are open, it leaks their
/// buffers, which MPI still uses.
pub struct MpiTransport {
    rank: Rank,
    size: u32,
    flight: Flight,
    inbox: Inbox,
    /// What waits for room in its lane, in order.
    backlog: [VecDeque<Transfer>; Lane::COUNT],
    lost: Vec<bool>,
    /// What ended between two polls.
    arrivals: Vec<Arrival>,
    /// When every rank was last asked after.
    asked: Option<Instant>,
    membership: Membership,
}

impl Transport for MpiTransport {
    fn rank(&self) -> Rank {
        self.rank
    }

    fn size(&self) -> u32 {
        self.size
    }

    fn send(&mut self, to: Rank, channel: Channel, bytes: Vec<u8>) {
        assert!(channel != Channel::Piece, "pieces have their own call");
        assert!(bytes.len() <= MAX_MESSAGE_LEN, "{} bytes on {channel}", bytes.len());
        self.begin(Transfer::Outgoing { to, channel, bytes });
    }

    fn send_piece(&mut self, to: Rank, ticket: Ticket, piece: Option<SharedBuffer>) {
        self.begin(Transfer::Piece { to, ticket, piece });
    }

    fn receive_piece(&mut self, from: Rank, ticket: Ticket, buffer: Buffer) {
        self.begin(Transfer::Posted { from, ticket, buffer });
    }

    fn poll(&mut self, arrivals: &mut Vec<Arrival>) {
        let mut trouble = Ok(());
        for channel in Channel::CONTROL {
            trouble = trouble.and(self.receive_messages(channel));
        }
        trouble = trouble.and(self.end_transfers());
        if let Err(error) = trouble {
            // Last, so that the last words of a rank that failed come before its loss.
            self.ask_after_all(&error);
        }
        self.begin_waiting();
        arrivals.append(&mut self.arrivals);
    }

    fn is_drained(&self) -> bool {
        self.flight.open() == 0
            && self.arrivals.is_empty()
            && self.backlog.iter().all(VecDeque::is_empty)
    }
}

impl MpiTransport {
    /// Makes one of a communicator that nobody else uses.
    pub(crate) fn new(
        world: Box<dyn Communicator>,
        membership: Membership,
    ) -> Result<Self, Failure> {
        let (rank, size) = (Rank(world.rank()?), world.size()?);
        Ok(Self {
            rank,
            size,
            flight: Flight::new(world),
            inbox: Inbox::default(),
            backlog: Default::default(),
            lost: vec![false; size as usize],
            arrivals: Vec::new(),
            asked: None,
            membership,
        })
    }

    pub(crate) fn membership(&self) -> Membership {
        self.membership
    }

    /// The communicator, for the end.
    pub(crate) fn world(&mut self) -> &mut dyn Communicator {
        self.flight.world()
    }

    /// Whether a rank is known to be lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost.contains(&true)
    }

    /// Whether all other ranks are known to be lost.
    pub(crate) fn is_alone(&self) -> bool {
        self.lost.iter().filter(|lost| **lost).count() + 1 >= self.lost.len()
    }

    /// Whether MPI holds no request, not even a lost rank's.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_drained() && self.flight.is_empty()
    }

    /// Begins a transfer, behind those of its lane that wait for room.
    fn begin(&mut self, transfer: Transfer) {
        assert!(transfer.peer() != self.rank, "a rank never sends to itself");
        let lane = transfer.lane();
        if self.lost[transfer.peer().index()] {
            self.drop_transfer(&transfer);
        } else if self.flight.has_room(lane) && self.backlog[lane as usize].is_empty() {
            self.hand_to_mpi(transfer);
        } else {
            self.backlog[lane as usize].push_back(transfer);
        }
    }

    fn begin_waiting(&mut self) {
        for lane in [Lane::Outgoing, Lane::Piece, Lane::Posted] {
            while self.flight.has_room(lane) {
                let Some(transfer) = self.backlog[lane as usize].pop_front() else { break };
                self.hand_to_mpi(transfer);
            }
        }
    }

    fn hand_to_mpi(&mut self, transfer: Transfer) {
        if let Err((transfer, error)) = self.flight.begin(transfer) {
            let peer = transfer.peer();
            self.drop_transfer(&transfer);
            self.lose(peer, &error.to_string());
        }
    }

    /// Drops a transfer of a lost rank. Its sender wants its buffer back all the same.
    fn drop_transfer(&mut self, transfer: &Transfer) {
        if let Transfer::Piece { ticket, .. } = *transfer {
            self.arrivals.push(Arrival::PieceSent { ticket });
        }
    }

    /// Posts a receive for each message that MPI announces on a channel. MPI announces those of one
    /// sender in order, and each receive takes the message just announced: nothing else receives
    /// this tag.
    fn receive_messages(&mut self, channel: Channel) -> Result<(), Failure> {
        for _ in 0..MESSAGES_PER_POLL {
            if !self.flight.has_room(Lane::Incoming) {
                break;
            }
            let announced = self.flight.world().probe(Source::Any, channel.tag())?;
            let Some(announced) = announced else { break };
            let from = Rank(u32::try_from(announced.source).expect("MPI counts from 0"));
            // Room for all of it, even where it will be dropped: see the head of this file.
            self.receive_message(from, channel, announced.len);
        }
        Ok(())
    }

    fn receive_message(&mut self, from: Rank, channel: Channel, len: usize) {
        let is_lost = self.lost[from.index()];
        // What a lost rank had sent is taken out of MPI's way, and goes no further.
        let number = if is_lost { 0 } else { self.inbox.announce(from, channel) };
        self.hand_to_mpi(Transfer::Incoming { from, channel, number, bytes: vec![0; len] });
        if is_lost {
            self.flight.abandon(from);
        }
    }

    fn end_transfers(&mut self) -> Result<(), Failure> {
        let mut ended = Vec::new();
        let tested = self.flight.test(&mut ended);
        let mut failed = Vec::new();
        for (transfer, end) in ended {
            match (transfer, end) {
                (transfer, Ok(len)) => self.complete(transfer, len),
                (Transfer::Posted { from, ticket, buffer }, Err(failure))
                    if failure.kind == FailureKind::Truncated =>
                {
                    tracing::error!(%from, ?ticket, "a piece is longer than what was asked for");
                    self.complete(Transfer::Posted { from, ticket, buffer }, 0);
                }
                (transfer, Err(failure)) => failed.push((transfer, failure)),
            }
        }
        for (transfer, failure) in failed {
            let peer = transfer.peer();
            self.drop_transfer(&transfer);
            self.lose(peer, &failure.to_string());
        }
        tested
    }

    fn complete(&mut self, transfer: Transfer, len: usize) {
        match transfer {
            Transfer::Outgoing { .. } => {}
            Transfer::Piece { ticket, .. } => self.arrivals.push(Arrival::PieceSent { ticket }),
            Transfer::Posted { ticket, mut buffer, .. } => {
                buffer.truncate(len);
                self.arrivals.push(Arrival::PieceReceived { ticket, buffer });
            }
            Transfer::Incoming { from, channel, number, mut bytes } => {
                bytes.truncate(len);
                let is_fine = len <= MAX_MESSAGE_LEN;
                if !is_fine {
                    tracing::error!(%from, %channel, len, "a message is longer than any may be");
                }
                let arrivals = &mut self.arrivals;
                self.inbox.fulfil((from, channel), number, is_fine.then_some(bytes), |bytes| {
                    arrivals.push(Arrival::Message { from, channel, bytes });
                });
            }
        }
    }

    /// Counts a rank as lost, for good.
    fn lose(&mut self, rank: Rank, why: &str) {
        if std::mem::replace(&mut self.lost[rank.index()], true) {
            return;
        }
        // Whoever drives the transport says so; why MPI thinks so is for those who look closer.
        tracing::debug!(%rank, why, "a rank is lost");
        self.inbox.forget(rank);
        let unsent = self.flight.abandon(rank).into_iter();
        self.arrivals.extend(unsent.map(|ticket| Arrival::PieceSent { ticket }));
        for lane in 0..Lane::COUNT {
            for transfer in std::mem::take(&mut self.backlog[lane]) {
                if transfer.peer() == rank {
                    self.drop_transfer(&transfer);
                } else {
                    self.backlog[lane].push_back(transfer);
                }
            }
        }
        self.arrivals.push(Arrival::Lost { rank });
    }

    /// Finds out which ranks have failed, where MPI says only that some have. A library that is
    /// told that we know (ULFM's `MPIX_Comm_failure_ack`) says it no more; others go on saying it
    /// for ever, and each rank is asked after. The announcements of others are not lost by it.
    ///
    /// # Panics
    ///
    /// Panics on an error that no failure of another rank explains.
    fn ask_after_all(&mut self, error: &Failure) {
        assert!(error.kind == FailureKind::OfAnother, "{error}");
        if self.asked.is_some_and(|asked| asked.elapsed() < ASK_AFTER_EVERY) {
            return;
        }
        let failed = self.flight.world().take_note_of_failures().unwrap_or_default();
        let others: Vec<_> = failed.into_iter().map(Rank).filter(|&r| r != self.rank).collect();
        let is_news = others.iter().any(|rank| !self.lost[rank.index()]);
        for rank in others {
            self.lose(rank, &error.to_string());
        }
        if is_news {
            return;
        }
        self.asked = Some(Instant::now());
        for rank in (0..self.size).map(Rank) {
            if rank == self.rank || self.lost[rank.index()] {
                continue;
            }
            let source = Source::Rank(i32::try_from(rank.0).expect("a rank of this job"));
            if let Err(error) = self.flight.world().probe(source, Channel::Init.tag()) {
                self.lose(rank, &error.to_string());
            }
        }
    }
}
