//! Caps: a rank sends and receives no faster than it was told, evenly, and the others do not mind.

use e2e::{Cluster, KIB, Load, MIB, Running, assert_same_tree, partials};
use std::time::{Duration, Instant};

const RATE: u64 = 5_000_000;

const TRACKER: [&str; 3] = ["run", "--into", "unused"];
const SEEDER: [&str; 3] = ["run", "--share", "seeder"];
const LEECHER: [&str; 3] = ["run", "--into", "rank{rank}/into"];

fn with<'a>(args: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    args.iter().chain(more).copied().collect()
}

/// A tracker, a seeder with these options, and leechers with those.
fn start(cluster: &Cluster, seeder: &[&str], leechers: &[(u32, &[&str])]) -> Running {
    let seeder = with(&with(&SEEDER, &["--want", ""]), seeder);
    let mut launch = cluster.launch(1, TRACKER).load(Load::Alone).and(1, seeder);
    for (ranks, options) in leechers {
        launch = launch.and(*ranks, with(&LEECHER, options));
    }
    launch.start()
}

/// Runs until every rate that a run saw, of bytes in seconds, is within five percent of the cap. A
/// machine that is busy with something else may make a run slower, and never makes it faster: of
/// three runs one must not be below, and none above.
fn assert_rates<const N: usize>(run: impl Fn() -> [(u64, f64); N]) {
    for left in (0..3).rev() {
        let rates = run().map(|(bytes, seconds)| bytes as f64 / seconds / RATE as f64);
        assert!(rates.iter().all(|&rate| rate <= 1.05), "{rates:?} of the cap");
        if rates.iter().all(|&rate| rate >= 0.95) {
            return;
        }
        assert!(left > 0, "{rates:?} of the cap, as in the runs before");
    }
}

#[test]
fn memory_that_does_not_hold_the_pieces_is_refused_with_both_ways_out() {
    let cluster = Cluster::new();
    let source = cluster.file("rank1/share/a", 1, 3 << 20);
    let args = |memory: &'static str| {
        let share = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
        share.into_iter().chain(["--piece-length", "1MiB", "--memory", memory])
    };
    let finished = cluster.launch(3, args("4MiB")).run();
    finished.refused(&["give --memory 16MiB at least", "--piece-length 256KiB"]);
    cluster.launch(3, args("16MiB")).run().complete();
    assert_same_tree(&cluster.destination(2), [("a", &source)]);
}

#[test]
fn a_capped_sender_is_within_five_percent_and_even() {
    assert_rates(|| {
        let cluster = Cluster::new();
        let source = cluster.file("seeder/data.bin", 1, 20 * MIB);
        let mut running = start(&cluster, &["--limit-upload", "5MB"], &[(1, &[])]);
        // How much is there, looked at again and again while it runs.
        let into = cluster.path("rank2/into");
        let mut seen: Vec<(Instant, u64)> = Vec::new();
        running.wait_until(|_| {
            let partial = partials(&into).first().map(|partial| (Instant::now(), partial.1));
            seen.extend(partial.filter(|&(_, bytes)| bytes > 0));
            false
        });
        let report = running.finish().complete();
        assert_same_tree(&into, [("data.bin", &source)]);
        let rate = (report.peer(1).bytes_sent, report.seconds);
        if rate.0 as f64 / rate.1 >= 0.95 * RATE as f64 {
            assert_even(&seen);
        }
        [rate]
    });
}

/// What came within any half second is half a second's worth, but for two pieces.
fn assert_even(seen: &[(Instant, u64)]) {
    let half = Duration::from_millis(500);
    for (index, (from, before)) in seen.iter().enumerate() {
        let Some((to, after)) = seen[index..].iter().find(|(to, _)| *to - *from >= half) else {
            break;
        };
        let worth = (*to - *from).as_secs_f64() * RATE as f64;
        let off = (after - before) as f64 - worth;
        assert!(off.abs() < (2 * 256 * KIB) as f64 + 0.2 * worth, "{off} bytes off {worth}");
    }
}

#[test]
fn a_capped_receiver_is_within_five_percent_and_the_other_is_not_held_up() {
    assert_rates(|| {
        let cluster = Cluster::new();
        let source = cluster.file("seeder/data.bin", 1, 20 * MIB);
        let cap: &[&str] = &["--limit-download", "5MB"];
        let report = start(&cluster, &[], &[(1, cap), (1, &[])]).finish().complete();
        let (capped, free) = (report.peer(2), report.peer(3));
        assert!(free.seconds < 0.75 * capped.seconds, "{report:#?}");
        for rank in [2, 3] {
            let into = cluster.path(format!("rank{rank}/into"));
            assert_same_tree(&into, [("data.bin", &source)]);
        }
        [(capped.bytes_received, capped.seconds)]
    });
}

#[test]
fn a_rank_capped_in_both_directions_is_within_five_percent_in_each() {
    assert_rates(|| {
        let cluster = Cluster::new();
        let free = cluster.file("rank1/share/free.bin", 1, 20 * MIB);
        let capped = cluster.file("rank2/share/capped.bin", 2, 20 * MIB);
        let both = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
        let limits = ["--limit-upload", "5MB", "--limit-download", "5MB"];
        let launch = cluster.launch(2, both).load(Load::Alone).and(1, with(&both, &limits));
        let report = launch.run().complete();
        assert_same_tree(&cluster.path("rank1/into"), [("capped.bin", &capped)]);
        assert_same_tree(&cluster.path("rank2/into"), [("free.bin", &free)]);
        let (bytes_sent, bytes_received) =
            (report.peer(2).bytes_sent, report.peer(2).bytes_received);
        [(bytes_sent, report.peer(1).seconds), (bytes_received, report.peer(2).seconds)]
    });
}

#[test]
fn the_others_finish_as_if_a_rank_capped_in_both_directions_were_not_there() {
    let run = |leechers: &[(u32, &[&str])]| {
        let cluster = Cluster::new();
        let source = cluster.file("seeder/data.bin", 1, 40 * MIB);
        let report = start(&cluster, &[], leechers).finish().complete();
        for peer in report.peers.iter().filter(|peer| peer.rank >= 2) {
            let into = cluster.path(format!("rank{}/into", peer.rank));
            assert_same_tree(&into, [("data.bin", &source)]);
        }
        let slowest = (2..5).map(|rank| report.peer(rank).seconds).fold(0.0, f64::max);
        (report, slowest)
    };
    let limits: &[&str] = &["--limit-upload", "5MB", "--limit-download", "5MB"];
    let (_, without) = run(&[(3, &[])]);
    let (report, beside) = run(&[(3, &[]), (1, limits)]);
    // Eight seconds for the capped one. A machine that does something else now and then is given
    // half a second.
    println!("the slowest of the others: {without} s without it, {beside} s beside it");
    assert!(beside < 1.5 * without + 0.5, "{beside} s beside a capped rank, {without} s without");
    let capped = report.peer(5);
    let paid = capped.bytes_received as f64 / RATE as f64;
    // While the others move all they can, a small machine has little time for this one.
    assert!((0.95 * paid..1.05 * paid + beside / 2.0).contains(&capped.seconds), "{report:#?}");
    assert!(capped.bytes_sent as f64 <= 1.05 * RATE as f64 * capped.seconds, "{report:#?}");
}

#[test]
fn one_capped_sender_among_others_does_not_hold_up_the_swarm() {
    let cluster = Cluster::new();
    let source = cluster.file("seeder/data.bin", 1, 64 * MIB);
    // Rank 2 has it already, and sends a piece in 1.3 seconds.
    cluster.file("rank2/into/data.bin", 1, 64 * MIB);
    let cap: &[&str] = &["--limit-upload", "200kB"];
    let report = start(&cluster, &[], &[(1, cap), (3, &[])]).finish().complete();
    assert!(report.seconds < 20.0, "{report:#?}");
    for rank in 2..6 {
        let into = cluster.path(format!("rank{rank}/into"));
        assert_same_tree(&into, [("data.bin", &source)]);
    }
    println!("{} s, {} bytes from the capped rank", report.seconds, report.peer(2).bytes_sent);
}

#[test]
fn a_cap_below_a_piece_a_second_goes_on_and_nobody_is_lost() {
    let cluster = Cluster::new();
    let source = cluster.file("seeder/data.bin", 1, 500 * KIB);
    // A piece in two and a half seconds, with a patience of two.
    let cap: &[&str] = &["--limit-upload", "100kB", "--patience", "2"];
    let report = start(&cluster, cap, &[(2, &["--patience", "2"])]).finish().complete();
    assert!(report.seconds > 4.5, "{report:#?}");
    for rank in [2, 3] {
        let into = cluster.path(format!("rank{rank}/into"));
        assert_same_tree(&into, [("data.bin", &source)]);
    }
}
