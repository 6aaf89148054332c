//! What the destinations lack or have otherwise than the catalogue, where the job is a look at that
//! (`--check`): the outcome, and a list for each set of ranks that have the same to show.

use super::job::Job;
use super::member::{Member, Serving};
use super::report::CompleteSets;
use crate::report::Unequal;
use crate::{Differences, Extra, Outcome, Rank, Reason};
use content::{Bitfield, EntryIndex};
use std::collections::BTreeMap;

/// Names that are listed for a rank; the rest are counted.
const MAX_NAMED: usize = 20;

/// What differs in each destination, whoever looked.
pub(super) struct DifferingSets<'a> {
    by_destination: BTreeMap<u128, Vec<&'a BTreeMap<Differences, Bitfield>>>,
}

impl<'a> DifferingSets<'a> {
    pub(super) fn new(members: &'a [Member]) -> Self {
        let mut by_destination: BTreeMap<u128, Vec<_>> = BTreeMap::new();
        for member in members {
            let Some(destination) = member.destination() else { continue };
            let differing = member.serving().map(Serving::differing);
            by_destination.entry(destination.id).or_default().extend(differing);
        }
        Self { by_destination }
    }

    /// What differs in a member's destination.
    fn of(&self, member: &Member) -> impl Iterator<Item = (Differences, &'a Bitfield)> {
        let at = member.destination().and_then(|at| self.by_destination.get(&at.id));
        at.into_iter().flatten().flat_map(|sets| sets.iter().map(|(&what, set)| (what, set)))
    }

    /// How much of what a member lacks is missing, how much is different.
    pub(super) fn why(&self, member: &Member, lacks: &Bitfield) -> String {
        let (mut missing, mut different) = (0, 0);
        for (what, set) in self.of(member) {
            let mut set = set.clone();
            set.intersect_with(lacks);
            let sum = if what == Differences::MISSING { &mut missing } else { &mut different };
            *sum += set.count();
        }
        let unseen = lacks.count().saturating_sub(missing + different);
        let counts = [(missing, "missing"), (different, "different"), (unseen, "not looked at")];
        let counts = counts.map(|(count, word)| (u64::from(count), word));
        let extra = (extra(member).count, "extra");
        let counts = counts.into_iter().chain([extra]);
        let counts = counts.filter(|(count, _)| *count > 0);
        counts.map(|(count, word)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
    }

    /// The first of what a member lacks of which it is known how, and how many more there are.
    fn first(&self, member: &Member, lacks: &Bitfield) -> (Vec<(u32, Differences)>, u64) {
        let mut found: Vec<(u32, Differences)> = Vec::new();
        let mut count = 0;
        for (what, set) in self.of(member) {
            let mut set = set.clone();
            set.intersect_with(lacks);
            found.extend(set.iter().take(MAX_NAMED).map(|entry| (entry, what)));
            count += u64::from(set.count());
        }
        found.sort_unstable();
        found.truncate(MAX_NAMED);
        let more = count - found.len() as u64;
        (found, more)
    }
}

/// What a member's destination has that the catalogue lacks.
pub(super) fn extra(member: &Member) -> Extra {
    let stop = member.stop().map(|(_, stop)| stop.extra.clone());
    stop.unwrap_or_default().bounded()
}

/// What a member would write of which it says that it could (`--dry-run`).
pub(super) fn to_write(member: &Member) -> Bitfield {
    let Some(serving) = member.serving() else { return Bitfield::default() };
    let mut differing = Bitfield::new(serving.complete().len());
    serving.differing().values().for_each(|set| differing.union_with(set));
    differing.intersect_with(serving.complete());
    differing
}

/// How a look ended, and why it did not end well.
pub(super) fn judge(members: &[Member], complete: &CompleteSets) -> (Outcome, Vec<Reason>) {
    let live = || members.iter().filter(|member| member.is_live());
    let lacking =
        || live().filter(|member| !complete.lacks(member).is_empty() || extra(member).count > 0);
    if let Some(why) = lacking().find_map(|member| member.interrupted()) {
        return (Outcome::Failed, vec![Reason::Told(format!("{why}; nothing was written"))]);
    }
    let ranks = lacking().count();
    if ranks > 0 {
        return (Outcome::Failed, vec![Reason::NotUpToDate { ranks }]);
    }
    let lost = members.iter().any(Member::is_lost);
    (if lost { Outcome::Degraded } else { Outcome::Complete }, Vec::new())
}

/// The lists to show, in order of their first rank. `rows` are the live ranks that are not up to
/// date, with what they lack and why.
pub(super) fn lists(
    job: &Job,
    members: &[Member],
    rows: impl Iterator<Item = (Rank, Bitfield, String)>,
) -> Vec<Unequal> {
    let differing = DifferingSets::new(members);
    let mut alike: BTreeMap<_, Vec<Rank>> = BTreeMap::new();
    for (rank, lacks, reason) in rows {
        let (names, more) = differing.first(&members[rank.index()], &lacks);
        let Extra { count, names: extra } = extra(&members[rank.index()]);
        let more = more.saturating_add(count.saturating_sub(extra.len() as u64));
        alike.entry((reason, names, extra, more)).or_default().push(rank);
    }
    let named = |(entry, what): (u32, Differences)| {
        (job.catalogue.entry(EntryIndex(entry)).name.clone(), what)
    };
    let lists = alike.into_iter().map(|((reason, names, extra, more), ranks)| Unequal {
        ranks,
        reason,
        names: names.into_iter().map(named).collect(),
        extra,
        more,
    });
    let mut lists: Vec<Unequal> = lists.collect();
    lists.sort_by_key(|list| list.ranks[0]);
    lists
}
