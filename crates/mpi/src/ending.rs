//! The life of this process in MPI, from `MPI_Init` to its exit.
//!
//! Its end is a contract (`docs/adr/0006-how-a-job-leaves-mpi.md`): what is done here was tried out
//! on four MPIs, and what looks tidier hangs on some of them when a rank is gone.

use crate::settings;
use crate::transport::MpiTransport;
use ferrompi::{Communicator, Mpi, ThreadLevel};
use node::Transport;
use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tracing::subscriber::NoSubscriber;

/// How long the tracker's output has to pass through the launcher before the job is aborted.
const OUTPUT_DRAINS: Duration = Duration::from_millis(300);
/// How long the other ranks stay: a rank that leaves before the tracker has aborted gets the
/// tracker killed.
const OTHERS_LEAVE: Duration = Duration::from_secs(1);
/// How long the tracker waits for them to be gone, where MPI tells it.
const OTHERS_GONE: Duration = Duration::from_secs(3);
/// How long transfers may take to end after the body of a job that lost nobody.
const LEFT_OVER: Duration = Duration::from_secs(5);
/// How long `MPI_Finalize` may take. Where a rank dies in it, others never return.
const FINALIZE: Duration = Duration::from_secs(30);
/// The exit status of a job that lost a rank, where the job has not said a worse one.
const STATUS_LOST: u8 = 3;

/// How a rank's part in the job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The exit status of this process. Where a rank was lost, 0 becomes 3.
    pub status: u8,
    /// Whether any rank was lost, by this rank's or the tracker's knowledge.
    pub lost: bool,
    /// Whether this rank is the tracker, which ends a job that lost a rank.
    pub is_tracker: bool,
}

/// Joins the MPI job, runs `body` with the transport, and ends the process as the body says. A
/// panic on any thread prints its message and aborts the process: nothing unwinds through MPI.
///
/// Where `MPI_Init` has not returned within `limit`, another thread calls `give_up`, which should
/// say so, and ends the process with status 3: a rank that dies before it has joined is waited for
/// by the others for ever under Open MPI 5 with ULFM (tried), and one that hangs is everywhere.
///
/// `body` must have told everything to its users when it returns; output is flushed, nothing else
/// is done.
///
/// # Panics
///
/// Panics, and thus aborts, where MPI cannot be initialized.
pub fn run(
    limit: Duration,
    give_up: impl FnOnce() + Send + 'static,
    body: impl FnOnce(&mut dyn Transport) -> Ending,
) -> ! {
    abort_on_panic();
    settings::apply();
    let joined = watch_joining(limit, give_up);
    let mpi = Mpi::init_thread(ThreadLevel::Funneled).expect("MPI_Init_thread works");
    drop(joined);
    assert!(mpi.thread_level() >= ThreadLevel::Funneled, "an MPI that allows no other threads");
    let world = mpi.world();
    let status = ferrompi::scope(|scope| {
        let mut transport = MpiTransport::new(scope, &world);
        let ending = body(&mut transport);
        conclude(&mut transport, &world, ending);
        Ok(ending.status)
    });
    let status = status.expect("no request was left to the scope");
    drop(world);
    // Without the thread there is no deadline; that is no reason to fail.
    let _ = std::thread::Builder::new().spawn(|| {
        std::thread::sleep(FINALIZE);
        exit_now(STATUS_LOST)
    });
    drop(mpi);
    std::process::exit(status.into());
}

/// Ends the process where what is returned has not been dropped within the limit.
fn watch_joining(limit: Duration, give_up: impl FnOnce() + Send + 'static) -> Sender<()> {
    let (joined, joins) = mpsc::channel();
    // Without the thread there is no limit; that is no reason to fail.
    let _ = std::thread::Builder::new().spawn(move || {
        if joins.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            give_up();
            exit_now(STATUS_LOST)
        }
    });
    joined
}

/// Returns where nobody was lost and every request has completed; ends the process otherwise.
fn conclude(transport: &mut MpiTransport<'_, '_>, world: &Communicator, ending: Ending) {
    // What cannot be flushed cannot be said either.
    let _ = std::io::stdout().flush();
    let _ = std::io::stderr().flush();
    // Ranks that finalize and then exit with an error now and then hang this launcher, too.
    let leaves_anyway = ending.status != 0 && outlives_its_dead();
    if !ending.lost && !leaves_anyway {
        poll_for(transport, LEFT_OVER, MpiTransport::is_idle);
        if transport.is_idle() && !transport.has_lost() {
            return;
        }
        tracing::error!("a rank was lost, or did not take its last messages, at the very end");
    }
    // Other ranks leave now, each a loss to be logged; without a launcher that might panic.
    tracing::subscriber::with_default(NoSubscriber::new(), || leave(transport, world, ending));
}

/// Ends a job that lost a rank, without what might wait for that rank.
fn leave(transport: &mut MpiTransport<'_, '_>, world: &Communicator, ending: Ending) -> ! {
    let status = if ending.status == 0 { STATUS_LOST } else { ending.status };
    if ending.is_tracker {
        poll_for(transport, OUTPUT_DRAINS, |_| false);
        // This launcher now and then hangs in MPI_Abort (tried). Where no rank is left that could
        // hang, none needs to be aborted.
        if transport.has_lost() || outlives_its_dead() {
            poll_for(transport, OTHERS_GONE, MpiTransport::is_alone);
            if transport.is_alone() {
                exit_now(status);
            }
        }
        world.abort(status.into());
    }
    poll_for(transport, OTHERS_LEAVE, |_| false);
    exit_now(status);
}

/// Whether the launcher was told `--with-ft ulfm`: it lets ranks leave one by one.
fn outlives_its_dead() -> bool {
    std::env::var_os("OMPI_MCA_mpi_ft_enable").is_some_and(|value| value == "1")
}

/// Keeps MPI going, for the last messages of this rank and others, and drops what arrives.
fn poll_for<'s, 'env>(
    transport: &mut MpiTransport<'s, 'env>,
    time: Duration,
    is_enough: impl Fn(&MpiTransport<'s, 'env>) -> bool,
) {
    let start = Instant::now();
    while start.elapsed() < time {
        transport.poll(&mut Vec::new());
        if is_enough(transport) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Ends the process without anything that MPI has hung upon the exit.
#[allow(unsafe_code, reason = "std has no exit without exit handlers")]
fn exit_now(status: u8) -> ! {
    // SAFETY: `_exit` has no preconditions.
    unsafe { libc::_exit(status.into()) }
}

fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        print(info);
        std::process::abort();
    }));
}
