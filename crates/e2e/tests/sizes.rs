//! Sizes around every border, many files, odd names. The 3 GiB file has a test of its own,
//! `large.rs`.

use e2e::{Cluster, KIB, MIB, assert_same_tree};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
const PIECE: u64 = 256 * KIB;

#[test]
fn files_of_every_awkward_size_arrive() {
    let cluster = Cluster::new();
    let leaf = 16 * KIB;
    let sizes = [
        [0, 1, leaf - 1, leaf, leaf + 1, 2 * leaf],
        [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE - 1, 11 * PIECE + leaf],
    ];
    let files: Vec<(String, PathBuf)> = sizes
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(index, size)| {
            let name = format!("size{size}");
            (name.clone(), cluster.file(format!("rank1/share/{name}"), index as u64, size))
        })
        .collect();
    let report = cluster.launch(4, RUN).run().complete();
    for rank in [2, 3] {
        assert_same_tree(&cluster.path(format!("rank{rank}/into")), files.clone());
        assert_eq!(report.peer(rank).files_complete, 12);
    }
    let size: u64 = sizes.iter().flatten().sum();
    assert_eq!(report.bytes_delivered, 2 * size);
}

#[test]
fn pieces_of_any_length_give_the_same_files() {
    for piece_length in ["16KiB", "64KiB", "4MiB"] {
        let cluster = Cluster::new();
        let file = cluster.file("rank1/share/a.bin", 1, 5 * MIB + 12_345);
        let args = RUN.into_iter().chain(["--piece-length", piece_length]);
        cluster.launch(4, args).run().complete();
        assert_same_tree(&cluster.path("rank2/into"), [("a.bin", &file)]);
        assert_same_tree(&cluster.path("rank3/into"), [("a.bin", &file)]);
    }
}

#[test]
fn small_files_travel_many_in_a_message() {
    let cluster = Cluster::new();
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for index in 0..400u64 {
        let name = format!("d{}/file{index:03}", index / 50);
        let path = cluster.file(format!("rank1/share/{name}"), index, 1 + (index * 37) % 4000);
        files.push((name, path));
    }
    // What one rank has of them already comes to no rank again, and parts no others.
    for (name, path) in files.iter().step_by(40) {
        let there = cluster.path(format!("rank2/into/{name}"));
        std::fs::create_dir_all(there.parent().unwrap()).unwrap();
        std::fs::copy(path, there).unwrap();
    }
    let finished = cluster.launch(5, RUN.into_iter().chain(["-vv"])).run();
    let report = finished.complete();
    for rank in 2..=4 {
        assert_same_tree(&cluster.path(format!("rank{rank}/into")), files.clone());
        assert_eq!(report.peer(rank).files_complete, 400, "rank {rank}");
    }
    let messages = finished.stderr.lines().filter(|line| line.contains("PIECE(3) received"));
    let messages = messages.count();
    assert!((3..=150).contains(&messages), "{messages} messages for 1190 files\n{finished}");
}

#[test]
fn five_hundred_files_in_nested_directories_arrive() {
    let cluster = Cluster::new();
    let mut shared: Vec<Vec<(String, PathBuf)>> = vec![Vec::new(), Vec::new()];
    for index in 0..500u64 {
        // Two ranks share them, unevenly.
        let owner = usize::from(index % 5 == 0);
        let name = format!("d{}/e{}/f{}/file{index}.dat", index % 3, index % 7, index % 11);
        let size = (index * index * 37) % 60_000;
        let path = cluster.file(format!("rank{}/share/{name}", owner + 1), index, size);
        shared[owner].push((name, path));
    }
    let report = cluster.launch(5, RUN).run().complete();
    let all = || shared.iter().flatten().map(|(name, path)| (name, path));
    for rank in [3, 4] {
        assert_same_tree(&cluster.path(format!("rank{rank}/into")), all());
        assert_eq!(report.peer(rank).files_complete, 500);
    }
    let other = |owner: usize| shared[1 - owner].iter().map(|(name, path)| (name, path));
    assert_same_tree(&cluster.path("rank1/into"), other(0));
    assert_same_tree(&cluster.path("rank2/into"), other(1));
}

#[test]
fn names_with_spaces_umlauts_and_bytes_that_are_no_text_arrive() {
    let cluster = Cluster::new();
    let names: [&[u8]; 9] = [
        b"with a space.txt",
        b" leading and trailing ",
        "grüße/日本語/ß.bin".as_bytes(),
        b"latin1-\xe4\xf6\xfc.bin",
        b"\xff\xfe/\x80\x81.bin",
        b"-rf",
        b".hidden/.file",
        b"quote'\"$(x)`y`\\back*?[z].txt",
        b"new\nline\ttab",
    ];
    let files: Vec<(OsString, PathBuf)> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let relative = [b"rank1/share/", *name].concat();
            let path = cluster.file(cluster.path_of_bytes(&relative), index as u64, 1000);
            (OsString::from_vec(name.to_vec()), path)
        })
        .collect();
    let report = cluster.launch(4, RUN).run().complete();
    assert_eq!(report.peer(2).files_complete, 9);
    assert_same_tree(&cluster.path("rank2/into"), files.clone());
    assert_same_tree(&cluster.path("rank3/into"), files);
}

#[test]
fn a_name_of_the_greatest_length_arrives() {
    let cluster = Cluster::new();
    let name = format!("{}/{}", "d".repeat(255), "f".repeat(255));
    let file = cluster.file(format!("rank1/share/{name}"), 1, 10);
    cluster.launch(3, RUN).run().complete();
    assert_same_tree(&cluster.path("rank2/into"), [(name, &file)]);
}
