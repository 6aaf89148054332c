//! The disk side of a peer: turns its actions into tasks for the workers, and their results into
//! its events.

use crate::buffer::{Buffer, Pool, SharedBuffer};
use crate::notice::Notice;
use crate::prepare::LocalSource;
use crate::recent::Recent;
use crate::trouble::{Trouble, Words};
use crate::workers::Workers;
use content::merkle::piece_hashes;
use content::{Catalogue, EntryIndex, Geometry, Hash, HashRange, PieceId, Span};
use crossbeam_channel::Receiver;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use store::{
    Bounds, Clearing, Compared, Comparison, Extras, Near, ReadError, Salvage, Store, Survey,
    WriteError,
};
use swarm::peer::{Fault, Inspected, PeerEvent, Salvaged, Stored, Surveyed, TransferId};

/// What a task came to.
pub(crate) enum Done {
    /// Something that the peer waits for.
    Event(PeerEvent),
    /// Several of them.
    Events(Vec<PeerEvent>),
    /// All is over; with what was removed, and what could not be kept as it was, for people.
    Closed(Option<Extras>, Vec<String>),
    /// What is to be sent was read; or which piece was not, and why.
    Loaded(TransferId, Span, Result<Buffer, (PieceId, String)>),
    /// Pieces of what came were verified and written, or not; with the bytes of all.
    Stored(TransferId, Span, Vec<(PieceId, Result<Stored, Fault>)>, Buffer),
    /// Hashes were kept beside a partial; or why not.
    Recorded(EntryIndex, Result<(), Fault>),
    /// What the catalogue lacks was listed.
    Listed(Extras),
}

/// What the loop is to do about a result.
pub(crate) enum Outcome {
    /// Tell the peer.
    Event(PeerEvent),
    /// Tell the peer, and the user why.
    EventAndNotice(PeerEvent, Notice),
    /// Tell the peer that all is over, and how much was removed; and the user what was not done.
    Closed(u64, Vec<Notice>),
    /// Nothing.
    Nothing,
}

/// The store behind its workers.
pub(crate) struct Disk {
    store: Arc<Store>,
    /// The destination, where it is only compared.
    comparison: Option<Arc<Comparison>>,
    catalogue: Arc<Catalogue>,
    /// The source, where all ranks see it.
    source: Arc<[LocalSource]>,
    workers: Workers<Done>,
    threads: usize,
    words: Words,
    pool: Pool,
    /// What came and waits to be stored.
    came: BTreeMap<TransferId, Buffer>,
    /// What was read and waits to be sent.
    loaded: BTreeMap<TransferId, SharedBuffer>,
    /// What need not be read.
    recent: Recent,
    /// Entries of which the user knows that they cannot be read.
    unreadable: BTreeSet<EntryIndex>,
    /// Hashes being recorded, by entry: an entry gets its name only after them.
    recording: BTreeMap<EntryIndex, usize>,
    /// Entries that are to get their name when their hashes are recorded.
    finishing: BTreeSet<EntryIndex>,
    /// Entries that are to be surveyed: a task has several.
    surveys: Vec<EntryIndex>,
    /// Whether directories and links were made.
    has_sealed: bool,
    /// Results that the peer was not told yet.
    events: VecDeque<PeerEvent>,
    /// The end of all disk work waits for what is under way.
    closing: Option<Closing>,
}

/// Small files that are surveyed in one task: handing over costs more than a look at one.
const SURVEYS_A_TASK: usize = 16;
/// A longer file is surveyed in a task of its own: what stands there is hashed.
const SURVEYED_ALONE_BYTES: u64 = 1 << 20;

/// How the disk work is to end.
#[derive(Debug, Clone)]
pub(crate) enum Closing {
    /// What was written is kept; what the catalogue lacks is removed within these bounds, where
    /// there are any.
    Keep(Option<Bounds>),
    /// As if the job had never been.
    Abandon,
}

impl Disk {
    pub(crate) fn new(
        store: Store,
        catalogue: Arc<Catalogue>,
        threads: usize,
        (pool, kept_bytes): (Pool, u64),
    ) -> Self {
        Self {
            store: Arc::new(store.hashing_with(threads)),
            comparison: None,
            catalogue,
            source: Arc::default(),
            workers: Workers::new(threads),
            threads,
            words: Words::default(),
            pool,
            came: BTreeMap::new(),
            loaded: BTreeMap::new(),
            recent: Recent::keeping(kept_bytes),
            unreadable: BTreeSet::new(),
            recording: BTreeMap::new(),
            finishing: BTreeSet::new(),
            surveys: Vec::new(),
            has_sealed: false,
            events: VecDeque::new(),
            closing: None,
        }
    }

    /// Lets pieces be read from a source that all ranks see.
    pub(crate) fn seeing(mut self, source: Arc<[LocalSource]>) -> Self {
        self.source = source;
        self
    }

    /// Lets troubles be told in a program's own words.
    pub(crate) fn worded(mut self, words: Words) -> Self {
        self.words = words;
        self
    }

    /// Lets a destination be compared.
    pub(crate) fn comparing(mut self, comparison: Option<Comparison>) -> Self {
        let comparison = comparison.map(|it| Arc::new(it.hashing_with(self.threads)));
        self.comparison = comparison;
        self
    }

    /// Where results come from, to wait for the first.
    pub(crate) fn done(&self) -> &Receiver<thread::Result<Done>> {
        self.workers.done()
    }

    /// Whether the workers have anything to do.
    pub(crate) fn is_busy(&self) -> bool {
        self.workers.is_busy() || !self.surveys.is_empty() || !self.events.is_empty()
    }

    /// A buffer for what is on its way.
    pub(crate) fn buffer(&self, pieces: Span) -> Buffer {
        self.pool.take(self.catalogue.bundle_size(pieces) as usize)
    }

    /// Keeps what came until the peer says what is to become of it.
    pub(crate) fn came(&mut self, transfer: TransferId, buffer: Buffer) {
        self.came.insert(transfer, buffer);
    }

    /// Drops the buffer of a transfer.
    pub(crate) fn discard(&mut self, transfer: TransferId) {
        self.came.remove(&transfer);
        self.loaded.remove(&transfer);
    }

    /// Takes what was read.
    pub(crate) fn take_loaded(&mut self, transfer: TransferId) -> SharedBuffer {
        self.loaded.remove(&transfer).expect("it is sent after it was read")
    }

    pub(crate) fn list_extra(&mut self, bounds: Bounds) {
        let comparison = self.comparison.clone();
        let list = move |it: Arc<Comparison>| it.list_extra(&bounds);
        self.workers.run(move || Done::Listed(comparison.map(list).unwrap_or_default()));
    }

    pub(crate) fn inspect(&mut self, entry: EntryIndex) {
        let comparison = self.comparison.clone().expect("what is inspected is compared only");
        let words = self.words;
        self.workers.run(move || {
            let Compared { differences, bytes_in_place, obstacle } = comparison.inspect(entry);
            let obstacle = obstacle.map(|error| words.of(&Trouble::Write(&error)));
            let inspected = Inspected { differences, bytes_in_place, obstacle };
            Done::Event(PeerEvent::Inspected(entry, inspected))
        });
    }

    /// Looks what stands there of an entry, once [`Self::hand_over`] is called.
    pub(crate) fn survey(&mut self, entry: EntryIndex) {
        let words = self.words;
        if self.catalogue.entry(entry).len() > SURVEYED_ALONE_BYTES {
            return self
                .event(move |store| PeerEvent::Surveyed(entry, survey(store, entry, words)));
        }
        self.surveys.push(entry);
    }

    /// Hands over what was gathered since the last time.
    pub(crate) fn hand_over(&mut self) {
        let words = self.words;
        for entries in self.surveys.chunks(SURVEYS_A_TASK) {
            let (store, entries) = (Arc::clone(&self.store), entries.to_vec());
            self.workers.run(move || {
                let surveyed = |entry| PeerEvent::Surveyed(entry, survey(&store, entry, words));
                Done::Events(entries.into_iter().map(surveyed).collect())
            });
        }
        self.surveys.clear();
    }

    pub(crate) fn salvage(&mut self, piece: PieceId, expected: Hash) {
        let (pool, words) = (self.pool.clone(), self.words);
        self.event(move |store| {
            salvaged(piece, store.salvage(piece, expected, |len| pool.take(len)), words)
        });
    }

    /// Reads a piece of the source that all ranks see.
    pub(crate) fn reread(&mut self, piece: PieceId, expected: Hash) {
        let (source, catalogue) = (Arc::clone(&self.source), Arc::clone(&self.catalogue));
        let (pool, words) = (self.pool.clone(), self.words);
        self.event(move |store| {
            let entry = catalogue.entry(catalogue.locate(piece).0);
            let found = source.iter().find_map(|it| it.find(entry));
            let absent = Ok(Salvage::Absent);
            salvaged(
                piece,
                found.map_or(absent, |found| {
                    store.copy(piece, expected, found.as_ref(), |len| pool.take(len))
                }),
                words,
            )
        });
    }

    pub(crate) fn record(&mut self, entry: EntryIndex, range: HashRange) {
        *self.recording.entry(entry).or_default() += 1;
        let (store, words) = (Arc::clone(&self.store), self.words);
        self.workers.run(move || {
            let recorded = store.record(entry, &range);
            Done::Recorded(entry, recorded.map_err(|error| fault(&error, words)))
        });
    }

    /// Verifies pieces of what came while they are in cache, each on its own, and writes them.
    pub(crate) fn store(
        &mut self,
        transfer: TransferId,
        pieces: Span,
        expected: Vec<(PieceId, Hash)>,
    ) {
        let buffer = self.came.remove(&transfer).expect("it is stored after it came");
        let words = self.words;
        let (store, catalogue) = (Arc::clone(&self.store), Arc::clone(&self.catalogue));
        self.workers.run(move || {
            let awaited = |piece| expected.binary_search_by_key(&piece, |&(it, _)| it).is_ok();
            let places = places(&catalogue, pieces).filter(|&(piece, _)| awaited(piece));
            let came: Vec<(Geometry, &[u8])> = places
                .map(|(piece, range)| {
                    (catalogue.geometry(catalogue.locate(piece).0), &buffer[range])
                })
                .collect();
            let mut near = Near::default();
            let write = |((piece, expected), (hash, bytes)): ((PieceId, Hash), (Hash, &[u8]))| {
                let stored = match hash == expected {
                    true => store.write_near(piece, bytes, &mut near).map(|()| Stored::Written),
                    false => Ok(Stored::Corrupt),
                };
                (piece, stored.map_err(|error| fault(&error, words)))
            };
            let bytes = came.iter().map(|&(_, bytes)| bytes);
            let hashed = piece_hashes(&came).into_iter().zip(bytes);
            let stored = expected.iter().copied().zip(hashed).map(write).collect();
            Done::Stored(transfer, pieces, stored, buffer)
        });
    }

    /// Reads what is to be sent, unless it is in memory; then the event is there at once.
    pub(crate) fn load(&mut self, transfer: TransferId, pieces: Span) -> Option<PeerEvent> {
        if let Some(buffer) = self.recent.find(pieces) {
            self.loaded.insert(transfer, buffer);
            return Some(PeerEvent::Loaded(transfer, Ok(())));
        }
        let mut buffer = self.buffer(pieces);
        let (store, catalogue) = (Arc::clone(&self.store), Arc::clone(&self.catalogue));
        self.workers.run(move || {
            let mut places = places(&catalogue, pieces);
            let read = places.try_for_each(|(piece, range)| {
                let read = store.read(piece, &mut buffer[range]);
                read.map_err(|error: ReadError| (piece, error.to_string()))
            });
            Done::Loaded(transfer, pieces, read.map(|()| buffer))
        });
        None
    }

    /// Gives an entry its name once its hashes are recorded; where it has it already, the event is
    /// there at once.
    pub(crate) fn finish(&mut self, entry: EntryIndex) -> Option<PeerEvent> {
        if self.recording.contains_key(&entry) {
            self.finishing.insert(entry);
            return None;
        }
        if self.store.is_finished(entry) {
            return Some(PeerEvent::Finished(entry, Ok(())));
        }
        let words = self.words;
        self.event(move |store| {
            PeerEvent::Finished(entry, store.finish(entry).map_err(|error| fault(&error, words)))
        });
        None
    }

    pub(crate) fn seal(&mut self) {
        self.has_sealed = true;
        let words = self.words;
        self.event(move |store| {
            PeerEvent::Sealed(store.seal().map_err(|error| fault(&error, words)))
        });
    }

    /// Cleans up, once all that is under way has ended: an interrupted job may yet look through
    /// files, or give one its name.
    pub(crate) fn close(&mut self, how: Closing) {
        self.closing = Some(how);
        self.close_when_idle();
    }

    fn close_when_idle(&mut self) {
        if self.is_busy() {
            return;
        }
        let Some(how) = self.closing.take() else { return };
        let (store, has_sealed) = (Arc::clone(&self.store), self.has_sealed);
        let comparison = self.comparison.clone();
        self.workers.run(move || {
            let (mut extras, mut cleared) = (None, None);
            match how {
                Closing::Abandon => store.abandon(),
                Closing::Keep(bounds) => {
                    let which = if bounds.is_some() { Clearing::All } else { Clearing::Stale };
                    extras = bounds.map(|bounds| store.remove_extra(&bounds));
                    cleared = store.clear_leftovers(which);
                    // Others may have given files their names here since this rank sealed, which
                    // changed the times of directories. What failed then was told then.
                    if has_sealed {
                        let _ = store.seal();
                    }
                    store.close();
                }
            }
            let unkept = comparison.map_or_else(|| store.unkept(), |it| it.unkept());
            Done::Closed(extras, cleared.into_iter().chain(unkept).collect())
        });
    }

    fn event(&mut self, task: impl FnOnce(&Store) -> PeerEvent + Send + 'static) {
        let store = Arc::clone(&self.store);
        self.workers.run(move || Done::Event(task(&store)));
    }

    /// The next result, if one is there.
    pub(crate) fn next(&mut self) -> Option<Outcome> {
        if let Some(event) = self.events.pop_front() {
            return Some(Outcome::Event(event));
        }
        match self.workers.next() {
            Some(done) => Some(self.settle(done)),
            None => {
                // All results were taken, and what they led to is under way.
                self.close_when_idle();
                None
            }
        }
    }

    fn settle(&mut self, done: Done) -> Outcome {
        match done {
            Done::Event(event) => Outcome::Event(event),
            Done::Events(events) => {
                self.events.extend(events);
                self.events.pop_front().map_or(Outcome::Nothing, Outcome::Event)
            }
            Done::Stored(transfer, pieces, stored, buffer) => {
                let written = stored.iter().filter(|(_, how)| *how == Ok(Stored::Written));
                if written.count() == pieces.count as usize {
                    self.recent.keep(pieces, buffer);
                }
                Outcome::Event(PeerEvent::Stored(transfer, stored))
            }
            Done::Loaded(transfer, pieces, Ok(buffer)) => {
                let buffer = Arc::new(buffer);
                self.recent.know(pieces, &buffer);
                self.loaded.insert(transfer, buffer);
                Outcome::Event(PeerEvent::Loaded(transfer, Ok(())))
            }
            Done::Loaded(transfer, _, Err((piece, why))) => {
                let event = PeerEvent::Loaded(transfer, Err(piece));
                // Many pieces of it may be under way.
                match self.unreadable.insert(self.catalogue.locate(piece).0) {
                    true => Outcome::EventAndNotice(event, Notice::Told(why)),
                    false => Outcome::Event(event),
                }
            }
            Done::Listed(extras) => {
                let notice = left_alone(&extras);
                let event = PeerEvent::ExtraListed(extras.extra);
                match notice {
                    Some(notice) => Outcome::EventAndNotice(event, notice),
                    None => Outcome::Event(event),
                }
            }
            Done::Closed(extras, unkept) => {
                let extras = extras.unwrap_or_default();
                let unkept = unkept.into_iter().map(Notice::Told);
                let notices = unkept.chain(left_alone(&extras)).collect();
                Outcome::Closed(extras.extra.count, notices)
            }
            Done::Recorded(entry, recorded) => {
                let left = self.recording.get_mut(&entry).expect("counted when it began");
                *left -= 1;
                if *left == 0 {
                    self.recording.remove(&entry);
                    if self.finishing.remove(&entry) {
                        let finished = self.finish(entry);
                        self.events.extend(finished);
                    }
                }
                match recorded {
                    Ok(()) => Outcome::Nothing,
                    Err(fault) => Outcome::Event(PeerEvent::Failed(entry, fault)),
                }
            }
        }
    }
}

/// What of the extra entries could not be removed, or seen.
fn left_alone(extras: &Extras) -> Option<Notice> {
    let failures = extras.failures.clone();
    (!failures.is_empty()).then_some(Notice::LeftAlone { failures })
}

/// Where each piece lies in what travels as one.
fn places(catalogue: &Catalogue, pieces: Span) -> impl Iterator<Item = (PieceId, Range<usize>)> {
    let mut end = 0;
    pieces.numbers().map(move |piece| {
        let start = end;
        end += catalogue.piece_size(PieceId(piece)) as usize;
        (PieceId(piece), start..end)
    })
}

fn salvaged(piece: PieceId, found: Result<Salvage, WriteError>, words: Words) -> PeerEvent {
    let found = found.map(|found| match found {
        Salvage::Reused => Salvaged::Reused,
        Salvage::Copied => Salvaged::Copied,
        Salvage::Absent => Salvaged::Absent,
    });
    PeerEvent::Salvaged(piece, found.map_err(|error| fault(&error, words)))
}

fn survey(store: &Store, entry: EntryIndex, words: Words) -> Result<Surveyed, Fault> {
    let found = store.survey(entry).map_err(|error| fault(&error, words))?;
    Ok(match found {
        Survey::Complete(layer) => Surveyed::Complete(layer),
        Survey::Linked => Surveyed::Linked,
        Survey::Partial(held) => Surveyed::Partial(held),
        Survey::Candidate => Surveyed::Candidate,
        Survey::Nothing => Surveyed::Nothing,
    })
}

/// Whether a failure is one entry's, or the disk's as a whole.
fn fault(error: &WriteError, words: Words) -> Fault {
    let sentence = words.of(&Trouble::Write(error));
    match error {
        WriteError::Denied { .. }
        | WriteError::ThroughLink { .. }
        | WriteError::InTheWay { .. }
        | WriteError::FullDirectory { .. }
        | WriteError::Sealed { .. } => Fault::Entry(sentence),
        WriteError::NoSpace { .. }
        | WriteError::NoInodes { .. }
        | WriteError::ReadOnly { .. }
        | WriteError::Io { .. } => Fault::Disk(sentence),
    }
}
