//! Runs an example of this crate under the launcher of the MPI that it was built with, with a
//! deadline.

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

/// Whether this crate was built with an MPI whose other ranks can go on when one dies.
pub(crate) fn has_ulfm() -> bool {
    let version = mpi::library();
    let major = version.strip_prefix("Open MPI ").and_then(|rest| rest.split('.').next());
    major.and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 5)
}

fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    // A test that failed with the lock leaves nothing behind that could harm the next.
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `SHOAL_MPIRUN` (a launcher and its flags, split at blanks); else the launcher beside the
/// compiler wrapper that `MPICC` names; else the usual names of the library's launcher. With what
/// each needs to run more ranks than cores.
fn launcher() -> Command {
    let is_open_mpi = mpi::library().starts_with("Open MPI");
    let oversubscribe = || is_open_mpi.then_some(["--oversubscribe", "--bind-to", "none"]);
    if let Ok(line) = std::env::var("SHOAL_MPIRUN") {
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().expect("SHOAL_MPIRUN names a launcher"));
        command.args(words).args(oversubscribe().into_iter().flatten());
        return command;
    }
    let usual: &[&str] = if is_open_mpi {
        &["mpirun.openmpi", "mpirun"]
    } else {
        &["mpirun.mpich", "mpiexec.hydra", "mpirun"]
    };
    let of_wrapper = std::env::var("MPICC").map(|name| name.replace("mpicc", "mpirun"));
    let names = of_wrapper.iter().map(String::as_str).chain(usual.iter().copied());
    let name = names
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok())
        .unwrap_or_else(|| panic!("none of {usual:?} is here; set SHOAL_MPIRUN"));
    let mut command = Command::new(name);
    if has_ulfm() {
        command.args(["--with-ft", "ulfm"]);
    }
    command.args(oversubscribe().into_iter().flatten());
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
