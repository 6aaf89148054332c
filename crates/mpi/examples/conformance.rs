//! Runs the conformance suite over MPI: `mpirun -n 4 target/debug/examples/conformance`.

use mpi::Ending;
use std::time::Duration;

fn main() {
    let give_up = || println!("MPI_Init takes too long");
    mpi::run(Duration::from_secs(60), give_up, |transport| {
        let result = node::conformance::run(transport);
        match &result {
            Ok(()) => println!("rank {}: ok ({})", transport.rank(), mpi::library()),
            Err(error) => println!("{error}"),
        }
        let is_tracker = transport.rank() == swarm::Rank::TRACKER;
        // After a failure there is no knowing who still waits for whom.
        Ending { status: u8::from(result.is_err()), lost: result.is_err(), is_tracker }
    })
}
