//! The word that this rank is to stop, on its way from a signal's handler to the loop. It knows
//! nothing of handlers: whoever has one raises it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What told a rank to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: somebody at a terminal.
    Interrupt,
    /// SIGTERM: a launcher or a batch system.
    Terminate,
}

/// Raised once by whoever hears of signals, and seen by the node. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    raised: Arc<AtomicU8>,
}

impl Signal {
    /// Its name, as in `SIGINT`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

impl Interrupt {
    /// Tells the node to stop. The last signal counts.
    pub fn raise(&self, signal: Signal) {
        let number = match signal {
            Signal::Interrupt => 1,
            Signal::Terminate => 2,
        };
        self.raised.store(number, Ordering::Relaxed);
    }

    /// The signal that was raised since this was last asked.
    pub(crate) fn take(&self) -> Option<Signal> {
        // The loop asks often: a load costs less than an exchange.
        if self.raised.load(Ordering::Relaxed) == 0 {
            return None;
        }
        match self.raised.swap(0, Ordering::Relaxed) {
            1 => Some(Signal::Interrupt),
            2 => Some(Signal::Terminate),
            _ => None,
        }
    }
}
