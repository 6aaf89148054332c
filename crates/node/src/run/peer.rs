//! What the loop does for its peer: it hands over what happened, and carries out what the peer
//! wants done.

use super::{Closing, Ended, Node};
use crate::budget::Budget;
use crate::disk::{self, Disk};
use crate::job::{Command, Job};
use crate::notice::Notice;
use crate::prepare::{Inventory, Order, Place, Preparation, Prepared};
use crate::transport::Ticket;
use content::{Bitfield, Catalogue, EntryIndex};
use std::collections::VecDeque;
use std::sync::Arc;
use store::{Bounds, Comparison, Store};
use swarm::message::Envelope;
use swarm::peer::{Peer, PeerAction, PeerConfig, PeerEvent};
use swarm::{Channel, EntryShares, Instant, Outcome, Purpose, Rank};

/// Results of the workers that are taken in one round, so that they do not keep messages, and the
/// time, waiting: each may be the cause of the next.
const RESULTS_A_ROUND: usize = 64;

/// A peer on this rank.
pub(super) fn new(job: &Job, rank: Rank, ranks: u32, now: Instant) -> Peer {
    let budget = Budget::of(job.memory);
    let config = PeerConfig {
        rank,
        ranks,
        tracker: Rank::TRACKER,
        batch: job.batch,
        window_bytes: budget.window,
        upload_window_bytes: budget.upload_window,
        entry_bytes: budget.windows_entry(),
        limits: job.limits,
        delete: job.delete && !job.wants.is_empty(),
        purpose: job.purpose,
        patience: job.patience,
    };
    Peer::new(config, now)
}

impl Node<'_> {
    pub(super) fn take_preparation(&mut self) -> bool {
        let Some(prepared) = self.preparation.as_ref().and_then(Preparation::next) else {
            return false;
        };
        let event = match prepared {
            Prepared::Hello(hello) => PeerEvent::Hello(hello),
            Prepared::Notice(notice) => {
                self.observer.notice(&notice);
                return true;
            }
            Prepared::PiecesRead(read) => PeerEvent::PiecesRead(read),
            Prepared::Unread(unread) => PeerEvent::Unread(unread),
            Prepared::Trouble(sentence) => PeerEvent::Trouble(sentence),
            Prepared::Abandoned => {
                self.closed();
                PeerEvent::Closed
            }
            Prepared::Offered(mut inventory) => {
                tracing::info!(entries = inventory.offered.len(), "what is shared here is known");
                self.unkept = std::mem::take(&mut inventory.notices);
                let offered = std::mem::take(&mut inventory.offered);
                let left_out = std::mem::take(&mut inventory.left_out);
                self.inventory = Some(inventory);
                self.peer_event(PeerEvent::LeftOut(left_out));
                PeerEvent::Offered(offered)
            }
        };
        self.peer_event(event);
        true
    }

    pub(super) fn take_results(&mut self) -> bool {
        let mut any = false;
        for _ in 0..RESULTS_A_ROUND {
            let Some(outcome) = self.disk.as_mut().and_then(Disk::next) else { break };
            any = true;
            match outcome {
                disk::Outcome::Event(event) => self.peer_event(event),
                disk::Outcome::EventAndNotice(event, notice) => {
                    self.observer.notice(&notice);
                    self.peer_event(event);
                }
                disk::Outcome::Closed(removed, notices) => {
                    self.unkept.extend(notices);
                    self.closed();
                    if removed > 0 {
                        self.peer_event(PeerEvent::ExtraRemoved(removed));
                    }
                    self.peer_event(PeerEvent::Closed);
                }
                disk::Outcome::Nothing => {}
            }
        }
        any
    }

    /// All disk work is over: says what could not be kept as it was.
    fn closed(&mut self) {
        self.closing = Closing::Closed;
        for notice in std::mem::take(&mut self.unkept) {
            self.observer.notice(&notice);
        }
    }

    pub(super) fn peer_event(&mut self, event: PeerEvent) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.now();
            // Whoever has exited has nothing left to do, whatever still comes.
            let Some(peer) = self.peer.as_mut().filter(|peer| !peer.has_exited()) else { return };
            for action in peer.handle(now, event) {
                events.extend(self.peer_action(action));
            }
        }
    }

    /// Carries out what the peer wants done. Gives the event, where that is over at once.
    fn peer_action(&mut self, action: PeerAction) -> Option<PeerEvent> {
        match action {
            PeerAction::Send { to, message } => {
                let epoch = self.peer.as_ref().expect("only a peer acts").epoch();
                self.send(to, Envelope { epoch, message });
            }
            PeerAction::Prepare(positions) => {
                if let Some(preparation) = &self.preparation {
                    preparation.order(Order::Read(positions));
                }
            }
            PeerAction::Walk(positions) => {
                if let Some(preparation) = &self.preparation {
                    preparation.order(Order::Walk(positions));
                }
            }
            PeerAction::ReadPieces(orders) => {
                if let Some(preparation) = &self.preparation {
                    preparation.order(Order::Pieces(orders));
                }
            }
            PeerAction::Keep(kept) => {
                if let Some(preparation) = &self.preparation {
                    preparation.end_reading();
                }
                if let Some(inventory) = &mut self.inventory {
                    inventory.keep(kept);
                }
            }
            PeerAction::Succeed(succession) => self.succeed(*succession),
            PeerAction::Abdicate => self.abdicate(),
            PeerAction::Begin { catalogue, wanted, origins } => {
                self.begin(catalogue, wanted, origins);
            }
            PeerAction::Notice(text) => self.observer.notice(&Notice::Told(text)),
            PeerAction::Exit { outcome, lost } => {
                tracing::info!(outcome = outcome.word(), lost, "the job is over");
                self.ended = Some(Ended { outcome, lost, is_tracker: false, peak_buffer_bytes: 0 });
            }
            PeerAction::Close(_) if self.closing == Closing::Closed => {
                return Some(PeerEvent::Closed);
            }
            PeerAction::Close(outcome) => self.close(outcome),
            action => return self.disk_action(action),
        }
        None
    }

    /// START: opens the store over all that was found.
    fn begin(&mut self, catalogue: Arc<Catalogue>, wanted: Bitfield, origins: EntryShares) {
        let inventory = self.inventory.take().expect("START comes after INIT");
        let destination = self.preparation.as_ref().and_then(Preparation::destination);
        let mut local = Vec::new();
        for index in wanted.iter().filter(|_| !inventory.local_sources.is_empty()).map(EntryIndex) {
            let entry = catalogue.entry(index);
            let found = inventory.local_sources.iter().find_map(|source| source.find(entry));
            local.extend(found.map(|source| (entry.name.clone(), source)));
        }
        tracing::info!(
            entries = catalogue.entry_count(),
            pieces = catalogue.piece_count(),
            wanted = wanted.count(),
            "START"
        );
        let Inventory { shared, partials, source, .. } = *inventory;
        let all = Arc::clone(&catalogue);
        let replaced = self.job.delete.then(|| bounds(&self.job));
        let (store, comparison) = match destination {
            Some(Place::Seen(look)) => {
                let comparison =
                    Comparison::new(Arc::clone(&all), &wanted, &shared, &partials, look);
                let nothing = Bitfield::new(wanted.len());
                let store = Store::new(all, nothing, shared, Vec::new(), Vec::new(), None);
                (store, Some(comparison.replacing(replaced)))
            }
            Some(Place::Claimed(destination)) => {
                let store = Store::new(all, wanted, shared, local, partials, Some(destination));
                (store.replacing(replaced), None)
            }
            None => (Store::new(all, wanted, shared, local, partials, None), None),
        };
        let budget = Budget::of(self.job.memory);
        let workers = budget.workers(self.job.threads, &catalogue);
        let buffers = (self.pool.clone(), budget.kept_beside(catalogue.entry_count()));
        let store = store.coming_from(origins);
        let disk = Disk::new(store, catalogue, workers, buffers).seeing(source);
        self.disk = Some(disk.comparing(comparison).worded(self.job.words));
    }

    /// Ends the disk work; a job that was refused, or never began, leaves no trace.
    pub(super) fn close(&mut self, outcome: Outcome) {
        self.closing = Closing::Begun;
        // Only where nobody lacks anything: else a file may be needed that is thought to be extra.
        let removes = self.job.delete
            && outcome == Outcome::Complete
            && self.job.purpose == Purpose::Transfer
            && !self.job.wants.is_empty();
        match (&mut self.disk, &self.preparation) {
            (Some(disk), _) if outcome == Outcome::Refused => disk.close(disk::Closing::Abandon),
            (Some(disk), _) => {
                let bounds = removes.then(|| bounds(&self.job));
                disk.close(disk::Closing::Keep(bounds));
            }
            (None, Some(preparation)) => preparation.abandon(),
            (None, None) => unreachable!("only a peer closes"),
        }
    }

    fn disk_action(&mut self, action: PeerAction) -> Option<PeerEvent> {
        let disk = self.disk.as_mut().expect("the disk is there from START on");
        match action {
            PeerAction::ListExtra => disk.list_extra(bounds(&self.job)),
            PeerAction::Inspect(entry) => disk.inspect(entry),
            PeerAction::Survey(entry) => disk.survey(entry),
            PeerAction::Salvage(piece, expected) => disk.salvage(piece, expected),
            PeerAction::Reread(piece, expected) => disk.reread(piece, expected),
            PeerAction::Record(entry, range) => disk.record(entry, range),
            PeerAction::Receive { from, transfer, pieces } => {
                let buffer = disk.buffer(pieces);
                tracing::debug!(
                    "{} {from} -> {}: {} from piece {} on are awaited",
                    Channel::Piece,
                    self.rank,
                    pieces.count,
                    pieces.first
                );
                self.transport.receive_piece(from, Ticket(transfer.0), buffer);
            }
            PeerAction::Store { transfer, pieces, expected } => {
                disk.store(transfer, pieces, expected);
            }
            PeerAction::Discard { transfer } => disk.discard(transfer),
            PeerAction::Load { transfer, pieces } => return disk.load(transfer, pieces),
            PeerAction::SendPiece { to, transfer } => {
                let piece = disk.take_loaded(transfer);
                tracing::debug!("{} {} -> {to}: {} bytes", Channel::Piece, self.rank, piece.len());
                self.moved_bytes += piece.len() as u64;
                self.sending.insert(transfer);
                self.transport.send_piece(to, Ticket(transfer.0), Some(piece));
            }
            PeerAction::Withdraw { to, transfer } => {
                tracing::debug!("{} {} -> {to}: withdrawn", Channel::Piece, self.rank);
                self.transport.send_piece(to, Ticket(transfer.0), None);
            }
            PeerAction::Finish(entry) => return disk.finish(entry),
            PeerAction::Seal => disk.seal(),
            other => unreachable!("{other:?} is no work for the disk"),
        }
        None
    }
}

/// Where what the catalogue lacks is looked for, and what is left alone there.
fn bounds(job: &Job) -> Bounds {
    Bounds {
        only_below_entries: job.command == Command::Cast,
        spared: job.shares.iter().map(|share| share.path.clone()).collect(),
    }
}
