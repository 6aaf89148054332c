//! Before START, where all ranks see the source: who reads which pieces of it, and what became of
//! that. Each piece is read by one rank, which keeps it; from the hashes come the roots. When all
//! is read the job begins as if an earlier run had left those pieces there.

mod again;
mod deal;
mod names;
mod prove;

pub(super) use again::Source;
use names::Names;

use super::member::Member;
use super::{Phase, Tracker, TrackerAction, TrackerConfig, gather};
use crate::message::{
    FromTracker, Hello, PiecesRead, ReadFault, ReadOrder, SharedFs, SharedPath, Unread, parts,
};
use crate::report::SourceRead;
use crate::{Instant, Rank, Reason};
use content::{Bitfield, Catalogue, Entry, EntryIndex, Hash, Kind, Name, PieceId};
use std::collections::BTreeMap;

/// A reader that gives signs of life, and reads nothing for so many times the patience, hangs.
const HANGS_AFTER: u32 = 2;

/// What is being read.
#[derive(Debug)]
pub(super) struct Reading {
    /// Everything that is offered; roots are missing, and numbers are not those of START.
    catalogue: Catalogue,
    /// Files of several names.
    names: Names,
    /// What somebody wants.
    wanted: Bitfield,
    /// The pieces of files that have no root yet and that somebody wants.
    pending: Bitfield,
    /// The hashes of all pieces, and which of them are known.
    hashes: Vec<Hash>,
    known: Bitfield,
    /// Pieces that only a part of an earlier run tells of, and the roots that those belong to.
    old: Bitfield,
    claimed: BTreeMap<EntryIndex, Hash>,
    /// Files of which such parts turned out to be something else.
    distrusted: Bitfield,
    readers: BTreeMap<Rank, Reader>,
    /// Who looked through the source, for each entry.
    owners: Vec<Rank>,
    /// Files that some rank could not read, and why: its owner reads what is left of them.
    failures: BTreeMap<EntryIndex, String>,
    source: SourceRead,
    /// Files that are served from the source.
    in_place: Bitfield,
}

/// A rank that sees the source.
#[derive(Debug)]
struct Reader {
    /// Entries that it is to write.
    writes: Bitfield,
    can_read: bool,
    can_write: bool,
    /// Pieces that it is to read.
    ordered: Bitfield,
    /// Pieces that it has.
    done: Bitfield,
    /// When it last told of something.
    heard: Instant,
}

/// Whether a file is to be read, for its root is yet to be found.
fn is_pending(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::File(_)) && is_rootless(entry)
}

/// Whether the root of a file, or of another name of one, is yet to be found.
fn is_rootless(entry: &Entry) -> bool {
    entry.file().is_some_and(|content| content.root.is_none() && !content.geometry.is_empty())
}

impl Tracker {
    /// Whether all that had to be read of a source that all ranks see has been, or there is none.
    /// Begins with it where that has not happened.
    pub(super) fn has_read_source(
        &mut self,
        now: Instant,
        actions: &mut Vec<TrackerAction>,
    ) -> bool {
        if self.reading.is_none() {
            let offers = |member: &Member| {
                member.is_live() && member.offers().any(|(_, offer)| is_rootless(offer.entry()))
            };
            if !self.members.iter().any(offers) {
                return true;
            }
            let mut reading = match Reading::new(self.config, &self.taking_part(), now) {
                Ok(reading) => reading,
                Err(reasons) => {
                    self.refuse(now, reasons, actions);
                    return false;
                }
            };
            self.drop_unwanted(&reading);
            for rank in (0..self.config.ranks).map(Rank) {
                for told in self.members[rank.index()].take_told() {
                    if let Err(why) = reading.take(now, rank, &told) {
                        self.refuse(now, vec![why.into()], actions);
                        return false;
                    }
                }
            }
            let unread = reading.unheld();
            self.reading = Some(Box::new(reading));
            self.deal(now, &unread, actions);
        }
        let is_read = |reading: &Reading| reading.readers.values().all(|it| it.ordered.is_empty());
        if !self.reading.as_deref().is_some_and(is_read) {
            return false;
        }
        self.prove(now, actions)
    }

    /// Whether all ranks see what these were chosen to look through; with a sentence, where nobody
    /// was told so.
    pub(super) fn seen_by_all(&self, chosen: &[(Rank, Vec<u32>)]) -> Option<Option<String>> {
        let hello = |rank: &Rank| self.members[rank.index()].hello();
        let mut chosen = chosen.iter().filter(|(_, positions)| !positions.is_empty()).peekable();
        let (first, positions) = chosen.peek()?;
        let path = &hello(first)?.shares.get(*positions.first()? as usize)?.path;
        let implied = |why: &str| {
            format!(
                "'{path}' {why}: each rank reads a part of it, so that it is read once in all \
                 (--shared-fs)"
            )
        };
        let mut why = None;
        for (rank, _) in chosen {
            let hello = hello(rank)?;
            match hello.shared_fs {
                SharedFs::No => return None,
                SharedFs::Asked => {}
                SharedFs::OnNetwork => why = Some(implied("lies on a network's file system")),
                SharedFs::At(_) => {
                    let mut others = self.members.iter().filter_map(Member::hello);
                    let same = |other: &Hello| {
                        other.host != hello.host && other.shared_fs == hello.shared_fs
                    };
                    others.find(|other| same(other))?;
                    why = Some(implied("is the same on several hosts"));
                }
            }
        }
        Some(why)
    }

    /// The peers that take part.
    pub(super) fn taking_part(&self) -> Vec<(Rank, &Member)> {
        let all = self.members.iter().enumerate();
        let live = all.filter(|(_, member)| member.is_live());
        live.map(|(at, member)| (Rank(at as u32), member)).collect()
    }

    /// What nobody wants is not worth reading, and no entry of the job.
    fn drop_unwanted(&mut self, reading: &Reading) {
        for member in &mut self.members {
            member.retain_offers(|offer| {
                let entry = offer.entry();
                !is_rootless(entry) || reading.is_wanted(&entry.name) || offer.is_part()
            });
        }
    }

    /// A rank tells of pieces that it read.
    pub(super) fn on_pieces_read(
        &mut self,
        now: Instant,
        from: Rank,
        all: Vec<PiecesRead>,
        actions: &mut Vec<TrackerAction>,
    ) {
        if !matches!(self.phase, Phase::Gathering) {
            return;
        }
        let Some(reading) = &mut self.reading else {
            let told = self.members[from.index()].keep_told(all);
            return self.refuse_over(now, from, told, actions);
        };
        for read in &all {
            if let Err(why) = reading.take(now, from, read) {
                return self.refuse(now, vec![why.into()], actions);
            }
        }
        let again = reading.unheld();
        if !again.is_empty() {
            self.deal(now, &again, actions);
        }
    }

    /// A rank tells that it could not read, or not keep what it read: it is given no more of that.
    pub(super) fn on_unread(
        &mut self,
        now: Instant,
        from: Rank,
        unread: &Unread,
        actions: &mut Vec<TrackerAction>,
    ) {
        let Some(reading) = &mut self.reading else { return };
        let Some(reader) = reading.readers.get_mut(&from) else { return };
        match unread.fault {
            ReadFault::Source => reader.can_read = false,
            ReadFault::Destination => reader.can_write = false,
        }
        let again = std::mem::replace(&mut reader.ordered, Bitfield::new(reading.known.len()));
        let index = reading.catalogue.find(&unread.name);
        if let (Some(index), ReadFault::Source) = (index, unread.fault) {
            if reading.owners[index.0 as usize] == from {
                // It found the file, and was asked after others that saw another, or none.
                let reasons = vec![Reason::Told(format!("rank {from}: {}", unread.why))];
                return self.refuse(now, reasons, actions);
            }
            reading.failures.insert(index, unread.why.clone());
        }
        let again = reading.without_done(again);
        actions.push(TrackerAction::Notice(
            format!("rank {from} reads no more of the source, others do: {}", unread.why).into(),
        ));
        self.deal(now, &again, actions);
    }

    /// A rank is gone: what it was to read, and what it had read, others read.
    pub(super) fn miss_reader(
        &mut self,
        now: Instant,
        rank: Rank,
        actions: &mut Vec<TrackerAction>,
    ) {
        let Some(reading) = &mut self.reading else { return };
        let Some(reader) = reading.readers.remove(&rank) else { return };
        let mut again = reader.ordered;
        again.union_with(&reader.done);
        for other in reading.readers.values() {
            again.subtract(&other.ordered);
            again.subtract(&other.done);
        }
        if reading.owners.contains(&rank) {
            let heir = reading.readers.keys().next().copied();
            let Some(heir) = heir.filter(|heir| self.members[heir.index()].is_live()) else {
                let why = format!("rank {rank}, the only one that can read the source, is lost");
                return self.refuse(now, vec![why.into()], actions);
            };
            reading.owners.iter_mut().filter(|owner| **owner == rank).for_each(|it| *it = heir);
            let offers = self.members[rank.index()].give_up_offers();
            let inherited = offers.into_iter().filter(|offer| !offer.is_part());
            inherited.for_each(|offer| self.members[heir.index()].put_offer(offer));
        }
        self.deal(now, &again, actions);
    }

    /// Takes away what hangs somewhere: a rank may live, and its file system not.
    pub(super) fn hurry_readers(&mut self, now: Instant, actions: &mut Vec<TrackerAction>) {
        let Some(reading) = &mut self.reading else { return };
        if !matches!(self.phase, Phase::Gathering) || now < self.not_before {
            return;
        }
        let limit = self.config.patience * HANGS_AFTER;
        let mut again = Bitfield::new(reading.known.len());
        for (rank, reader) in &mut reading.readers {
            if reader.ordered.is_empty() || now.since(reader.heard) <= limit {
                continue;
            }
            (reader.can_read, reader.can_write) = (false, false);
            let ordered = std::mem::replace(&mut reader.ordered, Bitfield::new(again.len()));
            again.union_with(&ordered);
            let seconds = limit.as_secs_f64();
            actions.push(TrackerAction::Notice(format!(
                "rank {rank} has read nothing of the source for {seconds} s: others read its part"
            ).into()));
        }
        let again = reading.without_done(again);
        if !again.is_empty() {
            self.deal(now, &again, actions);
        }
    }

    /// Deals pieces to readers, and tells them.
    fn deal(&mut self, now: Instant, pieces: &Bitfield, actions: &mut Vec<TrackerAction>) {
        let Some(reading) = &mut self.reading else { return };
        let served = reading.in_place.count();
        let dealt = match reading.deal(now, pieces) {
            Ok(dealt) => dealt,
            Err(why) => return self.refuse(now, vec![why.into()], actions),
        };
        if let Some(entry) = reading.in_place.iter().next().filter(|_| served == 0) {
            let (name, rank) =
                (&reading.catalogue.entry(EntryIndex(entry)).name, reading.owners[entry as usize]);
            let more = match reading.in_place.count() {
                1 => String::new(),
                count => format!(" and {} more files", count - 1),
            };
            actions.push(TrackerAction::Notice(format!(
                "no rank that writes '{name}'{more} can read the source: rank {rank} serves it from there"
            ).into()));
        }
        let mut by_rank: BTreeMap<Rank, Vec<ReadOrder>> = BTreeMap::new();
        for (rank, order) in dealt {
            by_rank.entry(rank).or_default().push(order);
        }
        for (to, orders) in by_rank {
            for part in parts(orders) {
                actions.push(TrackerAction::Send { to, message: FromTracker::ReadOrders(part) });
            }
        }
    }
}

impl Reading {
    /// # Errors
    ///
    /// Gives the reasons why there is no job.
    fn new(
        config: TrackerConfig,
        members: &[(Rank, &Member)],
        now: Instant,
    ) -> Result<Self, Vec<Reason>> {
        let gather::Plan { catalogue, wants, assigned, .. } = gather::plan(config, members)?;
        let mut wanted = Bitfield::new(catalogue.entry_count());
        wants.iter().for_each(|wants| wanted.union_with(wants));
        let written =
            members.iter().zip(&assigned).zip(&wants).map(|((member, assigned), wants)| {
                if member.1.destination().is_some() { assigned } else { wants }
            });
        let (catalogue, names) = Names::of(catalogue, &wanted, written);
        let pieces = catalogue.piece_count();
        let mut pending = Bitfield::new(pieces);
        let mut owners = vec![members[0].0; catalogue.entry_count() as usize];
        let mut bytes = 0;
        for (index, entry) in catalogue.iter().filter(|(_, entry)| is_pending(entry)) {
            let walked =
                |member: &Member| member.offer(&entry.name).is_some_and(|offer| !offer.is_part());
            let owner = members.iter().find(|(_, member)| walked(member));
            owners[index.0 as usize] = owner.map_or(members[0].0, |(rank, _)| *rank);
            if wanted.get(index.0) {
                pending.insert_range(catalogue.pieces_of(index));
                bytes += entry.len();
            }
        }
        let mut readers = BTreeMap::new();
        for ((rank, member), writes) in members.iter().zip(assigned) {
            let sees = member.hello().is_some_and(|hello| {
                hello.shared_fs != SharedFs::No && hello.shares.iter().all(SharedPath::is_there)
            });
            if sees || owners.contains(rank) {
                let [ordered, done] = [Bitfield::new(pieces), Bitfield::new(pieces)];
                let reader =
                    Reader { writes, can_read: true, can_write: sees, ordered, done, heard: now };
                readers.insert(*rank, reader);
            }
        }
        Ok(Self {
            pending,
            hashes: vec![Hash::ZERO; pieces as usize],
            known: Bitfield::new(pieces),
            old: Bitfield::new(pieces),
            claimed: BTreeMap::new(),
            distrusted: Bitfield::new(catalogue.entry_count()),
            readers,
            owners,
            failures: BTreeMap::new(),
            source: SourceRead { bytes_read: 0, bytes },
            in_place: Bitfield::new(catalogue.entry_count()),
            catalogue,
            names,
            wanted,
        })
    }

    fn is_wanted(&self, name: &Name) -> bool {
        self.catalogue.find(name).is_some_and(|index| self.wanted.get(index.0))
    }

    /// Takes the hashes of pieces that a rank has.
    ///
    /// # Errors
    ///
    /// Says that two ranks read different bytes.
    fn take(&mut self, now: Instant, from: Rank, read: &PiecesRead) -> Result<(), String> {
        let Some(index) = self.catalogue.find(&read.entry.name) else { return Ok(()) };
        let entry = self.catalogue.entry(index);
        let (Kind::File(ours), Kind::File(theirs)) = (&entry.kind, &read.entry.kind) else {
            return Ok(());
        };
        let same = ours.geometry == theirs.geometry
            && entry.metadata.modified == read.entry.metadata.modified;
        if !same || !is_pending(entry) || !self.readers.contains_key(&from) {
            return Ok(());
        }
        if let Some(root) = theirs.root {
            let claimed = *self.claimed.entry(index).or_insert(root);
            if claimed != root || self.distrusted.get(index.0) {
                return Ok(());
            }
        }
        let range = self.catalogue.pieces_of(index);
        let pieces = (range.start.saturating_add(read.first)..range.end).zip(&read.hashes);
        for (piece, &hash) in pieces {
            if !self.pending.get(piece) {
                continue;
            }
            let is_old = theirs.root.is_some();
            if self.known.get(piece) && self.hashes[piece as usize] != hash {
                if !is_old && !self.old.get(piece) {
                    let name = &self.catalogue.entry(index).name;
                    return Err(format!(
                        "'{name}' reads otherwise on rank {from} than on another: it changed, or \
                         the ranks do not see the same; leave --shared-fs out"
                    ));
                }
                self.distrust(index);
                if is_old {
                    return Ok(());
                }
            }
            self.have(now, from, piece, hash, is_old);
        }
        Ok(())
    }

    fn have(&mut self, now: Instant, from: Rank, piece: u32, hash: Hash, is_old: bool) {
        let reader = self.readers.get_mut(&from).expect("looked up before");
        reader.heard = now;
        reader.ordered.remove(piece);
        if !reader.done.insert(piece) && !is_old {
            return;
        }
        self.hashes[piece as usize] = hash;
        let is_new = self.known.insert(piece);
        if is_old && is_new {
            self.old.insert(piece);
        } else if !is_old {
            self.old.remove(piece);
            self.source.bytes_read += u64::from(self.catalogue.piece_size(PieceId(piece)));
        }
    }

    /// What earlier runs left of a file is of something else: it must be read.
    fn distrust(&mut self, index: EntryIndex) {
        self.distrusted.insert(index.0);
        self.claimed.remove(&index);
        let range = self.catalogue.pieces_of(index);
        let old: Vec<u32> = self.old.iter_in(range.clone()).collect();
        for piece in old {
            self.known.remove(piece);
            self.old.remove(piece);
            for reader in self.readers.values_mut() {
                reader.done.remove(piece);
            }
        }
    }

    /// Of these pieces the ones that no reader has.
    fn without_done(&self, mut pieces: Bitfield) -> Bitfield {
        self.readers.values().for_each(|reader| pieces.subtract(&reader.done));
        pieces
    }

    /// Pieces that nobody has, nor is to read.
    fn unheld(&self) -> Bitfield {
        let mut unheld = self.pending.clone();
        unheld.subtract(&self.known);
        if !unheld.is_empty() {
            for reader in self.readers.values() {
                unheld.subtract(&reader.ordered);
            }
        }
        unheld
    }
}
