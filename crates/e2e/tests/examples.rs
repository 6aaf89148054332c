//! The job scripts of `examples/`: every command line of every script is run, and the files that
//! arrive are compared. Launchers are stood in for by `shims/`; where this machine can have a
//! Slurm, its scripts run there, too.

use e2e::{Cluster, Finished, KIB, MIB, Mpi, NODE_COUNT, Slurm, assert_same_file, shoal, skip};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A script's own arguments and variables, in which `@` is the test's directory and `%` the local
/// disk; and the files that it must bring: from where, and to where on the local disk of which
/// nodes, or in the test's directory.
struct Example {
    script: &'static str,
    args: &'static [&'static str],
    vars: &'static [(&'static str, &'static str)],
    arrives: &'static [(&'static str, Place)],
}

enum Place {
    /// On each node's local disk.
    OnAll(&'static str),
    /// Where all nodes see it; the source lies on this node's local disk.
    Gathered(u32, &'static str),
    /// On each local disk but this node's, on which the source lies.
    FromNode(u32, &'static str),
}
use Place::{FromNode, Gathered, OnAll};

const MODEL: [(&str, Place); 2] = [
    ("model/weights.bin", OnAll("model/weights.bin")),
    ("model/config.json", OnAll("model/config.json")),
];
const RESULTS: [(&str, Place); 4] = [
    ("results/out.csv", Gathered(0, "gathered/rank0/out.csv")),
    ("results/out.csv", Gathered(1, "gathered/rank1/out.csv")),
    ("results/out.csv", Gathered(2, "gathered/rank2/out.csv")),
    ("results/out.csv", Gathered(3, "gathered/rank3/out.csv")),
];

const EXAMPLES: [Example; 8] = [
    Example {
        script: "slurm/stage-model.sh",
        args: &["@/model", "test", "-d", "@"],
        vars: &[("SCRATCH", "%")],
        arrives: &MODEL,
    },
    Example {
        script: "slurm/stage-python.sh",
        args: &["@/env", "-c", "exit 0"],
        vars: &[("SCRATCH", "%")],
        arrives: &[("env/lib/module.py", OnAll("env/lib/module.py"))],
    },
    Example {
        script: "slurm/gather-results.sh",
        args: &["%/results", "@/gathered"],
        vars: &[],
        arrives: &RESULTS,
    },
    Example {
        script: "slurm/refresh-dataset.sh",
        args: &["@/model"],
        vars: &[("SCRATCH", "%"), ("RATE", "100MB")],
        arrives: &MODEL,
    },
    Example {
        script: "pbs/stage-model.sh",
        args: &[],
        vars: &[("MODEL", "@/model"), ("SCRATCH", "%"), ("RUN", "test -d @")],
        arrives: &MODEL,
    },
    Example {
        script: "pbs/gather-results.sh",
        args: &[],
        vars: &[("RESULTS", "%/results"), ("INTO", "@/gathered")],
        arrives: &RESULTS,
    },
    Example {
        script: "mpirun/stage-model.sh",
        args: &["@/hosts.txt", "@/model", "%"],
        vars: &[],
        arrives: &MODEL,
    },
    Example {
        script: "mpirun/share-shards.sh",
        args: &["@/hosts.txt", "%/shards", "%/all"],
        vars: &[],
        arrives: &[
            ("shards/0.bin", FromNode(0, "all/0.bin")),
            ("shards/1.bin", FromNode(1, "all/1.bin")),
            ("shards/2.bin", FromNode(2, "all/2.bin")),
            ("shards/3.bin", FromNode(3, "all/3.bin")),
        ],
    },
];

/// The files that the examples need: what all nodes see, and on each node's local disk its own.
fn prepare(cluster: &Cluster, disk: impl Fn(u32) -> PathBuf) {
    cluster.file("model/weights.bin", 1, 3 * MIB);
    cluster.file("model/config.json", 2, 700);
    cluster.file("env/lib/module.py", 3, 9 * KIB);
    cluster.directory("env/bin");
    symlink("/bin/sh", cluster.path("env/bin/python")).unwrap();
    cluster.text("hosts.txt", "a\nb\nc\nd\n");
    // As PBS writes it: a line for each slot.
    cluster.text("nodefile", "a\na\nb\nb\nc\nc\nd\nd\n");
    for node in 0..NODE_COUNT {
        let seed = u64::from(node) + 10;
        for (name, len) in [("results/out.csv", 40 * KIB), (&*format!("shards/{node}.bin"), MIB)] {
            let path = disk(node).join(name);
            cluster.file(&path, seed, len);
        }
    }
}

/// The words with the test's directory and the local disk put in.
fn fill(text: &str, cluster: &Cluster, local: &Path) -> String {
    let at = cluster.path("");
    let at = at.to_str().unwrap().trim_end_matches('/');
    text.replace('@', at).replace('%', local.to_str().unwrap())
}

fn examples() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")).unwrap()
}

impl Example {
    fn environment(&self, cluster: &Cluster, local: &Path) -> Vec<(String, String)> {
        let filled =
            self.vars.iter().map(|(name, v)| ((*name).to_owned(), fill(v, cluster, local)));
        filled.collect()
    }

    fn words(&self, cluster: &Cluster, local: &Path) -> Vec<String> {
        let script = examples().join(self.script).display().to_string();
        let args = self.args.iter().map(|arg| fill(arg, cluster, local));
        std::iter::once(script).chain(args).collect()
    }

    /// Every file is where it must be, and equal.
    fn check(&self, cluster: &Cluster, disk: impl Fn(u32) -> PathBuf) {
        for (source, place) in self.arrives {
            match place {
                OnAll(path) => {
                    for node in 0..NODE_COUNT {
                        assert_same_file(&cluster.path(source), &disk(node).join(path));
                    }
                }
                Gathered(node, path) => {
                    assert_same_file(&disk(*node).join(source), &cluster.path(path));
                }
                FromNode(owner, path) => {
                    for node in (0..NODE_COUNT).filter(|node| node != owner) {
                        assert_same_file(&disk(*owner).join(source), &disk(node).join(path));
                    }
                }
            }
        }
    }

    /// Runs it with the stand-ins, and says what it ran, line by line.
    fn run_with_shims(&self, cluster: &Cluster, more: &[(&str, &str)]) -> Finished {
        let shims = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shims");
        // shoal fills in the rank; for the shell the same name is rank 0's.
        let local = cluster.path("local/{rank}");
        let mut launcher = vec![Mpi::tested().launcher().display().to_string()];
        launcher.extend(Mpi::tested().flags());
        let path = format!("{}:{}", shims.display(), std::env::var("PATH").unwrap());
        let launches = cluster.text("launches", "").display().to_string();
        let mut vars = self.environment(cluster, &local);
        let nodefile = cluster.path("nodefile").display().to_string();
        let given = [
            ("PATH", &*path),
            ("SHOAL_E2E_LAUNCHER", &launcher.join(" ")),
            ("SHOAL_E2E_BINARY", shoal().to_str().unwrap()),
            ("SHOAL_E2E_LAUNCHES", &launches),
            ("SLURM_NNODES", "4"),
            ("SLURM_JOB_ID", "7"),
            ("PBS_NODEFILE", &nodefile),
            ("PBS_JOBID", "7"),
        ];
        vars.extend(given.iter().chain(more).map(|&(name, v)| (name.to_owned(), v.to_owned())));
        let words = self.words(cluster, &local);
        let traced = ["bash", "-c", TRACED, "bash"].into_iter();
        let words: Vec<&str> = traced.chain(words.iter().map(|word| &**word)).collect();
        cluster.script(&words, vars).run()
    }
}

/// Runs a script as bash does, each command shown with its line. (Root's bash takes no PS4 from
/// outside.)
const TRACED: &str = r#"script=$1; shift; PS4='+line $LINENO: '; set -x; . "$script" "$@""#;

/// A directory with everything, for the stand-ins.
fn shimmed() -> Cluster {
    let cluster = Cluster::new();
    prepare(&cluster, |node| cluster.path(format!("local/{node}")));
    symlink("0", cluster.path("local/{rank}")).unwrap();
    cluster
}

fn check_shimmed(example: &Example, cluster: &Cluster) {
    example.check(cluster, |node| cluster.path(format!("local/{node}")));
}

/// The commands of a script that start `shoal`, each as the lines that it spans.
fn command_lines(script: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut first = None;
    let mut starts_shoal = false;
    for (number, line) in script.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let code = line.trim_start();
        if code.starts_with('#') {
            continue;
        }
        let begin = *first.get_or_insert(number);
        starts_shoal |= code.split_whitespace().any(|word| word == "shoal");
        if !line.ends_with('\\') {
            if starts_shoal {
                found.push((begin, number));
            }
            (first, starts_shoal) = (None, false);
        }
    }
    found
}

/// The lines whose command had the word `shoal` in it, out of a trace of `bash -x`.
fn traced_lines(trace: &str) -> BTreeSet<usize> {
    let number = |line: &str| {
        let (number, command) =
            line.trim_start_matches('+').strip_prefix("line ")?.split_once(": ")?;
        command.split(' ').any(|word| word == "shoal").then(|| number.parse().ok())?
    };
    trace.lines().filter_map(number).collect()
}

#[test]
fn every_command_line_of_every_example_is_run() {
    let mut scripts = BTreeSet::new();
    for directory in fs::read_dir(examples()).unwrap().flatten() {
        let of = directory.file_name().display().to_string();
        for file in fs::read_dir(directory.path()).into_iter().flatten().flatten() {
            scripts.insert(format!("{of}/{}", file.file_name().display()));
        }
    }
    let tested: BTreeSet<String> = EXAMPLES.iter().map(|e| e.script.to_owned()).collect();
    assert_eq!(scripts, tested, "the scripts of examples/, and those that are run here");
    for example in &EXAMPLES {
        let cluster = shimmed();
        let finished = example.run_with_shims(&cluster, &[]);
        assert_eq!(finished.status, 0, "{}: {finished}", example.script);
        check_shimmed(example, &cluster);
        let text = fs::read_to_string(examples().join(example.script)).unwrap();
        let lines = traced_lines(&finished.stderr);
        let commands = command_lines(&text);
        assert!(!commands.is_empty(), "{} starts no shoal", example.script);
        for (first, last) in commands {
            let was_run = lines.range(first..=last).next().is_some();
            assert!(was_run, "{}:{first}: never run\n{finished}", example.script);
        }
    }
}

#[test]
fn after_status_3_an_example_goes_on_and_after_status_2_it_ends() {
    for example in &EXAMPLES {
        let cluster = shimmed();
        let finished = example.run_with_shims(&cluster, &[("SHOAL_E2E_FAIL_FIRST", "1")]);
        assert_eq!(finished.status, 0, "{}: {finished}", example.script);
        check_shimmed(example, &cluster);
        // Its sources are gone: refused, and tried no second time.
        let cluster = shimmed();
        for gone in ["model", "env", "local"] {
            fs::remove_dir_all(cluster.path(gone)).unwrap();
        }
        let finished = example.run_with_shims(&cluster, &[]);
        assert_eq!(finished.status, 2, "{}: {finished}", example.script);
        let launches = fs::read_to_string(cluster.path("launches")).unwrap();
        assert_eq!(launches.lines().count(), 1, "{}: {launches}", example.script);
    }
}

#[test]
fn a_refresh_moves_only_what_differs_and_removes_what_is_gone() {
    let example = EXAMPLES.iter().find(|e| e.script == "slurm/refresh-dataset.sh").unwrap();
    let cluster = shimmed();
    assert_eq!(example.run_with_shims(&cluster, &[]).status, 0);
    cluster.file("model/config.json", 5, 701);
    let gone = cluster.text("local/2/model/no-more.txt", "the source has it no more");
    let finished = example.run_with_shims(&cluster, &[]);
    assert_eq!(finished.status, 0, "{finished}");
    check_shimmed(example, &cluster);
    let report = fs::read_to_string(cluster.path("refresh-7.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["bytes_delivered"], 4 * 701, "{report}");
    assert!(!gone.exists(), "{finished}");
}

#[test]
fn the_examples_for_slurm_run_under_a_real_one() {
    let slurm = match Slurm::start() {
        Ok(slurm) => slurm,
        Err(why) => return skip(&why),
    };
    for example in EXAMPLES.iter().filter(|example| example.script.starts_with("slurm/")) {
        let cluster = Cluster::new();
        prepare(&cluster, |node| slurm.disk_of(node));
        cluster.directory("bin");
        symlink(shoal(), cluster.path("bin/shoal")).unwrap();
        let local = slurm.local_disk();
        let mut vars = slurm.environment();
        vars.extend(example.environment(&cluster, &local));
        let path = std::env::var("PATH").unwrap();
        vars.push(("PATH".to_owned(), format!("{}:{path}", cluster.path("bin").display())));
        vars.push(("SLURM_MPI_TYPE".to_owned(), Slurm::mpi_plugin().to_owned()));
        let words = example.words(&cluster, &local);
        let sbatch = ["sbatch", "--quiet", "--wait", "--nodes=4", "--output=job.log"];
        let words: Vec<&str> = sbatch.into_iter().chain(words.iter().map(|w| &**w)).collect();
        let finished = cluster.script(&words, vars).run();
        let log = fs::read_to_string(cluster.path("job.log")).unwrap_or_default();
        assert_eq!(finished.status, 0, "{}: {finished}\n{log}", example.script);
        assert!(log.contains("complete: 4 ranks"), "{}: {log}", example.script);
        example.check(&cluster, |node| slurm.disk_of(node));
    }
}
