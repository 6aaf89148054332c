//! What a rank of the little world brings to a job, and the files of that world. Bytes exist only
//! as hashes that are made up.

use content::{Entry, FileContent, Geometry, Hash, Kind, Metadata, Name, PieceIndex, PieceLayer};
use content::{PieceLen, Timestamp, VerifiedLayer, ZeroPieces};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a rank brings to the job.
#[derive(Clone, Default, Debug)]
pub struct Orders {
    pub shares: Vec<Entry>,
    /// Of these, the ones that keep changing while they are hashed.
    pub unsteady: Vec<&'static str>,
    /// Parts that an earlier run left, and the pieces of each.
    pub partials: Vec<(Entry, Vec<u32>)>,
    /// Whether partials are of a share that this rank is told of and lacks.
    pub has_lost_share: bool,
    /// Pieces of partials that are no longer there when they are surveyed.
    pub rotten_partials: bool,
    pub wants: Vec<&'static str>,
    pub cast: bool,
    /// Why it cannot carry out its orders at all.
    pub trouble: Option<&'static str>,
    pub cannot_receive: Option<&'static str>,
    /// The identity of the destination, where ranks share one.
    pub destination: Option<u128>,
    /// What stands at the destination: names, and the pieces that are as they should be.
    pub standing: Vec<(String, Standing)>,
    /// Bytes that may still be written on the destination's file system, and that one's number.
    pub free_bytes: Option<u64>,
    pub file_system: u64,
    /// Writes that succeed before the disk is full.
    pub disk_pieces: Option<u32>,
    /// Where the disk refuses a single entry.
    pub bad_entry: Option<(String, Refuses)>,
    /// How long its last disk work takes.
    pub slow_close: Duration,
    /// All pieces that this rank sends are corrupt.
    pub corrupts: bool,
    /// Reads that succeed before its files change.
    pub good_reads: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Complete,
    /// The same, and its piece hashes were not kept.
    CompleteUnproven,
    Candidate(BTreeSet<u32>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuses {
    Survey,
    /// Its survey finds that nothing can be written at all.
    SurveyOfDisk,
    Write,
    Finish,
    Record,
}

pub fn orders(wants: &[&'static str], shares: &[Entry]) -> Orders {
    Orders { wants: wants.to_vec(), shares: shares.to_vec(), ..Orders::default() }
}

/// A file of so many 16 KiB pieces, the last one short. Files of which the names are equal from a
/// `=` on have equal contents.
pub fn file(name: &str, pieces: u64) -> Entry {
    version(name, pieces, 0)
}

/// A file with other content than [`file`] gives it.
pub fn version(name: &str, pieces: u64, version: u8) -> Entry {
    let len = (pieces * u64::from(PieceLen::MIN.bytes())).saturating_sub(1);
    let geometry = Geometry::new(len, PieceLen::MIN);
    let content = FileContent::hashed(&layer(name, geometry, version));
    named(name, Kind::File(content))
}

/// What the name of a file begins with that is mostly holes.
const SPARSE: &str = "sparse";

/// Whether a piece of a file is zeros throughout: of a sparse one all but every fourth, and the
/// last.
pub fn is_zeros(entry: &Entry, piece: PieceIndex) -> bool {
    let Some(content) = entry.file() else { return false };
    is_hole(&entry.name.to_string(), content.geometry, piece.0)
}

fn is_hole(name: &str, geometry: Geometry, piece: u32) -> bool {
    name.starts_with(SPARSE) && !piece.is_multiple_of(4) && piece + 1 < geometry.piece_count()
}

/// Another name of a file.
pub fn link(name: &str, to: &Entry) -> Entry {
    let content = *to.file().expect("only files are linked");
    named(name, Kind::HardLink { to: to.name.clone(), content })
}

pub fn directory(name: &str) -> Entry {
    named(name, Kind::Directory)
}

fn named(name: &str, kind: Kind) -> Entry {
    let modified = Timestamp { seconds: 0, nanoseconds: 0 };
    let metadata = Metadata::new(0o644, modified);
    Entry { name: Name::new(name).unwrap(), kind, metadata }
}

fn layer(name: &str, geometry: Geometry, version: u8) -> PieceLayer {
    let content = name.split_once('=').map_or(name, |(_, content)| content);
    let hash = |piece: u32| {
        if is_hole(name, geometry, piece) {
            let zeros = ZeroPieces::of(geometry).hash(PieceIndex(piece));
            return zeros.expect("a full piece is looked at");
        }
        let mut hash = [version; 32];
        hash[..4].copy_from_slice(&piece.to_le_bytes());
        content.bytes().take(20).enumerate().for_each(|(i, byte)| hash[8 + i] = byte);
        Hash(hash)
    };
    PieceLayer::new(geometry, (0..geometry.piece_count()).map(hash).collect()).unwrap()
}

/// The proven hashes of files, made once each.
#[derive(Default)]
pub struct Layers(BTreeMap<(Name, Hash), VerifiedLayer>);

impl Layers {
    /// All that whoever has the whole file knows of it; nothing of what nobody can have.
    pub fn whole(&mut self, entry: &Entry) -> Option<VerifiedLayer> {
        let content = entry.file()?;
        let root = content.root.unwrap();
        let key = (entry.name.clone(), root);
        if let Some(known) = self.0.get(&key) {
            return Some(known.clone());
        }
        let name = entry.name.to_string();
        let mut versions = (0..4).map(|version| layer(&name, content.geometry, version));
        let proven = versions.find(|layer| layer.root() == root)?.prove();
        Some(self.0.entry(key).or_insert(proven).clone())
    }

    /// What whoever has these pieces must know: the ranges that they are in.
    pub fn part(&mut self, entry: &Entry, pieces: &[u32]) -> Option<VerifiedLayer> {
        let whole = self.whole(entry)?;
        let mut part = VerifiedLayer::new(whole.geometry(), whole.root());
        let known = |index: u32| pieces.iter().any(|piece| piece / 512 == index);
        for range in whole.ranges().filter(|range| known(range.index)) {
            part.insert(range.clone()).unwrap();
        }
        Some(part)
    }
}
