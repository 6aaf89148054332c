//! What a download role asks for: batches of pieces of holders within the window, hashes, and
//! holders of the tracker.

use super::PeerAction;
use super::download::{Request, pieces_of_range};
use super::holders::Standing;
use super::session::Session;
use crate::message::{Between, Message, RequestNumber, ToTracker};
use crate::schedule::Ahead;
use crate::schedule::request_size::request_size;
use crate::{Instant, Rank};
use content::{EntryIndex, PieceId, Span};

/// With requests under way at fewer holders than this, more are looked for: whoever knows only the
/// seeder makes it a star.
const FEW_HOLDERS: usize = 4;

impl Session {
    /// Asks for as much as the window lets it, and the tracker for holders where none is known.
    pub(super) fn pump(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if self.inspection.is_some() {
            return;
        }
        self.release_twins(actions);
        self.tell_need(actions);
        self.salvage_more(now, actions);
        // Hashes are recorded at the destination: they, too, wait until that is known to have room.
        if self.admitted && !self.entries.is_halted() {
            self.ask_hashes(now, actions);
            self.ask_pieces(now, actions);
        }
        self.ask_tracker(now, actions);
    }

    fn ask_hashes(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        let (catalogue, holders, picker) = (&self.catalogue, &self.holders, self.pieces.picker());
        let knowing = |(entry, range), before| {
            holders.knowing(pieces_of_range(catalogue, entry, range), before, picker)
        };
        for ((entry, range), to) in self.hashes.ask(now, knowing) {
            let message = Message::Between(Between::AskHashes { entry, range });
            actions.push(PeerAction::Send { to, message });
        }
    }

    fn ask_pieces(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if !self.pieces.picker_mut().take_changed() && !self.limiter.is_limited() {
            return;
        }
        // Where the link is slow messages wait behind pieces.
        let ahead = if self.window.is_short() { Ahead::Yes } else { Ahead::No };
        loop {
            let mut room = self.window.bytes().saturating_sub(self.download.used_bytes);
            let mut paid = self.limiter.available();
            let nothing_used = self.download.used_bytes == 0;
            if room == 0 && !nothing_used {
                return;
            }
            let Some((holder, sharing)) = self.holders.next(self.pieces.picker(), ahead) else {
                return self.pieces.picker_mut().settle();
            };
            let known = self.holders.get(holder).expect("just chosen");
            let window = (self.window.bytes() / self.longest_piece) as usize;
            let backlog = self.holders.backlog_at(known.slot());
            let count = request_size(window, sharing, backlog, self.batch);
            let mut first = true;
            let catalogue = &self.catalogue;
            let at = known.slot();
            let alone = &self.download.alone;
            let joined = |piece: u32| {
                catalogue.travels_with_last(PieceId(piece))
                    && (alone.is_empty()
                        || !alone.contains(&PieceId(piece)) && !alone.contains(&PieceId(piece - 1)))
            };
            let (picked, cut) = self.pieces.picker().choose(at, count, joined, |bundle| {
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
                return;
            }
            self.pieces.ask(&picked);
            self.request(now, holder, picked, actions);
        }
    }

    /// Fetches more for others, where there is nothing else to do.
    pub(super) fn widen(&mut self, now: Instant) {
        let idle = self.download.requests.values().all(|request| request.cancelled);
        if idle && self.pieces.picker().is_any_known() && self.ownership.admit_backup(now) {
            self.pieces.picker_mut().limit(&self.ownership);
        }
    }

    /// Takes back what waits at busy holders and can be had of one that is less busy.
    pub(super) fn retract(&mut self, better: Rank, actions: &mut Vec<PeerAction>) {
        let Some(known) = self.holders.get(better) else { return };
        if known.requests() > 0 || known.standing() != Standing::Good {
            return;
        }
        // What is taken back costs messages, and what others gained comes to be known in rows.
        let less_busy = self.upload.told_at_once() as u32 * 2 / 3;
        let backlog = self.holders.backlog_at(known.slot()).saturating_add(less_busy);
        for &(number, slot) in &self.download.waiting {
            if self.holders.backlog_at(slot) < backlog {
                continue;
            }
            let request = self.download.requests.get_mut(&number).expect("what waits is open");
            if !request.asked.iter().all(|piece| known.has(piece.0, self.pieces.picker())) {
                continue;
            }
            request.retracted = true;
            let to = request.holder;
            self.download.waits_no_more(number);
            let message = Message::Between(Between::Cancel(number));
            actions.push(PeerAction::Send { to, message });
            return;
        }
    }

    fn request(
        &mut self,
        now: Instant,
        to: Rank,
        bundles: Vec<Span>,
        actions: &mut Vec<PeerAction>,
    ) {
        let number = RequestNumber(self.download.next_request);
        self.download.next_request += 1;
        let asked = bundles.iter().flat_map(|bundle| bundle.numbers());
        let asked: Vec<PieceId> = asked.map(PieceId).collect();
        let spans = self.catalogue.join_bundles(bundles);
        let bytes = self.bytes_of(&asked);
        self.limiter.spend(bytes);
        self.download.used_bytes += bytes;
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
        self.download.requests.insert(number, request);
        let slot = self.holders.asked(to);
        self.download.waiting.push((number, slot));
        let gained = self.upload.gains_for(to);
        let message = Message::Between(Between::Request { number, pieces: spans, gained });
        actions.push(PeerAction::Send { to, message });
    }

    /// Asks the tracker where pieces are missing that no known holder can be asked for.
    fn ask_tracker(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        let used_bytes = self.download.used_bytes;
        let starving = !self.pieces.picker().is_empty() || self.hashes.any_needed();
        if !starving
            || self.entries.is_halted()
            || !self.questions.may_ask(now, used_bytes == 0)
            || (used_bytes >= self.window.bytes() / 2 && self.holders.busy_count() >= FEW_HOLDERS)
        {
            return;
        }
        let Some(lacking) = self.pieces.lacking() else { return };
        let question = self.questions.next(now);
        let (first, count) = (EntryIndex(lacking.start), lacking.end - lacking.start);
        self.say(ToTracker::Ask { question, first, count }, actions);
    }
}
