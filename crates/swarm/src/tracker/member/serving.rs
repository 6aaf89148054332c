//! What a rank has and does in a job, by the numbers of the catalogue. The counts over all ranks
//! are the job's (`job.rs`); no message is made here.

use crate::message::{Differing, Recall, Rejoined, Stop};
use crate::{Counters, Differences, Extra, Instant, Rank};
use content::{Bitfield, Catalogue, Span};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A rank in a job.
#[derive(Debug)]
pub(in crate::tracker) struct Serving {
    /// Pieces that it has and serves.
    holdings: Bitfield,
    /// Entries that it wants.
    wanted: Bitfield,
    /// Of those, the ones that it is to write; others write the rest into the same destination.
    assigned: Bitfield,
    /// Entries that it has completed.
    complete: Bitfield,
    /// Entries that are otherwise than the catalogue has them, by what differs.
    differing: BTreeMap<Differences, Bitfield>,
    progress: Progress,
    /// What its survey found missing.
    need_bytes: Option<u64>,
    /// How often it was named to somebody who asked for holders.
    named: u32,
    /// Ranks that it asks no more, for what they send does not verify.
    shunned: BTreeSet<Rank>,
    /// The last call to settle that it answered.
    settled: u32,
    stop: Option<(Instant, Stop)>,
    refusal: Refusal,
    earlier: Earlier,
}

/// Bytes that a rank wants, and has of them.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    wanted: u64,
    /// No more than it wants.
    have: u64,
}

/// Whether the user was told why a rank receives nothing more, where it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Refusal {
    #[default]
    Untold,
    Told,
}

/// What an earlier tracker knew of a rank, by the rank's own account; nothing under the first.
#[derive(Debug, Default)]
struct Earlier {
    /// Entries that it shares itself, once it has told any.
    own: Option<Bitfield>,
    /// Whether it was told FINISH.
    finished: bool,
    /// Whether it waits for an admission that it was not given.
    awaits_admission: bool,
}

impl Serving {
    /// A rank that has nothing, and wants nothing.
    pub(super) fn new(catalogue: &Catalogue) -> Self {
        let entries = || Bitfield::new(catalogue.entry_count());
        Self {
            holdings: Bitfield::new(catalogue.piece_count()),
            wanted: entries(),
            assigned: entries(),
            complete: entries(),
            differing: BTreeMap::new(),
            progress: Progress::default(),
            need_bytes: None,
            named: 0,
            shunned: BTreeSet::new(),
            settled: 0,
            stop: None,
            refusal: Refusal::default(),
            earlier: Earlier::default(),
        }
    }

    /// Takes what it wants, and what of that it is to write; so many bytes it wants in all.
    pub(in crate::tracker) fn enrol(&mut self, wanted: Bitfield, assigned: Bitfield, bytes: u64) {
        (self.wanted, self.assigned) = (wanted, assigned);
        self.progress = Progress { wanted: bytes, have: 0 };
    }

    /// Takes what it wants, where what it is to write is known.
    pub(in crate::tracker) fn want(&mut self, wanted: Bitfield) {
        self.wanted = wanted;
    }

    /// So many bytes it wants in all.
    pub(in crate::tracker) fn want_bytes(&mut self, bytes: u64) {
        let have = self.progress.have.min(bytes);
        self.progress = Progress { wanted: bytes, have };
    }

    /// So many bytes of what it wants it has, by its own account.
    pub(in crate::tracker) fn take_progress(&mut self, bytes: u64) {
        self.progress.have = bytes.min(self.progress.wanted);
    }

    pub(in crate::tracker) fn wanted_bytes(&self) -> u64 {
        self.progress.wanted
    }

    /// Bytes, of those that it wants, that it has.
    pub(in crate::tracker) fn have_bytes(&self) -> u64 {
        self.progress.have
    }

    /// Entries that it wants.
    pub(in crate::tracker) fn wanted(&self) -> &Bitfield {
        &self.wanted
    }

    /// Entries that it is to write.
    pub(in crate::tracker) fn assigned(&self) -> &Bitfield {
        &self.assigned
    }
}

/// What it has.
impl Serving {
    /// Pieces that it has and serves.
    pub(in crate::tracker) fn holdings(&self) -> &Bitfield {
        &self.holdings
    }

    /// It has a piece; says whether that is new.
    pub(in crate::tracker) fn hold(&mut self, piece: u32) -> bool {
        self.holdings.insert(piece)
    }

    /// It no longer has pieces.
    pub(in crate::tracker) fn release(&mut self, pieces: Range<u32>) {
        self.holdings.remove_range(pieces);
    }

    /// Entries that it has completed.
    pub(in crate::tracker) fn complete(&self) -> &Bitfield {
        &self.complete
    }

    /// It has completed entries.
    pub(in crate::tracker) fn take_complete(&mut self, entries: Range<u32>) {
        self.complete.insert_range(entries);
    }

    /// It will not complete an entry after all.
    pub(in crate::tracker) fn withdraw(&mut self, entry: u32) {
        self.complete.remove(entry);
    }

    /// Entries that are otherwise than the catalogue has them, by what differs.
    pub(in crate::tracker) fn differing(&self) -> &BTreeMap<Differences, Bitfield> {
        &self.differing
    }

    /// Whether it has said that the content of an entry is not there, or another.
    pub(in crate::tracker) fn lacks_content(&self, entry: u32) -> bool {
        self.differing.iter().any(|(what, set)| what.lack_content() && set.get(entry))
    }

    /// Takes which entries are otherwise; a list with numbers beyond the catalogue is left out.
    pub(in crate::tracker) fn take_differing(&mut self, differing: &[Differing]) {
        let entries = self.wanted.len();
        let spans: Vec<Span> = differing.iter().map(|it| it.entries).collect();
        if Span::all_checked(&spans, entries).count() < spans.len() {
            return;
        }
        for Differing { what, entries: span } in differing {
            let set = self.differing.entry(*what).or_insert_with(|| Bitfield::new(entries));
            set.insert_range(span.first..span.first + span.count);
        }
    }

    /// Bytes that its survey found missing, once it has surveyed.
    pub(in crate::tracker) fn need_bytes(&self) -> Option<u64> {
        self.need_bytes
    }

    pub(in crate::tracker) fn take_survey(&mut self, need_bytes: u64) {
        self.need_bytes = Some(need_bytes);
    }
}

/// What it asks, and is told.
impl Serving {
    /// How often it was named to somebody who asked for holders.
    pub(in crate::tracker) fn named(&self) -> u32 {
        self.named
    }

    pub(in crate::tracker) fn count_named(&mut self) {
        self.named += 1;
    }

    /// Ranks that it asks no more.
    pub(in crate::tracker) fn shunned(&self) -> &BTreeSet<Rank> {
        &self.shunned
    }

    /// It asks a rank no more; says whether that is new.
    pub(in crate::tracker) fn shun(&mut self, rank: Rank) -> bool {
        self.shunned.insert(rank)
    }

    /// Whether it has answered this call to settle, or a later one.
    pub(in crate::tracker) fn has_settled(&self, number: u32) -> bool {
        self.settled >= number
    }

    pub(in crate::tracker) fn settle(&mut self, number: u32) {
        self.settled = self.settled.max(number);
    }

    /// Whether the user was told why it receives nothing more.
    pub(in crate::tracker) fn is_refusal_told(&self) -> bool {
        self.refusal == Refusal::Told
    }

    /// The user is told why it receives nothing more.
    pub(in crate::tracker) fn tell_refusal(&mut self) {
        self.refusal = Refusal::Told;
    }
}

/// How it ends, and what it recalls of an earlier tracker's time.
impl Serving {
    /// How it stopped, and when it said so.
    pub(in crate::tracker) fn stop(&self) -> Option<&(Instant, Stop)> {
        self.stop.as_ref()
    }

    /// It stops, once.
    pub(in crate::tracker) fn take_stop(&mut self, now: Instant, stop: Stop) {
        self.stop.get_or_insert((now, stop));
    }

    /// Takes some of what it recalls; numbers beyond the catalogue are left out.
    pub(in crate::tracker) fn take_recall(&mut self, recall: &Recall) {
        let entries = self.wanted.len();
        let own = self.earlier.own.get_or_insert_with(|| Bitfield::new(entries));
        insert(own, &recall.own);
        insert(&mut self.assigned, &recall.assigned);
        insert(&mut self.complete, &recall.complete);
    }

    /// Takes the rest of what it recalls; so many bytes it is to write in all.
    pub(in crate::tracker) fn take_rejoined(
        &mut self,
        now: Instant,
        rejoined: Rejoined,
        wanted_bytes: u64,
    ) {
        self.need_bytes = rejoined.need_bytes;
        self.earlier.awaits_admission = rejoined.awaits_admission;
        self.earlier.finished = rejoined.finished.is_some();
        self.stop = rejoined.stop.map(|stop| (now, stop));
        self.want_bytes(wanted_bytes);
        self.take_progress(rejoined.have_bytes);
    }

    /// It had no START when an earlier tracker told it FINISH: it does nothing more.
    pub(in crate::tracker) fn take_finished(&mut self, now: Instant) {
        self.earlier.finished = true;
        let stop = Stop {
            cannot_receive: None,
            counters: Counters::default(),
            extra: Extra::default(),
            updates: 0,
        };
        self.stop = Some((now, stop));
    }

    /// Entries that it shares itself, by its own account to a tracker that took over.
    pub(in crate::tracker) fn own(&self) -> Option<&Bitfield> {
        self.earlier.own.as_ref()
    }

    /// Whether an earlier tracker told it FINISH.
    pub(in crate::tracker) fn is_finished(&self) -> bool {
        self.earlier.finished
    }

    /// Whether it waits for an admission that an earlier tracker did not give.
    pub(in crate::tracker) fn awaits_admission(&self) -> bool {
        self.earlier.awaits_admission
    }
}

fn insert(set: &mut Bitfield, spans: &[Span]) {
    for range in Span::all_checked(spans, set.len()) {
        set.insert_range(range);
    }
}
