//! Where a directory or file lies, in words that mean the same on every rank: the file system, and
//! the path within it, by whichever mount or link a rank sees it. Compares only; looks at no file
//! system.

use serde::{Deserialize, Serialize};

/// A place, whatever path leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The file system.
    pub system: System,
    /// The path within it, without links, escaped, from `/` on.
    pub path: String,
    /// The kernel that sees it.
    pub kernel: String,
}

/// A file system, by what tells it apart from all others of the job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum System {
    /// One that a single kernel sees: its device there, and the kernel.
    Local(String),
    /// One that several hosts may see.
    Network {
        /// Its kind: `nfs4`, `lustre`.
        kind: String,
        /// What it is mounted from.
        server: String,
    },
}

/// A place as something to look others up by.
pub(crate) type Spot<'a> = (&'a System, &'a str);

impl Location {
    /// A place on a device that one kernel sees.
    pub fn on_device(device: &str, path: String, kernel: &str) -> Self {
        let system = System::Local(format!("{device} {kernel}"));
        Self { system, path, kernel: kernel.to_owned() }
    }

    /// The bytes of its texts.
    pub(crate) fn text_bytes(&self) -> usize {
        let system = match &self.system {
            System::Local(device) => device.len(),
            System::Network { kind, server } => kind.len() + server.len(),
        };
        system + self.path.len() + self.kernel.len()
    }

    /// The place itself.
    pub(crate) fn spot(&self) -> Spot<'_> {
        (&self.system, &self.path)
    }

    /// The directories that it lies in, the uppermost first.
    pub(crate) fn above(&self) -> impl Iterator<Item = Spot<'_>> {
        above(&self.path).map(|path| (&self.system, path))
    }

    /// Whether it is another place or lies in it.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.spot() == other.spot() || self.above().any(|spot| spot == other.spot())
    }

    /// Whether it cannot be told from here that two places lie on different file systems: two hosts
    /// see file systems of the same kind under different names.
    pub(crate) fn may_be_near(&self, other: &Self) -> bool {
        match (&self.system, &other.system) {
            (
                System::Network { kind, server },
                System::Network { kind: other_kind, server: of },
            ) => kind == other_kind && server != of && self.kernel != other.kernel,
            _ => false,
        }
    }
}

/// The directories above a path from `/` on, the uppermost first.
fn above(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at);
    ends.map(|at| &path[..at.max(1)]).filter(move |above| *above != path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(server: &str, kernel: &str, path: &str) -> Location {
        let system = System::Network { kind: "nfs4".into(), server: server.into() };
        Location { system, path: path.into(), kernel: kernel.into() }
    }

    #[test]
    fn a_place_lies_in_itself_and_in_what_is_above_it_on_its_own_file_system() {
        let deep = on("s", "a", "/x/y/z");
        for path in ["/", "/x", "/x/y", "/x/y/z"] {
            assert!(deep.is_within(&on("s", "b", path)), "{path}");
            assert!(!deep.is_within(&on("t", "a", path)), "{path}");
        }
        assert!(!deep.is_within(&on("s", "a", "/x/y/")) && !deep.is_within(&on("s", "a", "/x/yy")));
    }

    #[test]
    fn only_two_hosts_with_two_names_of_one_kind_leave_a_doubt() {
        let here = on("s", "a", "/x");
        assert!(here.may_be_near(&on("t", "b", "/y")));
        assert!(!here.may_be_near(&on("t", "a", "/y")), "one kernel tells them apart");
        assert!(!here.may_be_near(&on("s", "b", "/y")), "one name is one file system");
        let local = Location { system: System::Local("8:1".into()), ..on("t", "b", "/x") };
        assert!(!here.may_be_near(&local));
    }
}
