//! The end of a job that is given up before `MPI_Init`.

use std::fs::File;
use std::io::Write;
use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, RawFd};

/// Asks Hydra to end all ranks with a status, on the socket that it named in `PMI_FD` (PMI-1 wire
/// protocol, `cmd=abort`). Where a rank ends before `MPI_Init` without this, Hydra lets the others
/// wait for it in theirs for ever.
///
/// Failure is silent: there is nobody left to tell.
#[allow(unsafe_code, reason = "a socket that was inherited by number has no other way in")]
pub fn abort_unstarted(pmi_socket: RawFd, status: u8) {
    // SAFETY: the launcher opened this descriptor for this process, which has not handed it to MPI
    // yet; it is only borrowed, never closed here.
    let mut socket = ManuallyDrop::new(unsafe { File::from_raw_fd(pmi_socket) });
    let _ = socket.write_all(format!("cmd=abort exitcode={status}\n").as_bytes());
}
