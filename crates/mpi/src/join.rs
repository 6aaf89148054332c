//! Joining a job of MPI, or one that this process is in already, and leaving it.
//!
//! The end is a contract (`docs/adr/0006-how-a-job-leaves-mpi.md`): what is done here was tried out
//! on many MPIs, and what looks tidier hangs on some of them when a rank is gone. The process
//! itself is not ended here, but by MPI where it is asked to abort.
#![allow(unsafe_code, reason = "the first calls of MPI, and a communicator that is lent")]

use crate::abi::{Handles, Predefined, SUCCESS};
use crate::call::{Calls, Handle};
use crate::communicator::{Communicator, Typed, failure};
use crate::find::{Candidate, Place, Why};
use crate::library::{Library, Unfit};
use crate::transport::MpiTransport;
use crate::{last_words, settings};
use node::Transport;
use std::ffi::{c_int, c_void};
use std::path::Path;
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

/// How MPI was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// As it should be: the process may go on, and exit as it likes.
    InOrder,
    /// Without `MPI_Finalize`: the process ends with this status now, and runs no exit handlers, as
    /// MPI's would wait for a rank that is gone.
    InHaste(u8),
}

/// Why a job cannot be joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The library is not what it should be.
    #[error("{library}: {why}")]
    Unfit {
        /// The library.
        library: String,
        /// What is wrong with it.
        why: String,
    },
    /// MPI does not start.
    #[error("MPI_Init of {library} failed: {why}")]
    Init {
        /// The library.
        library: String,
        /// What it says.
        why: String,
    },
    /// Other threads, that never call MPI, are not allowed.
    #[error("{library} allows a process no threads beside the one that calls it")]
    Threads {
        /// The library.
        library: String,
    },
    /// A communicator was lent before `MPI_Init` or after `MPI_Finalize`.
    #[error(
        "{library} is not between MPI_Init and MPI_Finalize, so that nobody can lend its \
             communicator"
    )]
    NotLive {
        /// The library.
        library: String,
    },
}

/// Whose MPI it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    /// Begun here, and ended here.
    Own,
    /// The program's that lent the communicator.
    Lent,
}

/// Joins the job: `MPI_Init_thread`, `MPI_THREAD_FUNNELED`. The thread that calls this is the one
/// that owns the transport.
///
/// A library of another installation than the launcher's may end the process in here. Where it does
/// so by `exit`, `last_words` is called.
///
/// # Errors
///
/// Where MPI cannot be initialized.
pub fn join(
    library: &Library,
    last_words: impl FnOnce() + Send + 'static,
) -> Result<MpiTransport, JoinError> {
    settings::apply();
    let _prepared = last_words::prepare(last_words);
    // SAFETY: no communicator is lent.
    unsafe { enter(library, None) }
}

/// Joins a job with a communicator that another part of this process lends: a duplicate, on which
/// nobody else calls MPI until the transport is dropped. Neither `MPI_Init` nor `MPI_Finalize` is
/// called; errors on the communicator are returned from now on. The lender frees it.
///
/// # Safety
///
/// `library` must be the file of the libmpi that the process has loaded, and `communicator` the
/// bits of an `MPI_Comm` of it, an `int` widened, that is an intracommunicator and lives as long as
/// the transport. No other thread may call MPI meanwhile unless `MPI_THREAD_SERIALIZED`, with
/// turns taken, or more was asked for.
///
/// # Errors
///
/// Where the file is no MPI library of a known ABI, or MPI is not initialized.
pub unsafe fn attach(library: &Path, communicator: usize) -> Result<MpiTransport, JoinError> {
    let place = Place::File(library.to_owned());
    let opened = Library::open(&Candidate { place, why: Why::Here });
    let unfit = |why: Unfit| JoinError::Unfit {
        library: library.display().to_string(),
        why: why.to_string(),
    };
    // SAFETY: the caller's promise.
    unsafe { enter(&opened.map_err(unfit)?, Some(communicator)) }
}

/// Finds functions and handles, begins MPI where no communicator is lent, and makes the transport.
///
/// # Safety
///
/// As for [`attach`], where one is lent.
unsafe fn enter(library: &Library, lent: Option<usize>) -> Result<MpiTransport, JoinError> {
    let null = std::ptr::null_mut::<c_void>;
    // SAFETY: the type of handles is that of the ABI; the caller promises the communicator.
    let world: Result<Box<dyn Communicator>, JoinError> = unsafe {
        match &library.abi().handles {
            Handles::Ints(own) => live(library, *own, lent),
            Handles::Addresses(own) => live(library, own.map(|at| null().with_addr(at)), lent),
            Handles::Symbols(own) => match own.try_map(|name| library.object(name)) {
                Ok(own) => live(library, own, lent),
                Err(unfit) => Err(library.unfit(&unfit)),
            },
        }
    };
    let membership = if lent.is_some() { Membership::Lent } else { Membership::Own };
    MpiTransport::new(world?, membership).map_err(|why| library.init(&why.to_string()))
}

/// # Safety
///
/// `H` and `own` must be of the library's ABI; besides as for [`enter`].
unsafe fn live<H: Handle>(
    library: &Library,
    own: Predefined<H>,
    lent: Option<usize>,
) -> Result<Box<dyn Communicator>, JoinError> {
    // SAFETY: the caller's promise.
    let calls = unsafe { Calls::<H>::load(library) }.map_err(|unfit| library.unfit(&unfit))?;
    let comm = match lent {
        Some(bits) => {
            let is_live = is_so(calls.initialized) && !is_so(calls.finalized);
            is_live.then(|| H::from_bits(bits)).ok_or_else(|| library.not_live())?
        }
        None => {
            init(library, &calls)?;
            // Errors that belong to no communicator come by this one.
            // SAFETY: MPI is initialized, both are its handles.
            unsafe { (calls.comm_set_errhandler)(own.comm_self, own.errors_return) };
            own.comm_world
        }
    };
    // SAFETY: initialized, by us or by the lender; one thread is the caller's promise.
    let typed = unsafe { Typed::new(calls, library.abi(), own, comm) };
    Ok(Box::new(typed.map_err(|why| library.init(&why.to_string()))?))
}

fn is_so(ask: unsafe extern "C" fn(*mut c_int) -> c_int) -> bool {
    let mut flag = 0;
    // SAFETY: MPI_Initialized or MPI_Finalized, which may be called at any time.
    unsafe { ask(&raw mut flag) == SUCCESS && flag != 0 }
}

fn init<H: Handle>(library: &Library, calls: &Calls<H>) -> Result<(), JoinError> {
    let funneled = library.abi().thread_funneled;
    let (argc, argv) = (std::ptr::null_mut(), std::ptr::null_mut());
    let mut provided = 0;
    // SAFETY: MPI allows no arguments, and is called for the first time in this process.
    let code = unsafe { (calls.init_thread)(argc, argv, funneled, &raw mut provided) };
    if code != SUCCESS {
        return Err(library.init(&failure(calls, library.abi(), code).to_string()));
    }
    if provided < funneled {
        return Err(JoinError::Threads { library: library.to_string() });
    }
    Ok(())
}

impl Library {
    fn unfit(&self, unfit: &Unfit) -> JoinError {
        JoinError::Unfit { library: self.to_string(), why: unfit.to_string() }
    }

    fn init(&self, why: &str) -> JoinError {
        JoinError::Init { library: self.to_string(), why: why.to_owned() }
    }

    fn not_live(&self) -> JoinError {
        JoinError::NotLive { library: self.to_string() }
    }
}

impl MpiTransport {
    /// Leaves the job. Where nobody was lost: every transfer ends, then `MPI_Finalize`, with all
    /// others. Where somebody was: without what might wait for that rank; the tracker asks MPI to
    /// abort, which ends this process, and others.
    ///
    /// Whatever users are to see must have been written and flushed.
    ///
    /// `before_finalize` is called right before `MPI_Finalize`, which now and then never returns.
    ///
    /// A communicator that was lent is only no longer used: nothing is aborted or finalized.
    pub fn leave(mut self, ending: Ending, before_finalize: impl FnOnce()) -> Left {
        let is_lent = self.membership() == Membership::Lent;
        // Ranks that finalize and then exit with an error now and then hang this launcher, too.
        let leaves_anyway = ending.status != 0 && outlives_its_dead() && !is_lent;
        if !ending.lost && !leaves_anyway {
            self.poll_for(LEFT_OVER, Self::is_idle);
            if self.is_idle() && !self.has_lost() {
                if !is_lent {
                    before_finalize();
                    self.world().finalize();
                }
                return Left::InOrder;
            }
            tracing::error!("a rank was lost, or did not take its last messages, at the very end");
        }
        let status = if ending.status == 0 { STATUS_LOST } else { ending.status };
        if !is_lent {
            // Other ranks leave now, each a loss to be logged; without a launcher that might panic.
            tracing::subscriber::with_default(NoSubscriber::new(), || {
                self.leave_in_haste(status, ending.is_tracker);
            });
        }
        Left::InHaste(status)
    }

    fn leave_in_haste(&mut self, status: u8, is_tracker: bool) {
        if !is_tracker {
            return self.poll_for(OTHERS_LEAVE, |_| false);
        }
        self.poll_for(OUTPUT_DRAINS, |_| false);
        // This launcher now and then hangs in MPI_Abort (tried). Where no rank is left that could
        // hang, none needs to be aborted.
        if self.has_lost() || outlives_its_dead() {
            self.poll_for(OTHERS_GONE, Self::is_alone);
            if self.is_alone() {
                return;
            }
        }
        self.world().abort(status.into());
    }

    /// Keeps MPI going, for the last messages of this rank and others, and drops what arrives.
    fn poll_for(&mut self, time: Duration, is_enough: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while start.elapsed() < time {
            self.poll(&mut Vec::new());
            if is_enough(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Whether the launcher was told `--with-ft ulfm`: it lets ranks leave one by one.
fn outlives_its_dead() -> bool {
    std::env::var_os("OMPI_MCA_mpi_ft_enable").is_some_and(|value| value == "1")
}
