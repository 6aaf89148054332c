//! Where the report of `--json` goes, and what happens where it cannot go there.

use e2e::{Cluster, KIB, assert_same_tree};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A small job with its report at this place.
fn args(place: &Path) -> Vec<String> {
    let run = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into", "--json"];
    run.iter().map(ToString::to_string).chain([place.display().to_string()]).collect()
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_anything_moves() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 100 * KIB);
    // Not even root makes a file there.
    let job = cluster.launch(3, args(Path::new("/sys/report.json"))).without_json();
    let finished = job.run();
    assert_eq!(finished.status, 2, "{finished}");
    finished.says(&["rank 0: --json /sys/report.json: no file can be made in /sys"]);
    assert!(!cluster.path("rank2/into").exists(), "{finished}");
}

#[test]
fn a_pipe_without_a_reader_holds_up_nobody() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/a.bin", 1, 100 * KIB);
    let pipe = cluster.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let finished = cluster.launch(3, args(&pipe)).without_json().run();
    assert_eq!(finished.status, 0, "the job's status is that of its transfers\n{finished}");
    finished.says(&["cannot write the report to", "nobody reads this pipe"]);
    assert!(finished.wall < Duration::from_secs(20), "{finished}");
    assert_same_tree(&cluster.path("rank2/into"), [("a.bin", &source)]);
}
