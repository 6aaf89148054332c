//! Runs the conformance suite over MPI: `mpirun -n 4 target/debug/examples/conformance`.

use mpi::{Ending, Left};
use node::Transport;

fn main() {
    let library = mpi::choose().unwrap_or_else(|why| panic!("{why}"));
    let mut transport = mpi::join(&library, || ()).unwrap_or_else(|why| panic!("{why}"));
    let result = node::conformance::run(&mut transport);
    match &result {
        Ok(()) => println!("rank {}: ok ({library})", transport.rank()),
        Err(error) => println!("{error}"),
    }
    let is_tracker = transport.rank() == swarm::Rank::TRACKER;
    // After a failure there is no knowing who still waits for whom.
    let ending = Ending { status: u8::from(result.is_err()), lost: result.is_err(), is_tracker };
    match transport.leave(ending, || ()) {
        Left::InOrder => {}
        Left::InHaste(_) => std::process::abort(),
    }
}
