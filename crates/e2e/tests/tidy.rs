//! Holds the layout: headers, lengths, the arrows between crates, and what is absent from each of
//! them.
//!
//! Every rule is one test, and a failure names every place that breaks it. CONTRIBUTING.md has the
//! reasons.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 500;
/// In characters. rustfmt holds code there, and this test holds comments. A line with a string may
/// be longer: a message on one line is found by a search.
const MAX_LINE_LEN: usize = 100;

/// Which crates of ours each crate may use, for itself and for its tests. A new arrow needs a page
/// in `docs/adr/`.
const ARROWS: [(&str, &[&str]); 10] = [
    ("sha256", &[]),
    ("content", &["sha256"]),
    ("swarm", &["content"]),
    ("sim", &["content", "swarm"]),
    ("store", &["content", "swarm"]),
    ("node", &["content", "swarm", "store"]),
    ("shoal", &["content", "swarm", "node"]),
    ("mpi", &["content", "swarm", "node"]),
    ("cli", &["content", "swarm", "sim", "shoal", "mpi"]),
    ("e2e", &[]),
];
const PURE: [&str; 4] = ["content", "sha256", "sim", "swarm"];

/// A Rust file of the project.
struct Source {
    /// `content`, `swarm`, ...
    in_crate: String,
    /// Relative to the repository.
    path: PathBuf,
    text: String,
}

impl Source {
    /// The lines that are not comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let numbered = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Every place in the code that holds one of these, as a sentence.
    fn places_of(&self, forbidden: &[&str]) -> Vec<String> {
        let mut places = Vec::new();
        for (number, line) in self.code() {
            for word in forbidden.iter().filter(|word| has_word(line, word)) {
                places.push(format!("{}:{number}: {word}", self.path.display()));
            }
        }
        places
    }

    fn is_in(&self, directory: &str) -> bool {
        self.path.components().any(|component| component.as_os_str() == directory)
    }

    /// This file names what it forbids.
    fn is_tidy(&self) -> bool {
        self.path.ends_with("e2e/tests/tidy.rs")
    }
}

/// Whether `word` stands in the line and is not the end of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(is_part))
}

fn repository() -> PathBuf {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::canonicalize(found).unwrap()
}

/// All Rust files of all crates.
fn sources() -> Vec<Source> {
    let repository = repository();
    let mut sources = Vec::new();
    let mut open = vec![repository.join("crates")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&repository).unwrap().to_owned();
                let in_crate = path.iter().nth(1).unwrap().to_string_lossy().into_owned();
                sources.push(Source { in_crate, path, text });
            }
        }
    }
    assert!(sources.len() > 20, "the sources were not found");
    sources
}

/// Fails with all places, sorted.
fn none_of(mut places: Vec<String>, rule: &str) {
    places.sort();
    assert!(places.is_empty(), "{rule}:\n{}", places.join("\n"));
}

#[test]
fn every_file_says_first_what_it_is_for() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//! "));
    let places = silent.map(|source| source.path.display().to_string()).collect();
    none_of(places, "files that do not begin with a //! paragraph");
}

#[test]
fn files_and_lines_are_short() {
    let mut places = Vec::new();
    for source in sources() {
        let count = source.text.lines().count();
        if count >= MAX_LINES {
            places.push(format!("{}: {count} lines", source.path.display()));
        }
        for (index, line) in source.text.lines().enumerate() {
            let len = line.chars().count();
            if len > MAX_LINE_LEN && !line.contains('"') {
                places.push(format!("{}:{}: {len} characters", source.path.display(), index + 1));
            }
        }
    }
    none_of(places, "too long");
}

#[test]
fn the_pure_crates_do_not_touch_the_world() {
    let forbidden = [
        "std::fs",
        "std::net",
        "std::thread",
        "std::env",
        "std::process",
        "std::io",
        "std::os::fd",
        "std::sync::mpsc",
        "std::time::Instant",
        "std::time::SystemTime",
        "SystemTime::",
        "Instant::now",
        "rand::",
        "getrandom",
        "RandomState",
        "HashMap",
        "HashSet",
    ];
    let pure = |source: &Source| PURE.contains(&&*source.in_crate) && source.is_in("src");
    let places = sources().into_iter().filter(pure);
    none_of(places.flat_map(|s| s.places_of(&forbidden)).collect(), "in a pure crate");
}

#[test]
fn the_schedule_knows_no_message_and_no_peer() {
    let known = ["message::", "peer::", "tracker::", "super::super"];
    let policy = |s: &Source| s.in_crate == "swarm" && s.is_in("schedule");
    let policies: Vec<Source> = sources().into_iter().filter(policy).collect();
    assert!(policies.len() > 5, "the schedule is elsewhere");
    none_of(policies.iter().flat_map(|s| s.places_of(&known)).collect(), "in a policy");
}

#[test]
fn the_peer_and_the_tracker_know_messages_of_each_other_only() {
    let mut places = Vec::new();
    for (folder, other) in [("peer", "crate::tracker"), ("tracker", "crate::peer")] {
        let source = |s: &Source| s.in_crate == "swarm" && s.is_in("src") && s.is_in(folder);
        let machine: Vec<Source> = sources().into_iter().filter(source).collect();
        assert!(machine.len() > 5, "{folder} is elsewhere");
        places.extend(machine.iter().flat_map(|s| s.places_of(&[other])));
    }
    none_of(places, "between peer and tracker");
}

#[test]
fn download_and_upload_know_nothing_of_each_other() {
    let session = ["session::", "entries::", "Session"];
    let mut places = Vec::new();
    for (folder, other) in [("download", "upload::"), ("upload", "download::")] {
        let machine = |s: &Source| s.is_in("peer") && s.is_in(folder);
        let machine: Vec<Source> = sources().into_iter().filter(machine).collect();
        assert!(machine.len() > 3, "{folder} is elsewhere");
        places.extend(machine.iter().flat_map(|s| s.places_of(&session)));
        places.extend(machine.iter().flat_map(|s| s.places_of(&[other])));
    }
    none_of(places, "between the machines of a peer");
}

#[test]
fn unsafe_code_is_in_two_crates() {
    let is_elsewhere = |s: &Source| !["mpi", "sha256"].contains(&&*s.in_crate) && !s.is_tidy();
    let elsewhere = sources().into_iter().filter(is_elsewhere);
    let forms = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe_code)"];
    none_of(elsewhere.flat_map(|s| s.places_of(&forms)).collect(), "unsafe outside mpi and sha256");
}

#[test]
fn only_the_command_line_prints() {
    let silent = |source: &Source| {
        let prints = ["cli", "e2e"].contains(&&*source.in_crate);
        let test = ["tests", "examples", "benches"].iter().any(|part| source.is_in(part));
        !prints && !test && !source.path.ends_with("build.rs")
    };
    let macros = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
    let places = sources().into_iter().filter(silent);
    none_of(places.flat_map(|s| s.places_of(&macros)).collect(), "only cli prints");
}

#[test]
fn no_option_of_the_command_line_is_named_in_the_library_and_the_store() {
    let below = ["content", "store", "node", "shoal"];
    let mut places = Vec::new();
    for source in sources().into_iter().filter(|it| below.contains(&&*it.in_crate)) {
        if !source.is_in("src") {
            continue;
        }
        let names_one = |line: &str| {
            let mut dashes = line.match_indices("--");
            dashes.any(|(at, _)| line[at + 2..].starts_with(|c: char| c.is_ascii_lowercase()))
        };
        for (number, line) in source.code().filter(|(_, line)| names_one(line)) {
            places.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
        }
    }
    none_of(places, "options that only cli knows");
}

#[test]
fn nothing_is_left_undone() {
    let mut places = Vec::new();
    for source in sources().into_iter().filter(|source| !source.is_tidy()) {
        places.extend(source.places_of(&["todo!", "unimplemented!"]));
        for (index, line) in source.text.lines().enumerate() {
            if line.contains("FIXME") || line.contains("XXX") {
                places.push(format!("{}:{}: {}", source.path.display(), index + 1, line.trim()));
            }
        }
    }
    none_of(places, "not finished");
}

#[test]
fn the_arrows_between_crates_point_down() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let crates = repository().join("crates");
    let mut places = Vec::new();
    for entry in fs::read_dir(&crates).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(may_use) = allowed.get(&*name) else {
            places.push(format!("{name}: a crate that ARROWS in tidy.rs does not know"));
            continue;
        };
        let manifest = fs::read_to_string(path.join("Cargo.toml")).unwrap();
        for used in dependencies(&manifest) {
            if allowed.contains_key(&*used) && !may_use.contains(&&*used) {
                places.push(format!("{name} uses {used}"));
            }
        }
    }
    none_of(places, "arrows that do not point down");
}

/// The names of all dependencies in a manifest, of every kind.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            inside = section.ends_with("dependencies");
            // [dependencies.name]
            if let Some((_, name)) = section.rsplit_once("dependencies.") {
                names.push(own_name(name));
            }
        } else if inside && !line.is_empty() && !line.starts_with('#') {
            names.push(own_name(line.split(['=', '.', ' ']).next().unwrap()));
        }
    }
    names
}

/// `shoal-node` and `node` are the same crate.
fn own_name(name: &str) -> String {
    name.strip_prefix("shoal-").unwrap_or(name).to_owned()
}

#[test]
fn dependencies_are_found_in_every_form() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\n# no\nnode.workspace = true\n\
                    mpi = { path = \"../mpi\" }\n[dev-dependencies.shoal-swarm]\npath = \"\"\n";
    assert_eq!(dependencies(manifest), ["node", "mpi", "swarm"]);
}
