//! The entries that this peer is to write: from the survey of what stands at the destination to
//! their own name.

mod gone;
mod inspect;
mod search;
mod twins;

pub(super) use gone::Settling;
pub use inspect::Inspected;
pub(super) use inspect::Inspection;

use super::pieces::Outlook;
use super::session::Session;
use super::{Fault, PeerAction};
use crate::Instant;
use content::{Bitfield, Catalogue, EntryIndex, PieceId, Tie, Twins};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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
    Fetching {
        /// Whether some may be found at the destination, or in a local copy of the source.
        candidate: bool,
    },
    /// All pieces are there; it gets its name.
    Finishing,
    /// It is complete, or failed, or cannot be completed.
    Closed,
}

/// Whether directories and links are made, which comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealing {
    Open,
    Begun,
    Done,
}

/// All entries that are to be written.
#[derive(Debug)]
pub(super) struct Entries {
    wanted: Bitfield,
    /// Regular files only: the rest is made when all files are there.
    progress: BTreeMap<EntryIndex, Progress>,
    open: usize,
    /// What is made from what.
    twins: Twins,
    /// Entries that wait for what they are made from.
    held_back: BTreeSet<EntryIndex>,
    /// Links that were looked at before there was anything to link to, and will be again.
    early: BTreeSet<EntryIndex>,
    /// Entries that others wait for, and need not any longer.
    over: Vec<EntryIndex>,
    to_survey: VecDeque<EntryIndex>,
    surveying: usize,
    /// Entries of which an earlier run left pieces: what is not known to be there may be anything.
    resumed: BTreeSet<EntryIndex>,
    /// Entries that need nothing but their name, once writing may begin.
    to_finish: Vec<EntryIndex>,
    finishing: usize,
    failures: Vec<String>,
    more_failures: usize,
    halted: Option<String>,
    /// What the tracker was told that must be written.
    told_need: Option<u64>,
    pub(super) sealing: Sealing,
}

impl Entries {
    /// `held` are the entries that this rank has whole, in files of its own.
    pub(super) fn new(catalogue: &Catalogue, wanted: Bitfield, held: &Bitfield) -> Self {
        let twins = Twins::new(catalogue, &wanted, held);
        let files =
            wanted.iter().map(EntryIndex).filter(|&entry| catalogue.entry(entry).file().is_some());
        let progress: BTreeMap<_, _> = files.map(|entry| (entry, Progress::Surveying)).collect();
        let waits = |&(_, source, _): &(EntryIndex, EntryIndex, Tie)| wanted.get(source.0);
        let held_back = twins.iter().filter(waits).map(|(entry, ..)| entry).collect();
        // What is to be linked is looked at when there is something to link to.
        let is_link = |entry| twins.source(entry).is_some_and(|(_, tie)| tie == Tie::Link);
        Self {
            open: progress.len(),
            to_survey: progress.keys().copied().filter(|&entry| !is_link(entry)).collect(),
            progress,
            twins,
            held_back,
            early: BTreeSet::new(),
            over: Vec::new(),
            surveying: 0,
            resumed: BTreeSet::new(),
            to_finish: Vec::new(),
            finishing: 0,
            failures: Vec::new(),
            more_failures: 0,
            halted: None,
            told_need: None,
            sealing: Sealing::Open,
            wanted,
        }
    }

    /// As [`Self::new`], where nothing of all that is wanted is to be written.
    pub(super) fn untouched(catalogue: &Catalogue, wanted: Bitfield) -> Self {
        let none = Bitfield::new(catalogue.entry_count());
        let nothing = Self::new(catalogue, none.clone(), &none);
        Self { wanted, ..nothing }
    }

    /// The tracker is told what must be written.
    pub(super) fn set_need(&mut self, bytes: u64) {
        self.told_need = Some(bytes);
    }

    /// All entries that are to be written, by number.
    pub(super) fn wanted(&self) -> &Bitfield {
        &self.wanted
    }

    /// Whether nothing more is written here.
    pub(super) fn is_halted(&self) -> bool {
        self.halted.is_some()
    }

    /// What the tracker was told that must be written, where it waits for that.
    pub(super) fn need_told(&self) -> Option<u64> {
        self.told_need
    }

    /// Whether an entry gathers pieces, or may once it is surveyed.
    fn may_lack(&self, entry: EntryIndex) -> bool {
        let progress = self.progress.get(&entry);
        matches!(progress, Some(Progress::Surveying | Progress::Fetching { .. }))
            && self.halted.is_none()
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
        if self.failures.contains(&why) {
            return;
        }
        if self.failures.len() < MAX_TOLD {
            self.failures.push(why);
        } else {
            self.more_failures += 1;
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

    /// Whether pieces of an entry may be found at the destination, or in a local copy of the
    /// source.
    pub(super) fn is_candidate(&self, entry: EntryIndex) -> bool {
        let progress = self.progress.get(&entry);
        matches!(progress, Some(Progress::Fetching { candidate: true, .. }))
    }

    /// Whether an entry gathers pieces, or is halted while it does.
    pub(super) fn is_fetching(&self, entry: EntryIndex) -> bool {
        matches!(self.progress.get(&entry), Some(Progress::Fetching { .. }))
    }

    /// Whether an entry waits for what it is made from.
    pub(super) fn is_held_back(&self, entry: EntryIndex) -> bool {
        self.held_back.contains(&entry)
    }

    /// Nothing more is done for an entry.
    pub(super) fn close(&mut self, entry: EntryIndex) {
        let progress = self.progress.get_mut(&entry).expect("only wanted files are closed");
        if *progress != Progress::Closed {
            *progress = Progress::Closed;
            self.open -= 1;
            if !self.twins.followers(entry).is_empty() {
                self.over.push(entry);
            }
        }
    }
}

impl Session {
    /// Whether no entry has anything left to do, and the disk has nothing to say of any.
    pub(super) fn is_all_closed(&self) -> bool {
        let Entries { surveying, finishing, open, .. } = self.entries;
        let under_way = surveying + self.pieces.searching() + finishing;
        (open == 0 || self.entries.is_halted()) && under_way == 0
    }

    /// Whether all that may be found here without asking anybody has been found.
    pub(super) fn is_searched(&self) -> bool {
        let Entries { surveying, to_survey, .. } = &self.entries;
        let is_surveyed = *surveying == 0 && to_survey.is_empty();
        is_surveyed && self.pieces.searching() == 0 && !self.pieces.is_any_local()
    }

    /// A piece is written: it is served from now on, and perhaps it was its entry's last. Gives its
    /// bytes.
    pub(super) fn wrote(
        &mut self,
        now: Instant,
        piece: PieceId,
        actions: &mut Vec<PeerAction>,
    ) -> u64 {
        let outlook = self.pieces.write(piece);
        self.gain(now, piece);
        let (entry, _) = self.catalogue.locate(piece);
        match outlook {
            Outlook::Open => {}
            Outlook::Complete => self.finish(entry, actions),
            Outlook::Exhausted => self.entries.close(entry),
        }
        u64::from(self.catalogue.piece_size(piece))
    }

    fn finish(&mut self, entry: EntryIndex, actions: &mut Vec<PeerAction>) {
        self.entries.progress.insert(entry, Progress::Finishing);
        if !self.admitted {
            return self.entries.to_finish.push(entry);
        }
        self.entries.finishing += 1;
        actions.push(PeerAction::Finish(entry));
    }

    /// An entry has its name, or cannot get it.
    pub(super) fn on_finished(
        &mut self,
        now: Instant,
        entry: EntryIndex,
        result: Result<(), Fault>,
        actions: &mut Vec<PeerAction>,
    ) {
        self.entries.finishing -= 1;
        match result {
            Ok(()) => {
                self.entries.close(entry);
                self.news.entry(now, entry.0);
            }
            Err(fault) => self.on_fault(entry, fault, actions),
        }
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
            Fault::Disk(why) => self.halt(&why, actions),
        }
    }

    /// Nothing more of an entry is fetched.
    fn give_up(&mut self, entry: EntryIndex) {
        self.entries.close(entry);
        self.pieces.hashes_mut().forget(entry);
        self.pieces.give_up(entry);
    }

    /// This rank writes nothing any more; it goes on serving what it has. The user hears of it from
    /// the tracker, which hears of it with STOP.
    pub(super) fn halt(&mut self, why: &str, actions: &mut Vec<PeerAction>) {
        self.entries.halted.get_or_insert_with(|| why.to_owned());
        self.entries.to_survey.clear();
        self.entries.to_finish.clear();
        self.pieces.hashes_mut().forget_all();
        self.pieces.halt();
        self.download.cancel_all(&mut self.pieces, actions);
    }
}
