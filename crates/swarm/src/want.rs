//! What a rank wants: globs over catalogue names.

use content::Name;
use globset::{GlobBuilder, GlobMatcher};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// A glob over catalogue names. `*` and `?` do not cross `/`, `**` does; names that begin with a
/// dot match.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

/// Why text is not a glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern '{pattern}' is not a glob: {why}")]
pub struct PatternError {
    pattern: String,
    why: String,
}

impl Pattern {
    /// The longest pattern in bytes: as long as the longest name.
    pub const MAX_LEN: usize = Name::MAX_LEN;

    /// Compiles a glob.
    ///
    /// # Errors
    ///
    /// Refuses what is no glob, such as an unclosed bracket, or is longer than [`Self::MAX_LEN`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let refuse = |why: String| PatternError { pattern: text.to_owned(), why };
        if text.len() > Self::MAX_LEN {
            return Err(refuse(format!("it is longer than {} bytes", Self::MAX_LEN)));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .empty_alternates(true)
            .build()
            .map_err(|error| refuse(error.kind().to_string()))?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches a name.
    pub fn matches(&self, name: &Name) -> bool {
        self.matcher.is_match(OsStr::from_bytes(name.as_bytes()))
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_within_a_component_and_double_stars_do_not() {
        let cases = [
            ("**", "a/b/c.h5", true),
            ("**", ".hidden/x", true),
            ("*.h5", "c.h5", true),
            ("*.h5", "a/c.h5", false),
            ("**/*.h5", "c.h5", true),
            ("**/*.h5", "a/b/c.h5", true),
            ("a/?.h5", "a/c.h5", true),
            ("a?c", "a/c", false),
            ("*", ".bashrc", true),
            ("{a,b}/**", "b/x/y", true),
            ("[ab]*", "beta", true),
        ];
        for (pattern, name, expected) in cases {
            let name = Name::new(name).unwrap();
            assert_eq!(
                Pattern::new(pattern).unwrap().matches(&name),
                expected,
                "{pattern} on {name}"
            );
        }
    }

    #[test]
    fn names_that_are_not_utf8_match() {
        let name = Name::new(b"dir/\xff\xfe.bin".to_vec()).unwrap();
        for pattern in ["**", "dir/*", "**/*.bin", "dir/??.bin"] {
            assert!(Pattern::new(pattern).unwrap().matches(&name), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_glob_is_refused_with_the_reason() {
        for bad in ["[a", "a{b", "a\\"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
        assert!(Pattern::new(&"*".repeat(10_000)).is_err());
    }
}
