//! Shoal inside a shell script: the script's own standard input stays the script's.

use e2e::{Cluster, Finished, Mpi, assert_same_tree, shoal};
use std::path::PathBuf;

/// Files named `set0` to `set4`, and `list`, which names each on a line.
fn sources(cluster: &Cluster) -> Vec<(String, PathBuf)> {
    let names: Vec<String> = (0..5).map(|number| format!("set{number}")).collect();
    cluster.text("list", &format!("{}\n", names.join("\n")));
    let make = |(name, seed): (String, u64)| {
        let path = cluster.file(&name, seed, 1000 + seed);
        (name, path)
    };
    names.into_iter().zip(0..).map(make).collect()
}

/// Runs a script with bash; `$SHOAL` and `$MPIRUN` are what its words say.
fn bash(cluster: &Cluster, script: &str) -> Finished {
    let mpi = Mpi::tested();
    let words = [vec![mpi.launcher().display().to_string()], mpi.flags()].concat();
    let environment = vec![
        ("SHOAL".to_owned(), shoal().display().to_string()),
        ("MPIRUN".to_owned(), words.join(" ")),
    ];
    let finished = cluster.script(&["bash", "-euc", script], environment).without_json().run();
    assert_eq!(finished.status, 0, "{finished}");
    finished
}

fn assert_all_arrived(cluster: &Cluster, files: &[(String, PathBuf)], ranks: &[u32]) {
    for rank in ranks {
        let expected = files.iter().map(|(name, path)| (name, path));
        assert_same_tree(&cluster.path(format!("copy{rank}")), expected);
    }
}

#[test]
fn a_loop_over_the_lines_of_a_list_casts_every_line() {
    let cluster = Cluster::new();
    let files = sources(&cluster);
    let script = "while read -r name; do
        \"$SHOAL\" cast --ranks 2 \"$name\" 'copy{rank}' --progress none
    done <list";
    let finished = bash(&cluster, script);
    assert_eq!(finished.stdout.matches("complete: 2 ranks").count(), files.len(), "{finished}");
    assert_all_arrived(&cluster, &files, &[0, 1]);
}

#[test]
fn a_script_that_the_shell_reads_from_a_pipe_goes_on_behind_the_cast() {
    let cluster = Cluster::new();
    let files = sources(&cluster);
    let lines = files.iter().map(|(name, _)| {
        format!("\"$SHOAL\" cast --ranks 2 {name} 'copy{{rank}}' --progress none\n")
    });
    let inner = lines.collect::<String>() + "echo the last line was read\n";
    cluster.text("inner", &inner);
    let finished = bash(&cluster, "cat inner | bash -eus");
    assert!(finished.stdout.contains("the last line was read"), "{finished}");
    assert_all_arrived(&cluster, &files, &[0, 1]);
}

#[test]
fn a_launcher_that_is_told_to_read_nothing_leaves_the_lines_to_the_loop() {
    let cluster = Cluster::new();
    let files = sources(&cluster);
    let script = "while read -r name; do
        $MPIRUN -n 2 \"$SHOAL\" cast \"$name\" 'copy{rank}' --progress none </dev/null
    done <list";
    bash(&cluster, script);
    assert_all_arrived(&cluster, &files, &[0, 1]);
}
