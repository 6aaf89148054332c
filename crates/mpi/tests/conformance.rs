//! The conformance suite over the MPI that this crate was built with.

mod launch;

use std::time::Duration;

fn conforms(ranks: u32) {
    let ended = launch::launch("conformance", &[], ranks, Duration::from_secs(90));
    let ok = (0..ranks).filter(|rank| ended.output.contains(&format!("rank {rank}: ok")));
    assert_eq!(ok.count(), ranks as usize, "{:?}: {}", ended.took, ended.output);
    assert_eq!(ended.status, Some(0), "{}", ended.output);
}

#[test]
fn two_ranks_conform() {
    conforms(2);
}

#[test]
fn four_ranks_conform() {
    conforms(4);
}

#[test]
fn nine_ranks_conform() {
    conforms(9);
}
