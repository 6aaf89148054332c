//! Where what the catalogue lacks is removed, no destination and no share of another rank may lie
//! in each other: what is shared would stand there under another name than in the catalogue.
//! Compares real paths, whatever the host; looks at no file system.

use super::resolve::{MAX_REASONS, Members};
use crate::{Rank, Sweep};
use std::collections::BTreeMap;

/// Nothing that a rank shares may be removed from another's destination.
///
/// # Errors
///
/// Names the ranks and the paths.
pub(super) fn check(sweep: Sweep, members: &Members<'_>) -> Result<(), Vec<String>> {
    let all = members.iter().filter_map(|(rank, member)| Some((*rank, member.destination()?)));
    let destinations: BTreeMap<&str, Rank> = all.map(|(rank, at)| (&at.path[..], rank)).collect();
    let mut reasons = match sweep {
        Sweep::Everywhere => shares_in_destinations(members, &destinations),
        // Each rank compared its own orders with what it would make: all are told the same.
        Sweep::BelowItsOwn => Vec::new(),
    };
    reasons.extend(destinations_in_shares(sweep, members, &destinations));
    reasons.truncate(MAX_REASONS);
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// What is shared from below a destination. A rank that shares its own destination has it there
/// under the same names.
fn shares_in_destinations(
    members: &Members<'_>,
    destinations: &BTreeMap<&str, Rank>,
) -> Vec<String> {
    let mut reasons = Vec::new();
    for (rank, member) in members {
        let Some(hello) = &member.hello else { continue };
        let own = member.destination().map(|at| &at.path[..]);
        for (path, _) in hello.shares.iter().filter(|(_, there)| *there) {
            let same = Some(&path[..]).filter(|path| own != Some(path));
            let into = above(path).chain(same).find_map(|at| Some((at, destinations.get(at)?)));
            if let Some((into, owner)) = into {
                reasons.push(format!(
                    "--delete would remove what rank {rank} shares: '{path}' lies in '{into}', the \
                     destination of rank {owner}; choose another destination, or leave --delete out"
                ));
            }
        }
    }
    reasons
}

/// Destinations below what is shared. A rank leaves its own out where it lies below a share.
fn destinations_in_shares(
    sweep: Sweep,
    members: &Members<'_>,
    destinations: &BTreeMap<&str, Rank>,
) -> Vec<String> {
    // Of the ranks that share a path, one for each destination that is left out of it.
    let mut shares: BTreeMap<&str, BTreeMap<Option<&str>, Rank>> = BTreeMap::new();
    for (rank, member) in members {
        let Some(hello) = &member.hello else { continue };
        let own = member.destination().map(|at| &at.path[..]);
        for (path, _) in hello.shares.iter().filter(|(_, there)| *there) {
            let left_out = own.filter(|own| above(own).any(|at| at == path));
            shares.entry(path).or_default().entry(left_out).or_insert(*rank);
        }
    }
    let mut reasons = Vec::new();
    for (into, owner) in destinations {
        // `cast` into SRC itself makes SRC/<name of SRC>, and would sweep that.
        let same = Some(*into).filter(|_| sweep == Sweep::BelowItsOwn);
        let within = above(into).chain(same).find_map(|path| {
            let mut sharers = shares.get(path)?.iter();
            let is_left_out = |own: &str| own == *into || above(into).any(|at| at == own);
            let (_, rank) = sharers.find(|(own, _)| !own.is_some_and(is_left_out))?;
            Some((path, rank))
        });
        if let Some((path, rank)) = within {
            reasons.push(format!(
                "--delete would remove what rank {rank} shares: '{into}', the destination of rank \
                 {owner}, lies in '{path}'; choose another destination, or leave --delete out"
            ));
        }
    }
    reasons
}

/// The directories above a real path, the uppermost first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at);
    ends.map(|at| &path[..at.max(1)]).filter(move |above| *above != path)
}
