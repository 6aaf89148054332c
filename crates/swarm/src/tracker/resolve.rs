//! From what all peers offer and want to one catalogue and what each is to write, or the reasons
//! why not.

use super::leftovers::{Entries, Gone};
use super::member::{Member, Offered, Serving};
use super::unmatched;
use crate::reason::Side;
use crate::want::Pattern;
use crate::{Lock, Purpose, Rank, Reason};
use content::{Bitfield, Catalogue, Entry, Kind, Name, PieceLen};
use std::collections::{BTreeMap, BTreeSet};

/// At most so many reasons are told; the rest are of the same kind.
pub(super) const MAX_REASONS: usize = 20;

/// The peers that take part, with their ranks.
pub(super) type Members<'a> = [(Rank, &'a Member)];

/// Makes the catalogue of everything that is offered, in order of the names.
///
/// # Errors
///
/// Gives the reasons why there is none: nothing is shared, or contents conflict.
pub(super) fn catalogue(members: &Members<'_>) -> Result<Catalogue, Vec<Reason>> {
    let gone = Gone::of(members);
    check_shares(members, &gone)?;
    let mut reasons = Vec::new();
    let mut entries: Entries<'_> = BTreeMap::new();
    for (rank, member) in members {
        for (name, offered) in member.offers().filter(|(_, offered)| !offered.is_part()) {
            let (first, entry) = *entries.entry(name).or_insert((*rank, offered.entry()));
            reasons.extend(conflict(name, (first, entry), (*rank, offered.entry())));
        }
    }
    // What nobody can have is wanted, and missing in the end.
    for (rank, member) in members {
        for (name, entry) in member.unsteady() {
            entries.entry(name).or_insert((*rank, entry));
        }
    }
    reasons.extend(paths_through_files(&entries));
    gone.stand_in(members, &mut entries);
    if entries.is_empty() {
        reasons.push(Reason::NoFileShared);
    }
    if !reasons.is_empty() {
        reasons.truncate(MAX_REASONS);
        return Err(reasons);
    }
    let entries = entries.into_values().map(|(_, entry)| entry.clone()).collect();
    Catalogue::new(entries).map_err(|error| vec![Reason::TooMany(error)])
}

/// Each path that is to be shared must be there on some rank, or an earlier run of the job have
/// left something of it.
fn check_shares(members: &Members<'_>, gone: &Gone) -> Result<(), Vec<Reason>> {
    let hellos = || members.iter().filter_map(|(_, member)| member.hello());
    let positions = hellos().map(|hello| hello.shares.len()).max().unwrap_or(0);
    let partials =
        members.iter().any(|(_, member)| member.offers().any(|(_, offer)| offer.is_part()));
    if positions == 0 && !partials {
        return Err(vec![Reason::NothingShared]);
    }
    let reasons: Vec<Reason> = (0..positions)
        .filter_map(|position| {
            let given: Vec<_> = hellos().filter_map(|hello| hello.shares.get(position)).collect();
            let found = given.iter().any(|share| share.is_there());
            (!found && !gone.leaves(members, &given))
                .then(|| Reason::ShareNowhere { path: given[0].path.clone() })
        })
        .collect();
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// Why two whole offers of one name do not go together, if so.
fn conflict(
    name: &Name,
    (first, a): (Rank, &Entry),
    (second, b): (Rank, &Entry),
) -> Option<Reason> {
    let name = name.clone();
    let different = |name, [first_has, second_has]: [String; 2]| {
        let first = Side { rank: first, what: first_has };
        let second = Side { rank: second, what: second_has };
        Some(Reason::DifferentContents { name, sides: Box::new([first, second]) })
    };
    match (a.file().zip(b.file()), &a.kind, &b.kind) {
        (Some((x, y)), ..) if x.root != y.root || x.geometry.len() != y.geometry.len() => {
            let side = |content: &content::FileContent| {
                let root = content.root.map_or_else(|| "unknown".into(), |root| root.to_string());
                format!("{} bytes, root {root}", content.geometry.len())
            };
            different(name, [side(x), side(y)])
        }
        (Some((x, y)), ..) if x.geometry != y.geometry => {
            Some(Reason::DifferentPieceLengths { name, ranks: [first, second] })
        }
        (Some((x, _)), ..) if first != second && x.root.is_none() && !x.geometry.is_empty() => {
            Some(Reason::SourceFoundTwice { name, ranks: [first, second] })
        }
        // A file that is another name of one elsewhere is the same file.
        (Some(_), ..) => None,
        (None, x, y) if x == y => None,
        (None, x, y) => different(name, [x, y].map(|kind| format!("a {}", kind.word()))),
    }
}

/// Names that would need another entry, which is no directory, to be one.
fn paths_through_files(entries: &Entries<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (name, (rank, _)) in entries {
        for ancestor in ancestors(name) {
            let Some((owner, entry)) = entries.get(&ancestor) else { continue };
            if !matches!(entry.kind, Kind::Directory) {
                reasons.push(Reason::BelowNoDirectory {
                    above: (*owner, ancestor, entry.kind.word()),
                    below: (*rank, (*name).clone()),
                });
            }
        }
    }
    reasons
}

/// The names of the directories that a name lies in, outermost first.
pub(super) fn ancestors(name: &Name) -> impl Iterator<Item = Name> + '_ {
    let bytes = name.as_bytes();
    let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    slashes.map(|at| Name::new(&bytes[..at]).expect("the front of a name is a name"))
}

/// For each member what it wants, as sets of entries.
///
/// # Errors
///
/// Names the ranks whose patterns match nothing.
pub(super) fn wants(
    members: &Members<'_>,
    catalogue: &Catalogue,
) -> Result<Vec<Bitfield>, Vec<Reason>> {
    let (wants, mut reasons) = all_wants(members, catalogue);
    reasons.truncate(MAX_REASONS);
    if reasons.is_empty() { Ok(wants) } else { Err(reasons) }
}

/// For each member what it wants, as sets of entries, and a sentence for each pattern that matches
/// nothing.
pub(super) fn all_wants(
    members: &Members<'_>,
    catalogue: &Catalogue,
) -> (Vec<Bitfield>, Vec<Reason>) {
    let mut matches: BTreeMap<&str, Bitfield> = BTreeMap::new();
    let mut reasons = Vec::new();
    let mut wants = Vec::with_capacity(members.len());
    for (rank, member) in members {
        let mut wanted = Bitfield::new(catalogue.entry_count());
        let Some(hello) = member.hello() else {
            wants.push(wanted);
            continue;
        };
        for pattern in &hello.wants {
            let matched = matches.entry(pattern).or_insert_with(|| matching(catalogue, pattern));
            if matched.is_empty() {
                reasons.push(unmatched::reason(*rank, pattern, catalogue));
            }
            wanted.union_with(matched);
        }
        if !hello.wants_own {
            let whole = member.offers().filter(|(_, offered)| !offered.is_part());
            let found = whole.map(|(name, _)| name).chain(member.unsteady().map(|(name, _)| name));
            for entry in found.filter_map(|name| catalogue.find(name)) {
                wanted.remove(entry.0);
            }
            if let Some(own) = member.serving().and_then(Serving::own) {
                wanted.subtract(own);
            }
        }
        wants.push(wanted);
    }
    (wants, reasons)
}

/// The entries that a pattern takes, with the directories that they lie in.
pub(super) fn matching(catalogue: &Catalogue, pattern: &str) -> Bitfield {
    let mut matched = Bitfield::new(catalogue.entry_count());
    let Ok(pattern) = Pattern::new(pattern) else { return matched };
    for (index, entry) in catalogue.iter().filter(|(_, entry)| pattern.takes(entry)) {
        matched.insert(index.0);
        for ancestor in ancestors(&entry.name) {
            if let Some(directory) = catalogue.find(&ancestor) {
                matched.insert(directory.0);
            }
        }
    }
    matched
}

/// All ranks were told the same: either all look only, or none does.
///
/// # Errors
///
/// Names the ranks that were told otherwise than the tracker's.
pub(super) fn check_purposes(purpose: Purpose, members: &Members<'_>) -> Result<(), Vec<Reason>> {
    let looks = purpose != Purpose::Transfer;
    let others = members.iter().filter(|(_, member)| {
        let lock = member.destination().map(|destination| &destination.lock);
        match lock {
            Some(Lock::Unclaimed) => !looks,
            Some(Lock::Held { .. }) => looks,
            Some(Lock::Taken { .. } | Lock::Sealed) | None => false,
        }
    });
    let ranks: Vec<Rank> = others.map(|(rank, _)| *rank).take(8).collect();
    if ranks.is_empty() { Ok(()) } else { Err(vec![Reason::OtherPurpose { purpose, ranks }]) }
}

/// The memory of a rank must hold so many of the longest pieces: two to receive and two to send at
/// least, and what is hashed, copied and kept beside.
const LEAST_PIECES: u64 = 16;

/// Pieces must fit the memory that ranks may use.
///
/// # Errors
///
/// Says how much it must be, or how short pieces.
pub(super) fn check_memory(memory: Option<u64>, catalogue: &Catalogue) -> Result<(), Vec<Reason>> {
    let longest = catalogue.longest_bundle();
    let Some(memory) = memory.filter(|memory| *memory / LEAST_PIECES < longest) else {
        return Ok(());
    };
    let fitting = memory / LEAST_PIECES;
    let fitting_kib = match fitting.checked_ilog2() {
        // Small files travel together, whatever their pieces.
        _ if catalogue.longest_piece() <= fitting => None,
        Some(power) if fitting >= u64::from(PieceLen::MIN.bytes()) => Some((1_u64 << power) >> 10),
        _ => None,
    };
    Err(vec![Reason::TooLittleMemory {
        memory_kib: memory >> 10,
        longest_kib: longest.div_ceil(1 << 10),
        least_mib: (longest * LEAST_PIECES).div_ceil(1 << 20),
        fitting_kib,
    }])
}

/// Who holds a destination's lock must be a rank of this job.
///
/// # Errors
///
/// Names the rank, and the job that has its destination.
pub(super) fn check_locks(members: &Members<'_>) -> Result<(), Vec<Reason>> {
    let destinations =
        || members.iter().filter_map(|(rank, member)| Some((rank, member.destination()?)));
    let held: BTreeSet<(u128, u128)> = destinations()
        .filter_map(|(_, destination)| match destination.lock {
            Lock::Held { nonce } => Some((destination.id, nonce)),
            Lock::Taken { .. } | Lock::Unclaimed | Lock::Sealed => None,
        })
        .collect();
    let foreign = |(rank, destination): (&Rank, &crate::Destination)| match &destination.lock {
        Lock::Taken { nonce, owner } if !held.contains(&(destination.id, *nonce)) => {
            let (path, owner) = (destination.path.clone(), owner.clone());
            Some(Reason::InUse { path, rank: *rank, owner })
        }
        _ => None,
    };
    let reasons: Vec<Reason> = destinations().filter_map(foreign).take(MAX_REASONS).collect();
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// For each member the entries that it is to write: what it wants, less what another member writes
/// into the same destination. A member that has a part of an entry from an earlier run goes on with
/// it; else they take turns, and the names of one file go to one member.
pub(super) fn assign(
    members: &Members<'_>,
    wants: &[Bitfield],
    catalogue: &Catalogue,
) -> Vec<Bitfield> {
    let mut groups: BTreeMap<u128, Vec<usize>> = BTreeMap::new();
    for (at, (_, member)) in members.iter().enumerate() {
        if let Some(destination) = member.destination() {
            groups.entry(destination.id).or_default().push(at);
        }
    }
    let mut assigned = vec![Bitfield::new(catalogue.entry_count()); members.len()];
    for group in groups.values() {
        if let [alone] = group[..] {
            assigned[alone] = wants[alone].clone();
            continue;
        }
        for (index, entry) in catalogue.iter() {
            let wanting: Vec<usize> =
                group.iter().copied().filter(|&at| wants[at].get(index.0)).collect();
            if wanting.is_empty() {
                continue;
            }
            let begun =
                |&&at: &&usize| members[at].1.offer(&entry.name).is_some_and(Offered::is_begun);
            let first_name = match &entry.kind {
                Kind::HardLink { to, .. } => catalogue.find(to).unwrap_or(index),
                _ => index,
            };
            let turn = first_name.0 as usize % wanting.len();
            let writes_first = |&&at: &&usize| assigned[at].get(first_name.0);
            let writer = wanting.iter().find(writes_first).or_else(|| wanting.iter().find(begun));
            let writer = writer.copied().unwrap_or(wanting[turn]);
            assigned[writer].insert(index.0);
        }
    }
    assigned
}
