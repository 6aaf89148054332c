//! A peer between START and FINISH: the state that both roles share, and the way of each event to
//! its role.

use super::download::Download;
use super::entries::{Entries, Sealing};
use super::gone::Settling;
use super::hashes::Hashes;
use super::holders::Holders;
use super::inspect::Inspection;
use super::news::{News, Questions};
use super::pieces::Pieces;
use super::rates::Rates;
use super::upload::{Gain, MAX_BATCH, Upload};
use super::{Fault, Offered, PeerAction, PeerConfig, PeerEvent};
use crate::message::{Between, FromTracker, Gains, Message, Stop, ToTracker, cut};
use crate::schedule::{Order, Ownership, RateLimiter, Topology, Window};
use crate::{Counters, Held, Instant, Purpose, Rank};
use content::{Bitfield, Catalogue, EntryIndex, HashRange, PieceId};
use std::sync::Arc;
use std::time::Duration;

/// A gain with at most so many known holders is told to the neighbours at once.
const RARE: usize = 2;

/// What is asked for, or on its way, or not yet written, is what comes in this time: a question
/// and its answer pass two links that are full, and each holder has several askers.
const WINDOW: Duration = Duration::from_millis(250);
/// The least window, in pieces, ...
const WINDOW_PIECES: u64 = 20;
/// ... and in bytes.
const WINDOW_BYTES: u64 = 5 << 20;

/// Everything that a peer knows after START.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) config: PeerConfig,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) hashes: Hashes,
    pub(super) entries: Entries,
    /// The pieces, as far as this rank's own destination is concerned.
    pub(super) pieces: Pieces,
    pub(super) holders: Holders,
    /// What was compared, where nothing is fetched.
    pub(super) inspection: Option<Inspection>,
    /// From how far away pieces may be fetched.
    pub(super) ownership: Ownership,
    /// When it is told how near others seem.
    pub(super) rates: Rates,
    pub(super) download: Download,
    pub(super) upload: Upload,
    pub(super) news: News,
    pub(super) questions: Questions,
    pub(super) counters: Counters,
    /// Pieces and bundles in a batch: as many as were asked for, but so few that two batches fit
    /// the window.
    pub(super) batch: usize,
    /// What this rank's cap lets it ask for.
    pub(super) limiter: RateLimiter,
    /// Bytes asked for, on their way, or not yet written, at most.
    pub(super) window: Window,
    /// The bytes of the longest piece or bundle.
    pub(super) longest_piece: u64,
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
        let pieces = catalogue.piece_count();
        let mut serving = Bitfield::new(pieces);
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
        // Ranks begin at places spread evenly over the pieces.
        let cursor = u64::from(config.rank.0) * u64::from(pieces) / u64::from(config.ranks.max(1));
        if pieces > 0 {
            let (entry, index) = catalogue.locate(PieceId(cursor as u32));
            hashes.begin_at((entry, HashRange::covering(index)));
        }
        let longest_piece = catalogue.longest_bundle().max(1);
        let fitting = config.window_bytes / 2 / longest_piece;
        // However many files its bundles have, a request is answered in one message.
        let most = (MAX_BATCH as u64) / u64::from(catalogue.most_in_bundle());
        let batch = u64::from(config.batch).min(fitting).clamp(1, most) as usize;
        let limits = config.limits;
        let batch = RateLimiter::batch(limits.download, batch, longest_piece);
        let request_bytes = longest_piece * batch as u64;
        config.window_bytes =
            RateLimiter::window(limits.download, config.window_bytes, request_bytes);
        let least = [longest_piece * WINDOW_PIECES, WINDOW_BYTES];
        let upload_pace = RateLimiter::new(limits.upload, longest_piece, now);
        Self {
            batch,
            limiter: RateLimiter::new(limits.download, request_bytes, now),
            window: Window::new(WINDOW, least, config.window_bytes, now),
            upload: Upload::new(
                Arc::clone(&catalogue),
                serving,
                longest_piece,
                config.upload_window_bytes,
                upload_pace,
                now,
            ),
            holders: Holders::new(config.rank),
            ownership: Ownership::default(),
            rates: Rates::default(),
            pieces: Pieces::new(Arc::clone(&catalogue), cursor as u32, u64::from(config.rank.0)),
            entries: match config.purpose {
                Purpose::Transfer => Entries::new(&catalogue, wanted, &held_whole),
                Purpose::Check | Purpose::DryRun => Entries::untouched(&catalogue, wanted),
            },
            inspection: (config.purpose != Purpose::Transfer).then(Inspection::default),
            download: Download::default(),
            news: News::new(catalogue.entry_count(), config.batch as usize),
            questions: Questions::new(),
            counters: Counters::default(),
            stopped: false,
            settling: None,
            fresh: Bitfield::default(),
            updates: 0,
            longest_piece,
            config,
            catalogue,
            hashes,
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
        self.ownership = Ownership::new(topology, now);
        self.rates.is_wanted = self.ownership.topology().rack.is_none();
        self.pieces.picker_mut().limit(&self.ownership);
        let topology = Arc::clone(self.ownership.topology());
        self.upload.begin(&self.sendable(), neighbours, topology, actions);
        self.entries.survey_more(actions);
        self.inspect(actions);
    }

    /// Time has passed: what waits for a cap may go on.
    pub(super) fn keep_time(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        self.limiter.keep_time(now);
        self.window.keep_time(now);
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
            PeerEvent::Received(transfer, len) => self.on_received(now, transfer, len, actions),
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

    /// Takes a message of the tracker.
    pub(super) fn on_tracker(
        &mut self,
        now: Instant,
        message: FromTracker,
        actions: &mut Vec<PeerAction>,
    ) {
        match message {
            FromTracker::Admission(Ok(())) => self.admitted = true,
            FromTracker::Admission(Err(why)) => self.halt(&why, actions),
            FromTracker::Holders { question, holders, gone, last } => {
                let mut news = false;
                let limit = self.catalogue.piece_count();
                let (own, ranks) = (self.config.rank, self.config.ranks);
                let others = |at: Rank| at != own && at.0 < ranks;
                for holder in holders.into_iter().filter(|holder| others(holder.rank)) {
                    let ranges = holder.pieces.ranges(limit);
                    news |= self.learn(holder.rank, ranges.into_iter());
                }
                self.on_gone(&gone);
                self.questions.answered(now, question, news, last);
            }
            FromTracker::Settle(number) => self.on_settle(number, actions),
            FromTracker::TellRates => self.say(ToTracker::Rates(self.holders.rates()), actions),
            FromTracker::Moved { neighbours, topology } => {
                self.on_moved(now, &neighbours, *topology, actions);
            }
            FromTracker::ReadAgain(orders) => self.on_read_again(now, orders, actions),
            // Alive asks for nothing; the rest belongs to other phases, or to every one.
            _ => {}
        }
    }

    /// Takes a message of a peer.
    pub(super) fn on_peer(
        &mut self,
        now: Instant,
        from: Rank,
        message: Between,
        actions: &mut Vec<PeerAction>,
    ) {
        if self.holders.is_lost(from) {
            // It woke. What would go to it might never leave, and it is told to end.
            return;
        }
        self.upload.heard(from);
        match message {
            Between::Request { number, pieces, gained } => {
                self.on_gained(from, &gained, None, actions);
                self.upload.request(from, number, &pieces, actions);
            }
            Between::Cancel(number) => self.upload.cancel(from, number, actions),
            Between::AskHashes { entry, range } => {
                let known = self.hashes.range(entry, range).cloned();
                let message =
                    Message::Between(Between::Hashes { entry, index: range, range: known });
                actions.push(PeerAction::Send { to: from, message });
            }
            Between::Gained { pieces, backlog } => {
                self.on_gained(from, &pieces, Some(backlog), actions);
            }
            // Those are for whoever watches the tracker, or has the catalogue's parts.
            Between::Succeed { .. }
            | Between::Unseated
            | Between::AskPart(_)
            | Between::Part { .. } => {}
            Between::Ack(ack) => self.on_ack(now, from, &ack, actions),
            Between::Hashes { entry, index, range } => {
                self.on_hashes(now, from, entry, index, range, actions);
            }
        }
    }

    /// A rank is gone, for this peer's both roles.
    pub(super) fn on_lost(&mut self, rank: Rank, actions: &mut Vec<PeerAction>) {
        self.upload.lost(rank, actions);
        self.hashes.lost(rank);
        self.drop_holder(rank);
    }

    /// A piece is here now: it is served, and the tracker will hear of it. Only what can be
    /// verified is: whoever serves a piece knows its hash.
    pub(super) fn gain(&mut self, now: Instant, piece: PieceId) {
        let known = self.hashes.expected(&self.catalogue, piece).is_some();
        if known && self.upload.serve(piece) {
            let is_rare = self.pieces.picker().availability(piece.0) <= RARE;
            let is_brought = !self.pieces.picker().is_on_host(piece.0);
            // Nobody fetches zeros from afar, nor lets out what a mate on its host can.
            let is_owned = is_brought && self.ownership.owns(piece.0) && !self.is_zeros(piece);
            self.upload.announce(Gain { piece: piece.0, is_rare, is_brought, is_owned });
            self.ownership.gained(now);
            let opens = piece.0 == 0
                || !self.catalogue.travels_with_last(piece)
                || !self.upload.serves(piece.0 - 1);
            self.news.piece(now, piece.0, opens);
        }
    }

    /// A piece's content changed under us, or cannot be read: nothing of its entry is served any
    /// more that lies where this piece does, in the file that was offered or in what is written.
    fn unserve(&mut self, now: Instant, piece: PieceId, actions: &mut Vec<PeerAction>) {
        let (entry, _) = self.catalogue.locate(piece);
        let mut pieces = Bitfield::new(self.catalogue.piece_count());
        let is_written = self.pieces.has(piece);
        for other in self.catalogue.pieces_of(entry) {
            if is_written || !self.pieces.has(PieceId(other)) {
                pieces.insert(other);
            }
        }
        if !self.stop_serving(now, pieces, actions) {
            return;
        }
        actions.push(self.no_longer_offered(entry));
    }

    /// What the user is told of a file that cannot be had from here any more.
    pub(super) fn no_longer_offered(&self, entry: EntryIndex) -> PeerAction {
        let name = &self.catalogue.entry(entry).name;
        PeerAction::Notice(format!(
            "this rank no longer offers '{name}': it changed while it was served, or cannot be read"
        ))
    }

    /// Serves none of these pieces any more; says whether it did.
    pub(super) fn stop_serving(
        &mut self,
        now: Instant,
        pieces: Bitfield,
        actions: &mut Vec<PeerAction>,
    ) -> bool {
        let stopped = self.upload.stop_serving(pieces, actions);
        if !stopped.is_empty() {
            self.news.lost(now, &stopped);
        }
        !stopped.is_empty()
    }

    /// Serves nothing more.
    pub(super) fn close(&mut self) {
        self.upload.close();
    }

    /// What belongs to a time of its own: timeouts, updates that waited long enough.
    pub(super) fn on_tick(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        self.hashes.wake();
        self.pieces.picker_mut().wake();
        self.upload.on_tick();
        self.expire(now, actions);
        self.widen(now);
        self.tell_rates(now, actions);
        let order = match self.holders.look(self.ownership.gains()) {
            true => Order::CommonFirst,
            false => Order::RarestFirst,
        };
        self.pieces.picker_mut().set_order(order);
    }

    /// Does all that can be done now, and says STOP when there is nothing left to do.
    pub(super) fn advance(&mut self, now: Instant, actions: &mut Vec<PeerAction>) {
        if !self.stopped {
            self.pump(now, actions);
            self.seal_when_done(now, actions);
        }
        let Self { upload, holders, pieces, .. } = self;
        let has = |rank, piece| holders.get(rank).is_some_and(|it| it.has(piece, pieces.picker()));
        upload.push_gains(has, actions);
        for update in self.news.take_due(now, self.have_bytes()) {
            self.say(update, actions);
        }
        self.settle_when_quiet(actions);
        if !self.stopped {
            self.stop_when_sealed(actions);
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
        Counters { bytes_sent: self.upload.bytes_sent(), ..self.counters }
    }
}
