//! What a download role asks for: batches of pieces of holders within the window, hashes, and
//! holders of the tracker.

use super::holders::Standing;
use super::{Download, Request};
use crate::message::{Between, Message, RequestNumber, ToTracker};
use crate::peer::PeerAction;
use crate::peer::pieces::Pieces;
use crate::schedule::Ahead;
use crate::schedule::request_size::request_size;
use crate::{Instant, Rank};
use content::{EntryIndex, PieceId, Span};

/// With requests under way at fewer holders than this, more are looked for: whoever knows only the
/// seeder makes it a star.
const FEW_HOLDERS: usize = 4;

/// A request that is to be sent.
#[derive(Debug)]
pub(in crate::peer) struct Order {
    pub(in crate::peer) to: Rank,
    pub(in crate::peer) number: RequestNumber,
    pub(in crate::peer) pieces: Vec<Span>,
}

impl Download {
    /// Asks for the hashes that are needed.
    pub(in crate::peer) fn ask_hashes(
        &mut self,
        now: Instant,
        pieces: &mut Pieces,
        actions: &mut Vec<PeerAction>,
    ) {
        let holders = &self.holders;
        let knowing = |pieces, before, picker: &_| holders.knowing(pieces, before, picker);
        for ((entry, range), to) in pieces.ask_hashes(now, knowing) {
            let message = Message::Between(Between::AskHashes { entry, range });
            actions.push(PeerAction::Send { to, message });
        }
    }

    /// Asks for as many pieces as the window lets it.
    pub(in crate::peer) fn ask_pieces(&mut self, now: Instant, ledger: &mut Pieces) -> Vec<Order> {
        let mut orders = Vec::new();
        if !ledger.picker_mut().take_changed() && !self.limiter.is_limited() {
            return orders;
        }
        // Where the link is slow messages wait behind pieces.
        let ahead = if self.window.is_short() { Ahead::Yes } else { Ahead::No };
        loop {
            let mut room = self.window.bytes().saturating_sub(self.used_bytes);
            let mut paid = self.limiter.available();
            let nothing_used = self.used_bytes == 0;
            if room == 0 && !nothing_used {
                return orders;
            }
            let Some((holder, sharing)) = self.holders.next(ledger.picker(), ahead) else {
                ledger.picker_mut().settle();
                return orders;
            };
            let known = self.holders.get(holder).expect("just chosen");
            let window = (self.window.bytes() / self.longest_piece) as usize;
            let backlog = self.holders.backlog_at(known.slot());
            let count = request_size(window, sharing, backlog, self.batch);
            let mut first = true;
            let catalogue = &self.catalogue;
            let at = known.slot();
            let alone = &self.alone;
            let joined = |piece: u32| {
                catalogue.travels_with_last(PieceId(piece))
                    && (alone.is_empty()
                        || !alone.contains(&PieceId(piece)) && !alone.contains(&PieceId(piece - 1)))
            };
            let (picked, cut) = ledger.picker().choose(at, count, joined, |bundle| {
                let bytes = catalogue.bundle_size(bundle);
                // A window smaller than a piece still takes one.
                let fits = bytes <= paid && (bytes <= room || (nothing_used && first));
                first = false;
                room = room.saturating_sub(bytes);
                paid = paid.saturating_sub(bytes);
                fits
            });
            if picked.is_empty() || (cut && !nothing_used) {
                // Part of a batch would make many small requests: wait for more room.
                return orders;
            }
            ledger.ask(&picked);
            orders.push(self.request(now, holder, picked));
        }
    }

    /// Fetches more for others, where there is nothing else to do.
    pub(in crate::peer) fn widen(&mut self, now: Instant, ledger: &mut Pieces) {
        let idle = self.requests.values().all(|request| request.cancelled);
        if idle && ledger.picker().is_any_known() && self.ownership.admit_backup(now) {
            ledger.picker_mut().limit(&self.ownership);
        }
    }

    /// Takes back what waits at busy holders and can be had of one that has `less_busy` pieces
    /// fewer to send.
    pub(in crate::peer) fn retract(
        &mut self,
        better: Rank,
        less_busy: u32,
        ledger: &Pieces,
        actions: &mut Vec<PeerAction>,
    ) {
        let Some(known) = self.holders.get(better) else { return };
        if known.requests() > 0 || known.standing() != Standing::Good {
            return;
        }
        let backlog = self.holders.backlog_at(known.slot()).saturating_add(less_busy);
        for &(number, slot) in &self.waiting {
            if self.holders.backlog_at(slot) < backlog {
                continue;
            }
            let request = self.requests.get_mut(&number).expect("what waits is open");
            if !request.asked.iter().all(|piece| known.has(piece.0, ledger.picker())) {
                continue;
            }
            request.retracted = true;
            let to = request.holder;
            self.waits_no_more(number);
            let message = Message::Between(Between::Cancel(number));
            actions.push(PeerAction::Send { to, message });
            return;
        }
    }

    fn request(&mut self, now: Instant, to: Rank, bundles: Vec<Span>) -> Order {
        let number = RequestNumber(self.next_request);
        self.next_request += 1;
        let asked = bundles.iter().flat_map(|bundle| bundle.numbers());
        let asked: Vec<PieceId> = asked.map(PieceId).collect();
        let spans = self.catalogue.join_bundles(bundles);
        let bytes = self.bytes_of(&asked);
        self.limiter.spend(bytes);
        self.used_bytes += bytes;
        let request = Request {
            holder: to,
            asked,
            superseded: Vec::new(),
            acknowledged: false,
            cancelled: false,
            retracted: false,
            open: 0,
            progress: now,
        };
        self.requests.insert(number, request);
        let slot = self.holders.asked(to);
        self.waiting.push((number, slot));
        Order { to, number, pieces: spans }
    }

    /// The question to the tracker, where pieces are missing that no known holder can be asked for,
    /// and it is time to ask.
    pub(in crate::peer) fn ask_tracker(
        &mut self,
        now: Instant,
        ledger: &Pieces,
    ) -> Option<ToTracker> {
        let used_bytes = self.used_bytes;
        let starving = !ledger.picker().is_empty() || ledger.hashes().any_needed();
        if !starving
            || !self.questions.may_ask(now, used_bytes == 0)
            || (used_bytes >= self.window.bytes() / 2 && self.holders.busy_count() >= FEW_HOLDERS)
        {
            return None;
        }
        let lacking = ledger.lacking()?;
        let question = self.questions.next(now);
        let (first, count) = (EntryIndex(lacking.start), lacking.end - lacking.start);
        Some(ToTracker::Ask { question, first, count })
    }
}
