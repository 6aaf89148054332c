//! The conformance suite over the MPI whose launcher `SHOAL_MPIRUN` names, else Debian's Open MPI.

mod launch;

use std::time::Duration;

fn conforms(example: &str, ranks: u32) {
    let ended = launch::launch(example, &[], ranks, Duration::from_secs(90));
    let ok = (0..ranks).filter(|rank| ended.output.contains(&format!("rank {rank}: ok")));
    assert_eq!(ok.count(), ranks as usize, "{:?}: {}", ended.took, ended.output);
    assert_eq!(ended.status, Some(0), "{}", ended.output);
}

#[test]
fn two_ranks_conform() {
    conforms("conformance", 2);
}

#[test]
fn four_ranks_conform() {
    conforms("conformance", 4);
}

#[test]
fn nine_ranks_conform() {
    conforms("conformance", 9);
}

#[test]
fn a_communicator_that_another_program_lends_conforms_and_is_the_programs_own_afterwards() {
    conforms("lent", 3);
}
