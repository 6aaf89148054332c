//! What a job must leave at each destination, told from what stands on the disk before it: a second
//! opinion, which knows the contract and nothing of how it is kept.

use crate::case::{Case, DELETE, FOLLOW_LINKS};
use crate::facts::{Fact, Facts, Kind, Links, below};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What must be so at a destination after a job that ended with 0.
pub struct Destination {
    path: PathBuf,
    /// Each name that a rank wants here, as it is at its source.
    wanted: Facts,
    /// All names of the catalogue, and of directories above them.
    known: BTreeSet<Vec<u8>>,
    /// What stood there before.
    before: Facts,
    options: Vec<&'static str>,
    /// Where `--delete` looks: below this name, or everywhere where it is empty.
    swept: &'static [u8],
}

/// What a job must do.
pub struct Expected {
    pub destinations: Vec<Destination>,
    pub status: i32,
}

impl Expected {
    /// Looks at sources and destinations.
    pub fn of(case: &Case, base: &Path) -> Self {
        let mut catalogue = Facts::new();
        let mut own: BTreeMap<u32, BTreeSet<Vec<u8>>> = BTreeMap::new();
        for (rank, path) in case.sources() {
            let offered = offered(case, rank, &base.join(path));
            if !case.layout.is_cast() {
                own.insert(rank, offered.keys().cloned().collect());
            }
            // Under one name the lowest rank's word counts.
            for (name, fact) in offered {
                catalogue.entry(name).or_insert(fact);
            }
        }
        let mut destinations: BTreeMap<String, Destination> = BTreeMap::new();
        let above = catalogue.keys().flat_map(|name| ancestors(name));
        let known: BTreeSet<Vec<u8>> = above.chain(catalogue.keys().cloned()).collect();
        for rank in case.peers() {
            let path = base.join(case.destination(rank));
            let into = destinations.entry(case.destination(rank)).or_insert_with(|| Destination {
                wanted: Facts::new(),
                known: known.clone(),
                before: standing(&path),
                path,
                options: case.options.clone(),
                swept: if case.layout.is_cast() { b"set" } else { b"" },
            });
            let is_own = |name: &Vec<u8>| own.get(&rank).is_some_and(|own| own.contains(name));
            let wanted = catalogue.iter().filter(|(name, _)| is_wanted(case, &catalogue, name));
            into.wanted.extend(
                wanted
                    .filter(|(name, _)| !is_own(name))
                    .map(|(name, fact)| (name.clone(), fact.clone())),
            );
        }
        let destinations: Vec<Destination> = destinations.into_values().collect();
        let is_unmatched =
            case.want.is_some_and(|want| !catalogue.keys().any(|name| matches(want, name)));
        let wanting = || destinations.iter().filter(|into| !into.wanted.is_empty());
        let is_useless = wanting().next().is_some() && wanting().all(Destination::gets_nothing);
        let status = if catalogue.is_empty() || is_unmatched || is_useless {
            2
        } else if destinations.iter().any(Destination::has_obstacle) {
            3
        } else {
            0
        };
        Self { destinations, status }
    }
}

impl Destination {
    /// What is wrong with it now, a line each; nothing where it is as it must be.
    pub fn wrongs(&self) -> Vec<String> {
        let now = standing(&self.path);
        let mut wrongs = Vec::new();
        let mut tell = |name: &[u8], what: &str| {
            wrongs.push(format!("{}/{}: {what}", self.path.display(), name.escape_ascii()));
        };
        let mut inodes = BTreeMap::new();
        for (name, source) in &self.wanted {
            let Some(found) = now.get(name) else {
                tell(name, "missing");
                continue;
            };
            source.differences(found).into_iter().for_each(|what| tell(name, what));
            // Names of one file at the source are names of one file here.
            let is_file =
                matches!(source.kind, Kind::File(_)) && !self.options.contains(&FOLLOW_LINKS);
            if is_file && *inodes.entry(source.inode).or_insert(found.inode) != found.inode {
                tell(name, "a file of its own, and one with another name at the source");
            }
        }
        for (name, was) in self.before.iter().filter(|(name, _)| !self.known.contains(*name)) {
            let is_swept = self.swept.is_empty() || name.starts_with(&[self.swept, b"/"].concat());
            // What was in a directory that gave way is gone with it.
            let fate = now.get(name);
            if self.options.contains(&DELETE) && is_swept {
                if fate.is_some() {
                    tell(name, "extra");
                }
            } else if was.is_directory() && !fate.is_some_and(Fact::is_directory)
                || !was.is_directory() && fate != Some(was)
            {
                tell(name, "not shared, and touched");
            }
        }
        wrongs
    }

    /// Whether a directory with content stands where something else must be, and may not give way.
    fn has_obstacle(&self) -> bool {
        self.obstacles().next().is_some()
    }

    /// Whether an obstacle stands here, and no byte of any file can come past it: where that is so
    /// everywhere, the job is refused.
    fn gets_nothing(&self) -> bool {
        let is_blocked = |name: &[u8]| self.obstacles().any(|obstacle| obstacle == name);
        let has_bytes = |fact: &Fact| matches!(&fact.kind, Kind::File(bytes) if !bytes.is_empty());
        self.has_obstacle()
            && !self.wanted.iter().any(|(name, fact)| has_bytes(fact) && !is_blocked(name))
    }

    /// The names of directories with content that may not give way.
    fn obstacles(&self) -> impl Iterator<Item = &[u8]> {
        let is_full = |name: &[u8]| {
            let prefix = [name, b"/"].concat();
            self.before.keys().any(|other| other.starts_with(&prefix))
        };
        let may_give_way = self.options.contains(&DELETE);
        let is_in_the_way = move |name: &[u8], source: &Fact| {
            !may_give_way
                && !source.is_directory()
                && self.before.get(name).is_some_and(Fact::is_directory)
                && is_full(name)
        };
        let wanted = self.wanted.iter();
        wanted.filter(move |(name, source)| is_in_the_way(name, source)).map(|(name, _)| &name[..])
    }
}

/// What is at a destination, but for what Shoal keeps there for itself.
fn standing(into: &Path) -> Facts {
    let mut standing = below(into, Links::Kept);
    standing.remove(&b".shoal"[..]);
    standing
}

/// What a rank offers of a source.
fn offered(case: &Case, rank: u32, source: &Path) -> Facts {
    let links = if case.options.contains(&FOLLOW_LINKS) { Links::Followed } else { Links::Kept };
    let prefix = case.prefix(rank).into_bytes();
    let found = below(source, links).into_iter().filter(|(_, fact)| fact.kind != Kind::Special);
    let mut offered: Facts =
        found.map(|(name, fact)| ([&prefix[..], &name].concat(), fact)).collect();
    if case.layout.is_cast() {
        offered.extend(Fact::of(source).map(|fact| (b"set".to_vec(), fact)));
    }
    offered
}

/// A directory is wanted for what is wanted in it, too.
fn is_wanted(case: &Case, catalogue: &Facts, name: &[u8]) -> bool {
    let Some(want) = case.want else { return true };
    let prefix = [name, b"/"].concat();
    let mut inside = catalogue.keys().filter(|other| other.starts_with(&prefix));
    matches(want, name) || inside.any(|other| matches(want, other))
}

/// The patterns that cases use: `**/` is any directories or none, `*` a part of a name.
fn matches(want: &str, name: &[u8]) -> bool {
    let parts: Vec<&[u8]> = name.split(|&byte| byte == b'/').collect();
    let last = parts[parts.len() - 1];
    match want {
        "**/a" => last == b"a",
        "**/d/**" => parts[..parts.len() - 1].contains(&&b"d"[..]),
        "**/*.h5" => last.ends_with(b".h5"),
        other => other.as_bytes() == name,
    }
}

fn ancestors(name: &[u8]) -> Vec<Vec<u8>> {
    let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.map(|(at, _)| name[..at].to_vec()).collect()
}
