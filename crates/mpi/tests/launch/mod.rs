//! Runs an example of the crate that is tested under a launcher, with a deadline.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What became of a job.
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    /// Everything that its ranks and its launcher printed.
    pub(crate) output: String,
    pub(crate) took: Duration,
}

/// Builds an example and runs it with so many ranks. One job runs at a time, so that none starves
/// another.
///
/// # Panics
///
/// Panics where the job does not end within the deadline; its processes are told to end then, and
/// killed.
pub(crate) fn launch(example: &str, args: &[&str], ranks: u32, deadline: Duration) -> Ended {
    let _alone = one_at_a_time();
    let program = build(example);
    let mut command = launcher();
    command.args(["-n", &ranks.to_string()]).arg(program).args(args);
    for allow in ["OMPI", "PRTE"] {
        command.env(format!("{allow}_ALLOW_RUN_AS_ROOT"), "1");
        command.env(format!("{allow}_ALLOW_RUN_AS_ROOT_CONFIRM"), "1");
    }
    let start = Instant::now();
    let log = tempfile();
    let writer = || std::fs::File::options().append(true).open(&log).expect("the log opens");
    command.stdin(Stdio::null()).stdout(writer()).stderr(writer()).process_group(0);
    let mut job = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let status = wait(&mut job, start + deadline);
    let output = read(&log);
    std::fs::remove_file(&log).expect("the log was made above");
    let Some(status) = status else {
        panic!("{command:?} did not end within {deadline:?}:\n{output}");
    };
    Ended { status: status.code(), output, took: start.elapsed() }
}

/// Whether the launcher lets the other ranks go on when one dies.
#[allow(dead_code, reason = "each test file uses a part of this one")]
pub(crate) fn has_ulfm() -> bool {
    launcher_line().split_whitespace().any(|word| word == "ulfm")
}

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    // A test that failed with the lock leaves nothing behind that could harm the next.
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The launcher and its flags: `SHOAL_MPIRUN`, else Debian's name for Open MPI's, else whatever is
/// there.
fn launcher_line() -> String {
    std::env::var("SHOAL_MPIRUN").unwrap_or_else(|_| {
        let usual = ["mpirun.openmpi", "mpirun", "mpiexec"];
        let is_here = |name: &&str| Command::new(name).arg("--version").output().is_ok();
        let name = usual.into_iter().find(is_here);
        name.unwrap_or_else(|| panic!("none of {usual:?} is here; set SHOAL_MPIRUN")).to_owned()
    })
}

/// The launcher, with what it needs to run more ranks than cores.
fn launcher() -> Command {
    let line = launcher_line();
    let mut words = line.split_whitespace();
    let name = words.next().expect("SHOAL_MPIRUN names a launcher");
    let version = Command::new(name).arg("--version").output();
    let version = version.unwrap_or_else(|error| panic!("{name}: {error}")).stdout;
    let version = String::from_utf8_lossy(&version).to_lowercase();
    let mut command = Command::new(name);
    command.args(words);
    if ["open mpi", "openrte", "prte"].iter().any(|theirs| version.contains(theirs)) {
        command.args(["--oversubscribe", "--bind-to", "none"]);
    }
    command
}

/// Brings an example up to date, where `cargo test` was told to build this test only, and finds it.
fn build(example: &str) -> PathBuf {
    // target/PROFILE/deps/TEST
    let test = std::env::current_exe().expect("a test knows itself");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in deps");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--example", example]);
    cargo.args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    cargo.arg("--target-dir").arg(profile.parent().expect("profiles lie in the target directory"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "{cargo:?}");
    profile.join("examples").join(example)
}

fn tempfile() -> PathBuf {
    let path = std::env::temp_dir().join(format!("shoal-mpi-test-{}.log", std::process::id()));
    std::fs::write(&path, "").expect("the directory of temporary files is writable");
    path
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(path).expect("the log opens");
    file.read_to_end(&mut bytes).expect("the log is readable");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for a job; ends it at the deadline, first kindly, so that the launcher ends its ranks too.
fn wait(job: &mut Child, deadline: Instant) -> Option<std::process::ExitStatus> {
    let group = format!("-{}", job.id());
    for (until, signal) in [(deadline, "-TERM"), (deadline + Duration::from_secs(5), "-KILL")] {
        while Instant::now() < until {
            if let Some(status) = job.try_wait().expect("a child can be waited for") {
                return (until == deadline).then_some(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = Command::new("kill").args([signal, "--", &group]).status();
    }
    job.wait().expect("a child can be waited for");
    None
}
