//! A destination that lies in what is shared, and other ways in which the two meet: nothing is left
//! out without a word, and nothing is shared again that was received.

use e2e::{Bind, Cluster, KIB, assert_same_file, names_below, skip};
use std::os::unix::fs::symlink;
use std::path::Path;

const NOT_SHARED: &str = "lies in what it shares, as 'proj/data': it is not shared, with the";

/// All names below a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    names_below(directory).keys().map(|path| path.display().to_string()).collect()
}

#[test]
fn a_cast_into_its_own_source_is_refused_where_others_would_miss_something() {
    let cluster = Cluster::new();
    cluster.file("proj/code.py", 1, 10 * KIB);
    cluster.file("proj/data/train.csv", 2, 10 * KIB);
    cluster.file("proj/data/more/x", 3, KIB);
    let cast = ["cast", "proj", "proj/data"];
    let refused = cluster.launch(2, cast).run();
    refused
        .refused(&["as 'proj/data'", "'proj/data/more' and 2 more; choose a destination outside"]);
    cluster.launch(2, ["cast", "proj", "proj/data", "--shared-fs"]).run().refused(&["proj/data"]);
    cluster.launch(2, ["cast", "proj", "proj/data", "--check"]).run().refused(&["proj/data"]);
    assert_eq!(names(&cluster.path("proj/data")), ["more", "more/x", "train.csv"]);
    // By a link, and by another mount.
    symlink("proj", cluster.path("alias")).unwrap();
    cluster.launch(2, ["cast", "proj", "alias/data"]).run().refused(&["as 'proj/data'"]);
    let seen = cluster.directory("seen");
    if let Some(_mounted) = Bind::mount(&cluster.path("proj"), &seen) {
        cluster.launch(2, ["cast", "proj", "seen/data"]).run().refused(&["as 'proj/data'"]);
    }
}

#[test]
fn what_a_cast_left_in_its_own_source_is_not_cast_again_and_counted() {
    let cluster = Cluster::new();
    let code = cluster.file("proj/code.py", 1, 10 * KIB);
    for more in [&[][..], &["--shared-fs"], &["--delete"]] {
        let args: Vec<&str> = ["cast", "proj", "proj/data"].iter().chain(more).copied().collect();
        let finished = cluster.launch(2, &args).run();
        finished.complete();
        let again = !more.is_empty();
        assert_eq!(finished.stderr.contains(NOT_SHARED), again, "{finished}");
        assert!(!again || finished.stderr.contains("with the 2 entries in it"), "{finished}");
        let copies = names(&cluster.path("proj/data"));
        assert_eq!(copies, ["proj", "proj/code.py"]);
    }
    assert_same_file(&code, &cluster.path("proj/data/proj/code.py"));
    cluster.launch(2, ["cast", "proj", "proj/data", "--check"]).run().complete();
}

#[test]
fn a_cast_of_nothing_but_its_destination_is_refused() {
    let cluster = Cluster::new();
    cluster.file("d/set/a", 1, KIB);
    for args in [&["cast", "d", "d/set"][..], &["cast", "d", "d/set", "--dry-run"]] {
        cluster.launch(2, args).run().refused(&["'d' holds nothing but the destination"]);
    }
    cluster.directory("e/f");
    for into in ["e/f/new", "e/f"] {
        cluster.launch(2, ["cast", "e", into]).run().refused(&["'e' holds nothing but"]);
    }
    assert_eq!(names(&cluster.path("e")), ["f"]);
    // The destination and the source are one.
    cluster.launch(2, ["cast", "d", "d"]).run().refused(&["'d' would be cast into itself"]);
    assert_eq!(names(&cluster.path("d")), ["set", "set/a"]);
}

#[test]
fn a_source_in_the_destination_is_no_trouble() {
    let cluster = Cluster::new();
    let file = cluster.file("x/y/set/a", 1, KIB);
    cluster.launch(2, ["cast", "x/y/set", "x/y"]).run().complete();
    cluster.launch(2, ["cast", "x/y/set", "x"]).run().complete();
    assert_same_file(&file, &cluster.path("x/set/a"));
    assert_eq!(names(&cluster.path("x/y")), ["set", "set/a"]);
}

#[test]
fn a_rank_of_a_plan_misses_nothing_without_a_word() {
    let cluster = Cluster::new();
    cluster.file("d/a", 1, KIB);
    cluster.file("d/in/f", 2, KIB);
    cluster.file("e/b", 3, KIB);
    let plan = |want: &str| {
        let plan = format!(
            "[[peer]]\nranks = '1'\nshare = ['d']\nwant = ['b']\ninto = 'd/in'\n\
             [[peer]]\nranks = '2'\nshare = ['e']\nwant = ['{want}']\ninto = 'out'\n"
        );
        cluster.text("plan.toml", &plan);
        cluster.launch(3, ["run", "--plan", "plan.toml"]).run()
    };
    plan("**").refused(&["the destination of rank 1 lies in what it shares, as 'in'", "'in/f'"]);
    // Nobody asked for it.
    let finished = plan("a");
    finished.complete();
    assert!(finished.stderr.contains("it is not shared, with the 1 entry in it"), "{finished}");
    assert!(cluster.path("out/a").exists() && cluster.path("d/in/b").exists());
    // What the job itself put there is no loss, but f still is.
    plan("**").refused(&["'in/f'; choose"]);
    std::fs::remove_file(cluster.path("d/in/f")).unwrap();
    plan("**").complete();
}

#[test]
fn a_destination_in_what_another_rank_of_the_host_shares_is_refused() {
    let cluster = Cluster::new();
    cluster.file("proj/a", 1, KIB);
    let refusal = ["the destination of rank 1, lies in what rank 0 shares, 'proj'"];
    cluster.launch(2, ["cast", "proj", "proj/out{rank}"]).run().refused(&refusal);
    let seen = cluster.directory("seen");
    let Some(_mounted) = Bind::mount(&cluster.path("proj"), &seen) else {
        return skip("nothing can be mounted here");
    };
    let finished = cluster.launch(2, ["cast", "proj", "seen/out{rank}"]).run();
    finished.refused(&refusal);
    assert_eq!(names(&cluster.path("proj")), ["a"]);
}
