//! Sparse files: holes are neither sent nor filled, and need no room.

use e2e::{Cluster, MIB, Tmpfs, no_leftovers, pseudo_random, skip};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

const GIB: u64 = 1024 * MIB;

/// Makes a file that has so many MiB of data, each at another place, and is a hole elsewhere. Gives
/// the places.
fn sparse_file(path: &Path, len: u64, data_mib: u64) -> Vec<u64> {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_len(len).unwrap();
    let places: Vec<u64> = (0..data_mib).map(|at| at * (len / data_mib) + 4097 * at).collect();
    for &place in &places {
        file.write_all_at(&pseudo_random(place, MIB as usize), place).unwrap();
    }
    places
}

/// A copy has the data in its places, and no room for anything else.
fn assert_sparse_copy(copy: &Path, len: u64, places: &[u64]) {
    let file = File::open(copy).unwrap();
    let found = file.metadata().unwrap();
    assert_eq!(found.len(), len);
    for &place in places {
        let mut bytes = vec![0; MIB as usize];
        file.read_exact_at(&mut bytes, place).unwrap();
        assert!(bytes == pseudo_random(place, MIB as usize), "at {place} of {}", copy.display());
    }
    // Holes are made in blocks of 64 KiB.
    let most = places.len() as u64 * (MIB + 128 * 1024) + MIB;
    assert!(found.blocks() * 512 <= most, "{} blocks at {}", found.blocks(), copy.display());
    no_leftovers(copy.parent().unwrap());
}

#[test]
fn a_file_of_100_gib_with_a_little_data_is_cast_in_seconds_and_still_sparse() {
    let cluster = Cluster::new();
    let (len, ranks) = (100 * GIB + 5, 4);
    let places = sparse_file(&cluster.path("rank0/data/disk.img"), len, 10);
    let args = ["cast", "rank{rank}/data/disk.img", "rank{rank}/dest"];
    let finished = cluster.launch(ranks, args).run();
    let report = finished.complete();
    assert_eq!(report.bytes_delivered, u64::from(ranks) * len);
    for rank in 0..ranks {
        let copy = cluster.path(format!("rank{rank}/dest/disk.img"));
        assert_sparse_copy(&copy, len, &places);
        // Each place may lie in two pieces of 4 MiB; the last piece is too short to be looked at.
        let touched = 20 * 4 * MIB + 5;
        assert!(report.peer(rank).bytes_received <= touched, "{finished}");
    }
    assert!(finished.wall < Duration::from_secs(60), "{finished}");
    let again = cluster.launch(ranks, args).run();
    let report = again.complete();
    assert_eq!((report.bytes_delivered, report.bytes_reused()), (0, u64::from(ranks) * len));
    assert!(again.wall < Duration::from_secs(60), "{again}");
}

#[test]
fn holes_need_no_room_and_data_does() {
    let cluster = Cluster::new();
    let into = cluster.destination(2);
    fs::create_dir_all(&into).unwrap();
    let Some(_mounted) = Tmpfs::mount(&into, 40 * MIB) else {
        return skip("a tmpfs can only be mounted by root");
    };
    let run = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
    let source = cluster.path("rank1/share/disk.img");
    let places = sparse_file(&source, 4 * GIB, 5);
    cluster.launch(3, run).run().complete();
    assert_sparse_copy(&into.join("disk.img"), 4 * GIB, &places);
    fs::remove_file(into.join("disk.img")).unwrap();
    sparse_file(&source, 4 * GIB, 50);
    cluster.launch(3, run).run().refused(&["rank 2", "must be written to"]);
}

#[test]
fn a_hole_of_terabytes_is_cast_whoever_reads_the_source() {
    let cluster = Cluster::new();
    let len = 4096 * GIB;
    let source = cluster.directory("src").join("sparse");
    let places = sparse_file(&source, len, 3);
    for (into, more) in [("one{rank}", &[][..]), ("all{rank}", &["--shared-fs"])] {
        let args: Vec<&str> = ["cast", "src", into].iter().chain(more).copied().collect();
        let report = cluster.launch(2, &args).run().complete();
        assert!(report.peer(1).bytes_received < 64 * MIB);
        assert_sparse_copy(
            &cluster.path(into.replace("{rank}", "1")).join("src/sparse"),
            len,
            &places,
        );
    }
}
