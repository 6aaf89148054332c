//! The entries that this peer is to write: from the survey of what stands at the destination to
//! their own name.

use super::session::Session;
use super::{Fault, PeerAction, Salvaged, Surveyed};
use crate::Instant;
use crate::message::ToTracker;
use content::{Bitfield, Catalogue, EntryIndex, HashRange, PieceId};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Surveys under way at once: enough for every worker, few enough that other work is not stuck
/// behind them.
const MAX_SURVEYS: usize = 64;

/// Salvages under way at once, likewise.
const MAX_SALVAGES: usize = 16;

/// Failures of single entries that are told; the rest are counted.
const MAX_TOLD: usize = 3;

/// How far an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// What stands at the destination is looked at, or will be.
    Surveying,
    /// Pieces are missing.
    Fetching { missing: u32, gone: u32, candidate: bool },
    /// All pieces are there; it gets its name.
    Finishing,
    /// It is complete, or failed, or cannot be completed.
    Closed,
}

/// Whether directories and links are made, which comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealing {
    Open,
    Sealing,
    Sealed,
}

/// All entries that are to be written.
#[derive(Debug)]
pub(super) struct Entries {
    wanted: Bitfield,
    /// Regular files only: the rest is made when all files are there.
    progress: BTreeMap<EntryIndex, Progress>,
    open: usize,
    to_survey: VecDeque<EntryIndex>,
    surveying: usize,
    to_salvage: VecDeque<PieceId>,
    salvaging: usize,
    /// Pieces of wanted entries that are written at the destination.
    written: Bitfield,
    /// Pieces that nobody has.
    gone: Bitfield,
    have_bytes: u64,
    failures: Vec<String>,
    more_failures: usize,
    halted: Option<String>,
    told_need: bool,
    pub(super) sealing: Sealing,
}

impl Entries {
    pub(super) fn new(catalogue: &Catalogue, wanted: Bitfield) -> Self {
        let files =
            wanted.iter().map(EntryIndex).filter(|&entry| catalogue.entry(entry).file().is_some());
        let to_survey: VecDeque<EntryIndex> = files.collect();
        Self {
            progress: to_survey.iter().map(|&entry| (entry, Progress::Surveying)).collect(),
            open: to_survey.len(),
            to_survey,
            surveying: 0,
            to_salvage: VecDeque::new(),
            salvaging: 0,
            written: Bitfield::new(catalogue.piece_count()),
            gone: Bitfield::new(catalogue.piece_count()),
            have_bytes: 0,
            failures: Vec::new(),
            more_failures: 0,
            halted: None,
            told_need: false,
            sealing: Sealing::Open,
            wanted,
        }
    }

    /// All entries that are to be written, by number.
    pub(super) fn wanted(&self) -> &Bitfield {
        &self.wanted
    }

    /// Whether no entry has anything left to do.
    pub(super) fn all_closed(&self) -> bool {
        (self.open == 0 || self.halted.is_some()) && self.surveying == 0 && self.salvaging == 0
    }

    /// Whether nothing more is written here.
    pub(super) fn is_halted(&self) -> bool {
        self.halted.is_some()
    }

    /// Bytes of wanted entries that are there and verified.
    pub(super) fn have_bytes(&self) -> u64 {
        self.have_bytes
    }

    /// Whether a piece is written at the destination.
    pub(super) fn is_written(&self, piece: PieceId) -> bool {
        self.written.get(piece.0)
    }

    /// Whether a piece belongs to an entry that still gathers pieces.
    pub(super) fn wants(&self, entry: EntryIndex) -> bool {
        matches!(self.progress.get(&entry), Some(Progress::Fetching { .. }))
            && self.halted.is_none()
    }

    /// The entries from the first to the last that miss pieces; none where none does.
    pub(super) fn missing(&self) -> Option<Range<u32>> {
        let open = |progress: &&Progress| match progress {
            Progress::Fetching { missing, gone, .. } => missing > gone,
            _ => false,
        };
        let mut open = self.progress.iter().filter(|(_, progress)| open(progress));
        let first = open.next()?.0.0;
        let last = open.next_back().map_or(first, |(entry, _)| entry.0);
        Some(first..last + 1)
    }

    /// Why something could not be received here, for people.
    pub(super) fn why_not(&self) -> Option<String> {
        if let Some(why) = &self.halted {
            return Some(why.clone());
        }
        if self.failures.is_empty() {
            return None;
        }
        let more = match self.more_failures {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        Some(format!("{}{more}", self.failures.join("; ")))
    }

    /// Remembers why an entry failed.
    pub(super) fn note_failure(&mut self, why: String) {
        if self.failures.len() < MAX_TOLD {
            self.failures.push(why)
        } else {
            self.more_failures += 1
        }
    }

    /// Begins as many surveys as may run.
    pub(super) fn survey_more(&mut self, actions: &mut Vec<PeerAction>) {
        while self.surveying < MAX_SURVEYS && self.halted.is_none() {
            let Some(entry) = self.to_survey.pop_front() else { return };
            self.surveying += 1;
            actions.push(PeerAction::Survey(entry));
        }
    }

    fn close(&mut self, entry: EntryIndex) {
        let progress = self.progress.get_mut(&entry).expect("only wanted files are closed");
        if *progress != Progress::Closed {
            *progress = Progress::Closed;
            self.open -= 1;
        }
    }

    fn write(&mut self, catalogue: &Catalogue, piece: PieceId) -> u64 {
        let bytes = u64::from(catalogue.piece_size(piece));
        assert!(self.written.insert(piece.0), "piece {} is written once", piece.0);
        self.have_bytes += bytes;
        bytes
    }
}

impl Session {
    /// A survey came back.
    pub(super) fn on_surveyed(
        &mut self,
        now: Instant,
        entry: EntryIndex,
        found: Surveyed,
        actions: &mut Vec<PeerAction>,
    ) {
        self.entries.surveying -= 1;
        self.entries.survey_more(actions);
        let range = self.catalogue.pieces_of(entry);
        let present: Vec<u32> = match &found {
            Surveyed::Complete => range.clone().collect(),
            Surveyed::Partial(held) => held.iter().map(|piece| range.start + piece).collect(),
            Surveyed::Candidate | Surveyed::Nothing => Vec::new(),
        };
        for &piece in &present {
            self.counters.bytes_reused += self.entries.write(&self.catalogue, PieceId(piece));
            self.gain(now, PieceId(piece));
        }
        if found == Surveyed::Complete {
            self.entries.close(entry);
            self.news.entry(now, entry.0);
            return;
        }
        let missing = range.len() as u32 - present.len() as u32;
        let candidate = found == Surveyed::Candidate;
        self.entries.progress.insert(entry, Progress::Fetching { missing, gone: 0, candidate });
        if missing == 0 {
            return self.finish(entry, actions);
        }
        self.want_pieces(entry, range);
    }

    /// Lets pieces of an entry be fetched, or salvaged, where their hash is known; asks for hashes
    /// elsewhere.
    fn want_pieces(&mut self, entry: EntryIndex, range: Range<u32>) {
        let Some(&Progress::Fetching { candidate, .. }) = self.entries.progress.get(&entry) else {
            return;
        };
        let geometry = self.catalogue.geometry(entry);
        let first = self.catalogue.pieces_of(entry).start;
        let missing: Vec<u32> = range.filter(|&piece| !self.entries.written.get(piece)).collect();
        for piece in missing {
            let (_, index) = self.catalogue.locate(PieceId(piece));
            let known = geometry.is_single_piece()
                || self.hashes.need(&self.catalogue, entry, HashRange::covering(index));
            debug_assert!(piece >= first);
            if known && candidate {
                self.entries.to_salvage.push_back(PieceId(piece));
            } else if known {
                self.picker.add(piece);
            }
        }
    }

    /// A range of hashes is known now: its pieces can be had.
    pub(super) fn on_hashes_known(&mut self, entry: EntryIndex, index: u32) {
        let first = self.catalogue.pieces_of(entry).start;
        let pieces = HashRange::pieces(self.catalogue.geometry(entry), index);
        self.want_pieces(entry, first + pieces.start..first + pieces.end);
    }

    /// Begins as many salvages as may run, once writing may begin.
    pub(super) fn salvage_more(&mut self, actions: &mut Vec<PeerAction>) {
        while self.entries.salvaging < MAX_SALVAGES && self.admitted && !self.entries.is_halted() {
            let Some(piece) = self.entries.to_salvage.pop_front() else { return };
            if !self.entries.wants(self.catalogue.locate(piece).0) {
                continue;
            }
            let expected =
                self.hashes.expected(&self.catalogue, piece).expect("known before it was queued");
            self.entries.salvaging += 1;
            actions.push(PeerAction::Salvage(piece, expected));
        }
    }

    /// A salvage came back.
    pub(super) fn on_salvaged(
        &mut self,
        now: Instant,
        piece: PieceId,
        result: Result<Salvaged, Fault>,
        actions: &mut Vec<PeerAction>,
    ) {
        self.entries.salvaging -= 1;
        let (entry, _) = self.catalogue.locate(piece);
        match result {
            Ok(Salvaged::Absent) => {
                if self.entries.wants(entry) {
                    self.picker.add(piece.0);
                }
            }
            Ok(found) => {
                let bytes = self.wrote(now, piece, actions);
                match found {
                    Salvaged::Reused => self.counters.bytes_reused += bytes,
                    _ => self.counters.bytes_delivered += bytes,
                }
            }
            Err(fault) => self.on_fault(entry, fault, actions),
        }
    }

    /// A piece is written: it is served from now on, and perhaps it was its entry's last. Gives its
    /// bytes.
    pub(super) fn wrote(
        &mut self,
        now: Instant,
        piece: PieceId,
        actions: &mut Vec<PeerAction>,
    ) -> u64 {
        let bytes = self.entries.write(&self.catalogue, piece);
        self.gain(now, piece);
        let (entry, _) = self.catalogue.locate(piece);
        if let Some(Progress::Fetching { missing, gone, .. }) =
            self.entries.progress.get_mut(&entry)
        {
            *missing -= 1;
            let (missing, gone) = (*missing, *gone);
            if missing == 0 {
                self.finish(entry, actions);
            } else if missing == gone {
                self.entries.close(entry);
            }
        }
        bytes
    }

    fn finish(&mut self, entry: EntryIndex, actions: &mut Vec<PeerAction>) {
        self.entries.progress.insert(entry, Progress::Finishing);
        actions.push(PeerAction::Finish(entry));
    }

    /// An entry has its name.
    pub(super) fn on_finished(&mut self, now: Instant, entry: EntryIndex) {
        self.entries.close(entry);
        self.news.entry(now, entry.0);
    }

    /// The disk refused something.
    pub(super) fn on_fault(
        &mut self,
        entry: EntryIndex,
        fault: Fault,
        actions: &mut Vec<PeerAction>,
    ) {
        if self.entries.progress.get(&entry) == Some(&Progress::Surveying) {
            self.entries.surveying -= 1;
            self.entries.survey_more(actions);
        }
        match fault {
            Fault::Entry(why) => {
                self.entries.note_failure(why);
                self.give_up(entry);
            }
            Fault::Disk(why) => self.halt(why, actions),
        }
    }

    /// Nothing more of an entry is fetched.
    fn give_up(&mut self, entry: EntryIndex) {
        self.entries.close(entry);
        self.hashes.forget(entry);
        for piece in self.catalogue.pieces_of(entry) {
            self.picker.remove(piece);
        }
    }

    /// This rank writes nothing any more; it goes on serving what it has.
    pub(super) fn halt(&mut self, why: String, actions: &mut Vec<PeerAction>) {
        if self.entries.halted.is_some() {
            return;
        }
        self.entries.halted = Some(why.clone());
        self.entries.to_survey.clear();
        self.entries.to_salvage.clear();
        let open: Vec<EntryIndex> = self.entries.progress.keys().copied().collect();
        for entry in open {
            self.hashes.forget(entry);
        }
        let pickable: Vec<u32> = self.picker.pickable().iter().collect();
        for piece in pickable {
            self.picker.remove(piece);
        }
        self.cancel_all(actions);
        actions
            .push(PeerAction::Notice(format!("rank {} stops receiving: {why}", self.config.rank)));
    }

    /// The tracker says that nobody has these pieces. What is on its way here counts as held.
    pub(super) fn on_gone(&mut self, ranges: &[Range<u32>], _actions: &mut Vec<PeerAction>) {
        for piece in ranges.iter().cloned().flatten().map(PieceId) {
            let (entry, _) = self.catalogue.locate(piece);
            let idle = !self.entries.written.get(piece.0) && !self.download.fetches(piece);
            let waits = self.picker.pickable().get(piece.0)
                || self.hashes.expected(&self.catalogue, piece).is_none();
            if !(idle && waits && self.entries.wants(entry)) || !self.entries.gone.insert(piece.0) {
                continue;
            }
            self.picker.remove(piece.0);
            if let Some(Progress::Fetching { missing, gone, .. }) =
                self.entries.progress.get_mut(&entry)
            {
                *gone += 1;
                if missing == gone {
                    self.entries.close(entry);
                    self.hashes.forget(entry);
                }
            }
        }
        for (entry, index) in self.hashes.needed() {
            let first = self.catalogue.pieces_of(entry).start;
            let pieces = HashRange::pieces(self.catalogue.geometry(entry), index);
            let mut pieces = first + pieces.start..first + pieces.end;
            if pieces.all(|piece| self.entries.gone.get(piece) || self.entries.written.get(piece)) {
                self.hashes.give_up((entry, index));
            }
        }
    }

    /// Once everything is surveyed, tells how much must be written, where the tracker waits for
    /// that.
    pub(super) fn tell_need(&mut self, actions: &mut Vec<PeerAction>) {
        let surveyed = self.entries.surveying == 0 && self.entries.to_survey.is_empty();
        if self.admitted || self.entries.told_need || !surveyed || self.entries.is_halted() {
            return;
        }
        self.entries.told_need = true;
        let fetching = self.entries.progress.iter();
        let fetching =
            fetching.filter(|(_, progress)| matches!(progress, Progress::Fetching { .. }));
        let need_bytes = fetching
            .flat_map(|(&entry, _)| self.catalogue.pieces_of(entry))
            .filter(|&piece| !self.entries.written.get(piece))
            .map(|piece| u64::from(self.catalogue.piece_size(PieceId(piece))))
            .sum();
        self.say(ToTracker::Surveyed { need_bytes }, actions);
    }
}
