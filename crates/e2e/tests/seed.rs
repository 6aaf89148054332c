//! The seed's protocol can be watched at work: its channels with their tags, and the words of a
//! life.

use e2e::{Cluster, MIB};

#[test]
fn every_channel_of_the_seed_is_seen_with_its_tag() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, 5 * MIB);
    cluster.file("rank2/share/b.bin", 2, MIB);
    let args = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into", "-vv"];
    let finished = cluster.launch(4, args).run();
    finished.complete();
    let channels =
        ["INIT(1)", "TRACKER_DTH(0)", "DTH_UTH(2)", "ACK(5)", "PIECE(3)", "UPDATE(6)", "FINISH(4)"];
    for channel in channels {
        let lines: Vec<&str> =
            finished.stderr.lines().filter(|line| line.contains(channel)).collect();
        assert!(!lines.is_empty(), "{channel} is never seen\n{finished}");
        let ranked = |line: &&str| line.contains("rank") || line.starts_with('[');
        assert!(lines.iter().any(ranked), "{channel} is seen without ranks: {}", lines[0]);
    }
    for word in ["START", "STOP", "FINISH", "END"] {
        assert!(finished.stderr.contains(word), "{word} is never said\n{finished}");
    }
}

#[test]
fn a_quiet_run_shows_no_messages() {
    let cluster = Cluster::new();
    cluster.file("rank1/share/a.bin", 1, MIB);
    let args = ["run", "--share", "rank{rank}/share", "--into", "rank{rank}/into"];
    let finished = cluster.launch(3, args).run();
    finished.complete();
    assert!(!finished.stderr.contains("DTH_UTH"), "{finished}");
}
