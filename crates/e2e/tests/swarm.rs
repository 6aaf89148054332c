//! Who has what and who wants what: the shapes of a job, with small files.

use e2e::{Cluster, KIB, Load, MIB, Node, assert_same_tree, names_below};
use std::path::PathBuf;

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];

#[test]
fn four_peers_with_different_files_all_end_with_everything() {
    let cluster = Cluster::new();
    let mut files: Vec<(u32, String, PathBuf)> = Vec::new();
    for rank in 1..=4 {
        for (index, len) in [700 * KIB, 3 * MIB + 17, 5].into_iter().enumerate() {
            let name = format!("from{rank}/file{index}");
            let seed = u64::from(rank) * 10 + index as u64;
            let path = cluster.file(format!("rank{rank}/share/{name}"), seed, len);
            files.push((rank, name, path));
        }
    }
    let report = cluster.launch(5, RUN).run().complete();

    let each = 700 * KIB + 3 * MIB + 17 + 5;
    assert_eq!(report.bytes_wanted, 4 * 3 * each);
    assert_eq!(report.bytes_delivered, report.bytes_wanted);
    assert_eq!(report.peers.len(), 4, "a dedicated tracker has no row");
    assert_eq!(report.tracker.rank, 0);
    for rank in 1..=4 {
        let row = report.peer(rank);
        assert_eq!((row.files_wanted, row.files_complete), (9, 9), "rank {rank}");
        assert_eq!(row.bytes_received - row.bytes_wasted, 3 * each, "rank {rank}");
        // What a rank shares itself it does not want.
        let others = files.iter().filter(|(owner, ..)| *owner != rank);
        let expected = others.map(|(_, name, path)| (name, path));
        assert_same_tree(&cluster.path(format!("rank{rank}/into")), expected);
        let own = names_below(&cluster.path(format!("rank{rank}/share")));
        assert_eq!(own.values().filter(|node| **node == Node::File).count(), 3, "{own:?}");
    }
}

#[test]
fn one_seeder_fills_three_empty_peers_and_they_help_each_other() {
    let cluster = Cluster::new();
    let large = cluster.file("rank1/share/large.bin", 1, 40 * MIB + 1);
    let small = cluster.file("rank1/share/deep/er/small.txt", 2, 1000);
    let run = ["run", "--share", "rank1/share", "--into", "rank{rank}/into"];
    let nothing = ["run", "--into", "rank{rank}/into"];
    // The colon syntax gives only rank 1 a share.
    let launch = cluster.launch(1, nothing).and(1, run).and(3, nothing);
    let report = launch.run().complete();

    for rank in 2..=4 {
        let into = cluster.path(format!("rank{rank}/into"));
        assert_same_tree(&into, [("large.bin", &large), ("deep/er/small.txt", &small)]);
        assert_eq!(report.peer(rank).files_complete, 2);
    }
    assert_eq!(report.peer(1).files_wanted, 0);
    assert_eq!(report.bytes_delivered, 3 * (40 * MIB + 1 + 1000));
    let traded: u64 = (2..=4).map(|rank| report.peer(rank).bytes_sent).sum();
    // The seeder sends no piece twice before it has sent each once, so that all three have parts to
    // trade; three copies is what it would send to peers that trade nothing.
    let copies = report.peer(1).bytes_sent as f64 / (40 * MIB + 1001) as f64;
    assert!(traded > 0 && copies < 2.5, "the seeder sent {copies:.2} copies: {report:#?}");
}

#[test]
fn a_file_that_only_one_peer_wants_goes_to_that_peer_alone() {
    let cluster = Cluster::new();
    let wanted = cluster.file("rank1/share/wanted.bin", 1, 2 * MIB + 3);
    cluster.file("rank1/share/unwanted.bin", 2, MIB);
    cluster.directory("rank2/into");
    let plan = "[[peer]]\nranks = \"1\"\nshare = [\"rank1/share\"]\nwant = []\n\n\
                [[peer]]\nranks = \"3\"\nwant = [\"wanted.*\"]\ninto = \"rank{rank}/into\"\n\n\
                [[peer]]\nranks = \"2,4\"\nwant = []\n";
    let plan = cluster.text("plan.toml", plan);
    let report = cluster.launch(5, ["run", "--plan", plan.to_str().unwrap()]).run().complete();

    assert_same_tree(&cluster.path("rank3/into"), [("wanted.bin", &wanted)]);
    assert!(names_below(&cluster.path("rank2/into")).is_empty());
    assert!(!cluster.path("rank4").exists());
    assert_eq!(report.bytes_wanted, 2 * MIB + 3);
    assert_eq!(report.peer(3).bytes_received, 2 * MIB + 3);
    for rank in [1, 2, 4] {
        assert_eq!(report.peer(rank).files_wanted, 0, "rank {rank}");
        assert_eq!(report.peer(rank).bytes_received, 0, "rank {rank}");
    }
}

#[test]
fn an_empty_pattern_wants_nothing() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 100);
    let share = ["run", "--share", "rank1/share", "--want", ""];
    let take = ["run", "--want", "**", "--into", "rank{rank}/into"];
    let report = cluster.launch(2, share).and(1, take).run().complete();
    assert_eq!(report.bytes_wanted, 100);
    assert!(!cluster.path("rank1/into").exists());
}

#[test]
fn equal_names_of_many_ranks_are_gathered_under_prefixes() {
    let cluster = Cluster::new();
    let logs: Vec<(String, PathBuf)> = (1..=4)
        .map(|rank| {
            let path = cluster.file(format!("rank{rank}/log.txt"), rank, 10_000 * rank);
            (format!("rank{rank}/log.txt"), path)
        })
        .collect();
    let give = ["run", "--share", "rank{rank}/log.txt", "--prefix", "rank{rank}/", "--want", ""];
    // Ranks 1 to 4 give, rank 5 wants all; the tracker is rank 0.
    let take = ["run", "--into", "gathered"];
    let report = cluster.launch(5, give).and(1, take).run().complete();

    assert_same_tree(&cluster.path("gathered"), logs);
    assert_eq!(report.peer(5).files_complete, 4);
    assert_eq!(report.bytes_delivered, 100_000);
}

#[test]
fn a_share_that_some_ranks_lack_is_a_notice() {
    let cluster = Cluster::new();
    let file = cluster.file("rank2/share/a.bin", 3, 300 * KIB);
    let finished = cluster.launch(4, RUN).run();
    finished.complete();
    finished.says(&["rank1/share"]);
    for rank in [1, 3] {
        assert_same_tree(&cluster.path(format!("rank{rank}/into")), [("a.bin", &file)]);
    }
}

#[test]
fn equal_content_under_one_name_on_two_ranks_is_one_file() {
    let cluster = Cluster::new();
    let first = cluster.file("rank1/share/same.bin", 7, 4 * MIB);
    let second = cluster.file("rank2/share/same.bin", 7, 4 * MIB);
    cluster.age("rank1/share/same.bin", 0o640, 1);
    cluster.age("rank2/share/same.bin", 0o600, 2);
    let report = cluster.launch(5, RUN).run().complete();
    assert_eq!(report.bytes_wanted, 2 * 4 * MIB, "ranks 1 and 2 share it themselves");
    for rank in [3, 4] {
        // Mode and time are the lowest rank's.
        assert_same_tree(&cluster.path(format!("rank{rank}/into")), [("same.bin", &first)]);
    }
    assert!(second.exists());
}

#[test]
fn ranks_with_one_destination_write_each_file_once() {
    let cluster = Cluster::new();
    let files: Vec<(String, PathBuf)> = (0..6u64)
        .map(|index| {
            let name = format!("part{index}.bin");
            (name.clone(), cluster.file(format!("rank1/share/{name}"), index, MIB + index))
        })
        .collect();
    let size: u64 = (0..6).map(|index| MIB + index).sum();
    let share = ["run", "--share", "rank1/share", "--want", ""];
    let take = ["run", "--into", "together"];
    let report = cluster.launch(2, share).and(3, take).run().complete();

    assert_same_tree(&cluster.path("together"), files);
    assert_eq!(report.bytes_delivered, size, "each byte is written once");
    for rank in 2..=4 {
        assert_eq!(report.peer(rank).state, "complete");
        assert_eq!(report.peer(rank).files_complete, 6, "rank {rank} has them all");
    }
}

#[test]
fn an_older_version_at_the_destination_gives_the_pieces_that_are_equal() {
    let cluster = Cluster::new();
    let piece = 256 * KIB;
    let source = cluster.file("rank1/share/big.bin", 4, 32 * piece + 99);
    let mut old = std::fs::read(&source).unwrap();
    for changed in [0, 7, 31] {
        old[(changed * piece + 5) as usize] ^= 0xFF;
    }
    cluster.directory("rank2/into");
    std::fs::write(cluster.path("rank2/into/big.bin"), &old).unwrap();
    // A shorter old version: its last piece is cut.
    cluster.directory("rank3/into");
    std::fs::write(cluster.path("rank3/into/big.bin"), &old[..(10 * piece + 1) as usize]).unwrap();
    let report = cluster.launch(4, RUN).run().complete();

    for rank in [2, 3] {
        assert_same_tree(&cluster.path(format!("rank{rank}/into")), [("big.bin", &source)]);
    }
    assert_eq!(report.peer(2).bytes_reused, 29 * piece + 99);
    assert_eq!(report.peer(2).bytes_received - report.peer(2).bytes_wasted, 3 * piece);
    assert_eq!(report.peer(3).bytes_reused, 8 * piece);
}

#[test]
fn a_second_run_finds_everything_in_place() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/a.bin", 5, 3 * MIB);
    cluster.launch(4, RUN).run().complete();
    let report = cluster.launch(4, RUN).run().complete();
    assert_eq!((report.bytes_delivered, report.bytes_reused()), (0, 2 * 3 * MIB));
    assert_eq!(report.bytes_received(), 0);
    assert_same_tree(&cluster.path("rank2/into"), [("a.bin", &source)]);
}

#[test]
fn sixteen_ranks_on_few_cores_finish() {
    let cluster = Cluster::new();
    let big = cluster.file("rank1/share/big.bin", 1, 16 * MIB);
    let small = cluster.file("rank9/share/small.bin", 2, 100 * KIB);
    let report = cluster.launch(16, RUN).load(Load::Alone).deadline(120).run().complete();
    for rank in (2..16).filter(|rank| *rank != 9) {
        let into = cluster.path(format!("rank{rank}/into"));
        assert_same_tree(&into, [("big.bin", &big), ("small.bin", &small)]);
    }
    assert_eq!(report.peers.len(), 15);
    assert_eq!(report.bytes_delivered, 14 * (16 * MIB + 100 * KIB));
}

#[test]
fn a_colocated_tracker_is_a_peer_too() {
    let cluster = Cluster::new();
    let first = cluster.file("rank0/share/zero.bin", 1, 2 * MIB);
    let second = cluster.file("rank1/share/one.bin", 2, MIB);
    let colocated = RUN.into_iter().chain(["--tracker", "colocated"]);
    let report = cluster.launch(3, colocated).run().complete();
    assert_eq!(report.peers.len(), 3);
    assert_same_tree(&cluster.path("rank0/into"), [("one.bin", &second)]);
    assert_same_tree(&cluster.path("rank1/into"), [("zero.bin", &first)]);
    let both = [("zero.bin", &first), ("one.bin", &second)];
    assert_same_tree(&cluster.path("rank2/into"), both);
}

#[test]
fn shoal_starts_itself_under_its_launcher_when_told_how_many_ranks() {
    let cluster = Cluster::new();
    let file = cluster.file("rank1/share/a.bin", 1, 500 * KIB);
    let args = RUN.into_iter().chain(["--ranks", "3"]);
    cluster.launch(1, args).run_unlaunched().complete();
    assert_same_tree(&cluster.path("rank2/into"), [("a.bin", &file)]);
}
