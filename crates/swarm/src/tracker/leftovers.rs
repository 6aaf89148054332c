//! What earlier jobs left at the destinations of this one. It helps to complete what this job
//! shares. It enters the catalogue by itself only where it stands in for a share that is gone.

use super::member::Offered;
use super::resolve::Members;
use crate::message::{Origins, SharedPath};
use crate::{LeftAlone, Origin, Purpose, Rank, ShareId};
use content::{Catalogue, Entry, EntryIndex, Kind, Name, Span};
use std::collections::{BTreeMap, BTreeSet};

/// At most so many runs of entries are told with the share that they come from: the tracker says
/// START to every peer. Entries beyond stand in for nothing in a later job.
const MAX_ORIGINS: usize = 1024;

/// At most so many names of what was left alone are kept for the report.
const MAX_NAMES: usize = 1000;

/// The entries of a catalogue that is being made, with the rank that each is from.
pub(super) type Entries<'a> = BTreeMap<&'a Name, (Rank, &'a Entry)>;

/// The shares of this job that no rank finds, so that what earlier jobs left of them stands in.
pub(super) enum Gone {
    /// Nothing is shared by anybody's orders: what was left is all that the job can be about.
    All,
    /// These.
    Shares(BTreeSet<ShareId>),
}

impl Gone {
    /// Of the sources of a cast each rank may have its copy; a share of one rank is its own.
    pub(super) fn of(members: &Members<'_>) -> Self {
        let hellos = || members.iter().filter_map(|(_, member)| member.hello());
        if hellos().all(|hello| hello.shares.is_empty()) {
            return Self::All;
        }
        let mut there: BTreeSet<ShareId> = BTreeSet::new();
        let mut positions: BTreeSet<usize> = BTreeSet::new();
        for hello in hellos() {
            let found = hello.shares.iter().enumerate().filter(|(_, share)| share.is_there());
            for (position, share) in found {
                there.insert(share.id);
                if hello.waits_for_read {
                    positions.insert(position);
                }
            }
        }
        let missing = hellos().flat_map(|hello| {
            let shares = hello.shares.iter().enumerate();
            let elsewhere = |at| hello.waits_for_read && positions.contains(&at);
            shares.filter(move |(at, share)| !share.is_there() && !elsewhere(*at))
        });
        let missing = missing.map(|(_, share)| share.id);
        Self::Shares(missing.filter(|share| !there.contains(share)).collect())
    }

    /// Whether what was left of a share stands in for it.
    fn has(&self, origin: Origin) -> bool {
        match (self, origin) {
            (_, Origin::Share(_)) => false,
            (Self::All, Origin::Earlier { .. }) => true,
            (Self::Shares(gone), Origin::Earlier { share, .. }) => {
                share.is_some_and(|share| gone.contains(&share))
            }
        }
    }

    /// Whether something was left of one of these shares, and stands in for it.
    pub(super) fn leaves(&self, members: &Members<'_>, shares: &[&SharedPath]) -> bool {
        let mut parts = members.iter().flat_map(|(_, member)| member.offers());
        let of_these = |left| shares.iter().any(|share| Some(share.id) == left);
        parts.any(|(_, part)| match part.origin() {
            Origin::Earlier { share, .. } => self.has(part.origin()) && of_these(share),
            Origin::Share(_) => false,
        })
    }

    /// Adds what stands in for what is gone. What this job shares goes first: under a name that is
    /// taken, below a file, or above what is shared nothing stands in.
    pub(super) fn stand_in<'a>(&self, members: &Members<'a>, entries: &mut Entries<'a>) {
        for (rank, member) in members {
            for (name, part) in member.offers().filter(|(_, part)| self.has(part.origin())) {
                if !entries.contains_key(name) && has_place(entries, name) {
                    entries.insert(name, (*rank, part.entry()));
                }
            }
        }
    }
}

/// Whether a file of this name goes with the others.
fn has_place(entries: &Entries<'_>, name: &Name) -> bool {
    let mut above = super::resolve::ancestors(name);
    let is_below_a_file = above.any(|ancestor| {
        let found = entries.get(&ancestor);
        found.is_some_and(|(_, entry)| !matches!(entry.kind, Kind::Directory))
    });
    // No name below it comes before this one.
    let first_below = Name::new([name.as_bytes(), b"/\x01"].concat());
    let is_above = first_below.is_ok_and(|first| {
        let next = entries.range::<Name, _>(first..).next();
        let below = [name.as_bytes(), b"/"].concat();
        next.is_some_and(|(next, _)| next.as_bytes().starts_with(&below))
    });
    !is_below_a_file && !is_above
}

/// From which shares the entries of the catalogue come, as far as it is told.
pub(super) fn origins(members: &Members<'_>, catalogue: &Catalogue) -> Vec<Origins> {
    let mut from: Vec<Option<ShareId>> = vec![None; catalogue.entry_count() as usize];
    for (_, member) in members {
        let shares = member.hello().map_or(&[][..], |hello| &hello.shares);
        for (name, offered) in member.offers() {
            let Some(EntryIndex(entry)) = catalogue.find(name) else { continue };
            let share = match offered.origin() {
                Origin::Share(position) => shares.get(position as usize).map(|share| share.id),
                Origin::Earlier { share, .. } => share,
            };
            let known = &mut from[entry as usize];
            if !offered.is_part() || known.is_none() {
                *known = share.or(*known);
            }
        }
    }
    let mut runs: Vec<Origins> = Vec::new();
    for (entry, share) in (0..).zip(from) {
        let Some(share) = share else { continue };
        let continues = |run: &&mut Origins| {
            run.share == share && run.entries.first + run.entries.count == entry
        };
        if let Some(run) = runs.last_mut().filter(continues) {
            run.entries.count += 1;
        } else if runs.len() < MAX_ORIGINS {
            runs.push(Origins { entries: Span { first: entry, count: 1 }, share });
        } else {
            break;
        }
    }
    runs
}

/// A sentence for people where what earlier runs left stands in for shares that are gone.
pub(super) fn standing_in(members: &Members<'_>, catalogue: &Catalogue) -> Option<String> {
    let offers = || members.iter().flat_map(|(_, member)| member.offers());
    let known = |(name, _): (&Name, &Offered)| catalogue.find(name);
    let is_shared = |(_, offered): &(&Name, &Offered)| matches!(offered.origin(), Origin::Share(_));
    let mut left: BTreeSet<EntryIndex> =
        offers().filter(|it| !is_shared(it)).filter_map(known).collect();
    offers().filter(is_shared).filter_map(known).for_each(|entry| {
        left.remove(&entry);
    });
    let first = &catalogue.entry(*left.first()?).name;
    let what = match left.len() {
        1 => format!("'{first}', which nobody shares any more, is"),
        count => format!("{count} files that nobody shares any more ('{first}' first) are"),
    };
    Some(format!("{what} completed from what an earlier run left, as far as that goes"))
}

/// Whether a name is a file's in this job: what was left of one helps no directory and no link.
fn is_file(catalogue: &Catalogue, name: &Name) -> bool {
    catalogue.find(name).is_some_and(|entry| catalogue.entry(entry).file().is_some())
}

/// What earlier jobs left, this one has no use for, and nobody clears away.
pub(super) fn left_alone(
    purpose: Purpose,
    members: &Members<'_>,
    catalogue: &Catalogue,
) -> LeftAlone {
    let is_kept = |origin| match origin {
        Origin::Earlier { is_stale, .. } => !is_stale || purpose != Purpose::Transfer,
        Origin::Share(_) => false,
    };
    let mut names: BTreeSet<&Name> = BTreeSet::new();
    let mut ranks = 0;
    for (_, member) in members {
        let parts = member.offers().filter(|(_, offered)| is_kept(offered.origin()));
        let unused: Vec<&Name> =
            parts.map(|(name, _)| name).filter(|name| !is_file(catalogue, name)).collect();
        ranks += u32::from(!unused.is_empty());
        names.extend(unused);
    }
    let count = names.len() as u64;
    LeftAlone { count, ranks, names: names.into_iter().take(MAX_NAMES).cloned().collect() }
}
