//! What a rank wants: globs over catalogue names.

use content::{Entry, Kind, Name};
use globset::{GlobBuilder, GlobMatcher};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// A glob over catalogue names. `*` and `?` do not cross `/`, `**` does; names that begin with a
/// dot match. A pattern that has neither names things: a directory that it names is taken with all
/// below it. A pattern that ends with `/` takes directories alone, and all below them.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    matcher: GlobMatcher,
    /// Names below the directories that it takes whole.
    below: Option<Box<GlobMatcher>>,
    target: Target,
}

/// Which entries the glob itself is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Any,
    Directories,
}

/// Why text is not a glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern '{pattern}' is not a glob: {why}{hint}")]
pub struct PatternError {
    pattern: String,
    why: String,
    hint: String,
}

impl Pattern {
    /// The longest pattern in bytes: as long as the longest name.
    pub const MAX_LEN: usize = Name::MAX_LEN;

    /// The pattern that takes every entry.
    ///
    /// # Panics
    ///
    /// Never: two stars are a glob.
    pub fn everything() -> Self {
        Self::new("**").expect("two stars are a glob")
    }

    /// Compiles a glob.
    ///
    /// # Errors
    ///
    /// Refuses what is no glob, such as an unclosed bracket, or is longer than [`Self::MAX_LEN`].
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let refuse = |why: String, hint: String| {
            let pattern = text.to_owned();
            PatternError { pattern, why, hint }
        };
        if text.len() > Self::MAX_LEN {
            let why = format!("it is longer than {} bytes", Self::MAX_LEN);
            return Err(refuse(why, String::new()));
        }
        let malformed = |error: globset::Error| {
            let literal = Self::literal(text);
            let hint = format!("; where '{text}' is the name itself, write '{literal}'");
            let why = error.kind().to_string();
            // The library advises to escape in another way.
            let why = why.split(" (maybe").next().unwrap_or_default().to_owned();
            refuse(why, hint)
        };
        let trimmed = text.trim_end_matches('/');
        let target = if trimmed.len() < text.len() { Target::Directories } else { Target::Any };
        let matcher = compile(trimmed).map_err(malformed)?;
        let takes_whole = target == Target::Directories || !is_wild(trimmed);
        let below = takes_whole.then(|| compile(&format!("{trimmed}/**"))).transpose();
        let below = below.map_err(malformed)?.map(Box::new);
        Ok(Self { text: text.to_owned(), matcher, below, target })
    }

    /// The pattern that matches this text alone, as it stands.
    pub fn literal(text: &str) -> String {
        let mut literal = String::with_capacity(text.len());
        for c in text.chars() {
            if SPECIAL.contains(&c) {
                literal.push('\\');
            }
            literal.push(c);
        }
        literal
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it takes an entry: itself, or with a directory above it.
    pub fn takes(&self, entry: &Entry) -> bool {
        let is_meant = self.target == Target::Any || matches!(entry.kind, Kind::Directory);
        is_meant && self.matches(&entry.name) || self.takes_below(&entry.name)
    }

    /// Whether it takes an entry of this name, if that is what the pattern is for.
    pub fn may_take(&self, name: &Name) -> bool {
        self.matches(name) || self.takes_below(name)
    }

    fn takes_below(&self, name: &Name) -> bool {
        let name = OsStr::from_bytes(name.as_bytes());
        self.below.as_ref().is_some_and(|below| below.is_match(name))
    }

    /// Whether the glob matches a name.
    pub fn matches(&self, name: &Name) -> bool {
        self.matcher.is_match(OsStr::from_bytes(name.as_bytes()))
    }
}

/// The characters that a glob gives a meaning.
const SPECIAL: [char; 7] = ['\\', '*', '?', '[', ']', '{', '}'];

fn compile(text: &str) -> Result<GlobMatcher, globset::Error> {
    let mut glob = GlobBuilder::new(text);
    glob.literal_separator(true).backslash_escape(true).empty_alternates(true);
    Ok(glob.build()?.compile_matcher())
}

/// Whether `*` or `?` stands in a pattern with its meaning: not behind a backslash, nor in
/// brackets.
fn is_wild(text: &str) -> bool {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' => return true,
            '\\' => drop(chars.next()),
            '[' => {
                chars.next_if(|c| matches!(c, '!' | '^'));
                // A bracket that comes first is one of the characters.
                chars.next();
                while chars.next().is_some_and(|c| c != ']') {}
            }
            _ => {}
        }
    }
    false
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

    fn entry(name: &str) -> Entry {
        let (name, kind) = match name.strip_suffix('/') {
            Some(name) => (name, Kind::Directory),
            None => (name, Kind::Symlink(b"x".to_vec())),
        };
        let modified = content::Timestamp { seconds: 0, nanoseconds: 0 };
        let metadata = content::Metadata::new(0o644, modified);
        Entry { name: Name::new(name).unwrap(), kind, metadata }
    }

    #[test]
    fn what_names_a_directory_takes_what_is_below_it() {
        let names =
            ["sub/", "sub/a", "sub/deep/", "sub/deep/b", "subway", "file", "a*", "ab/", "ab/c"];
        let cases: [(&str, &[&str]); 14] = [
            ("sub", &["sub/", "sub/a", "sub/deep/", "sub/deep/b"]),
            ("sub/", &["sub/", "sub/a", "sub/deep/", "sub/deep/b"]),
            ("sub//", &["sub/", "sub/a", "sub/deep/", "sub/deep/b"]),
            ("sub/deep", &["sub/deep/", "sub/deep/b"]),
            ("{sub,file}", &["sub/", "sub/a", "sub/deep/", "sub/deep/b", "file"]),
            ("su[ab]", &["sub/", "sub/a", "sub/deep/", "sub/deep/b"]),
            ("file", &["file"]),
            ("file/", &[]),
            ("*", &["sub/", "subway", "file", "a*", "ab/"]),
            ("sub*", &["sub/", "subway"]),
            ("sub*/", &["sub/", "sub/a", "sub/deep/", "sub/deep/b"]),
            ("*/", &["sub/", "sub/a", "sub/deep/", "sub/deep/b", "ab/", "ab/c"]),
            ("a[*]", &["a*"]),
            ("a\\*", &["a*"]),
        ];
        for (pattern, expected) in cases {
            let pattern = Pattern::new(pattern).unwrap();
            let taken = names.iter().copied().filter(|name| pattern.takes(&entry(name)));
            assert_eq!(taken.collect::<Vec<_>>(), expected, "{pattern:?}");
        }
    }

    #[test]
    fn the_literal_pattern_of_a_name_matches_it_and_nothing_else() {
        for text in ["a[1]", "{x,y}", "a\\b", "what?", "*", "[!a]", "]", "}", "plain name"] {
            let pattern = Pattern::new(&Pattern::literal(text)).unwrap();
            assert!(pattern.matches(&Name::new(text).unwrap()), "{pattern:?}");
            assert!(!pattern.matches(&Name::new("x").unwrap()), "{pattern:?}");
            assert!(pattern.below.is_some(), "{pattern:?} has no wildcard");
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
        let why = Pattern::new("data[1").unwrap_err().to_string();
        assert!(why.ends_with("; where 'data[1' is the name itself, write 'data\\[1'"), "{why}");
    }
}
