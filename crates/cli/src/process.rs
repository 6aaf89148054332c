//! The life of this process in MPI, from `MPI_Init` to its exit.
//!
//! Its end is a contract (`docs/adr/0006-how-a-job-leaves-mpi.md`). Crate `mpi` joins and leaves
//! the job; all that ends the process stands here, so that a program which is more than a rank of
//! Shoal can do without. It knows nothing of what the job is.

use crate::status;
use mpi::{Ending, JoinError, Left, Library, MpiTransport};
use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// How long `MPI_Finalize` may take. Where a rank dies in it, others never return.
const FINALIZE: Duration = Duration::from_secs(30);

/// Joins the MPI job. From now on a panic on any thread prints its message and aborts the process:
/// nothing unwinds through MPI.
///
/// Where `MPI_Init` has not returned within `limit`, another thread calls `give_up`, which should
/// say so, and ends the process with status 3: a rank that dies before it has joined is waited for
/// by the others for ever under Open MPI 5 with ULFM (tried), and one that hangs is everywhere.
/// Where `MPI_Init` exits instead of returning, `last_words` is called.
///
/// # Errors
///
/// Where MPI cannot be initialized.
pub fn join(
    library: &Library,
    limit: Duration,
    give_up: impl FnOnce() + Send + 'static,
    last_words: impl FnOnce() + Send + 'static,
) -> Result<MpiTransport, JoinError> {
    abort_on_panic();
    let joined = watch_joining(limit, give_up);
    let transport = mpi::join(library, last_words);
    drop(joined);
    transport
}

/// Leaves the job and ends the process as `ending` says. Everything must have been told to users
/// by then; output is flushed, nothing else is done.
pub fn leave(transport: MpiTransport, ending: Ending) -> ! {
    // What cannot be flushed cannot be said either.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    match transport.leave(ending, || end_in(FINALIZE)) {
        Left::InOrder => std::process::exit(ending.status.into()),
        Left::InHaste(status) => exit_now(status),
    }
}

/// Ends the process where what is returned has not been dropped within the limit.
fn watch_joining(limit: Duration, give_up: impl FnOnce() + Send + 'static) -> Sender<()> {
    let (joined, joins) = mpsc::channel();
    // Without the thread there is no limit; that is no reason to fail.
    let _ = std::thread::Builder::new().spawn(move || {
        if joins.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            give_up();
            exit_now(status::LOST)
        }
    });
    joined
}

/// Ends the process after a time, whatever it is doing then.
fn end_in(time: Duration) {
    // Without the thread there is no deadline; that is no reason to fail.
    let _ = std::thread::Builder::new().spawn(move || {
        std::thread::sleep(time);
        exit_now(status::LOST)
    });
}

/// Ends the process without anything that MPI has hung upon the exit.
fn exit_now(status: u8) -> ! {
    signal_hook::low_level::exit(status.into())
}

/// Makes a panic end the process.
pub fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        std::process::abort();
    }));
}
