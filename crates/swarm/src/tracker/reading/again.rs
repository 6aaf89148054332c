//! After START, where all ranks see the source: what only a lost rank had of it others read again.
//! They were told nothing of those pieces but their hashes' root, so the hashes go with the order.

use super::Reading;
use super::deal::Loads;
use super::prove::Layers;
use crate::Rank;
use crate::message::{FromTracker, ReadAgain, parts};
use crate::report::SourceRead;
use crate::tracker::job::Job;
use crate::tracker::{Phase, Tracker, TrackerAction};
use content::{Bitfield, HashRange, Name, PieceId, Span, VerifiedLayer};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What is kept of a source that was read: 32 bytes a piece.
#[derive(Debug)]
pub(in crate::tracker) struct Source {
    read: SourceRead,
    /// Ranks that can read it, and write what they read.
    readers: BTreeSet<Rank>,
    /// The piece hashes of its files.
    layers: BTreeMap<Name, VerifiedLayer>,
    /// What ranks were told to read again.
    ordered: BTreeMap<Rank, Bitfield>,
}

impl Reading {
    /// What is kept once all is read.
    pub(super) fn into_source(self, layers: Layers) -> Source {
        let able = self.readers.iter().filter(|(_, reader)| reader.can_read && reader.can_write);
        let readers = able.map(|(rank, _)| *rank).collect();
        let named = layers.into_iter().map(|(entry, (_, layer))| {
            let name = self.catalogue.entry(entry).name.clone();
            (name, layer)
        });
        Source { read: self.source, readers, layers: named.collect(), ordered: BTreeMap::new() }
    }
}

impl Source {
    /// How much of it was read.
    pub(in crate::tracker) fn read(&self) -> SourceRead {
        self.read
    }

    /// What must be read again once a rank is lost that held this: nobody holds it now, nor was
    /// told to read it.
    fn missed(&mut self, rank: Rank, mut held: Bitfield, job: &Job) -> Bitfield {
        self.readers.remove(&rank);
        if let Some(ordered) = self.ordered.remove(&rank) {
            held.union_with(&ordered);
        }
        held.intersect_with(&job.nowhere);
        self.ordered.values().for_each(|ordered| held.subtract(ordered));
        held
    }

    /// The first run of a set of pieces from one on, as far as one range of a file's hashes goes;
    /// with those, where the root is not all that there is.
    fn run(
        &self,
        job: &Job,
        pieces: &Bitfield,
        from: u32,
    ) -> Option<(Range<u32>, Option<HashRange>)> {
        let first = pieces.iter_in(from..pieces.len()).next()?;
        let (entry, index) = job.catalogue.locate(PieceId(first));
        let of_entry = job.catalogue.pieces_of(entry);
        let covering = HashRange::covering(index);
        let end = of_entry.end.min(of_entry.start + (covering + 1) * HashRange::MAX_HASHES);
        let run = pieces.spans_in(first..end).next()?;
        let layer = self.layers.get(&job.catalogue.entry(entry).name);
        let layer = layer.filter(|_| !job.catalogue.geometry(entry).is_single_piece());
        let hashes = layer.and_then(|layer| layer.range(covering)).cloned();
        Some((run.first..run.last() + 1, hashes))
    }
}

impl Tracker {
    /// A rank is lost, and held these pieces: what nobody has now, ranks that see the source read.
    /// The peers settle after that, so none of it counts as gone before.
    pub(in crate::tracker) fn read_again(
        &mut self,
        lost: Rank,
        held: Bitfield,
        actions: &mut Vec<TrackerAction>,
    ) {
        let (Phase::Serving(job), Some(source)) = (&mut self.phase, &mut self.source) else {
            return;
        };
        let missed = source.missed(lost, held, job);
        let members = &self.members;
        let reads = |rank: &&Rank| {
            let member = &members[rank.index()];
            member.is_live() && !member.has_stopped()
        };
        let readers: Vec<Rank> = source.readers.iter().filter(reads).copied().collect();
        let mut loads = Loads::new(readers, job.catalogue.bytes_of(&missed));
        let mut orders: BTreeMap<Rank, Vec<ReadAgain>> = BTreeMap::new();
        let (mut from, mut count) = (0, 0);
        while let Some((run, hashes)) = source.run(job, &missed, from) {
            let (entry, _) = job.catalogue.locate(PieceId(run.start));
            let writes = |rank: Rank| members[rank.index()].is_to_write(entry.0);
            let Some((rank, upto)) = loads.give(&job.catalogue, run.clone(), writes) else {
                from = run.end;
                continue;
            };
            let pieces = Span { first: run.start, count: upto - run.start };
            orders.entry(rank).or_default().push(ReadAgain { pieces, hashes });
            let none = || Bitfield::new(missed.len());
            source.ordered.entry(rank).or_insert_with(none).insert_range(run.start..upto);
            count += pieces.count;
            from = upto;
        }
        if count == 0 {
            return;
        }
        source.read.bytes_read += loads.bytes();
        job.shrunk += 1;
        for (to, orders) in orders {
            for part in parts(orders) {
                actions.push(TrackerAction::Send { to, message: FromTracker::ReadAgain(part) });
            }
        }
        actions.push(TrackerAction::Notice(
            format!("{count} pieces of the source that only rank {lost} had are read again").into(),
        ));
    }
}
