//! Jobs in which bytes go bad, or a disk does.

use crate::support::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use swarm::Outcome;

const PIECES: usize = 100;

#[test]
fn corrupt_pieces_are_counted_and_asked_again() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let told = Cluster::new([idle(), seeder(world.path("source")), leecher(world.path("into"))])
        .hook(2, corrupt(1, 2))
        .run();
    told.expect(Outcome::Complete);
    let counters = told.row(2).counters;
    assert_eq!(counters.pieces_corrupt, 2);
    assert_eq!(counters.bytes_wasted, 2 * PIECE as u64);
    assert_eq!(counters.bytes_received, ((PIECES + 2) * PIECE) as u64);
    assert_eq!(tree(&world.path("into")), tree(&world.path("source")));
}

#[test]
fn after_three_corrupt_pieces_a_holder_is_asked_no_more() {
    let world = World::new();
    world.file("a/data", &bytes(PIECES * PIECE, 1));
    world.file("b/data", &bytes(PIECES * PIECE, 1));
    let jobs = [seeder(world.path("a")), seeder(world.path("b")), leecher(world.path("into"))];
    let told = Cluster::new([idle()].into_iter().chain(jobs)).hook(3, corrupt(1, usize::MAX)).run();
    told.expect(Outcome::Complete);
    let corrupt = told.row(3).counters.pieces_corrupt;
    assert!((3..=30).contains(&corrupt), "three strikes, and what was asked: {corrupt}");
    assert!(told.notices().contains("rank 1 sent pieces that do not verify"), "{told:#?}");
    assert_eq!(tree(&world.path("into")), tree(&world.path("a")));
}

#[test]
fn where_the_only_holder_sends_nothing_but_garbage_the_job_ends_as_failed() {
    let world = World::new();
    world.file("source/data", &bytes(PIECES * PIECE, 1));
    let told = Cluster::new([idle(), seeder(world.path("source")), leecher(world.path("into"))])
        .hook(2, corrupt(1, usize::MAX))
        .patience(Duration::from_secs(2))
        .within(Duration::from_secs(20))
        .run();
    let report = told.expect(Outcome::Failed);
    assert_eq!(report.missing.len(), 1);
}

#[test]
fn a_source_that_is_rewritten_while_it_is_served_is_noticed_and_never_arrives_mixed() {
    let world = World::new();
    let source = world.file("source/data", &bytes(PIECES * PIECE, 1));
    world.file("source/other", &bytes(3 * PIECE, 3));
    let rewrite = move || fs::write(&source, bytes(PIECES * PIECE, 2)).unwrap();
    let told = Cluster::new([idle(), seeder(world.path("source")), leecher(world.path("into"))])
        .hook(2, when_piece(20, rewrite))
        .run();
    let report = told.expect(Outcome::Failed);
    let missing: Vec<String> = report.missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, ["data"]);
    let into = tree(&world.path("into"));
    assert!(into.contains_key("other") && !into.contains_key("data"), "{:?}", into.keys());
    let said = told.ranks[1].notices.iter().filter(|notice| notice.contains("changed")).count();
    assert!((1..=2).contains(&said), "said once: {:#?}", told.ranks[1].notices);
}

#[test]
fn where_one_of_two_sources_is_rewritten_the_other_one_serves() {
    let world = World::new();
    let content = bytes(PIECES * PIECE, 1);
    let source = world.file("a/data", &content);
    world.file("b/data", &content);
    let rewrite = move || fs::write(&source, b"something else").unwrap();
    let jobs = [seeder(world.path("a")), seeder(world.path("b")), leecher(world.path("into"))];
    let told =
        Cluster::new([idle()].into_iter().chain(jobs)).hook(3, when_piece(20, rewrite)).run();
    told.expect(Outcome::Complete);
    assert_eq!(tree(&world.path("into")), one_file("data", &content));
}

#[test]
fn a_destination_that_is_removed_stops_its_rank_and_no_other() {
    let world = World::new();
    for number in 0..20 {
        world.file(&format!("source/f{number}"), &bytes(5 * PIECE, number));
    }
    let doomed = world.path("doomed");
    let remove = move || {
        // Workers put things into it meanwhile.
        while doomed.exists() {
            let _ = fs::remove_dir_all(&doomed);
        }
    };
    let jobs = [seeder(world.path("source")), leecher(world.path("doomed"))];
    let told = Cluster::new([idle()].into_iter().chain(jobs).chain([leecher(world.path("into"))]))
        .hook(2, when_piece(30, remove))
        .run();
    told.expect(Outcome::Degraded);
    let reason = told.row(2).reason.as_ref().unwrap().to_string();
    assert!(reason.contains("doomed"), "{reason}");
    assert_eq!(tree(&world.path("into")), tree(&world.path("source")));
    assert!(!world.path("doomed").exists());
}

#[test]
fn a_destination_that_turns_read_only_stops_its_rank_and_no_other() {
    let world = World::new();
    for number in 0..20 {
        world.file(&format!("source/f{number}"), &bytes(5 * PIECE, number));
    }
    fs::create_dir(world.path("sealed")).unwrap();
    let seal = |directory, mode| fs::set_permissions(directory, fs::Permissions::from_mode(mode));
    let (sealed, shoal) = (world.path("sealed"), world.path("sealed/.shoal"));
    seal(world.path("source"), 0o555).unwrap();
    if fs::write(world.path("source/probe"), b"").is_ok() {
        // Nothing is read-only to root.
        return;
    }
    let act = move || {
        seal(sealed.clone(), 0o555).unwrap();
        seal(shoal.clone(), 0o555).unwrap();
    };
    let jobs = [seeder(world.path("source")), leecher(world.path("sealed"))];
    let told = Cluster::new([idle()].into_iter().chain(jobs).chain([leecher(world.path("into"))]))
        .hook(2, when_piece(30, act))
        .run();
    told.expect(Outcome::Degraded);
    let reason = told.row(2).reason.as_ref().unwrap().to_string();
    assert!(reason.contains("permission denied"), "{reason}");
    assert_eq!(tree(&world.path("into")), tree(&world.path("source")));
    for directory in ["sealed", "sealed/.shoal", "source"] {
        seal(world.path(directory), 0o755).unwrap();
    }
}
