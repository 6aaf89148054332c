//! What a rank offers before START: files, parts of them, and what it cannot or will not give.
//! START turns it into holdings. Knows no catalogue.

use crate::message::{PieceSet, PiecesRead, SharedFs, WireOffer};
use crate::{LeftOut, Origin};
use content::{Catalogue, Entry, FileContent, Hash, Kind, Name, Span};
use std::collections::BTreeMap;

/// The most bytes of all sets of pieces that one rank tells at INIT: a bit a piece, and some for
/// each of as many entries as there may be.
const MAX_SET_BYTES: usize = 1 << 28;

/// How much of an entry a rank offers.
#[derive(Debug, Clone)]
pub(in crate::tracker) struct Offered {
    entry: Entry,
    /// Where it comes from.
    origin: Origin,
    extent: Extent,
}

/// How much a rank has of what it offers.
#[derive(Debug, Clone)]
enum Extent {
    /// All of it.
    Whole,
    /// Sets of pieces that an earlier run left, or that it read for another that offers the whole.
    Part(Vec<PieceSet>),
    /// Sets of pieces that it read of a source that all ranks see, in which it found the entry.
    Read(Vec<PieceSet>),
}

impl Offered {
    /// A rank offers all of an entry.
    pub(in crate::tracker) fn whole(entry: Entry, origin: Origin) -> Self {
        Self { entry, origin, extent: Extent::Whole }
    }

    /// A rank offers pieces of an entry that another offers.
    pub(in crate::tracker) fn part(entry: Entry, origin: Origin, sets: Vec<PieceSet>) -> Self {
        Self { entry, origin, extent: Extent::Part(sets) }
    }

    /// A rank offers an entry that it found in a source, and pieces that it read of it.
    pub(in crate::tracker) fn read(entry: Entry, origin: Origin, sets: Vec<PieceSet>) -> Self {
        Self { entry, origin, extent: Extent::Read(sets) }
    }

    pub(in crate::tracker) fn entry(&self) -> &Entry {
        &self.entry
    }

    pub(in crate::tracker) fn origin(&self) -> Origin {
        self.origin
    }

    /// Whether only pieces are offered of what may be something else elsewhere.
    pub(in crate::tracker) fn is_part(&self) -> bool {
        matches!(self.extent, Extent::Part(_))
    }

    /// Whether the rank has begun with the entry: with a part of it, or a piece that it read.
    pub(in crate::tracker) fn is_begun(&self) -> bool {
        match &self.extent {
            Extent::Whole => false,
            Extent::Part(_) => true,
            Extent::Read(sets) => !sets.is_empty(),
        }
    }

    /// The pieces that are offered, as sets; none for the whole.
    pub(in crate::tracker) fn sets(&self) -> Option<&[PieceSet]> {
        match &self.extent {
            Extent::Whole => None,
            Extent::Part(sets) | Extent::Read(sets) => Some(sets),
        }
    }

    /// More is offered of the same entry.
    fn add(&mut self, origin: Origin, pieces: Option<PieceSet>) {
        match (&mut self.extent, pieces) {
            (Extent::Part(sets), Some(set)) => sets.push(set),
            (Extent::Whole | Extent::Read(_), Some(_)) => {}
            (_, None) => (self.extent, self.origin) = (Extent::Whole, origin),
        }
    }
}

/// What a rank says at INIT that it has.
#[derive(Debug, Default)]
pub(super) struct Offering {
    offers: BTreeMap<Name, Offered>,
    /// The bytes of all sets of pieces that it told.
    offered_bytes: usize,
    /// Files that it shares and that kept changing while they were hashed; nobody can have them.
    unsteady: BTreeMap<Name, Entry>,
    /// What lies below its shares and is not shared.
    left_out: Vec<LeftOut>,
    /// What it told of a source that all ranks see before all had spoken, and the bytes of that.
    told: Vec<PiecesRead>,
    told_bytes: usize,
    /// The positions of the shares that an earlier tracker told it to read, where one did.
    reads: Option<Vec<Span>>,
}

impl Offering {
    pub(super) fn offers(&self) -> impl Iterator<Item = (&Name, &Offered)> {
        self.offers.iter()
    }

    pub(super) fn offer(&self, name: &Name) -> Option<&Offered> {
        self.offers.get(name)
    }

    pub(super) fn unsteady(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.unsteady.iter()
    }

    pub(super) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    pub(super) fn reads(&self) -> Option<&[Span]> {
        self.reads.as_deref()
    }

    /// Takes what it says it offers; `source` says whether others may see the same.
    ///
    /// # Errors
    ///
    /// Says what is no offer, or that they are too many.
    pub(super) fn take_offers(
        &mut self,
        offers: Vec<WireOffer>,
        source: SharedFs,
    ) -> Result<(), String> {
        for WireOffer { entry, pieces, origin } in offers {
            check(&entry, pieces.as_ref(), source)?;
            self.offered_bytes += pieces.as_ref().map_or(0, PieceSet::bytes);
            if self.offers.len() >= Catalogue::MAX_ENTRIES || self.offered_bytes > MAX_SET_BYTES {
                return Err("it offers more files than one job may have".into());
            }
            let name = entry.name.clone();
            let fresh = || match &pieces {
                Some(_) => Offered::part(entry, origin, Vec::new()),
                None => Offered::whole(entry, origin),
            };
            self.offers.entry(name).or_insert_with(fresh).add(origin, pieces);
        }
        Ok(())
    }

    /// Takes the files that it shares and that kept changing while they were hashed, in place of
    /// offers of the same names.
    ///
    /// # Errors
    ///
    /// Names an entry that has no content; says that they are too many.
    pub(super) fn take_unsteady(&mut self, entries: Vec<Entry>) -> Result<(), String> {
        for mut entry in entries {
            let name = entry.name.clone();
            let geometry = entry.file().map(|content| content.geometry);
            let Some(geometry) = geometry.filter(|geometry| !geometry.is_empty()) else {
                return Err(format!("it says that '{name}' changes, which has no content"));
            };
            if self.unsteady.len() >= Catalogue::MAX_ENTRIES {
                return Err("it shares more files than one job may have".into());
            }
            entry.kind = Kind::File(FileContent::unobtainable(&name, geometry));
            self.offers.remove(&name);
            self.unsteady.insert(name, entry);
        }
        Ok(())
    }

    /// Takes what lies below its shares and is not shared.
    ///
    /// # Errors
    ///
    /// Says that it is too much.
    pub(super) fn take_left_out(&mut self, left: Vec<LeftOut>) -> Result<(), String> {
        if self.left_out.len() + left.len() > Catalogue::MAX_ENTRIES {
            return Err("it leaves out more names than one job may have".into());
        }
        self.left_out.extend(left);
        Ok(())
    }

    /// Keeps what it tells of the source until all have spoken.
    ///
    /// # Errors
    ///
    /// Says that it is more than one rank may say.
    pub(super) fn keep_told(&mut self, read: Vec<PiecesRead>) -> Result<(), String> {
        let bytes = |read: &PiecesRead| 64 + read.hashes.len() * size_of::<Hash>();
        self.told_bytes += read.iter().map(bytes).sum::<usize>();
        if self.told_bytes > MAX_SET_BYTES {
            return Err("it tells of more pieces than one job may have".into());
        }
        self.told.extend(read);
        Ok(())
    }

    /// What it told of the source so far.
    pub(super) fn take_told(&mut self) -> Vec<PiecesRead> {
        std::mem::take(&mut self.told)
    }

    /// An earlier tracker told it to read these of its shares, besides those known already.
    pub(super) fn recall_reads(&mut self, reads: &[Span]) {
        self.reads.get_or_insert_default().extend(reads);
    }

    /// Offers this, in place of what was offered under the same name.
    pub(super) fn put(&mut self, offered: Offered) {
        self.offers.insert(offered.entry.name.clone(), offered);
    }

    /// Offers of all only what is `worth` it.
    pub(super) fn retain(&mut self, worth: impl Fn(&Offered) -> bool) {
        self.offers.retain(|_, offered| worth(offered));
    }

    /// Offers nothing any more; gives what was offered.
    pub(super) fn give_up(&mut self) -> Vec<Offered> {
        std::mem::take(&mut self.offers).into_values().collect()
    }
}

/// What is offered must be something that a peer can fetch; or read, where it may see the same
/// source.
fn check(entry: &Entry, pieces: Option<&PieceSet>, source: SharedFs) -> Result<(), String> {
    let is_walked = pieces.is_none() && source != SharedFs::No;
    match entry.file() {
        Some(content) if content.root.is_none() && !content.geometry.is_empty() && !is_walked => {
            Err(format!("it offers '{}' without its root", entry.name))
        }
        _ => Ok(()),
    }
}
