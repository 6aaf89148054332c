//! The transfers in flight: each MPI request together with the buffer that MPI reads or writes
//! meanwhile.
//!
//! This is the only place where a buffer is lent to MPI for longer than the borrow checker can see.
//! It knows nothing of the order of messages, and never waits.
#![allow(unsafe_code, reason = "requests borrow buffers that the table owns")]

use ferrompi::{Communicator, Error, MpiErrorClass, Request, Scope};
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

/// The kinds of transfers, each with its own share of ferrompi's table, so that no kind keeps
/// another out.
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
    pub(crate) const LIMIT: usize = 3072;
}

/// Requests that ferrompi can hold (its `MAX_REQUESTS`). A request beyond them would be waited for,
/// blocking.
const FERROMPI_REQUESTS: usize = 16_384;
const _: () = assert!(Lane::COUNT * Lane::LIMIT <= FERROMPI_REQUESTS * 3 / 4);

impl Transfer {
    /// The rank at the other end.
    pub(crate) fn peer(&self) -> Rank {
        match *self {
            Self::Outgoing { to, .. } | Self::Piece { to, .. } => to,
            Self::Incoming { from, .. } | Self::Posted { from, .. } => from,
        }
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

/// How a transfer ended.
pub(crate) enum End {
    /// So many bytes were received; 0 for what was sent.
    Done(usize),
    Failed(MpiErrorClass),
}

/// The table of transfers in flight, all within one ferrompi scope.
pub(crate) struct Flight<'s, 'env> {
    scope: &'s Scope<'s, 'env>,
    world: &'env Communicator,
    /// Request `i` is that of row `i`; apart because MPI tests a slice of requests at once.
    requests: Vec<Request<'s>>,
    rows: Vec<Row>,
    in_lane: [usize; Lane::COUNT],
    /// Rows whose peer is lost: kept for their buffers, until their requests end, if ever.
    abandoned: usize,
}

struct Row {
    transfer: Transfer,
    is_abandoned: bool,
}

impl<'s, 'env> Flight<'s, 'env> {
    pub(crate) fn new(scope: &'s Scope<'s, 'env>, world: &'env Communicator) -> Self {
        let in_lane = [0; Lane::COUNT];
        Self { scope, world, requests: Vec::new(), rows: Vec::new(), in_lane, abandoned: 0 }
    }

    /// How many transfers have neither ended nor been abandoned.
    pub(crate) fn open(&self) -> usize {
        self.rows.len() - self.abandoned
    }

    /// Whether MPI holds no request at all, so that its scope can end without waiting.
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
    pub(crate) fn begin(&mut self, mut transfer: Transfer) -> Result<(), (Transfer, Error)> {
        let lane = transfer.lane();
        assert!(self.has_room(lane), "{lane:?}: more than {} in flight", Lane::LIMIT);
        match self.request(&mut transfer) {
            Ok(request) => {
                self.requests.push(request);
                self.rows.push(Row { transfer, is_abandoned: false });
                self.in_lane[lane as usize] += 1;
                Ok(())
            }
            Err(error) => Err((transfer, error)),
        }
    }

    fn request(&self, transfer: &mut Transfer) -> Result<Request<'s>, Error> {
        let peer = i32::try_from(transfer.peer().0).expect("a rank of this job");
        match transfer {
            Transfer::Outgoing { channel, bytes, .. } => {
                // SAFETY: see `lend`; the row keeps the `Vec` and never touches it.
                self.world.isend(self.scope, unsafe { lend(bytes) }, peer, channel.tag())
            }
            Transfer::Piece { piece, .. } => {
                let bytes = piece.as_ref().map_or(&[][..], |piece| &piece[..]);
                // SAFETY: see `lend`; the row keeps its count of the `Arc`, and what is shared is
                // only read.
                self.world.isend(self.scope, unsafe { lend(bytes) }, peer, Channel::Piece.tag())
            }
            Transfer::Incoming { channel, bytes, .. } => {
                // SAFETY: see `lend_mut`; the row keeps the `Vec` and never touches it.
                self.world.irecv(self.scope, unsafe { lend_mut(bytes) }, peer, channel.tag())
            }
            Transfer::Posted { buffer, .. } => {
                let tag = Channel::Piece.tag();
                // SAFETY: see `lend_mut`; the row keeps the `Buffer`, whose bytes nobody else can
                // reach.
                self.world.irecv(self.scope, unsafe { lend_mut(buffer) }, peer, tag)
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
    pub(crate) fn test(&mut self, ended: &mut Vec<(Transfer, End)>) -> Result<(), Error> {
        let mut results = Vec::new();
        let tested = match Request::test_some(&mut self.requests) {
            Ok(done) => {
                results.extend(done.into_iter().map(|(index, status)| (index, end(&status))));
                Ok(())
            }
            Err(error) => {
                let class = class(&error);
                let failed =
                    (0..self.requests.len()).filter(|&at| self.requests[at].is_completed());
                results.extend(failed.map(|index| (index, End::Failed(class))));
                Err(error)
            }
        };
        // From the back, so that the rows that fill the gaps have been looked at already.
        results.sort_unstable_by_key(|&(index, _)| std::cmp::Reverse(index));
        for (index, end) in results {
            self.requests.swap_remove(index);
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

impl Drop for Flight<'_, '_> {
    /// Leaks what MPI still uses: the scope, which outlives this table, waits for the requests.
    fn drop(&mut self) {
        std::mem::forget(std::mem::take(&mut self.rows));
    }
}

fn end(status: &ferrompi::Status) -> End {
    match (status.error, status.count) {
        (Some(class), _) => End::Failed(class),
        (None, count) => End::Done(count.unwrap_or(0)),
    }
}

/// MPI's class of an error; `Other` where it does not come from MPI.
pub(crate) fn class(error: &Error) -> MpiErrorClass {
    match error {
        Error::Mpi { class, .. } => *class,
        _ => MpiErrorClass::Other,
    }
}

/// Stretches a borrow to that of the scope, which is what ferrompi asks of the buffer of a send.
///
/// # Safety
///
/// The bytes must lie on the heap (or be none), and their owner must go, at once and without
/// touching them, into a row of [`Flight`] beside the request. That is enough: ferrompi takes no
/// more than the address out of the slice; moving the owner does not move the heap; a row is
/// dropped only when its request has completed, and leaked where it has not; and the scope ends
/// only when every request has completed.
unsafe fn lend<'s>(bytes: &[u8]) -> &'s [u8] {
    // SAFETY: address and length are those of a live slice; the caller keeps it alive and
    // unwritten.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) }
}

/// Stretches a borrow to that of the scope, which is what ferrompi asks of the buffer of a receive.
///
/// # Safety
///
/// As for [`lend`]; and nobody may read the bytes either until the request has completed.
unsafe fn lend_mut<'s>(bytes: &mut [u8]) -> &'s mut [u8] {
    // SAFETY: address and length are those of a live slice; the caller keeps it alive and leaves it
    // alone.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr(), bytes.len()) }
}
