//! A peer's driver that keeps its side of the contract: whatever the peer wants done ends, in any
//! order and any way that it may. It also knows what a peer must never want.

use crate::input::Input;
use crate::words::{self, RANKS, catalogue, layer_of};
use content::{Bitfield, Catalogue, EntryIndex, Hash, PieceId, Span};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use swarm::message::{Between, Envelope, Epoch, Message, PiecesRead, ReadFault, ReadOrder, Unread};
use swarm::peer::{
    Fault, Inspected, PeerAction, PeerEvent, Salvaged, Stored, Surveyed, TransferId,
};
use swarm::{Extra, Rank};

/// Something that the peer wants done, and that will end.
enum Task {
    ListExtra,
    Read(ReadOrder),
    Inspect(EntryIndex),
    Survey(EntryIndex),
    Salvage(PieceId),
    Record(EntryIndex),
    Store(TransferId, Vec<PieceId>),
    Load(TransferId, Span),
    Send(TransferId),
    Finish(EntryIndex),
    Seal,
    Close,
}

pub struct Driver {
    own: Rank,
    /// As START told it.
    catalogue: Catalogue,
    tasks: Vec<Task>,
    /// Receives that are posted, from each rank in order.
    posted: BTreeMap<Rank, VecDeque<(TransferId, Span)>>,
    /// Pieces that were asked of each rank and for which no receive was posted yet.
    asked: BTreeMap<(Rank, PieceId), u32>,
    /// Pieces and bundles that were acknowledged to each rank, and not sent or withdrawn yet.
    owed: BTreeMap<Rank, u64>,
    buffers: BTreeSet<TransferId>,
    lost: BTreeSet<Rank>,
    pub has_begun: bool,
    closing: bool,
    pub exited: bool,
}

impl Driver {
    pub fn new(own: Rank) -> Self {
        Self {
            own,
            catalogue: catalogue(),
            tasks: Vec::new(),
            posted: BTreeMap::new(),
            asked: BTreeMap::new(),
            owed: BTreeMap::new(),
            buffers: BTreeSet::new(),
            lost: BTreeSet::new(),
            has_begun: false,
            closing: false,
            exited: false,
        }
    }

    /// Requests of other ranks that are remembered are bounded, and so are receives.
    pub fn posted(&self) -> usize {
        self.posted.values().map(VecDeque::len).sum()
    }

    /// Nothing comes from a rank that is gone.
    pub fn lose(&mut self, rank: Rank) {
        self.lost.insert(rank);
        self.posted.remove(&rank);
        self.owed.remove(&rank);
    }

    pub fn carry_out(&mut self, action: PeerAction) {
        match action {
            PeerAction::Send { to, message } => self.send(to, message),
            PeerAction::Begin { catalogue, .. } => {
                assert!(!std::mem::replace(&mut self.has_begun, true), "START comes once");
                self.catalogue = (*catalogue).clone();
            }
            PeerAction::Receive { from, transfer, pieces } => self.receive(from, transfer, pieces),
            PeerAction::ListExtra => self.tasks.push(Task::ListExtra),
            PeerAction::Inspect(entry) => self.tasks.push(Task::Inspect(entry)),
            PeerAction::Survey(entry) => self.tasks.push(Task::Survey(entry)),
            PeerAction::Salvage(piece, _) | PeerAction::Reread(piece, _) => {
                self.tasks.push(Task::Salvage(piece))
            }
            PeerAction::Record(entry, _) => self.tasks.push(Task::Record(entry)),
            PeerAction::Store { transfer, pieces, expected } => {
                assert!(self.buffers.remove(&transfer), "only what came is stored");
                let expected: Vec<PieceId> = expected.into_iter().map(|(piece, _)| piece).collect();
                let came = pieces.numbers();
                assert!(!expected.is_empty() && expected.is_sorted());
                assert!(expected.iter().all(|piece| came.contains(&piece.0)), "it came");
                self.tasks.push(Task::Store(transfer, expected));
            }
            PeerAction::Discard { transfer } => drop(self.buffers.remove(&transfer)),
            PeerAction::Load { transfer, pieces } => {
                self.travels_as_one(pieces);
                self.tasks.push(Task::Load(transfer, pieces));
            }
            PeerAction::SendPiece { to, transfer } => {
                assert!(self.buffers.remove(&transfer), "only what was read is sent");
                self.pay(to);
                self.tasks.push(Task::Send(transfer));
            }
            PeerAction::Withdraw { to, .. } => self.pay(to),
            PeerAction::Finish(entry) => self.tasks.push(Task::Finish(entry)),
            PeerAction::Seal => self.tasks.push(Task::Seal),
            PeerAction::Close(_) => {
                assert!(!std::mem::replace(&mut self.closing, true), "it closes once");
                self.tasks.push(Task::Close);
            }
            PeerAction::Exit { .. } => {
                assert!(!std::mem::replace(&mut self.exited, true), "it exits once");
            }
            PeerAction::Prepare(positions) | PeerAction::Walk(positions) => {
                assert!(positions.len() <= 4);
            }
            PeerAction::ReadPieces(orders) => orders.into_iter().for_each(|order| {
                self.tasks.push(Task::Read(order));
            }),
            PeerAction::Keep(kept) => {
                assert!(!self.has_begun, "what was read is known before START");
                assert!(kept.iter().all(|kept| kept.layer.is_some()), "all of it is proven");
                self.tasks.retain(|task| !matches!(task, Task::Read(_)));
            }
            PeerAction::Notice(text) => assert!(!text.is_empty()),
            // The tracker that this rank becomes is a machine of its own, and a target of its own.
            PeerAction::Succeed(_) | PeerAction::Abdicate => {}
        }
    }

    fn send(&mut self, to: Rank, message: Message) {
        assert!(to.0 < RANKS, "a message to rank {to}, which does not exist");
        let own = to == self.own;
        assert!(!own || matches!(message, Message::ToTracker(_)), "a message to itself");
        match &message {
            Message::Between(Between::Request { pieces, .. }) => {
                let limit = self.catalogue.piece_count();
                let pieces = pieces.iter().flat_map(|span| span.checked(limit).expect("it exists"));
                for piece in pieces {
                    *self.asked.entry((to, PieceId(piece))).or_default() += 1;
                }
            }
            Message::Between(Between::Ack(ack)) if !self.lost.contains(&to) => {
                let limit = self.catalogue.piece_count();
                let runs = ack.follows.iter().map(|span| span.checked(limit).expect("it exists"));
                let count: usize = runs.map(|run| self.catalogue.bundles(run).count()).sum();
                *self.owed.entry(to).or_default() += count as u64;
            }
            _ => {}
        }
        Envelope { epoch: Epoch::FIRST, message }.encode();
    }

    fn receive(&mut self, from: Rank, transfer: TransferId, pieces: Span) {
        assert!(from.0 < RANKS && from != self.own, "a receive from rank {from}");
        self.travels_as_one(pieces);
        for piece in pieces.numbers().map(PieceId) {
            let asked = self.asked.get_mut(&(from, piece)).filter(|asked| **asked > 0);
            *asked.expect("only what was asked for is awaited") -= 1;
        }
        if !self.lost.contains(&from) {
            self.posted.entry(from).or_default().push_back((transfer, pieces));
        }
    }

    /// A single piece, or a bundle or a part of one.
    fn travels_as_one(&self, pieces: Span) {
        let run = pieces.checked(self.catalogue.piece_count()).expect("it exists");
        assert_eq!(self.catalogue.bundles(run).count(), 1, "{pieces:?}");
    }

    /// A piece goes out, or nothing in its place.
    fn pay(&mut self, to: Rank) {
        assert!(to.0 < RANKS && to != self.own, "a piece to rank {to}");
        if !self.lost.contains(&to) {
            let owed = self.owed.get_mut(&to).filter(|owed| **owed > 0);
            *owed.expect("only what was acknowledged goes out") -= 1;
        }
    }

    /// Something ends, somehow.
    pub fn complete(&mut self, input: &mut Input<'_>) -> Option<PeerEvent> {
        let posted: Vec<Rank> =
            self.posted.iter().filter(|(_, row)| !row.is_empty()).map(|(&rank, _)| rank).collect();
        let at = input.below((self.tasks.len() + posted.len()).max(1));
        if let Some(&from) = posted.get(at) {
            return Some(self.received(from, input));
        }
        let at = at - posted.len();
        if at >= self.tasks.len() {
            return None;
        }
        // All other disk work ends before the store is closed.
        let only = self.tasks.len() == 1;
        if matches!(self.tasks[at], Task::Close) && !only {
            return None;
        }
        let task = self.tasks.remove(at);
        self.end(task, input)
    }

    fn received(&mut self, from: Rank, input: &mut Input<'_>) -> PeerEvent {
        let (transfer, pieces) =
            self.posted.get_mut(&from).and_then(VecDeque::pop_front).expect("listed above");
        self.buffers.insert(transfer);
        let whole = self.catalogue.bundle_size(pieces) as u32;
        let len = match input.below(8) {
            0 => 0,
            1 => whole - 1,
            _ => whole,
        };
        PeerEvent::Received(transfer, len)
    }

    fn end(&mut self, task: Task, input: &mut Input<'_>) -> Option<PeerEvent> {
        let choice = input.below(12);
        let fault = if choice == 0 {
            Some(Fault::Disk("the disk is full".into()))
        } else {
            (choice == 1).then(|| Fault::Entry("a directory stands there".into()))
        };
        Some(match task {
            Task::ListExtra => {
                let names = input.several(2, |input| format!("x{}", input.byte()));
                PeerEvent::ExtraListed(Extra { count: names.len() as u64, names })
            }
            Task::Read(ReadOrder { entry, pieces, .. }) => {
                if choice < 2 {
                    let (fault, why) = (ReadFault::Source, "it is gone".into());
                    return Some(PeerEvent::Unread(Unread { name: entry.name, fault, why }));
                }
                let first = pieces.first;
                let hash = |piece: u32| Hash([1 + (first + piece) as u8; 32]);
                let hashes = (0..pieces.count).map(hash).collect();
                PeerEvent::PiecesRead(vec![PiecesRead { entry, first, hashes }])
            }
            Task::Inspect(entry) => {
                let equal = choice > 5;
                let differences = words::differences(input).only_if(!equal);
                let bytes_in_place = input.wide();
                let obstacle = (choice == 0).then(|| "a directory stands there".to_owned());
                PeerEvent::Inspected(entry, Inspected { differences, bytes_in_place, obstacle })
            }
            Task::Survey(entry) => {
                let found = fault.map_or_else(|| Ok(self.survey(entry, input)), Err);
                PeerEvent::Surveyed(entry, found)
            }
            Task::Salvage(piece) => {
                let all = [Salvaged::Reused, Salvaged::Copied, Salvaged::Absent];
                PeerEvent::Salvaged(piece, fault.map_or(Ok(all[choice % 3]), Err))
            }
            Task::Record(entry) => PeerEvent::Failed(entry, fault?),
            Task::Store(transfer, pieces) => {
                // What befalls a bundle may befall one of its files alone.
                let alone = pieces[input.below(pieces.len())];
                let every = input.below(2) == 0;
                let stored = if choice < 4 { Stored::Corrupt } else { Stored::Written };
                let how = fault.map_or(Ok(stored), Err);
                let result = |piece| match every || piece == alone {
                    true => how.clone(),
                    false => Ok(Stored::Written),
                };
                PeerEvent::Stored(transfer, pieces.iter().map(|&p| (p, result(p))).collect())
            }
            Task::Load(transfer, pieces) => {
                if choice > 1 {
                    self.buffers.insert(transfer);
                    return Some(PeerEvent::Loaded(transfer, Ok(())));
                }
                let piece = pieces.first + input.below(pieces.count as usize) as u32;
                PeerEvent::Loaded(transfer, Err(PieceId(piece)))
            }
            Task::Send(transfer) => PeerEvent::Sent(transfer),
            Task::Finish(entry) => PeerEvent::Finished(entry, fault.map_or(Ok(()), Err)),
            Task::Seal => PeerEvent::Sealed(fault.map_or(Ok(()), Err)),
            Task::Close => PeerEvent::Closed,
        })
    }

    fn survey(&self, entry: EntryIndex, input: &mut Input<'_>) -> Surveyed {
        let geometry = self.catalogue.geometry(entry);
        let pieces = geometry.piece_count();
        match input.below(6) {
            0 => {
                let content = self.catalogue.entry(entry).file().expect("only files are surveyed");
                let name = self.catalogue.entry(entry).name.to_string();
                let known = &layer_of(&name, u64::from(pieces) % 1000).proven;
                let same = known.geometry() == geometry && content.root == Some(known.root());
                Surveyed::Complete(same.then(|| known.clone()))
            }
            1 => {
                let mut held = Bitfield::new(pieces);
                for _ in 0..input.below(4) {
                    let piece = input.number(pieces);
                    if piece < pieces {
                        held.insert(piece);
                    }
                }
                Surveyed::Partial(held)
            }
            2 => Surveyed::Candidate,
            3 => Surveyed::Linked,
            _ => Surveyed::Nothing,
        }
    }
}
