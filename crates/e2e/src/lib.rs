//! A harness for black-box tests: real processes of `shoal` under a real `mpirun`, real files,
//! `/proc`.
//!
//! It knows the command line and the report, and nothing of what is inside: no crate of Shoal is a
//! dependency. Every run has a directory, a process group and a deadline of its own, and is killed
//! by the process ids that carry its mark, never by name.

mod binary;
mod cluster;
mod content;
mod finished;
mod hosts;
mod launch;
mod mount;
mod partial;
mod process;
mod report;
mod running;
mod slots;
mod slurm;
mod tree;

pub use binary::{Mpi, shoal};
pub use cluster::Cluster;
pub use content::{Content, KIB, MIB, pseudo_random};
pub use finished::Finished;
pub use hosts::Hosts;
pub use launch::{Launch, Load, User};
pub use mount::{Bind, Everywhere, Ext4, Made, Tmpfs};
pub use partial::{all_pieces_of, have_pieces_of, partials, verified_bytes};
pub use process::RankProcess;
pub use report::{PeerRow, Report, Tracker};
pub use running::Running;
pub use slurm::{NODE_COUNT, Slurm};
pub use tree::{Node, assert_same_file, assert_same_tree, free_bytes, names_below, no_leftovers};

/// Says on the test's output why it cannot run here. A test that calls this returns at once.
pub fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
