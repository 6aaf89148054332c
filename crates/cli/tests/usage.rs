//! What is wrong usage, with the exact words; and what is printed when help is asked for.

mod support;

use std::time::Duration;
use support::{PAUSED, World, golden};

/// What rank 0 of 3 says to a command line, dedicated tracker or not.
fn message(args: &str) -> String {
    World::new(args).rank(0, 3).usage_error()
}

#[test]
fn every_mistake_has_one_sentence_and_a_hint() {
    let mut told = String::new();
    for args in [
        "",
        "rum",
        "frobnicate",
        "run --wnat x --into y",
        "run --frob --into y",
        "run -x",
        "run foo",
        "run --into a --into b",
        "run --want",
        "run --want [a --into x",
        "run --tracker somewhere --into x",
        "run --progress lots --into x",
        "run --batch 0 --into x",
        "run --batch -1 --into x",
        "run --batch ten --into x",
        "run --threads 0 --into x",
        "run --threads 5000 --into x",
        "run --patience 0 --into x",
        "run --patience -3 --into x",
        "run --patience soon --into x",
        "run --piece-length 1MB --into x",
        "run --piece-length 1KiB --into x",
        "run --piece-length big --into x",
        "run --ranks 0 --into x",
        "run --share '' --into x",
        "run --into ''",
        "run --json '' --into x",
        "run --limit-upload fast --into x",
        "run --limit-upload 0 --into x",
        "run --limit-download -1 --into x",
        "run --share a{rnak} --into x",
        "run --into x{rank",
        "run --prefix {user}/ --into x",
        "run --plan {a,b} --into x",
        "run --prefix ../ --into x",
        "run --prefix /abs/ --into x",
        "run --prefix .shoal/ --into x",
        "cast",
        "cast a",
        "cast a '' ",
        "cast a{x} b",
        "cast a b --want x",
        "cast a b --plan x",
        "cast a/data b/data/ c",
        "simulate --peers 1",
        "simulate --peers many",
        "simulate --seeders 64",
        "simulate --link 3",
        "simulate --link 3=0",
        "simulate --link 60-70=2",
        "simulate --fault lose:1@5:2",
        "simulate --fault slow:5@3:0",
        "simulate --plans 0",
        "simulate --plans 5 --peers 8",
        "simulate --racks 9 --hosts 4",
        "simulate --fault full:0@5",
        "simulate --kill 5",
        "simulate --fault hang:5@3",
        "simulate --fault kill:99@3",
        "simulate --slow-peers 65",
        "simulate --slow-peers 1 --slow-factor 0",
        "simulate --slow-peers 1 --slow-factor 100000000",
        "simulate --fault slow:3@5:1000000000 --fault kill:3@6",
        "simulate --peers 1000000 --pieces 1000000",
        "simulate --link 3=0.001 --round 1000000000 --pieces 1000000",
        "simulate --peers 4294967295",
        "simulate --sede 4",
    ] {
        told.push_str(&format!("$ shoal {args}\n{}\n\n", message(args)));
    }
    golden("mistakes.txt", &told);
}

#[test]
fn a_wish_without_a_place_says_both_ways_out() {
    let expected = "something is wanted, but there is nowhere to put it: name a directory with \
                    --into DIR, or want nothing with --want ''";
    for args in ["run", "run --share a", "run --want x", "run --want '' --want x"] {
        assert_eq!(message(args), expected, "{args}");
    }
    assert!(World::new("run --share a --want ''").decide().is_ok());
}

#[test]
fn one_rank_is_too_few_for_a_tracker_that_only_tracks() {
    let expected = "one rank is not enough: rank 0 only tracks, and nobody is left to share or \
                    fetch; start at least two, under mpirun, mpiexec or srun or with --ranks N \
                    (the tracker counts), or make rank 0 a peer too with --tracker colocated";
    for args in ["run --into x", "run --into x --ranks 1", "cast a b --tracker dedicated"] {
        assert_eq!(World::new(args).without_launcher().usage_error(), expected, "{args}");
        assert_eq!(World::new(args).rank(0, 1).usage_error(), expected, "{args}");
    }
    for args in ["cast a b", "cast a b --ranks 1", "run --into x --tracker colocated"] {
        assert!(World::new(args).without_launcher().decide().is_ok(), "{args}");
    }
}

#[test]
fn a_launcher_and_ranks_must_agree() {
    assert_eq!(
        message("run --into x --ranks 4"),
        "--ranks 4 contradicts Open MPI's mpirun, which started 3; under a launcher leave --ranks \
         out"
    );
    assert!(World::new("run --into x --ranks 3").decide().is_ok());
}

#[test]
fn an_argument_that_is_not_utf8_is_no_panic() {
    use std::os::unix::ffi::OsStringExt;
    let odd = || std::ffi::OsString::from_vec(b"--\xff".to_vec());
    let message = World::new("run").arg("--want").arg(odd()).mistake();
    assert!(message.starts_with("unknown option"), "{message}");
    let value = std::ffi::OsString::from_vec(b"a\xff".to_vec());
    let message = World::new("run").arg("--want").arg(value).mistake();
    assert!(message.contains("is not UTF-8\nTry 'shoal run --help'."), "{message}");
}

/// What each of three ranks prints, and how long it waits.
fn ends(world: impl Fn() -> World) -> Vec<(String, u64)> {
    let end = |rank| {
        PAUSED.set(Duration::ZERO);
        let (status, stdout, stderr) = world().rank(rank, 3).end();
        assert_eq!((status, stdout.as_str()), (1, ""));
        (stderr, PAUSED.get().as_secs())
    };
    (0..3).map(end).collect()
}

#[test]
fn a_mistake_of_all_ranks_is_printed_by_rank_0_at_once_and_ends_the_others_a_second_later() {
    for args in
        ["run", "run --frob", "run --into x --prefix ../", "cast a/x b/x d", "simulate --peers 1"]
    {
        let ends = ends(|| World::new(args));
        assert!(ends[0].0.starts_with("shoal: ") && ends[0].1 == 0, "{args}: {ends:?}");
        assert_eq!(ends[1..], [(String::new(), 1), (String::new(), 1)], "{args}");
    }
}

#[test]
fn what_only_a_ranks_environment_lacks_is_printed_by_that_rank_after_a_second() {
    let line = |rank| {
        format!(
            "shoal: --share: the placeholder '{{env:NOPE}}' has no value: rank {rank} has no \
             variable NOPE\n"
        )
    };
    let ends = ends(|| World::new("run --share {env:NOPE} --into x"));
    assert_eq!(ends, [(line(0), 0), (line(1), 1), (line(2), 1)]);
}

#[test]
fn ranks_that_were_told_different_things_speak_for_themselves() {
    let ends = ends(|| World::new("run --frob").var("OMPI_NUM_APP_CTX", "2"));
    assert!(ends.iter().all(|(line, _)| line.starts_with("shoal: unknown option")), "{ends:?}");
}

#[test]
fn a_report_that_could_not_be_written_is_found_before_the_job_by_the_tracker() {
    let dir = tempfile::tempdir().unwrap();
    let world = |json: &str| World::new("run --into x --json").arg(json).dir(dir.path());
    let problem = |json: &str| world(json).rank(0, 3).orders().job.problem;
    let message = problem("no/report.json").unwrap();
    let shown = dir.path().display();
    assert_eq!(message, format!("--json {shown}/no/report.json: there is no directory {shown}/no"));
    let message = problem(".").unwrap();
    assert!(message.ends_with("it is a directory; name a file"), "{message}");
    assert_eq!(world("no/report.json").rank(1, 3).orders().job.problem, None);
    assert_eq!(problem("report.json"), None);
}

#[test]
fn help_is_as_reviewed() {
    for (args, file) in [
        ("-h", "help-short.txt"),
        ("--help", "help-long.txt"),
        ("run -h", "help-run-short.txt"),
        ("run --help", "help-run-long.txt"),
        ("cast -h", "help-cast-short.txt"),
        ("cast --help", "help-cast-long.txt"),
        ("simulate -h", "help-simulate-short.txt"),
        ("simulate --help", "help-simulate-long.txt"),
    ] {
        let (status, stdout, stderr) = World::new(args).rank(0, 3).end();
        assert_eq!((status, stderr.as_str()), (0, ""), "{args}");
        golden(file, &stdout);
    }
}

#[test]
fn help_comes_from_one_rank_only() {
    assert_eq!(World::new("--help").rank(1, 3).end(), (0, String::new(), String::new()));
}

#[test]
fn the_version_names_the_mpi() {
    let (status, stdout, stderr) = World::new("--version").without_launcher().end();
    assert_eq!((status, stderr.as_str()), (0, ""));
    let (version, library) = stdout.split_once('\n').unwrap();
    assert_eq!(version, concat!("shoal ", env!("CARGO_PKG_VERSION")));
    // Whichever is here, or the sentence that says that none is.
    let library = library.strip_prefix("MPI: ").expect("the second line is of MPI");
    assert!(library.ends_with(")\n") || library.starts_with("no MPI library"), "{stdout}");
    let of_another_rank = World::new("--version").rank(1, 3).end();
    assert_eq!(of_another_rank, (0, String::new(), String::new()));
}
