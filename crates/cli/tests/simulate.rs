//! `shoal simulate` from its options to its table, its JSON and its status.

mod support;

use cli::Action;
use support::{World, golden};

const SMALL: &str = "simulate --progress none --peers 8 --pieces 40";

#[test]
fn the_table_and_the_json_are_as_reviewed() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(&format!("{SMALL} --fault hang:3@20:50 --racks 2 --json figures.json"));
    let (status, stdout, stderr) = world.without_launcher().dir(dir.path()).end();
    assert_eq!((status, stderr.as_str()), (0, ""));
    golden("simulate-table.txt", &stdout);
    let json = std::fs::read_to_string(dir.path().join("figures.json")).unwrap();
    golden("simulate.json", &json);
}

#[test]
fn equal_seeds_give_equal_files_and_the_keys_are_those_of_the_contract() {
    let json = |options: &str| {
        let dir = tempfile::tempdir().unwrap();
        let world = World::new(&format!("{SMALL} --json f.json {options}"));
        assert_eq!(world.without_launcher().dir(dir.path()).end().0, 0, "{options}");
        std::fs::read_to_string(dir.path().join("f.json")).unwrap()
    };
    assert_eq!(json("--seed 7"), json("--seed 7"));
    assert_ne!(json("--seed 7"), json("--seed 8"));
    let keys: Vec<String> = json("").split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(
        keys.join(" "),
        "version seed peers pieces makespan bound ratio seeder_copies uplink_copies duplicates \
         tracker_messages_per_peer complete"
    );
}

#[test]
fn faults_are_planned_in_three_ways_and_told() {
    let options = "--kill 3@9 --slow-peers 1 --slow-factor 4 --fault full:2@5 --faults 1";
    let world = World::new(&format!("{SMALL} {options}"));
    let (status, stdout, _) = world.without_launcher().end();
    assert_eq!(status, 0, "a fault of a rank breaks no promise: {stdout}");
    for fault in ["kill:3@9", "slow:8@0:4", "full:2@5"] {
        assert!(stdout.contains(&format!("fault  {fault}\n")), "{fault}: {stdout}");
    }
    assert_eq!(stdout.matches("fault  ").count(), 4, "and one drawn from the seed");
}

#[test]
fn many_plans_are_run_by_one_command_and_told_in_one_way() {
    let run = |cores| {
        let mut world = World::new("simulate --progress none --plans 12 --seed 5");
        world.cores = cores;
        world.without_launcher().end()
    };
    let (status, stdout, stderr) = run(4);
    assert_eq!((status, stderr.as_str()), (0, ""), "{stdout}");
    assert!(stdout.starts_with("12 random plans, seeds 5 to 16\n"), "{stdout}");
    assert!(stdout.ends_with("0 plans broke a promise\n"), "{stdout}");
    assert_eq!(run(1), (status, stdout, stderr), "whoever runs which");
}

#[test]
fn links_of_another_rate_change_the_bound() {
    let world = World::new(&format!("{SMALL} --link 3=1/0.5"));
    let (status, stdout, _) = world.without_launcher().end();
    assert_eq!(status, 0);
    assert!(stdout.contains("bound                     80 rounds\n"), "{stdout}");
}

#[test]
fn under_a_launcher_one_rank_simulates() {
    assert_eq!(World::new(SMALL).rank(1, 3).end(), (0, String::new(), String::new()));
    assert!(World::new(SMALL).rank(0, 3).end().1.contains("makespan"));
}

#[test]
fn a_big_swarm_is_simulated_with_large_pages_unless_the_user_told_the_allocator_something() {
    let started_over = |world: World| {
        let world = world.without_launcher();
        let Ok(Action::Simulate(simulation)) = world.decide() else { panic!("{:?}", world.args) };
        simulation.started_over(&world.env()).map(|launch| launch.shown())
    };
    let big = || World::new("simulate --peers 10000 --pieces 100 --seed 7");
    let again = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
                 /opt/shoal simulate --peers 10000 --pieces 100 --seed 7";
    assert_eq!(started_over(big()).as_deref(), Some(again));
    assert_eq!(started_over(big().var("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")), None, "once");
    assert_eq!(started_over(big().var("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")), None);
    assert_eq!(started_over(World::new("simulate --peers 64")), None, "it fits the caches");
    assert_eq!(started_over(World::new("simulate --plans 10")), None);
}
