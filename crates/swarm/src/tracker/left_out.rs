//! What lies in the destination of a rank is not shared by that rank, although it lies below its
//! shares. This says whether somebody would miss it, and else tells of it. Looks at no file system.

use super::resolve::{MAX_REASONS, Members};
use crate::want::Pattern;
use crate::{LeftOut, Rank, Reason};
use content::{Catalogue, Name};
use std::collections::{BTreeMap, BTreeSet};

/// A sentence about all that is left out; none where nothing is. What has the name of something
/// that this job moves was put there by it, or is what it puts there.
///
/// # Errors
///
/// Names what is something else, and what a rank wants.
pub(super) fn check(
    members: &Members<'_>,
    catalogue: &Catalogue,
) -> Result<Option<String>, Vec<Reason>> {
    if members.iter().all(|(_, member)| member.left_out().is_empty()) {
        return Ok(None);
    }
    let tops = catalogue.entries().iter().filter_map(|entry| entry.name.components().next());
    let tops: BTreeSet<&[u8]> = tops.collect();
    let wants = Wants::of(members);
    let mut reasons = Vec::new();
    for (rank, member) in members {
        let foreign = |left: &&LeftOut| !tops.contains(left.name.as_bytes());
        let foreign = member.left_out().iter().filter(foreign);
        let mut missed = foreign.filter(|left| wants.may_match(*rank, left));
        if let Some(left) = missed.next() {
            let more: u64 = left.count - 1 + missed.map(|left| left.count).sum::<u64>();
            reasons.push(Reason::Told(refusal(*rank, left, more)));
        }
    }
    reasons.truncate(MAX_REASONS);
    if reasons.is_empty() { Ok(notice(members)) } else { Err(reasons) }
}

fn refusal(rank: Rank, left: &LeftOut, more: u64) -> String {
    let into = &left.destination;
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!(
        "the destination of rank {rank} lies in what it shares, as '{into}', and holds what others \
         would miss, for a destination is not shared: '{into}/{}'{rest}; choose a destination \
         outside of what is shared, or move that out of it",
        left.first.first().unwrap_or(&left.name)
    )
}

fn notice(members: &Members<'_>) -> Option<String> {
    let leaving = members.iter().filter(|(_, member)| !member.left_out().is_empty());
    let ranks = leaving.clone().count();
    let (rank, first) = leaving.clone().next()?;
    let into = &first.left_out().first()?.destination;
    let all = leaving.flat_map(|(_, member)| member.left_out());
    let count: u64 = all.map(|left| left.count).sum();
    let entries = if count == 1 { "entry" } else { "entries" };
    Some(match ranks {
        1 => format!(
            "the destination of rank {rank} lies in what it shares, as '{into}': it is not shared, \
             with the {count} {entries} in it"
        ),
        _ => format!(
            "the destinations of {ranks} ranks lie in what they share, that of rank {rank} as \
             '{into}': they are not shared, with the {count} {entries} in them"
        ),
    })
}

/// What ranks want, by pattern.
struct Wants(Vec<(Pattern, Wanting)>);

/// Who wants what a pattern matches.
#[derive(Clone, Copy)]
enum Wanting {
    /// One rank, and nothing that it shares itself.
    One(Rank),
    /// Any: several ranks, or one that wants what it shares itself, too.
    Any,
}

impl Wants {
    fn of(members: &Members<'_>) -> Self {
        let mut wants: BTreeMap<&str, Wanting> = BTreeMap::new();
        for (rank, member) in members {
            let Some(hello) = member.hello() else { continue };
            let own = if hello.wants_own { Wanting::Any } else { Wanting::One(*rank) };
            for pattern in &hello.wants {
                wants.entry(pattern).and_modify(|wanting| *wanting = Wanting::Any).or_insert(own);
            }
        }
        let patterns = wants.into_iter();
        let pattern = |(text, wanting)| Some((Pattern::new(text).ok()?, wanting));
        Self(patterns.filter_map(pattern).collect())
    }

    /// Whether somebody but the rank that leaves it out wants it, as far as its names are known.
    fn may_match(&self, rank: Rank, left: &LeftOut) -> bool {
        let wanted = self.0.iter().filter(|(_, wanting)| match wanting {
            Wanting::One(one) => *one != rank,
            Wanting::Any => true,
        });
        let names: Vec<Name> = left.names().collect();
        let matches = |pattern: &Pattern| names.iter().any(|name| pattern.may_take(name));
        wanted.into_iter().any(|(pattern, _)| !left.is_told() || matches(pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_else_wants_is_not_missed() {
        let name = |text: &str| Name::new(text).unwrap();
        let left = |count| LeftOut {
            destination: name("in"),
            name: name("x"),
            count,
            first: vec![name("x/a.csv")],
        };
        let pattern = |text| Pattern::new(text).unwrap();
        let others = Wants(vec![(pattern("*/x/*.csv"), Wanting::One(Rank(2)))]);
        assert!(others.may_match(Rank(1), &left(1)));
        assert!(!others.may_match(Rank(2), &left(1)), "its own");
        let above = Wants(vec![(pattern("in"), Wanting::One(Rank(2)))]);
        assert!(above.may_match(Rank(1), &left(1)), "with the directory that it lies in");
        let elsewhere = Wants(vec![(pattern("y/*"), Wanting::Any)]);
        assert!(!elsewhere.may_match(Rank(1), &left(1)));
        assert!(elsewhere.may_match(Rank(1), &left(2)), "the other name is not known");
    }
}
