//! The transport between the threads of one process, for tests and for trying a swarm without MPI.
//!
//! It behaves like MPI where that matters: order is kept per pair and channel, a piece waits for
//! its receive, and a sender learns that its piece has left only when a receive has met it. A
//! dropped endpoint is a rank that died. It never copies a piece before that, and never decides
//! anything.

use crate::buffer::{Buffer, SharedBuffer};
use crate::transport::{Arrival, Ticket, Transport};
use std::collections::{BTreeSet, VecDeque};
use std::sync::mpsc::{Receiver, Sender, channel};
use swarm::{Channel, MAX_MESSAGE_LEN, Rank};

/// Makes the endpoints of a job of `size` ranks, in the order of the ranks.
///
/// # Panics
///
/// Panics where `size` is 0.
pub fn network(size: u32) -> Vec<Memory> {
    assert!(size > 0, "a job has at least one rank");
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..size).map(|_| channel()).unzip();
    let endpoint = |(rank, inbox)| Memory {
        rank: Rank(rank),
        peers: senders.clone(),
        inbox,
        links: (0..size).map(|_| Link::default()).collect(),
        arrivals: Vec::new(),
    };
    (0..size).zip(receivers).map(endpoint).collect()
}

/// One rank's end of the transport; belongs to one thread at a time. Dropping it is this rank's
/// death: the others hear [`Arrival::Lost`] once, after everything that it sent.
pub struct Memory {
    rank: Rank,
    /// One a rank, this one's own included, so that a rank is an index.
    peers: Vec<Sender<Wire>>,
    inbox: Receiver<Wire>,
    links: Vec<Link>,
    /// What ended between two polls.
    arrivals: Vec<Arrival>,
}

/// What is open between this rank and another.
#[derive(Default)]
struct Link {
    lost: bool,
    /// Pieces that came before their receives.
    waiting: VecDeque<(Ticket, Option<SharedBuffer>)>,
    /// Receives that came before their pieces.
    posted: VecDeque<(Ticket, Buffer)>,
    /// Pieces that no receive has met yet.
    sending: BTreeSet<Ticket>,
}

/// What endpoints say to each other.
enum Wire {
    Message {
        from: Rank,
        channel: Channel,
        bytes: Vec<u8>,
    },
    Piece {
        from: Rank,
        ticket: Ticket,
        piece: Option<SharedBuffer>,
    },
    /// A receive of `from` has met the piece that this rank sent under `ticket`.
    Met {
        from: Rank,
        ticket: Ticket,
    },
    Gone {
        from: Rank,
    },
}

impl Transport for Memory {
    fn rank(&self) -> Rank {
        self.rank
    }

    fn size(&self) -> u32 {
        u32::try_from(self.links.len()).expect("made from a u32")
    }

    fn send(&mut self, to: Rank, channel: Channel, bytes: Vec<u8>) {
        assert!(channel != Channel::Piece, "pieces have their own call");
        assert!(bytes.len() <= MAX_MESSAGE_LEN, "{} bytes on {channel}", bytes.len());
        self.tell(to, Wire::Message { from: self.rank, channel, bytes });
    }

    fn send_piece(&mut self, to: Rank, ticket: Ticket, piece: Option<SharedBuffer>) {
        if self.links[to.index()].lost {
            self.arrivals.push(Arrival::PieceSent { ticket });
            return;
        }
        let is_new = self.links[to.index()].sending.insert(ticket);
        assert!(is_new, "{ticket:?} is in flight already");
        self.tell(to, Wire::Piece { from: self.rank, ticket, piece });
    }

    fn receive_piece(&mut self, from: Rank, ticket: Ticket, buffer: Buffer) {
        assert!(from != self.rank, "a rank never sends to itself");
        let link = &mut self.links[from.index()];
        if link.lost {
            return;
        }
        link.posted.push_back((ticket, buffer));
        self.meet(from);
    }

    fn poll(&mut self, arrivals: &mut Vec<Arrival>) {
        while let Ok(wire) = self.inbox.try_recv() {
            self.take(wire);
        }
        arrivals.append(&mut self.arrivals);
    }

    fn is_drained(&self) -> bool {
        let is_open = |link: &Link| !(link.posted.is_empty() && link.sending.is_empty());
        self.arrivals.is_empty() && !self.links.iter().any(is_open)
    }
}

impl Memory {
    fn tell(&self, to: Rank, wire: Wire) {
        assert!(to != self.rank, "a rank never sends to itself");
        // It fails only where the other end is gone, and then its `Gone` is on the way here.
        let _ = self.peers[to.index()].send(wire);
    }

    fn take(&mut self, wire: Wire) {
        match wire {
            Wire::Message { from, channel, bytes } => {
                self.arrivals.push(Arrival::Message { from, channel, bytes });
            }
            Wire::Piece { from, ticket, piece } => {
                self.links[from.index()].waiting.push_back((ticket, piece));
                self.meet(from);
            }
            Wire::Met { from, ticket } => {
                let was_open = self.links[from.index()].sending.remove(&ticket);
                assert!(was_open, "{ticket:?} was met twice");
                self.arrivals.push(Arrival::PieceSent { ticket });
            }
            Wire::Gone { from } => self.lose(from),
        }
    }

    /// Joins the pieces of a rank with the receives posted for them, in order.
    fn meet(&mut self, from: Rank) {
        let link = &mut self.links[from.index()];
        while !link.waiting.is_empty() && !link.posted.is_empty() {
            let (sent, piece) = link.waiting.pop_front().expect("just seen");
            let (ticket, mut buffer) = link.posted.pop_front().expect("just seen");
            let bytes = piece.as_ref().map_or(&[][..], |piece| &piece[..]);
            assert!(bytes.len() <= buffer.len(), "{} into {}", bytes.len(), buffer.len());
            buffer[..bytes.len()].copy_from_slice(bytes);
            buffer.truncate(bytes.len());
            self.arrivals.push(Arrival::PieceReceived { ticket, buffer });
            let _ = self.peers[from.index()].send(Wire::Met { from: self.rank, ticket: sent });
        }
    }

    fn lose(&mut self, rank: Rank) {
        let link = std::mem::take(&mut self.links[rank.index()]);
        self.links[rank.index()].lost = true;
        let ended = link.sending.into_iter().map(|ticket| Arrival::PieceSent { ticket });
        self.arrivals.extend(ended);
        self.arrivals.push(Arrival::Lost { rank });
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for peer in &self.peers {
            let _ = peer.send(Wire::Gone { from: self.rank });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Pool;
    use std::sync::Arc;

    fn poll(endpoint: &mut Memory) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        endpoint.poll(&mut arrivals);
        arrivals
    }

    fn conforms(size: u32) {
        let ranks = network(size).into_iter().map(|mut endpoint| {
            std::thread::spawn(move || {
                let result = crate::conformance::run(&mut endpoint);
                // Kept until all have ended: its end would be this rank's death to the others.
                (endpoint, result)
            })
        });
        let ranks: Vec<_> = ranks.collect();
        let ended: Vec<_> = ranks.into_iter().map(|rank| rank.join().unwrap()).collect();
        for (endpoint, result) in ended {
            assert_eq!(result, Ok(()), "rank {} of {size}", endpoint.rank());
        }
    }

    #[test]
    fn two_ranks_conform() {
        conforms(2);
    }

    #[test]
    fn three_ranks_conform() {
        conforms(3);
    }

    #[test]
    fn eight_ranks_conform() {
        conforms(8);
    }

    #[test]
    fn a_piece_has_left_only_when_a_receive_has_met_it() {
        let [mut a, mut b] = network(2).try_into().ok().unwrap();
        let pool = Pool::default();
        let piece = Arc::new(pool.take(100));
        a.send_piece(Rank(1), Ticket(7), Some(piece.clone()));
        assert!(poll(&mut b).is_empty());
        assert!(poll(&mut a).is_empty() && !a.is_drained());
        b.receive_piece(Rank(0), Ticket(9), pool.take(200));
        let got = poll(&mut b);
        assert!(matches!(&got[..], [Arrival::PieceReceived { ticket: Ticket(9), buffer }]
            if buffer.len() == 100));
        assert!(matches!(poll(&mut a)[..], [Arrival::PieceSent { ticket: Ticket(7) }]));
        assert!(a.is_drained() && b.is_drained() && Arc::strong_count(&piece) == 1);
    }

    #[test]
    fn a_dropped_endpoint_is_lost_once_after_what_it_had_sent() {
        let [mut a, mut b, mut c] = network(3).try_into().ok().unwrap();
        let pool = Pool::default();
        a.receive_piece(Rank(1), Ticket(1), pool.take(10));
        a.send_piece(Rank(1), Ticket(2), Some(Arc::new(pool.take(10))));
        b.send(Rank(0), Channel::Update, vec![1]);
        drop(b);
        let heard = poll(&mut a);
        assert!(matches!(
            &heard[..],
            [
                Arrival::Message { from: Rank(1), .. },
                Arrival::PieceSent { ticket: Ticket(2) },
                Arrival::Lost { rank: Rank(1) }
            ]
        ));
        assert!(matches!(poll(&mut c)[..], [Arrival::Lost { rank: Rank(1) }]));
        a.send(Rank(1), Channel::Ack, vec![]);
        a.receive_piece(Rank(1), Ticket(3), pool.take(10));
        a.send_piece(Rank(1), Ticket(4), None);
        assert!(matches!(poll(&mut a)[..], [Arrival::PieceSent { ticket: Ticket(4) }]));
        assert!(a.is_drained() && poll(&mut a).is_empty());
    }

    #[test]
    #[should_panic(expected = "a rank never sends to itself")]
    fn a_message_to_oneself_is_a_bug() {
        network(1)[0].send(Rank(0), Channel::Init, vec![]);
    }

    #[test]
    #[should_panic(expected = "pieces have their own call")]
    fn a_message_on_the_channel_of_the_pieces_is_a_bug() {
        network(2)[0].send(Rank(1), Channel::Piece, vec![]);
    }

    #[test]
    #[should_panic(expected = "65537 bytes")]
    fn a_message_that_is_too_long_is_a_bug() {
        network(2)[0].send(Rank(1), Channel::Init, vec![0; MAX_MESSAGE_LEN + 1]);
    }
}
