//! The transport over MPI: the only crate that knows libmpi.
//!
//! It carries messages and pieces and begins and ends the process's life in MPI. It decides
//! nothing, never blocks between [`run`]'s start and the end of its body, and never prints.

mod ending;
mod flight;
mod inbox;
mod settings;
mod transport;
mod unstarted;

pub use ending::{Ending, run};
pub use unstarted::abort_unstarted;

/// Returns the short name and version of the MPI library that this program was linked with, as in
/// `Open MPI 4.1.4`. Works before and after [`run`] too.
pub fn library() -> String {
    ferrompi::Mpi::library_version()
        .map_or_else(|_| "an unknown MPI".into(), |version| short_name(&version))
}

/// Finds name and version in what `MPI_Get_library_version` says (MPI standard, section 9.1.1),
/// which every library writes in its own way.
fn short_name(version: &str) -> String {
    let first = version.lines().next().unwrap_or_default();
    let first = first.split(',').next().unwrap_or_default();
    if let Some(number) = first.strip_prefix("Open MPI v") {
        return format!("Open MPI {number}");
    }
    let (name, number) = first.split_once(':').unwrap_or((first, ""));
    let name = name.trim().trim_end_matches("Version").trim_end();
    format!("{name} {}", number.trim()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::short_name;

    #[test]
    fn every_library_has_a_short_name() {
        let cases = [
            ("Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4", "Open MPI 4.1.4"),
            ("Open MPI v5.0.11, package: Open MPI root@x Distribution", "Open MPI 5.0.11"),
            ("MPICH Version:      4.0.2\nMPICH Release date: Thu Apr  7", "MPICH 4.0.2"),
            ("MVAPICH2 Version      :\t2.3.7\n", "MVAPICH2 2.3.7"),
            (
                "Intel(R) MPI Library 2021.9 for Linux* OS\n",
                "Intel(R) MPI Library 2021.9 for Linux* OS",
            ),
            ("", ""),
        ];
        for (version, name) in cases {
            assert_eq!(short_name(version), name);
        }
    }
}
