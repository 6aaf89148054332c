//! Jobs that begin with something at the destination already.

use crate::support::*;
use std::fs;
use swarm::Outcome;

const PIECES: usize = 60;

#[test]
fn two_halves_without_a_seeder_become_two_wholes() {
    let world = World::new();
    let content = bytes(PIECES * PIECE - 100, 1);
    let source = world.file("source/data", &content);
    leave_partial(&source, &world.path("even"), |piece| piece % 2 == 0);
    leave_partial(&source, &world.path("odd"), |piece| piece % 2 == 1);
    let told =
        Cluster::new([idle(), leecher(world.path("even")), leecher(world.path("odd"))]).run();
    told.expect(Outcome::Complete);
    let whole = one_file("data", &content);
    assert_eq!(tree(&world.path("even")), whole, "and .shoal is gone");
    assert_eq!(tree(&world.path("odd")), whole);
    let half = (PIECES / 2 * PIECE) as u64;
    assert_eq!(told.row(1).counters.bytes_reused, half);
    assert_eq!(told.row(2).counters.bytes_delivered, half);
    assert_eq!(told.row(2).counters.bytes_wasted, 0);
}

#[test]
fn a_partial_that_nobody_can_complete_is_named_and_kept() {
    let world = World::new();
    let source = world.file("source/data", &bytes(PIECES * PIECE, 1));
    leave_partial(&source, &world.path("a"), |piece| piece < 20);
    leave_partial(&source, &world.path("b"), |piece| (10..30).contains(&piece));
    let jobs = || [idle(), leecher(world.path("a")), leecher(world.path("b"))];
    let told = Cluster::new(jobs()).run();
    let report = told.expect(Outcome::Failed);
    assert_eq!(report.missing.len(), 1);
    assert!(tree(&world.path("a")).contains_key(".shoal/"), "what arrived is kept");
    let told = Cluster::new(jobs().into_iter().chain([seeder(source)])).run();
    told.expect(Outcome::Complete);
    assert_eq!(told.row(1).counters.bytes_reused, 30 * PIECE as u64, "what came before, too");
    assert_eq!(tree(&world.path("a")), tree(&world.path("source")));
}

#[test]
fn what_a_dead_rank_had_received_is_not_sent_to_it_again() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let jobs = || [idle(), seeder(world.path("source")), leecher(world.path("into"))];
    let into = world.path("into");
    let written = move || pieces_in_partials(&into) >= 10;
    let told = Cluster::new(jobs()).hook(2, die_after_pieces(40, written)).run();
    told.expect(Outcome::Degraded);
    world.wait_for_lock("into");
    let told = Cluster::new(jobs()).run();
    told.expect(Outcome::Complete);
    let counters = told.row(2).counters;
    assert!(counters.bytes_reused >= 10 * PIECE as u64, "{counters:?}");
    assert_eq!(counters.bytes_received, (PIECES * PIECE) as u64 - counters.bytes_reused);
    assert_eq!(tree(&world.path("into")), tree(&world.path("source")));
}

#[test]
fn an_older_version_gives_the_pieces_that_are_equal() {
    let world = World::new();
    let old = bytes(PIECES * PIECE, 1);
    let mut new = old.clone();
    new[7 * PIECE + 5] ^= 1;
    new[50 * PIECE] ^= 1;
    world.file("source/data", &new);
    world.file("into/data", &old);
    let told =
        Cluster::new([idle(), seeder(world.path("source")), leecher(world.path("into"))]).run();
    told.expect(Outcome::Complete);
    let counters = told.row(2).counters;
    assert_eq!(counters.bytes_received, 2 * PIECE as u64);
    assert_eq!(counters.bytes_reused, ((PIECES - 2) * PIECE) as u64);
    assert_eq!(tree(&world.path("into")), tree(&world.path("source")));
}

#[test]
fn a_second_run_moves_nothing() {
    let world = World::new();
    world.file("source/a/data", &bytes(PIECES * PIECE, 1));
    world.file("source/b", &bytes(10, 2));
    let jobs = || [idle(), seeder(world.path("source")), leecher(world.path("into"))];
    Cluster::new(jobs()).run().expect(Outcome::Complete);
    let before = fs::metadata(world.path("into/a/data")).unwrap();
    let told = Cluster::new(jobs()).run();
    told.expect(Outcome::Complete);
    let counters = told.row(2).counters;
    assert_eq!((counters.bytes_received, counters.bytes_delivered), (0, 0));
    assert_eq!(counters.bytes_reused, (PIECES * PIECE + 10) as u64);
    use std::os::unix::fs::MetadataExt;
    assert_eq!(fs::metadata(world.path("into/a/data")).unwrap().ino(), before.ino());
}
