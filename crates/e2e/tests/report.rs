//! Where the report of `--json` goes, and what happens where it cannot go there.

use e2e::{Cluster, Finished, KIB, assert_same_tree};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A small job with its report at this place.
fn run(cluster: &Cluster, place: &Path) -> Finished {
    let run = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into", "--json"];
    let args = run.iter().map(ToString::to_string).chain([place.display().to_string()]);
    cluster.launch(3, args).without_json().run()
}

fn with_source() -> (Cluster, PathBuf) {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/a.bin", 1, 100 * KIB);
    (cluster, source)
}

/// The job is refused for its report, and leaves nothing.
fn assert_refused(cluster: &Cluster, place: &Path, why: &str) {
    let finished = run(cluster, place);
    assert_eq!(finished.status, 2, "{finished}");
    finished.says(&["rank 0: --json ", why]);
    assert_eq!(finished.stderr.matches(why).count(), 1, "{finished}");
    assert!(!cluster.path("rank2/into").exists(), "{finished}");
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_anything_moves() {
    let (cluster, _) = with_source();
    cluster.directory("directory");
    cluster.text("file", "not a directory");
    symlink("nosuch/report.json", cluster.path("astray")).unwrap();
    symlink("round", cluster.path("round")).unwrap();
    let here = |name: &str| cluster.path(name);
    for (place, why) in [
        // Not even root makes a file there.
        (PathBuf::from("/sys/report.json"), "no file can be made in /sys"),
        (PathBuf::from("/proc/1/x"), "no file can be made in /proc/1"),
        (PathBuf::from("/dev/fd/77"), "no file is open as 77"),
        (PathBuf::from("/proc/self/fd/78"), "no file is open as 78"),
        (here("nosuch/"), "it ends as the name of a directory does"),
        (here("nosuch/report.json"), "there is no directory"),
        (here("astray"), "there is no directory"),
        (here("round"), "Too many levels of symbolic links"),
        (here("directory"), "it is a directory; name a file"),
        (here("file/report.json"), "is no directory"),
    ] {
        assert_refused(&cluster, &place, why);
    }
    assert_eq!(fs::read_dir(here("directory")).unwrap().count(), 0);
}

#[test]
fn a_report_that_could_not_be_written_at_the_end_is_no_success() {
    let (cluster, source) = with_source();
    let pipe = cluster.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (place, why) in [(&*pipe, "nobody reads this pipe"), (Path::new("/dev/full"), "No space")] {
        let finished = run(&cluster, place);
        assert_eq!(finished.status, 3, "who asked for a report waits for it\n{finished}");
        finished.says(&["cannot write the report to", why, "the files are complete"]);
        assert!(finished.stdout.contains("complete: 2 ranks"), "{finished}");
        assert!(finished.wall < Duration::from_secs(20), "nobody waits for a reader\n{finished}");
        assert_same_tree(&cluster.path("rank2/into"), [("a.bin", &source)]);
    }
}

#[test]
fn standard_output_and_devices_take_a_report() {
    let (cluster, source) = with_source();
    for place in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/null"] {
        let finished = run(&cluster, Path::new(place));
        assert_eq!(finished.status, 0, "{place}\n{finished}");
        let is_shown = finished.stdout.lines().any(|line| line.starts_with("{\"version\":1,"));
        assert_eq!(is_shown, place != "/dev/null", "{place}\n{finished}");
        assert_same_tree(&cluster.path("rank2/into"), [("a.bin", &source)]);
    }
}

#[test]
fn a_file_that_stands_there_is_replaced_and_a_link_to_it_stays() {
    let (cluster, _) = with_source();
    cluster.text("old.json", "old");
    symlink("old.json", cluster.path("link")).unwrap();
    assert_eq!(run(&cluster, &cluster.path("link")).status, 0);
    assert!(cluster.path("link").is_symlink());
    let report = fs::read_to_string(cluster.path("old.json")).unwrap();
    assert!(report.starts_with("{\"version\":1,\"outcome\":\"complete\""), "{report}");
}
