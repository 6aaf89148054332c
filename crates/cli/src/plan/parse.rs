//! From TOML to a [`Plan`](super::Plan)'s entries. Every mistake is named with its file, line and
//! key.

use super::{PeerEntry, PlanError, Who};
use crate::placeholder::{PlaceholderError, Template};
use std::ffi::OsStr;
use std::ops::{Range, RangeInclusive};
use swarm::{Pattern, Rank};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys of an entry.
const KEYS: [&str; 7] = ["ranks", "hosts", "rack", "share", "prefix", "want", "into"];

/// Two words at least so alike (Jaro-Winkler) are taken for a misspelling.
const LIKENESS: f64 = 0.75;

/// Parses the entries of a plan; there is at least one.
pub(super) fn entries(file: &str, text: &str) -> Result<Vec<PeerEntry>, PlanError> {
    let source = Source { file, text };
    let table = DeTable::parse(text).map_err(|error| {
        let why = error.message().replace('\n', "; ");
        source.bad(error.span().unwrap_or(0..0), format!("this is not TOML: {why}"))
    })?;
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        if key.get_ref() != "peer" {
            let name = key.get_ref();
            let why = format!("unknown key '{name}'; a plan has [[peer]] entries and nothing else");
            return Err(source.bad(key.span(), why));
        }
        let peers = value.get_ref().as_array().ok_or_else(|| {
            source.bad(key.span(), "'peer' must be a list of tables: write [[peer]]")
        })?;
        for peer in peers.iter() {
            entries.push(source.entry(peer)?);
        }
    }
    if entries.is_empty() {
        return Err(PlanError::Bad(format!("{file}: it has no [[peer]]")));
    }
    Ok(entries)
}

/// The text that is parsed, for naming places in it.
struct Source<'a> {
    file: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn entry(&self, peer: &Spanned<DeValue<'_>>) -> Result<PeerEntry, PlanError> {
        let Some(table) = peer.get_ref().as_table() else {
            return Err(self.bad(peer.span(), "'peer' must be a list of tables: write [[peer]]"));
        };
        let mut who = None;
        let mut entry = PeerEntry {
            line: self.line(peer.span()),
            who: Who::Ranks(Vec::new()),
            rack: None,
            share: None,
            prefix: None,
            want: None,
            into: None,
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match name {
                "ranks" | "hosts" if who.is_some() => {
                    return Err(self.bad(key.span(), "give 'ranks' or 'hosts', not both"));
                }
                "ranks" => who = Some(Who::Ranks(self.ranks(value)?)),
                "hosts" => who = Some(Who::Hosts(self.patterns(name, value)?)),
                "rack" => entry.rack = Some(self.string(name, value)?.to_owned()),
                "share" => entry.share = Some(self.paths(value)?),
                "prefix" => {
                    let text = self.string(name, value)?;
                    entry.prefix = Some(self.template(name, value, Template::parse, text)?);
                }
                "want" => entry.want = Some(self.patterns(name, value)?),
                "into" => {
                    let text = self.string(name, value)?;
                    entry.into = Some(self.template(name, value, Template::parse_path, text)?);
                }
                _ => return Err(self.bad(key.span(), unknown_key(name))),
            }
        }
        match who {
            Some(who) => Ok(PeerEntry { who, ..entry }),
            None => Err(self.bad(
                peer.span(),
                "this [[peer]] says neither 'ranks' nor 'hosts', so it is for nobody",
            )),
        }
    }

    fn ranks(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<RangeInclusive<u32>>, PlanError> {
        let Some(text) = value.get_ref().as_str() else {
            let found = found(value.get_ref());
            let why = format!("'ranks' must be a string such as \"1-3,7\", and is {found}");
            return Err(self.bad(value.span(), why));
        };
        text.split(',').map(|part| self.rank_range(value, part.trim())).collect()
    }

    fn rank_range(
        &self,
        value: &Spanned<DeValue<'_>>,
        part: &str,
    ) -> Result<RangeInclusive<u32>, PlanError> {
        let number = |text: &str| {
            let digits = text.trim();
            let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<u32>().ok().filter(|&n| all_digits && n < Rank::LIMIT)
        };
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            let why = format!("'{part}' in 'ranks' is no rank or range; write \"1-3,7\"");
            return Err(self.bad(value.span(), why));
        };
        if first > last {
            let why = format!("the range '{part}' in 'ranks' runs backwards");
            return Err(self.bad(value.span(), why));
        }
        Ok(first..=last)
    }

    fn paths(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<Template>, PlanError> {
        let strings = self.strings("share", value)?;
        let template = |(item, text)| self.template("share", item, Template::parse_path, text);
        strings.into_iter().map(template).collect()
    }

    fn patterns(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<Pattern>, PlanError> {
        let mut patterns = Vec::new();
        for (item, text) in self.strings(key, value)? {
            // As on the command line, the empty pattern wants nothing.
            if text.is_empty() && key == "want" {
                continue;
            }
            let pattern = Pattern::new(text)
                .map_err(|error| self.bad(item.span(), format!("'{key}': {error}")))?;
            patterns.push(pattern);
        }
        Ok(patterns)
    }

    fn strings<'v>(
        &self,
        key: &str,
        value: &'v Spanned<DeValue<'_>>,
    ) -> Result<Vec<(&'v Spanned<DeValue<'v>>, &'v str)>, PlanError> {
        let example = match key {
            "share" => "share = [\"/data\"]",
            "want" => "want = [\"**\"]",
            _ => "hosts = [\"node0*\"]",
        };
        let wrong = |value: &Spanned<DeValue<'_>>| {
            let found = found(value.get_ref());
            let why =
                format!("'{key}' must be a list of strings, as in {example}, and has {found}");
            self.bad(value.span(), why)
        };
        let items = value.get_ref().as_array().ok_or_else(|| wrong(value))?;
        items
            .iter()
            .map(|item| Ok((item, item.get_ref().as_str().ok_or_else(|| wrong(item))?)))
            .collect()
    }

    fn string<'v>(&self, key: &str, value: &'v Spanned<DeValue<'_>>) -> Result<&'v str, PlanError> {
        value.get_ref().as_str().ok_or_else(|| {
            let found = found(value.get_ref());
            self.bad(value.span(), format!("'{key}' must be a string, and is {found}"))
        })
    }

    fn template(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        parse: fn(&OsStr) -> Result<Template, PlaceholderError>,
        text: &str,
    ) -> Result<Template, PlanError> {
        parse(OsStr::new(text)).map_err(|error| {
            let why = self.place(value.span(), &format!("'{key}': {error}"));
            match error {
                PlaceholderError::Empty | PlaceholderError::Nul => PlanError::Bad(why),
                _ => PlanError::Placeholder(why),
            }
        })
    }

    fn bad(&self, span: Range<usize>, why: impl AsRef<str>) -> PlanError {
        PlanError::Bad(self.place(span, why.as_ref()))
    }

    fn place(&self, span: Range<usize>, why: &str) -> String {
        format!("{}, line {}: {why}", self.file, self.line(span))
    }

    /// The line that a span begins on, from 1.
    fn line(&self, span: Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }
}

fn unknown_key(name: &str) -> String {
    let likeness = |key: &&str| strsim::jaro_winkler(name, key);
    let best = KEYS.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match best.filter(|key| likeness(key) >= LIKENESS) {
        Some(key) => format!("unknown key '{name}' in [[peer]]; did you mean '{key}'?"),
        None => format!("unknown key '{name}' in [[peer]]; the keys are {}", KEYS.join(", ")),
    }
}

/// What a value is, with its article.
fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
