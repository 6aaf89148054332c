//! Well-typed messages that make no sense: any kind, any numbers, mostly near what exists.

use crate::input::Input;
use content::{Catalogue, Entry, EntryIndex, FileContent, Geometry, Hash, HashRange, Kind};
use content::{Metadata, Name, PieceLayer, PieceLen, Span, Timestamp, VerifiedLayer};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use swarm::System;
use swarm::message::{Ack, Between, Differing, Epoch, FromTracker, Gains, Hello, HelloPart};
use swarm::message::{
    HolderPieces, Origins, PieceSet, Rate, Recall, Rejoined, RequestNumber, SharedPath, Start,
    Stop, ToTracker,
};
use swarm::message::{
    Keep, PiecesRead, Proven, ReadAgain, ReadFault, ReadOrder, SharedFs, Unread, WireOffer,
};
use swarm::schedule::{Portion, Topology};
use swarm::{
    Counters, Destination, Differences, Extra, LeftOut, Location, Lock, Origin, Outcome, Rank,
    ShareId,
};

/// Ranks of the job; messages also come from beyond.
pub const RANKS: u32 = 6;
/// Pieces of the files of the job; 0 is a directory. One has two ranges of hashes, one is empty.
const PIECES: [(&str, u64); 8] = [
    ("a", 24),
    ("b", 1),
    ("c", 600),
    ("d", 0),
    ("e/f", 3),
    // These travel together.
    ("h/a", 1),
    ("h/b", 1),
    ("h/c", 1),
];

thread_local! {
    /// What is asked for again and again, and takes time to hash.
    static LAYERS: RefCell<BTreeMap<(u64, u8), Rc<Layer>>> = const { RefCell::new(BTreeMap::new()) };
    static ENTRIES: Vec<Entry> = make_entries();
}

/// The piece hashes of a file, and all that can be proven of them.
pub struct Layer {
    pub whole: PieceLayer,
    pub proven: VerifiedLayer,
}

/// The piece hashes of a file of the job.
pub fn layer(pieces: u64) -> Rc<Layer> {
    layer_with(pieces, 1)
}

/// Those of the file with this name: only what travels together has contents of its own.
pub fn layer_of(name: &str, pieces: u64) -> Rc<Layer> {
    layer_with(pieces, name.strip_prefix("h/").map_or(1, |own| own.as_bytes()[0]))
}

fn layer_with(pieces: u64, first: u8) -> Rc<Layer> {
    let known = LAYERS.with_borrow(|layers| layers.get(&(pieces, first)).cloned());
    known.unwrap_or_else(|| {
        let whole = make_layer(pieces, first);
        let layer = Rc::new(Layer { proven: whole.prove(), whole });
        LAYERS.with_borrow_mut(|layers| layers.insert((pieces, first), Rc::clone(&layer)));
        layer
    })
}

fn make_layer(pieces: u64, first: u8) -> PieceLayer {
    let geometry = Geometry::new(pieces * u64::from(PieceLen::MIN.bytes()), PieceLen::MIN);
    let hashes = (0..pieces).map(|at| Hash([(at as u8).wrapping_add(first); 32])).collect();
    PieceLayer::new(geometry, hashes).expect("as many as there are pieces")
}

fn file(name: &str, pieces: u64) -> Entry {
    let content = FileContent::hashed(&layer_of(name, pieces).whole);
    entry(name, Kind::File(content))
}

fn entry(name: &str, kind: Kind) -> Entry {
    let modified = Timestamp { seconds: 0, nanoseconds: 0 };
    let name = Name::new(name).expect("ours are names");
    Entry { name, kind, metadata: Metadata::new(0o644, modified) }
}

/// The entries of the job as they should be, in order of their names.
pub fn entries() -> Vec<Entry> {
    ENTRIES.with(Clone::clone)
}

fn make_entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = PIECES.iter().map(|(name, pieces)| file(name, *pieces)).collect();
    entries.insert(4, entry("e", Kind::Directory));
    entries.insert(6, entry("g", Kind::Symlink(b"a".to_vec())));
    entries
}

/// The catalogue that these make.
pub fn catalogue() -> Catalogue {
    Catalogue::new(entries()).expect("it is a small one")
}

/// An entry as somebody else may have it.
fn any_entry(input: &mut Input<'_>) -> Entry {
    let mut known = entries();
    let mut entry = known.swap_remove(input.below(10));
    match input.below(8) {
        0 => entry.kind = Kind::Symlink(vec![b'x'; 1 + input.below(50)]),
        1 => {
            let to = Name::new(["a", "b", "e", "zz"][input.below(4)]).expect("a name");
            let content = entry.file().copied().unwrap_or(FileContent::hashed(&layer(1).whole));
            entry.kind = Kind::HardLink { to, content };
        }
        2 => {
            let geometry = Geometry::new(input.wide(), PieceLen::MIN);
            let root = input.flag().then_some(Hash([9; 32]));
            // Whoever claims more pieces than fit is refused; whoever claims many is believed, and
            // would only make this slow.
            let pieces = geometry.piece_count_wide();
            if !(5000..=Catalogue::MAX_PIECES).contains(&pieces) {
                entry.kind = Kind::File(FileContent { geometry, root, zero_bytes: input.wide() });
            }
        }
        3 => entry.name = Name::new(["a/b", "e/f/g", "zz", "e"][input.below(4)]).expect("a name"),
        _ => {}
    }
    entry
}

pub fn rank(input: &mut Input<'_>) -> Rank {
    Rank(input.number(RANKS))
}

fn span(input: &mut Input<'_>, bound: u32) -> Span {
    Span { first: input.number(bound), count: input.number(12) }
}

fn spans(input: &mut Input<'_>, bound: u32) -> Vec<Span> {
    input.several(4, |input| span(input, bound))
}

const ALL: u32 = 628;

fn pieces(input: &mut Input<'_>) -> Vec<Span> {
    if input.byte() < 40 { vec![Span { first: 0, count: ALL }] } else { spans(input, ALL) }
}

fn set(input: &mut Input<'_>) -> PieceSet {
    if input.flag() {
        return PieceSet::Runs(pieces(input));
    }
    PieceSet::Bits { first: input.number(ALL), bytes: input.several(8, Input::byte) }
}

fn sentence(input: &mut Input<'_>) -> String {
    "why ".repeat(input.below(4))
}

fn counters(input: &mut Input<'_>) -> Counters {
    Counters {
        bytes_received: input.wide(),
        bytes_sent: input.wide(),
        bytes_reused: input.wide(),
        bytes_delivered: input.wide(),
        bytes_wasted: input.wide(),
        entries_removed: input.wide(),
        pieces_corrupt: input.wide(),
    }
}

/// What a tracker says, or somebody in its name.
pub fn from_tracker(input: &mut Input<'_>) -> FromTracker {
    match input.below(24) {
        0 => FromTracker::Read { positions: spans(input, 4), last: input.flag() },
        1 => FromTracker::Entries(input.several(3, any_entry).into()),
        2 if input.flag() => FromTracker::Origins(input.several(3, origins)),
        2 => FromTracker::Wanted(spans(input, 10)),
        3 => FromTracker::Start(Start { entry_count: input.number(8), admitted: input.flag() }),
        4 => FromTracker::Admission(if input.flag() { Ok(()) } else { Err(sentence(input)) }),
        5..=7 => FromTracker::Holders {
            question: input.number(9),
            holders: input
                .several(3, |input| HolderPieces { rank: rank(input), pieces: set(input) }),
            gone: input.several(2, set),
            last: input.flag(),
        },
        8 => FromTracker::Alive,
        9 => FromTracker::Settle(input.number(9)),
        10 => match input.below(3) {
            0 => FromTracker::TellRates,
            1 => FromTracker::Moved {
                neighbours: input.several(3, rank),
                topology: Box::new(topology(input)),
            },
            _ => FromTracker::Lost(rank(input)),
        },
        11 if input.byte() > 200 => {
            FromTracker::Finish { outcome: outcome(input), lost: input.flag() }
        }
        12 if input.byte() > 200 => FromTracker::End,
        13 => FromTracker::Reign,
        14 => FromTracker::Recite,
        15 if input.byte() > 200 => FromTracker::GivenUp,
        16 => FromTracker::Neighbours(input.several(4, rank)),
        17 => FromTracker::Topology(Box::new(topology(input))),
        18 => FromTracker::Walk { positions: spans(input, 4), last: input.flag() },
        19 => FromTracker::ReadOrders(input.several(3, read_order)),
        20 => FromTracker::Proven(input.several(3, proven)),
        21 => FromTracker::Parts(input.several(3, part_hash)),
        22 => FromTracker::Sources(input.several(4, rank)),
        23 => {
            let (hash, entries) = part(input);
            FromTracker::Part { hash, entries }
        }
        _ if input.flag() => FromTracker::ReadAgain(input.several(3, read_again)),
        _ => FromTracker::Alive,
    }
}

/// The parts in which peers fetch the catalogue of the job.
pub fn catalogue_parts() -> Vec<Vec<Entry>> {
    entries().chunks(4).map(<[Entry]>::to_vec).collect()
}

/// The name of one.
pub fn hash_of_part(part: &[Entry]) -> Hash {
    Hash::of(&postcard::to_allocvec(part).expect("entries encode"))
}

fn part_hash(input: &mut Input<'_>) -> Hash {
    let parts = catalogue_parts();
    parts.get(input.below(4)).map_or(Hash::ZERO, |part| hash_of_part(part))
}

/// A part of the catalogue, or what somebody says is one.
fn part(input: &mut Input<'_>) -> (Hash, Vec<Entry>) {
    let parts = catalogue_parts();
    let at = input.below(parts.len());
    let entries = if input.byte() > 60 { parts[at].clone() } else { input.several(3, any_entry) };
    (hash_of_part(&parts[at]), entries)
}

/// The hosts and racks around a rank, as somebody says.
fn topology(input: &mut Input<'_>) -> Topology {
    Topology {
        host: spans(input, 4),
        rack: input.flag().then(|| spans(input, 4)),
        of_host: Portion { index: input.number(4), count: input.number(4) },
        of_rack: Portion { index: input.number(4), count: input.number(4) },
    }
}

fn outcome(input: &mut Input<'_>) -> Outcome {
    [Outcome::Complete, Outcome::Refused, Outcome::Degraded, Outcome::Failed][input.below(4)]
}

/// What a peer says to a peer.
pub fn between(input: &mut Input<'_>) -> Between {
    match input.below(11) {
        0 => Between::Request {
            number: RequestNumber(input.number(20)),
            pieces: pieces(input),
            gained: spans(input, ALL),
        },
        1 => Between::AskHashes { entry: EntryIndex(input.number(10)), range: input.number(3) },
        2 => Between::Cancel(RequestNumber(input.number(20))),
        3 | 4 => Between::Ack(Ack {
            request: RequestNumber(input.number(20)),
            follows: pieces(input),
            refused: spans(input, ALL),
            gained: spans(input, ALL),
            sent: spans(input, ALL),
            backlog: input.number(50),
        }),
        5 => Between::Gained { pieces: pieces(input), backlog: input.number(50) },
        6 => Between::Succeed { epoch: Epoch(input.number(RANKS)), certain: input.flag() },
        7 => Between::Unseated,
        8 => Between::AskPart(part_hash(input)),
        9 => {
            let (hash, entries) = part(input);
            Between::Part { hash, entries: input.flag().then_some(entries) }
        }
        _ => hashes(input),
    }
}

fn hashes(input: &mut Input<'_>) -> Between {
    let (entry, index) = (EntryIndex(input.number(10)), input.number(3));
    Between::Hashes { entry, index, range: range(input, entry, index) }
}

/// Hashes of an entry's pieces, or what somebody says are some.
fn range(input: &mut Input<'_>, entry: EntryIndex, index: u32) -> Option<HashRange> {
    let known = match entry.0 {
        0 => Some(layer(24)),
        2 => Some(layer(600)),
        _ => None,
    };
    match input.below(4) {
        0 => None,
        1 => Some(HashRange {
            index: input.number(3),
            hashes: vec![Hash([3; 32]); input.below(4)],
            proof: vec![Hash::ZERO; input.below(3)],
        }),
        _ => known.and_then(|layer| layer.proven.range(index).cloned()),
    }
}

/// Pieces that only a lost rank had; those of the file with two ranges of hashes, or any.
fn read_again(input: &mut Input<'_>) -> ReadAgain {
    let (entry, index) = (EntryIndex([0, 2, 5][input.below(3)]), input.number(2));
    ReadAgain { pieces: span(input, ALL), hashes: range(input, entry, index) }
}

fn shares(input: &mut Input<'_>) -> Vec<SharedPath> {
    input.several(2, |input| {
        let path = format!("/s{}", input.below(3));
        SharedPath { locations: input.several(2, location), ..SharedPath::missing(path) }
    })
}

fn location(input: &mut Input<'_>) -> Location {
    let kernel = ["a", "b"][input.below(2)].to_owned();
    let system = match input.below(3) {
        0 => System::Local(kernel.clone()),
        server => System::Network { kind: "nfs4".into(), server: format!("s{server}") },
    };
    Location { system, path: ["/", "/s1", "/s1/d", ""][input.below(4)].to_owned(), kernel }
}

fn left_out(input: &mut Input<'_>) -> LeftOut {
    let (destination, name) = (any_entry(input).name, any_entry(input).name);
    let first = input.several(3, |input| any_entry(input).name);
    LeftOut { destination, name, count: input.below(5) as u64, first }
}

fn wants(input: &mut Input<'_>) -> Vec<String> {
    input.several(2, |input| ["**", "a", "*", "e/*", "[", "nothing"][input.below(6)].to_owned())
}

fn shared_fs(input: &mut Input<'_>) -> SharedFs {
    match input.below(5) {
        0 => SharedFs::Asked,
        1 => SharedFs::OnNetwork,
        2 => SharedFs::At(input.below(2) as u64),
        _ => SharedFs::No,
    }
}

/// A file as a rank finds it that looks through the source and reads nothing.
fn rootless(input: &mut Input<'_>) -> Entry {
    let mut entry = any_entry(input);
    if let (Kind::File(content), true) = (&mut entry.kind, input.byte() > 20) {
        content.root = None;
    }
    entry
}

fn pieces_read(input: &mut Input<'_>) -> PiecesRead {
    let hash = |input: &mut Input<'_>| Hash([input.below(2) as u8; 32]);
    let entry = rootless(input);
    let first = input.number(30);
    PiecesRead { entry, first, hashes: (0..input.below(40)).map(|_| hash(input)).collect() }
}

fn keep(input: &mut Input<'_>) -> Keep {
    if input.flag() { Keep::Written } else { Keep::InPlace }
}

fn read_order(input: &mut Input<'_>) -> ReadOrder {
    let entry = rootless(input);
    let pieces = Span { first: input.number(30), count: input.number(30) };
    ReadOrder { entry, pieces, keep: keep(input) }
}

fn proven(input: &mut Input<'_>) -> Proven {
    let entry = any_entry(input);
    let content = entry.file().copied();
    let content = content.unwrap_or(FileContent::unhashed(Geometry::new(5, PieceLen::MIN)));
    let range = input.flag().then(|| HashRange {
        index: input.number(3),
        hashes: vec![Hash([1; 32]); input.below(4)],
        proof: vec![Hash::ZERO; input.below(3)],
    });
    Proven { name: entry.name, content, range, keep: keep(input) }
}

fn unread(input: &mut Input<'_>) -> Unread {
    let fault = if input.flag() { ReadFault::Source } else { ReadFault::Destination };
    Unread { name: any_entry(input).name, fault, why: sentence(input) }
}

fn hello(input: &mut Input<'_>) -> Hello {
    let lock = match input.below(6) {
        0 => Lock::Taken { nonce: input.byte().into(), owner: sentence(input) },
        1 => Lock::Unclaimed,
        2 => Lock::Sealed,
        _ => Lock::Held { nonce: input.below(4) as u128 },
    };
    let destination = Destination {
        id: input.below(4) as u128,
        path: sentence(input),
        location: location(input),
        lock,
        file_system: input.below(2) as u64,
        free_bytes: input.wide(),
    };
    Hello {
        host: format!("h{}", input.below(3)),
        rack: None,
        shares: shares(input),
        waits_for_read: input.flag(),
        shared_fs: shared_fs(input),
        wants: wants(input),
        wants_own: input.flag(),
        destination: match input.below(6) {
            0 => None,
            1 => Some(Err(sentence(input))),
            _ => Some(Ok(destination)),
        },
    }
}

fn origin(input: &mut Input<'_>) -> Origin {
    match input.flag() {
        true => Origin::Share(input.number(3)),
        false => Origin::Earlier {
            share: input.flag().then(|| ShareId(input.below(3) as u128)),
            is_stale: input.flag(),
        },
    }
}

fn origins(input: &mut Input<'_>) -> Origins {
    let entries = Span { first: input.number(10), count: input.number(10) };
    Origins { entries, share: ShareId(input.below(3) as u128) }
}

/// What differs: anything that can.
pub fn differences(input: &mut Input<'_>) -> Differences {
    Differences::try_from(u16::from(input.byte()) << input.below(3)).unwrap_or(Differences::MISSING)
}

/// What a peer says to the tracker.
pub fn to_tracker(input: &mut Input<'_>) -> ToTracker {
    match input.below(24) {
        22 => ToTracker::Unsteady(input.several(3, rootless)),
        23 => ToTracker::LeftOut(input.several(3, left_out)),
        21 => ToTracker::AskPart(part_hash(input)),
        18 => ToTracker::Offers(input.several(3, |input| WireOffer {
            entry: rootless(input),
            pieces: None,
            origin: Origin::Share(0),
        })),
        19 => ToTracker::PiecesRead(input.several(3, pieces_read)),
        20 if input.byte() > 100 => ToTracker::Unread(unread(input)),
        0 => ToTracker::HelloPart(HelloPart { shares: shares(input), wants: wants(input) }),
        1 => ToTracker::Hello(Box::new(hello(input))),
        2 => ToTracker::Offers(input.several(3, |input| WireOffer {
            entry: any_entry(input),
            pieces: input.flag().then(|| set(input)),
            origin: origin(input),
        })),
        3 => ToTracker::Introduced,
        4 if input.byte() > 220 => ToTracker::Trouble(sentence(input)),
        5 => ToTracker::Surveyed { need_bytes: input.wide() },
        6 | 7 => ToTracker::Ask {
            question: input.number(9),
            first: EntryIndex(input.number(10)),
            count: input.number(8),
        },
        8 => ToTracker::Shun(rank(input)),
        9 if input.flag() => ToTracker::Rates(
            input.several(8, |input| Rate { rank: rank(input), micros: input.number(90) }),
        ),
        9 => ToTracker::Settled(input.number(5)),
        10 => ToTracker::Stop(Stop {
            cannot_receive: input.flag().then(|| sentence(input)),
            counters: counters(input),
            extra: Extra { count: input.wide(), names: input.several(2, sentence) },
            updates: input.number(6),
        }),
        11 => ToTracker::Counters(counters(input)),
        14 => ToTracker::Recall(Recall {
            lost: spans(input, RANKS),
            told_to_read: input.flag(),
            read: spans(input, 4),
            own: spans(input, 7),
            assigned: spans(input, 7),
            complete: spans(input, 7),
            pieces: pieces(input),
        }),
        15 => ToTracker::Rejoined(Box::new(rejoined(input))),
        16 => ToTracker::Entries(input.several(3, any_entry)),
        17 => ToTracker::Recited,
        _ => ToTracker::Update(Gains {
            lost: spans(input, ALL),
            pieces: pieces(input),
            entries: spans(input, 7),
            differing: input.several(2, |input| Differing {
                what: differences(input),
                entries: Span { first: input.number(7), count: input.number(7) },
            }),
            have_bytes: input.wide(),
        }),
    }
}

fn rejoined(input: &mut Input<'_>) -> Rejoined {
    let digest = Rejoined::digest(&catalogue());
    Rejoined {
        given_up: input.byte() > 240,
        finished: (input.byte() > 200).then(|| outcome(input)),
        catalogue: input.flag().then(|| digest ^ u64::from(input.byte() > 240)),
        have_bytes: input.wide(),
        need_bytes: input.flag().then(|| input.wide()),
        awaits_admission: input.flag(),
        stop: None,
    }
}

/// A place that a rank sees alone.
fn seen_by(rank: u32, path: &str) -> Location {
    Location::on_device("1", path.into(), &rank.to_string())
}

/// A peer's INIT as it should be.
pub fn introduction(shares_all: bool, wants_all: bool, rank: u32) -> Vec<ToTracker> {
    let destination = Destination {
        id: rank.into(),
        path: "/into".into(),
        location: seen_by(rank, "/into"),
        lock: Lock::Held { nonce: rank.into() },
        file_system: 0,
        free_bytes: if rank == 3 { 1000 } else { u64::MAX },
    };
    let hello = Hello {
        host: format!("h{}", rank / 2),
        rack: None,
        shares: if shares_all {
            vec![SharedPath::at("/s".into(), vec![seen_by(rank, "/s")])]
        } else {
            vec![]
        },
        waits_for_read: false,
        shared_fs: SharedFs::No,
        wants: if wants_all { vec!["**".into()] } else { vec![] },
        wants_own: false,
        destination: wants_all.then_some(Ok(destination)),
    };
    let mut said = vec![ToTracker::Hello(Box::new(hello))];
    if shares_all {
        let offer = |entry| WireOffer { entry, pieces: None, origin: Origin::Share(0) };
        said.push(ToTracker::Offers(entries().into_iter().map(offer).collect()));
    }
    said.push(ToTracker::Introduced);
    said
}
