//! Messages as a line of a log: short, in the protocol's own words.

use super::{Between, FromTracker, Message, PieceSet, ToTracker};
use crate::schedule::Portion;
use content::Span;
use std::fmt;

/// The most patterns of a rank that a line shows.
const WANTS_SHOWN: usize = 8;

/// Runs as text: `0-9,12`, the first few of many.
struct Runs<'a>(&'a [Span]);

impl fmt::Display for Runs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 4;
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (at, span) in self.0.iter().take(SHOWN).enumerate() {
            let comma = if at == 0 { "" } else { "," };
            match span.count {
                1 => write!(f, "{comma}{}", span.first)?,
                _ => write!(f, "{comma}{}-{}", span.first, span.last())?,
            }
        }
        if self.0.len() > SHOWN { write!(f, ",... in {} runs", self.0.len()) } else { Ok(()) }
    }
}

fn runs(set: &PieceSet) -> Vec<Span> {
    set.ranges(u32::MAX).into_iter().map(Span::from).collect()
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToTracker(message) => message.fmt(f),
            Self::FromTracker(message) => message.fmt(f),
            Self::Between(message) => message.fmt(f),
        }
    }
}

impl fmt::Display for ToTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HelloPart(part) => {
                write!(f, "INIT: {} shares, {} wants", part.shares.len(), part.wants.len())
            }
            Self::Hello(hello) => {
                let (told, more) = hello.wants.split_at(hello.wants.len().min(WANTS_SHOWN));
                write!(f, "INIT: {} shares, wants {told:?}", hello.shares.len())?;
                if more.is_empty() { Ok(()) } else { write!(f, " and {} more", more.len()) }
            }
            Self::Offers(offers) => write!(f, "INIT: {} files", offers.len()),
            Self::Unsteady(entries) => write!(f, "INIT: {} files that change", entries.len()),
            Self::LeftOut(left) => write!(f, "INIT: {} names are left out", left.len()),
            Self::PiecesRead(read) => {
                let pieces: usize = read.iter().map(|read| read.hashes.len()).sum();
                write!(f, "INIT: {pieces} pieces were read from the source")
            }
            Self::Unread(unread) => {
                write!(f, "INIT: '{}' is not read here: {}", unread.name, unread.why)
            }
            Self::Introduced => f.write_str("INIT: that is all"),
            Self::Trouble(why) => write!(f, "INIT: trouble: {why}"),
            Self::Recall(recall) => write!(
                f,
                "INIT again: pieces {}; complete files {}",
                Runs(&recall.pieces),
                Runs(&recall.complete)
            ),
            Self::Rejoined(_) => f.write_str("INIT again: that is all"),
            Self::Entries(entries) => write!(f, "catalogue: {} files", entries.len()),
            Self::Recited => f.write_str("catalogue: that is all"),
            Self::Surveyed { need_bytes } => write!(f, "surveyed: {need_bytes} bytes to write"),
            Self::Ask { question, first, count } => {
                write!(
                    f,
                    "question {question}: who holds files {}-{}?",
                    first.0,
                    Span { first: first.0, count: *count }.last()
                )
            }
            Self::Shun(rank) => write!(f, "rank {rank} is not asked any more"),
            Self::Settled(number) => write!(f, "settled {number}"),
            Self::Rates(rates) => write!(f, "rates of {} holders", rates.len()),
            Self::Stop(_) => f.write_str("STOP"),
            Self::Interrupted(why) => write!(f, "ends early: {why}"),
            Self::Update(gains) if gains.is_empty() => f.write_str("update: alive"),
            Self::Update(gains) => {
                let (pieces, files) = (Runs(&gains.pieces), Runs(&gains.entries));
                write!(f, "update: gained pieces {pieces}; complete files {files}")?;
                for differing in &gains.differing {
                    write!(
                        f,
                        "; files {}: {}",
                        Runs(&[differing.entries]),
                        differing.what.words()
                    )?;
                }
                if gains.lost.is_empty() {
                    Ok(())
                } else {
                    write!(f, "; lost {}", Runs(&gains.lost))
                }
            }
            Self::AskPart(hash) => write!(f, "part {} of the catalogue?", hash.short()),
            Self::Counters(counters) => write!(
                f,
                "counters: {} bytes received, {} sent",
                counters.bytes_received, counters.bytes_sent
            ),
        }
    }
}

impl fmt::Display for FromTracker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reign => f.write_str("this rank tracks now"),
            Self::Recite => f.write_str("tell the catalogue"),
            Self::Read { positions, .. } => write!(f, "read shares {}", Runs(positions)),
            Self::Walk { positions, .. } => {
                write!(f, "look through shares {}, which all ranks see", Runs(positions))
            }
            Self::Origins(runs) => {
                let entries: Vec<Span> = runs.iter().map(|run| run.entries).collect();
                write!(f, "START: the shares of files {}", Runs(&entries))
            }
            Self::ReadOrders(orders) => {
                let pieces: u64 = orders.iter().map(|order| u64::from(order.pieces.count)).sum();
                write!(f, "read {pieces} pieces of the source")
            }
            Self::Proven(proven) => write!(f, "proof of {} parts of the source", proven.len()),
            Self::Entries(entries) => write!(f, "START: {} files", entries.len()),
            Self::Wanted(spans) => write!(f, "START: yours are files {}", Runs(spans)),
            Self::Neighbours(all) => write!(f, "START: {} neighbours", all.len()),
            Self::Topology(topology) => {
                let part = |of: Portion| (u64::from(of.index) + 1, of.count);
                let (host, rack) = (part(topology.of_host), part(topology.of_rack));
                write!(f, "START: fetches {}/{} of its host's", host.0, host.1)?;
                write!(f, " {}/{} of what its rack needs", rack.0, rack.1)
            }
            Self::Start(_) => f.write_str("START"),
            Self::Admission(Ok(())) => f.write_str("admitted"),
            Self::Admission(Err(why)) => write!(f, "not admitted: {why}"),
            Self::Holders { question, holders, gone, .. } => {
                write!(f, "answer {question}: holders")?;
                holders.iter().try_for_each(|holder| write!(f, " {}", holder.rank))?;
                let gone: Vec<Span> = gone.iter().flat_map(runs).collect();
                if gone.is_empty() { Ok(()) } else { write!(f, "; gone: pieces {}", Runs(&gone)) }
            }
            Self::Alive => f.write_str("alive"),
            Self::Settle(number) => write!(f, "settle {number}"),
            Self::TellRates => f.write_str("tell your rates"),
            Self::Moved { neighbours, topology } => {
                let part = topology.of_rack;
                write!(f, "racks were learned: {} neighbours, fetches ", neighbours.len())?;
                write!(f, "{}/{} of what its rack needs", u64::from(part.index) + 1, part.count)
            }
            Self::Lost(rank) => write!(f, "rank {rank} is lost"),
            Self::Finish { outcome, .. } => write!(f, "FINISH: {}", outcome.word()),
            Self::GivenUp => f.write_str("you are given up"),
            Self::End => f.write_str("END"),
            Self::Parts(hashes) => write!(f, "START: a catalogue of {} parts", hashes.len()),
            Self::Sources(ranks) => {
                f.write_str("START: parts are asked from")?;
                ranks.iter().try_for_each(|rank| write!(f, " {rank}"))?;
                f.write_str(if ranks.is_empty() { " the tracker" } else { ", then the tracker" })
            }
            Self::Part { hash, entries } => {
                write!(f, "part {} of the catalogue: {} files", hash.short(), entries.len())
            }
            Self::ReadAgain(orders) => {
                let pieces: Vec<Span> = orders.iter().map(|order| order.pieces).collect();
                write!(f, "read pieces {} of the source again", Runs(&pieces))
            }
        }
    }
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { number, pieces, .. } => {
                write!(f, "request {}: pieces {}", number.0, Runs(pieces))
            }
            Self::AskHashes { entry, range } => {
                write!(f, "request: hashes of file {}, range {range}", entry.0)
            }
            Self::Succeed { epoch, .. } => {
                write!(f, "the tracker, rank {}, is lost: take over", epoch.0)
            }
            Self::Unseated => f.write_str("you track no more"),
            Self::Cancel(number) => write!(f, "cancel {}", number.0),
            Self::Ack(ack) => {
                write!(f, "ack {}: pieces {} follow", ack.request.0, Runs(&ack.follows))?;
                if !ack.refused.is_empty() {
                    write!(f, "; refused {}", Runs(&ack.refused))?;
                }
                if ack.gained.is_empty() {
                    Ok(())
                } else {
                    write!(f, "; gained {}", Runs(&ack.gained))
                }
            }
            Self::Gained { pieces, .. } => write!(f, "gained {}", Runs(pieces)),
            Self::AskPart(hash) => write!(f, "request: part {} of the catalogue", hash.short()),
            Self::Part { hash, entries: Some(entries) } => {
                write!(f, "part {} of the catalogue: {} files", hash.short(), entries.len())
            }
            Self::Part { hash, entries: None } => {
                write!(f, "part {} of the catalogue is not here yet", hash.short())
            }
            Self::Hashes { entry, index, range } => match range {
                Some(range) => {
                    write!(f, "{} hashes of file {}, range {index}", range.hashes.len(), entry.0)
                }
                None => write!(f, "no hashes of file {}, range {index}", entry.0),
            },
        }
    }
}
