//! Stories about a peer.
//!
//! ```text
//! peer RANK of RANKS [batch N] [window PIECES] [files f:6 g:1 d/] [just look|guess]
//!                                   pieces are 16 KiB
//! offers [NAME] [NAME:PIECES]       all of an entry, or an earlier run's part of it
//! START wants ENTRIES [pending]     all three messages
//! extra [PATH]...                   removed COUNT
//! inspected ENTRY [BYTES] [WHAT]...
//! surveyed ENTRY nothing|complete|linked|candidate|denied|partial PIECES
//! salvaged PIECE reused|copied|absent
//! received PIECE from RANK [BYTES]  stored PIECE from RANK written|corrupt|full
//!                                   stored PIECE from RANK corrupt PIECE: of a bundle, that alone
//! loaded PIECE [unreadable [PIECE]] sent PIECE to RANK; a bundle goes by its first piece
//! finished ENTRY                    sealed, closed
//! lost RANK                         the transport knows
//! reign RANK                        another rank tracks
//! wait SECONDS                      time passes, and a tick
//! tracker: MESSAGE                  RANK: MESSAGE
//! ```

use super::words::{PIECE, catalogue, layer, number, runs, sent, set, spans, value};
use content::{Catalogue, EntryIndex, PieceId, PieceLayer, Span};
use std::collections::BTreeMap;
use std::time::Duration;
use swarm::message::{Ack, Between, Envelope, Epoch, FromTracker, HolderPieces, Message};
use swarm::message::{Keep, PieceSet, ReadAgain, ReadOrder, RequestNumber, Start};
use swarm::peer::{Fault, Limits, Offered, Peer, PeerAction, PeerConfig, PeerEvent};
use swarm::peer::{Inspected, Salvaged, Stored, Surveyed, TransferId};
use swarm::{Differences, Extra, Held, Instant, Offer, Origin, Outcome, Rank};

const KEYS: [&str; 10] =
    ["batch", "window", "files", "follows", "refused", "gained", "has", "gone", "wants", "just"];

pub struct PeerBench {
    peer: Peer,
    now: Instant,
    catalogue: Catalogue,
    /// Transfers by what the story calls them: the piece and the other rank.
    transfers: BTreeMap<(u32, u32), TransferId>,
    pieces: BTreeMap<TransferId, (u32, u32)>,
    /// How many pieces travel as one, and which of them are to be written.
    counts: BTreeMap<TransferId, u32>,
    to_store: BTreeMap<TransferId, Vec<PieceId>>,
}

impl PeerBench {
    pub fn new(text: &str) -> Self {
        let (rank, rest) = text.split_once(" of ").expect("peer RANK of RANKS");
        let ranks = rest.split_whitespace().next().unwrap();
        let window: u64 = value(rest, "window", &KEYS).map_or(64, number);
        let config = PeerConfig {
            rank: Rank(number(rank)),
            ranks: number(ranks),
            tracker: Rank::TRACKER,
            batch: value(rest, "batch", &KEYS).map_or(10, number),
            window_bytes: window * PIECE,
            upload_window_bytes: 64 * PIECE,
            entry_bytes: 0,
            limits: Limits::default(),
            delete: rest.contains("and-delete"),
            purpose: super::words::purpose(rest),
            patience: Duration::from_secs(30),
        };
        Self {
            peer: Peer::new(config, Instant::ZERO),
            now: Instant::ZERO,
            catalogue: catalogue(value(rest, "files", &KEYS).unwrap_or("")),
            transfers: BTreeMap::new(),
            pieces: BTreeMap::new(),
            counts: BTreeMap::new(),
            to_store: BTreeMap::new(),
        }
    }

    pub fn event(&mut self, text: &str) -> Option<Vec<String>> {
        if let Some((who, message)) = text.split_once(": ") {
            return self.message(who, message);
        }
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let event = match word {
            "offers" => {
                PeerEvent::Offered(rest.split_whitespace().map(|it| self.offer(it)).collect())
            }
            "START" => return Some(self.start(rest)),
            "surveyed" => self.surveyed(rest)?,
            "inspected" => inspected(rest)?,
            "extra" => {
                let names: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
                PeerEvent::ExtraListed(Extra { count: names.len() as u64, names })
            }
            "removed" => PeerEvent::ExtraRemoved(number(rest)),
            "salvaged" => {
                let (piece, found) = rest.split_once(' ')?;
                let found = match found {
                    "reused" => Salvaged::Reused,
                    "copied" => Salvaged::Copied,
                    "absent" => Salvaged::Absent,
                    _ => return None,
                };
                PeerEvent::Salvaged(PieceId(number(piece)), Ok(found))
            }
            "received" | "stored" | "loaded" | "sent" => self.moved(word, rest)?,
            "finished" => PeerEvent::Finished(EntryIndex(number(rest)), Ok(())),
            "sealed" => PeerEvent::Sealed(Ok(())),
            "closed" => PeerEvent::Closed,
            "lost" => PeerEvent::Lost(Rank(number(rest))),
            "reign" => {
                let from = Rank(number(rest));
                let message = Message::FromTracker(FromTracker::Reign);
                let envelope = Envelope { epoch: Epoch(from.0), message };
                PeerEvent::Message { from, envelope }
            }
            "wait" => {
                self.now = self.now + Duration::from_secs_f64(number(rest));
                PeerEvent::Tick
            }
            _ => return None,
        };
        Some(self.handle(event))
    }

    fn handle(&mut self, event: PeerEvent) -> Vec<String> {
        let actions = self.peer.handle(self.now, event);
        self.peer.check_invariants();
        actions.into_iter().map(|action| self.show(action)).collect()
    }

    fn layer(&self, entry: EntryIndex) -> PieceLayer {
        layer(self.catalogue.geometry(entry).piece_count(), 0)
    }

    fn offer(&self, text: &str) -> Offered {
        let (name, part) = text.split_once(':').map_or((text, None), |(n, part)| (n, Some(part)));
        let (index, entry) =
            self.catalogue.iter().find(|(_, entry)| entry.name.to_string() == name).unwrap();
        let layer = entry.file().map(|_| self.layer(index).prove().into());
        let held = part.map_or(Held::Whole, |part| {
            Held::Pieces(set(part, self.catalogue.pieces_of(index).len() as u32))
        });
        let origin = Origin::Share(0);
        Offered { offer: Offer { entry: entry.clone(), held, origin }, layer }
    }

    fn start(&mut self, text: &str) -> Vec<String> {
        let pending = text.ends_with(" pending");
        let wanted = text.trim_end_matches(" pending").trim_start_matches("wants");
        let entry_count = self.catalogue.entry_count();
        [
            FromTracker::Entries(self.catalogue.entries().into()),
            FromTracker::Wanted(spans(wanted)),
            FromTracker::Start(Start { entry_count, admitted: !pending }),
        ]
        .into_iter()
        .flat_map(|message| self.hear(Rank::TRACKER, Message::FromTracker(message)))
        .collect()
    }

    fn surveyed(&self, text: &str) -> Option<PeerEvent> {
        let (entry, found) = text.split_once(' ')?;
        let entry = EntryIndex(number(entry));
        let pieces = self.catalogue.pieces_of(entry).len() as u32;
        let found = match found.split_once(' ').unwrap_or((found, "")) {
            ("nothing", _) => Surveyed::Nothing,
            ("candidate", _) => Surveyed::Candidate,
            ("denied", _) => {
                let fault = Fault::Entry("permission denied".into());
                return Some(PeerEvent::Surveyed(entry, Err(fault)));
            }
            ("linked", _) => Surveyed::Linked,
            ("complete", _) => Surveyed::Complete(Some(self.layer(entry).prove())),
            ("partial", held) => Surveyed::Partial(set(held, pieces)),
            _ => return None,
        };
        Some(PeerEvent::Surveyed(entry, Ok(found)))
    }

    /// A piece on its way in or out.
    fn moved(&self, word: &str, text: &str) -> Option<PeerEvent> {
        let mut words = text.split_whitespace();
        let piece: u32 = number(words.next()?);
        let rank: u32 = if word == "loaded" { u32::MAX } else { number(words.nth(1)?) };
        let transfer = *self.transfers.get(&(piece, rank))?;
        let how = words.next();
        let which = words.next().map(|piece| PieceId(number(piece)));
        let bundle = Span { first: piece, count: self.counts[&transfer] };
        Some(match (word, how) {
            ("received", how) => {
                let len = self.catalogue.bundle_size(bundle) as u32;
                PeerEvent::Received(transfer, how.map_or(len, number))
            }
            ("stored", Some(how)) => {
                let result = |piece| match how {
                    "corrupt" if which.is_none_or(|which| which == piece) => Ok(Stored::Corrupt),
                    "full" => Err(Fault::Disk("the disk is full".into())),
                    _ => Ok(Stored::Written),
                };
                let pieces = self.to_store.get(&transfer)?.iter();
                PeerEvent::Stored(transfer, pieces.map(|&p| (p, result(p))).collect())
            }
            ("loaded", None) => PeerEvent::Loaded(transfer, Ok(())),
            ("loaded", _) => PeerEvent::Loaded(transfer, Err(which.unwrap_or(PieceId(piece)))),
            ("sent", _) => PeerEvent::Sent(transfer),
            _ => return None,
        })
    }

    fn message(&mut self, who: &str, text: &str) -> Option<Vec<String>> {
        let (from, message) = match who {
            "tracker" if text.starts_with("read-again ") => {
                (Rank::TRACKER, Message::FromTracker(self.read_again(text)?))
            }
            "tracker" => (Rank::TRACKER, Message::FromTracker(from_tracker(text)?)),
            rank => (Rank(number(rank)), Message::Between(self.between(text)?)),
        };
        Some(self.hear(from, message))
    }

    /// `read-again 3-5`: with the hashes of their file.
    fn read_again(&self, text: &str) -> Option<FromTracker> {
        let pieces = *spans(text.split_once(' ')?.1).first()?;
        let (entry, _) = self.catalogue.locate(PieceId(pieces.first));
        let hashes = self.layer(entry).prove().range(0).cloned();
        Some(FromTracker::ReadAgain(vec![ReadAgain { pieces, hashes }]))
    }

    fn hear(&mut self, from: Rank, message: Message) -> Vec<String> {
        let envelope = Envelope { epoch: Epoch::FIRST, message };
        self.handle(PeerEvent::Message { from, envelope })
    }

    fn between(&self, text: &str) -> Option<Between> {
        let (word, rest) = text.split_once(' ')?;
        let runs = |key| value(rest, key, &KEYS).map(spans).unwrap_or_default();
        let first = || rest.split_whitespace().next().map(number::<u32>);
        Some(match word {
            "request" => {
                let (number_text, pieces) = rest.split_once(' ')?;
                let number = RequestNumber(number(number_text));
                Between::Request { number, pieces: spans(pieces), gained: Vec::new() }
            }
            "cancel" => Between::Cancel(RequestNumber(number(rest))),
            "ack" => Between::Ack(Ack {
                request: RequestNumber(first()?),
                follows: runs("follows"),
                refused: runs("refused"),
                gained: runs("gained"),
                sent: runs("sent"),
                backlog: 0,
            }),
            "gained" => Between::Gained { pieces: spans(rest), backlog: 0 },
            "asks-hashes" => Between::AskHashes { entry: EntryIndex(first()?), range: 0 },
            "hashes" => {
                let entry = EntryIndex(first()?);
                let range = self.layer(entry).prove().range(0).cloned();
                Between::Hashes { entry, index: 0, range }
            }
            "no-hashes" => Between::Hashes { entry: EntryIndex(first()?), index: 0, range: None },
            _ => return None,
        })
    }

    fn name(&mut self, transfer: TransferId, piece: PieceId, rank: Rank) {
        self.transfers.insert((piece.0, rank.0), transfer);
        self.pieces.insert(transfer, (piece.0, rank.0));
    }

    fn show(&mut self, action: PeerAction) -> String {
        let pieces =
            |bench: &Self, transfer| bench.pieces.get(&transfer).copied().unwrap_or((0, 0));
        match action {
            PeerAction::Send { to, message } => sent(to, &message),
            PeerAction::Prepare(positions) => format!("read shares {positions:?}"),
            PeerAction::Walk(positions) => format!("look through shares {positions:?}"),
            PeerAction::ReadPieces(orders) => {
                let order = |order: &ReadOrder| {
                    let keep = if order.keep == Keep::Written { "write" } else { "leave" };
                    format!("{} {} ({keep})", order.entry.name, runs([order.pieces]))
                };
                let orders: Vec<String> = orders.iter().map(order).collect();
                format!("read of the source {}", orders.join(", "))
            }
            PeerAction::Keep(kept) => {
                let names: Vec<String> =
                    kept.iter().map(|kept| kept.offer.entry.name.to_string()).collect();
                format!("keep what was read: {names:?}")
            }
            PeerAction::Begin { wanted, .. } => {
                format!("begin; to write: {}", runs(wanted.spans()))
            }
            PeerAction::Inspect(entry) => format!("compare file {}", entry.0),
            PeerAction::ListExtra => "list what the catalogue lacks".into(),
            PeerAction::Survey(entry) => format!("survey file {}", entry.0),
            PeerAction::Salvage(piece, _) => format!("look here for piece {}", piece.0),
            PeerAction::Reread(piece, _) => format!("read piece {} of the source", piece.0),
            PeerAction::Record(entry, _) => format!("record hashes of file {}", entry.0),
            PeerAction::Receive { from, transfer, pieces } => {
                self.counts.insert(transfer, pieces.count);
                self.name(transfer, PieceId(pieces.first), from);
                format!("await {} from {from}", called(pieces))
            }
            PeerAction::Store { transfer, pieces, expected } => {
                let to_store: Vec<PieceId> = expected.into_iter().map(|(piece, _)| piece).collect();
                let numbers = Span::join(to_store.iter().map(|piece| piece.0));
                let some = match numbers[..] {
                    [all] if all == pieces => String::new(),
                    _ => format!(" of {}", called(pieces)),
                };
                let what = match numbers[..] {
                    [one] => called(one),
                    _ => format!("pieces {}", runs(numbers)),
                };
                self.to_store.insert(transfer, to_store);
                format!("verify and write {what}{some}")
            }
            PeerAction::Discard { transfer } => {
                format!("drop piece {}", pieces(self, transfer).0)
            }
            PeerAction::Load { transfer, pieces } => {
                // For whom it is read shows when it is sent.
                self.counts.insert(transfer, pieces.count);
                self.name(transfer, PieceId(pieces.first), Rank(u32::MAX));
                format!("read {}", called(pieces))
            }
            PeerAction::SendPiece { to, transfer } => {
                let (first, _) = pieces(self, transfer);
                self.name(transfer, PieceId(first), to);
                let bundle = Span { first, count: self.counts[&transfer] };
                format!("PIECE to {to}: {}", called(bundle))
            }
            PeerAction::Withdraw { to, .. } => format!("PIECE to {to}: nothing (withdrawn)"),
            PeerAction::Finish(entry) => format!("give file {} its name", entry.0),
            PeerAction::Seal => "make directories and links".into(),
            PeerAction::Close(outcome) => format!("close the store: {}", outcome.word()),
            PeerAction::Succeed(_) => "track from now on".into(),
            PeerAction::Abdicate => "track no more".into(),
            PeerAction::Exit { outcome, .. } => format!("exit: {}", outcome.word()),
            PeerAction::Notice(text) => format!("notice: {text}"),
        }
    }
}

/// `3 16384 mode time`
fn inspected(text: &str) -> Option<PeerEvent> {
    let mut words = text.split_whitespace();
    let entry = EntryIndex(number(words.next()?));
    let bytes_in_place = words.next().map_or(0, number);
    let mut differences = Differences::default();
    let mut obstacle = None;
    for word in words {
        differences = differences.and(match word {
            "missing" => Differences::MISSING,
            "content" => Differences::CONTENT,
            "mode" => Differences::MODE,
            "time" => Differences::TIME,
            "in-the-way" => {
                obstacle = Some("something stands in the way".to_owned());
                Differences::KIND
            }
            _ => return None,
        });
    }
    Some(PeerEvent::Inspected(entry, Inspected { differences, bytes_in_place, obstacle }))
}

/// The words of the tracker.
fn from_tracker(text: &str) -> Option<FromTracker> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match word {
        "alive" => FromTracker::Alive,
        "admitted" => FromTracker::Admission(Ok(())),
        "not-admitted" => FromTracker::Admission(Err(rest.to_owned())),
        "settle" => FromTracker::Settle(number(rest)),
        "tell-rates" => FromTracker::TellRates,
        "lost" => FromTracker::Lost(Rank(number(rest))),
        "FINISH" => FromTracker::Finish { outcome: outcome(rest)?, lost: false },
        "END" => FromTracker::End,
        "answer" => answer(rest)?,
        _ => return None,
    })
}

fn outcome(word: &str) -> Option<Outcome> {
    let all = [Outcome::Complete, Outcome::Refused, Outcome::Degraded, Outcome::Failed];
    all.into_iter().find(|outcome| outcome.word() == word)
}

/// `1; 2 has 0-5; 3 has 1; gone 6`
fn answer(text: &str) -> Option<FromTracker> {
    let mut parts = text.split("; ");
    let question = number(parts.next()?);
    let (mut holders, mut gone) = (Vec::new(), Vec::new());
    for part in parts {
        let set = |text: &str| PieceSet::Runs(spans(text));
        match part.split_once(" has ") {
            Some((rank, pieces)) => {
                let rank = Rank(number(rank));
                holders.push(HolderPieces { rank, pieces: set(pieces) });
            }
            None => gone.push(set(part.strip_prefix("gone ")?)),
        }
    }
    Some(FromTracker::Holders { question, holders, gone, last: true })
}

/// What a story calls a piece or a bundle.
fn called(pieces: Span) -> String {
    match pieces.count {
        1 => format!("piece {}", pieces.first),
        _ => format!("pieces {}", runs([pieces])),
    }
}
