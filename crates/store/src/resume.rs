//! Finds what earlier runs left behind, and proves it piece by piece. Changes nothing on the disk.

use super::destination::Destination;
use super::digest;
use super::lock;
use super::partial::{self, Part, PartName, Sidecar};
use super::sparse::KnownHole;
use content::{Bitfield, Entry, FileContent, Name, PieceIndex, VerifiedLayer, ZeroPieces};
use rustix::fs::OFlags;
use std::fs::{File, Metadata};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use swarm::{STALE_AFTER, ShareId};

/// What an earlier run left of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// What it is to become.
    pub entry: Entry,
    /// The pieces that are there and verified; numbers are within the file.
    pub held: Bitfield,
    /// What is known of its piece hashes.
    pub layer: VerifiedLayer,
    /// The share that it came from, where that is known.
    pub share: Option<ShareId>,
    /// Whether nobody has gone on with it for [`STALE_AFTER`].
    pub is_stale: bool,
}

impl Partial {
    /// Whether its pieces are an entry's.
    pub(super) fn fits(&self, entry: &Entry) -> bool {
        let layer = &self.layer;
        let same =
            |it: &FileContent| it.root == Some(layer.root()) && it.geometry == layer.geometry();
        entry.file().is_some_and(same)
    }

    /// Bytes of the pieces that are there.
    pub(super) fn held_bytes(&self) -> u64 {
        let geometry = self.layer.geometry();
        self.held.iter().map(|piece| u64::from(geometry.size(PieceIndex(piece)))).sum()
    }
}

/// A partial while its pieces are being hashed.
struct Candidate {
    name: PartName,
    about: Sidecar,
    is_stale: bool,
    held: Mutex<Bitfield>,
    zeros: ZeroPieces,
}

/// Whether something of this name may be part of the job.
pub type Matters<'a> = &'a dyn Fn(&Name) -> bool;

impl Destination {
    /// The partials under `.shoal`, with those pieces that are whole on the disk; of those whose
    /// names do not `matter`, with none, for that would take as long as reading them. Adds the
    /// bytes that were hashed to `progress` as it goes. What is damaged or not the store's own is
    /// left alone; once everybody has stopped, [`super::Store::close`] removes sidecars that cannot
    /// be read, and data that has none.
    pub fn partials(
        &self,
        matters: Matters<'_>,
        threads: usize,
        progress: &AtomicU64,
    ) -> Vec<Partial> {
        partials(&self.shoal, matters, threads, progress)
    }
}

/// As [`Destination::partials`], for a `.shoal` that may only be looked at.
pub(super) fn partials(
    shoal: &OwnedFd,
    matters: Matters<'_>,
    threads: usize,
    progress: &AtomicU64,
) -> Vec<Partial> {
    let names = partial::list(shoal).unwrap_or_default();
    let candidates: Vec<Candidate> =
        names.iter().filter_map(|file_name| Candidate::find(shoal, file_name)).collect();
    let counts = candidates.iter().map(|candidate| match matters(&candidate.about.entry.name) {
        true => candidate.about.layer.geometry().piece_count(),
        false => 0,
    });
    digest::over_pieces(counts, threads, &|index, piece, buffer| {
        let candidate = &candidates[index];
        // What cannot be read is not held.
        if candidate.holds(shoal, piece, buffer, progress) == Some(true) {
            lock(&candidate.held).insert(piece.0);
        }
        ControlFlow::Continue(())
    });
    candidates.into_iter().map(Candidate::into_partial).collect()
}

fn open_data(shoal: &OwnedFd, name: &PartName) -> Option<File> {
    partial::open(shoal, &name.file(Part::Data), OFlags::RDONLY).ok()
}

impl Candidate {
    /// The partial to which a file in `.shoal` is the sidecar.
    fn find(shoal: &OwnedFd, file_name: &str) -> Option<Self> {
        let (name, Part::Sidecar) = PartName::parse(file_name)? else { return None };
        let data = open_data(shoal, &name)?.metadata().ok().filter(Metadata::is_file)?;
        // What has another name elsewhere is not written into: it is material for a new one.
        if data.nlink() > 1 {
            return None;
        }
        let about = partial::read_sidecar(shoal, &name, data.len())?;
        let is_stale = partial::sidecar_age(shoal, &name).is_some_and(|age| age > STALE_AFTER);
        let geometry = about.layer.geometry();
        let held = Mutex::new(Bitfield::new(geometry.piece_count()));
        Some(Self { name, about, is_stale, held, zeros: ZeroPieces::of(geometry) })
    }

    /// Whether a piece is on the disk as it must be; `None` where that cannot be told. Opening the
    /// file for each piece is nothing beside hashing it, and bounds the number of open files.
    fn holds(
        &self,
        shoal: &OwnedFd,
        piece: PieceIndex,
        buffer: &mut Vec<u8>,
        progress: &AtomicU64,
    ) -> Option<bool> {
        let Sidecar { layer, .. } = &self.about;
        let geometry = layer.geometry();
        let expected = layer.piece_hash(piece)?;
        let file = open_data(shoal, &self.name)?;
        let (offset, len) = (geometry.offset(piece), u64::from(geometry.size(piece)));
        let (if_zeros, hole) = (self.zeros.hash(piece), KnownHole::default());
        let zeros = (&self.zeros, &hole);
        // What was not written yet is a hole: not worth reading.
        if if_zeros.is_some_and(|zeros| zeros != expected) && hole.has(&file, offset, len) {
            return Some(false);
        }
        let found = digest::hash_piece(&file, geometry, zeros, piece, buffer).ok()?;
        progress.fetch_add(len, Ordering::Relaxed);
        Some(found == Some(expected))
    }

    fn into_partial(self) -> Partial {
        let held = std::mem::take(&mut *lock(&self.held));
        let Sidecar { entry, share, layer } = self.about;
        Partial { entry, held, layer, share, is_stale: self.is_stale }
    }
}
