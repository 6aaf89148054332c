//! Files whose length is not that of their content, as the kernel's own file systems have them.

use e2e::{Cluster, KIB};
use std::os::unix::fs::symlink;

#[test]
fn a_file_that_only_says_that_it_is_empty_is_refused_or_left_out_by_name() {
    let cluster = Cluster::new();
    let into = "rank{rank}/into";
    for more in [&[][..], &["--shared-fs"], &["--check"], &["--dry-run"]] {
        let args: Vec<&str> = ["cast", "/proc/cpuinfo", into].iter().chain(more).copied().collect();
        cluster
            .launch(2, &args)
            .run()
            .refused(&["'/proc/cpuinfo' cannot be shared", "/proc and /sys"]);
    }
    assert!(!cluster.path("rank0").exists() && !cluster.path("rank1").exists());
    // Beside others it is left out; what is empty is not.
    cluster.file("tree/a", 1, KIB);
    cluster.text("tree/empty", "");
    symlink("/proc/cpuinfo", cluster.path("tree/cpuinfo")).unwrap();
    symlink("/proc/version", cluster.path("tree/version")).unwrap();
    for more in [&[][..], &["--shared-fs"]] {
        let cast = ["cast", "tree", into, "--follow-links"];
        let args: Vec<&str> = cast.iter().chain(more).copied().collect();
        let finished = cluster.launch(2, &args).run();
        assert_eq!(finished.complete().peer(1).files_complete, 2);
        finished
            .says(&["2 files do not hold as many bytes as their lengths say, and are left out"]);
        assert!(!cluster.path("rank1/into/tree/cpuinfo").exists());
    }
}

#[test]
fn a_file_that_is_shorter_than_it_says_is_told_apart_from_one_that_changes() {
    let path = "/sys/kernel/mm/transparent_hugepage/enabled";
    let claimed = std::fs::metadata(path).map_or(0, |found| found.len());
    if std::fs::read(path).map_or(0, |bytes| bytes.len() as u64) >= claimed {
        return e2e::skip("this kernel has no such file");
    }
    let cluster = Cluster::new();
    let finished = cluster.launch(2, ["cast", path, "rank{rank}/into"]).run();
    finished.refused(&["'/sys/kernel/mm", "does not hold as many bytes as its length says"]);
    assert!(!finished.stderr.contains("kept changing"), "{finished}");
}
