//! The ledger of pieces: every piece is in exactly one state, as far as this rank's own destination
//! is concerned.
//!
//! Each transition is a method, and says what follows for the entry of the piece. The picker is an
//! index of the pieces that may be asked for, and two queues list those that may be had on this
//! rank; the transitions alone feed them. The ledger asks nobody and writes nothing.

mod hashes;
mod invariants;
mod state;

pub(super) use hashes::Hashes;
pub(super) use state::{LateClaim, Outlook, Route, SearchPlace};

use crate::schedule::Picker;
use crate::{Instant, Rank};
use content::{Catalogue, EntryIndex, Hash, HashRange, PieceId, Span, ZeroPieces};
use hashes::RangeOf;
use state::{State, Tally};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// All pieces of the catalogue, each in its state.
#[derive(Debug)]
pub(super) struct Pieces {
    catalogue: Arc<Catalogue>,
    states: Vec<State>,
    /// The pieces that are [`State::Wanted`], for the choice among them; and who holds which.
    picker: Picker,
    /// The hashes that pieces must have, and those that are still to be learned.
    hashes: Hashes,
    /// The entries that gather their pieces.
    gathering: BTreeMap<EntryIndex, Tally>,
    /// Pieces to make and to look for, in order. A piece that is no longer [`State::Local`] is
    /// skipped when its turn comes.
    to_make: Vec<PieceId>,
    to_search: VecDeque<PieceId>,
    /// The number of pieces that are [`State::Searching`].
    searching: usize,
    /// The number of pieces that are [`State::Unavailable`].
    unavailable: usize,
    /// A mark beside the state: pieces to look for in the source that all ranks see.
    from_source: BTreeSet<PieceId>,
    /// Whether nothing more is written on this rank.
    is_halted: bool,
}

/// Questions.
impl Pieces {
    /// A ledger in which every piece is idle, of the rank `own` among `ranks`. Ranks begin at
    /// places spread evenly over the pieces.
    pub(super) fn new(
        catalogue: Arc<Catalogue>,
        mut hashes: Hashes,
        own: Rank,
        ranks: u32,
    ) -> Self {
        let count = catalogue.piece_count();
        let cursor = (u64::from(own.0) * u64::from(count) / u64::from(ranks.max(1))) as u32;
        if count > 0 {
            let (entry, index) = catalogue.locate(PieceId(cursor));
            hashes.begin_at((entry, HashRange::covering(index)));
        }
        Self {
            catalogue,
            states: vec![State::Idle; count as usize],
            picker: Picker::new(count, cursor, u64::from(own.0)),
            hashes,
            gathering: BTreeMap::new(),
            to_make: Vec::new(),
            to_search: VecDeque::new(),
            searching: 0,
            unavailable: 0,
            from_source: BTreeSet::new(),
            is_halted: false,
        }
    }

    fn state(&self, piece: PieceId) -> State {
        self.states[piece.0 as usize]
    }

    /// The index of the pieces that may be asked for.
    pub(super) fn picker(&self) -> &Picker {
        &self.picker
    }

    /// The same, to tell it of holders. Pieces enter and leave it by transitions alone.
    pub(super) fn picker_mut(&mut self) -> &mut Picker {
        &mut self.picker
    }

    /// The hashes that pieces must have.
    pub(super) fn hashes(&self) -> &Hashes {
        &self.hashes
    }

    /// The same, to learn some.
    pub(super) fn hashes_mut(&mut self) -> &mut Hashes {
        &mut self.hashes
    }

    /// The hash that a piece must have, if it is known.
    pub(super) fn expected(&self, piece: PieceId) -> Option<Hash> {
        self.hashes.expected(&self.catalogue, piece)
    }

    /// Whether a piece of a file that has such is zeros throughout.
    pub(super) fn is_zeros(&self, piece: PieceId) -> bool {
        let (entry, index) = self.catalogue.locate(piece);
        let content = self.catalogue.entry(entry).file().expect("only files have pieces");
        let has = |hash| ZeroPieces::of(content.geometry).has(index, hash);
        content.zero_bytes > 0 && self.expected(piece).is_some_and(has)
    }

    /// A range of an entry's hashes is needed. Says whether it is known.
    pub(super) fn need_hashes(&mut self, entry: EntryIndex, range: u32) -> bool {
        self.hashes.need(&self.catalogue, entry, range)
    }

    /// The pieces whose hashes a range has.
    pub(super) fn pieces_of_range(&self, entry: EntryIndex, range: u32) -> Range<u32> {
        pieces_of_range(&self.catalogue, entry, range)
    }

    /// Asks for as many ranges of hashes as may be asked for now: `knowing` gives a rank that knows
    /// those of some pieces, preferably another one than was asked before. Gives the questions, and
    /// whom to ask.
    pub(super) fn ask_hashes(
        &mut self,
        now: Instant,
        knowing: impl Fn(Range<u32>, Option<Rank>, &Picker) -> Option<Rank>,
    ) -> Vec<(RangeOf, Rank)> {
        let (catalogue, picker) = (&self.catalogue, &self.picker);
        self.hashes.ask(now, |(entry, range), before| {
            knowing(pieces_of_range(catalogue, entry, range), before, picker)
        })
    }

    /// Whether a piece is written at the destination.
    pub(super) fn has(&self, piece: PieceId) -> bool {
        self.state(piece) == State::Have
    }

    /// Whether a piece is unavailable.
    pub(super) fn is_unavailable(&self, piece: PieceId) -> bool {
        self.state(piece) == State::Unavailable
    }

    /// Whether any piece is unavailable.
    pub(super) fn is_any_unavailable(&self) -> bool {
        self.unavailable > 0
    }

    /// Whether a piece is marked to be looked for in the source that all ranks see.
    pub(super) fn is_from_source(&self, piece: PieceId) -> bool {
        self.from_source.contains(&piece)
    }

    /// Whether a piece that comes now is of use.
    pub(super) fn lacks(&self, piece: PieceId) -> bool {
        !self.has(piece) && self.gathers(self.catalogue.locate(piece).0)
    }

    /// The pieces of a range that are not written.
    pub(super) fn missing_of(&self, range: Range<u32>) -> impl Iterator<Item = PieceId> {
        range.map(PieceId).filter(|&piece| !self.has(piece))
    }

    /// The missing pieces of a range that have no route.
    pub(super) fn unrouted(&self, range: Range<u32>) -> Vec<PieceId> {
        let is_unrouted =
            |state| matches!(state, State::HeldBack | State::NeedsHash | State::Unavailable);
        range.map(PieceId).filter(|&piece| is_unrouted(self.state(piece))).collect()
    }

    /// Whether an entry gathers its pieces.
    pub(super) fn gathers(&self, entry: EntryIndex) -> bool {
        !self.is_halted && self.gathering.contains_key(&entry)
    }

    /// The entries that gather their pieces.
    pub(super) fn gathering(&self) -> impl Iterator<Item = EntryIndex> {
        self.gathering.keys().copied()
    }

    /// The entries from the first to the last that lack pieces which may be had; none where none
    /// does.
    pub(super) fn lacking(&self) -> Option<Range<u32>> {
        let is_open = |(_, tally): &(&EntryIndex, &Tally)| tally.outlook() == Outlook::Open;
        let mut lacking = self.gathering.iter().filter(is_open).map(|(entry, _)| entry.0);
        let first = lacking.next()?;
        let last = lacking.next_back().unwrap_or(first);
        Some(first..last + 1)
    }

    /// The number of pieces that are being looked for.
    pub(super) fn searching(&self) -> usize {
        self.searching
    }

    /// Whether pieces wait to be made or looked for.
    pub(super) fn is_any_local(&self) -> bool {
        !self.to_make.is_empty() || !self.to_search.is_empty()
    }
}

/// Transitions.
impl Pieces {
    /// Takes a piece from its state to the next, the one way in which a state changes; counts and
    /// picker follow.
    fn change(&mut self, piece: PieceId, next: State) {
        let state = std::mem::replace(&mut self.states[piece.0 as usize], next);
        assert!(state.leads_to(next), "piece {} goes from {state:?} to {next:?}", piece.0);
        match state {
            State::Wanted => self.picker.remove(piece.0),
            State::Searching => self.searching -= 1,
            State::Unavailable => {
                self.unavailable -= 1;
                self.tally_of(piece).into_iter().for_each(|tally| tally.unavailable -= 1);
            }
            _ => {}
        }
        match next {
            State::Wanted => self.picker.add(piece.0),
            State::Searching => self.searching += 1,
            State::Unavailable => {
                self.unavailable += 1;
                self.tally_of(piece).into_iter().for_each(|tally| tally.unavailable += 1);
            }
            _ => {}
        }
    }

    fn tally_of(&mut self, piece: PieceId) -> Option<&mut Tally> {
        let (entry, _) = self.catalogue.locate(piece);
        self.gathering.get_mut(&entry)
    }

    /// A survey found a piece in place.
    pub(super) fn find(&mut self, piece: PieceId) {
        self.change(piece, State::Have);
    }

    /// An entry gathers its pieces from now on. Those that it misses are held back until each has
    /// a route.
    pub(super) fn gather(&mut self, entry: EntryIndex) -> Outlook {
        let missing: Vec<PieceId> = self.missing_of(self.catalogue.pieces_of(entry)).collect();
        let tally = Tally { missing: missing.len() as u32, unavailable: 0 };
        if tally.missing > 0 {
            self.gathering.insert(entry, tally);
        }
        if !self.is_halted {
            missing.into_iter().for_each(|piece| self.change(piece, State::HeldBack));
        }
        tally.outlook()
    }

    /// A missing piece is to be had in this way.
    pub(super) fn set_route(&mut self, piece: PieceId, route: Route) {
        match route {
            Route::Hash => self.change(piece, State::NeedsHash),
            Route::Fetch => self.change(piece, State::Wanted),
            Route::Make => {
                self.change(piece, State::Local);
                self.to_make.push(piece);
            }
            Route::Search => {
                self.change(piece, State::Local);
                self.to_search.push_back(piece);
            }
        }
    }

    /// Marks a piece to be looked for in the source that all ranks see. Says whether that is to be
    /// done now; else what is under way for the piece comes first.
    pub(super) fn mark_from_source(&mut self, piece: PieceId) -> bool {
        if self.is_halted {
            return false;
        }
        self.from_source.insert(piece);
        self.picker.unsettle();
        match self.state(piece) {
            State::Wanted => {
                self.change(piece, State::HeldBack);
                true
            }
            state => state == State::Unavailable,
        }
    }

    /// Takes all pieces that are to be made.
    pub(super) fn take_to_make(&mut self) -> Vec<PieceId> {
        let mut pieces = std::mem::take(&mut self.to_make);
        pieces.retain(|&piece| self.state(piece) == State::Local);
        pieces
    }

    /// Takes the next piece that is to be looked for, and the place; it is being looked for now.
    pub(super) fn next_search(&mut self) -> Option<(PieceId, SearchPlace)> {
        loop {
            let piece = self.to_search.pop_front()?;
            if self.state(piece) == State::Local {
                self.change(piece, State::Searching);
                let from_source = self.from_source.remove(&piece);
                let place =
                    if from_source { SearchPlace::Source } else { SearchPlace::Destination };
                return Some((piece, place));
            }
        }
    }

    /// A piece was looked for in vain.
    pub(super) fn miss(&mut self, piece: PieceId) {
        // It was not looked for in the source yet.
        if self.from_source.contains(&piece) {
            let next = if self.is_gathered(piece) { State::Local } else { State::Idle };
            self.change(piece, next);
            return self.to_search.push_back(piece);
        }
        self.release(piece);
    }

    /// Pieces are asked of a holder.
    pub(super) fn ask(&mut self, chosen: &[Span]) {
        for piece in chosen.iter().flat_map(|bundle| bundle.numbers()) {
            self.change(PieceId(piece), State::InFlight);
        }
        self.picker.move_on();
    }

    /// What was under way for a piece came to nothing: it may be asked for again, of whomever.
    pub(super) fn release(&mut self, piece: PieceId) {
        let next = if self.is_gathered(piece) { State::Wanted } else { State::Idle };
        self.change(piece, next);
    }

    fn is_gathered(&self, piece: PieceId) -> bool {
        self.gathers(self.catalogue.locate(piece).0)
    }

    /// A piece came although it was not awaited any more.
    pub(super) fn claim_late(&mut self, piece: PieceId) -> LateClaim {
        self.picker.unsettle();
        match self.state(piece) {
            State::Wanted => {
                self.change(piece, State::InFlight);
                LateClaim::Taken
            }
            State::InFlight => LateClaim::InFlight,
            _ => LateClaim::Useless,
        }
    }

    /// A piece came: it is verified and written from now on.
    pub(super) fn begin_writing(&mut self, piece: PieceId) {
        self.change(piece, State::Writing);
    }

    /// A piece is written.
    pub(super) fn write(&mut self, piece: PieceId) -> Outlook {
        self.change(piece, State::Have);
        let (entry, _) = self.catalogue.locate(piece);
        let Some(tally) = self.gathering.get_mut(&entry) else { return Outlook::Open };
        tally.missing -= 1;
        let outlook = tally.outlook();
        self.conclude(entry, outlook)
    }

    /// An entry that has nothing more to wait for gathers no longer.
    fn conclude(&mut self, entry: EntryIndex, outlook: Outlook) -> Outlook {
        if outlook != Outlook::Open {
            self.close(entry);
        }
        outlook
    }

    /// The disk refused a piece.
    pub(super) fn fail(&mut self, piece: PieceId) {
        self.change(piece, State::Idle);
    }

    /// The tracker says that no rank has a piece. What is under way for it, or may be found here,
    /// goes on.
    pub(super) fn set_unavailable(&mut self, piece: PieceId) -> Outlook {
        self.picker.unsettle();
        if !matches!(self.state(piece), State::Wanted | State::NeedsHash) {
            return Outlook::Open;
        }
        self.change(piece, State::Unavailable);
        let (entry, _) = self.catalogue.locate(piece);
        let outlook = self.gathering.get(&entry).map_or(Outlook::Open, |tally| tally.outlook());
        self.conclude(entry, outlook)
    }

    /// A rank says that it has a piece. Says whether the piece was unavailable, and needs a route
    /// now.
    pub(super) fn revive(&mut self, piece: PieceId) -> bool {
        let revived = self.is_unavailable(piece) && self.is_gathered(piece);
        if revived {
            self.change(piece, State::HeldBack);
        }
        revived
    }

    /// An entry gathers no longer. What is under way for its pieces goes on.
    pub(super) fn close(&mut self, entry: EntryIndex) {
        if self.gathering.remove(&entry).is_none() {
            return;
        }
        for piece in self.catalogue.pieces_of(entry).map(PieceId) {
            if self.state(piece).waits() {
                self.change(piece, State::Idle);
            }
        }
    }

    /// An entry failed: it gathers no longer.
    pub(super) fn give_up(&mut self, entry: EntryIndex) {
        if !self.catalogue.pieces_of(entry).is_empty() {
            self.picker.unsettle();
        }
        self.close(entry);
    }

    /// This rank writes nothing more. What is under way ends.
    pub(super) fn halt(&mut self) {
        self.is_halted = true;
        self.to_make.clear();
        self.to_search.clear();
        self.from_source.clear();
        for piece in (0..self.catalogue.piece_count()).map(PieceId) {
            if self.state(piece).waits() && !self.is_unavailable(piece) {
                self.change(piece, State::Idle);
            }
        }
    }
}

/// The pieces whose hashes a range has.
fn pieces_of_range(catalogue: &Catalogue, entry: EntryIndex, range: u32) -> Range<u32> {
    let first = catalogue.pieces_of(entry).start;
    let pieces = HashRange::pieces(catalogue.geometry(entry), range);
    first + pieces.start..first + pieces.end
}

#[cfg(test)]
mod tests;
