//! What of the wanted entries is found on this rank, before and beside what others send: surveys of
//! the destination, and salvage of single pieces, also from a source that all ranks see.

use super::{MAX_SALVAGES, Progress};
use crate::Instant;
use crate::message::{ReadAgain, ToTracker};
use crate::peer::pieces::{Outlook, Route, SearchPlace};
use crate::peer::session::Session;
use crate::peer::{Fault, PeerAction, Salvaged, Surveyed};
use content::{Bitfield, EntryIndex, FileContent, HashRange, PieceId, ZeroPieces};
use std::ops::Range;

impl Session {
    /// A survey came back.
    pub(in crate::peer) fn on_surveyed(
        &mut self,
        now: Instant,
        entry: EntryIndex,
        found: Surveyed,
        actions: &mut Vec<PeerAction>,
    ) {
        self.entries.surveying -= 1;
        self.entries.survey_more(actions);
        let range = self.catalogue.pieces_of(entry);
        let complete = matches!(found, Surveyed::Complete(_) | Surveyed::Linked);
        let linked = found == Surveyed::Linked;
        let has_twin = self.has_twin(entry);
        if has_twin {
            self.know_as_twin(entry);
        }
        // An earlier run's part may stand beside an older file, or a local copy of the source.
        let candidate = found != Surveyed::Nothing || has_twin;
        let present: Vec<u32> = match found {
            Surveyed::Complete(layer) => {
                layer.into_iter().for_each(|layer| self.pieces.hashes_mut().know(entry, layer));
                range.clone().collect()
            }
            Surveyed::Linked => range.clone().collect(),
            Surveyed::Partial(held) => {
                self.entries.resumed.insert(entry);
                held.iter().map(|piece| range.start + piece).collect()
            }
            Surveyed::Candidate | Surveyed::Nothing => Vec::new(),
        };
        // A link may be looked at twice.
        for piece in present.into_iter().map(PieceId) {
            if self.pieces.has(piece) {
                continue;
            }
            self.pieces.find(piece);
            let bytes = u64::from(self.catalogue.piece_size(piece));
            // What was read from the source before START was put there by this run.
            let is_fresh = !complete && !self.fresh.is_empty() && self.fresh.get(piece.0);
            match linked || is_fresh {
                true => self.counters.bytes_delivered += bytes,
                false => self.counters.bytes_reused += bytes,
            }
            self.gain(now, piece);
        }
        if complete {
            self.news.entry(now, entry.0);
            self.entries.close(entry);
            return;
        }
        if self.look_again(entry) {
            return self.entries.survey_more(actions);
        }
        self.entries.progress.insert(entry, Progress::Fetching { candidate });
        if self.pieces.gather(entry) == Outlook::Complete {
            return self.finish(entry, actions);
        }
        self.want_pieces(entry, range);
    }

    /// Lets pieces of an entry be fetched, or salvaged, where their hash is known; asks for hashes
    /// elsewhere. What is zeros throughout need not be fetched: a new file is a hole.
    pub(in crate::peer) fn want_pieces(&mut self, entry: EntryIndex, range: Range<u32>) {
        let Some(&Progress::Fetching { candidate }) = self.entries.progress.get(&entry) else {
            return;
        };
        if self.entries.is_halted() || self.entries.is_held_back(entry) {
            return;
        }
        let geometry = self.catalogue.geometry(entry);
        let zeros = ZeroPieces::of(geometry);
        let resumed = self.entries.resumed.contains(&entry);
        for piece in self.pieces.unrouted(range) {
            let (_, index) = self.catalogue.locate(piece);
            let known = geometry.is_single_piece()
                || self.pieces.need_hashes(entry, HashRange::covering(index));
            if !known {
                self.unsettle();
            }
            let expected = self.pieces.expected(piece);
            let is_zeros = expected.is_some_and(|hash| zeros.has(index, hash));
            // What this rank serves and lacks at its destination is its own source's.
            let here = candidate || is_zeros || self.upload.serves(piece.0);
            let here = here || self.pieces.is_from_source(piece);
            if self.pieces.is_unavailable(piece) && !(known && here) {
                continue;
            }
            self.pieces.set_route(
                piece,
                match known {
                    false => Route::Hash,
                    true if is_zeros && !resumed => Route::Make,
                    true if here => Route::Search,
                    true => Route::Fetch,
                },
            );
        }
    }

    /// A range of hashes is known now: its pieces can be had.
    pub(in crate::peer) fn on_hashes_known(&mut self, now: Instant, entry: EntryIndex, index: u32) {
        let range = self.pieces.pieces_of_range(entry, index);
        for piece in range.clone().map(PieceId) {
            if self.pieces.has(piece) {
                self.gain(now, piece);
            }
        }
        self.want_pieces(entry, range);
    }

    /// Ranks say that they have these pieces. Those that counted as gone do so no more.
    pub(in crate::peer) fn revive(&mut self, ranges: impl Iterator<Item = Range<u32>>) {
        if !self.pieces.is_any_unavailable() {
            return;
        }
        for piece in ranges.flatten().map(PieceId) {
            if self.pieces.revive(piece) {
                let (entry, _) = self.catalogue.locate(piece);
                self.want_pieces(entry, piece.0..piece.0 + 1);
            }
        }
    }

    /// Begins as many salvages as may run, once writing may begin; what is zeros is there then.
    pub(in crate::peer) fn salvage_more(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if self.admitted {
            for entry in std::mem::take(&mut self.entries.to_finish) {
                self.finish(entry, actions);
            }
            for piece in self.pieces.take_to_make() {
                self.counters.bytes_delivered += self.wrote(now, piece, actions);
            }
        }
        while self.pieces.searching() < MAX_SALVAGES && self.admitted && !self.entries.is_halted() {
            let Some((piece, place)) = self.pieces.next_search() else { return };
            let expected = self.pieces.expected(piece).expect("known before it was queued");
            actions.push(match place {
                SearchPlace::Source => PeerAction::Reread(piece, expected),
                SearchPlace::Destination => PeerAction::Salvage(piece, expected),
            });
        }
    }

    /// Only a lost rank had these pieces of a source that all ranks see: this one reads them, and
    /// what is on its way, or looked for elsewhere, only where that comes to nothing.
    pub(in crate::peer) fn on_read_again(
        &mut self,
        now: Instant,
        orders: Vec<ReadAgain>,
        actions: &mut Vec<PeerAction>,
    ) {
        for ReadAgain { pieces, hashes } in orders {
            let Some(range) = pieces.checked(self.catalogue.piece_count()) else { continue };
            let (entry, index) = self.catalogue.locate(PieceId(range.start));
            let is_one = self.catalogue.locate(PieceId(range.end - 1)).0 == entry;
            if !is_one || !self.entries.may_lack(entry) {
                continue;
            }
            for piece in range.map(PieceId) {
                if !self.pieces.has(piece) && self.pieces.mark_from_source(piece) {
                    self.want_pieces(entry, piece.0..piece.0 + 1);
                }
            }
            let covering = HashRange::covering(index);
            let Some(hashes) = hashes.filter(|range| range.index == covering) else { continue };
            let is_known = self.pieces.need_hashes(entry, covering);
            if !is_known && self.pieces.hashes_mut().learn(entry, hashes.clone()) == Some(true) {
                if self.pieces.gathers(entry) {
                    actions.push(PeerAction::Record(entry, hashes));
                }
                self.on_hashes_known(now, entry, covering);
            }
        }
    }

    /// A salvage came back.
    pub(in crate::peer) fn on_salvaged(
        &mut self,
        now: Instant,
        piece: PieceId,
        result: Result<Salvaged, Fault>,
        actions: &mut Vec<PeerAction>,
    ) {
        match result {
            Ok(Salvaged::Absent) => {
                // Its source changed: others are not to be told that the piece is here.
                if self.upload.serves(piece.0) {
                    let (entry, _) = self.catalogue.locate(piece);
                    let range = self.catalogue.pieces_of(entry);
                    let is_first = self.upload.serves_all(range);
                    let mut pieces = Bitfield::new(self.catalogue.piece_count());
                    pieces.insert(piece.0);
                    if self.stop_serving(now, pieces, actions) && is_first {
                        actions.push(self.no_longer_offered(entry));
                    }
                }
                self.pieces.miss(piece);
            }
            Ok(found) => {
                let bytes = self.wrote(now, piece, actions);
                match found {
                    Salvaged::Reused => self.counters.bytes_reused += bytes,
                    _ => self.counters.bytes_delivered += bytes,
                }
            }
            Err(fault) => {
                self.pieces.fail(piece);
                self.on_fault(self.catalogue.locate(piece).0, fault, actions);
            }
        }
    }

    /// Once everything is surveyed, tells how much must be written, where the tracker waits for
    /// that.
    pub(in crate::peer) fn tell_need(&mut self, actions: &mut Vec<PeerAction>) {
        let surveyed = self.entries.surveying == 0 && self.entries.to_survey.is_empty();
        if self.admitted
            || self.entries.told_need.is_some()
            || !surveyed
            || self.entries.is_halted()
        {
            return;
        }
        let missing = |entry: EntryIndex| {
            let pieces = self.pieces.missing_of(self.catalogue.pieces_of(entry));
            pieces.map(|piece| u64::from(self.catalogue.piece_size(piece))).sum::<u64>()
        };
        let data = |entry| self.catalogue.entry(entry).file().map_or(0, FileContent::data_bytes);
        // Which of the pieces are zeros is not known yet; how many bytes of them there are, is.
        let fetching = self.pieces.gathering();
        let need_bytes = fetching.map(|entry| missing(entry).min(data(entry))).sum();
        self.entries.told_need = Some(need_bytes);
        self.say(ToTracker::Surveyed { need_bytes }, actions);
    }
}
