//! Compares the numbers with every `mpi.h` at hand: Debian's, and those of PyPI's packages below
//! `target/`. A C compiler reads them; without one the test says that it was skipped.

#[allow(dead_code, reason = "what calls MPI needs more of it")]
#[path = "../src/abi.rs"]
mod abi;

use abi::{Abi, Handles, MPI_5, MPICH, OPEN_MPI, STATUS_MAX, STRING_MAX, UNDEFINED};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Prints what a header says. What a header may lack, it is asked for first.
const PROGRAM: &str = r#"
#include <stddef.h>
#include <stdio.h>
#define SAY(name, value) printf("%s %lld\n", name, (long long)(value))
int main(void) {
    SAY("size", sizeof(MPI_Status));
    SAY("source", offsetof(MPI_Status, MPI_SOURCE));
    SAY("error", offsetof(MPI_Status, MPI_ERROR));
    SAY("any_source", MPI_ANY_SOURCE);
    SAY("undefined", MPI_UNDEFINED);
    SAY("success", MPI_SUCCESS);
    SAY("funneled", MPI_THREAD_FUNNELED);
    SAY("truncate", MPI_ERR_TRUNCATE);
    SAY("other", MPI_ERR_OTHER);
    SAY("in_status", MPI_ERR_IN_STATUS);
    SAY("error_string", MPI_MAX_ERROR_STRING);
    SAY("version_string", MPI_MAX_LIBRARY_VERSION_STRING);
    SAY("handle", sizeof(MPI_Request));
#ifdef OPEN_MPI
    SAY("open_mpi", 1);
#else
    SAY("comm_world", (size_t)MPI_COMM_WORLD);
    SAY("comm_self", (size_t)MPI_COMM_SELF);
    SAY("byte", (size_t)MPI_BYTE);
    SAY("errors_return", (size_t)MPI_ERRORS_RETURN);
    SAY("request_null", (size_t)MPI_REQUEST_NULL);
#endif
#if defined(HAS_PROC_ABORTED)
    SAY("proc_aborted", MPI_ERR_PROC_ABORTED);
#endif
#if defined(HAS_OPEN_MPI_FAILED)
    SAY("proc_failed", MPI_ERR_PROC_FAILED);
#elif defined(HAS_MPICH_FAILED)
    SAY("proc_failed", MPIX_ERR_PROC_FAILED);
#endif
    return 0;
}
"#;

/// What a header says, by name; none where the compiler does not take it.
fn told_by(header: &Path) -> Option<BTreeMap<String, i64>> {
    let text = std::fs::read_to_string(header).unwrap();
    let mut program = format!("#include \"{}\"\n", header.display());
    for (name, constant) in [
        ("HAS_PROC_ABORTED", "MPI_ERR_PROC_ABORTED"),
        ("HAS_OPEN_MPI_FAILED", " MPI_ERR_PROC_FAILED "),
        ("HAS_MPICH_FAILED", " MPIX_ERR_PROC_FAILED "),
    ] {
        if text.contains(constant) {
            program.push_str(&format!("#define {name}\n"));
        }
    }
    program.push_str(PROGRAM);
    let directory = tempfile::tempdir().unwrap();
    let (source, binary) = (directory.path().join("told.c"), directory.path().join("told"));
    std::fs::write(&source, program).unwrap();
    let mut compile = Command::new("cc");
    compile.arg("-I").arg(header.parent().unwrap()).arg("-o").arg(&binary).arg(&source);
    let compiled = compile.stderr(Stdio::inherit()).status().ok()?;
    assert!(compiled.success(), "{} does not compile", header.display());
    let told = Command::new(&binary).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let line = |line: &str| {
        let (name, value) = line.split_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    Some(told.lines().map(line).collect())
}

/// The headers on this machine, each with the ABI that it must have.
fn headers() -> Vec<(PathBuf, &'static Abi)> {
    let arch = std::env::consts::ARCH;
    let mut found = vec![
        (format!("/usr/lib/{arch}-linux-gnu/openmpi/include/mpi.h").into(), &OPEN_MPI),
        (format!("/usr/include/{arch}-linux-gnu/mpich/mpi.h").into(), &MPICH),
    ];
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    for environment in std::fs::read_dir(target).into_iter().flatten().flatten() {
        let name = environment.file_name().to_string_lossy().into_owned();
        let include = environment.path().join("include");
        if name.starts_with("openmpi-") {
            found.push((include.join("mpi.h"), &OPEN_MPI));
        } else if name.starts_with("mpich-") {
            found.push((include.join("mpi.h"), &MPICH));
            found.push((include.join("mpi_abi.h"), &MPI_5));
        }
    }
    found.retain(|(path, _)| path.is_file());
    found
}

fn expected(abi: &Abi) -> BTreeMap<&'static str, i64> {
    let layout = |bytes: usize| i64::try_from(bytes).unwrap();
    let mut expected = BTreeMap::from([
        ("size", layout(abi.status.size)),
        ("source", layout(abi.status.source)),
        ("error", layout(abi.status.error)),
        ("any_source", abi.any_source.into()),
        ("undefined", UNDEFINED.into()),
        ("success", 0),
        ("funneled", abi.thread_funneled.into()),
        ("truncate", abi.classes.truncate.into()),
        ("other", abi.classes.other.into()),
        ("in_status", abi.classes.in_status.into()),
        ("proc_aborted", abi.classes.proc_aborted.into()),
    ]);
    let handles = match &abi.handles {
        Handles::Ints(ints) => {
            expected.insert("handle", 4);
            [ints.comm_world, ints.comm_self, ints.byte, ints.errors_return, ints.request_null]
                .map(i64::from)
        }
        Handles::Addresses(at) => {
            expected.insert("handle", 8);
            [at.comm_world, at.comm_self, at.byte, at.errors_return, at.request_null].map(layout)
        }
        Handles::Symbols(_) => {
            expected.extend([("handle", 8), ("open_mpi", 1)]);
            return expected;
        }
    };
    let names = ["comm_world", "comm_self", "byte", "errors_return", "request_null"];
    expected.extend(names.into_iter().zip(handles));
    expected
}

#[test]
fn every_header_at_hand_says_the_same() {
    if Command::new("cc").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("SKIPPED: no C compiler here that could read mpi.h");
        return;
    }
    let headers = headers();
    if headers.is_empty() {
        eprintln!("SKIPPED: no mpi.h here (scripts/install-deps test)");
    }
    for (header, abi) in headers {
        let told = told_by(&header).expect("there is a compiler");
        println!("{}: {} numbers, {}", header.display(), told.len(), abi.name);
        for (name, value) in expected(abi) {
            // Headers older than MPI 4 lack a class.
            let told = told.get(name).copied();
            let is_absent = told.is_none() && name == "proc_aborted";
            assert!(is_absent || told == Some(value), "{}: {name}: {told:?}", header.display());
        }
        for string in ["error_string", "version_string"] {
            assert!(usize::try_from(told[string]).unwrap() <= STRING_MAX, "{string}");
        }
        if let Some(&failed) = told.get("proc_failed") {
            let failed = failed.try_into().unwrap();
            assert!(abi.classes.tells_of_a_failure(failed), "{}: {failed}", header.display());
        }
        assert!(abi.status.size <= STATUS_MAX);
    }
}
