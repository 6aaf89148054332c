//! A destination without room: what is said of it, where, and how often.

use e2e::{Cluster, Finished, MIB, Tmpfs, skip};
use std::fs;

const RUN: [&str; 5] = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];

/// Small file systems at the destinations of these ranks, where rank 1 shares something larger.
fn without_room(cluster: &Cluster, ranks: &[u32]) -> Option<Vec<Tmpfs>> {
    cluster.file("rank1/share/large.bin", 1, 5 * MIB);
    let mount = |rank: &u32| {
        let into = cluster.destination(*rank);
        fs::create_dir_all(&into).unwrap();
        Tmpfs::mount(&into, MIB)
    };
    ranks.iter().map(mount).collect()
}

/// What is said of this rank's destination.
fn sentence(cluster: &Cluster, rank: u32) -> String {
    format!("5.00 MiB must be written to '{}', where ", cluster.destination(rank).display())
}

fn assert_said_once(finished: &Finished, sentence: &str) {
    assert_eq!(finished.stderr.matches(sentence).count(), 1, "{sentence}\n{finished}");
}

#[test]
fn where_no_rank_has_room_each_reason_is_given_once() {
    let cluster = Cluster::new();
    let Some(_mounted) = without_room(&cluster, &[2, 3]) else {
        return skip("a tmpfs can only be mounted by root");
    };
    for more in [&[][..], &["--dry-run"]] {
        let finished = cluster.launch(4, RUN.iter().chain(more)).run();
        finished.refused(&["rank 2 cannot receive: ", "rank 3 cannot receive: "]);
        for rank in [2, 3] {
            assert_said_once(&finished, &sentence(&cluster, rank));
        }
    }
}

#[test]
fn a_rank_without_room_is_explained_below_the_table_where_the_job_is_short() {
    let cluster = Cluster::new();
    let Some(_mounted) = without_room(&cluster, &[2]) else {
        return skip("a tmpfs can only be mounted by root");
    };
    let finished = cluster.launch(4, RUN).run();
    finished.ended_as("degraded");
    let sentence = sentence(&cluster, 2);
    finished.incomplete(&[2], &[&sentence, " are left for this rank: make room"]);
    assert_eq!(finished.stdout.matches(&sentence).count(), 1, "{finished}");
    assert!(!finished.stderr.contains(&sentence), "{finished}");
}

#[test]
fn a_rank_without_room_is_told_of_once_while_the_others_go_on() {
    let cluster = Cluster::new();
    let Some(_mounted) = without_room(&cluster, &[2]) else {
        return skip("a tmpfs can only be mounted by root");
    };
    let slow = ["--limit-upload", "500kB", "--patience", "4"];
    let finished = cluster.launch(4, RUN.iter().chain(&slow)).run();
    finished.ended_as("degraded");
    finished.says(&["rank 2 cannot receive, and the others go on: 5.00 MiB must be written to"]);
    assert_said_once(&finished, &sentence(&cluster, 2));
}

#[test]
fn ranks_that_share_a_destination_without_room_give_one_reason() {
    let cluster = Cluster::new();
    let Some(_mounted) = without_room(&cluster, &[2]) else {
        return skip("a tmpfs can only be mounted by root");
    };
    let finished = cluster.launch(2, RUN).and(2, ["run", "--into", "rank2/into"]).run();
    assert!([2, 3].contains(&finished.status), "{finished}");
    assert!(finished.stderr.matches(&sentence(&cluster, 2)).count() <= 1, "{finished}");
}
