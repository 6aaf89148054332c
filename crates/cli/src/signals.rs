//! SIGINT and SIGTERM: the first asks the job to end in order, a second ends this process at once.
//! SIGXFSZ kills nobody.
//!
//! A thread hears them, so that the second is heard also where the loop, or MPI, is stuck.

use crate::status;
use shoal::{Interrupt, Signal};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use swarm::Outcome;

/// What comes within this time of the first is the same wish: at a terminal one Ctrl-C reaches a
/// rank from the terminal and again from its launcher.
const SAME: Duration = Duration::from_millis(300);

/// Makes a limit of the system on the length of files an error of one write, on one rank: unheard,
/// the signal would kill the rank, and most MPIs the whole job with it.
pub fn outlive_long_files() {
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Hears signals from now on, and raises the first.
pub fn listen(interrupt: &Interrupt) {
    let interrupt = interrupt.clone();
    // Where the system has no thread or pipe left, signals do what they always did.
    let hear = move || {
        let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
        let mut first = None;
        for number in signals.forever() {
            let first = *first.get_or_insert_with(Instant::now);
            if first.elapsed() > SAME {
                signal_hook::low_level::exit(status::of(Outcome::Failed).into());
            }
            interrupt.raise(if number == SIGINT { Signal::Interrupt } else { Signal::Terminate });
        }
    };
    let _ = std::thread::Builder::new().name("signals".to_owned()).spawn(hear);
}
