//! A program that is in MPI already, as one in Python may be, and lends its library and a duplicate
//! of its communicator: `mpirun -n 4 target/debug/examples/lent`. It runs the conformance suite on
//! what is lent, and ends MPI itself.
#![allow(unsafe_code, reason = "it calls MPI by itself, as other programs do")]

use mpi::{Ending, Left};
use node::Transport;
use std::ffi::{CStr, CString, c_int, c_void};

/// The library of this program, which it would be linked with.
struct Own(*mut c_void);

impl Own {
    fn find<F: Copy>(&self, name: &CStr) -> Option<F> {
        // SAFETY: the handle is open, the name ends with a zero.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert_eq!(size_of::<F>(), size_of_val(&address));
        // SAFETY: each caller names the type that the MPI standard gives, of a pointer's size.
        (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
    }

    fn call<F: Copy>(&self, name: &CStr) -> F {
        self.find(name).unwrap_or_else(|| panic!("no {name:?}"))
    }
}

fn main() {
    let path = mpi::choose().unwrap_or_else(|why| panic!("{why}")).path().to_owned();
    let name = CString::new(path.to_str().expect("a path in UTF-8")).expect("no zero in it");
    // SAFETY: an MPI library, as `choose` has made sure.
    let own = Own(unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_GLOBAL) });
    type Init = unsafe extern "C" fn(*mut c_int, *mut c_void) -> c_int;
    // SAFETY: called once, before anything else of MPI.
    unsafe { own.call::<Init>(c"MPI_Init")(std::ptr::null_mut(), std::ptr::null_mut()) };
    // A handle is a pointer to an object in Open MPI, and a number in MPICH.
    let failed = match own.find::<*mut c_void>(c"ompi_mpi_comm_world") {
        Some(world) => lend(&own, world, &path, <*mut c_void>::addr),
        None => lend(&own, 0x4400_0000 as c_int, &path, |handle| handle as u32 as usize),
    };
    // SAFETY: initialized above, and nothing of MPI follows.
    unsafe { own.call::<unsafe extern "C" fn() -> c_int>(c"MPI_Finalize")() };
    std::process::exit(c_int::from(failed));
}

/// Lends a duplicate of the world, and frees it; true where the suite fails.
fn lend<H: Copy>(
    own: &Own,
    world: H,
    library: &std::path::Path,
    bits: impl Fn(H) -> usize,
) -> bool {
    let mut lent = world;
    type Dup<H> = unsafe extern "C" fn(H, *mut H) -> c_int;
    type Free<H> = unsafe extern "C" fn(*mut H) -> c_int;
    // SAFETY: MPI is initialized, and the world is a communicator of it.
    unsafe { own.call::<Dup<H>>(c"MPI_Comm_dup")(world, &raw mut lent) };
    // SAFETY: this is the library that the process has, and the duplicate is freed only below.
    let attached = unsafe { mpi::attach(library, bits(lent)) };
    let mut transport = attached.unwrap_or_else(|why| panic!("{why}"));
    let (rank, result) = (transport.rank(), node::conformance::run(&mut transport));
    let ending = Ending { status: 0, lost: false, is_tracker: rank == swarm::Rank::TRACKER };
    let left = transport.leave(ending, || panic!("what is lent is not finalized"));
    match &result {
        Ok(()) if left == Left::InOrder => println!("rank {rank}: ok"),
        other => println!("rank {rank}: {other:?}, {left:?}"),
    }
    // SAFETY: the transport is gone.
    unsafe { own.call::<Free<H>>(c"MPI_Comm_free")(&raw mut lent) };
    result.is_err()
}
