//! Names of the catalogue: relative paths that cannot leave the directory they are put in.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// A catalogue name: a relative path of `/`-separated components, in bytes (not always UTF-8).
///
/// A value of this type is safe to join to a destination as text: it is not absolute and has no
/// empty, `.` or `..` component, no NUL, and no component `.shoal`, which is the store's own. What
/// lies on the disk (links) is the store's concern. A clone shares the bytes: a name is in many
/// tables at once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "Vec<u8>")]
pub struct Name(Arc<[u8]>);

/// Why bytes are not a catalogue name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than [`Name::MAX_LEN`].
    #[error("a name of {0} bytes is longer than {max}", max = Name::MAX_LEN)]
    TooLong(usize),
    /// Begins with `/`.
    #[error("the name '{0}' is absolute; names are relative to the destination")]
    Absolute(String),
    /// Has an empty, `.` or `..` component, one longer than 255 bytes, or a NUL.
    #[error(
        "the name '{0}' has a component that is empty, '.', '..', longer than 255 bytes, or holds a NUL"
    )]
    Component(String),
    /// Has a component `.shoal`.
    #[error("the name '{0}' enters .shoal, where Shoal keeps its own files")]
    Reserved(String),
}

impl Name {
    /// The longest name in bytes, Linux's `PATH_MAX`.
    pub const MAX_LEN: usize = 4096;
    /// The longest component in bytes, Linux's `NAME_MAX`.
    pub const MAX_COMPONENT_LEN: usize = 255;
    /// The component that no name may have.
    pub const RESERVED: &'static [u8] = b".shoal";

    /// Takes bytes that are a name.
    ///
    /// # Errors
    ///
    /// Refuses whatever could leave the destination; see [`NameError`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, NameError> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(NameError::Empty);
        }
        if bytes.len() > Self::MAX_LEN {
            return Err(NameError::TooLong(bytes.len()));
        }
        if bytes[0] == b'/' {
            return Err(NameError::Absolute(escape(&bytes)));
        }
        for component in bytes.split(|&b| b == b'/') {
            let odd = component.is_empty() || component == b"." || component == b"..";
            if odd || component.len() > Self::MAX_COMPONENT_LEN || component.contains(&0) {
                return Err(NameError::Component(escape(&bytes)));
            }
            if component == Self::RESERVED {
                return Err(NameError::Reserved(escape(&bytes)));
            }
        }
        Ok(Self(bytes.into()))
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components from the outermost to the file's own.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/')
    }
}

impl TryFrom<Vec<u8>> for Name {
    type Error = NameError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, NameError> {
        Self::new(bytes)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// Shows the name as text: see [`escape`].
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'")
    }
}

/// Makes text of bytes, so that no other bytes give the same text: UTF-8 as it is, all else and
/// control characters as `\xNN`, and a backslash as `\\`.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                let mut utf8 = [0; 4];
                for byte in c.encode_utf8(&mut utf8).bytes() {
                    text.push_str(&format!("\\x{byte:02x}"));
                }
            } else if c == '\\' {
                text.push_str("\\\\");
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_the_destination_is_no_name() {
        for bad in ["", "/etc/passwd", "..", "../x", "a/../b", "a//b", "a/", "./a", "a/.", "a\0b"] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
        assert!(Name::new(vec![b'a'; 256]).is_err());
        assert!(Name::new(vec![b'/'; 5000]).is_err());
    }

    #[test]
    fn the_stores_own_directory_is_never_a_name() {
        assert_eq!(Name::new("a/.shoal/id"), Err(NameError::Reserved("a/.shoal/id".into())));
        assert!(Name::new("a/.shoals").is_ok());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_shown_escaped_and_kept() {
        let name = Name::new(b"d\xc3\xa9j\xff \x07".to_vec()).unwrap();
        assert_eq!(name.to_string(), "d\u{e9}j\\xff \\x07");
        assert_eq!(name.as_bytes(), b"d\xc3\xa9j\xff \x07");
    }

    #[test]
    fn no_two_names_are_shown_alike() {
        let names: [&[u8]; 6] = [b"\xff", b"\\xff", b"\\\xff", b"\\\\xff", b"\\x5cxff", b"\x07"];
        let shown = ["\\xff", "\\\\xff", "\\\\\\xff", "\\\\\\\\xff", "\\\\x5cxff", "\\x07"];
        assert_eq!(names.map(escape), shown);
        assert_eq!(
            escape("d\u{e9}j\u{e0} vu {1} [2].txt".as_bytes()),
            "d\u{e9}j\u{e0} vu {1} [2].txt"
        );
    }
}
