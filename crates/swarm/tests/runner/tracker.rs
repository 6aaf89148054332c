//! Stories about a tracker.
//!
//! ```text
//! tracker of RANKS [colocated] [just look|guess] [memory BYTES]
//! RANK: INIT [shares PATH[!]...] [wants GLOB...] [into ID] [free BYTES]
//!              [on HOST] [just look|guess]
//!                                         a path with ! is missing
//!   [seen by all]                       --shared-fs
//! RANK: offers [f:6] [f:6 has 0-3]...   f:6:x is another content of the same length
//!                                         f:6:? is one whose root is yet to be found
//! RANK: read FILE PIECES                  RANK: did not read NAME source|destination SENTENCE
//! RANK: introduced                      RANK: trouble SENTENCE
//! RANK: asks NUMBER ENTRIES             RANK: shuns RANK
//! RANK: surveyed BYTES                  RANK: settled NUMBER
//! RANK: update [gained PIECES] [complete ENTRIES] [lost PIECES] [have BYTES]
//!              [missing ENTRIES] [differing ENTRIES]
//! RANK: STOP UPDATES [SENTENCE]         RANK: counters RECEIVED SENT
//! lost RANK                             wait SECONDS
//! ```

use super::words::{entry, number, sent, spans, value};
use content::{EntryIndex, Span};
use std::time::Duration;
use swarm::message::{Differing, Gains, Hello, Message, PieceSet, PiecesRead, ReadFault, SharedFs};
use swarm::message::{Rate, SharedPath, Stop, ToTracker, Unread, WireOffer};
use swarm::tracker::{Spread, Tracker, TrackerAction, TrackerConfig, TrackerEvent};
use swarm::{Counters, Destination, Differences, Extra, Instant, Location, Lock, Origin, Rank};
use swarm::{Report, Sweep, System};

const KEYS: [&str; 14] = [
    "shares",
    "wants",
    "into",
    "free",
    "on",
    "gained",
    "complete",
    "lost",
    "have",
    "missing",
    "differing",
    "just",
    "memory",
    "seen",
];

pub struct TrackerBench {
    tracker: Tracker,
    now: Instant,
}

impl TrackerBench {
    pub fn new(text: &str) -> Self {
        let ranks = text.strip_prefix("of ").expect("tracker of RANKS");
        let config = TrackerConfig {
            rank: Rank::TRACKER,
            ranks: number(ranks.split_whitespace().next().unwrap()),
            colocated: ranks.contains("colocated"),
            patience: Duration::from_secs(30),
            memory: value(ranks, "memory", &KEYS).map(number),
            sweep: ranks.contains("and-delete").then_some(Sweep::Everywhere),
            purpose: super::words::purpose(text),
            spread: spread(ranks),
            seed: 1,
        };
        Self { tracker: Tracker::new(config, Instant::ZERO), now: Instant::ZERO }
    }

    pub fn event(&mut self, text: &str) -> Option<Vec<String>> {
        let event = match text.split_once(": ") {
            Some((rank, said)) => {
                let from = number(rank);
                TrackerEvent::Message { from: Rank(from), message: to_tracker(from, said)? }
            }
            None => match text.split_once(' ')? {
                ("lost", rank) => TrackerEvent::Lost(Rank(number(rank))),
                ("wait", seconds) => {
                    self.now = self.now + Duration::from_secs_f64(number(seconds));
                    TrackerEvent::Tick
                }
                _ => return None,
            },
        };
        let actions = self.tracker.handle(self.now, event);
        self.tracker.check_invariants();
        Some(actions.into_iter().flat_map(show).collect())
    }
}

/// `in parts of BYTES`: the catalogue is fetched in such.
fn spread(text: &str) -> Spread {
    value(text, "in parts of", &KEYS)
        .map_or(Spread::default(), |bytes| Spread { inline_bytes: 0, part_bytes: number(bytes) })
}

fn show(action: TrackerAction) -> Vec<String> {
    match action {
        TrackerAction::Send { to, message } => vec![sent(to, &Message::FromTracker(message))],
        TrackerAction::Notice(text) => vec![format!("notice: {text}")],
        TrackerAction::Report(report) => rows(&report),
    }
}

fn rows(report: &Report) -> Vec<String> {
    let mut rows = vec![format!("report: {}", report.outcome.word())];
    rows.extend(report.reasons.iter().map(|why| format!("  because {why}")));
    for row in &report.peers {
        let why = row.reason.as_ref().map_or(String::new(), |why| format!(": {why}"));
        rows.push(format!(
            "  rank {}: {}, {} of {} files, {} bytes received, {} sent{why}",
            row.rank,
            row.state.word(),
            row.files_complete,
            row.files_wanted,
            row.counters.bytes_received,
            row.counters.bytes_sent
        ));
    }
    rows.extend(report.missing.iter().map(|name| format!("  missing: {name}")));
    for list in &report.unequal {
        let ranks: Vec<String> = list.ranks.iter().map(Rank::to_string).collect();
        let names = list.names.iter().map(|(name, what)| format!("{name}: {}", what.words()));
        let names: Vec<String> = names.collect();
        let (ranks, names) = (ranks.join(","), names.join("; "));
        rows.push(format!("  ranks {ranks}: {}: {names}, and {} more", list.reason, list.more));
    }
    rows
}

fn to_tracker(rank: u32, text: &str) -> Option<ToTracker> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    Some(match word {
        "INIT" => ToTracker::Hello(Box::new(hello(rank, text))),
        "offers" => ToTracker::Offers(rest.split("; ").map(offer).collect()),
        "changes" => ToTracker::Unsteady(rest.split("; ").map(entry).collect()),
        "introduced" => ToTracker::Introduced,
        "read" => {
            let (file, pieces) = rest.split_once(' ')?;
            ToTracker::PiecesRead(spans(pieces).into_iter().map(|run| read(file, run)).collect())
        }
        "did" => {
            let mut words = rest.split_whitespace().skip(2);
            let name = content::Name::new(words.next()?).unwrap();
            let fault = match words.next()? {
                "source" => ReadFault::Source,
                _ => ReadFault::Destination,
            };
            let why = words.collect::<Vec<_>>().join(" ");
            ToTracker::Unread(Unread { name, fault, why })
        }
        "trouble" => ToTracker::Trouble(rest.to_owned()),
        "asks" => {
            let (question, entries) = rest.split_once(' ')?;
            let span = *spans(entries).first()?;
            let (question, first) = (number(question), EntryIndex(span.first));
            ToTracker::Ask { question, first, count: span.count }
        }
        "shuns" => ToTracker::Shun(Rank(number(rest))),
        "surveyed" => ToTracker::Surveyed { need_bytes: number(rest) },
        "settled" => ToTracker::Settled(number(rest)),
        "rates" => ToTracker::Rates(rest.split(' ').map(rate).collect::<Option<_>>()?),
        "update" => {
            let runs = |key| value(text, key, &KEYS).map(spans).unwrap_or_default();
            ToTracker::Update(Gains {
                lost: runs("lost"),
                pieces: runs("gained"),
                entries: runs("complete"),
                differing: [
                    differing(Differences::MISSING, runs("missing")),
                    differing(Differences::CONTENT.and(Differences::TIME), runs("differing")),
                ]
                .concat(),
                have_bytes: value(text, "have", &KEYS).map_or(0, number),
            })
        }
        "STOP" => {
            let (updates, why) = rest.split_once(' ').unwrap_or((rest, ""));
            let cannot_receive = (!why.is_empty()).then(|| why.to_owned());
            let counters = Counters::default();
            ToTracker::Stop(Stop {
                cannot_receive,
                counters,
                extra: Extra::default(),
                updates: number(updates),
            })
        }
        "counters" => {
            let (received, sent) = rest.split_once(' ')?;
            let (bytes_received, bytes_sent) = (number(received), number(sent));
            let bytes_delivered = bytes_received;
            ToTracker::Counters(Counters {
                bytes_received,
                bytes_sent,
                bytes_delivered,
                ..Counters::default()
            })
        }
        _ => return None,
    })
}

/// What a rank read of a file; of one with a root, an earlier run left it.
fn read(file: &str, run: Span) -> PiecesRead {
    let entry = entry(file);
    let content = file.split(':').nth(2).filter(|it| *it != "?").map_or(0, |it| it.as_bytes()[0]);
    let count = entry.file().expect("a file is read").geometry.piece_count();
    let layer = super::words::layer(count, content);
    let hashes = layer.hashes()[run.first as usize..=run.last() as usize].to_vec();
    PiecesRead { entry, first: run.first, hashes }
}

/// `3=20000`: a piece from rank 3 takes so many microseconds.
fn rate(text: &str) -> Option<Rate> {
    let (rank, micros) = text.split_once('=')?;
    Some(Rate { rank: Rank(number(rank)), micros: number(micros) })
}

fn differing(what: Differences, entries: Vec<Span>) -> Vec<Differing> {
    entries.into_iter().map(|entries| Differing { what, entries }).collect()
}

fn hello(rank: u32, text: &str) -> Hello {
    let words = |key| value(text, key, &KEYS).unwrap_or("").split_whitespace();
    let there = |path: &str| match path.strip_suffix('!') {
        Some(missing) => SharedPath::missing(missing.to_owned()),
        None => SharedPath::at(path.to_owned(), vec![location(path)]),
    };
    let wants: Vec<String> = words("wants").map(str::to_owned).collect();
    let destination = Destination {
        id: value(text, "into", &KEYS).map_or(u128::from(rank), number),
        path: "/into".into(),
        location: location(&format!("/into{rank}")),
        lock: match value(text, "just", &KEYS) {
            Some(_) => Lock::Unclaimed,
            None => Lock::Held { nonce: rank.into() },
        },
        file_system: 0,
        free_bytes: value(text, "free", &KEYS).map_or(u64::MAX, number),
    };
    Hello {
        host: value(text, "on", &KEYS).map_or_else(|| format!("host{rank}"), str::to_owned),
        rack: None,
        shares: words("shares").map(there).collect(),
        waits_for_read: text.contains(" seen by all"),
        shared_fs: if text.contains(" seen by all") { SharedFs::Asked } else { SharedFs::No },
        wants_own: text.contains(" seen by all"),
        destination: (!wants.is_empty()).then_some(Ok(destination)),
        wants,
    }
}

/// A place that all ranks see.
fn location(path: &str) -> Location {
    let system = System::Network { kind: "nfs4".into(), server: "s".into() };
    Location { system, path: path.to_owned(), kernel: "k".into() }
}

/// `f:4`, or `f:4 has 0-1 of /data`: what an earlier job left of a share.
fn offer(text: &str) -> WireOffer {
    let Some((file, part)) = text.split_once(" has ") else {
        return WireOffer { entry: entry(text), pieces: None, origin: Origin::Share(0) };
    };
    let (part, share) = part.split_once(" of ").map_or((part, None), |(p, path)| (p, Some(path)));
    let share = share.map(|path| SharedPath::missing(path.to_owned()).id);
    let origin = Origin::Earlier { share, is_stale: false };
    WireOffer { entry: entry(file), pieces: Some(PieceSet::Runs(spans(part))), origin }
}
