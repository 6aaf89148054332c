//! When all pieces of the source are read: the roots, and what proves to each reader what it has.

use super::{Reading, is_pending};
use crate::message::{FromTracker, Keep, PieceSet, Proven, parts};
use crate::tracker::member::Offered;
use crate::tracker::{Tracker, TrackerAction};
use crate::{Instant, Origin, Rank};
use content::{
    Bitfield, EntryIndex, FileContent, Hash, HashRange, Name, PieceLayer, VerifiedLayer,
};
use std::collections::BTreeMap;

/// The layers of all files that were read.
pub(super) type Layers = BTreeMap<EntryIndex, (FileContent, VerifiedLayer)>;

impl Tracker {
    /// Finds the roots and says what proves them; says whether the job can begin. It cannot where
    /// parts of an earlier run turned out to be of something else: their place must be read.
    pub(super) fn prove(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) -> bool {
        let Some(mut reading) = self.reading.take() else { return true };
        let layers = reading.layers();
        let wrong: Vec<EntryIndex> = layers
            .iter()
            .filter(|(entry, (_, layer))| reading.is_mixed(**entry, layer.root()))
            .map(|(entry, _)| *entry)
            .collect();
        if !wrong.is_empty() {
            wrong.into_iter().for_each(|entry| reading.distrust(entry));
            let unread = reading.unheld();
            self.reading = Some(reading);
            self.deal(now, &unread, actions);
            return false;
        }
        let readers: Vec<Rank> = reading.readers.keys().copied().collect();
        for rank in readers {
            let proven = reading.proven(rank, &layers);
            for part in parts(proven) {
                actions.push(TrackerAction::Send { to: rank, message: FromTracker::Proven(part) });
            }
        }
        self.credit(&reading, &layers);
        self.source = Some(Box::new(reading.into_source(layers)));
        true
    }

    /// Every reader has what it read; the source's files have roots.
    fn credit(&mut self, reading: &Reading, layers: &Layers) {
        for (&entry, (content, _)) in layers {
            let owner = reading.owners[entry.0 as usize];
            let name = &reading.catalogue.entry(entry).name;
            let mut whole = reading.catalogue.entry(entry).clone();
            whole.kind = reading.names.kind(&reading.catalogue, entry, *content);
            let origin = self.origin_at(owner, name);
            for (&rank, reader) in &reading.readers {
                let range = reading.catalogue.pieces_of(entry);
                if rank != owner && reader.done.count_in(range.clone()) == 0 {
                    continue;
                }
                let mut done = Bitfield::new(range.len() as u32);
                for piece in reader.done.iter_in(range.clone()) {
                    done.insert(piece - range.start);
                }
                let count = if done.is_empty() { 0 } else { done.len() };
                let sets: Vec<PieceSet> = (0..count)
                    .step_by(PieceSet::MAX_PIECES as usize)
                    .map(|from| from..done.len().min(from + PieceSet::MAX_PIECES))
                    .map(|part| PieceSet::of(&done, part))
                    .collect();
                let in_place = reading.in_place.get(entry.0);
                let entry = whole.clone();
                self.members[rank.index()].put_offer(match (rank == owner, in_place) {
                    (true, true) => Offered::whole(entry, origin),
                    (true, false) => Offered::read(entry, origin, sets),
                    (false, _) => Offered::part(entry, origin, sets),
                });
            }
        }
        // Other names of what was read: nobody has anything of them yet, and whoever writes them
        // makes them from the file.
        for (link, file) in reading.names.followers() {
            let Some((content, _)) = layers.get(&file) else { continue };
            let mut entry = reading.catalogue.entry(link).clone();
            entry.kind = reading.names.kind(&reading.catalogue, link, *content);
            let owner = reading.owners[file.0 as usize];
            let origin = self.origin_at(owner, &entry.name);
            self.members[owner.index()].put_offer(Offered::read(entry, origin, Vec::new()));
        }
    }

    /// Where what a rank offers under a name comes from.
    fn origin_at(&self, rank: Rank, name: &Name) -> Origin {
        let unknown = Origin::Earlier { share: None, is_stale: false };
        self.members[rank.index()].offer(name).map_or(unknown, Offered::origin)
    }
}

impl Reading {
    fn layers(&self) -> Layers {
        let mut layers = Layers::new();
        for (index, entry) in self.catalogue.iter().filter(|(_, entry)| is_pending(entry)) {
            let range = self.catalogue.pieces_of(index);
            if self.pending.count_in(range.clone()) == 0 {
                continue;
            }
            let hashes: &[Hash] = &self.hashes[range.start as usize..range.end as usize];
            let geometry = self.catalogue.geometry(index);
            let layer = PieceLayer::new(geometry, hashes.to_vec()).expect("a hash a piece");
            debug_assert!(!entry.is_empty());
            layers.insert(index, (FileContent::hashed(&layer), layer.prove()));
        }
        layers
    }

    /// Whether parts of an earlier run were taken for a part of a file whose root is another now.
    fn is_mixed(&self, entry: EntryIndex, root: Hash) -> bool {
        let range = self.catalogue.pieces_of(entry);
        self.old.count_in(range) > 0 && self.claimed.get(&entry) != Some(&root)
    }

    /// What proves to a reader what it has.
    fn proven(&self, rank: Rank, layers: &Layers) -> Vec<Proven> {
        let done = &self.readers[&rank].done;
        let mut proven = Vec::new();
        let mut next = 0;
        while let Some(piece) = done.iter_in(next..done.len()).next() {
            let (entry, index) = self.catalogue.locate(content::PieceId(piece));
            let range = self.catalogue.pieces_of(entry);
            let (content, layer) = &layers[&entry];
            let is_single = self.catalogue.geometry(entry).is_single_piece();
            let covering = HashRange::covering(index);
            let in_place = self.in_place.get(entry.0) && self.owners[entry.0 as usize] == rank;
            proven.push(Proven {
                name: self.catalogue.entry(entry).name.clone(),
                content: *content,
                range: (!is_single).then(|| layer.range(covering).cloned()).flatten(),
                keep: if in_place { Keep::InPlace } else { Keep::Written },
            });
            let last = (covering + 1) * HashRange::MAX_HASHES;
            next = if is_single { range.end } else { range.end.min(range.start + last) };
        }
        proven
    }
}
