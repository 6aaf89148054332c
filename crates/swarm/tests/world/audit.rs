//! What must be true when a job is over, worked out from what really lies on the disks.

use super::World;
use content::{Catalogue, EntryIndex, PieceId};
use std::collections::BTreeSet;
use std::sync::Arc;
use swarm::{Outcome, Pattern, PeerRow, PeerState, Rank, Report};

impl World {
    /// Panics where the report is not true, or less was done than could be.
    pub fn audit(&self) {
        let Some(report) = &self.report else {
            let gave_up = Some((Outcome::Failed, true));
            let all_left = self.nodes.iter().all(|node| !node.alive || node.exited == gave_up);
            return assert!(all_left, "there is no report");
        };
        self.audit_reporter(report);
        self.audit_outcome(report);
        self.audit_exits(report);
        if report.outcome == Outcome::Refused {
            return;
        }
        let Some(catalogue) = self.catalogue_of(report) else { return };
        for row in &report.peers {
            self.audit_row(row, report, &catalogue);
        }
        self.audit_missing(report, &catalogue);
        self.audit_bytes(report, &catalogue);
    }

    /// The catalogue of whoever lives; a job that began anew under another tracker had another one.
    fn catalogue_of(&self, report: &Report) -> Option<Arc<Catalogue>> {
        let live = |at: &usize| self.nodes[*at].alive && !is_lost(report, Rank(*at as u32));
        let all = 0..self.nodes.len();
        all.clone().filter(live).chain(all).find_map(|at| self.nodes[at].disk.catalogue.clone())
    }

    /// One rank reports. Another may have, if it died before all had heard END; or if both slept,
    /// and each gave the other up that could not hear it.
    fn audit_reporter(&self, report: &Report) {
        let (last, before) = self.reports.split_last().expect("somebody made the report");
        assert_eq!(report.tracker, *last);
        assert!(!is_lost(report, *last), "who reports is not lost");
        let slept = |rank: &Rank| self.nodes[rank.index()].slept;
        for earlier in before {
            let apart = slept(earlier) && slept(last) && is_lost(report, *earlier);
            let alone = !self.nodes[earlier.index()].alive || apart;
            assert!(alone, "{:?} all report", self.reports);
        }
    }

    fn audit_outcome(&self, report: &Report) {
        let is = |state| report.peers.iter().any(|row| row.state == state);
        let (lost, incomplete) = (is(PeerState::Lost), is(PeerState::Incomplete));
        match report.outcome {
            Outcome::Complete => assert!(!lost && !incomplete, "{report:?}"),
            Outcome::Refused => assert!(!report.reasons.is_empty(), "refused without a reason"),
            Outcome::Degraded => assert!(lost || incomplete, "{report:?}"),
            Outcome::Failed => {
                assert!(incomplete && !report.reasons.is_empty(), "{report:?}");
            }
        }
        for row in &report.peers {
            assert_eq!(row.reason.is_some(), row.state != PeerState::Complete, "{row:?}");
        }
    }

    /// Whoever lives ends as the report says.
    fn audit_exits(&self, report: &Report) {
        let lost = report.peers.iter().any(|row| row.state == PeerState::Lost);
        for row in report.peers.iter().filter(|row| row.state != PeerState::Lost) {
            let node = &self.nodes[row.rank.index()];
            if node.alive && node.exited_after == self.reports.len() {
                assert_eq!(node.exited, Some((report.outcome, lost)), "rank {}", row.rank);
            }
        }
        // Without a reason nobody is given up, nor sent home before it has cleaned up.
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_peer) {
            if node.alive && !node.slept && node.exited_after == self.reports.len() {
                assert!(!is_lost(report, Rank(at as u32)), "rank {at} is well, and called lost");
                assert!(node.closed, "rank {at} is sent home before it has cleaned up");
            }
        }
    }

    fn audit_row(&self, row: &PeerRow, report: &Report, catalogue: &Catalogue) {
        let rank = row.rank;
        let wanted = self.wanted(rank, catalogue);
        let there = wanted.iter().filter(|&&entry| self.is_complete(rank, entry)).count() as u64;
        if row.state == PeerState::Lost {
            assert!(row.files_complete <= there, "{row:?} but {there}");
            return;
        }
        assert_eq!(row.files_wanted, wanted.len() as u64, "rank {rank}");
        let all_live = self.group(rank).iter().all(|&other| !is_lost(report, other));
        if all_live {
            assert_eq!(row.files_complete, there, "{row:?}");
        } else {
            assert!(row.files_complete <= there, "{row:?} but {there}");
        }
        if !self.nodes[rank.index()].alive {
            return;
        }
        for &entry in wanted.iter().filter(|&&entry| !self.is_complete(rank, entry)) {
            assert_eq!(row.state, PeerState::Incomplete, "entry {} lacks: {row:?}", entry.0);
            self.audit_lack(rank, entry, report, catalogue);
        }
    }

    /// What is not there could not be had, or whoever was to write it could not.
    fn audit_lack(&self, rank: Rank, entry: EntryIndex, report: &Report, catalogue: &Catalogue) {
        let group = self.group(rank);
        let writers = group.iter().filter(|at| {
            let disk = &self.nodes[at.index()].disk;
            disk.catalogue.is_some() && disk.assigned.get(entry.0)
        });
        let Some(&writer) = writers.into_iter().next() else {
            // Assigned to a rank that did not live to hear of it, or to none.
            let refused = self.nodes[rank.index()].orders.cannot_receive.is_some();
            let any_lost = group.iter().any(|&other| is_lost(report, other));
            return assert!(refused || any_lost, "nobody writes entry {} for {rank}", entry.0);
        };
        let node = &self.nodes[writer.index()];
        let refused = node.disk.is_full
            || node.disk.refused_entries.contains(&entry)
            || node.orders.free_bytes.is_some();
        if refused || is_lost(report, writer) || !node.alive {
            return;
        }
        let lacks = |piece: &PieceId| !self.is_held(*piece, report);
        let gone = catalogue.pieces_of(entry).map(PieceId).find(lacks);
        assert!(gone.is_some(), "rank {rank} lacks entry {}, which is to be had", entry.0);
    }

    /// Whether a live rank has a piece that verifies, and can read it.
    fn is_held(&self, piece: PieceId, report: &Report) -> bool {
        self.nodes.iter().enumerate().any(|(at, node)| {
            let takes_part = node.alive && node.is_peer && node.disk.catalogue.is_some();
            takes_part
                && !is_lost(report, Rank(at as u32))
                && !node.orders.corrupts
                && node.is_readable()
                && (node.disk.written.contains(&piece) || node.offers(piece))
                && !node.disk.unproven.contains(&node.catalogue().locate(piece).0)
        })
    }

    fn audit_missing(&self, report: &Report, catalogue: &Catalogue) {
        let live = report.peers.iter().filter(|row| row.state != PeerState::Lost);
        let live: Vec<Rank> = live.map(|row| row.rank).collect();
        let any_lost = live.len() < report.peers.len();
        let mut missing = BTreeSet::new();
        for &rank in &live {
            let wanted = self.wanted(rank, catalogue);
            missing.extend(wanted.into_iter().filter(|&entry| !self.is_complete(rank, entry)));
        }
        let missing: Vec<_> = missing.iter().map(|&at| catalogue.entry(at).name.clone()).collect();
        if any_lost {
            let named: BTreeSet<_> = report.missing.iter().collect();
            assert!(missing.iter().all(|name| named.contains(name)), "{missing:?}");
        } else {
            assert_eq!(report.missing, missing);
        }
    }

    fn audit_bytes(&self, report: &Report, catalogue: &Catalogue) {
        let mut wanted = 0;
        let mut whole = true;
        for row in &report.peers {
            let node = &self.nodes[row.rank.index()];
            whole &= row.state != PeerState::Lost && node.alive && !node.slept;
            if !whole || node.disk.catalogue.is_none() {
                continue;
            }
            let have: u64 = node
                .disk
                .written
                .iter()
                .filter(|piece| node.disk.assigned.get(catalogue.locate(**piece).0.0))
                .map(|&piece| u64::from(catalogue.piece_size(piece)))
                .sum();
            let counted = row.counters.bytes_delivered + row.counters.bytes_reused;
            // Zeros of files that are not finished are counted, and nowhere written.
            let unwritten = node.unwritten_zeros(catalogue);
            let range = have..=have + unwritten;
            assert!(range.contains(&counted), "rank {}: {counted} not in {range:?}", row.rank);
            let entries: Vec<EntryIndex> = match node.orders.cannot_receive {
                Some(_) => self.wanted(row.rank, catalogue),
                None => node.disk.assigned.iter().map(EntryIndex).collect(),
            };
            wanted += entries.iter().map(|&entry| catalogue.entry(entry).len()).sum::<u64>();
        }
        if whole {
            assert_eq!(report.bytes_wanted, wanted, "bytes wanted");
            let sum = |of: fn(&PeerRow) -> u64| report.peers.iter().map(of).sum::<u64>();
            let sent = sum(|row| row.counters.bytes_sent);
            let received = sum(|row| row.counters.bytes_received);
            // Who is slow to clean up may not be waited for: then its last counters lack.
            let slow = self.nodes.iter().any(|node| !node.orders.slow_close.is_zero());
            assert!(slow || sent == received, "{sent} bytes sent and {received} received");
            assert_eq!(report.bytes_delivered, sum(|row| row.counters.bytes_delivered));
        }
    }

    /// The regular files that a rank wants.
    fn wanted(&self, rank: Rank, catalogue: &Catalogue) -> Vec<EntryIndex> {
        let orders = &self.nodes[rank.index()].orders;
        let patterns: Vec<Pattern> =
            orders.wants.iter().map(|want| Pattern::new(want).unwrap()).collect();
        let own = |entry: &content::Entry| {
            !orders.cast && orders.shares.iter().any(|share| share.name == entry.name)
        };
        let wanted = catalogue.iter().filter(|(_, entry)| {
            let matches = patterns.iter().any(|pattern| pattern.takes(entry));
            entry.file().is_some() && matches && !own(entry)
        });
        wanted.map(|(index, _)| index).collect()
    }

    /// The ranks that can receive into the same destination, this one included.
    fn group(&self, rank: Rank) -> Vec<Rank> {
        let destination = |at: usize| {
            let orders = &self.nodes[at].orders;
            let known = self.nodes[at].is_peer && !orders.wants.is_empty();
            let id = orders.destination.unwrap_or(at as u128);
            (known && orders.cannot_receive.is_none()).then_some(id)
        };
        let Some(own) = destination(rank.index()) else { return vec![rank] };
        let same = (0..self.nodes.len()).filter(|&at| destination(at) == Some(own));
        same.map(|at| Rank(at as u32)).collect()
    }

    fn is_complete(&self, rank: Rank, entry: EntryIndex) -> bool {
        let group = self.group(rank);
        group.iter().any(|at| self.nodes[at.index()].disk.finished.contains(&entry))
    }
}

fn is_lost(report: &Report, rank: Rank) -> bool {
    let mut rows = report.peers.iter();
    rows.any(|row| row.rank == rank && row.state == PeerState::Lost)
}
