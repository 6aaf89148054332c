//! Pieces that nobody has any more: what the tracker says of them, and what it must know before it
//! can say so.

use crate::message::{PieceSet, RequestNumber, ToTracker};
use crate::peer::PeerAction;
use crate::peer::pieces::Outlook;
use crate::peer::session::Session;
use content::{EntryIndex, HashRange, PieceId};
use std::collections::BTreeSet;

/// A call to settle that was not answered yet.
#[derive(Debug, Clone, Copy)]
pub(in crate::peer) struct Settling {
    number: u32,
    /// Requests before this one were under way when the call came.
    before: RequestNumber,
    /// Questions up to this one were asked before all that is needed was known.
    question: u32,
}

impl Session {
    /// The tracker says that nobody has these pieces. What is on its way, or may be found here,
    /// counts as held.
    pub(in crate::peer) fn on_gone(&mut self, gone: &[PieceSet]) {
        let limit = self.catalogue.piece_count();
        let mut unknown: BTreeSet<(EntryIndex, u32)> = BTreeSet::new();
        for piece in gone.iter().flat_map(|set| set.ranges(limit)).flatten().map(PieceId) {
            let (entry, index) = self.catalogue.locate(piece);
            if !self.pieces.lacks(piece) || self.entries.is_held_back(entry) {
                continue;
            }
            let range = (entry, HashRange::covering(index));
            let awaits_hash = self.pieces.expected(piece).is_none();
            if awaits_hash {
                unknown.insert(range);
            }
            if self.pieces.set_unavailable(piece) == Outlook::Exhausted {
                self.entries.close(entry);
                self.pieces.hashes_mut().forget(entry);
            }
        }
        for (entry, index) in unknown {
            let mut pieces = self.pieces.pieces_of_range(entry, index).map(PieceId);
            if pieces.all(|piece| self.pieces.is_unavailable(piece) || self.pieces.has(piece)) {
                self.pieces.hashes_mut().give_up((entry, index));
            }
        }
    }

    /// The tracker wants to know when all that may yet bring a piece is over.
    pub(in crate::peer) fn on_settle(&mut self, number: u32, actions: &mut Vec<PeerAction>) {
        self.look_at_links(actions);
        self.settling = Some(Settling {
            number,
            before: self.download.next_request(),
            question: self.download.last_question(),
        });
    }

    /// Hashes are needed that no question so far was about.
    pub(in crate::peer) fn unsettle(&mut self) {
        let asked = self.download.last_question();
        if let Some(settling) = &mut self.settling {
            settling.question = asked;
        }
    }

    /// Answers once it is. A request is over when its last piece is written, or will not come.
    pub(in crate::peer) fn settle_when_quiet(&mut self, actions: &mut Vec<PeerAction>) {
        let Some(Settling { number, before, question }) = self.settling else { return };
        if self.download.is_any_open_before(before)
            || !self.is_searched()
            || self.may_yet_search(question)
        {
            return;
        }
        self.settling = None;
        self.tell_news(actions);
        self.say(ToTracker::Settled(number), actions);
    }

    /// Whether pieces may be here that cannot be told from others yet, and somebody knows their
    /// hashes. That nobody does is certain only after an answer of the tracker.
    fn may_yet_search(&self, question: u32) -> bool {
        let mut unknown =
            self.pieces.hashes().needed().filter(|(entry, _)| self.entries.is_candidate(*entry));
        let Some(first) = unknown.next() else { return false };
        let is_known = |(entry, range)| self.download.may_learn(entry, range, &self.pieces);
        self.download.last_answered() <= question || is_known(first) || unknown.any(is_known)
    }
}
