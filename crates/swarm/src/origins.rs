//! From which shares the entries of a job come, as START tells it.

use crate::ShareId;
use crate::message::Origins;
use content::EntryIndex;

/// The shares of entries; of some none is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryShares {
    /// In order of the entries.
    runs: Vec<Origins>,
}

impl EntryShares {
    /// Adds runs that follow those before. Runs that do not are left out: a tracker that says so
    /// means no entry.
    pub(crate) fn extend(&mut self, runs: impl IntoIterator<Item = Origins>) {
        for run in runs {
            let end = self.runs.last().map_or(0, |last| last.entries.last().saturating_add(1));
            if run.entries.count > 0 && run.entries.first >= end {
                self.runs.push(run);
            }
        }
    }

    /// How many runs there are.
    pub(crate) fn len(&self) -> usize {
        self.runs.len()
    }

    /// The share that an entry comes from, where it is known.
    pub fn share_of(&self, entry: EntryIndex) -> Option<ShareId> {
        let after = self.runs.partition_point(|run| run.entries.first <= entry.0);
        let run = self.runs[..after].last()?;
        run.entries.contains(entry.0).then_some(run.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use content::Span;

    #[test]
    fn an_entry_has_the_share_of_its_run_and_none_between_runs() {
        let run =
            |first, count, share| Origins { entries: Span { first, count }, share: ShareId(share) };
        let mut shares = EntryShares::default();
        shares.extend([run(0, 2, 7), run(4, 1, 8), run(1, 9, 9), run(6, 0, 9)]);
        let told: Vec<_> = (0..7).map(|entry| shares.share_of(EntryIndex(entry))).collect();
        let (a, b) = (Some(ShareId(7)), Some(ShareId(8)));
        assert_eq!(told, [a, a, None, None, b, None, None]);
    }
}
