//! What both kinds of stories share: files, runs of numbers, and messages as text.

use content::{Bitfield, Catalogue, Entry, FileContent, Geometry, Hash, Kind, Metadata, Name};
use content::{PieceLayer, PieceLen, Span, Timestamp};
use swarm::message::{FromTracker, Message, PieceSet};
use swarm::{Purpose, Rank};

/// Bytes of a piece in all stories.
pub const PIECE: u64 = 16 * 1024;

/// `3` or `0-5,7` as runs of numbers.
pub fn spans(text: &str) -> Vec<Span> {
    let span = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (number(first), number(last));
        Span { first, count: last + 1 - first }
    };
    text.split(',').filter(|part| !part.trim().is_empty()).map(|part| span(part.trim())).collect()
}

pub fn number<T: std::str::FromStr>(text: &str) -> T {
    text.trim().parse().unwrap_or_else(|_| panic!("'{text}' is no number"))
}

/// The value behind `key` in `... key value ...`, up to the next of `keys`.
pub fn value<'a>(text: &'a str, key: &str, keys: &[&str]) -> Option<&'a str> {
    let at = text.find(&format!("{key} "))? + key.len() + 1;
    let rest = &text[at..];
    let end = keys.iter().filter_map(|key| rest.find(&format!(" {key} "))).min();
    Some(rest[..end.unwrap_or(rest.len())].trim())
}

/// The piece hashes of a file of so many pieces; another content for another letter.
pub fn layer(pieces: u32, content: u8) -> PieceLayer {
    let geometry = Geometry::new(u64::from(pieces) * PIECE, PieceLen::MIN);
    let hashes = (0..pieces).map(|piece| Hash([piece as u8 ^ content; 32])).collect();
    PieceLayer::new(geometry, hashes).unwrap()
}

/// `f:6` is a file of six pieces, `f:6:x` one with other content, `g->f:6` a hard link to the
/// first, `d/` a directory.
pub fn entry(text: &str) -> Entry {
    let modified = Timestamp { seconds: 0, nanoseconds: 0 };
    let metadata = Metadata::new(0o644, modified);
    if let Some(name) = text.strip_suffix('/') {
        return Entry { name: Name::new(name).unwrap(), kind: Kind::Directory, metadata };
    }
    let mut parts = text.split(':');
    let name = parts.next().unwrap();
    let (name, link) = name.split_once("->").map_or((name, None), |(name, to)| (name, Some(to)));
    let name = Name::new(name).unwrap();
    let pieces = number(parts.next().expect("a file has pieces"));
    let letter = parts.next();
    let layer = layer(pieces, content_of(letter.filter(|it| *it != "?")));
    let mut content = FileContent::hashed(&layer);
    if letter == Some("?") {
        content = FileContent::unhashed(layer.geometry());
    }
    let kind = match link {
        Some(to) => Kind::HardLink { to: Name::new(to).unwrap(), content },
        None => Kind::File(content),
    };
    Entry { name, kind, metadata }
}

fn content_of(letter: Option<&str>) -> u8 {
    letter.map_or(0, |letter| letter.as_bytes()[0])
}

pub fn catalogue(text: &str) -> Catalogue {
    Catalogue::new(text.split_whitespace().map(entry).collect()).unwrap()
}

/// A set of numbers below a bound.
pub fn set(text: &str, bound: u32) -> Bitfield {
    let mut set = Bitfield::new(bound);
    for range in spans(text).into_iter().filter_map(|span| span.checked(bound)) {
        set.insert_range(range);
    }
    set
}

pub fn runs(spans: impl IntoIterator<Item = Span>) -> String {
    let text = |span: Span| match span.count {
        1 => span.first.to_string(),
        _ => format!("{}-{}", span.first, span.last()),
    };
    let runs: Vec<String> = spans.into_iter().map(text).collect();
    if runs.is_empty() { "none".into() } else { runs.join(",") }
}

fn pieces(set: &PieceSet) -> String {
    runs(set.ranges(u32::MAX).into_iter().map(Span::from))
}

/// A message that goes out, with its channel, as `-vv` shows it; an answer in full.
pub fn sent(to: Rank, message: &Message) -> String {
    let channel = message.channel().name();
    let Message::FromTracker(FromTracker::Holders { question, holders, gone, .. }) = message else {
        return format!("{channel} to {to}: {message}");
    };
    let mut text = format!("{channel} to {to}: answer {question}:");
    for holder in holders {
        text += &format!(" rank {} has {};", holder.rank, pieces(&holder.pieces));
    }
    for set in gone {
        text += &format!(" gone: {};", pieces(set));
    }
    if holders.is_empty() && gone.is_empty() { text + " nobody" } else { text }
}

/// What the first event says that the job is for.
pub fn purpose(text: &str) -> Purpose {
    match text {
        _ if text.contains(" just look") => Purpose::Check,
        _ if text.contains(" just guess") => Purpose::DryRun,
        _ => Purpose::Transfer,
    }
}
