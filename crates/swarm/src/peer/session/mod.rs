//! A peer between START and FINISH: the state that both roles share, and the way of each event to
//! its role.

mod invariants;
mod news;
mod routing;

use super::download::{Download, Order};
use super::entries::{Entries, Inspection, Sealing, Settling};
use super::pieces::{Hashes, Pieces};
use super::upload::Upload;
use super::{Fault, Offered, PeerAction, PeerConfig, PeerEvent};
use crate::message::{Between, Gains, Message, Stop, ToTracker, cut};
use crate::schedule::{RateLimiter, Topology};
use crate::{Counters, Held, Instant, Purpose, Rank};
use content::{Bitfield, Catalogue, EntryIndex};
use news::News;
use std::sync::Arc;

/// Everything that a peer knows after START.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) config: PeerConfig,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) entries: Entries,
    /// The pieces, as far as this rank's own destination is concerned.
    pub(super) pieces: Pieces,
    /// What was compared, where nothing is fetched.
    pub(super) inspection: Option<Inspection>,
    pub(super) download: Download,
    pub(super) upload: Upload,
    pub(super) news: News,
    pub(super) counters: Counters,
    /// Whether writing may begin: the tracker knows that there is room.
    pub(super) admitted: bool,
    /// Whether STOP was said.
    pub(super) stopped: bool,
    /// A call of the tracker to settle.
    pub(super) settling: Option<Settling>,
    /// Pieces that this rank read from the source before START, and keeps at its destination.
    pub(super) fresh: Bitfield,
    /// Updates sent so far, those before START too.
    pub(super) updates: u32,
}

impl Session {
    pub(super) fn new(
        mut config: PeerConfig,
        now: Instant,
        catalogue: Arc<Catalogue>,
        wanted: Bitfield,
        offered: Vec<Offered>,
        admitted: bool,
    ) -> Self {
        config.leave_room(catalogue.entry_count());
        let mut serving = Bitfield::new(catalogue.piece_count());
        let mut hashes = Hashes::default();
        let mut held_whole = Bitfield::new(catalogue.entry_count());
        for offered in offered {
            let Some(index) = catalogue.find(&offered.offer.entry.name) else { continue };
            let entry = catalogue.entry(index);
            let same = entry.file().is_some() && entry.file() == offered.offer.entry.file();
            if !same {
                continue;
            }
            let range = catalogue.pieces_of(index);
            match offered.offer.held {
                Held::Whole => {
                    serving.insert_range(range);
                    held_whole.insert(index.0);
                }
                Held::Pieces(held) => held.iter().for_each(|piece| {
                    serving.insert(range.start + piece);
                }),
                Held::Nothing => {}
            }
            if let Some(layer) = offered.layer {
                hashes.know(index, *layer);
            }
        }
        let longest_piece = catalogue.longest_bundle().max(1);
        let upload_limiter = RateLimiter::new(config.limits.upload, longest_piece, now);
        Self {
            upload: Upload::new(
                Arc::clone(&catalogue),
                serving,
                longest_piece,
                config.upload_window_bytes,
                upload_limiter,
                now,
            ),
            pieces: Pieces::new(Arc::clone(&catalogue), hashes, config.rank, config.ranks),
            entries: match config.purpose {
                Purpose::Transfer => Entries::new(&catalogue, wanted, &held_whole),
                Purpose::Check | Purpose::DryRun => Entries::untouched(&catalogue, wanted),
            },
            inspection: (config.purpose != Purpose::Transfer).then(Inspection::default),
            download: Download::new(&config, Arc::clone(&catalogue), now),
            news: News::new(catalogue.entry_count(), config.batch as usize),
            counters: Counters::default(),
            stopped: false,
            settling: None,
            fresh: Bitfield::default(),
            updates: 0,
            config,
            catalogue,
            admitted,
        }
    }

    /// Begins with a look at what stands at the destination.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        neighbours: &[Rank],
        topology: Topology,
        actions: &mut Vec<PeerAction>,
    ) {
        self.download.begin(topology, now, &mut self.pieces);
        let topology = Arc::clone(self.download.ownership().topology());
        self.upload.begin(&self.sendable(), neighbours, topology, actions);
        self.entries.survey_more(actions);
        self.inspect(actions);
    }

    /// Time has passed: what waits for a cap may go on.
    pub(super) fn keep_time(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        self.download.keep_time(now);
        self.upload.keep_time(now, actions);
    }

    /// Takes an event of the disk or the transport.
    pub(super) fn handle(&mut self, now: Instant, event: PeerEvent, actions: &mut Vec<PeerAction>) {
        match event {
            PeerEvent::Surveyed(entry, Ok(found)) => self.on_surveyed(now, entry, found, actions),
            PeerEvent::ExtraListed(extra) => self.on_extra(extra),
            PeerEvent::ExtraRemoved(count) => self.counters.entries_removed = count,
            PeerEvent::Inspected(entry, it) => self.on_inspected(now, entry, &it, actions),
            PeerEvent::Surveyed(entry, Err(fault)) => self.on_fault(entry, fault, actions),
            PeerEvent::Salvaged(piece, result) => self.on_salvaged(now, piece, result, actions),
            PeerEvent::Received(transfer, len) => {
                let (config, pieces) = (&self.config, &mut self.pieces);
                self.download.on_received(now, transfer, len, config, pieces, actions);
            }
            PeerEvent::Stored(transfer, results) => self.on_stored(now, transfer, results, actions),
            PeerEvent::Loaded(transfer, read) => {
                if let (Err(piece), true) = (read, self.upload.awaits(transfer)) {
                    self.unserve(now, piece, actions);
                }
                self.upload.loaded(transfer, read, actions);
            }
            PeerEvent::Sent(transfer) => self.upload.sent(transfer, actions),
            PeerEvent::Finished(entry, result) => self.on_finished(now, entry, result, actions),
            PeerEvent::Failed(entry, fault) => self.on_fault(entry, fault, actions),
            PeerEvent::Sealed(result) => self.on_sealed(now, result),
            other => unreachable!("{other:?} is not for a session"),
        }
    }

    /// Serves nothing more.
    pub(super) fn close(&mut self) {
        self.upload.close();
    }

    /// What belongs to a time of its own: timeouts, updates that waited long enough.
    pub(super) fn on_tick(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        self.pieces.hashes_mut().wake();
        self.pieces.picker_mut().wake();
        self.upload.on_tick();
        self.download.expire(now, self.config.patience, &mut self.pieces, actions);
        self.download.widen(now, &mut self.pieces);
        if !self.stopped
            && let Some(rates) = self.download.rates_due(now)
        {
            self.say(rates, actions);
        }
        self.download.look(&mut self.pieces);
    }

    /// Does all that can be done now, and says STOP when there is nothing left to do.
    pub(super) fn advance(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if !self.stopped {
            self.pump(now, actions);
            self.seal_when_done(now, actions);
        }
        let (download, pieces) = (&self.download, &self.pieces);
        let has = |rank, piece| download.is_held_by(rank, piece, pieces);
        self.upload.push_gains(has, actions);
        for update in self.news.take_due(now, self.have_bytes()) {
            self.say(update, actions);
        }
        self.settle_when_quiet(actions);
        if !self.stopped {
            self.stop_when_sealed(actions);
        }
    }

    /// Asks for as much as the window lets it, and the tracker for holders where none is known.
    fn pump(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if self.inspection.is_some() {
            return;
        }
        self.release_twins(actions);
        self.tell_need(actions);
        self.salvage_more(now, actions);
        // Hashes are recorded at the destination: they, too, wait until that is known to have room.
        if self.admitted && !self.entries.is_halted() {
            self.download.ask_hashes(now, &mut self.pieces, actions);
            for order in self.download.ask_pieces(now, &mut self.pieces) {
                let Order { to, number, pieces } = order;
                let gained = self.upload.gains_for(to);
                let message = Message::Between(Between::Request { number, pieces, gained });
                actions.push(PeerAction::Send { to, message });
            }
        }
        if !self.entries.is_halted()
            && let Some(question) = self.download.ask_tracker(now, &self.pieces)
        {
            self.say(question, actions);
        }
    }

    fn seal_when_done(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if self.inspection.is_some() {
            if self.entries.sealing == Sealing::Open && self.is_concluded(now, actions) {
                self.entries.sealing = Sealing::Done;
            }
            return;
        }
        let done = self.is_all_closed() && self.download.is_idle();
        if done
            && self.entries.sealing == Sealing::Open
            && !self.admitted
            && self.entries.is_halted()
        {
            // There is no room for what this rank wants: it leaves nothing at its destination.
            self.entries.sealing = Sealing::Done;
        } else if done && self.entries.sealing == Sealing::Open {
            self.entries.sealing = Sealing::Begun;
            actions.push(PeerAction::Seal);
        }
    }

    fn on_sealed(&mut self, now: Instant, result: Result<(), Fault>) {
        self.entries.sealing = Sealing::Done;
        match result {
            Ok(()) => {
                let made = self.entries.wanted().iter().map(EntryIndex);
                let made = made.filter(|&entry| self.catalogue.entry(entry).file().is_none());
                made.for_each(|entry| self.news.entry(now, entry.0));
            }
            Err(Fault::Entry(why) | Fault::Disk(why)) => self.entries.note_failure(why),
        }
    }

    fn stop_when_sealed(&mut self, actions: &mut Vec<PeerAction>) {
        if self.entries.sealing == Sealing::Done {
            self.say_stop(self.entries.why_not(), actions);
        }
    }

    /// Says STOP; with the reason, where this rank was not able to receive.
    pub(super) fn say_stop(
        &mut self,
        cannot_receive: Option<String>,
        actions: &mut Vec<PeerAction>,
    ) {
        self.tell_news(actions);
        let cannot_receive = cannot_receive.map(|why| cut(why, ToTracker::MAX_SENTENCE_LEN));
        let stop = Stop {
            cannot_receive,
            counters: self.counters(),
            extra: self.extra(),
            updates: self.updates,
        };
        self.say(ToTracker::Stop(stop), actions);
        self.stopped = true;
    }

    /// Tells all that is new.
    pub(super) fn tell_news(&mut self, actions: &mut Vec<PeerAction>) {
        for update in self.news.take(self.have_bytes()) {
            self.say(update, actions);
        }
    }

    pub(super) fn say(&mut self, message: ToTracker, actions: &mut Vec<PeerAction>) {
        self.updates += u32::from(matches!(message, ToTracker::Update(_)));
        let message = Message::ToTracker(message);
        actions.push(PeerAction::Send { to: self.config.tracker, message });
    }

    /// Gives the tracker a sign of life, and asks for one.
    pub(super) fn sign_of_life(&mut self, actions: &mut Vec<PeerAction>) {
        let gains = Gains { have_bytes: self.have_bytes(), ..Gains::default() };
        self.say(ToTracker::Update(gains), actions);
    }

    /// Bytes of wanted entries that are here and verified.
    pub(super) fn have_bytes(&self) -> u64 {
        self.counters.bytes_delivered + self.counters.bytes_reused
    }

    /// Whether nothing is on its way in or out.
    pub(super) fn is_drained(&self) -> bool {
        self.upload.is_idle() && self.download.is_idle()
    }

    /// What was counted so far.
    pub(super) fn counters(&self) -> Counters {
        let Counters { bytes_received, bytes_wasted, pieces_corrupt, .. } =
            *self.download.counters();
        let bytes_sent = self.upload.bytes_sent();
        Counters { bytes_received, bytes_wasted, pieces_corrupt, bytes_sent, ..self.counters }
    }
}
