//! The guide: every command in it that can be run on one machine is run, and says what the guide
//! shows; every option in the others exists.
//!
//! In a block marked `console`, lines that begin with a dollar sign are typed, page by page in a
//! directory of its own; the lines below one are what it prints, where numbers, units and rows of
//! time may differ. A status other than 0 is only right where `echo $?` shows it. Blocks marked
//! `sh` need a cluster: their options are looked up in `--help`.

use e2e::{Cluster, Load, Mpi, shoal};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command of the guide, and the lines that are shown below it.
struct Typed {
    command: String,
    shown: Vec<String>,
}

fn guide() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide")).unwrap()
}

/// All pages, by name.
fn pages() -> BTreeMap<String, String> {
    let entries = fs::read_dir(guide().join("src")).unwrap().flatten();
    let pages = entries.map(|entry| {
        let text = fs::read_to_string(entry.path()).unwrap();
        (entry.file_name().display().to_string(), text)
    });
    pages.collect()
}

/// The lines of all blocks with this mark.
fn blocks(page: &str, mark: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), inside) {
            (Some(_), Some(_)) => inside = None,
            (Some(of), None) => inside = Some(of == mark),
            (None, Some(true)) => lines.push(line.to_owned()),
            (None, _) => {}
        }
    }
    assert_eq!(inside, None, "a block that is not closed");
    lines
}

fn typed(page: &str) -> Vec<Typed> {
    let mut commands: Vec<Typed> = Vec::new();
    for line in blocks(page, "console") {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(Typed { command: command.to_owned(), shown: Vec::new() });
        } else {
            commands.last_mut().expect("a command comes first").shown.push(line);
        }
    }
    commands
}

/// What of a printed line is always the same: no numbers, no units, no host.
fn lasting(line: &str) -> Vec<&str> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let is_row = words.first().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    if is_row && words.len() > 4 {
        // rank, host, state, files: the rest is time and bytes.
        return vec![words[0], words[2], words[3]];
    }
    let is_unit = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphabetic());
        ["B", "KiB", "MiB", "GiB", "s"].contains(&word.split('/').next().unwrap())
    };
    let is_heading = words.first() == Some(&"rank");
    if is_heading {
        words.truncate(4);
    }
    words.retain(|word| !word.contains(|c: char| c.is_ascii_digit()) && !is_unit(word));
    words
}

/// What one page printed, command by command: the text, and the status.
fn run(page: &[Typed], name: &str) -> Vec<(String, i32)> {
    let cluster = Cluster::new();
    cluster.directory("bin");
    symlink(shoal(), cluster.path("bin/shoal")).unwrap();
    let mut script = String::from("cd page\n");
    for typed in page {
        script.push_str(&format!("{}\nstatus=$?\n", typed.command));
        script.push_str("printf '\\n@%s\\n' $status\n(exit $status)\n");
    }
    cluster.text("page.sh", &script);
    cluster.directory("page");
    let shims = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shims/mpirun");
    symlink(shims, cluster.path("bin/mpirun")).unwrap();
    let mut launcher = vec![Mpi::tested().launcher().display().to_string()];
    launcher.extend(Mpi::tested().flags());
    let path = format!("{}:{}", cluster.path("bin").display(), std::env::var("PATH").unwrap());
    let launches = cluster.path("launches").display().to_string();
    let vars = [
        ("PATH", &*path),
        ("SHOAL_E2E_LAUNCHER", &launcher.join(" ")),
        ("SHOAL_E2E_LAUNCHES", &launches),
    ];
    let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let finished = cluster.script(&["bash", "page.sh"], vars).load(Load::Shared).run();
    let mut ended: Vec<(String, i32)> = Vec::new();
    let mut text = String::new();
    for line in finished.stdout.lines() {
        match line.strip_prefix('@').and_then(|status| status.parse().ok()) {
            Some(status) => ended.push((std::mem::take(&mut text), status)),
            None => text.push_str(&format!("{line}\n")),
        }
    }
    assert_eq!(ended.len(), page.len(), "{name}: {finished}");
    for (index, (_, status)) in ended.iter().enumerate() {
        let is_shown = page.get(index + 1).is_some_and(|next| next.command == "echo $?");
        let command = &page[index].command;
        assert!(*status == 0 || is_shown, "{name}: status {status} of {command}\n{finished}");
    }
    ended
}

#[test]
fn every_command_of_the_guide_does_what_it_shows() {
    let mut count = 0;
    for (name, page) in pages() {
        let page = typed(&page);
        if page.is_empty() {
            continue;
        }
        for (typed, (printed, _)) in page.iter().zip(run(&page, &name)) {
            count += 1;
            for shown in &typed.shown {
                let exact = typed.command == "echo $?";
                let is_there = printed.lines().any(|line| {
                    if exact { line == shown } else { lasting(line) == lasting(shown) }
                });
                let command = &typed.command;
                assert!(is_there, "{name}: {command}\nshows '{shown}', and prints\n{printed}");
            }
        }
    }
    assert!(count > 30, "the guide's commands were not found");
}

#[test]
fn every_option_in_the_guide_and_the_readme_exists() {
    let readme = fs::read_to_string(guide().join("../../README.md")).unwrap();
    let mut lines: Vec<String> = pages().values().flat_map(|page| blocks(page, "sh")).collect();
    lines.extend(blocks(&readme, ""));
    let mut help: BTreeMap<String, String> = BTreeMap::new();
    let mut looked_up = 0;
    for line in &lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(at) = words
            .windows(2)
            .position(|pair| pair[0] == "shoal" && ["run", "cast", "simulate"].contains(&pair[1]))
        else {
            continue;
        };
        let command = words[at + 1].to_owned();
        let text = help.entry(command.clone()).or_insert_with(|| {
            let output = Command::new(shoal()).args([&command, "--help"]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        });
        // Up to a comment, or the colon before other ranks' command line.
        let own = words[at + 2..].iter().take_while(|word| !["#", ":"].contains(word));
        for option in own.filter(|word| word.starts_with("--")) {
            let name = option.split('=').next().unwrap();
            let is_there = text.split_whitespace().any(|word| word == name);
            assert!(is_there, "shoal {command} has no {name}, but a page says: {line}");
            looked_up += 1;
        }
    }
    assert!(looked_up > 10, "{looked_up} options in {} lines", lines.len());
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let pages = pages();
    let summary = &pages["SUMMARY.md"];
    for (name, page) in &pages {
        assert!(name == "SUMMARY.md" || summary.contains(&format!("({name})")), "{name}");
        for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(guide().join("src").join(target).exists(), "{name} links to {target}");
        }
    }
}
