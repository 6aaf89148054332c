//! How many of something there are, and what the first few are called: a list for people does not
//! grow with what it lists.

/// A count, and the first names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    count: usize,
    first: Vec<String>,
}

impl Tally {
    /// At most so many are named.
    const MAX_NAMED: usize = 3;

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < Self::MAX_NAMED {
            self.first.push(format!("'{}'", name()));
        }
    }

    /// A sentence: the count, what is said of one or of several, and the names; none of nothing.
    pub fn sentence(&self, of_one: &str, of_several: &str) -> Option<String> {
        let what = match self.count {
            0 => return None,
            1 => of_one,
            _ => of_several,
        };
        let more = match self.count - self.first.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!("{} {what}: {}{more}", self.count, self.first.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_are_named_and_the_rest_counted() {
        let mut tally = Tally::default();
        assert_eq!(tally.sentence("is", "are"), None);
        tally.add(|| "a".into());
        assert_eq!(tally.sentence("is", "are").unwrap(), "1 is: 'a'");
        ["b", "c", "d", "e"].into_iter().for_each(|name| tally.add(|| name.into()));
        assert_eq!(tally.sentence("is", "are").unwrap(), "5 are: 'a', 'b', 'c' and 2 more");
    }
}
