//! A Python environment is cast to eight ranks: each copy works, and differs from the source in
//! nothing that `diff` and `stat` can see.
//!
//! One without downloads is made of the standard library. `SHOAL_E2E_PYPI=8` makes another one with
//! numpy, scipy and pandas, and casts it to so many ranks, which takes a minute and 300 MiB each.

use e2e::{Cluster, no_leftovers, skip};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const RANKS: u32 = 8;

/// What is to be equal of a name: kind and mode, length, time, where a link leads, and the first
/// name of the same file.
type Seen = (u32, u64, (i64, i64), Option<PathBuf>, PathBuf);

fn succeeds(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    let text = [output.stdout, output.stderr].concat();
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&text)))
}

/// All that lies below a directory, by name.
fn seen(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut names = vec![PathBuf::new()];
    let mut open = vec![PathBuf::new()];
    while let Some(directory) = open.pop() {
        for item in fs::read_dir(root.join(&directory)).unwrap() {
            let item = item.unwrap();
            let name = directory.join(item.file_name());
            if item.file_type().unwrap().is_dir() {
                open.push(name.clone());
            }
            names.push(name);
        }
    }
    names.sort();
    let mut first_names: BTreeMap<u64, PathBuf> = BTreeMap::new();
    let look = |name: PathBuf| {
        let path = root.join(&name);
        let stat = path.symlink_metadata().unwrap();
        let len = if stat.is_file() { stat.len() } else { 0 };
        // Further names of symbolic links are links of their own.
        let first = match stat.is_file() {
            true => first_names.entry(stat.ino()).or_insert_with(|| name.clone()).clone(),
            false => name.clone(),
        };
        let target = fs::read_link(&path).ok();
        (name, (stat.mode(), len, (stat.mtime(), stat.mtime_nsec()), target, first))
    };
    names.into_iter().map(look).collect()
}

/// Casts an environment; each copy must run this, and be equal.
fn cast(cluster: &Cluster, ranks: u32, code: &str) {
    let source = cluster.path("rank0/env");
    // What a first run writes into the environment belongs to it.
    succeeds(Command::new(source.join("bin/python")).args(["-c", code])).unwrap();
    let expected = seen(&source);
    let args = ["cast", "rank{rank}/env", "rank{rank}/dest"];
    let report = cluster.launch(ranks, args).run().complete();
    let files = expected.values().filter(|(mode, ..)| mode & 0o170_000 == 0o100_000).count();
    for rank in 0..ranks {
        let dest = cluster.path(format!("rank{rank}/dest"));
        no_leftovers(&dest);
        let copy = dest.join("env");
        assert_eq!(report.peer(rank).files_complete, files as u64, "rank {rank}");
        let copied = seen(&copy);
        for (name, expected) in &expected {
            assert_eq!(Some(expected), copied.get(name), "{} of rank {rank}", name.display());
        }
        assert_eq!(copied.len(), expected.len(), "rank {rank} has more than there is");
        let mut diff = Command::new("diff");
        succeeds(diff.args(["-r", "--no-dereference"]).args([&source, &copy])).unwrap();
        let mut python = Command::new(copy.join("bin/python"));
        succeeds(python.env("PYTHONDONTWRITEBYTECODE", "1").args(["-c", code])).unwrap();
    }
}

/// An environment without packages.
fn make_environment(cluster: &Cluster) -> Result<PathBuf, String> {
    let env = cluster.path("rank0/env");
    succeeds(Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&env))?;
    Ok(env)
}

#[test]
fn an_environment_of_the_standard_library_works_everywhere() {
    let cluster = Cluster::new();
    let env = match make_environment(&cluster) {
        Ok(env) => env,
        Err(why) => return skip(&format!("there is no Python with venv here: {why}")),
    };
    let library = "import sysconfig as s; print(s.get_paths()['stdlib'], s.get_paths()['purelib'])";
    let paths = Command::new(env.join("bin/python")).args(["-c", library]).output().unwrap();
    let paths = String::from_utf8(paths.stdout).unwrap();
    let (stdlib, purelib) = paths.trim().split_once(' ').unwrap();
    // As a package of another name, so that what is imported is the copy.
    let package = Path::new(purelib).join("standin");
    fs::create_dir(&package).unwrap();
    fs::write(package.join("__init__.py"), "").unwrap();
    for part in ["json", "email", "unittest", "asyncio", "xml", "encodings"] {
        let from = Path::new(stdlib).join(part);
        succeeds(Command::new("cp").arg("-a").args([&from, &package.join(part)])).unwrap();
    }
    // Installers that share files between environments leave links such as these.
    fs::hard_link(package.join("json/decoder.py"), package.join("decoder.py")).unwrap();
    fs::hard_link(package.join("json/decoder.py"), env.join("bin/decoder.py")).unwrap();
    std::os::unix::fs::symlink("standin/json", package.with_file_name("linked")).unwrap();
    let code = "import standin.json, standin.decoder, linked; assert standin.json.loads('[1]')";
    cast(&cluster, RANKS, code);
}

#[test]
fn an_environment_with_scipy_works_everywhere() {
    let Ok(ranks) = std::env::var("SHOAL_E2E_PYPI") else {
        return skip("set SHOAL_E2E_PYPI=8 to download numpy, scipy and pandas for eight ranks");
    };
    let ranks = ranks.parse().expect("SHOAL_E2E_PYPI is a number of ranks");
    let cluster = Cluster::new();
    let env = cluster.path("rank0/env");
    succeeds(Command::new("python3").args(["-m", "venv"]).arg(&env)).unwrap();
    let mut pip = Command::new(env.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "numpy", "scipy", "pandas"]);
    succeeds(&mut pip).unwrap();
    cast(&cluster, ranks, "import numpy, scipy, scipy.linalg, pandas");
}
