//! From arguments, plan, launcher and environment to the job of this rank.

use crate::args::{CastArgs, Common, RunArgs, Want};
use crate::env::{Env, number};
use crate::launcher::Launcher;
use crate::placeholder::{Surroundings, Template};
use crate::plan::{PeerEntry, Plan, PlanError};
use crate::words;
use anyhow::{Context, Result, anyhow, bail};
use content::Name;
use content::name::escape;
use shoal::{Command, Job, Keeps, Limits, Links, Naming, Share, TrackerPlace, Words};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use swarm::{Pattern, Purpose, Rank};

/// Said where something is wanted and no directory is named.
pub const NOWHERE_TO_PUT: &str = "something is wanted, but there is nowhere to put it: \
     name a directory with --into DIR, or want nothing with --want ''";

/// Makes this rank's job of `shoal run`.
///
/// # Errors
///
/// Wrong usage. What is wrong with a plan is no error here, but the job's problem.
pub fn for_run(
    env: &Env,
    launcher: &Launcher,
    run: &RunArgs,
    tracker: TrackerPlace,
) -> Result<Job> {
    let mut job = bare_job(env, launcher, Command::Run, tracker, &run.common);
    let plan = match &run.plan {
        Some(template) => match read_plan(env, launcher, template)? {
            Ok(plan) => Some(plan),
            Err(problem) => {
                job.problem = Some(problem);
                return Ok(job);
            }
        },
        None => None,
    };
    let entry = plan.as_ref().and_then(|plan| plan.entry_for(launcher.rank, &env.host));
    if let Some(rack) = entry.and_then(|entry| entry.rack.as_ref()) {
        job.rack = Some(rack.clone());
    }
    let source = Source { env, launcher, run, plan: plan.as_ref(), entry };
    let shares = source.shares()?;
    let (wants, into) = source.wants_and_into()?;
    let tracks_only = tracker == TrackerPlace::Dedicated && launcher.rank == Rank::TRACKER;
    // A dedicated tracker has no files, whatever all ranks were told; a mistake in it is still a
    // mistake.
    if tracks_only {
        return Ok(job);
    }
    if !wants.is_empty() && into.is_none() {
        match source.nowhere_to_put() {
            Ok(problem) => job.problem = Some(problem),
            Err(usage) => return Err(usage),
        }
        return Ok(job);
    }
    match shares {
        Ok(shares) => Ok(Job { shares, wants, into, ..job }),
        Err(problem) => Ok(Job { problem: Some(problem), ..job }),
    }
}

/// Makes this rank's job of `shoal cast`.
///
/// # Errors
///
/// Wrong usage.
pub fn for_cast(
    env: &Env,
    launcher: &Launcher,
    cast: &CastArgs,
    tracker: TrackerPlace,
) -> Result<Job> {
    let job = bare_job(env, launcher, Command::Cast, tracker, &cast.common);
    let here = surroundings(env, launcher);
    let sources = cast
        .sources
        .iter()
        .map(|source| fill_path("SRC", source, here))
        .collect::<Result<Vec<_>>>()?;
    let into = fill_path("DEST_DIR", &cast.dest_dir, here)?;
    refuse_equal_names(&sources)?;
    if tracker == TrackerPlace::Dedicated && launcher.rank == Rank::TRACKER {
        return Ok(job);
    }
    let (links, keeps) = (links(&cast.common), keeps(&cast.common));
    let naming = Naming::WithOwnName;
    let share = |path| Share { path, prefix: Vec::new(), links, naming, keeps };
    let shares = sources.into_iter().map(share).collect();
    Ok(Job { shares, wants: vec![Pattern::everything()], into: Some(into), ..job })
}

fn links(common: &Common) -> Links {
    if common.follow_links { Links::Followed } else { Links::Kept }
}

fn keeps(common: &Common) -> Keeps {
    Keeps { owner: common.owner, xattrs: common.xattrs }
}

/// What this rank fills placeholders with.
pub fn surroundings<'a>(env: &'a Env, launcher: &Launcher) -> Surroundings<'a> {
    let Launcher { rank, local_rank, .. } = *launcher;
    Surroundings { rank: rank.0, local_rank, host: &env.host, vars: &env.vars }
}

/// Fills a path's placeholders; `option` names it in the error.
///
/// # Errors
///
/// Names the placeholder that has no value, or says that nothing is left of the path.
pub fn fill_path(option: &str, template: &Template, here: Surroundings<'_>) -> Result<PathBuf> {
    let filled = template.fill(here).with_context(|| option.to_owned())?;
    if filled.is_empty() {
        bail!("{option}: the path is empty on rank {}", here.rank);
    }
    Ok(PathBuf::from(filled))
}

fn bare_job(
    env: &Env,
    launcher: &Launcher,
    command: Command,
    tracker: TrackerPlace,
    common: &Common,
) -> Job {
    let job = Job::new(command).on_cores(env.cores, ranks_here(env, launcher));
    Job {
        began: env.began,
        delete: common.delete,
        purpose: match (common.check, common.dry_run) {
            (true, _) => Purpose::Check,
            (false, true) => Purpose::DryRun,
            (false, false) => Purpose::Transfer,
        },
        tracker,
        shared_fs: common.shared_fs,
        keeps: keeps(common),
        piece_len: common.piece_length,
        batch: common.batch,
        memory: common.memory,
        threads: common.threads.unwrap_or(job.threads),
        hashers: common.threads.unwrap_or(job.hashers),
        patience: common.patience,
        limits: Limits { upload: common.limit_upload, download: common.limit_download },
        host: env.host.clone(),
        rack: rack_of_slurm(env),
        words: Words(words::trouble),
        ..job
    }
}

/// The switches above this host, where Slurm knows them: its address in the network without the
/// node itself.
fn rack_of_slurm(env: &Env) -> Option<String> {
    let text = |name: &str| env.vars.get(OsStr::new(name))?.to_str();
    let (address, pattern) = (text("SLURM_TOPOLOGY_ADDR")?, text("SLURM_TOPOLOGY_ADDR_PATTERN")?);
    let (kinds, kind) = pattern.rsplit_once('.')?;
    let (switches, _) = address.rsplit_once('.')?;
    let is_tree = kind == "node" && kinds.split('.').all(|kind| kind == "switch");
    is_tree.then(|| switches.to_owned())
}

/// How many ranks of the job are on this host, as far as the launcher tells.
fn ranks_here(env: &Env, launcher: &Launcher) -> usize {
    launcher
        .local_size
        .or_else(|| launcher.is_present().then(|| number(&env.vars, "SLURM_NTASKS_PER_NODE"))?)
        .map_or(1, |ranks| ranks.max(1) as usize)
}

/// Reads the plan. The inner error is the job's problem, the outer one is wrong usage.
fn read_plan(env: &Env, launcher: &Launcher, template: &Template) -> Result<Result<Plan, String>> {
    let shown = fill_path("--plan", template, surroundings(env, launcher))?;
    match Plan::read(&env.current_dir.join(&shown), &shown) {
        Ok(plan) => Ok(Ok(plan)),
        Err(PlanError::Bad(problem)) => Ok(Err(problem)),
        Err(PlanError::Placeholder(why)) => Err(anyhow!(why)),
    }
}

/// Where a rank's orders come from: its entry of the plan, and where that is silent, the command
/// line.
struct Source<'a> {
    env: &'a Env,
    launcher: &'a Launcher,
    run: &'a RunArgs,
    plan: Option<&'a Plan>,
    entry: Option<&'a PeerEntry>,
}

impl Source<'_> {
    /// What it offers. The inner error is the job's problem, the outer one is wrong usage.
    fn shares(&self) -> Result<Result<Vec<Share>, String>> {
        let here = surroundings(self.env, self.launcher);
        let from_plan = self.entry.and_then(|entry| entry.share.as_ref());
        let paths = from_plan.unwrap_or(&self.run.share);
        let option = self.named("share", from_plan.is_some());
        let paths =
            paths.iter().map(|path| fill_path(&option, path, here)).collect::<Result<Vec<_>>>()?;
        let from_plan = self.entry.and_then(|entry| entry.prefix.as_ref());
        let option = self.named("prefix", from_plan.is_some());
        let prefix = match from_plan.or(self.run.prefix.as_ref()) {
            Some(template) => template.fill(here).with_context(|| option.clone())?.into_vec(),
            None => Vec::new(),
        };
        if let Err(why) = check_prefix(&prefix) {
            let why = format!("{option}: {why}");
            return if from_plan.is_some() { Ok(Err(why)) } else { Err(anyhow!(why)) };
        }
        let (links, keeps) = (links(&self.run.common), keeps(&self.run.common));
        let naming = Naming::Inside;
        let share = |path| Share { path, prefix: prefix.clone(), links, naming, keeps };
        Ok(Ok(paths.into_iter().map(share).collect()))
    }

    fn wants_and_into(&self) -> Result<(Vec<Pattern>, Option<PathBuf>)> {
        let here = surroundings(self.env, self.launcher);
        let from_plan = self.entry.and_then(|entry| entry.into.as_ref());
        let option = self.named("into", from_plan.is_some());
        let into = from_plan
            .or(self.run.into.as_ref())
            .map(|template| fill_path(&option, template, here))
            .transpose()?;
        let wants = match self.entry {
            Some(PeerEntry { want: Some(wants), .. }) => wants.clone(),
            // An entry that says neither what is wanted nor where it would go is for a rank that
            // only shares.
            Some(_) if self.run.want.is_empty() && into.is_none() => Vec::new(),
            _ => command_line_wants(self.run),
        };
        Ok((wants, into))
    }

    /// How an option is named in an error: as in the plan, or as on the command line.
    fn named(&self, key: &str, from_plan: bool) -> String {
        match (self.plan, self.entry) {
            (Some(plan), Some(entry)) if from_plan => {
                format!("{}, [[peer]] of line {}, '{key}'", plan.file, entry.line)
            }
            _ => format!("--{key}"),
        }
    }

    /// Something is wanted and no directory is named: the plan's fault where an entry matched,
    /// else wrong usage.
    fn nowhere_to_put(&self) -> Result<String> {
        match (self.plan, self.entry) {
            (Some(plan), Some(entry)) => Ok(format!(
                "{}, line {}: this [[peer]] wants files, but has no 'into', and there is no --into",
                plan.file, entry.line
            )),
            (Some(plan), None) => Err(anyhow!(
                "rank {} on {} matches no [[peer]] of {}, and {NOWHERE_TO_PUT}",
                self.launcher.rank,
                self.env.host,
                plan.file
            )),
            _ => Err(anyhow!(NOWHERE_TO_PUT)),
        }
    }
}

fn command_line_wants(run: &RunArgs) -> Vec<Pattern> {
    if run.want.is_empty() {
        return vec![Pattern::everything()];
    }
    let pattern = |want: &Want| match want {
        Want::Nothing => None,
        Want::Matching(pattern) => Some(pattern.clone()),
    };
    run.want.iter().filter_map(pattern).collect()
}

/// Refuses a prefix that no name could follow.
fn check_prefix(prefix: &[u8]) -> Result<(), String> {
    let mut name = prefix.to_vec();
    name.push(b'x');
    Name::new(name)
        .map(drop)
        .map_err(|error| format!("names cannot begin with '{}', because {error}", escape(prefix)))
}

/// Two sources that would land under one name. Where a path's last part is no name (`..`), the
/// store decides.
fn refuse_equal_names(sources: &[PathBuf]) -> Result<()> {
    let mut seen: BTreeMap<&OsStr, &Path> = BTreeMap::new();
    for source in sources {
        let Some(name) = source.file_name() else { continue };
        if let Some(first) = seen.insert(name, source) {
            bail!(
                "{} and {} would both become DEST_DIR/{}; cast them one after the other, into \
                 two directories",
                escape(first.as_os_str().as_bytes()),
                escape(source.as_os_str().as_bytes()),
                escape(name.as_bytes())
            );
        }
    }
    Ok(())
}
