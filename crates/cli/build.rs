//! Finds out which MPI the binary is built for, and which launcher belongs to it.
//!
//! It looks in the same places and in the same order as the build script of `ferrompi`, so that
//! what `shoal` says of itself is what was linked. It never fails: without an MPI, that of
//! `ferrompi` does.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["MPI_PKG_CONFIG", "MPICC", "CRAY_MPICH_DIR", "PKG_CONFIG_PATH", "PATH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let found = find().unwrap_or_default();
    let (family, name) = identify(&found.include_dirs);
    let launcher = found.bin_dir.and_then(|dir| launcher_in(&dir, family));
    println!("cargo:rustc-env=SHOAL_MPI_FAMILY={family}");
    println!("cargo:rustc-env=SHOAL_MPI_NAME={name}");
    println!(
        "cargo:rustc-env=SHOAL_MPI_LAUNCHER={}",
        launcher.as_deref().and_then(Path::to_str).unwrap_or_default()
    );
}

/// An MPI installation: where its `mpi.h` may be, and where its launcher should be.
#[derive(Default)]
struct Found {
    include_dirs: Vec<PathBuf>,
    bin_dir: Option<PathBuf>,
}

fn find() -> Option<Found> {
    if let Some(name) = variable("MPI_PKG_CONFIG") {
        return from_pkg_config(&name);
    }
    if let Some(wrapper) = variable("MPICC") {
        return from_wrapper(&wrapper);
    }
    if let Some(dir) = variable("CRAY_MPICH_DIR") {
        return Some(from_prefix(Path::new(&dir)));
    }
    ["mpich", "ompi", "mpi"]
        .iter()
        .find_map(|name| from_pkg_config(name))
        .or_else(|| from_wrapper("mpicc"))
        .or_else(|| {
            let prefixes = ["/usr", "/usr/local", "/opt/mpich", "/opt/openmpi"];
            let prefix = prefixes.iter().find(|p| Path::new(p).join("include/mpi.h").exists())?;
            Some(from_prefix(Path::new(prefix)))
        })
}

fn from_prefix(prefix: &Path) -> Found {
    Found { include_dirs: vec![prefix.join("include")], bin_dir: Some(prefix.join("bin")) }
}

fn from_pkg_config(name: &str) -> Option<Found> {
    // PKG_CONFIG_ALLOW_SYSTEM_CFLAGS: otherwise -I/usr/include is left out.
    let flags = output(
        Command::new("pkg-config")
            .env("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "1")
            .args(["--cflags", name]),
    )?;
    let prefix = output(Command::new("pkg-config").args(["--variable=prefix", name]))?;
    let bin_dir = Some(PathBuf::from(prefix.trim()).join("bin"));
    Some(Found { include_dirs: include_dirs(&flags), bin_dir })
}

fn from_wrapper(wrapper: &str) -> Option<Found> {
    let flags = output(Command::new(wrapper).arg("-show"))
        .or_else(|| output(Command::new(wrapper).arg("--showme")))?;
    let bin_dir = on_path(wrapper).and_then(|path| path.parent().map(Path::to_owned));
    Some(Found { include_dirs: include_dirs(&flags), bin_dir })
}

fn include_dirs(flags: &str) -> Vec<PathBuf> {
    let quotes = |c| c == '"' || c == '\'';
    let mut dirs: Vec<PathBuf> = flags
        .split_whitespace()
        .filter_map(|flag| flag.strip_prefix("-I"))
        .map(|dir| PathBuf::from(dir.trim_matches(quotes)))
        .collect();
    dirs.push("/usr/include".into());
    dirs
}

/// The family, in one word, and the name with its version, out of the first `mpi.h`.
fn identify(include_dirs: &[PathBuf]) -> (&'static str, String) {
    let header = include_dirs.iter().find_map(|dir| {
        let path = dir.join("mpi.h");
        println!("cargo:rerun-if-changed={}", path.display());
        fs::read(path).ok()
    });
    let Some(header) = header else { return ("other", "an unknown MPI".to_owned()) };
    let header = String::from_utf8_lossy(&header);
    let define = |name: &str| {
        header.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let here = words.next() == Some("#define") && words.next() == Some(name);
            here.then(|| words.next().unwrap_or_default().trim_matches('"').to_owned())
        })
    };
    if let Some(major) = define("OMPI_MAJOR_VERSION") {
        let minor = define("OMPI_MINOR_VERSION").unwrap_or_default();
        let release = define("OMPI_RELEASE_VERSION").unwrap_or_default();
        return ("openmpi", format!("Open MPI {major}.{minor}.{release}"));
    }
    if let Some(version) = define("I_MPI_VERSION") {
        return ("mpich", format!("Intel MPI {version}"));
    }
    if let Some(version) = define("MVAPICH_VERSION").or_else(|| define("MVAPICH2_VERSION")) {
        return ("mpich", format!("MVAPICH {version}"));
    }
    match define("MPICH_VERSION") {
        Some(version) => ("mpich", format!("MPICH {version}")),
        None => ("other", "an unknown MPI".to_owned()),
    }
}

/// The launcher in a directory: by its family's own name (Debian), else a common name that says it
/// is of it.
fn launcher_in(dir: &Path, family: &str) -> Option<PathBuf> {
    let own = [format!("mpirun.{family}"), format!("mpiexec.{family}")];
    if let Some(path) = own.iter().map(|name| dir.join(name)).find(|path| path.is_file()) {
        return Some(path);
    }
    ["mpirun", "mpiexec"].iter().map(|name| dir.join(name)).find(|path| {
        let Some(text) = output(Command::new(path).arg("--version")) else { return false };
        match family {
            "openmpi" => text.contains("Open MPI") || text.contains("OpenRTE"),
            "mpich" => !text.contains("Open MPI") && !text.contains("OpenRTE"),
            _ => true,
        }
    })
}

fn on_path(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program));
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(program)).find(|path| path.is_file())
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
