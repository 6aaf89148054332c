//! Several ranks on each of two hosts: what crosses the link between them, as the kernel counts it.

use e2e::{Cluster, Hosts, Load, MIB, Report, assert_same_tree, skip};

/// The length of each file.
const LEN: u64 = 32 * MIB;

/// Runs eight ranks, dealt in turn: the even ones on host 0, the odd ones on host 1. Each shares
/// `rankN/share` and wants everything. Returns the copies of a file that entered each host.
fn copies_into_each(hosts: &Hosts, cluster: &Cluster) -> ([f64; 2], Report) {
    let args = ["run", "--tracker", "colocated", "--share", "rank{rank}/share"];
    let args = [&args[..], &["--into", "rank{rank}/into"]].concat();
    let (words, vars) = hosts.mpirun(8);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let before = [0, 1].map(|host| hosts.bytes_into(host));
    let launch = cluster.launch(8, args).by(&words, vars).load(Load::Alone);
    let report = launch.run().complete();
    // With headers, the launcher and the messages of eight ranks.
    let entered = |host: u32| hosts.bytes_into(host) - before[host as usize];
    let copies = [0, 1].map(|host| entered(host) as f64 / LEN as f64);
    println!("copies into host 0: {:.3}, into host 1: {:.3}", copies[0], copies[1]);
    for rank in 0..8 {
        assert_eq!(report.peer(rank).host, format!("host{}", rank % 2));
    }
    (copies, report)
}

#[test]
fn a_file_enters_a_host_once_whatever_its_number_of_ranks() {
    let hosts = match Hosts::up() {
        Ok(hosts) => hosts,
        Err(why) => return skip(&why),
    };
    let cluster = Cluster::new();
    let source = cluster.file("rank0/share/data.bin", 1, LEN);
    let (copies, report) = copies_into_each(&hosts, &cluster);
    assert!((1.0..1.05).contains(&copies[1]), "{copies:?} copies\n{report:#?}");
    assert!(copies[0] < 0.05, "{copies:?}: host 0 has it\n{report:#?}");
    for rank in 1..8 {
        assert_same_tree(&cluster.destination(rank), [("data.bin", &source)]);
    }
}

#[test]
fn files_that_cross_in_both_directions_enter_a_host_less_than_twice() {
    let hosts = match Hosts::up() {
        Ok(hosts) => hosts,
        Err(why) => return skip(&why),
    };
    let cluster = Cluster::new();
    let files = [
        ("left.bin", cluster.file("rank0/share/left.bin", 1, LEN)),
        ("right.bin", cluster.file("rank1/share/right.bin", 2, LEN)),
    ];
    // Best is 1.0; where ranks wait for their turn on the machine's cores, up to 1.4 was seen.
    let (copies, report) = copies_into_each(&hosts, &cluster);
    for copies in copies {
        assert!((1.0..1.7).contains(&copies), "{copies} copies\n{report:#?}");
    }
    for rank in 0..8 {
        let own = rank as usize;
        let wanted = files.iter().enumerate().filter(|(index, _)| *index != own);
        let wanted = wanted.map(|(_, (name, path))| (name, path));
        assert_same_tree(&cluster.destination(rank), wanted);
    }
}
