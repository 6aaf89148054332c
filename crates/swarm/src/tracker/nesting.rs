//! Destinations and what is shared may lie in each other, by whatever mounts and links ranks see
//! them. No rank may receive in what another one shares: that would be shared again. And where what
//! the catalogue lacks is removed, nothing that is shared may be met under another name. Compares
//! places that ranks told; looks at no file system.

use super::member::Member;
use super::resolve::{MAX_REASONS, Members};
use crate::location::Spot;
use crate::message::SharedPath;
use crate::reason::Nesting;
use crate::{Destination, Location, Rank, Reason, Sweep, System};
use std::collections::{BTreeMap, BTreeSet};

/// No destination lies where it must not.
///
/// # Errors
///
/// Names the ranks and the paths.
pub(super) fn check(sweep: Option<Sweep>, members: &Members<'_>) -> Result<(), Vec<Reason>> {
    let destinations = Destinations::of(members);
    let mut reasons = destinations_in_shares(sweep, members, &destinations);
    match sweep {
        Some(Sweep::Everywhere) => reasons.extend(shares_in_destinations(members, &destinations)),
        Some(Sweep::BelowItsOwn) => reasons.extend(shares_in_copies(members, &destinations)),
        None => {}
    }
    if sweep.is_some() {
        reasons.extend(in_doubt(members, &destinations));
    }
    reasons.truncate(MAX_REASONS);
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

/// The destinations of all ranks, by place: of each the first rank that has it.
struct Destinations<'a>(BTreeMap<Spot<'a>, (Rank, &'a Destination)>);

impl<'a> Destinations<'a> {
    fn of(members: &Members<'a>) -> Self {
        let mut all = BTreeMap::new();
        for (rank, member) in members {
            let Some(destination) = member.destination() else { continue };
            all.entry(destination.location.spot()).or_insert((*rank, destination));
        }
        Self(all)
    }
}

/// What a member shares: each path, with a place that it lies at or shows.
fn shared(member: &Member) -> impl Iterator<Item = (&SharedPath, &Location)> {
    let paths = member.hello().into_iter().flat_map(|hello| &hello.shares);
    paths.flat_map(|share| share.locations.iter().map(move |location| (share, location)))
}

/// Destinations below what is shared. A rank leaves its own out where it lies below a share.
fn destinations_in_shares(
    sweep: Option<Sweep>,
    members: &Members<'_>,
    destinations: &Destinations<'_>,
) -> Vec<Reason> {
    // Of the ranks that share a place, one for each destination that is left out of it.
    let mut shares: BTreeMap<Spot<'_>, BTreeMap<Option<Spot<'_>>, (Rank, &str)>> = BTreeMap::new();
    for (rank, member) in members {
        let own = member.destination().map(|at| &at.location);
        for (share, location) in shared(member) {
            let left_out = own.filter(|own| own.spot() != location.spot());
            let left_out = left_out.filter(|own| own.is_within(location)).map(Location::spot);
            let here = shares.entry(location.spot()).or_default();
            here.entry(left_out).or_insert((*rank, &share.path));
        }
    }
    let mut reasons = Vec::new();
    for (owner, into) in destinations.0.values() {
        let place = &into.location;
        // `cast` into SRC itself makes SRC/<name of SRC>, and would sweep that.
        let same = Some(place.spot()).filter(|_| sweep == Some(Sweep::BelowItsOwn));
        let is_left_out =
            |own: &Spot<'_>| *own == place.spot() || place.above().any(|at| at == *own);
        let within = place.above().chain(same).find_map(|spot| {
            let mut sharers = shares.get(&spot)?.iter();
            sharers.find(|(own, _)| !own.as_ref().is_some_and(is_left_out)).map(|(_, it)| it)
        });
        if let Some((rank, path)) = within {
            reasons.push(Reason::DestinationInShare {
                into: (*owner, into.path.clone()),
                share: (*rank, (*path).to_owned()),
            });
        }
    }
    reasons
}

/// What is shared from below a destination. A rank that shares its own destination has it there
/// under the same names.
fn shares_in_destinations(members: &Members<'_>, destinations: &Destinations<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (rank, member) in members {
        let own = member.destination().map(|at| at.location.spot());
        for (share, location) in shared(member) {
            let same = Some(location.spot()).filter(|spot| own != Some(*spot));
            let into = location.above().chain(same).find_map(|spot| destinations.0.get(&spot));
            if let Some((owner, into)) = into {
                reasons.push(removal(*rank, share, (*owner, into), Nesting::InDestination));
            }
        }
    }
    reasons
}

/// What is shared from below a directory that a cast makes, but not as that directory.
fn shares_in_copies(members: &Members<'_>, destinations: &Destinations<'_>) -> Vec<Reason> {
    let paths = members.iter().flat_map(|(_, member)| shared(member)).map(|(share, _)| &share.path);
    let name = |path: &'_ String| path.trim_end_matches('/').rsplit('/').next().map(str::to_owned);
    let tops: BTreeSet<String> = paths.filter_map(name).collect();
    let mut reasons = Vec::new();
    for (rank, member) in members {
        for (share, location) in shared(member) {
            let mut above = location.above().zip(location.above().skip(1));
            let into = above.find_map(|(spot, (_, below))| {
                let top = below.rsplit('/').next().filter(|top| tops.contains(*top));
                top.and_then(|_| destinations.0.get(&spot))
            });
            if let Some((owner, into)) = into {
                reasons.push(removal(*rank, share, (*owner, into), Nesting::InCopy));
            }
        }
    }
    reasons
}

fn removal(
    rank: Rank,
    share: &SharedPath,
    (owner, into): (Rank, &Destination),
    nesting: Nesting,
) -> Reason {
    let (share, into) = ((rank, share.path.clone()), (owner, into.path.clone()));
    Reason::RemovesShare { share, nesting, into }
}

/// A destination and a share of which nobody can tell that they are apart: two hosts see them on
/// network file systems of the same kind, under different names.
fn in_doubt(members: &Members<'_>, destinations: &Destinations<'_>) -> Option<Reason> {
    let is_network = |location: &&Location| matches!(location.system, System::Network { .. });
    // One for each file system and kernel: there are few, whatever the number of ranks.
    let mut known: BTreeMap<(&System, &str), (Rank, &Destination)> = BTreeMap::new();
    for (owner, into) in destinations.0.values() {
        let at = Some(&into.location).filter(is_network);
        at.map(|at| known.entry((&at.system, &at.kernel)).or_insert((*owner, into)));
    }
    members.iter().find_map(|(rank, member)| {
        let (share, (owner, into)) = shared(member).find_map(|(share, location)| {
            let near = |(_, into): &&(Rank, &Destination)| location.may_be_near(&into.location);
            Some((share, known.values().find(near)?))
        })?;
        let (share, into) = ((*rank, share.path.clone()), (*owner, into.path.clone()));
        Some(Reason::MightRemoveShare { share, into })
    })
}
