//! Bad input that is noticed before anything moves: a clear sentence, the right status, nothing
//! written.

use e2e::{Cluster, KIB, Node, names_below};
use std::path::Path;

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];

/// No file is in a destination, nor a trace of the store.
fn nothing_written(cluster: &Cluster, ranks: u32) {
    for rank in 0..ranks {
        let found = names_below(&cluster.path(format!("rank{rank}/into")));
        assert!(found.is_empty(), "rank {rank} has {found:?}");
    }
}

#[test]
fn no_share_anywhere_is_refused() {
    let cluster = Cluster::new();
    let report = cluster.launch(3, RUN).run().refused(&["share"]);
    assert_eq!(report.outcome, "refused");
    nothing_written(&cluster, 3);
}

#[test]
fn no_refusal_leaves_anything_behind_that_this_job_made() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/same", 1, KIB);
    cluster.file("rank2/share/same", 2, KIB);
    cluster.directory("rank1/into/mine");
    cluster.file("src/a", 3, KIB);
    cluster.text(
        "bad.toml",
        "[[peer]]\nranks = '1'\nshare = ['rank1/share']\nwant = ['no*']\n\
                              into = 'made/deep'\n[[peer]]\nranks = '2'\ninto = 'other/deep'\n",
    );
    cluster.text("worse.toml", "[[peer]]\nranks = '1'\n[[peer");
    let before = names_below(&cluster.path(""));
    let into = "rank{rank}/into";
    let jobs: [&[&str]; 9] = [
        &RUN,
        &["run", "--share", "absent{rank}", "--into", "made/{rank}/deep"],
        &["run", "--into", "made/{rank}"],
        &["run", "--plan", "bad.toml"],
        &["run", "--plan", "worse.toml", "--into", "made"],
        &["run", "--share", "src", "--want", "none*", "--into", into],
        &["run", "--share", "src", "--into", "src/into{rank}"],
        &["run", "--share", "src", "--prefix", "p/", "--into", "src", "--delete"],
        &["cast", "src", "src"],
    ];
    for args in jobs {
        let finished = cluster.launch(3, args).run();
        finished.refused(&[]);
        let mut after = names_below(&cluster.path(""));
        // What the test itself keeps there.
        let own = ["report.json", "stdout-", "stderr-"];
        after.retain(|path, _| !own.iter().any(|it| path.display().to_string().starts_with(it)));
        assert_eq!(after, before, "{finished}");
    }
}

#[test]
fn nobody_told_to_share_is_refused() {
    let cluster = Cluster::new();
    cluster.launch(3, ["run", "--into", "rank{rank}/into"]).run().refused(&["shared"]);
    nothing_written(&cluster, 3);
}

#[test]
fn a_pattern_that_matches_nothing_is_refused_with_its_rank_and_a_suggestion() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/data/x.h5", 1, 10 * KIB);
    let take = ["run", "--want", "*.h5", "--into", "rank{rank}/into"];
    let share = ["run", "--share", "rank1/share", "--want", ""];
    let finished = cluster.launch(2, share).and(1, take).run();
    finished.refused(&["*.h5", "rank 2", "**/*.h5"]);
    nothing_written(&cluster, 3);
}

#[test]
fn two_contents_under_one_name_are_refused_with_both_ranks_named() {
    let cluster = Cluster::new();
    let first = cluster.file("rank1/share/same.bin", 1, 300 * KIB);
    let second = cluster.file("rank2/share/same.bin", 2, 300 * KIB);
    let before = [std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap()];
    cluster.launch(4, RUN).run().refused(&["same.bin", "rank 1", "rank 2"]);
    nothing_written(&cluster, 4);
    assert_eq!(before, [std::fs::read(&first).unwrap(), std::fs::read(&second).unwrap()]);
}

#[test]
fn two_lengths_under_one_name_are_refused() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/same.bin", 1, 1000);
    cluster.file("rank3/share/same.bin", 1, 1001);
    cluster.launch(4, RUN).run().refused(&["same.bin", "rank 1", "rank 3"]);
    nothing_written(&cluster, 4);
}

#[test]
fn a_file_and_a_directory_of_one_name_are_refused() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/thing", 1, 1000);
    cluster.file("rank2/share/thing/inside", 1, 1000);
    cluster.launch(4, RUN).run().refused(&["thing", "rank 1", "rank 2"]);
    nothing_written(&cluster, 4);
}

#[test]
fn a_plan_with_a_typo_is_refused_with_line_and_key() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 1000);
    let plan = "[[peer]]\nranks = \"1-2\"\nwants = [\"**\"]\ninto = \"rank{rank}/into\"\n";
    cluster.text("plan.toml", plan);
    let args = RUN.into_iter().chain(["--plan", "plan.toml"]);
    let finished = cluster.launch(3, args).run();
    finished.refused(&["plan.toml", "wants", "line 3"]);
    nothing_written(&cluster, 3);
}

#[test]
fn a_plan_that_is_not_there_is_refused() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 1000);
    let args = RUN.into_iter().chain(["--plan", "absent.toml"]);
    cluster.launch(3, args).run().refused(&["absent.toml"]);
}

#[test]
fn an_unknown_option_is_wrong_usage_and_said_once() {
    let cluster = Cluster::new();
    let finished = cluster.launch(3, ["run", "--shaer", "x"]).run();
    finished.wrong_usage(&["--shaer", "--share"]);
    let said = finished.stderr.lines().filter(|line| line.contains("'--shaer'")).count();
    assert_eq!(said, 1, "rank 0 says it, the others do not\n{finished}");
    nothing_written(&cluster, 3);
}

#[test]
fn one_rank_alone_is_wrong_usage_of_run() {
    let cluster = Cluster::new();
    cluster.file("rank0/share/a.bin", 1, 1000);
    cluster.launch(1, RUN).run().wrong_usage(&["rank"]);
    nothing_written(&cluster, 1);
}

#[test]
fn wrong_usage_needs_no_launcher_to_be_told() {
    let cases: [&[&str]; 9] = [
        &["run", "--no-such-option"],
        &["no-such-command"],
        &["run", "--share", "x", "--want", "[", "--into", "y"],
        &["run", "--share", "{nonsense}", "--into", "y"],
        &["run", "--share", "x", "--into", "y", "--piece-length", "100000"],
        &["run", "--share", "x", "--into", "y", "--batch", "0"],
        &["run", "--share", "x", "--into", "y", "--tracker", "elsewhere"],
        &["run", "--share", "x", "--into", "y", "--patience", "soon"],
        &["cast", "only-a-source"],
    ];
    for case in cases {
        let cluster = Cluster::new();
        let finished = cluster.launch(1, case).without_json().run_unlaunched();
        assert_eq!(finished.status, 1, "{finished}");
        assert!(!finished.stderr.trim().is_empty(), "{finished}");
        finished.says(&[]);
        assert!(!cluster.path("y").exists());
    }
}

#[test]
fn something_wanted_without_a_destination_is_refused_or_wrong_usage() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 1000);
    let finished = cluster.launch(3, ["run", "--share", "rank{rank}/share"]).run();
    assert!([1, 2].contains(&finished.status), "{finished}");
    finished.says(&["--into"]);
}

#[test]
fn prefixes_that_leave_the_destination_are_refused() {
    for prefix in ["../", "a/../../", "/tmp/shoal-e2e-absolute/", "x/.shoal/"] {
        let cluster = Cluster::new();
        cluster.file("rank1/share/escaped.bin", 1, 1000);
        let share = ["run", "--share", "rank1/share", "--prefix", prefix, "--want", ""];
        let take = ["run", "--into", "rank{rank}/into"];
        let finished = cluster.launch(2, share).and(1, take).run();
        assert!([1, 2].contains(&finished.status), "{prefix}: {finished}");
        finished.says(&[prefix.trim_end_matches('/')]);
        nothing_written(&cluster, 3);
        let all = names_below(&cluster.path(""));
        let escaped = |(path, node): &(&std::path::PathBuf, &Node)| {
            **node == Node::File && path.ends_with("escaped.bin") && !path.starts_with("rank1")
        };
        assert_eq!(all.iter().find(escaped), None, "{prefix}");
        assert!(!Path::new("/tmp/shoal-e2e-absolute").exists());
    }
}

#[test]
fn help_and_version_are_asked_for_without_a_launcher() {
    let cluster = Cluster::new();
    for (args, mentions) in [
        (["--help", ""], ["run", "cast"]),
        (["run", "--help"], ["--share", "--into"]),
        (["--version", ""], ["shoal", "0."]),
    ] {
        let args = args.into_iter().filter(|arg| !arg.is_empty());
        let finished = cluster.launch(1, args).without_json().run_unlaunched();
        assert_eq!(finished.status, 0, "{finished}");
        for mention in mentions {
            assert!(finished.stdout.contains(mention), "{mention}: {finished}");
        }
    }
}
