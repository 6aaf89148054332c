//! The ledger of pieces that this rank sent: each piece that it held at START goes to one rank
//! before any goes twice, and a piece leaves this rank's rack once. It tells nobody anything.
//!
//! A piece that went to another rank is *early* for whoever asks for it without knowing that: the
//! asker will find it there, and what was sent to nobody goes out first. To a remote rank goes what
//! this rank held at START, or owns in its rack, and sent to nobody; all else leaves the rack
//! through another rank, and is given back to each asker, though not for ever.

use super::topology::Locality;
use crate::Rank;
use content::Bitfield;
use std::collections::BTreeMap;

/// A piece that a remote rank has sooner elsewhere is given back to it so often: the first time it
/// may have been told of it twice, by the tracker, too.
pub(crate) const MAX_RETURNS: u8 = 2;

/// Pieces remembered as given back, a rank and a piece each; beyond that each asker is served.
const MAX_RETURNED: usize = 1 << 16;

/// The mark of a piece that is to go out once and did not yet.
const UNSENT: u32 = u32::MAX;

/// The mark of a piece that others send.
const OF_OTHERS: u32 = u32::MAX - 1;

/// The pieces that are to go out once.
#[derive(Debug, Default)]
pub(crate) struct SentOnce {
    /// Pieces held at START; empty where nothing is kept count of.
    held: Bitfield,
    /// The number of those that did not go out yet.
    unsent_held: u32,
    /// The number of all pieces that are to go out once and did not yet.
    unsent: u32,
    /// Pieces that went out, in that order.
    sent: Vec<u32>,
    /// For each piece, its place among those, or a mark.
    sent_at: Vec<u32>,
    /// The times that a piece was given back to a remote rank.
    returned: BTreeMap<(Rank, u32), u8>,
}

impl SentOnce {
    /// The ledger of a rank that holds these pieces at START. Without any, and without other racks,
    /// there is nothing to keep count of.
    pub(crate) fn new(held: &Bitfield, has_racks: bool) -> Self {
        let unsent = held.count();
        if unsent == 0 && !has_racks {
            return Self::default();
        }
        let mark = |piece| if held.get(piece) { UNSENT } else { OF_OTHERS };
        Self {
            sent_at: (0..held.len()).map(mark).collect(),
            unsent,
            unsent_held: unsent,
            held: held.clone(),
            ..Self::default()
        }
    }

    /// Keeps count from now on, of `pieces` pieces, for there are other racks.
    pub(crate) fn begin_racks(&mut self, pieces: u32) {
        if self.held.len() != pieces {
            self.held = Bitfield::new(pieces);
        }
        self.sent_at.resize(pieces as usize, OF_OTHERS);
    }

    /// This rank holds one more piece, and owns it in its rack.
    pub(crate) fn own(&mut self, piece: u32) {
        if let Some(at) = self.sent_at.get_mut(piece as usize)
            && *at == OF_OTHERS
        {
            *at = UNSENT;
            self.unsent += 1;
        }
    }

    /// Pieces held at START.
    pub(crate) fn held(&self) -> &Bitfield {
        &self.held
    }

    /// Pieces that went out, in that order.
    pub(crate) fn sent(&self) -> &[u32] {
        &self.sent
    }

    /// Whether each piece that was to go out did.
    pub(crate) fn is_over(&self) -> bool {
        self.unsent == 0
    }

    /// Whether a piece held at START did not go out yet.
    pub(crate) fn spreads_first(&self) -> bool {
        self.unsent_held > 0
    }

    /// Whether it counts that a piece goes so far, or went to others: within a host it costs
    /// nothing, and within a rack only what was held at START is kept to be sent once.
    fn counts(&self, locality: Locality, piece: u32) -> bool {
        match locality {
            Locality::Host => false,
            Locality::Rack => self.held.get(piece),
            Locality::Remote => true,
        }
    }

    /// Whether a rank at a distance, which was told of the first `told` pieces sent, asks too early
    /// for a piece.
    pub(crate) fn is_early(&self, asker: Rank, locality: Locality, told: u32, piece: u32) -> bool {
        if locality == Locality::Remote {
            return self.leaves_elsewhere(asker, piece);
        }
        if self.unsent == 0 || self.sent_at.is_empty() || !self.counts(locality, piece) {
            return false;
        }
        let at = self.sent_at[piece as usize];
        (at as usize) < self.sent.len() && at >= told
    }

    /// Whether a piece leaves this rack, or has left it, otherwise than from here to a remote rank
    /// that asks: it went to another rank, which hands it on, or another rank owns it. An asker
    /// that was given it back often enough has nobody else to ask.
    fn leaves_elsewhere(&self, asker: Rank, piece: u32) -> bool {
        let returned = self.returned.get(&(asker, piece)).copied();
        let again = match returned {
            Some(times) => times < MAX_RETURNS,
            None => self.returned.len() < MAX_RETURNED,
        };
        again && self.sent_at.get(piece as usize).is_some_and(|&at| at != UNSENT)
    }

    /// A piece is given back to a remote rank.
    pub(crate) fn give_back(&mut self, rank: Rank, piece: u32) {
        *self.returned.entry((rank, piece)).or_default() += 1;
    }

    /// A piece goes out to a rank at a distance.
    pub(crate) fn send(&mut self, rank: Rank, locality: Locality, piece: u32) {
        self.returned.remove(&(rank, piece));
        if self.unsent > 0 && self.sent_at[piece as usize] == UNSENT && self.counts(locality, piece)
        {
            self.unsent_held -= u32::from(self.held.get(piece));
            self.sent_at[piece as usize] = self.sent.len() as u32;
            self.sent.push(piece);
            self.unsent -= 1;
        }
    }

    /// Forgets a rank that is gone.
    pub(crate) fn forget(&mut self, rank: Rank) {
        self.returned.retain(|(to, _), _| *to != rank);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MATE: Rank = Rank(2);
    const FAR: Rank = Rank(5);

    fn holding(pieces: std::ops::Range<u32>, has_racks: bool) -> SentOnce {
        let mut held = Bitfield::new(20);
        held.insert_range(pieces);
        SentOnce::new(&held, has_racks)
    }

    #[test]
    fn in_a_rack_a_piece_is_early_until_the_asker_knows_who_has_it() {
        let mut ledger = holding(0..2, false);
        ledger.send(MATE, Locality::Rack, 1);
        assert_eq!(ledger.sent(), [1]);
        assert!(ledger.is_early(Rank(3), Locality::Rack, 0, 1));
        assert!(!ledger.is_early(Rank(3), Locality::Rack, 1, 1), "it was told of one piece sent");
        assert!(!ledger.is_early(Rank(3), Locality::Rack, 0, 0), "nobody has it");
        ledger.send(MATE, Locality::Rack, 0);
        assert!(ledger.is_over() && !ledger.is_early(Rank(3), Locality::Rack, 0, 1));
    }

    #[test]
    fn a_piece_that_goes_to_a_mate_on_the_host_was_sent_to_nobody() {
        let mut ledger = holding(0..2, false);
        ledger.send(MATE, Locality::Host, 0);
        assert!(ledger.sent().is_empty() && ledger.spreads_first());
        assert!(!ledger.is_early(MATE, Locality::Host, 0, 0));
    }

    #[test]
    fn a_remote_rank_gets_what_is_owned_once_and_is_given_the_rest_back_twice() {
        let mut ledger = holding(0..0, true);
        ledger.own(7);
        assert!(!ledger.is_early(FAR, Locality::Remote, 0, 7));
        ledger.send(FAR, Locality::Remote, 7);
        for piece in [7, 8] {
            for _ in 0..MAX_RETURNS {
                assert!(ledger.is_early(Rank(6), Locality::Remote, 0, piece));
                ledger.give_back(Rank(6), piece);
            }
            assert!(!ledger.is_early(Rank(6), Locality::Remote, 0, piece));
        }
        ledger.forget(Rank(6));
        assert!(ledger.is_early(Rank(6), Locality::Remote, 0, 7), "another may have its number");
    }

    #[test]
    fn a_rank_that_holds_nothing_in_a_job_of_one_rack_counts_nothing() {
        let mut ledger = holding(0..0, false);
        ledger.own(7);
        ledger.send(MATE, Locality::Rack, 7);
        assert!(ledger.is_over() && ledger.sent().is_empty());
        ledger.begin_racks(20);
        ledger.own(7);
        assert!(!ledger.is_over(), "racks were learned");
    }
}
