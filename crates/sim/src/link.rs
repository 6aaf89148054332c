//! Links that are not like the others: how fast some ranks send and receive, and how that is
//! written on the command line.

use std::fmt;
use std::str::FromStr;

/// The links of a row of ranks, in thousandths of the rate of all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The first of the ranks.
    pub first: u32,
    /// The last of them.
    pub last: u32,
    /// How fast they send.
    pub up_milli: u32,
    /// How fast they receive.
    pub down_milli: u32,
}

/// The rate of a link that nothing is said of, in thousandths.
pub(crate) const EQUAL_MILLI: u32 = 1000;

/// Why a text is no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It is not written as links are.
    #[error(
        "write RANKS=RATE or RANKS=UP/DOWN, as in 3=0.5 or 4-7=2/0.25, where 1 is the rate of all \
         other links"
    )]
    Form,
    /// A rate beyond its limits.
    #[error("a rate is from 0.001 to 1000, with at most three decimals")]
    Rate,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        write!(f, "={}", Rate(self.up_milli))?;
        if self.down_milli != self.up_milli {
            write!(f, "/{}", Rate(self.down_milli))?;
        }
        Ok(())
    }
}

/// Thousandths, written as a decimal number.
struct Rate(u32);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:03}", self.0 / 1000, self.0 % 1000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let rank = |text: &str| text.parse::<u32>().map_err(|_| LinkError::Form);
        let (ranks, rates) = text.split_once('=').ok_or(LinkError::Form)?;
        let (first, last) = ranks.split_once('-').unwrap_or((ranks, ranks));
        let (up, down) = rates.split_once('/').unwrap_or((rates, rates));
        let (first, last) = (rank(first)?, rank(last)?);
        if first > last {
            return Err(LinkError::Form);
        }
        let milli = |rate: &str| {
            let milli = thousandths(rate).ok_or(LinkError::Form)?;
            milli.filter(|milli| (1..=1_000_000).contains(milli)).ok_or(LinkError::Rate)
        };
        Ok(Self { first, last, up_milli: milli(up)?, down_milli: milli(down)? })
    }
}

/// Reads a decimal number. `None`: it is none; `Some(None)`: it is too long.
fn thousandths(text: &str) -> Option<Option<u32>> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || text.ends_with('.') {
        return None;
    }
    if whole.len() > 4 || part.len() > 3 {
        return Some(None);
    }
    let part = format!("{part:0<3}");
    Some(Some(whole.parse::<u32>().ok()? * 1000 + part.parse::<u32>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_reads_as_it_is_written() {
        for text in ["3=0.5", "4-7=2/0.25", "1=1000", "1=0.001/3", "2-9=1.125"] {
            assert_eq!(text.parse::<Link>().unwrap().to_string(), text);
        }
        for text in ["", "3", "3=", "3=x", "x=1", "3-=1", "5-3=1", "3=1/", "3=-1", "3=.5", "3=1."] {
            assert_eq!(text.parse::<Link>(), Err(LinkError::Form), "{text}");
        }
        for text in ["3=0", "3=1001", "3=0.0001", "3=1/99999", "3=1/0.000"] {
            assert_eq!(text.parse::<Link>(), Err(LinkError::Rate), "{text}");
        }
    }
}
