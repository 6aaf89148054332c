//! What a pattern of `--want` takes on real ranks, and what is said of one that takes nothing.

use e2e::{Cluster, Finished, KIB, names_below};
use std::path::PathBuf;

/// Rank 1 shares names that patterns give a meaning, and rank 2 wants by these patterns.
fn run(cluster: &Cluster, want: &[&str]) -> Finished {
    let share = ["run", "--share", "share", "--want", ""];
    let wants = want.iter().flat_map(|pattern| ["--want", pattern]);
    let take = ["run", "--into", "rank{rank}/into"].into_iter().chain(wants);
    cluster.launch(2, share).and(1, take).run()
}

fn cluster() -> Cluster {
    let cluster = Cluster::new();
    for name in ["sub/a", "sub/deep/b", "subway", "data[1].h5", "set{x}/c", "back\\slash"] {
        cluster.file(format!("share/{name}"), 1, 10 * KIB);
    }
    cluster
}

/// The files that rank 2 has got.
fn taken(cluster: &Cluster) -> Vec<String> {
    let into = cluster.destination(2);
    let all = names_below(&into).into_keys().map(|name| (into.join(&name), name));
    let files = all.filter(|(path, _): &(PathBuf, PathBuf)| path.is_file());
    files.map(|(_, name)| name.display().to_string()).collect()
}

#[test]
fn a_directory_that_is_wanted_comes_with_all_that_is_below_it() {
    for (want, expected) in [
        (&["sub"][..], &["sub/a", "sub/deep/b"][..]),
        (&["sub/"], &["sub/a", "sub/deep/b"]),
        (&["sub/deep", "subway"], &["sub/deep/b", "subway"]),
        (&["s*/"], &["set{x}/c", "sub/a", "sub/deep/b"]),
        (&["s*"], &["subway"]),
        (&["set\\{x\\}"], &["set{x}/c"]),
    ] {
        let cluster = cluster();
        run(&cluster, want).complete();
        assert_eq!(taken(&cluster), expected, "{want:?}");
    }
}

#[test]
fn a_refused_pattern_that_names_a_file_as_it_stands_says_how_to_escape_it() {
    for (want, escaped) in [
        ("data[1].h5", "data\\[1\\].h5"),
        ("set{x}", "set\\{x\\}"),
        ("back\\slash", "back\\\\slash"),
    ] {
        let cluster = cluster();
        let finished = run(&cluster, &[want]);
        finished.refused(&["rank 2", &format!("did you mean '{escaped}'?")]);
        run(&cluster, &[escaped]).complete();
        assert_eq!(taken(&cluster).len(), 1, "{escaped}");
    }
}

#[test]
fn what_is_no_pattern_at_all_says_how_the_name_is_written() {
    let cluster = cluster();
    let finished = run(&cluster, &["data[1"]);
    finished.wrong_usage(&["where 'data[1' is the name itself, write 'data\\[1'"]);
}

#[test]
fn a_path_from_the_root_or_from_here_says_which_name_was_meant() {
    for (want, meant) in [("/sub/a", "'sub/a'"), ("./sub", "'sub'"), ("subway/", "'subway'")] {
        run(&cluster(), &[want]).refused(&["rank 2", &format!("did you mean {meant}?")]);
    }
}

#[test]
fn no_two_names_look_alike_in_the_report() {
    let cluster = Cluster::new();
    let (raw, text): (&[u8], &[u8]) = (b"share/\xff", b"share/\\xff");
    for name in [raw, text] {
        let path = cluster.path_of_bytes(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "x").unwrap();
    }
    // A directory stands where each file should, so that both are missing.
    for name in [&b"rank2/into/\xff/x"[..], b"rank2/into/\\xff/x"] {
        let path = cluster.path_of_bytes(name);
        std::fs::create_dir_all(path).unwrap();
    }
    let report = run(&cluster, &["**"]).report();
    assert_eq!(report.missing, ["\\\\xff", "\\xff"]);
}
