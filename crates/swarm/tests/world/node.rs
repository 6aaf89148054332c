//! A rank of the little world: its machine, a model of its disk, and what it does with the
//! machine's actions.

use super::orders::{Orders, Refuses, Standing, is_zeros};
use super::{Event, World};
use content::{Bitfield, Catalogue, EntryIndex, Name, PieceId, Span, Tie, Twins, VerifiedLayer};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use swarm::message::Envelope;
use swarm::peer::{Fault, Peer, PeerAction, PeerEvent, Salvaged, Stored, Surveyed, TransferId};
use swarm::tracker::Tracker;
use swarm::{Channel, Instant, Outcome, Rank};

/// What is on a rank's disk, and what the disk was asked for.
#[derive(Default)]
pub struct Disk {
    pub catalogue: Option<Arc<Catalogue>>,
    /// The entries that this rank is to write.
    pub assigned: Bitfield,
    pub finished: BTreeSet<EntryIndex>,
    pub written: BTreeSet<PieceId>,
    pub sealed: bool,
    /// What it refused.
    pub refused_entries: BTreeSet<EntryIndex>,
    /// Complete files whose hashes it does not know.
    pub unproven: BTreeSet<EntryIndex>,
    pub is_full: bool,
    reads: u32,
}

pub struct Node {
    pub orders: Orders,
    /// What it offers whole; of a cast only what it was told to read.
    pub offered: BTreeSet<Name>,
    /// Whether it takes part from the beginning: all do but a dedicated tracker.
    pub is_peer: bool,
    pub peer: Option<Peer>,
    pub tracker: Option<Tracker>,
    pub disk: Disk,
    /// Receives posted for each rank, in order.
    pub receives: BTreeMap<Rank, VecDeque<(TransferId, Span)>>,
    /// Pieces that came and were neither stored nor discarded, and whether they are good.
    pub came: BTreeMap<TransferId, bool>,
    /// Pieces that were read and neither sent nor discarded.
    pub loads: BTreeMap<TransferId, Span>,
    pub alive: bool,
    /// Whether it ever slept.
    pub slept: bool,
    /// Whether its disk work was ended.
    pub closed: bool,
    pub asleep_until: Option<Instant>,
    /// What it exited with.
    pub exited: Option<(Outcome, bool)>,
    /// How many reports there were by then.
    pub exited_after: usize,
}

impl Node {
    pub fn new(orders: Orders, is_peer: bool) -> Self {
        Self {
            orders,
            offered: BTreeSet::new(),
            is_peer,
            peer: None,
            tracker: None,
            disk: Disk::default(),
            receives: BTreeMap::new(),
            came: BTreeMap::new(),
            loads: BTreeMap::new(),
            alive: true,
            slept: false,
            closed: false,
            asleep_until: None,
            exited: None,
            exited_after: 0,
        }
    }

    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(self.disk.catalogue.as_ref().expect("START has come"))
    }

    /// Whether this rank's own files are as they were when they were offered.
    pub fn is_readable(&self) -> bool {
        self.orders.good_reads.is_none_or(|good| self.disk.reads <= good)
    }

    /// Whether it has a piece in a file that it offers.
    pub fn offers(&self, piece: PieceId) -> bool {
        let catalogue = self.catalogue();
        self.offered.contains(&catalogue.entry(catalogue.locate(piece).0).name)
    }

    /// Bytes of zeros in entries that it is to write, and has not finished.
    pub fn unwritten_zeros(&self, catalogue: &Catalogue) -> u64 {
        let open = self.disk.assigned.iter().map(EntryIndex);
        let open = open.filter(|entry| !self.disk.finished.contains(entry));
        let pieces = open.flat_map(|entry| catalogue.pieces_of(entry)).map(PieceId);
        let zeros = pieces
            .filter(|&piece| !self.disk.written.contains(&piece) && is_zeros_in(catalogue, piece));
        zeros.map(|piece| u64::from(catalogue.piece_size(piece))).sum()
    }

    fn refuses(&mut self, entry: EntryIndex, when: Refuses) -> Result<(), Fault> {
        let name = self.catalogue().entry(entry).name.to_string();
        if self.orders.bad_entry != Some((name.clone(), when)) {
            return Ok(());
        }
        self.disk.refused_entries.insert(entry);
        if when == Refuses::SurveyOfDisk {
            self.disk.is_full = true;
            return Err(Fault::Disk("read-only file system".into()));
        }
        Err(Fault::Entry(format!("'{name}' cannot be written: {when:?}")))
    }

    fn survey(
        &mut self,
        entry: EntryIndex,
        layer: Option<VerifiedLayer>,
    ) -> Result<Surveyed, Fault> {
        self.refuses(entry, Refuses::Survey)?;
        self.refuses(entry, Refuses::SurveyOfDisk)?;
        let catalogue = self.catalogue();
        let described = catalogue.entry(entry);
        let range = catalogue.pieces_of(entry);
        let name = described.name.to_string();
        let standing = self.orders.standing.iter().find(|(standing, _)| *standing == name);
        if let Some((_, what @ (Standing::Complete | Standing::CompleteUnproven))) = standing {
            self.disk.written.extend(range.map(PieceId));
            self.disk.finished.insert(entry);
            if *what == Standing::Complete {
                return Ok(Surveyed::Complete(layer));
            }
            self.disk.unproven.insert(entry);
            return Ok(Surveyed::Complete(None));
        }
        if let Some((source, Tie::Link)) = self.twin(entry)
            && self.disk.finished.contains(&source)
        {
            self.disk.written.extend(range.map(PieceId));
            self.disk.finished.insert(entry);
            return Ok(Surveyed::Linked);
        }
        let rotten = self.orders.rotten_partials;
        let partial = self.orders.partials.iter().find(|(partial, _)| partial == described);
        if let Some((_, pieces)) = partial {
            let mut held = Bitfield::new(range.len() as u32);
            for &piece in pieces.iter().filter(|&piece| !rotten || piece % 2 == 0) {
                held.insert(piece);
                self.disk.written.insert(PieceId(range.start + piece));
            }
            return Ok(Surveyed::Partial(held));
        }
        let own = self.orders.cast && self.orders.shares.contains(described);
        let any = own || standing.is_some();
        Ok(if any { Surveyed::Candidate } else { Surveyed::Nothing })
    }

    /// What an entry may be made from here.
    fn twin(&self, entry: EntryIndex) -> Option<(EntryIndex, Tie)> {
        let catalogue = self.catalogue();
        let mut held = Bitfield::new(catalogue.entry_count());
        for (index, described) in catalogue.iter() {
            if self.offered.contains(&described.name) {
                held.insert(index.0);
            }
        }
        Twins::new(&catalogue, &self.disk.assigned, &held).source(entry)
    }

    /// Whether a file of the same content is here and can be read.
    fn is_in_twin(&self, entry: EntryIndex) -> bool {
        let Some((source, _)) = self.twin(entry) else { return false };
        let offered = self.offered.contains(&self.catalogue().entry(source).name);
        self.disk.finished.contains(&source) || offered && self.is_readable()
    }

    fn salvage(&mut self, piece: PieceId) -> Result<Salvaged, Fault> {
        let catalogue = self.catalogue();
        let (entry, index) = catalogue.locate(piece);
        let name = catalogue.entry(entry).name.to_string();
        let stands = self.orders.standing.iter().any(|(standing, what)| {
            let has = matches!(what, Standing::Candidate(pieces) if pieces.contains(&index.0));
            *standing == name && has
        });
        let source = catalogue.entry(entry);
        let copied = is_zeros_in(&catalogue, piece)
            || self.is_in_twin(entry)
            || self.orders.shares.contains(source) && self.is_readable();
        if !stands && !copied {
            return Ok(Salvaged::Absent);
        }
        self.write(piece)?;
        Ok(if stands { Salvaged::Reused } else { Salvaged::Copied })
    }

    /// Stores pieces of what came; where that is bad, its first piece does not verify.
    fn store(
        &mut self,
        transfer: TransferId,
        pieces: impl Iterator<Item = PieceId>,
    ) -> Vec<(PieceId, Result<Stored, Fault>)> {
        let mut good = self.came.remove(&transfer).expect("received before it is stored");
        let mut store = |piece| {
            if !std::mem::replace(&mut good, true) {
                return Ok(Stored::Corrupt);
            }
            self.write(piece)?;
            Ok(Stored::Written)
        };
        pieces.map(|piece| (piece, store(piece))).collect()
    }

    fn write(&mut self, piece: PieceId) -> Result<(), Fault> {
        self.refuses(self.catalogue().locate(piece).0, Refuses::Write)?;
        if self.orders.disk_pieces.is_some_and(|room| self.disk.written.len() as u32 >= room) {
            self.disk.is_full = true;
            return Err(Fault::Disk("no space left on device".into()));
        }
        assert!(self.disk.written.insert(piece), "piece {} is written twice", piece.0);
        Ok(())
    }

    fn load(&mut self, transfer: TransferId, pieces: Span) -> Result<(), PieceId> {
        self.loads.insert(transfer, pieces);
        self.disk.reads += 1;
        let mut pieces = pieces.numbers().map(PieceId);
        let can_read = |piece| {
            assert!(!is_zeros_in(&self.catalogue(), piece), "somebody asks for zeros");
            let held = self.disk.written.contains(&piece);
            (held || self.offers(piece) || self.has_unsurveyed(piece)) && self.is_readable()
        };
        pieces.find(|&piece| !can_read(piece)).map_or(Ok(()), Err)
    }

    /// Whether a piece lies in a part of an earlier run, which is offered before it is surveyed.
    fn has_unsurveyed(&self, piece: PieceId) -> bool {
        let catalogue = self.catalogue();
        let (entry, index) = catalogue.locate(piece);
        let described = catalogue.entry(entry);
        let rotten = self.orders.rotten_partials && index.0 % 2 != 0;
        let mut partials = self.orders.partials.iter();
        !rotten && partials.any(|(of, pieces)| of == described && pieces.contains(&index.0))
    }

    fn finish(&mut self, entry: EntryIndex) -> Result<(), Fault> {
        self.refuses(entry, Refuses::Finish)?;
        let catalogue = self.catalogue();
        // A file that was new reads as zeros where nothing was written.
        let mut pieces = catalogue.pieces_of(entry);
        let zeros = pieces.clone().map(PieceId).filter(|&piece| is_zeros_in(&catalogue, piece));
        self.disk.written.extend(zeros);
        let whole = pieces.all(|piece| self.disk.written.contains(&PieceId(piece)));
        assert!(whole, "entry {} is finished before it is whole", entry.0);
        assert!(self.disk.finished.insert(entry), "an entry is finished once");
        Ok(())
    }
}

impl World {
    pub(super) fn peer_event(&mut self, rank: Rank, event: PeerEvent) {
        let now = self.now;
        let node = &mut self.nodes[rank.index()];
        let Some(peer) = node.peer.as_mut().filter(|_| node.exited.is_none()) else { return };
        let actions = peer.handle(now, event);
        if self.is_checked() {
            self.nodes[rank.index()].peer.as_ref().expect("it just acted").check_invariants();
        }
        for action in actions {
            self.peer_action(rank, action);
        }
    }

    fn peer_action(&mut self, rank: Rank, action: PeerAction) {
        let node = &mut self.nodes[rank.index()];
        assert!(node.exited.is_none(), "rank {rank} wants {action:?} done after its exit");
        match action {
            PeerAction::Send { to, message } => {
                let epoch = node.peer.as_ref().unwrap().epoch();
                self.send(rank, to, &Envelope { epoch, message });
            }
            PeerAction::Walk(_) | PeerAction::ReadPieces(_) | PeerAction::Keep(_) => {
                unreachable!("no rank says that all see its source")
            }
            PeerAction::Prepare(positions) => {
                self.prepare(rank, Some(&positions));
            }
            PeerAction::Begin { catalogue, wanted, .. } => {
                node.disk.catalogue = Some(catalogue);
                node.disk.assigned = wanted;
            }
            PeerAction::Receive { from, transfer, pieces } => {
                node.receives.entry(from).or_default().push_back((transfer, pieces));
            }
            PeerAction::SendPiece { to, transfer } => self.send_piece(rank, to, transfer),
            PeerAction::Withdraw { to, .. } => {
                self.pieces.entry((rank, to)).or_default().push_back(None);
                self.later(Event::Arrive { from: rank, to, channel: Channel::Piece });
            }
            PeerAction::Close(_) => {
                assert!(node.came.is_empty(), "rank {rank} forgets {:?}", node.came);
                assert!(node.loads.is_empty(), "rank {rank} forgets {:?}", node.loads);
                node.closed = true;
                let slow = node.orders.slow_close;
                self.after(slow, Event::Peer(rank, PeerEvent::Closed));
            }
            PeerAction::Succeed(succession) => self.succeed(rank, *succession),
            PeerAction::Abdicate => self.abdicate(rank),
            PeerAction::Exit { outcome, lost } => {
                node.exited = Some((outcome, lost));
                node.exited_after = self.reports.len();
            }
            PeerAction::Notice(text) => self.notices.push(text),
            PeerAction::Discard { transfer } => {
                node.loads.remove(&transfer);
                node.came.remove(&transfer);
            }
            PeerAction::Survey(entry) => {
                let layer = self.layers.whole(node.catalogue().entry(entry));
                let found = node.survey(entry, layer);
                self.later(Event::Peer(rank, PeerEvent::Surveyed(entry, found)));
            }
            action => {
                if let Some(event) = disk_action(node, action) {
                    self.later(Event::Peer(rank, event));
                }
            }
        }
    }

    fn send_piece(&mut self, rank: Rank, to: Rank, transfer: TransferId) {
        let node = &mut self.nodes[rank.index()];
        let pieces = node.loads.remove(&transfer).expect("loaded before it is sent");
        let good = !node.orders.corrupts;
        self.pieces.entry((rank, to)).or_default().push_back(Some((pieces, good, transfer)));
        self.later(Event::Arrive { from: rank, to, channel: Channel::Piece });
        if !self.settings.rendezvous {
            self.later(Event::Peer(rank, PeerEvent::Sent(transfer)));
        }
    }
}

fn is_zeros_in(catalogue: &Catalogue, piece: PieceId) -> bool {
    let (entry, index) = catalogue.locate(piece);
    is_zeros(catalogue.entry(entry), index)
}

/// What the disk does, at once; its event comes when it comes.
fn disk_action(node: &mut Node, action: PeerAction) -> Option<PeerEvent> {
    Some(match action {
        PeerAction::Salvage(piece, _) | PeerAction::Reread(piece, _) => {
            PeerEvent::Salvaged(piece, node.salvage(piece))
        }
        PeerAction::Store { transfer, expected, .. } => {
            let pieces = expected.into_iter().map(|(piece, _)| piece);
            PeerEvent::Stored(transfer, node.store(transfer, pieces))
        }
        PeerAction::Load { transfer, pieces } => {
            PeerEvent::Loaded(transfer, node.load(transfer, pieces))
        }
        PeerAction::Finish(entry) => PeerEvent::Finished(entry, node.finish(entry)),
        PeerAction::Seal => {
            assert!(!std::mem::replace(&mut node.disk.sealed, true), "sealed once");
            PeerEvent::Sealed(Ok(()))
        }
        PeerAction::Record(entry, _) => {
            PeerEvent::Failed(entry, node.refuses(entry, Refuses::Record).err()?)
        }
        other => unreachable!("{other:?} is no work for the disk"),
    })
}
