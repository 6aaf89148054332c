//! What is said where `MPI_Init` ends the process instead of returning: MPICH and its relatives do
//! so by `exit`, for they have no communicator yet whose errors could be returned.
//!
//! It knows nothing of an end without exit handlers, such as Open MPI's `_exit`.
#![allow(unsafe_code, reason = "std has no exit handlers")]

use std::sync::{Mutex, Once, PoisonError};

type Words = Box<dyn FnOnce() + Send>;

static WORDS: Mutex<Option<Words>> = Mutex::new(None);

/// Has words spoken where the process exits before what is returned is dropped.
pub(crate) fn prepare(words: impl FnOnce() + Send + 'static) -> Prepared {
    static REGISTER: Once = Once::new();
    // SAFETY: the handler is a function that lives as long as the program, and does not unwind
    // into its caller: a panic in an `extern "C"` function aborts.
    REGISTER.call_once(|| _ = unsafe { libc::atexit(speak) });
    drop(set(Some(Box::new(words))));
    Prepared
}

/// While it lives, there are last words.
pub(crate) struct Prepared;

impl Drop for Prepared {
    fn drop(&mut self) {
        drop(set(None));
    }
}

fn set(words: Option<Words>) -> Option<Words> {
    std::mem::replace(&mut *WORDS.lock().unwrap_or_else(PoisonError::into_inner), words)
}

extern "C" fn speak() {
    if let Some(words) = set(None) {
        words();
    }
}
