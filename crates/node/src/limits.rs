//! What the system lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one: transports and the store need one for many
/// a rank and file, and the usual soft limit of 1,024 is for programs that use `select`.
pub(crate) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    // Where it may not be raised, it is as it was.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => tracing::debug!(from = current, to = maximum, "more files may be open"),
        Err(error) => tracing::debug!(%error, "the limit of open files stays as it is"),
    }
}

/// The most files that the store keeps open between two uses: far below the usual soft limit of
/// 1,024, and enough for every worker.
const KEPT_MOST: u64 = 256;
/// The fewest. Below them each use opens its file anew, which takes time and needs no more.
const KEPT_LEAST: u64 = 2;
/// The store keeps one in so many of what may still be opened: connections to other ranks are made
/// when they are first needed, and each worker opens a file or two, and their directory.
const KEPT_ONE_IN: u64 = 4;

/// How many files the store may keep open between two uses.
pub(crate) fn kept_open() -> usize {
    // Where /proc is not there, an MPI that runs has about so many.
    const UNKNOWN: u64 = 64;
    let open = std::fs::read_dir("/proc/self/fd").map_or(UNKNOWN, |found| found.count() as u64);
    kept_of(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX), open) as usize
}

fn kept_of(limit: u64, open: u64) -> u64 {
    (limit.saturating_sub(open) / KEPT_ONE_IN).clamp(KEPT_LEAST, KEPT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_keeps_a_part_of_what_the_limit_leaves() {
        let cases = [(u64::MAX, 40, 256), (4096, 40, 256), (1024, 40, 246), (256, 40, 54)];
        let low = [(64, 40, 6), (64, 60, 2), (64, 80, 2)];
        for (limit, open, kept) in cases.into_iter().chain(low) {
            assert_eq!(kept_of(limit, open), kept, "{open} open of {limit}");
        }
    }

    #[test]
    fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let lower = current.map_or(512, |current| current - 1);
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), maximum }).unwrap();
        raise_open_files();
        assert_eq!(getrlimit(Resource::Nofile), Rlimit { current: maximum, maximum });
        raise_open_files();
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
