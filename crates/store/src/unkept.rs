//! What of the wanted entries could not be kept as it was at the source. Counts and names; decides
//! nothing.

use super::lock;
use super::tally::Tally;
use content::{Catalogue, EntryIndex};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// The entries of which something was not kept. An entry that is looked at twice counts once.
#[derive(Debug, Default)]
pub(super) struct Unkept {
    /// Hard links that became files of their own.
    links: Mutex<BTreeSet<u32>>,
    /// What has another time than at the source, for the file system keeps no such.
    times: Mutex<BTreeSet<u32>>,
}

impl Unkept {
    pub(super) fn note_link(&self, entry: EntryIndex) {
        lock(&self.links).insert(entry.0);
    }

    pub(super) fn note_time(&self, entry: EntryIndex) {
        lock(&self.times).insert(entry.0);
    }

    /// Full sentences for people.
    pub(super) fn sentences(&self, catalogue: &Catalogue) -> Vec<String> {
        let links = tally(&self.links, catalogue).sentence(
            "hard link is a file of its own here, for it could not be made as a link",
            "hard links are files of their own here, for they could not be made as links",
        );
        let times = tally(&self.times, catalogue).sentence(
            "modification time is kept as far as this file system can (in coarser steps, or up to \
             its last year), and counts as equal",
            "modification times are kept as far as this file system can (in coarser steps, or up \
             to its last year), and count as equal",
        );
        links.into_iter().chain(times).collect()
    }
}

fn tally(entries: &Mutex<BTreeSet<u32>>, catalogue: &Catalogue) -> Tally {
    let mut tally = Tally::default();
    for &entry in lock(entries).iter() {
        tally.add(|| catalogue.entry(EntryIndex(entry)).name.to_string());
    }
    tally
}
