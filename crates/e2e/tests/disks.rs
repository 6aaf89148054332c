//! A destination's disk fills up, or turns read-only, in mid-transfer: that rank stops receiving
//! and says why, goes on serving, and the others do not notice.

use e2e::{Cluster, Ext4, Finished, MIB, Tmpfs, skip};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

const RUN: [&str; 7] =
    ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into", "--limit-upload", "20MB"];
const NAME: &str = "large.bin";
const SIZE: u64 = 64 * MIB;
/// Room for the file, and for what the store itself writes.
const DISK: u64 = SIZE + 32 * MIB;

/// Starts a job in which ranks 2 to 4 want, and lets something happen to rank 2's disk when it has
/// some of the file; the disk is told by then how much.
fn with_disaster(cluster: &Cluster, act: impl FnOnce()) -> Finished {
    let mut running = cluster.launch(5, RUN).start();
    running.wait_for_mid_transfer(cluster, &[2, 3, 4]);
    running.hang_rank(2);
    act();
    running.wake_rank(2);
    running.finish()
}

/// Writes into a file until there is no space any more.
fn fill(path: &Path) {
    let mut ballast = File::create(path).unwrap();
    let block = vec![1; 64 << 10];
    while ballast.write_all(&block).is_ok() {}
    while ballast.write_all(&[1]).is_ok() {}
}

#[test]
fn a_disk_that_fills_up_in_mid_transfer_stops_its_rank_and_no_other() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let into = cluster.destination(2);
    fs::create_dir_all(&into).unwrap();
    let Some(_mounted) = Tmpfs::mount(&into, DISK) else {
        return skip("a tmpfs can only be mounted by root");
    };
    let ballast = into.join("ballast");
    let finished = with_disaster(&cluster, || fill(&ballast));
    let report = finished.ended_as("degraded");
    finished.lost(&[]);
    finished.incomplete(&[2], &["space"]);
    finished.complete_at(&cluster, &[3, 4], &[(NAME, &source)]);
    assert_eq!(report.missing, [NAME], "{finished}");
    assert!(!into.join(NAME).exists());

    // With room again, what it had is of use.
    fs::remove_file(&ballast).unwrap();
    let finished = cluster.launch(5, RUN).run();
    let report = finished.complete();
    finished.complete_at(&cluster, &[2, 3, 4], &[(NAME, &source)]);
    assert!(report.peer(2).bytes_reused > 0, "{finished}");
}

#[test]
fn a_disk_that_turns_read_only_in_mid_transfer_stops_its_rank_and_no_other() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let into = cluster.destination(2);
    fs::create_dir_all(&into).unwrap();
    let Some(disk) = Ext4::mount(&cluster.path("image"), &into, 2 * DISK) else {
        return skip("this needs root, a loop device and ext4");
    };
    let finished = with_disaster(&cluster, || disk.turn_read_only());
    let report = finished.ended_as("degraded");
    finished.lost(&[]);
    finished.incomplete(&[2], &["ead-only"]);
    finished.complete_at(&cluster, &[3, 4], &[(NAME, &source)]);
    assert_eq!(report.missing, [NAME], "{finished}");
    assert!(!into.join(NAME).exists());
}

#[test]
fn a_limit_on_the_length_of_files_stops_its_rank_and_no_other() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let mut running = cluster.launch(4, RUN).start();
    running.wait_for_mid_transfer(&cluster, &[2, 3]);
    // What `ulimit -f` in a batch system's script does on one host.
    let limit = Rlimit { current: Some(MIB), maximum: None };
    prlimit(Pid::from_raw(running.rank(2).pid), Resource::Fsize, limit).unwrap();
    let finished = running.finish();
    finished.ended_as("degraded");
    finished.lost(&[]);
    finished.incomplete(&[2], &["File too large"]);
    finished.complete_at(&cluster, &[3], &[(NAME, &source)]);
}

#[test]
fn a_rank_whose_disk_fills_up_goes_on_serving_what_it_has() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/large.bin", 1, SIZE);
    let own = cluster.file("rank2/share/own.bin", 2, SIZE);
    let into = cluster.destination(2);
    fs::create_dir_all(&into).unwrap();
    let Some(_mounted) = Tmpfs::mount(&into, DISK) else {
        return skip("a tmpfs can only be mounted by root");
    };
    let finished = with_disaster(&cluster, || fill(&into.join("ballast")));
    finished.ended_as("degraded");
    finished.incomplete(&[2], &["space"]);
    finished.complete_at(&cluster, &[3, 4], &[(NAME, &source), ("own.bin", &own)]);
}
