//! Keeps the number of jobs that run at the same time small, across threads and test processes.
//!
//! Jobs bring many processes each; too many at once only make each other miss deadlines. Slots are
//! file locks, so that they also hold where every test is its own process.

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

/// Two jobs at once keep two cores busy while one of them starts or ends.
const SLOT_COUNT: usize = 2;
const RETRY: Duration = Duration::from_millis(15);

/// Slots held; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slots(#[allow(dead_code)] Vec<File>);

impl Slots {
    /// Waits for one of the slots.
    pub(crate) fn one() -> Self {
        loop {
            for index in 0..SLOT_COUNT {
                let file = slot(index);
                if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                    return Self(vec![file]);
                }
            }
            std::thread::sleep(RETRY);
        }
    }

    /// Waits for all slots: nothing else runs beside what is measured. Always in the same order, so
    /// that two waiters cannot block each other.
    pub(crate) fn all() -> Self {
        let files = (0..SLOT_COUNT).map(|index| {
            let file = slot(index);
            flock(&file, FlockOperation::LockExclusive).expect("a lock can be taken");
            file
        });
        Self(files.collect())
    }

    /// Takes none: for a job that must run beside another one of the same test.
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }
}

fn slot(index: usize) -> File {
    let directory = test_directory();
    let path = directory.join(format!(".e2e-slot-{index}"));
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    file.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A directory that belongs to the build: on a real disk, and the tests' own.
pub(crate) fn test_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its executable");
    let directory = test.parent().expect("it lies in a directory").join("e2e");
    std::fs::create_dir_all(&directory).expect("the build's directory is writable");
    directory
}
