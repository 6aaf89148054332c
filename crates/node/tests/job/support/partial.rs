//! What a run that was stopped leaves behind: made, and counted.

use super::PIECE;
use content::{Bitfield, Catalogue, Entry, EntryIndex, PieceIndex, PieceLen};
use node::Share;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use store::{Destination, ShareOptions, Store, share};

/// Leaves, in the destination `into`, the pieces of the file `source` that `which` says, under
/// `name`.
pub fn leave_partial(source: &Path, into: &Path, which: impl Fn(u32) -> bool) {
    let shares = [Share {
        path: source.to_owned(),
        prefix: Vec::new(),
        links: node::Links::default(),
        keeps: node::Keeps::default(),
        naming: node::Naming::Inside,
    }];
    let options =
        ShareOptions { piece_len: Some(PieceLen::MIN), threads: 1, except: None, cache: None };
    let shared = share(&shares, &options, &AtomicU64::new(0)).unwrap().entries.remove(0);
    let entry: Entry = shared.entry.clone();
    let layer = shared.layer.expect("a file that is not empty");
    let catalogue = Arc::new(Catalogue::new(vec![entry]).unwrap());
    let destination = Destination::open(into, "a run that was stopped").unwrap();
    let (wanted, none) = (Bitfield::full(1), Vec::new);
    let store =
        Store::new(Arc::clone(&catalogue), wanted, none(), Vec::new(), vec![], Some(destination));
    let index = EntryIndex(0);
    store.survey(index).unwrap();
    layer.ranges().for_each(|range| store.record(index, range).unwrap());
    let bytes = std::fs::read(source).unwrap();
    let geometry = catalogue.geometry(index);
    for piece in (0..geometry.piece_count()).filter(|&piece| which(piece)).map(PieceIndex) {
        let from = geometry.offset(piece) as usize;
        let piece_bytes = &bytes[from..from + geometry.size(piece) as usize];
        store.write(catalogue.piece_id(index, piece), piece_bytes).unwrap();
    }
}

/// How many pieces are in the partials of the destination `into`: those with a byte that is not 0.
pub fn pieces_in_partials(into: &Path) -> usize {
    let Ok(items) = std::fs::read_dir(into.join(".shoal")) else { return 0 };
    let partials = items.filter_map(|item| std::fs::read(item.unwrap().path()).ok());
    let pieces = |bytes: Vec<u8>| {
        let pieces = bytes.chunks_exact(PIECE);
        pieces.filter(|piece| piece.iter().any(|&byte| byte != 0)).count()
    };
    partials.map(pieces).sum()
}
