//! Under a real Slurm: `srun`, an allocation, the racks that Slurm knows, and its signals.

use e2e::{Cluster, MIB, Slurm, assert_same_tree, partials, skip};
use std::path::PathBuf;

/// A Slurm and a directory; none where this machine cannot have a Slurm, which is said.
fn slurm() -> Option<(Slurm, Cluster)> {
    match Slurm::start() {
        Ok(slurm) => Some((slurm, Cluster::new())),
        Err(why) => {
            skip(&why);
            None
        }
    }
}

/// `srun` for so many ranks, dealt to all four nodes.
fn srun(ranks: &str) -> Vec<String> {
    let mpi = format!("--mpi={}", Slurm::mpi_plugin());
    ["srun", "--quiet", "--nodes=4", &mpi, "-n", ranks].map(str::to_owned).to_vec()
}

fn words(line: &[String]) -> Vec<&str> {
    line.iter().map(String::as_str).collect()
}

#[test]
fn srun_casts_a_file_from_one_node_to_all() {
    let Some((slurm, cluster)) = slurm() else { return };
    let source = cluster.file("node2/model.bin", 1, 20 * MIB + 3);
    let args = ["cast", "{host}/model.bin", "on-{host}"];
    let launch = cluster.launch(4, args).by(&words(&srun("4")), slurm.environment());
    let report = launch.run().complete();
    for rank in 0..4 {
        assert_eq!(report.peer(rank).host, format!("node{rank}"));
        assert_same_tree(&cluster.path(format!("on-node{rank}")), [("model.bin", &source)]);
    }
    assert_eq!(report.bytes_received(), 3 * (20 * MIB + 3), "rank 2 makes its copy locally");
}

#[test]
fn srun_runs_ranks_that_hold_different_parts() {
    let Some((slurm, cluster)) = slurm() else { return };
    let mut parts: Vec<(String, PathBuf)> = Vec::new();
    for node in 0..4u32 {
        let name = format!("part{node}.bin");
        let path = cluster.file(format!("node{node}/{name}"), u64::from(node), 3 * MIB);
        parts.push((name, path));
    }
    // Two ranks on node 0, of which one only tracks.
    let args = ["run", "--share", "{host}", "--into", "rank{rank}/into"];
    let launch = cluster.launch(5, args).by(&words(&srun("5")), slurm.environment());
    let report = launch.run().complete();
    assert_eq!(report.tracker.rank, 0);
    for rank in 1..=4 {
        let row = report.peer(rank);
        assert_eq!((row.files_wanted, row.files_complete), (3, 3), "{row:?}");
        let others = parts.iter().filter(|(_, path)| !path.parent().unwrap().ends_with(&row.host));
        assert_same_tree(&cluster.destination(rank), others.map(|(name, path)| (name, path)));
    }
}

#[test]
fn inside_an_allocation_ranks_start_themselves_under_srun() {
    let Some((slurm, cluster)) = slurm() else { return };
    let source = cluster.file("node1/model.bin", 2, 5 * MIB);
    // Slurm's own default starts no MPI here: shoal chooses the plugin for the MPI it has.
    let args = ["cast", "--ranks", "5", "{host}/model.bin", "rank{rank}/into"];
    let salloc = ["salloc", "--quiet", "--nodes=4", "--ntasks=4"];
    let report = cluster.launch(1, args).by(&salloc, slurm.environment()).run().complete();
    assert_eq!(report.peers.len(), 5);
    for rank in 0..5 {
        assert_same_tree(&cluster.destination(rank), [("model.bin", &source)]);
    }
    let mut hosts: Vec<&str> = report.peers.iter().map(|row| &*row.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    assert_eq!(hosts, ["node0", "node1", "node2", "node3"]);
}

#[test]
fn slurm_tells_each_rank_its_rack() {
    let Some((slurm, cluster)) = slurm() else { return };
    let source = cluster.file("node0/model.bin", 3, 8 * MIB);
    let told = slurm.command(["srun", "--quiet", "-N4", "-l", "sh", "-c", PRINT_RACK]);
    let mut told: Vec<&str> = told.lines().collect();
    told.sort_unstable();
    let expected = [
        "0: core.rack0.node0 switch.switch.node",
        "1: core.rack0.node1 switch.switch.node",
        "2: core.rack1.node2 switch.switch.node",
        "3: core.rack1.node3 switch.switch.node",
    ];
    assert_eq!(told, expected, "what the rack of a rank is made of");
    // The path of a destination shows what the rank itself was told.
    let args = ["cast", "{host}/model.bin", "{env:SLURM_TOPOLOGY_ADDR}"];
    let launch = cluster.launch(4, args).by(&words(&srun("4")), slurm.environment());
    launch.run().complete();
    for address in ["core.rack0.node0", "core.rack0.node1", "core.rack1.node2", "core.rack1.node3"]
    {
        assert_same_tree(&cluster.path(address), [("model.bin", &source)]);
    }
}

const PRINT_RACK: &str = "echo $SLURM_TOPOLOGY_ADDR $SLURM_TOPOLOGY_ADDR_PATTERN";

#[test]
fn a_job_that_slurm_cancels_keeps_what_it_has_and_resumes() {
    let Some((slurm, cluster)) = slurm() else { return };
    let source = cluster.file("node0/model.bin", 4, 20 * MIB);
    let args = ["cast", "{host}/model.bin", "rank{rank}/into"];
    let slowly = [&args[..], &["--limit-upload", "2MB"]].concat();
    let launch = cluster.launch(4, slowly).by(&words(&srun("4")), slurm.environment());
    let mut running = launch.start();
    running.wait_for("something was there", |_| {
        (1..4).all(|rank| partials(&cluster.destination(rank)).first().is_some_and(|p| p.1 > 0))
    });
    slurm.command(["scancel", "--user=root"]);
    let finished = running.finish();
    assert_ne!(finished.status, 0, "{finished}");
    let launch = cluster.launch(4, args).by(&words(&srun("4")), slurm.environment());
    let report = launch.run().complete();
    assert!((1..4).all(|rank| report.peer(rank).bytes_reused > 0), "{report:#?}");
    for rank in 0..4 {
        assert_same_tree(&cluster.destination(rank), [("model.bin", &source)]);
    }
}
