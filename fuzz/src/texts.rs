//! What a user writes: plans, globs, sizes, rates, counts, placeholders.

use cli::placeholder::{Surroundings, Template};
use cli::plan::{Plan, PlanError};
use cli::{Vars, size};
use content::Name;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use swarm::{Pattern, Rank};

/// Any text as any of them: it is taken, or refused with a sentence.
pub fn text(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else { return };
    match kind % 4 {
        0 => plan(bytes),
        1 => glob(bytes),
        2 => numbers(bytes),
        _ => placeholder(bytes),
    }
}

fn plan(bytes: &[u8]) {
    match Plan::parse("job.toml", bytes) {
        Ok(plan) => {
            assert!(!plan.entries.is_empty());
            for rank in [0, 1, 7, Rank::LIMIT - 1, u32::MAX] {
                plan.entry_for(Rank(rank), "node7.cluster");
                plan.entry_for(Rank(rank), "");
            }
        }
        Err(PlanError::Bad(why) | PlanError::Placeholder(why)) => {
            assert!(why.starts_with("job.toml") && why.len() > 12, "{why}");
        }
    }
}

fn glob(bytes: &[u8]) {
    let (pattern, name) = bytes.split_at(bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len()));
    let Ok(pattern) = str::from_utf8(pattern) else { return };
    let name = name.get(1..).and_then(|name| Name::new(name).ok());
    match Pattern::new(pattern) {
        Ok(compiled) => {
            assert_eq!(compiled.as_str(), pattern);
            if let Some(name) = name {
                compiled.matches(&name);
            }
        }
        Err(why) => assert!(why.to_string().contains("is not a glob: "), "{why}"),
    }
}

fn numbers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let said = |why: String| assert!(why.len() > 10, "{why}");
    size::parse_size(&text).err().into_iter().for_each(said);
    size::parse_patience(&text).err().into_iter().for_each(said);
    size::parse_batch(&text).err().into_iter().for_each(said);
    size::parse_threads(&text).err().into_iter().for_each(said);
    size::parse_ranks(&text).err().into_iter().for_each(said);
    match size::parse_rate(&text) {
        Ok(rate) => assert!(rate > 0),
        Err(why) => said(why),
    }
    match size::parse_piece_len(&text) {
        Ok(length) => assert!(length.bytes().is_power_of_two()),
        Err(why) => said(why),
    }
}

fn placeholder(bytes: &[u8]) {
    let vars = Vars::from([("USER".into(), "ann".into())]);
    let here = Surroundings { rank: 3, local_rank: None, host: "node7", vars: &vars };
    match Template::parse(OsStr::from_bytes(bytes)) {
        Ok(template) => drop(template.fill(here).map_err(|why| why.to_string())),
        Err(why) => assert!(why.to_string().len() > 5),
    }
}
