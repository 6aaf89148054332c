//! How a job is started: ranks and their command lines, the user, the deadline.

use crate::binary::{Mpi, shoal};
use crate::finished::Finished;
use crate::running::Running;
use crate::slots::Slots;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Which user the job runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// The one that runs the tests.
    Same,
    /// Nobody, where root runs the tests: permissions mean something. The same user otherwise.
    Unprivileged,
}

/// What may run beside the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// One other job: the normal case.
    Shared,
    /// No other job: for what measures time or memory, or brings many ranks.
    Alone,
    /// Anything: for a second job of the same test.
    Beside,
}

/// A job that has not been started. `--json` is added to every command line.
#[derive(Debug)]
pub struct Launch {
    directory: PathBuf,
    segments: Vec<(u32, Vec<OsString>)>,
    deadline: Duration,
    user: User,
    load: Load,
    json: bool,
    launcher: Option<OtherLauncher>,
    /// Words before the binary: a program that changes something and becomes it.
    through: Vec<String>,
}

/// Words that start a job instead of the MPI's launcher, and variables that they need.
type OtherLauncher = (Vec<String>, Vec<(String, String)>);

/// How long a job may take unless told otherwise.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often a launcher is started that fails before it has started any rank.
const ATTEMPTS: usize = 3;
/// The environment variable that marks every process of a run.
pub(crate) const MARK: &str = "SHOAL_E2E_RUN";

impl Launch {
    pub(crate) fn new(directory: PathBuf) -> Self {
        let segments = Vec::new();
        let (user, load) = (User::Same, Load::Shared);
        let (deadline, json, launcher, through) = (DEADLINE, true, None, Vec::new());
        Self { directory, segments, deadline, user, load, json, launcher, through }
    }

    /// Adds more ranks, with a command line of their own (the launcher's colon syntax).
    #[must_use]
    pub fn and<I, A>(mut self, ranks: u32, args: I) -> Self
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        self.segments.push((ranks, args));
        self
    }

    /// Gives it another deadline.
    #[must_use]
    pub fn deadline(mut self, seconds: u64) -> Self {
        self.deadline = Duration::from_secs(seconds);
        self
    }

    /// Runs it as another user.
    #[must_use]
    pub fn user(mut self, user: User) -> Self {
        self.user = user;
        self
    }

    /// Says what may run beside it.
    #[must_use]
    pub fn load(mut self, load: Load) -> Self {
        self.load = load;
        self
    }

    /// Asks for no JSON report.
    #[must_use]
    pub fn without_json(mut self) -> Self {
        self.json = false;
        self
    }

    /// Gives every rank a hard limit of open files, and the launcher none.
    #[must_use]
    pub fn open_files(mut self, most: u64) -> Self {
        self.through = vec!["prlimit".into(), format!("--nofile={most}:{most}")];
        self
    }

    /// Lets every rank give way to whatever else wants a core: for a test whose own threads must
    /// get their turn, though there are more ranks than cores.
    #[must_use]
    pub fn giving_way(mut self) -> Self {
        self.through = ["nice", "-n", "19"].map(str::to_owned).into();
        self
    }

    /// Starts it by these words (an `srun` with its options, an `salloc`, a script) instead of by
    /// the launcher of the MPI; they, and no number of ranks, come before the first command line,
    /// where there is one.
    #[must_use]
    pub fn by(mut self, words: &[&str], environment: Vec<(String, String)>) -> Self {
        let words = words.iter().map(|&word| word.to_owned()).collect();
        self.launcher = Some((words, environment));
        self
    }

    /// Starts it under the launcher and waits for its end.
    pub fn run(self) -> Finished {
        self.start().finish()
    }

    /// Starts it under the launcher; once more where that says that it could not begin.
    pub fn start(self) -> Running {
        for _ in 1..ATTEMPTS {
            let mut running = self.launch();
            if !running.is_stillborn() {
                return running;
            }
        }
        self.launch()
    }

    fn launch(&self) -> Running {
        if let Some((words, environment)) = &self.launcher {
            let mut command = self.command(OsStr::new(&words[0]));
            command.args(&words[1..]);
            if let Some((_, args)) = self.segments.first() {
                command.arg(self.binary()).args(self.full(args));
            }
            command.envs(environment.iter().map(|(name, value)| (name, value)));
            return self.spawn(command);
        }
        let mpi = Mpi::tested();
        let mut command = self.command(mpi.launcher().as_os_str());
        for (index, (ranks, args)) in self.segments.iter().enumerate() {
            if index > 0 {
                command.arg(":");
            }
            command.args(mpi.flags().into_iter().filter(|_| index == 0));
            command.arg("-n").arg(ranks.to_string());
            command.args(&self.through);
            command.arg(self.binary()).args(self.full(args));
        }
        self.spawn(command)
    }

    /// Starts the binary itself, without a launcher, and waits for its end.
    pub fn run_unlaunched(self) -> Finished {
        let mut command = self.command(self.binary().as_os_str());
        command.args(self.full(&self.segments[0].1));
        self.spawn(command).finish()
    }

    /// The command line of a rank, with what every run gets.
    fn full(&self, args: &[OsString]) -> Vec<OsString> {
        let mut args = args.to_vec();
        if self.json {
            args.push("--json".into());
            args.push(self.directory.join("report.json").into());
        }
        args
    }

    /// The binary; a copy of it where another user must be able to reach it.
    fn binary(&self) -> PathBuf {
        if self.user == User::Same || !crate::is_root() {
            return shoal().to_owned();
        }
        let copy = self.directory.join("shoal-binary");
        if !copy.exists() {
            std::fs::copy(shoal(), &copy).expect("the binary can be copied");
        }
        copy
    }

    fn command(&self, program: &OsStr) -> Command {
        if self.user == User::Same || !crate::is_root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
        // Nobody has no home; what a cache would hold is of no use here.
        command.env("HOME", &self.directory).env_remove("XDG_CACHE_HOME");
        command.env_remove("XDG_RUNTIME_DIR");
        command
    }

    fn spawn(&self, mut command: Command) -> Running {
        let slots = match self.load {
            Load::Shared => Slots::one(),
            Load::Alone => Slots::all(),
            Load::Beside => Slots::none(),
        };
        let mark = new_mark();
        let json = self.directory.join("report.json");
        let _ = std::fs::remove_file(&json);
        let output = |name: &str| {
            let path = self.directory.join(format!("{name}-{mark}"));
            (File::create(&path).expect("the test's directory is writable"), path)
        };
        let ((stdout, stdout_path), (stderr, stderr_path)) = (output("stdout"), output("stderr"));
        command
            .current_dir(&self.directory)
            .env(MARK, &mark)
            .envs(Mpi::tested().environment().iter().copied())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0);
        let shown = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let outputs = (stdout_path, stderr_path);
        Running::new(child, mark, shown, self.deadline, outputs, json, slots)
    }
}

/// A mark that no other run on this machine has.
pub(crate) fn new_mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = crate::slots::test_directory();
    let inode = std::fs::metadata(Path::new(&directory))
        .map_or(0, |m| std::os::unix::fs::MetadataExt::ino(&m));
    format!("{inode}-{}-{number}", std::process::id())
}
