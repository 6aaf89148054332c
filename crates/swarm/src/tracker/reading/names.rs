//! Files of the source that have several names: which of them are read, and what becomes of the
//! others. Reads and tells nothing.

use super::is_rootless;
use content::{Bitfield, Catalogue, Entry, EntryIndex, FileContent, Kind, Twins};
use std::collections::{BTreeMap, BTreeSet};

/// Files of several names of which some are wanted.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// For each wanted name but the first, the first.
    first: BTreeMap<EntryIndex, EntryIndex>,
    /// Names that are read although they are not the first: somebody writes only those.
    read: BTreeSet<EntryIndex>,
}

impl Names {
    /// Looks through the catalogue of what was found. `written` is what each rank writes. A rank
    /// makes all names of a file from the first that it writes (`content::Twins`), so that one must
    /// be read; where all want the same, that is one name of each file. Gives the catalogue in
    /// which what is read is a file.
    pub(super) fn of<'a>(
        catalogue: Catalogue,
        wanted: &Bitfield,
        written: impl Iterator<Item = &'a Bitfield>,
    ) -> (Catalogue, Self) {
        let is_link = |entry: &Entry| matches!(entry.kind, Kind::HardLink { .. });
        let links = catalogue.iter().filter(|(_, it)| is_link(it) && is_rootless(it));
        let links: Vec<EntryIndex> = links.map(|(link, _)| link).collect();
        if links.is_empty() {
            return (catalogue, Self::default());
        }
        let count = catalogue.entry_count();
        let mut all = Bitfield::new(count);
        all.insert_range(0..count);
        let twins = Twins::new(&catalogue, &all, &Bitfield::new(count));
        let mut files: BTreeMap<EntryIndex, Vec<EntryIndex>> = BTreeMap::new();
        for link in links {
            // Without a root nothing is a twin but as a link. One that leads nowhere is a file.
            let file = twins.source(link).map_or(link, |(file, _)| file);
            files.entry(file).or_insert_with(|| vec![file]).push(link);
        }
        let files: Vec<Vec<EntryIndex>> = files.into_values().collect();
        let mut names = Self::default();
        for file in &files {
            let mut of_wanted = file.iter().filter(|name| wanted.get(name.0));
            let Some(&first) = of_wanted.next() else { continue };
            names.first.extend(of_wanted.filter(|&&name| name != first).map(|&name| (name, first)));
        }
        let mut read = BTreeSet::new();
        let mut last: Option<&Bitfield> = None;
        for written in written {
            // Mostly all ranks write the same.
            if last.replace(written) != Some(written) {
                let first =
                    |file: &Vec<EntryIndex>| file.iter().find(|it| written.get(it.0)).copied();
                read.extend(files.iter().filter_map(first));
            }
        }
        let mut entries = catalogue.entries().to_vec();
        for name in &read {
            let entry = &mut entries[name.0 as usize];
            if let Kind::HardLink { content, .. } = entry.kind {
                entry.kind = Kind::File(content);
            }
        }
        names.read = read;
        let catalogue = Catalogue::new(entries).expect("the same names in the same order");
        (catalogue, names)
    }

    /// What a name of a file becomes.
    pub(super) fn kind(
        &self,
        catalogue: &Catalogue,
        name: EntryIndex,
        content: FileContent,
    ) -> Kind {
        match self.first.get(&name) {
            Some(&first) => Kind::HardLink { to: catalogue.entry(first).name.clone(), content },
            None => Kind::File(content),
        }
    }

    /// Each name that is wanted and not read, with the first one of its file, which is.
    pub(super) fn followers(&self) -> impl Iterator<Item = (EntryIndex, EntryIndex)> {
        let all = self.first.iter().map(|(&name, &first)| (name, first));
        all.filter(|(name, _)| !self.read.contains(name))
    }
}
