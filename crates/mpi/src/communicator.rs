//! The communicator of the job, and what is asked of it: each call of MPI with its types, its
//! errors and its reason to be sound.
//!
//! It knows no message and no piece, never blocks but in `MPI_Init_thread`, `MPI_Abort` and
//! `MPI_Finalize`, and never cancels.
#![allow(unsafe_code, reason = "calls of MPI")]

use crate::abi::{Abi, Predefined, STATUS_MAX, STRING_MAX, SUCCESS, StatusLayout, UNDEFINED};
use crate::call::{Calls, Failures, Handle};
use std::ffi::c_int;
use std::marker::PhantomData;

/// An error of a call, or of the transfer that a request stood for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} (class {class})")]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    class: c_int,
    text: String,
}

/// What an error says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// A message was longer than the room for it.
    Truncated,
    /// Another rank's end explains it.
    OfAnother,
    /// Nothing explains it but a mistake here, or in MPI.
    Unexplained,
}

/// A message that can be received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) source: c_int,
    pub(crate) len: usize,
}

/// Whom a probe listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Any,
    Rank(c_int),
}

/// A request that has ended: its index, and how many bytes were received, 0 for a send.
pub(crate) type Ended = (usize, Result<usize, Failure>);

/// The communicator, and the requests on it, whatever a handle is in the library's ABI.
pub(crate) trait Communicator {
    fn rank(&self) -> Result<u32, Failure>;
    fn size(&self) -> Result<u32, Failure>;

    /// Looks for a message with this tag.
    fn probe(&self, source: Source, tag: c_int) -> Result<Option<Announced>, Failure>;

    /// Begins a send, as a new last request.
    ///
    /// # Safety
    ///
    /// The bytes must stay where they are, unchanged, until the request has ended.
    unsafe fn send(&mut self, bytes: *const [u8], to: c_int, tag: c_int) -> Result<(), Failure>;

    /// Begins a receive, as a new last request.
    ///
    /// # Safety
    ///
    /// Nobody may touch the bytes, and they must stay where they are, until the request has ended.
    unsafe fn receive(&mut self, bytes: *mut [u8], from: c_int, tag: c_int) -> Result<(), Failure>;

    /// Makes progress, and appends what has ended: by index, in no order. An ended request keeps
    /// its index until it is removed.
    ///
    /// # Errors
    ///
    /// What is wrong with the call as a whole; what ended all the same is appended as failed.
    fn test(
        &mut self,
        is_receive: &dyn Fn(usize) -> bool,
        ended: &mut Vec<Ended>,
    ) -> Result<(), Failure>;

    /// Removes an ended request; the last one takes its index.
    fn swap_remove(&mut self, index: usize);

    /// Which ranks have failed, where the library can tell. It says no more of them then.
    fn take_note_of_failures(&mut self) -> Option<Vec<u32>>;

    /// Asks MPI to end all ranks.
    fn abort(&self, status: c_int);

    /// Leaves MPI, with all others.
    fn finalize(&self);
}

/// A communicator of a library whose handles are `H`.
pub(crate) struct Typed<H> {
    calls: Calls<H>,
    abi: &'static Abi,
    comm: H,
    byte: H,
    null: H,
    requests: Vec<H>,
    /// Room for what `MPI_Testsome` says, kept from one call to the next.
    indices: Vec<c_int>,
    statuses: Vec<u64>,
    /// One thread owns MPI.
    not_send: PhantomData<*const ()>,
}

impl<H: Handle> Typed<H> {
    /// Makes one of a communicator that is live.
    ///
    /// # Safety
    ///
    /// MPI must be initialized, these must be its functions and handles, and no other thread may
    /// call it beside this unless it was asked for that.
    ///
    /// # Errors
    ///
    /// Where MPI does not let errors be returned, as which an `abort` would come in their place.
    pub(crate) unsafe fn new(
        calls: Calls<H>,
        abi: &'static Abi,
        own: Predefined<H>,
        comm: H,
    ) -> Result<Self, Failure> {
        let made = Self {
            calls,
            abi,
            comm,
            byte: own.byte,
            null: own.request_null,
            requests: Vec::new(),
            indices: Vec::new(),
            statuses: Vec::new(),
            not_send: PhantomData,
        };
        // SAFETY: a live communicator, and a handler that MPI has.
        made.check(unsafe { (made.calls.comm_set_errhandler)(comm, own.errors_return) })?;
        Ok(made)
    }

    fn check(&self, code: c_int) -> Result<(), Failure> {
        if code == SUCCESS { Ok(()) } else { Err(failure(&self.calls, self.abi, code)) }
    }

    fn number(&self, ask: unsafe extern "C" fn(H, *mut c_int) -> c_int) -> Result<u32, Failure> {
        let mut number = 0;
        // SAFETY: `ask` is one of MPI_Comm_rank and MPI_Comm_size, the communicator is live.
        self.check(unsafe { ask(self.comm, &raw mut number) })?;
        Ok(u32::try_from(number).expect("MPI counts from 0"))
    }

    /// The bytes that a status of a receive or a probe counts.
    fn count(&self, status: &[u8]) -> Result<usize, Failure> {
        let mut count = UNDEFINED;
        // SAFETY: a status that MPI has filled, of this ABI's length.
        let code =
            unsafe { (self.calls.get_count)(status.as_ptr().cast(), self.byte, &raw mut count) };
        self.check(code)?;
        Ok(usize::try_from(count).expect("bytes can be counted"))
    }

    /// Keeps a request that a call has made.
    fn keep(&mut self, code: c_int, request: H) -> Result<(), Failure> {
        self.check(code)?;
        self.requests.push(request);
        Ok(())
    }

    fn status(&self, at: usize) -> &[u8] {
        let size = self.abi.status.size;
        // SAFETY: plain numbers, all of them initialized, seen as their bytes.
        let bytes = unsafe {
            std::slice::from_raw_parts(
                self.statuses.as_ptr().cast::<u8>(),
                self.statuses.len() * size_of::<u64>(),
            )
        };
        &bytes[at * size..(at + 1) * size]
    }

    /// How the request ended whose status is this one.
    fn end(
        &self,
        at: usize,
        has_received: bool,
        look_at_error: LookAtError,
    ) -> Result<usize, Failure> {
        let status = self.status(at);
        if look_at_error == LookAtError::Yes {
            self.check(StatusLayout::read(status, self.abi.status.error))?;
        }
        if has_received { self.count(status) } else { Ok(0) }
    }
}

/// Statuses hold an error only where the call says so (MPI standard, section 3.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LookAtError {
    Yes,
    No,
}

impl<H: Handle> Communicator for Typed<H> {
    fn rank(&self) -> Result<u32, Failure> {
        self.number(self.calls.comm_rank)
    }

    fn size(&self) -> Result<u32, Failure> {
        self.number(self.calls.comm_size)
    }

    fn probe(&self, source: Source, tag: c_int) -> Result<Option<Announced>, Failure> {
        let source = match source {
            Source::Any => self.abi.any_source,
            Source::Rank(rank) => rank,
        };
        let mut is_there = 0;
        let mut status = [0u64; STATUS_MAX / size_of::<u64>()];
        // SAFETY: `status` is as long as the longest, and aligned for all.
        self.check(unsafe {
            let status = status.as_mut_ptr().cast();
            (self.calls.iprobe)(source, tag, self.comm, &raw mut is_there, status)
        })?;
        if is_there == 0 {
            return Ok(None);
        }
        // SAFETY: plain numbers, seen as their bytes.
        let status = unsafe { &*status.as_ptr().cast::<[u8; STATUS_MAX]>() };
        let source = StatusLayout::read(status, self.abi.status.source);
        Ok(Some(Announced { source, len: self.count(status)? }))
    }

    unsafe fn send(&mut self, bytes: *const [u8], to: c_int, tag: c_int) -> Result<(), Failure> {
        let mut request = self.null;
        let count = c_int::try_from(bytes.len()).expect("pieces are far below 2 GiB");
        // SAFETY: the caller keeps the bytes; the other arguments are values.
        let code = unsafe {
            let (isend, request) = (self.calls.isend, &raw mut request);
            isend(bytes.cast(), count, self.byte, to, tag, self.comm, request)
        };
        self.keep(code, request)
    }

    unsafe fn receive(&mut self, bytes: *mut [u8], from: c_int, tag: c_int) -> Result<(), Failure> {
        let mut request = self.null;
        let count = c_int::try_from(bytes.len()).expect("pieces are far below 2 GiB");
        // SAFETY: the caller keeps the bytes, and others off them; the other arguments are values.
        let code = unsafe {
            let (irecv, request) = (self.calls.irecv, &raw mut request);
            irecv(bytes.cast(), count, self.byte, from, tag, self.comm, request)
        };
        self.keep(code, request)
    }

    fn test(
        &mut self,
        is_receive: &dyn Fn(usize) -> bool,
        ended: &mut Vec<Ended>,
    ) -> Result<(), Failure> {
        let count = self.requests.len();
        if count == 0 {
            return Ok(());
        }
        if self.indices.len() < count {
            self.indices.resize(count, 0);
            let bytes = count * self.abi.status.size;
            self.statuses.resize(bytes.div_ceil(size_of::<u64>()), 0);
        }
        let mut done = UNDEFINED;
        // SAFETY: all three have room for `count`; each request was made here and is live.
        let code = unsafe {
            let (indices, statuses) = (self.indices.as_mut_ptr(), self.statuses.as_mut_ptr());
            let requests = self.requests.as_mut_ptr();
            let count = c_int::try_from(count).expect("lanes are bounded");
            (self.calls.testsome)(count, requests, &raw mut done, indices, statuses.cast())
        };
        let outcome = self.check(code);
        let look_at_error = match &outcome {
            Ok(()) => LookAtError::No,
            Err(error) if error.class == self.abi.classes.in_status => LookAtError::Yes,
            Err(error) => {
                // Nothing is said of the requests but which of them are no more.
                let gone = (0..count).filter(|&at| self.requests[at] == self.null);
                ended.extend(gone.map(|at| (at, Err(error.clone()))));
                return outcome;
            }
        };
        // None where there is no live request.
        for at in 0..usize::try_from(done).unwrap_or(0) {
            let index = usize::try_from(self.indices[at]).expect("MPI counts from 0");
            ended.push((index, self.end(at, is_receive(index), look_at_error)));
        }
        Ok(())
    }

    fn swap_remove(&mut self, index: usize) {
        self.requests.swap_remove(index);
    }

    fn take_note_of_failures(&mut self) -> Option<Vec<u32>> {
        let failures = self.calls.failures.as_ref()?;
        let (mut failed, mut all) = (self.null, self.null);
        // SAFETY: the communicator is live; both places are overwritten with groups.
        unsafe {
            self.check((failures.acknowledge)(self.comm)).ok()?;
            self.check((failures.get_acknowledged)(self.comm, &raw mut failed)).ok()?;
            self.check((failures.comm_group)(self.comm, &raw mut all)).ok()?;
        }
        let ranks = self.ranks(failures, failed, all);
        // SAFETY: both were made above, and are used no more.
        unsafe {
            (failures.group_free)(&raw mut failed);
            (failures.group_free)(&raw mut all);
        }
        ranks
    }

    fn abort(&self, status: c_int) {
        // SAFETY: a live communicator and a number.
        unsafe { (self.calls.abort)(self.comm, status) };
    }

    fn finalize(&self) {
        // SAFETY: initialized by this program, and not finalized yet: this consumes the transport.
        unsafe { (self.calls.finalize)() };
    }
}

impl<H: Handle> Typed<H> {
    /// The members of a group, by their ranks in another.
    fn ranks(&self, calls: &Failures<H>, group: H, all: H) -> Option<Vec<u32>> {
        let mut size = 0;
        // SAFETY: a live group.
        self.check(unsafe { (calls.group_size)(group, &raw mut size) }).ok()?;
        let members: Vec<c_int> = (0..size).collect();
        let mut ranks = members.clone();
        // SAFETY: both lists have `size` numbers, both groups are live.
        self.check(unsafe {
            let (from, to) = (members.as_ptr(), ranks.as_mut_ptr());
            (calls.group_translate_ranks)(group, size, from, all, to)
        })
        .ok()?;
        Some(ranks.into_iter().filter_map(|rank| u32::try_from(rank).ok()).collect())
    }
}

/// What an error code says.
pub(crate) fn failure<H>(calls: &Calls<H>, abi: &Abi, code: c_int) -> Failure {
    let mut class = code;
    let mut text = vec![0u8; STRING_MAX];
    let mut len = 0;
    // SAFETY: the text has room for the longest of any ABI.
    unsafe {
        (calls.error_class)(code, &raw mut class);
        (calls.error_string)(code, text.as_mut_ptr().cast(), &raw mut len);
    }
    text.truncate(usize::try_from(len).unwrap_or(0));
    let text = String::from_utf8_lossy(&text).trim_end_matches(['\0', '\n']).to_owned();
    let kind = match class {
        class if class == abi.classes.truncate => FailureKind::Truncated,
        class if abi.classes.tells_of_a_failure(class) => FailureKind::OfAnother,
        _ => FailureKind::Unexplained,
    };
    Failure { kind, class, text }
}
