//! The transfers in flight: each MPI request together with the buffer that MPI reads or writes
//! meanwhile.
//!
//! This is the only place where a buffer is lent to MPI for longer than the borrow checker can see.
//! It knows nothing of the order of messages, and never waits.
#![allow(unsafe_code, reason = "requests use buffers that the table owns")]

use crate::communicator::{Communicator, Failure};
use node::{Buffer, SharedBuffer, Ticket};
use swarm::{Channel, Rank};

/// Something on its way, and the owner of its bytes.
pub(crate) enum Transfer {
    /// A control message that leaves.
    Outgoing { to: Rank, channel: Channel, bytes: Vec<u8> },
    /// A control message that MPI has announced, into room for it.
    Incoming { from: Rank, channel: Channel, number: u64, bytes: Vec<u8> },
    /// A piece that leaves; none is a withdrawn one.
    Piece { to: Rank, ticket: Ticket, piece: Option<SharedBuffer> },
    /// A receive that waits for its piece.
    Posted { from: Rank, ticket: Ticket, buffer: Buffer },
}

/// The kinds of transfers, each bounded by itself, so that no kind keeps another out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Outgoing,
    Incoming,
    Piece,
    Posted,
}

impl Lane {
    pub(crate) const COUNT: usize = 4;

    /// The most transfers in flight. What is begun beyond it waits in this process. A window of 64
    /// MiB is 4,096 of the smallest pieces; a tracker of thousands of ranks has one or two messages
    /// to each.
    pub(crate) const LIMIT: usize = 4096;
}

impl Transfer {
    /// The rank at the other end.
    pub(crate) fn peer(&self) -> Rank {
        match *self {
            Self::Outgoing { to, .. } | Self::Piece { to, .. } => to,
            Self::Incoming { from, .. } | Self::Posted { from, .. } => from,
        }
    }

    /// Whether bytes come by it.
    fn receives(&self) -> bool {
        matches!(self, Self::Incoming { .. } | Self::Posted { .. })
    }

    pub(crate) fn lane(&self) -> Lane {
        match self {
            Self::Outgoing { .. } => Lane::Outgoing,
            Self::Incoming { .. } => Lane::Incoming,
            Self::Piece { .. } => Lane::Piece,
            Self::Posted { .. } => Lane::Posted,
        }
    }
}

/// How a transfer ended: so many bytes were received, 0 for what was sent.
pub(crate) type End = Result<usize, Failure>;

/// The table of transfers in flight.
pub(crate) struct Flight {
    /// Its request `i` is that of row `i`; apart because MPI tests all of them at once.
    world: Box<dyn Communicator>,
    rows: Vec<Row>,
    in_lane: [usize; Lane::COUNT],
    /// Rows whose peer is lost: kept for their buffers, until their requests end, if ever.
    abandoned: usize,
}

struct Row {
    transfer: Transfer,
    is_abandoned: bool,
}

impl Flight {
    pub(crate) fn new(world: Box<dyn Communicator>) -> Self {
        Self { world, rows: Vec::new(), in_lane: [0; Lane::COUNT], abandoned: 0 }
    }

    /// The communicator, for all that is no transfer.
    pub(crate) fn world(&mut self) -> &mut dyn Communicator {
        &mut *self.world
    }

    /// How many transfers have neither ended nor been abandoned.
    pub(crate) fn open(&self) -> usize {
        self.rows.len() - self.abandoned
    }

    /// Whether MPI holds no request at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn has_room(&self, lane: Lane) -> bool {
        self.in_lane[lane as usize] < Lane::LIMIT
    }

    /// Hands a transfer to MPI.
    ///
    /// # Errors
    ///
    /// Gives the transfer back with what MPI says; nothing has begun then.
    ///
    /// # Panics
    ///
    /// Panics where its lane has no room.
    pub(crate) fn begin(&mut self, mut transfer: Transfer) -> Result<(), (Transfer, Failure)> {
        let lane = transfer.lane();
        assert!(self.has_room(lane), "{lane:?}: more than {} in flight", Lane::LIMIT);
        match self.request(&mut transfer) {
            Ok(()) => {
                self.rows.push(Row { transfer, is_abandoned: false });
                self.in_lane[lane as usize] += 1;
                Ok(())
            }
            Err(failure) => Err((transfer, failure)),
        }
    }

    /// Makes the request of a transfer that goes into the next row.
    ///
    /// All four calls are sound for one reason: the bytes lie on the heap, or there are none; their
    /// owner goes, at once and without touching them, into the row of the request, and moving it
    /// does not move them; a row is dropped only when its request has ended, and leaked where it
    /// has not.
    fn request(&mut self, transfer: &mut Transfer) -> Result<(), Failure> {
        let peer = i32::try_from(transfer.peer().0).expect("a rank of this job");
        let piece_tag = Channel::Piece.tag();
        match transfer {
            Transfer::Outgoing { channel, bytes, .. } => {
                // SAFETY: as above; the row keeps the `Vec` and never touches it.
                unsafe { self.world.send(&raw const bytes[..], peer, channel.tag()) }
            }
            Transfer::Piece { piece, .. } => {
                let bytes = piece.as_ref().map_or(&[][..], |piece| &piece[..]);
                // SAFETY: as above; the row keeps its count of the `Arc`, and what is shared is
                // only read.
                unsafe { self.world.send(bytes, peer, piece_tag) }
            }
            Transfer::Incoming { channel, bytes, .. } => {
                // SAFETY: as above; the row keeps the `Vec` and never touches it.
                unsafe { self.world.receive(&raw mut bytes[..], peer, channel.tag()) }
            }
            Transfer::Posted { buffer, .. } => {
                // SAFETY: as above; the row keeps the `Buffer`, whose bytes nobody else can reach.
                unsafe { self.world.receive(&raw mut buffer[..], peer, piece_tag) }
            }
        }
    }

    /// Makes progress, and appends the transfers that have ended to `ended`, in no order. Those of
    /// lost ranks are dropped.
    ///
    /// # Errors
    ///
    /// What MPI says of the call as a whole; transfers that it ended all the same are appended as
    /// failed.
    pub(crate) fn test(&mut self, ended: &mut Vec<(Transfer, End)>) -> Result<(), Failure> {
        let mut results = Vec::new();
        let rows = &self.rows;
        let tested = self.world.test(&|index| rows[index].transfer.receives(), &mut results);
        // From the back, so that the rows that fill the gaps have been looked at already.
        results.sort_unstable_by_key(|&(index, _)| std::cmp::Reverse(index));
        for (index, end) in results {
            self.world.swap_remove(index);
            let row = self.rows.swap_remove(index);
            self.in_lane[row.transfer.lane() as usize] -= 1;
            if row.is_abandoned {
                self.abandoned -= 1;
            } else {
                ended.push((row.transfer, end));
            }
        }
        tested
    }

    /// Counts a lost rank's transfers as ended, and returns the tickets of the pieces that were on
    /// their way to it. Their buffers stay here until MPI lets go of them.
    pub(crate) fn abandon(&mut self, rank: Rank) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        for row in self.rows.iter_mut().filter(|row| row.transfer.peer() == rank) {
            if let (false, Transfer::Piece { ticket, .. }) = (row.is_abandoned, &row.transfer) {
                tickets.push(*ticket);
            }
            self.abandoned += usize::from(!row.is_abandoned);
            row.is_abandoned = true;
        }
        tickets
    }
}

impl Drop for Flight {
    /// Leaks what MPI still uses: a request that has not ended keeps its buffer for ever.
    fn drop(&mut self) {
        std::mem::forget(std::mem::take(&mut self.rows));
    }
}
