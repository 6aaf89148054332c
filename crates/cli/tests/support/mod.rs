//! A world made up for a test, and golden files. `BLESS=1 cargo test` writes them anew; read them
//! before they are committed.

#![allow(dead_code, reason = "each test file uses a part of it")]

use cli::{Action, Env, Launcher, Orders};
use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// What is written can be read back.
#[derive(Clone, Default)]
pub(crate) struct Sink(Rc<RefCell<Vec<u8>>>);

impl Sink {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).expect("the output is UTF-8")
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

thread_local! {
    /// How long this thread's worlds have waited.
    pub(crate) static PAUSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A world to be changed before use: four cores, one host, rank 1 of 3 under Open MPI.
pub(crate) struct World {
    pub(crate) vars: Vec<(String, OsString)>,
    pub(crate) args: Vec<OsString>,
    pub(crate) dir: PathBuf,
    pub(crate) is_root: bool,
    pub(crate) is_terminal: bool,
    pub(crate) cores: usize,
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
}

impl World {
    /// Arguments that hold no spaces, split at spaces; `''` is an empty one.
    pub(crate) fn new(args: &str) -> Self {
        let words = args.split_whitespace().map(|word| word.trim_matches('\'').into());
        Self {
            vars: Vec::new(),
            args: std::iter::once("shoal".into()).chain(words).collect(),
            dir: "/nowhere".into(),
            is_root: false,
            is_terminal: false,
            cores: 16,
            stdout: Sink::default(),
            stderr: Sink::default(),
        }
        .rank(1, 3)
    }

    /// Another rank, under Open MPI's launcher, two ranks a host.
    pub(crate) fn rank(mut self, rank: u32, size: u32) -> Self {
        self.vars.retain(|(name, _)| !name.starts_with("OMPI_COMM_WORLD_"));
        for (name, value) in [
            ("OMPI_COMM_WORLD_RANK", rank),
            ("OMPI_COMM_WORLD_SIZE", size),
            ("OMPI_COMM_WORLD_LOCAL_RANK", rank % 2),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", 2),
        ] {
            self.vars.push((name.to_owned(), value.to_string().into()));
        }
        self
    }

    pub(crate) fn without_launcher(mut self) -> Self {
        self.vars.retain(|(name, _)| !name.starts_with("OMPI_COMM_WORLD_"));
        self
    }

    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = dir.to_owned();
        self
    }

    pub(crate) fn env(&self) -> Env {
        Env {
            args: self.args.clone(),
            vars: self.vars.iter().map(|(name, value)| (name.into(), value.clone())).collect(),
            current_dir: self.dir.clone(),
            began: std::time::Instant::now(),
            exe: "/opt/shoal".into(),
            host: "node07.cluster".to_owned(),
            cores: self.cores,
            is_root: self.is_root,
            is_terminal: self.is_terminal,
            stdout: Box::new(self.stdout.clone()),
            stderr: Box::new(self.stderr.clone()),
            pause: |time| PAUSED.set(PAUSED.get() + time),
        }
    }

    pub(crate) fn launcher(&self) -> Launcher {
        Launcher::detect(&self.env().vars)
    }

    pub(crate) fn decide(&self) -> Result<Action, String> {
        cli::decide(&self.env(), &self.launcher()).map_err(|error| format!("{error:#}"))
    }

    /// The orders of a command line that is right.
    pub(crate) fn orders(&self) -> Orders {
        match self.decide() {
            Ok(Action::Run(orders)) => *orders,
            other => panic!("{:?} gives no job, but {other:?}", self.args),
        }
    }

    /// The message of a command line that is wrong on this rank, whether or not this rank prints
    /// it.
    pub(crate) fn mistake(&self) -> String {
        self.decide().expect_err("the command line is wrong")
    }

    /// Runs a command line that ends before MPI: status, standard output, standard error.
    pub(crate) fn end(&self) -> (i32, String, String) {
        if let Ok(action @ (Action::Run(_) | Action::Launch(_))) = self.decide() {
            panic!("{:?} goes on: {action:?}", self.args);
        }
        let status = cli::main(self.env());
        (status, self.stdout.text(), self.stderr.text())
    }

    /// The message of a command line that is wrong usage, checked to be said as the contract wants.
    pub(crate) fn usage_error(&self) -> String {
        let (status, stdout, stderr) = self.end();
        assert_eq!((status, stdout.as_str()), (1, ""), "{:?}: {stderr}", self.args);
        let message = stderr.strip_prefix("shoal: ").expect("it says who speaks");
        message.trim_end_matches('\n').to_owned()
    }
}

/// Compares text with a golden file, or writes it where `BLESS` is set.
pub(crate) fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text, expected,
        "\n{name} differs; if this is what you want: BLESS=1 cargo test -p shoal-cli"
    );
}
