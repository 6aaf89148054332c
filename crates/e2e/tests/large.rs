//! A file much larger than the memory that a peer may use.

use e2e::{Cluster, Load, MIB, assert_same_tree, free_bytes, skip};
use std::collections::BTreeMap;
use std::time::Duration;

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
const SIZE: u64 = 3 * 1024 * MIB + 1;
/// What a peer that receives it may use of its own memory at its peak.
const MEMORY_LIMIT: u64 = 200 * MIB;

#[test]
fn three_gibibytes_arrive_in_less_than_200_mib_of_memory() {
    let cluster = Cluster::new();
    if free_bytes(&cluster.path("")) < 3 * SIZE + 1024 * MIB {
        return skip("10 GiB of free disk are needed for a file of 3 GiB and its two copies");
    }
    let file = cluster.file("rank1/share/large.bin", 1, SIZE);
    let mut running = cluster.launch(4, RUN).load(Load::Alone).deadline(300).start();
    let mut peak: BTreeMap<u32, u64> = BTreeMap::new();
    let mut pids = Vec::new();
    running.wait_until(|running| {
        // Finding the processes costs more than reading them: do it until all are there.
        if pids.len() < 4 {
            pids = running.ranks();
        }
        for process in &pids {
            let bytes = process.anonymous_bytes().unwrap_or(0);
            let seen = peak.entry(process.rank.unwrap()).or_default();
            *seen = bytes.max(*seen);
        }
        std::thread::sleep(Duration::from_millis(10));
        false
    });
    let finished = running.finish();
    let report = finished.complete();

    println!("peak of RssAnon by rank: {peak:?}; {:.2} s of transfer", report.seconds);
    assert_eq!(peak.len(), 4, "every rank was seen: {peak:?}");
    for (rank, bytes) in peak {
        assert!(bytes < MEMORY_LIMIT, "rank {rank} used {} MiB", bytes / MIB);
    }
    for rank in [2, 3] {
        assert_same_tree(&cluster.path(format!("rank{rank}/into")), [("large.bin", &file)]);
    }
    assert_eq!(report.bytes_delivered, 2 * SIZE);
}
