//! Keeps the control messages of each rank and channel in order while MPI receives them in any.
//!
//! MPI announces messages of one sender and tag in order, and each is received by its own request;
//! a short one may be complete before a long one that was sent earlier. It never holds back one
//! rank's messages for another's.

use std::collections::{BTreeMap, VecDeque};
use swarm::{Channel, Rank};

/// The messages that are announced and not yet handed out.
#[derive(Default)]
pub(crate) struct Inbox {
    queues: BTreeMap<(Rank, Channel), VecDeque<(u64, State)>>,
    next_number: u64,
}

enum State {
    Coming,
    Here(Vec<u8>),
    /// It is not to be handed out; those behind it need not wait for it.
    Void,
}

impl Inbox {
    /// Takes note of a message, and numbers it.
    pub(crate) fn announce(&mut self, from: Rank, channel: Channel) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.queues.entry((from, channel)).or_default().push_back((number, State::Coming));
        number
    }

    /// Takes a message whose receive has ended, none where it is no good, and hands out what is now
    /// in order. Knows nothing of messages of a rank that was forgotten.
    pub(crate) fn fulfil(
        &mut self,
        (from, channel): (Rank, Channel),
        number: u64,
        bytes: Option<Vec<u8>>,
        mut hand_out: impl FnMut(Vec<u8>),
    ) {
        let Some(queue) = self.queues.get_mut(&(from, channel)) else { return };
        let Ok(at) = queue.binary_search_by_key(&number, |&(number, _)| number) else { return };
        queue[at].1 = bytes.map_or(State::Void, State::Here);
        while let Some((number, state)) = queue.pop_front() {
            match state {
                State::Here(bytes) => hand_out(bytes),
                State::Void => {}
                State::Coming => {
                    queue.push_front((number, State::Coming));
                    return;
                }
            }
        }
        self.queues.remove(&(from, channel));
    }

    /// Drops whatever a lost rank had announced.
    pub(crate) fn forget(&mut self, rank: Rank) {
        for channel in Channel::CONTROL {
            self.queues.remove(&(rank, channel));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (Rank, Channel) = (Rank(1), Channel::Ack);

    fn fulfil(inbox: &mut Inbox, number: u64, bytes: Option<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        inbox.fulfil(KEY, number, bytes, |bytes| out.push(bytes));
        out
    }

    #[test]
    fn a_message_waits_for_those_announced_before_it() {
        let mut inbox = Inbox::default();
        let numbers: Vec<u64> = (0..3).map(|_| inbox.announce(KEY.0, KEY.1)).collect();
        assert!(fulfil(&mut inbox, numbers[2], Some(vec![3])).is_empty());
        assert!(fulfil(&mut inbox, numbers[1], None).is_empty());
        assert_eq!(fulfil(&mut inbox, numbers[0], Some(vec![1])), [[1], [3]]);
        assert!(inbox.queues.is_empty());
    }

    #[test]
    fn a_message_waits_for_no_other_rank() {
        let mut inbox = Inbox::default();
        inbox.announce(Rank(2), KEY.1);
        let number = inbox.announce(KEY.0, KEY.1);
        assert_eq!(fulfil(&mut inbox, number, Some(vec![1])), [[1]]);
    }

    #[test]
    fn a_forgotten_rank_says_nothing_more() {
        let mut inbox = Inbox::default();
        let number = inbox.announce(KEY.0, KEY.1);
        inbox.forget(KEY.0);
        assert!(fulfil(&mut inbox, number, Some(vec![1])).is_empty());
    }
}
