//! `--shared-fs`: all ranks see the source, which is read once in all.

use e2e::{
    Cluster, Everywhere, Finished, KIB, MIB, Mpi, Running, assert_same_file, assert_same_tree,
    is_root, no_leftovers, partials, skip,
};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

const SIZES: [(&str, u64); 5] =
    [("big", 96 * MIB + 1), ("mid", 5 * MIB), ("sub/one", 1), ("sub/some", 90 * KIB), ("none", 0)];

/// A tree with one big file, two hundred small ones and some others; its files and its bytes.
fn make_source(cluster: &Cluster, root: &str) -> (Vec<(String, PathBuf)>, u64) {
    let small = (0..200).map(|at| (format!("small/{at}"), 700 + at));
    let sizes = SIZES.into_iter().map(|(name, size)| (name.to_owned(), size)).chain(small);
    let mut bytes = 0;
    let mut files = Vec::new();
    for (seed, (name, size)) in sizes.enumerate() {
        let path = cluster.file(format!("{root}/{name}"), seed as u64, size);
        files.push((name, path));
        bytes += size;
    }
    (files, bytes)
}

fn assert_copies(cluster: &Cluster, ranks: u32, files: &[(String, PathBuf)]) {
    for rank in 0..ranks {
        let into = cluster.destination(rank);
        no_leftovers(&into);
        assert_same_tree(&into.join("src"), files.iter().map(|(name, path)| (name, path)));
    }
}

#[test]
fn eight_ranks_with_caches_of_their_own_read_the_source_once_in_all_by_the_kernels_count() {
    let cluster = Cluster::new();
    let (files, bytes) = make_source(&cluster, "content/src");
    let mounts: Vec<PathBuf> =
        (0..8).map(|rank| cluster.directory(format!("rank{rank}/seen"))).collect();
    let image = cluster.path("image");
    let everywhere = match is_root() {
        true => Everywhere::mount(&image, &cluster.path("content"), bytes + 48 * MIB, mounts),
        false => None,
    };
    let Some(everywhere) = everywhere else {
        return skip("mounting an ext4 eight times takes root and loop devices");
    };
    let before = everywhere.bytes_read();
    let args = ["cast", "rank{rank}/seen/src", "rank{rank}/into", "--shared-fs"];
    let report = cluster.launch(8, args).run().complete();
    let read: Vec<u64> =
        everywhere.bytes_read().iter().zip(before).map(|(after, before)| after - before).collect();
    let all: u64 = read.iter().sum();
    eprintln!("read by each rank: {read:?}, in all {:.4} of {bytes}", all as f64 / bytes as f64);
    assert!(all >= bytes, "the devices count what is read: {read:?}");
    assert!(all as f64 <= 1.02 * bytes as f64, "{read:?} is {all} of {bytes}");
    let most = read.iter().max().unwrap();
    assert!(*most as f64 <= 1.2 * bytes as f64 / 8.0, "the parts are equal: {read:?}");
    assert_eq!(report.source_bytes_read, Some(bytes));
    assert_eq!((report.bytes_delivered, report.bytes_reused()), (8 * bytes, 0));
    // As the ranks saw them: times of the image are in whole seconds.
    let seen = files.into_iter().map(|(name, _)| {
        let path = cluster.path("rank0/seen/src").join(&name);
        (name, path)
    });
    assert_copies(&cluster, 8, &seen.collect::<Vec<_>>());
}

#[test]
fn a_cast_of_one_source_on_one_path_is_read_once_and_again_into_a_complete_destination() {
    let cluster = Cluster::new();
    let (files, bytes) = make_source(&cluster, "src");
    let args = ["cast", "src", "rank{rank}/into", "--shared-fs"];
    let finished = cluster.launch(5, args).run();
    let report = finished.complete();
    assert_eq!(report.source_bytes_read, Some(bytes), "{finished}");
    assert!(finished.to_string().contains("read from SRC: 1.00 of its size"), "{finished}");
    assert_copies(&cluster, 5, &files);
    let again = cluster.launch(5, args).run().complete();
    assert_eq!((again.bytes_delivered, again.bytes_reused()), (0, 5 * bytes));
    assert_copies(&cluster, 5, &files);
    let without = cluster.launch(5, &args[..3]).run().complete();
    assert_eq!(without.source_bytes_read, None, "it is no network's file system");
}

#[test]
fn hard_links_holes_and_equal_contents_of_the_source_arrive_as_in_any_cast() {
    let cluster = Cluster::new();
    let size = 5 * MIB + 3;
    let first = cluster.file("src/bin/first", 1, size);
    cluster.directory("src/lib");
    for name in ["bin/second", "lib/third"] {
        std::fs::hard_link(&first, cluster.path("src").join(name)).unwrap();
    }
    let empty = cluster.file("src/empty", 2, 0);
    std::fs::hard_link(&empty, cluster.path("src/lib/empty")).unwrap();
    std::fs::copy(&first, cluster.path("src/twin")).unwrap();
    let sparse = cluster.file("src/sparse", 3, MIB);
    let file = std::fs::File::options().write(true).open(&sparse).unwrap();
    file.write_all_at(b"the end", 64 * MIB).unwrap();
    let args = ["cast", "src", "rank{rank}/into", "--shared-fs"];
    let finished = cluster.launch(4, args).run();
    let report = finished.complete();
    // Two files of the same content are read to be known as such; two names of one are not.
    assert_eq!(report.source_bytes_read, Some(2 * size + 64 * MIB + 7), "{finished}");
    for rank in 0..4 {
        let into = cluster.destination(rank);
        let found = |name: &str| into.join("src").join(name).metadata().unwrap();
        for name in ["bin/first", "bin/second", "lib/third", "twin"] {
            assert_same_file(&cluster.path("src").join(name), &into.join("src").join(name));
        }
        let inode = found("bin/first").ino();
        let inodes = ["bin/second", "lib/third"].map(|name| found(name).ino());
        assert_eq!((inodes, found("bin/first").nlink()), ([inode; 2], 3), "rank {rank}");
        assert_eq!(found("empty").ino(), found("lib/empty").ino(), "rank {rank}");
        assert_eq!(found("twin").nlink(), 1);
        assert_same_file(&sparse, &into.join("src/sparse"));
        assert!(found("sparse").blocks() * 512 <= 3 * MIB, "rank {rank}: holes stay holes");
        no_leftovers(&into);
        let row = report.peer(rank);
        let most = size + 2 * MIB + 256 * KIB;
        assert!(row.bytes_received - row.bytes_wasted <= most, "equal contents once: {row:?}");
    }
    let look = cluster.launch(4, ["cast", "src", "rank{rank}/into", "--check"]).run();
    look.complete();
}

#[test]
fn links_whose_first_name_nobody_wants_are_links_of_each_other() {
    let cluster = Cluster::new();
    let first = cluster.file("src/a", 1, 3 * MIB);
    for name in ["b", "c"] {
        std::fs::hard_link(&first, cluster.path("src").join(name)).unwrap();
    }
    let want = ["run", "--share", "src", "--into", "rank{rank}/into", "--want", "b", "--want", "c"];
    let report = cluster.launch(4, want.into_iter().chain(["--shared-fs"])).run().complete();
    assert_eq!(report.source_bytes_read, Some(3 * MIB));
    for rank in 1..4 {
        let [b, c] = ["b", "c"].map(|name| cluster.destination(rank).join(name));
        assert_same_file(&first, &b);
        assert_eq!(b.metadata().unwrap().ino(), c.metadata().unwrap().ino());
        assert!(!cluster.destination(rank).join("a").exists());
    }
}

#[test]
fn a_check_reads_the_source_once_in_all_by_the_kernels_count() {
    let cluster = Cluster::new();
    let (files, bytes) = make_source(&cluster, "content/src");
    let mounts: Vec<PathBuf> =
        (0..4).map(|rank| cluster.directory(format!("rank{rank}/seen"))).collect();
    let (image, content) = (cluster.path("image"), cluster.path("content"));
    let everywhere = match is_root() {
        true => Everywhere::mount(&image, &content, bytes + 48 * MIB, mounts),
        false => None,
    };
    let Some(everywhere) = everywhere else {
        return skip("mounting an ext4 several times takes root and loop devices");
    };
    let read = || everywhere.bytes_read().iter().sum::<u64>();
    let before = read();
    let args = ["cast", "rank{rank}/seen/src", "rank{rank}/into", "--shared-fs", "--check"];
    let finished = cluster.launch(4, args).run();
    let report = finished.ended_as("failed");
    let all = read() - before;
    assert!(all >= bytes && all as f64 <= 1.02 * bytes as f64, "{all} of {bytes}: {finished}");
    // The files, and three directories.
    assert_eq!((report.bytes_delivered, report.missing.len()), (0, files.len() + 3));
    assert!((0..4).all(|rank| !cluster.destination(rank).exists()), "nothing is written");
}

#[test]
fn a_check_of_what_a_cast_or_a_run_of_a_shared_source_brought_says_what_differs_where() {
    let cluster = Cluster::new();
    let (files, bytes) = make_source(&cluster, "src");
    let cast = ["cast", "src", "rank{rank}/into", "--shared-fs"];
    cluster.launch(4, cast).run().complete();
    let check = || cluster.launch(4, cast.into_iter().chain(["--check"])).run();
    let report = check().complete();
    assert_eq!((report.bytes_delivered, report.bytes_reused()), (0, 4 * bytes));
    let damaged = cluster.destination(2).join("src/mid");
    let mut content = std::fs::read(&damaged).unwrap();
    content[1_000_000] ^= 1;
    std::fs::write(&damaged, &content).unwrap();
    let finished = check();
    let report = finished.ended_as("failed");
    assert_eq!(report.missing, ["src/mid"], "{finished}");
    assert!(finished.stdout.contains("rank 2: incomplete: 1 different"), "{finished}");
    assert_eq!(std::fs::read(&damaged).unwrap(), content, "nothing is written");
    // What a dry run says would be written is what the cast then writes.
    let dry = cluster.launch(4, cast.into_iter().chain(["--dry-run"])).run().complete();
    assert_eq!(dry.bytes_delivered, 5 * MIB);
    assert_eq!(std::fs::read(&damaged).unwrap(), content);
    cluster.launch(4, cast).run().complete();
    assert_copies(&cluster, 4, &files);
    let run = ["run", "--share", "src", "--into", "rank{rank}/into/src", "--shared-fs", "--check"];
    cluster.launch(4, run).run().complete();
    std::fs::remove_file(cluster.destination(3).join("src/none")).unwrap();
    let report = cluster.launch(4, run).run().ended_as("failed");
    assert_eq!(report.missing, ["none"]);
}

#[test]
fn in_a_run_only_what_somebody_wants_is_read() {
    let cluster = Cluster::new();
    let (files, _) = make_source(&cluster, "src");
    let want = ["run", "--share", "src", "--into", "rank{rank}/into", "--want", "small/*"];
    let args = want.into_iter().chain(["--shared-fs"]);
    let report = cluster.launch(4, args).run().complete();
    assert_eq!(report.source_bytes_read, Some((0..200).map(|at| 700 + at).sum()));
    for rank in 1..4 {
        let into = cluster.destination(rank);
        let small = files.iter().filter(|(name, _)| name.starts_with("small"));
        assert_same_tree(&into, small.map(|(name, path)| (name, path)));
    }
}

#[test]
fn where_those_that_want_it_do_not_see_it_one_rank_serves_it_from_the_source() {
    let cluster = Cluster::new();
    let source = cluster.file("rank0/data/file", 1, 20 * MIB);
    let see = ["run", "--share", "rank{rank}/data", "--want", "", "--shared-fs"];
    let args = see.into_iter().chain(["--tracker", "colocated"]);
    let want = ["run", "--share", "rank{rank}/data", "--into", "rank{rank}/into", "--shared-fs"];
    let want = want.into_iter().chain(["--tracker", "colocated"]);
    let finished = cluster.launch(1, args).and(2, want).run();
    finished.complete();
    finished.says(&["rank 0 serves it from there"]);
    for rank in 1..3 {
        assert_same_file(&source, &cluster.destination(rank).join("file"));
    }
}

#[test]
fn what_a_killed_run_left_is_not_read_again() {
    let cluster = Cluster::new();
    let size = 128 * MIB;
    let source = cluster.file("big", 1, size);
    let args = ["cast", "big", "rank{rank}/into", "--shared-fs", "--piece-length", "1MiB"];
    let mut left = false;
    for _ in 0..20 {
        (0..4).for_each(|rank| drop(std::fs::remove_dir_all(cluster.destination(rank))));
        let slow = args.into_iter().chain(["--limit-download", "20MB"]);
        let mut running = cluster.launch(4, slow).start();
        // More than its part: the job has begun.
        let on_disk = |rank| partials(&cluster.destination(rank)).first().map_or(0, |p| p.1);
        if running.wait_until(|_| (0..4).all(|rank| on_disk(rank) > size / 4 + 4 * MIB)) {
            running.kill_all();
            left = (0..4).all(|rank| on_disk(rank) > 0);
            if left {
                break;
            }
        }
    }
    assert!(left, "20 runs ended before they could be killed");
    let finished = cluster.launch(4, args).run();
    let report = finished.complete();
    let read = report.source_bytes_read.expect("it was shared");
    assert!(read <= size / 8, "{read} of {size} were read again: {finished}");
    assert!(report.bytes_reused() >= size, "{finished}");
    for rank in 0..4 {
        assert_same_file(&source, &cluster.destination(rank).join("big"));
    }
}

#[test]
fn a_rank_that_hangs_before_its_part_is_read_leaves_it_to_the_others() {
    let cluster = Cluster::new();
    let source = cluster.file("big", 1, 64 * MIB);
    let args = ["cast", "big", "rank{rank}/into", "--shared-fs", "--patience", "3"];
    let mut running = cluster.launch(5, args).start();
    let begun = cluster.destination(3).join(".shoal");
    running.wait_for("rank 3 has opened its destination", |_| begun.exists());
    running.hang_rank(3);
    let finished = running.finish();
    let report = finished.ended_as("degraded");
    finished.lost(&[3]);
    assert!(report.missing.is_empty(), "{finished}");
    finished.complete_at(&cluster, &[0, 1, 2, 4], &[("big", &source)]);
}

/// Runs a slow cast, and has rank 3 hang or die once the swarm has begun.
fn lose_a_reader(cluster: &Cluster, lose: fn(&mut Running)) -> Finished {
    let args = ["cast", "src", "rank{rank}/into", "--shared-fs", "-v", "--patience", "3"];
    let slowly = ["--limit-upload", "6MB"];
    let mut running = cluster.launch(5, args.into_iter().chain(slowly)).start();
    running.wait_for("the swarm began", |running| running.stderr().contains("START"));
    lose(&mut running);
    running.finish()
}

/// Rank 3 is lost with pieces that only it had: the others have them all the same.
fn is_made_good(cluster: &Cluster, finished: &Finished, files: &[(String, PathBuf)], bytes: u64) {
    let report = finished.ended_as("degraded");
    finished.lost(&[3]);
    finished.says(&["pieces of the source that only rank 3 had are read again"]);
    assert!(report.missing.is_empty(), "{finished}");
    for rank in [0, 1, 2, 4] {
        let copy = cluster.destination(rank).join("src");
        assert_same_tree(&copy, files.iter().map(|(name, path)| (name, path)));
    }
    let read = report.source_bytes_read.unwrap();
    assert!(read > bytes && read < bytes * 5 / 4, "{read} of {bytes}");
}

#[test]
fn what_only_a_reader_that_hangs_had_is_read_again_by_others() {
    let cluster = Cluster::new();
    let (files, bytes) = make_source(&cluster, "src");
    let finished = lose_a_reader(&cluster, |running| running.hang_rank(3));
    is_made_good(&cluster, &finished, &files, bytes);
}

#[test]
fn what_only_a_reader_that_dies_had_is_read_again_by_others() {
    if !Mpi::tested().outlives_its_dead() {
        return skip("this MPI ends the job when a rank dies");
    }
    let cluster = Cluster::new();
    let (files, bytes) = make_source(&cluster, "src");
    let finished = lose_a_reader(&cluster, |running| running.kill_rank(3));
    is_made_good(&cluster, &finished, &files, bytes);
}

#[test]
fn a_rank_that_sees_something_else_at_the_same_path_reads_nothing_of_it() {
    let cluster = Cluster::new();
    cluster.file("rank0/big", 1, 32 * MIB);
    for rank in 1..3 {
        cluster.file(format!("rank{rank}/big"), 2, 31 * MIB);
    }
    let into = ["cast", "rank{rank}/big", "rank{rank}/into", "--shared-fs"];
    let finished = cluster.launch(3, into).run();
    // Rank 0 found it; whoever sees another reads nothing, and rank 0 reads all.
    finished.complete();
    finished.says(&["reads no more of the source"]);
    for rank in 0..3 {
        assert_same_file(&cluster.path("rank0/big"), &cluster.destination(rank).join("big"));
    }
}
