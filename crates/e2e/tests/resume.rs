//! Kills with SIGKILL in mid-transfer, and what the next run makes of what is left.

use e2e::{
    Cluster, Launch, MIB, assert_same_tree, have_pieces_of, names_below, partials, verified_bytes,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PIECE: u64 = MIB;
const NAME: &str = "large.bin";
const RUN: [&str; 7] =
    ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into", "--piece-length", "1MiB"];

fn into(cluster: &Cluster, rank: u32) -> PathBuf {
    cluster.path(format!("rank{rank}/into"))
}

/// Starts the job anew until a kill of all its processes hits while each of the ranks has a part of
/// the file, but not the whole. How far it is allowed to come varies from try to try.
fn kill_in_mid_transfer(cluster: &Cluster, ranks: &[u32], size: u64, launch: impl Fn() -> Launch) {
    for attempt in 0..20u64 {
        for rank in ranks {
            let _ = std::fs::remove_dir_all(into(cluster, *rank));
        }
        let enough = size / (4 + attempt % 5);
        let on_disk = |rank: &u32| partials(&into(cluster, *rank)).first().map_or(0, |p| p.1);
        let mut running = launch().start();
        if running.wait_until(|_| ranks.iter().all(|rank| on_disk(rank) >= enough)) {
            // Where space is reserved before pieces arrive, the blocks say nothing: go on for a
            // moment.
            std::thread::sleep(Duration::from_millis(10 * (attempt % 4)));
            running.kill_all();
            let source = cluster.path("rank1/share").join(NAME);
            let in_the_middle = ranks.iter().all(|rank| {
                let verified = verified_there(cluster, *rank, &source);
                0 < verified && verified < size
            });
            if in_the_middle {
                return;
            }
        }
    }
    panic!("20 runs ended before they could be killed in mid-transfer");
}

/// The bytes of the file's pieces that a rank has, in its partial or under the file's own name.
fn verified_there(cluster: &Cluster, rank: u32, source: &Path) -> u64 {
    let whole = into(cluster, rank).join(NAME);
    let partial = partials(&into(cluster, rank)).first().map(|p| p.0.clone());
    let copy = if whole.exists() { whole } else { partial.unwrap_or(whole) };
    verified_bytes(source, &copy, PIECE)
}

#[test]
fn a_job_killed_in_mid_transfer_goes_on_where_it_was() {
    let cluster = Cluster::new();
    let size = 256 * MIB + 77;
    let source = cluster.file("rank1/share/large.bin", 1, size);
    let small = cluster.file("rank1/share/small.bin", 2, 1000);
    kill_in_mid_transfer(&cluster, &[2, 3], size, || cluster.launch(4, RUN));
    for rank in [2, 3] {
        let whole = into(&cluster, rank).join(NAME);
        assert!(!whole.exists(), "a file appears under its own name only when it is whole");
    }
    let had: Vec<u64> = [2, 3].map(|rank| verified_there(&cluster, rank, &source)).into();
    let had_small: Vec<u64> = [2, 3]
        .map(|rank| into(&cluster, rank).join("small.bin").metadata().map_or(0, |m| m.len()))
        .into();

    let report = cluster.launch(4, RUN).run().complete();
    for (index, rank) in [2, 3].into_iter().enumerate() {
        let files = [(NAME, &source), ("small.bin", &small)];
        assert_same_tree(&into(&cluster, rank), files);
        let reused = report.peer(rank).bytes_reused;
        // The small file may also have been whole under `.shoal/`, not yet renamed.
        let least = had[index] + had_small[index];
        assert!(
            (least..=had[index] + 1000).contains(&reused),
            "rank {rank} reused {reused} of {had:?} and {had_small:?}"
        );
    }
    assert_eq!(report.bytes_wanted, 2 * (size + 1000));
}

/// Two ranks with a real partial each, out of a killed run, of which rank 2 then has the pieces
/// `first` and rank 3 the pieces `second`; the original is gone.
fn two_partials(size: u64, first: fn(u64) -> bool, second: fn(u64) -> bool) -> (Cluster, PathBuf) {
    let cluster = Cluster::new();
    let share = cluster.file("rank1/share/large.bin", 3, size);
    kill_in_mid_transfer(&cluster, &[2, 3], size, || cluster.launch(4, RUN));
    for (rank, has) in [(2, first), (3, second)] {
        let (partial, _) = partials(&into(&cluster, rank)).remove(0);
        have_pieces_of(&share, &partial, PIECE, has);
    }
    let original = cluster.path("original.bin");
    std::fs::rename(&share, &original).unwrap();
    std::fs::remove_dir_all(cluster.path("rank1")).unwrap();
    (cluster, original)
}

#[test]
fn two_halves_left_by_a_killed_run_make_the_file_whole() {
    let size = 96 * MIB + 5;
    let (cluster, original) = two_partials(size, |piece| piece < 48, |piece| piece >= 48);
    // Nobody shares anything but what lies under `.shoal/`; rank 1 has nothing at all.
    let report = cluster.launch(4, ["run", "--into", "rank{rank}/into"]).run().complete();
    for rank in 1..=3 {
        assert_same_tree(&into(&cluster, rank), [(NAME, &original)]);
    }
    assert_eq!(report.peer(2).bytes_reused, 48 * PIECE);
    assert_eq!(report.peer(3).bytes_reused, size - 48 * PIECE);
    assert_eq!(report.peer(1).bytes_received - report.peer(1).bytes_wasted, size);
    assert_eq!(report.bytes_delivered, 2 * size);
}

#[test]
fn a_piece_that_nobody_has_any_more_is_a_named_loss_and_the_rest_is_kept() {
    let size = 48 * MIB;
    let (cluster, original) = two_partials(size, |piece| piece < 20, |piece| piece > 20);
    let finished = cluster.launch(4, ["run", "--into", "rank{rank}/into"]).deadline(120).run();
    assert_eq!(finished.status, 3, "{finished}");
    let report = finished.report();
    assert_eq!(report.missing, [NAME], "{finished}");
    for rank in 1..=3 {
        assert_eq!(report.peer(rank).state, "incomplete", "{finished}");
        assert!(!into(&cluster, rank).join(NAME).exists());
        assert_eq!(verified_there(&cluster, rank, &original), size - PIECE, "rank {rank}");
    }

    // The original comes back: one piece is all that moves.
    cluster.directory("rank1/share");
    std::fs::rename(&original, cluster.path("rank1/share/large.bin")).unwrap();
    std::fs::remove_dir_all(into(&cluster, 1)).unwrap();
    let report = cluster.launch(4, RUN).run().complete();
    for rank in [2, 3] {
        let source = cluster.path("rank1/share/large.bin");
        assert_same_tree(&into(&cluster, rank), [(NAME, &source)]);
        assert_eq!(report.peer(rank).bytes_reused, size - PIECE);
    }
}

#[test]
fn a_partial_of_an_older_version_gives_its_equal_pieces() {
    let cluster = Cluster::new();
    let size = 96 * MIB;
    let source = cluster.file("rank1/share/large.bin", 4, size);
    kill_in_mid_transfer(&cluster, &[2], size, || cluster.launch(3, RUN));
    // The file changes between the runs: piece 3 and the last one.
    let mut bytes = std::fs::read(&source).unwrap();
    bytes[3 * PIECE as usize + 9] ^= 1;
    bytes[size as usize - 1] ^= 1;
    std::fs::remove_file(&source).unwrap();
    std::fs::write(&source, &bytes).unwrap();
    let had = verified_there(&cluster, 2, &source);
    let report = cluster.launch(3, RUN).run().complete();
    assert_same_tree(&into(&cluster, 2), [(NAME, &source)]);
    assert_eq!(report.peer(2).bytes_reused, had);
    assert!(names_below(&into(&cluster, 2)).len() == 1);
}
