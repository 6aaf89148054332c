//! What a peer reads of a source that all ranks see, before START: it carries out the tracker's
//! orders, tells the hashes, and has the pieces like parts of files that an earlier run left. It
//! never asks for anything.

use crate::message::{Keep, PiecesRead, Proven, ReadOrder, ToTracker, Unread, parts};
use crate::offer::forget_root;
use crate::peer::{Offered, Peer, PeerAction, Phase};
use crate::{Held, Offer, Origin};
use content::{Bitfield, Catalogue, Entry, FileContent, Hash, Kind, Name, VerifiedLayer};
use std::collections::BTreeMap;

/// What is known of the source before START.
#[derive(Debug, Default)]
pub(in crate::peer) struct Reading {
    /// Whether the tracker said that all ranks see the source, or may yet.
    pub(in crate::peer) walked: bool,
    read: BTreeMap<Name, FileRead>,
    proven: Vec<Proven>,
}

/// What this rank has of a file.
#[derive(Debug)]
struct FileRead {
    entry: Entry,
    hashes: BTreeMap<u32, PieceRead>,
}

#[derive(Debug, Clone, Copy)]
struct PieceRead {
    hash: Hash,
    /// An earlier run left it: nothing was read for it now.
    is_old: bool,
}

/// What this rank has of the source when START comes.
pub(in crate::peer) struct Kept {
    pub(in crate::peer) offered: Vec<Offered>,
    /// For each of them, the pieces that were read now.
    fresh: Vec<Bitfield>,
}

impl Reading {
    /// Parts of an earlier run are told like what is read now: they need not be read again. The
    /// root that they belong to goes with them, for nobody has looked whether it is still so.
    pub(in crate::peer) fn know_partials(&mut self, offered: &[Offered]) {
        for Offered { offer, layer } in offered {
            let (Held::Pieces(held), Some(layer)) = (&offer.held, layer) else { continue };
            let geometry = layer.geometry();
            let known = held.iter().filter_map(|piece| {
                let hash = layer.piece_hash(content::PieceIndex(piece))?;
                Some((piece, PieceRead { hash, is_old: true }))
            });
            if !geometry.is_empty() {
                let entry = offer.entry.clone();
                let hashes = known.collect();
                self.read.insert(entry.name.clone(), FileRead { entry, hashes });
            }
        }
    }

    /// The messages that tell all that was read so far.
    pub(in crate::peer) fn tell(&self) -> Vec<ToTracker> {
        let mut all = Vec::new();
        for file in self.read.values() {
            for old in [false, true] {
                let pieces = file.hashes.iter().filter(|(_, read)| read.is_old == old);
                let mut run: Vec<Hash> = Vec::new();
                let mut next = 0;
                let mut entry = file.entry.clone();
                if !old {
                    forget_root(&mut entry);
                }
                let mut say = |end: u32, run: &mut Vec<Hash>| {
                    if !run.is_empty() {
                        let first = end - run.len() as u32;
                        let hashes = std::mem::take(run);
                        all.push(PiecesRead { entry: entry.clone(), first, hashes });
                    }
                };
                for (&piece, read) in pieces {
                    if piece != next || run.len() == PiecesRead::MAX_HASHES {
                        say(next, &mut run);
                    }
                    run.push(read.hash);
                    next = piece + 1;
                }
                say(next, &mut run);
            }
        }
        if all.is_empty() {
            return Vec::new();
        }
        parts(all).into_iter().map(ToTracker::PiecesRead).collect()
    }

    fn add(&mut self, read: &PiecesRead) {
        let name = &read.entry.name;
        let file = self
            .read
            .entry(name.clone())
            .or_insert_with(|| FileRead { entry: read.entry.clone(), hashes: BTreeMap::new() });
        let cut = |entry: &Entry| entry.file().map(|content| content.geometry);
        if cut(&file.entry) != cut(&read.entry) {
            // A part of an earlier run, of a file of another length.
            file.hashes.clear();
        }
        file.entry = read.entry.clone();
        for (piece, &hash) in (read.first..).zip(&read.hashes) {
            file.hashes.insert(piece, PieceRead { hash, is_old: false });
        }
    }

    /// Takes what proves some of it. More than was read is not kept.
    pub(in crate::peer) fn on_proven(&mut self, proven: Vec<Proven>) {
        let known = proven.into_iter().filter(|proven| self.read.contains_key(&proven.name));
        self.proven.extend(known.take(Catalogue::MAX_ENTRIES));
    }

    /// Another tracker tells anew what it can prove.
    pub(in crate::peer) fn again(&mut self) {
        self.proven.clear();
    }

    /// What was read and is proven, now that all is known.
    pub(in crate::peer) fn end(&mut self) -> Kept {
        let mut kept = Kept { offered: Vec::new(), fresh: Vec::new() };
        let mut layers: BTreeMap<Name, (FileContent, VerifiedLayer, Keep)> = BTreeMap::new();
        for proven in std::mem::take(&mut self.proven) {
            let file = &self.read[&proven.name];
            let Some(content) = file.entry.file() else { continue };
            let Some(root) = proven.content.root else { continue };
            if content.geometry != proven.content.geometry {
                continue;
            }
            let layer = VerifiedLayer::new(content.geometry, root);
            let first = (proven.content, layer, proven.keep);
            let (_, layer, _) = layers.entry(proven.name).or_insert(first);
            if let Some(range) = proven.range {
                // Without it the pieces that it covers are not held.
                let _ = layer.insert(range);
            }
        }
        for (name, (content, layer, keep)) in layers {
            let Some(file) = self.read.remove(&name) else { continue };
            if let Some((offered, fresh)) = file.proven(content, layer, keep) {
                kept.offered.push(offered);
                kept.fresh.push(fresh);
            }
        }
        kept
    }
}

impl FileRead {
    /// What this rank has of a file, and what of that it read now; none where that is nothing.
    fn proven(
        self,
        content: FileContent,
        layer: VerifiedLayer,
        keep: Keep,
    ) -> Option<(Offered, Bitfield)> {
        let pieces = layer.geometry().piece_count();
        let (mut held, mut fresh) = (Bitfield::new(pieces), Bitfield::new(pieces));
        for (&piece, read) in self.hashes.range(..pieces) {
            if layer.piece_hash(content::PieceIndex(piece)) == Some(read.hash) {
                held.insert(piece);
                if !read.is_old {
                    fresh.insert(piece);
                }
            }
        }
        let mut entry = self.entry;
        entry.kind = Kind::File(content);
        let held = match keep {
            Keep::InPlace if held.is_full() => Held::Whole,
            Keep::InPlace => return None,
            Keep::Written => Held::Pieces(held),
        };
        // It is offered to nobody but the own session: the catalogue is made.
        let origin = Origin::Earlier { share: None, is_stale: false };
        let offer = Offer { entry, held, origin };
        Some((Offered { offer, layer: Some(Box::new(layer)) }, fresh))
    }
}

impl Kept {
    /// Whether something of a file is kept. The files are in order of their names.
    pub(in crate::peer) fn names(&self, name: &Name) -> bool {
        self.offered.binary_search_by(|kept| kept.offer.entry.name.cmp(name)).is_ok()
    }

    /// The pieces that were read now and are kept at the destination, in the catalogue's numbers.
    pub(in crate::peer) fn fresh(&self, catalogue: &Catalogue) -> Bitfield {
        let mut all = Bitfield::new(catalogue.piece_count());
        for (offered, fresh) in self.offered.iter().zip(&self.fresh) {
            let entry = &offered.offer.entry;
            let index = catalogue
                .find(&entry.name)
                .filter(|&index| catalogue.entry(index).file() == entry.file());
            if let (Some(index), Held::Pieces(_)) = (index, &offered.offer.held) {
                let start = catalogue.pieces_of(index).start;
                fresh.iter().for_each(|piece| {
                    all.insert(start + piece);
                });
            }
        }
        all
    }
}

impl Peer {
    /// Orders to read pieces of the source came.
    pub(in crate::peer) fn on_read_orders(orders: Vec<ReadOrder>, actions: &mut Vec<PeerAction>) {
        let exists = |order: &ReadOrder| {
            let file = order.entry.file();
            file.is_some_and(|content| {
                content.geometry.piece_count_wide() <= Catalogue::MAX_PIECES
                    && order.pieces.checked(content.geometry.piece_count()).is_some()
            })
        };
        let orders: Vec<ReadOrder> = orders.into_iter().filter(exists).collect();
        if !orders.is_empty() {
            actions.push(PeerAction::ReadPieces(orders));
        }
    }

    /// Pieces of the source were read.
    pub(in crate::peer) fn on_pieces_read(
        &mut self,
        read: Vec<PiecesRead>,
        actions: &mut Vec<PeerAction>,
    ) {
        let Phase::Opening(opening) = &mut self.phase else { return };
        read.iter().for_each(|read| opening.reading.add(read));
        for part in parts(read) {
            self.to_tracker(ToTracker::PiecesRead(part), actions);
        }
    }

    /// Pieces of the source were not read.
    pub(in crate::peer) fn on_unread(&mut self, unread: Unread, actions: &mut Vec<PeerAction>) {
        if matches!(self.phase, Phase::Opening(_)) {
            self.to_tracker(ToTracker::Unread(unread.shortened()), actions);
        }
    }
}
