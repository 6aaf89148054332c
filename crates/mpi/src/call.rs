//! The functions of MPI that Shoal uses, as a table of what was found in a library.
//!
//! A handle is an `int` or a pointer, by the ABI; all else has one type everywhere. Nothing here is
//! called.
#![allow(unsafe_code, reason = "what dlsym finds has the type that it is given here")]

use crate::library::{Library, Unfit};
use std::ffi::{c_char, c_int, c_void};

/// What communicators, datatypes, requests and groups are to a library.
pub(crate) trait Handle: Copy + PartialEq + 'static {
    /// A handle out of the bits that another program's variable has.
    fn from_bits(bits: usize) -> Self;
}

impl Handle for c_int {
    #[allow(clippy::cast_possible_truncation, reason = "an int was widened, this undoes it")]
    fn from_bits(bits: usize) -> Self {
        bits as u32 as c_int
    }
}

impl Handle for *mut c_void {
    fn from_bits(bits: usize) -> Self {
        std::ptr::without_provenance_mut(bits)
    }
}

/// The functions. The type of each is that of MPI 3.1's C binding, with `H` for every handle and
/// `*mut c_void` for a status.
pub(crate) struct Calls<H> {
    pub(crate) initialized: unsafe extern "C" fn(*mut c_int) -> c_int,
    pub(crate) finalized: unsafe extern "C" fn(*mut c_int) -> c_int,
    pub(crate) init_thread: InitThread,
    pub(crate) finalize: unsafe extern "C" fn() -> c_int,
    pub(crate) abort: unsafe extern "C" fn(H, c_int) -> c_int,
    pub(crate) error_class: unsafe extern "C" fn(c_int, *mut c_int) -> c_int,
    pub(crate) error_string: unsafe extern "C" fn(c_int, *mut c_char, *mut c_int) -> c_int,
    pub(crate) comm_set_errhandler: unsafe extern "C" fn(H, H) -> c_int,
    pub(crate) comm_rank: unsafe extern "C" fn(H, *mut c_int) -> c_int,
    pub(crate) comm_size: unsafe extern "C" fn(H, *mut c_int) -> c_int,
    pub(crate) isend:
        unsafe extern "C" fn(*const c_void, c_int, H, c_int, c_int, H, *mut H) -> c_int,
    pub(crate) irecv: unsafe extern "C" fn(*mut c_void, c_int, H, c_int, c_int, H, *mut H) -> c_int,
    pub(crate) iprobe: unsafe extern "C" fn(c_int, c_int, H, *mut c_int, *mut c_void) -> c_int,
    pub(crate) testsome:
        unsafe extern "C" fn(c_int, *mut H, *mut c_int, *mut c_int, *mut c_void) -> c_int,
    pub(crate) get_count: unsafe extern "C" fn(*const c_void, H, *mut c_int) -> c_int,
    /// Where the library can tell which ranks have failed.
    pub(crate) failures: Option<Failures<H>>,
}

type InitThread =
    unsafe extern "C" fn(*mut c_int, *mut *mut *mut c_char, c_int, *mut c_int) -> c_int;

/// What a library with user-level failure mitigation has besides, and what reads its answer.
pub(crate) struct Failures<H> {
    pub(crate) acknowledge: unsafe extern "C" fn(H) -> c_int,
    pub(crate) get_acknowledged: unsafe extern "C" fn(H, *mut H) -> c_int,
    pub(crate) comm_group: unsafe extern "C" fn(H, *mut H) -> c_int,
    pub(crate) group_size: unsafe extern "C" fn(H, *mut c_int) -> c_int,
    pub(crate) group_translate_ranks:
        unsafe extern "C" fn(H, c_int, *const c_int, H, *mut c_int) -> c_int,
    pub(crate) group_free: unsafe extern "C" fn(*mut H) -> c_int,
}

impl<H: Handle> Calls<H> {
    /// Finds all functions.
    ///
    /// # Safety
    ///
    /// `H` must be what handles are in the library's ABI.
    ///
    /// # Errors
    ///
    /// Names the function that the library lacks.
    pub(crate) unsafe fn load(library: &Library) -> Result<Self, Unfit> {
        // SAFETY: each field has the type of the function of that name, handles as the caller says.
        unsafe {
            Ok(Self {
                initialized: library.function(c"MPI_Initialized")?,
                finalized: library.function(c"MPI_Finalized")?,
                init_thread: library.function(c"MPI_Init_thread")?,
                finalize: library.function(c"MPI_Finalize")?,
                abort: library.function(c"MPI_Abort")?,
                error_class: library.function(c"MPI_Error_class")?,
                error_string: library.function(c"MPI_Error_string")?,
                comm_set_errhandler: library.function(c"MPI_Comm_set_errhandler")?,
                comm_rank: library.function(c"MPI_Comm_rank")?,
                comm_size: library.function(c"MPI_Comm_size")?,
                isend: library.function(c"MPI_Isend")?,
                irecv: library.function(c"MPI_Irecv")?,
                iprobe: library.function(c"MPI_Iprobe")?,
                testsome: library.function(c"MPI_Testsome")?,
                get_count: library.function(c"MPI_Get_count")?,
                failures: Failures::load(library).ok(),
            })
        }
    }
}

impl<H: Handle> Failures<H> {
    /// # Safety
    ///
    /// As for [`Calls::load`].
    unsafe fn load(library: &Library) -> Result<Self, Unfit> {
        // SAFETY: as there.
        unsafe {
            Ok(Self {
                acknowledge: library.function(c"MPIX_Comm_failure_ack")?,
                get_acknowledged: library.function(c"MPIX_Comm_failure_get_acked")?,
                comm_group: library.function(c"MPI_Comm_group")?,
                group_size: library.function(c"MPI_Group_size")?,
                group_translate_ranks: library.function(c"MPI_Group_translate_ranks")?,
                group_free: library.function(c"MPI_Group_free")?,
            })
        }
    }
}
