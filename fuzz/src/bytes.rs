//! Decoders of what comes from other ranks, and from an earlier run's files.

use crate::input::Input;
use crate::words::{Layer, layer};
use content::{Bitfield, Entry, HashRange, PieceIndex, Span, VerifiedLayer};
use sha2::{Digest, Sha256};
use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use store::Destination;
use swarm::Channel;
use swarm::message::{Envelope, FromTracker, Message, PieceSet, ToTracker};

/// A control message: what decodes is encoded to what decodes to the same, can be shown, and its
/// sets of pieces stay below their limit.
pub fn message(data: &[u8]) {
    let Some((&at, bytes)) = data.split_first() else { return };
    let channel = Channel::CONTROL[usize::from(at) % Channel::CONTROL.len()];
    let envelope = match Envelope::decode(channel, bytes) {
        Ok(envelope) => envelope,
        Err(why) => {
            assert!(why.to_string().len() > 10, "an error that says what: {why}");
            return;
        }
    };
    assert_eq!(envelope.message.channel(), channel);
    assert!(!envelope.message.to_string().is_empty());
    let again = envelope.encode();
    assert!(again.len() <= bytes.len(), "what came is never said shorter than we say it");
    assert_eq!(Envelope::decode(channel, &again).as_ref(), Ok(&envelope));
    match &envelope.message {
        Message::FromTracker(FromTracker::Holders { holders, gone, .. }) => {
            holders.iter().map(|holder| &holder.pieces).chain(gone).for_each(check_set);
        }
        Message::ToTracker(ToTracker::Offers(offers)) => {
            offers.iter().filter_map(|offer| offer.pieces.as_ref()).for_each(check_set);
            offers.iter().for_each(|offer| check_entry(&offer.entry));
        }
        Message::FromTracker(FromTracker::Entries(entries)) => {
            entries.iter().for_each(check_entry);
        }
        _ => {}
    }
}

fn check_set(set: &PieceSet) {
    for limit in [0, 1, 100, 1 << 20, u32::MAX] {
        let ranges = set.ranges(limit);
        assert!(ranges.iter().all(|range| range.start < range.end && range.end <= limit));
        let total: u64 = ranges.iter().map(|range| u64::from(range.end - range.start)).sum();
        assert!(total <= u64::from(limit), "no more pieces than there are");
    }
}

/// What came through is safe to put below a destination.
fn check_entry(entry: &Entry) {
    let name = entry.name.as_bytes();
    assert!(!name.is_empty() && name[0] != b'/' && !name.contains(&0));
    assert!(entry.name.components().all(|part| !matches!(part, b"" | b"." | b".." | b".shoal")));
    assert!(entry.metadata.modified.nanoseconds < 1_000_000_000);
    assert!(!entry.name.to_string().chars().any(char::is_control));
}

/// Piece hashes with their proof, against a file's root: only the file's own are taken. And sets of
/// numbers, against a plain model.
pub fn hashes(data: &[u8]) {
    let mut input = Input::new(data);
    let pieces = [1, 2, 17, 600, 1025, 1537][input.below(6)];
    let Layer { whole, proven } = &*layer(pieces);
    let mut known = VerifiedLayer::new(whole.geometry(), whole.root());
    if let Ok(range) = postcard::from_bytes::<HashRange>(input.rest()) {
        let index = range.index;
        match known.insert(range) {
            Ok(()) => assert_eq!(known.range(index), proven.range(index)),
            Err(why) => assert!(why.to_string().contains(&index.to_string())),
        }
    }
    for piece in 0..pieces as u32 {
        let hash = known.piece_hash(PieceIndex(piece));
        assert!(hash.is_none_or(|hash| hash == whole.hashes()[piece as usize]));
    }
    spans(data);
}

fn spans(data: &[u8]) {
    let mut input = Input::new(data);
    let limit = input.number(300).min(1000);
    let spans =
        input.several(20, |input| Span { first: input.number(300), count: input.number(9) });
    let mut set = Bitfield::new(limit);
    let mut model = vec![false; limit as usize];
    for range in Span::all_checked(&spans, limit) {
        set.insert_range(range.clone());
        model[range.start as usize..range.end as usize].fill(true);
    }
    assert!(set.iter().eq((0..limit).filter(|&at| model[at as usize])));
    let from = input.number(limit).min(limit);
    let wire = PieceSet::of(&set, from..limit);
    let back: Vec<u32> = wire.ranges(limit).into_iter().flatten().collect();
    assert!(back.iter().copied().eq(set.iter_in(from..limit)));
}

thread_local! {
    /// The destination that a thread's inputs are put into, one after the other.
    static DESTINATION: OnceCell<(tempfile::TempDir, Destination)> = const { OnceCell::new() };
}

/// The sidecar of a partial, as an earlier run, or somebody else, left it. The input is a row of
/// records without their lengths and checksums, which are put before them here.
pub fn sidecar(data: &[u8]) {
    let mut input = Input::new(data);
    let lies = input.flag();
    let data_len = u64::from(input.byte()) << 12;
    let mut bytes = Vec::new();
    for record in input.rest().split(|&byte| byte == 0xfe) {
        let len = if lies { u32::MAX / 2 } else { record.len() as u32 };
        bytes.extend(len.to_le_bytes());
        bytes.extend(&Sha256::digest(record)[..8]);
        bytes.extend(record);
    }
    DESTINATION.with(|place| {
        let (_, destination) = place.get_or_init(|| {
            let made = tempfile::tempdir().expect("a directory of our own");
            let opened = Destination::open(made.path(), "fuzz").expect("it is ours");
            (made, opened)
        });
        let part = part(place.get().expect("just made").0.path());
        std::fs::write(part.with_extension("meta"), &bytes).expect("it is ours");
        let grown = std::fs::File::create(part.with_extension("part")).expect("it is ours");
        grown.set_len(data_len).expect("it is ours");
        for partial in destination.partials(&|_| true, 1, &AtomicU64::new(0)) {
            check_entry(&partial.entry);
            assert_eq!(partial.entry.len(), data_len, "the data is as long as its sidecar says");
            assert_eq!(u64::from(partial.held.len()), partial.layer.geometry().piece_count_wide());
            assert_eq!(partial.entry.file().and_then(|it| it.root), Some(partial.layer.root()));
        }
    });
}

/// Where the partial of a file named `f` lies, without its suffix.
fn part(into: &Path) -> PathBuf {
    let hex: String = Sha256::digest(b"f").iter().take(16).map(|b| format!("{b:02x}")).collect();
    into.join(".shoal").join(hex)
}
