//! Who a rank says it is, in as many messages as it takes. Keeps nothing of what it offers.

use crate::message::{Hello, HelloPart};

/// The beginning of a rank's INIT.
#[derive(Debug)]
pub(super) enum Greeting {
    /// It names what it shares and wants, so many bytes so far; its hello comes last.
    Listing { lists: HelloPart, bytes: usize },
    /// It has said who it is.
    Said(Box<Hello>),
    /// It was introduced without a hello, and says none any more.
    Omitted,
}

impl Default for Greeting {
    fn default() -> Self {
        Self::Listing { lists: HelloPart::default(), bytes: 0 }
    }
}

impl Greeting {
    /// Who it is, once that is said.
    pub(super) fn hello(&self) -> Option<&Hello> {
        match self {
            Self::Said(hello) => Some(hello),
            Self::Listing { .. } | Self::Omitted => None,
        }
    }

    /// Takes some of what it shares and wants; out of turn it changes nothing.
    ///
    /// # Errors
    ///
    /// Says that it is more than one rank may say.
    pub(super) fn take_part(&mut self, part: HelloPart) -> Result<(), String> {
        let Self::Listing { lists, bytes } = self else { return Ok(()) };
        *bytes += part.bytes();
        if *bytes > HelloPart::MAX_BYTES {
            return Err("it shares or wants more than one rank may name".into());
        }
        lists.append(part);
        Ok(())
    }

    /// Takes who it is, with the last of its lists; out of turn it changes nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::take_part`].
    pub(super) fn take_hello(&mut self, mut hello: Hello) -> Result<(), String> {
        self.take_part(hello.take_lists())?;
        if let Self::Listing { lists, .. } = self {
            let HelloPart { shares, wants } = std::mem::take(lists);
            *self = Self::Said(Box::new(Hello { shares, wants, ..hello }));
        }
        Ok(())
    }

    /// Nothing more is taken.
    pub(super) fn close(&mut self) {
        if let Self::Listing { .. } = self {
            *self = Self::Omitted;
        }
    }
}
