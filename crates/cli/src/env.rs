//! The world around the command, as one value: what tests make up and what the process really has.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Environment variables; neither names nor values need be UTF-8.
pub type Vars = BTreeMap<OsString, OsString>;

/// All that the front end knows of the world. It asks for nothing else, but for files that are
/// named to it.
pub struct Env {
    /// The arguments, the program's own name first.
    pub args: Vec<OsString>,
    /// The environment variables.
    pub vars: Vars,
    /// The directory that the plan's and the report's relative paths start from.
    pub current_dir: PathBuf,
    /// When this process began.
    pub began: Instant,
    /// This program, for starting itself again under a launcher.
    pub exe: PathBuf,
    /// The host's name.
    pub host: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Whether the user is root, under whom Open MPI wants to be asked twice.
    pub is_root: bool,
    /// Whether standard error is a terminal.
    pub is_terminal: bool,
    /// Where help and the table go.
    pub stdout: Box<dyn Write>,
    /// Where errors, notices and progress go.
    pub stderr: Box<dyn Write>,
    /// Waits; tests do not.
    pub pause: fn(Duration),
}

impl Env {
    /// The world that this process runs in.
    pub fn of_process() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self {
            args: std::env::args_os().collect(),
            vars: std::env::vars_os().collect(),
            current_dir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            began: Instant::now(),
            exe: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("shoal")),
            host,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            is_root: rustix::process::geteuid().is_root(),
            is_terminal: std::io::stderr().is_terminal(),
            stdout: Box::new(std::io::stdout()),
            stderr: Box::new(std::io::stderr()),
            pause: std::thread::sleep,
        }
    }
}

/// A variable's number; `None` where it is unset or no number.
pub fn number(vars: &Vars, name: &str) -> Option<u32> {
    vars.get(OsStr::new(name))?.to_str()?.trim().parse().ok()
}
