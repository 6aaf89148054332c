//! The exit status of this process: the contract with whoever starts it. Ends nothing itself.

use swarm::Outcome;

/// Wrong usage, found before a job begins.
pub const USAGE: u8 = 1;
/// A rank was lost, whatever else is true.
pub const LOST: u8 = 3;

/// The status for how a job ended.
pub const fn of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Complete => 0,
        Outcome::Refused => 2,
        Outcome::Degraded | Outcome::Failed => 3,
    }
}
