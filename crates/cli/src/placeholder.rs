//! Placeholders in paths and prefixes: `{rank}` `{host}` `{local_rank}` `{env:NAME}`.
//!
//! A template is parsed once where it enters, so that a misspelt placeholder is wrong usage on
//! every rank, and filled on each rank from its own environment. It works on bytes: paths need not
//! be UTF-8. Globs are never templates: `{a,b}` means something else there.

use crate::Vars;
use content::name::escape;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// A path or text with placeholders, known to be well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Rank,
    Host,
    LocalRank,
    Env(OsString),
}

/// What a rank fills its placeholders with.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The rank by the launcher's variables.
    pub rank: u32,
    /// The rank among those on its host, where the launcher tells.
    pub local_rank: Option<u32>,
    /// The host's name.
    pub host: &'a str,
    /// The environment variables.
    pub vars: &'a Vars,
}

/// Why text is no template, or could not be filled here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceholderError {
    /// An empty path.
    #[error("a path cannot be empty")]
    Empty,
    /// A name that is none of the four.
    #[error(
        "unknown placeholder '{{{0}}}'; there are {{rank}}, {{host}}, {{local_rank}} and \
         {{env:NAME}}, and '{{{{' is a brace"
    )]
    Unknown(String),
    /// No closing brace.
    #[error("the placeholder '{{{0}' is not closed; '{{{{' is a brace")]
    Open(String),
    /// A variable that this rank does not have.
    #[error("the placeholder '{{env:{name}}}' has no value: rank {rank} has no variable {name}")]
    Unset {
        /// The variable.
        name: String,
        /// The rank without it.
        rank: u32,
    },
    /// The launcher does not say it.
    #[error(
        "the placeholder '{{local_rank}}' has no value: the launcher does not tell the local rank"
    )]
    NoLocalRank,
    /// A path that a zero byte would cut.
    #[error("it holds a NUL")]
    Nul,
}

impl Template {
    /// Parses text; `{{` and `}}` stand for one brace each.
    ///
    /// # Errors
    ///
    /// Names the placeholder that is unknown or not closed.
    pub fn parse(text: &OsStr) -> Result<Self, PlaceholderError> {
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                0 => return Err(PlaceholderError::Nul),
                b'{' | b'}' if rest.first() == Some(&byte) => {
                    plain.push(byte);
                    rest = &rest[1..];
                }
                b'{' => {
                    let close = rest.iter().position(|&b| b == b'}');
                    let close = close.ok_or_else(|| PlaceholderError::Open(escape(rest)))?;
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(placeholder(&rest[..close])?);
                    rest = &rest[close + 1..];
                }
                _ => plain.push(byte),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self(parts))
    }

    /// Parses a path, which is not empty.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn parse_path(text: &OsStr) -> Result<Self, PlaceholderError> {
        if text.is_empty() { Err(PlaceholderError::Empty) } else { Self::parse(text) }
    }

    /// Fills the placeholders for one rank.
    ///
    /// # Errors
    ///
    /// Names the variable that is not set.
    pub fn fill(&self, here: Surroundings<'_>) -> Result<OsString, PlaceholderError> {
        let mut filled = Vec::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.extend_from_slice(text),
                Part::Rank => filled.extend_from_slice(here.rank.to_string().as_bytes()),
                Part::Host => filled.extend_from_slice(here.host.as_bytes()),
                Part::LocalRank => {
                    let local_rank = here.local_rank.ok_or(PlaceholderError::NoLocalRank)?;
                    filled.extend_from_slice(local_rank.to_string().as_bytes());
                }
                Part::Env(name) => {
                    let unset = || PlaceholderError::Unset {
                        name: escape(name.as_bytes()),
                        rank: here.rank,
                    };
                    let value = here.vars.get(name).ok_or_else(unset)?;
                    filled.extend_from_slice(value.as_bytes());
                }
            }
        }
        Ok(OsString::from_vec(filled))
    }
}

fn placeholder(name: &[u8]) -> Result<Part, PlaceholderError> {
    match name {
        b"rank" => Ok(Part::Rank),
        b"host" => Ok(Part::Host),
        b"local_rank" => Ok(Part::LocalRank),
        _ => match name.strip_prefix(b"env:") {
            Some(variable) if !variable.is_empty() => {
                Ok(Part::Env(OsStr::from_bytes(variable).to_owned()))
            }
            _ => Err(PlaceholderError::Unknown(escape(name))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &[u8]) -> Result<Vec<u8>, String> {
        let vars = Vars::from([
            ("USER".into(), "ann".into()),
            ("ODD".into(), OsString::from_vec(vec![0xff])),
            ("EMPTY".into(), "".into()),
        ]);
        let here = Surroundings { rank: 3, local_rank: Some(1), host: "node7", vars: &vars };
        Template::parse(OsStr::from_bytes(text))
            .and_then(|template| template.fill(here))
            .map(OsString::into_vec)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_rank_fills_its_own_values() {
        let cases: [(&[u8], &[u8]); 9] = [
            (b"/data", b"/data"),
            (b"/s/{rank}/x", b"/s/3/x"),
            (b"{host}-{local_rank}", b"node7-1"),
            (b"{env:USER}", b"ann"),
            (b"a{env:EMPTY}b", b"ab"),
            (b"{{rank}}", b"{rank}"),
            (b"{{{rank}}}", b"{3}"),
            (b"a}b", b"a}b"),
            (b"\xfe/{env:ODD}", b"\xfe/\xff"),
        ];
        for (text, expected) in cases {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{}", escape(text));
        }
    }

    #[test]
    fn an_unknown_placeholder_is_named() {
        for (text, named) in [
            (
                "/s/{rnak}",
                "unknown placeholder '{rnak}'; there are {rank}, {host}, {local_rank} and \
                 {env:NAME}, and '{{' is a brace",
            ),
            ("{a,b}", "unknown placeholder '{a,b}'"),
            ("{}", "unknown placeholder '{}'"),
            ("{env:}", "unknown placeholder '{env:}'"),
            ("{Rank}", "unknown placeholder '{Rank}'"),
            ("/s/{rank", "the placeholder '{rank' is not closed; '{{' is a brace"),
            (
                "{env:NOPE}",
                "the placeholder '{env:NOPE}' has no value: rank 3 has no variable NOPE",
            ),
        ] {
            let message = filled(text.as_bytes()).unwrap_err();
            assert!(message.starts_with(named), "{text}: {message}");
        }
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let vars = Vars::from([("X".into(), "{rank}".into())]);
        let here = Surroundings { rank: 0, local_rank: None, host: "h", vars: &vars };
        let template = Template::parse(OsStr::new("{env:X}")).unwrap();
        assert_eq!(template.fill(here).unwrap(), "{rank}");
    }
}
