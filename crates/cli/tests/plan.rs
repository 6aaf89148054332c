//! The plan: who is given what, and what a mistake in it says.

mod support;

use cli::plan::{Plan, PlanError};
use shoal::Job;
use std::path::PathBuf;
use support::{World, golden};
use swarm::Pattern;

/// The job of a rank under a plan, on host `node07.cluster`.
fn job(plan: &str, rank: u32, args: &str) -> Job {
    let (world, _dir) = world(plan, rank, args);
    world.orders().job
}

fn world(plan: &str, rank: u32, args: &str) -> (World, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plan.toml"), plan).unwrap();
    let args = format!("run --plan plan.toml {args}");
    (World::new(&args).rank(rank, 9).dir(dir.path()), dir)
}

fn shares(job: &Job) -> Vec<PathBuf> {
    job.shares.iter().map(|share| share.path.clone()).collect()
}

const PLAN: &str = r#"
[[peer]]                 # the first entry that matches a rank wins
ranks = "1-3,7"
rack  = "A"
share = ["/data/{rank}"]
want  = ["**/*.h5"]
into  = "/scratch/{rank}"

[[peer]]
hosts = ["node0*"]
share = ["/late", "/later"]
prefix = "n{rank}/"
want = []

[[peer]]
ranks = "0-8"
share = ["/never"]
"#;

#[test]
fn the_first_entry_that_matches_wins() {
    for rank in [1, 3, 7] {
        let job = job(PLAN, rank, "");
        assert_eq!(job.problem, None);
        assert_eq!(shares(&job), [PathBuf::from(format!("/data/{rank}"))]);
        assert_eq!(job.wants[0].as_str(), "**/*.h5");
        assert_eq!(job.into, Some(format!("/scratch/{rank}").into()));
        assert_eq!(job.rack.as_deref(), Some("A"));
    }
    let job = job(PLAN, 4, "");
    assert_eq!(shares(&job), [PathBuf::from("/late"), PathBuf::from("/later")]);
    assert!(job.shares.iter().all(|share| share.prefix == b"n4/"));
    assert!(job.wants.is_empty());
    assert_eq!(job.rack, None);
}

#[test]
fn slurm_tells_the_rack_where_its_addresses_are_trees_of_switches() {
    let rack = |address: &str, pattern: &str, plan: &str| {
        let (world, _dir) = world(plan, 1, "--into /x");
        let world = world.var("SLURM_TOPOLOGY_ADDR", address);
        world.var("SLURM_TOPOLOGY_ADDR_PATTERN", pattern).orders().job.rack
    };
    let unnamed = "[[peer]]\nranks = \"1\"\n";
    let named = "[[peer]]\nranks = \"1\"\nrack = \"B\"\n";
    let tree = "switch.switch.node";
    assert_eq!(rack("s0.s4.node12", tree, unnamed).as_deref(), Some("s0.s4"));
    assert_eq!(rack("s0.s4.node12", tree, named).as_deref(), Some("B"), "the plan's word counts");
    assert_eq!(rack("node12", "node", unnamed), None);
}

#[test]
fn hosts_match_by_their_full_and_by_their_short_name() {
    for (glob, matches) in
        [("node07", true), ("node07.cluster", true), ("node0?", true), ("node08", false)]
    {
        let plan = format!("[[peer]]\nhosts = [\"x\", \"{glob}\"]\nshare = [\"/s\"]\n");
        let job = job(&plan, 1, "--want ''");
        assert_eq!(job.shares.len(), usize::from(matches), "{glob}");
    }
}

#[test]
fn what_an_entry_does_not_say_is_as_on_the_command_line() {
    let plan = "[[peer]]\nranks = \"1\"\nshare = [\"/mine\"]\n";
    let args = "--share /all --prefix p/ --want *.h5 --into d";
    let entry = job(plan, 1, args);
    assert_eq!(shares(&entry), [PathBuf::from("/mine")]);
    assert_eq!(entry.shares[0].prefix, b"p/");
    assert_eq!((entry.wants[0].as_str(), entry.into), ("*.h5", Some("d".into())));
    let no_entry = job(plan, 2, args);
    assert_eq!(shares(&no_entry), [PathBuf::from("/all")]);
}

#[test]
fn an_entry_that_names_neither_wish_nor_place_only_shares() {
    let job = job("[[peer]]\nranks = \"1\"\nshare = [\"/mine\"]\n", 1, "");
    assert_eq!((job.shares.len(), job.wants.len(), job.problem), (1, 0, None));
}

#[test]
fn a_rank_without_an_entry_and_without_a_place_is_wrong_usage() {
    let (world, _dir) = world("[[peer]]\nranks = \"1\"\nshare = [\"/mine\"]\n", 2, "");
    assert_eq!(
        world.usage_error(),
        "rank 2 on node07.cluster matches no [[peer]] of plan.toml, and something is wanted, but \
         there is nowhere to put it: name a directory with --into DIR, or want nothing with \
         --want ''"
    );
}

#[test]
fn a_dedicated_tracker_needs_no_entry() {
    let job = job("[[peer]]\nranks = \"1\"\nshare = [\"/mine\"]\n", 0, "");
    assert_eq!(job.problem, None);
}

#[test]
fn every_mistake_is_named_with_its_file_line_and_key() {
    let mut told = String::new();
    for plan in [
        "",
        "peer = 3",
        "[peer]\nranks = \"1\"",
        "[[peers]]\nranks = \"1\"",
        "[[peer]]\nshare = [\"/a\"]",
        "[[peer]]\nranks = \"1\"\nhosts = [\"a\"]",
        "[[peer]]\nranks = \"1\"\n\nwnat = [\"**\"]",
        "[[peer]]\nranks = \"1\"\ncolour = \"red\"",
        "[[peer]]\nranks = 1",
        "[[peer]]\nranks = [1, 2]",
        "[[peer]]\nranks = \"\"",
        "[[peer]]\nranks = \"3-1\"",
        "[[peer]]\nranks = \"1-\"",
        "[[peer]]\nranks = \"1,,2\"",
        "[[peer]]\nranks = \"+1\"",
        "[[peer]]\nranks = \"one\"",
        "[[peer]]\nranks = \"99999999999\"",
        "[[peer]]\nhosts = \"node*\"",
        "[[peer]]\nhosts = [\"[\"]",
        "[[peer]]\nranks = \"1\"\nshare = \"/data\"",
        "[[peer]]\nranks = \"1\"\nshare = [\n  \"/data\",\n  4,\n]",
        "[[peer]]\nranks = \"1\"\nshare = [\"\"]",
        "[[peer]]\nranks = \"1\"\nwant = \"**\"",
        "[[peer]]\nranks = \"1\"\nwant = [\"a{b\"]",
        "[[peer]]\nranks = \"1\"\ninto = [\"/x\"]",
        "[[peer]]\nranks = \"1\"\ninto = true",
        "[[peer]]\nranks = \"1\"\nprefix = 1.5",
        "[[peer]]\nranks = \"1\"\nranks = \"2\"",
        "[[peer]]\nranks = \"1\ninto = \"/x\"",
        "[[peer]\nranks = \"1\"",
        "[[peer]]\nranks = ",
    ] {
        let Err(PlanError::Bad(why)) = Plan::parse("plan.toml", plan.as_bytes()) else {
            panic!("{plan:?} is taken for a good plan");
        };
        told.push_str(&format!("{plan}\n=> {why}\n\n"));
    }
    golden("bad-plans.txt", &told);
}

#[test]
fn a_bad_plan_is_the_jobs_problem_and_leaves_nothing_else_to_do() {
    for (plan, rank, problem) in [
        ("x = 1", 1, "plan.toml, line 1: unknown key 'x'"),
        ("x = 1", 0, "plan.toml, line 1: unknown key 'x'"),
        (
            "\n[[peer]]\nranks = \"1\"\nwant = [\"a\"]",
            1,
            "plan.toml, line 2: this [[peer]] wants files, but has no 'into', and there is no \
             --into",
        ),
        (
            "[[peer]]\nranks = \"1\"\nwant = []\nprefix = \"/abs/\"",
            1,
            "plan.toml, [[peer]] of line 1, 'prefix': names cannot begin with '/abs/', because",
        ),
    ] {
        let job = job(plan, rank, "--share /a");
        let found = job.problem.unwrap_or_default();
        assert!(found.starts_with(problem), "{found}");
        assert!(job.shares.is_empty() && job.wants.is_empty() && job.into.is_none());
    }
}

#[test]
fn a_plan_that_cannot_be_read_is_the_jobs_problem() {
    let dir = tempfile::tempdir().unwrap();
    let problem = |plan: &str| {
        World::new("run --plan").arg(plan).dir(dir.path()).orders().job.problem.unwrap()
    };
    assert_eq!(
        problem("gone.toml"),
        "the plan gone.toml cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(problem("."), "the plan . cannot be read: it is a directory");
    std::fs::write(dir.path().join("odd.toml"), b"# ok\n# \xff\n").unwrap();
    assert_eq!(problem("odd.toml"), "odd.toml, line 2: it is not UTF-8 text");
}

#[test]
fn a_bad_placeholder_in_any_entry_is_wrong_usage_on_every_rank() {
    let plan = "[[peer]]\nranks = \"5\"\nshare = [\n \"/a\",\n \"/b{rnak}\" ]\n";
    for rank in [0, 1, 5] {
        let (world, _dir) = world(plan, rank, "--into x");
        let message = world.mistake();
        let start = "plan.toml, line 5: 'share': unknown placeholder '{rnak}'; there are ";
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn an_unset_variable_is_wrong_usage_on_the_rank_that_needs_it() {
    let plan = "[[peer]]\nranks = \"5\"\nwant = [\"**\"]\ninto = \"{env:NOPE}\"\n";
    let (on_5, _dir) = world(plan, 5, "--into x");
    assert_eq!(
        on_5.usage_error(),
        "plan.toml, [[peer]] of line 1, 'into': the placeholder '{env:NOPE}' has no value: rank 5 \
         has no variable NOPE"
    );
    let (on_4, _dir) = world(plan, 4, "--into x");
    assert!(on_4.decide().is_ok());
}

#[test]
fn globs_in_a_plan_are_no_placeholders() {
    let job = job("[[peer]]\nranks = \"1\"\nwant = [\"{a,b}/*\", \"\"]\ninto = \"x\"\n", 1, "");
    assert_eq!(job.wants.iter().map(Pattern::as_str).collect::<Vec<_>>(), ["{a,b}/*"]);
}
