//! Entries that are made from others of the same content, here, instead of being fetched: they wait
//! until those are over. Whatever becomes of those, each entry ends as if it were alone.

use super::Progress;
use crate::peer::PeerAction;
use crate::peer::session::Session;
use content::{EntryIndex, Tie};

impl Session {
    /// Whether what an entry is made from is here and whole.
    pub(super) fn has_twin(&self, entry: EntryIndex) -> bool {
        self.entries.twins.source(entry).is_some_and(|(source, _)| {
            self.news.complete().get(source.0)
                || self.upload.serves_all(self.catalogue.pieces_of(source))
        })
    }

    /// An entry has the piece hashes of what it is made from.
    pub(super) fn know_as_twin(&mut self, entry: EntryIndex) {
        let Some((source, _)) = self.entries.twins.source(entry) else { return };
        if let Some(layer) = self.pieces.hashes().layer(source).cloned() {
            self.pieces.hashes_mut().know(entry, layer);
        }
    }

    /// What lies under the names of links is looked at now: others wait to know what can be had.
    pub(in crate::peer) fn look_at_links(&mut self, actions: &mut Vec<PeerAction>) {
        if self.entries.is_halted() {
            return;
        }
        for (entry, _, tie) in self.entries.twins.iter() {
            let waits = self.entries.held_back.contains(&entry);
            let unseen = self.entries.progress.get(&entry) == Some(&Progress::Surveying);
            if tie == Tie::Link && waits && unseen && self.entries.early.insert(entry) {
                self.entries.to_survey.push_back(entry);
            }
        }
        self.entries.survey_more(actions);
    }

    /// Whether a link that was looked at too early is to be looked at again, for now it can be
    /// made.
    pub(super) fn look_again(&mut self, entry: EntryIndex) -> bool {
        if self.entries.held_back.contains(&entry)
            || !self.has_twin(entry)
            || !self.entries.early.remove(&entry)
        {
            return false;
        }
        self.pieces.close(entry);
        self.entries.progress.insert(entry, Progress::Surveying);
        self.entries.to_survey.push_back(entry);
        true
    }

    /// Lets go on what waited for entries that are over.
    pub(in crate::peer) fn release_twins(&mut self, actions: &mut Vec<PeerAction>) {
        while let Some(source) = self.entries.over.pop() {
            let followers = self.entries.twins.followers(source).to_vec();
            for entry in followers {
                let (_, tie) = self.entries.twins.source(entry).expect("it follows one");
                if !self.entries.held_back.remove(&entry) || self.entries.is_halted() {
                    continue;
                }
                match tie {
                    // The survey makes the link, where there is something to link to.
                    Tie::Link if !self.entries.early.contains(&entry) => {
                        self.entries.to_survey.push_back(entry);
                    }
                    Tie::Link | Tie::Copy => self.go_on_as_twin(entry),
                }
            }
            self.entries.survey_more(actions);
        }
    }

    /// An entry need not wait any longer. What is still being surveyed goes on after that.
    fn go_on_as_twin(&mut self, entry: EntryIndex) {
        let has_twin = self.has_twin(entry);
        let Some(Progress::Fetching { candidate, .. }) = self.entries.progress.get_mut(&entry)
        else {
            return;
        };
        *candidate |= has_twin;
        if self.look_again(entry) {
            return;
        }
        if has_twin {
            self.know_as_twin(entry);
        }
        self.want_pieces(entry, self.catalogue.pieces_of(entry));
    }
}
