//! The transport over MPI: the only crate that knows libmpi.
//!
//! It finds the launcher's own libmpi and loads it, so that one binary runs under every MPI; joins
//! the job, carries messages and pieces, and leaves. It decides nothing, never blocks between
//! [`join`] and [`MpiTransport::leave`], never ends the process, and never prints.

mod abi;
mod above;
mod call;
mod choose;
mod communicator;
mod find;
mod flight;
mod inbox;
mod join;
mod last_words;
mod library;
mod settings;
mod transport;
mod unstarted;

pub use above::{is_below_a_launcher, silent_launcher};
pub use choose::{NoLibrary, Program, choose, launcher_at};
pub use find::{Family, OVERRIDE, Why};
pub use join::{Ending, JoinError, Left, attach, join};
pub use library::Library;
pub use transport::MpiTransport;
pub use unstarted::abort_unstarted;
