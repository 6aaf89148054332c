//! Entries of equal content: whoever is to write several of them fetches one, and makes the others
//! from it. Says only which; makes nothing.

use crate::{Bitfield, Catalogue, EntryIndex, Geometry, Hash, Kind, Metadata};
use std::collections::BTreeMap;

/// How a twin is made from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// It is another name of the same file.
    Link,
    /// It is a file of its own.
    Copy,
}

/// Which of the entries that a rank is to write it makes from others.
#[derive(Debug, Default)]
pub struct Twins {
    sources: BTreeMap<EntryIndex, (EntryIndex, Tie)>,
    followers: BTreeMap<EntryIndex, Vec<EntryIndex>>,
}

impl Twins {
    /// Looks through what a rank is to write. `held` are the entries that it has whole already, in
    /// files of its own: others can be copied from them, and they need not be made from others,
    /// unless as links. Empty files are twins only as links.
    ///
    /// A hard link counts as one where the name that it gives is a file of the same content that
    /// comes before it in the catalogue; else it is a file like any other. So no catalogue, however
    /// made, leads in a circle, or to what is no file. Names of one file whose metadata differ, for
    /// they come from several ranks, are files of their own: one inode cannot have both.
    ///
    /// # Panics
    ///
    /// Panics where a set is not over the catalogue's entries.
    pub fn new(catalogue: &Catalogue, wanted: &Bitfield, held: &Bitfield) -> Self {
        assert_eq!(wanted.len(), catalogue.entry_count(), "a set of another catalogue");
        assert_eq!(held.len(), catalogue.entry_count(), "a set of another catalogue");
        let mut twins = Self::default();
        let mut first_names = FirstNames::default();
        // For each file of several names, the first of them that is wanted, for each metadata.
        let mut by_file: BTreeMap<(EntryIndex, &Metadata), EntryIndex> = BTreeMap::new();
        let mut by_content: BTreeMap<(Hash, Geometry), EntryIndex> = BTreeMap::new();
        let content_of = |entry| {
            let content = catalogue.entry(entry).file()?;
            Some((content.root?, content.geometry)).filter(|_| !content.geometry.is_empty())
        };
        for entry in held.iter().map(EntryIndex).filter(|entry| !wanted.get(entry.0)) {
            if let Some(content) = content_of(entry) {
                by_content.entry(content).or_insert(entry);
            }
        }
        for entry in wanted.iter().map(EntryIndex) {
            if catalogue.entry(entry).file().is_none() {
                continue;
            }
            let file = (first_names.of(catalogue, entry), &catalogue.entry(entry).metadata);
            let source = *by_file.entry(file).or_insert(entry);
            if source != entry {
                twins.tie(entry, source, Tie::Link);
                continue;
            }
            let Some(content) = content_of(entry) else { continue };
            let source = *by_content.entry(content).or_insert(entry);
            if source != entry && !held.get(entry.0) {
                twins.tie(entry, source, Tie::Copy);
            }
        }
        twins
    }

    fn tie(&mut self, entry: EntryIndex, source: EntryIndex, tie: Tie) {
        self.sources.insert(entry, (source, tie));
        self.followers.entry(source).or_default().push(entry);
    }

    /// What an entry is made from, and how; none where it is fetched.
    pub fn source(&self, entry: EntryIndex) -> Option<(EntryIndex, Tie)> {
        self.sources.get(&entry).copied()
    }

    /// The entries that are made from one.
    pub fn followers(&self, source: EntryIndex) -> &[EntryIndex] {
        self.followers.get(&source).map_or(&[], Vec::as_slice)
    }

    /// All entries that are made from others, in order.
    pub fn iter(&self) -> impl Iterator<Item = (EntryIndex, EntryIndex, Tie)> + '_ {
        self.sources.iter().map(|(&entry, &(source, tie))| (entry, source, tie))
    }
}

/// For each hard link, the first name of its file.
#[derive(Default)]
struct FirstNames(BTreeMap<EntryIndex, EntryIndex>);

impl FirstNames {
    fn of(&mut self, catalogue: &Catalogue, entry: EntryIndex) -> EntryIndex {
        let (mut first, mut passed) = (entry, Vec::new());
        while let Some(next) = earlier_name(catalogue, first) {
            passed.push(first);
            first = next;
            if let Some(&known) = self.0.get(&first) {
                first = known;
                break;
            }
        }
        self.0.extend(passed.into_iter().map(|link| (link, first)));
        first
    }
}

/// The name that a hard link gives, where that is a file of the same content and comes before it.
fn earlier_name(catalogue: &Catalogue, entry: EntryIndex) -> Option<EntryIndex> {
    let link = catalogue.entry(entry);
    let Kind::HardLink { to, content } = &link.kind else { return None };
    let earlier = catalogue.find(to).filter(|earlier| *earlier < entry)?;
    let same = catalogue.entry(earlier).file() == Some(content);
    same.then_some(earlier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, FileContent, Metadata, Name, PieceLen, Timestamp};

    /// `NAME LETTER` is a file with a content that has this letter, `NAME LETTER TO` a hard link,
    /// `NAME` a directory; `-` is the empty content. With `!` behind its letter it has another mode
    /// than all others.
    fn catalogue(text: &str) -> Catalogue {
        let entry = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let name = |text: &str| Name::new(text).unwrap();
            let mode = if line.contains('!') { 0o600 } else { 0o644 };
            let content = |letter: &str| {
                let len = if letter.starts_with('-') { 0 } else { 100 };
                let geometry = Geometry::new(len, PieceLen::MIN);
                let root = Some(Hash([letter.as_bytes()[0]; 32]));
                FileContent { root, ..FileContent::unhashed(geometry) }
            };
            let kind = match words[1..] {
                [] => Kind::Directory,
                [letter] => Kind::File(content(letter)),
                [letter, to] => Kind::HardLink { to: name(to), content: content(letter) },
                _ => panic!("{line}"),
            };
            let modified = Timestamp { seconds: 0, nanoseconds: 0 };
            Entry { name: name(words[0]), kind, metadata: Metadata::new(mode, modified) }
        };
        Catalogue::new(text.split(", ").map(entry).collect()).unwrap()
    }

    fn twins(text: &str, wanted: &[u32], held: &[u32]) -> String {
        let catalogue = catalogue(text);
        let set = |numbers: &[u32]| {
            let mut set = Bitfield::new(catalogue.entry_count());
            numbers.iter().for_each(|&number| assert!(set.insert(number)));
            set
        };
        let twins = Twins::new(&catalogue, &set(wanted), &set(held));
        let name = |entry| catalogue.entry(entry).name.to_string();
        let shown = twins.iter().map(|(entry, source, tie)| {
            assert!(twins.followers(source).contains(&entry));
            assert!(source < entry || held.contains(&source.0), "no circles");
            format!("{} {tie:?} of {}", name(entry), name(source))
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_first_wanted_name_of_a_file_is_the_source_of_its_other_names() {
        let links = "a x, b x a, c x a";
        assert_eq!(twins(links, &[0, 1, 2], &[]), "b Link of a, c Link of a");
        assert_eq!(twins(links, &[1, 2], &[]), "c Link of b", "the file itself is not wanted");
        assert_eq!(twins(links, &[2], &[]), "");
        assert_eq!(twins("a x, b x a, c x b", &[0, 1, 2], &[]), "b Link of a, c Link of a");
        assert_eq!(twins("a x, b x a, c x b", &[0, 2], &[]), "c Link of a");
        assert_eq!(twins("a -, b - a", &[0, 1], &[]), "b Link of a", "empty files are linked, too");
    }

    #[test]
    fn names_of_one_file_with_different_metadata_are_files_of_their_own() {
        assert_eq!(twins("a x!, b x a", &[0, 1], &[]), "b Copy of a");
        assert_eq!(twins("a x!, b x a, c x a", &[0, 1, 2], &[]), "b Copy of a, c Link of b");
        assert_eq!(twins("a x, b x! a, c x a", &[0, 1, 2], &[]), "b Copy of a, c Link of a");
        assert_eq!(twins("a -!, b - a", &[0, 1], &[]), "", "nothing to copy");
    }

    #[test]
    fn a_link_that_makes_no_sense_is_a_file() {
        assert_eq!(twins("a x a", &[0], &[]), "");
        assert_eq!(twins("a x b, b x a", &[0, 1], &[]), "b Link of a", "not in a circle");
        assert_eq!(twins("a, b x a", &[0, 1], &[]), "", "a directory");
        assert_eq!(twins("a y, b x a", &[0, 1], &[]), "", "another content");
        assert_eq!(twins("b x gone", &[0], &[]), "");
    }

    #[test]
    fn equal_contents_are_copied_from_the_first_or_from_what_is_here() {
        assert_eq!(twins("a x, b y, c x, d x", &[0, 1, 2, 3], &[]), "c Copy of a, d Copy of a");
        assert_eq!(twins("a x, b x", &[1], &[]), "");
        assert_eq!(twins("a x, b x", &[0], &[1]), "a Copy of b");
        assert_eq!(twins("a x, b x", &[0, 1], &[0, 1]), "", "each has a source of its own here");
        assert_eq!(twins("a x, b x a", &[0, 1], &[0, 1]), "b Link of a");
        assert_eq!(twins("a -, b -", &[0, 1], &[]), "", "nothing to copy");
        let groups = "a x, b x a, c x, d x c";
        assert_eq!(twins(groups, &[0, 1, 2, 3], &[]), "b Link of a, c Copy of a, d Link of c");
    }
}
