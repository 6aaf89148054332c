//! A look at the destination that changes nothing (`--check`, `--dry-run`): each entry that this
//! rank wants is compared with the catalogue, and what differs is told. No piece is asked for. A
//! dry run goes on to the point where the first byte would move, and says how that would end.

use crate::message::{Gains, ToTracker};
use crate::peer::PeerAction;
use crate::peer::session::Session;
use crate::{Differences, Extra, Instant, Purpose};
use content::{Bitfield, EntryIndex};
use std::collections::BTreeMap;

/// Comparisons under way at once, as for surveys.
const MAX_LOOKS: usize = 64;

/// What a comparison of one entry found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inspected {
    /// In what it differs.
    pub differences: Differences,
    /// Bytes of it that are there, verified.
    pub bytes_in_place: u64,
    /// Why it could not be written where it differs, as far as a dry run can see.
    pub obstacle: Option<String>,
}

/// How far the look is.
#[derive(Debug, Default)]
pub(in crate::peer) struct Inspection {
    /// The entries before this one were looked at, or are.
    next: u32,
    under_way: usize,
    /// What was found to differ, by what differs.
    found: BTreeMap<Differences, Bitfield>,
    /// What a transfer would write, and how much of that is not there.
    to_write: Vec<u32>,
    need_bytes: u64,
    /// What the catalogue lacks, where that is looked for.
    extra: Option<Extra>,
}

impl Inspection {
    fn note(&mut self, entry: EntryIndex, differences: Differences, entry_count: u32) {
        let set = self.found.entry(differences).or_insert_with(|| Bitfield::new(entry_count));
        set.insert(entry.0);
    }
}

impl Session {
    /// Begins as many looks as may run.
    pub(in crate::peer) fn inspect_more(&mut self, actions: &mut Vec<PeerAction>) {
        let halted = self.entries.is_halted();
        let Some(inspection) = &mut self.inspection else { return };
        let wanted = self.entries.wanted();
        let mut left = wanted.iter_in(inspection.next.min(wanted.len())..wanted.len());
        while inspection.under_way < MAX_LOOKS && !halted {
            let Some(entry) = left.next() else {
                inspection.next = wanted.len();
                return;
            };
            inspection.under_way += 1;
            inspection.next = entry + 1;
            actions.push(PeerAction::Inspect(EntryIndex(entry)));
        }
    }

    /// Begins the look.
    pub(in crate::peer) fn inspect(&mut self, actions: &mut Vec<PeerAction>) {
        if let Some(inspection) = &mut self.inspection {
            if self.config.delete {
                actions.push(PeerAction::ListExtra);
            } else {
                inspection.extra = Some(Extra::default());
            }
        }
        self.inspect_more(actions);
    }

    /// What the catalogue lacks is listed.
    pub(in crate::peer) fn on_extra(&mut self, extra: Extra) {
        if self.config.purpose == Purpose::DryRun {
            self.counters.entries_removed = extra.count;
        }
        if let Some(inspection) = &mut self.inspection {
            inspection.extra = Some(extra);
        }
    }

    /// What the catalogue lacks, as far as that is known.
    pub(in crate::peer) fn extra(&self) -> Extra {
        let known = self.inspection.as_ref().and_then(|inspection| inspection.extra.clone());
        known.unwrap_or_default()
    }

    /// A look came back.
    pub(in crate::peer) fn on_inspected(
        &mut self,
        now: Instant,
        entry: EntryIndex,
        inspected: &Inspected,
        actions: &mut Vec<PeerAction>,
    ) {
        let Some(inspection) = &mut self.inspection else {
            unreachable!("only what was asked for ends")
        };
        inspection.under_way -= 1;
        let bytes = inspected.bytes_in_place.min(self.catalogue.entry(entry).len());
        self.counters.bytes_reused += bytes;
        if inspected.differences.is_empty() {
            self.news.entry(now, entry.0);
        } else {
            inspection.note(entry, inspected.differences, self.catalogue.entry_count());
            self.news.differs(now, entry.0, inspected.differences);
            match &inspected.obstacle {
                Some(why) => self.entries.note_failure(why.clone()),
                None => {
                    inspection.to_write.push(entry.0);
                    let lacking = self.catalogue.entry(entry).len() - bytes;
                    let lacks = inspected.differences.lack_content();
                    inspection.need_bytes += if lacks { lacking } else { 0 };
                }
            }
        }
        self.inspect_more(actions);
    }

    /// Whether the look is over, and what it came to is told.
    pub(in crate::peer) fn is_concluded(
        &mut self,
        now: Instant,
        actions: &mut Vec<PeerAction>,
    ) -> bool {
        if !self.is_inspected() {
            return false;
        }
        if self.config.purpose == Purpose::DryRun && !self.entries.is_halted() {
            return self.forecast(now, actions);
        }
        true
    }

    /// Says how a transfer would end, once it is known that there is room for it. What it would
    /// write counts as written.
    fn forecast(&mut self, now: Instant, actions: &mut Vec<PeerAction>) -> bool {
        let Some(inspection) = &mut self.inspection else { return true };
        if !self.admitted {
            if self.entries.need_told().is_none() {
                let need_bytes = inspection.need_bytes;
                self.entries.set_need(need_bytes);
                self.say(ToTracker::Surveyed { need_bytes }, actions);
            }
            return false;
        }
        let bytes = std::mem::take(&mut inspection.need_bytes);
        self.counters.bytes_delivered += bytes;
        for entry in std::mem::take(&mut inspection.to_write) {
            self.news.entry(now, entry);
        }
        true
    }

    /// Whether all was looked at, or nothing more will be.
    pub(in crate::peer) fn is_inspected(&self) -> bool {
        self.inspection.as_ref().is_some_and(|inspection| {
            let over = inspection.next >= self.entries.wanted().len() || self.entries.is_halted();
            over && inspection.under_way == 0 && inspection.extra.is_some()
        })
    }

    /// What a tracker that took over must hear again, as updates.
    pub(in crate::peer) fn tell_differences_again(&mut self) -> Vec<ToTracker> {
        let Some(inspection) = &self.inspection else { return Vec::new() };
        let all = inspection.found.iter().flat_map(|(&differences, entries)| {
            entries.iter().map(move |entry| (entry, differences))
        });
        self.news.differ_again(all.collect());
        let updates = self.news.take(self.have_bytes());
        let is_news = |it: &ToTracker| !matches!(it, ToTracker::Update(g) if Gains::is_empty(g));
        updates.into_iter().filter(is_news).collect()
    }
}
