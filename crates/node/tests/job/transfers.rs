//! Jobs in which nothing goes wrong.

use crate::support::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;
use swarm::{Outcome, PeerState};

#[test]
fn four_peers_with_different_files_all_end_with_all_of_them() {
    let world = World::new();
    let mut all = BTreeMap::new();
    for rank in 1..=4 {
        let content = bytes(300_000 + 5_000 * rank, rank as u64);
        world.file(&format!("r{rank}/own/file{rank}"), &content);
        all.insert(format!("file{rank}"), Content(content));
    }
    let peer = |rank: usize| {
        let into = world.path(&format!("r{rank}/into"));
        wanting("**", into, seeder(world.path(&format!("r{rank}/own"))))
    };
    let told = Cluster::new([idle(), peer(1), peer(2), peer(3), peer(4)]).run();
    let report = told.expect(Outcome::Complete);
    for rank in 1..=4 {
        let mut others = all.clone();
        others.remove(&format!("file{rank}"));
        assert_eq!(tree(&world.path(&format!("r{rank}/into"))), others, "nobody fetches its own");
        let row = told.row(rank);
        assert_eq!((row.files_wanted, row.files_complete), (3, 3));
        assert_eq!(row.counters.bytes_wasted, 0);
    }
    let total: usize = all.values().map(|content| content.0.len()).sum();
    assert_eq!(report.bytes_wanted, 3 * total as u64);
    assert_eq!(told.notices(), "");
}

#[test]
fn one_seeder_fills_seven_empty_peers_which_help_each_other() {
    let world = World::new();
    let content = bytes(200 * PIECE + 1, 1);
    let source = world.file("source/data.bin", &content);
    let into = |rank: usize| world.path(&format!("into{rank}"));
    let jobs = [idle(), seeder(source)].into_iter().chain((2..9).map(|rank| leecher(into(rank))));
    // Requests reach the seeder late, so that it pays to ask others.
    let told = Cluster::new(jobs).hook(1, delay(Duration::from_millis(20))).run();
    told.expect(Outcome::Complete);
    for rank in 2..9 {
        assert_eq!(tree(&into(rank)), one_file("data.bin", &content));
        assert_eq!(told.row(rank as u32).counters.bytes_delivered, content.len() as u64);
    }
    let sent: u64 = (2..9).map(|rank| told.row(rank).counters.bytes_sent).sum();
    assert!(sent > content.len() as u64 / 2, "they sent {sent} bytes: hardly anybody helped");
}

#[test]
fn a_cast_of_a_tree_from_one_rank_makes_it_everywhere_even_where_it_came_from() {
    let world = World::new();
    let source = world.path("r1/tree");
    world.file("r1/tree/a/one", &bytes(100_000, 1));
    world.file("r1/tree/two", &bytes(5, 2));
    world.file("r1/tree/empty", b"");
    fs::create_dir_all(source.join("bare")).unwrap();
    symlink("a/one", source.join("link")).unwrap();
    fs::set_permissions(source.join("two"), fs::Permissions::from_mode(0o751)).unwrap();
    let jobs = (0..4).map(|rank| {
        caster(world.path(&format!("r{rank}/tree")), world.path(&format!("into{rank}")))
    });
    let told = Cluster::new(jobs).run();
    told.expect(Outcome::Complete);
    for rank in 0..4 {
        let into = world.path(&format!("into{rank}"));
        assert_eq!(tree(&into.join("tree")), tree(&source), "rank {rank}");
        assert_eq!(tree(&into).keys().filter(|name| !name.starts_with("tree/")).count(), 0);
        let mode = fs::metadata(into.join("tree/two")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o751);
    }
    assert_eq!(told.row(1).counters.bytes_received, 0, "the reader copies its own");
    assert_eq!(told.notices(), "");
}

#[test]
fn a_cast_whose_source_is_on_several_ranks_is_copied_there_and_sent_to_the_others() {
    let world = World::new();
    let content = bytes(60 * PIECE, 1);
    world.file("r1/data", &content);
    world.file("r3/data", &content);
    let jobs = (0..5).map(|rank| {
        caster(world.path(&format!("r{rank}/data")), world.path(&format!("into{rank}")))
    });
    let told = Cluster::new(jobs).run();
    told.expect(Outcome::Complete);
    for rank in 0..5 {
        let into = tree(&world.path(&format!("into{rank}")));
        assert_eq!(into, one_file("data", &content));
        assert_eq!(told.row(rank).counters.bytes_delivered, content.len() as u64);
    }
    for rank in [1, 3] {
        assert_eq!(told.row(rank).counters.bytes_received, 0, "{:#?}", told.row(rank));
    }
}

#[test]
fn one_rank_alone_casts_to_itself() {
    let world = World::new();
    let content = bytes(100_000, 1);
    let source = world.file("data", &content);
    let told = Cluster::new([caster(source, world.path("into"))]).run();
    let report = told.expect(Outcome::Complete);
    assert_eq!(report.tracker.0, 0);
    assert_eq!(tree(&world.path("into")), one_file("data", &content));
}

#[test]
fn a_shared_destination_is_written_once_and_complete_for_all_who_share_it() {
    let world = World::new();
    let content = bytes(90 * PIECE, 1);
    for number in 0..30 {
        world.file(&format!("source/f{number:02}"), &content[number * 3 * PIECE..][..3 * PIECE]);
    }
    let source = seeder(world.path("source"));
    let shared = || leecher(world.path("into"));
    let own = leecher(world.path("own"));
    let told = Cluster::new([idle(), source, shared(), shared(), shared(), own]).run();
    let report = told.expect(Outcome::Complete);
    assert_eq!(tree(&world.path("into")), tree(&world.path("source")));
    assert_eq!(tree(&world.path("own")), tree(&world.path("source")));
    assert_eq!(report.bytes_delivered, 2 * content.len() as u64, "once a destination");
    for rank in 2..6 {
        assert_eq!((told.row(rank).files_wanted, told.row(rank).files_complete), (30, 30));
    }
}

#[test]
fn files_without_a_byte_arrive() {
    let world = World::new();
    for number in 0..20 {
        world.file(&format!("source/empty{number}"), b"");
    }
    let told =
        Cluster::new([idle(), seeder(world.path("source")), leecher(world.path("into"))]).run();
    let report = told.expect(Outcome::Complete);
    assert_eq!((report.bytes_wanted, report.bytes_delivered), (0, 0));
    assert_eq!(told.row(2).files_complete, 20);
    assert_eq!(tree(&world.path("into")), tree(&world.path("source")));
}

#[test]
fn two_thousand_small_files_arrive() {
    let world = World::new();
    for number in 0..2000 {
        let name = format!("source/d{}/f{number}", number % 17);
        world.file(&name, &bytes(number % 3000, number as u64));
    }
    let jobs = [seeder(world.path("source")), leecher(world.path("a")), leecher(world.path("b"))];
    let told = Cluster::new([idle()].into_iter().chain(jobs)).run();
    told.expect(Outcome::Complete);
    assert_eq!(tree(&world.path("a")), tree(&world.path("source")));
    assert_eq!(tree(&world.path("b")), tree(&world.path("source")));
    assert_eq!((told.row(2).files_complete, told.row(3).files_complete), (2000, 2000));
}

#[test]
fn a_rank_gets_what_its_pattern_says() {
    let world = World::new();
    world.file("source/deep/a.h5", &bytes(70_000, 1));
    world.file("source/b.h5", &bytes(70_000, 2));
    world.file("source/c.txt", &bytes(70_000, 3));
    let job = wanting("**/*.h5", world.path("into"), idle());
    let told = Cluster::new([idle(), seeder(world.path("source")), job]).run();
    told.expect(Outcome::Complete);
    let names: Vec<String> = tree(&world.path("into")).into_keys().collect();
    assert_eq!(names, ["b.h5", "deep/", "deep/a.h5"]);
}

#[test]
fn messages_that_come_late_cost_time_and_nothing_else() {
    let world = World::new();
    world.file("source/data", &bytes(50 * PIECE, 1));
    let jobs = [idle(), seeder(world.path("source")), leecher(world.path("a"))];
    let told = Cluster::new(jobs.into_iter().chain([leecher(world.path("b"))]))
        .hook(0, delay(Duration::from_millis(30)))
        .hook(1, delay(Duration::from_millis(50)))
        .hook(3, delay(Duration::from_millis(20)))
        .run();
    told.expect(Outcome::Complete);
    assert_eq!(tree(&world.path("a")), tree(&world.path("source")));
    assert_eq!(tree(&world.path("b")), tree(&world.path("source")));
    assert!(told.ranks.iter().all(|rank| rank.notices.is_empty()));
    assert!(told.report().peers.iter().all(|row| row.state == PeerState::Complete));
}

#[test]
fn a_rank_that_begins_late_is_waited_for() {
    let world = World::new();
    world.file("source/data", &bytes(5 * PIECE, 1));
    let told = Cluster::new([idle(), seeder(world.path("source")), leecher(world.path("into"))])
        .late(2, Duration::from_millis(400))
        .run();
    let report = told.expect(Outcome::Complete);
    assert!(report.startup >= Duration::from_millis(400) && report.elapsed < report.startup);
    let phases: Vec<_> = told.ranks[0].progress.iter().map(|progress| progress.phase).collect();
    assert_eq!(phases.first(), Some(&node::Phase::Preparing));
}
