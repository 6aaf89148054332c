//! From a command line to the job of one rank.

mod support;

use cli::Action;
use content::PieceLen;
use node::{Command, Keeps, Links, Naming, Share, TrackerPlace};
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::World;
use swarm::Pattern;
use swarm::peer::Limits;

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text).unwrap()).collect()
}

fn inside(path: &str, prefix: &str) -> Share {
    Share {
        path: path.into(),
        prefix: prefix.into(),
        links: Links::Kept,
        naming: Naming::Inside,
        keeps: Keeps::default(),
    }
}

#[test]
fn run_fills_each_ranks_own_values() {
    let args = "run --share /a/{rank} --share b/ --prefix r{local_rank}/ --into /s/{env:ID}";
    let job = World::new(args).rank(2, 3).var("ID", "7").orders().job;
    assert_eq!(job.command, Command::Run);
    assert_eq!(job.shares, [inside("/a/2", "r0/"), inside("b/", "r0/")]);
    assert_eq!(job.wants, patterns(&["**"]));
    assert_eq!(job.into, Some("/s/7".into()));
    assert_eq!((job.tracker, job.host.as_str()), (TrackerPlace::Dedicated, "node07.cluster"));
    assert_eq!((job.batch, job.patience, job.piece_len), (10, Duration::from_secs(30), None));
    assert_eq!(job.problem, None);
}

#[test]
fn options_reach_the_job() {
    let args = "run --want *.h5 --want {a,b}/** --into d --batch 3 --threads 5 --patience 0.5 \
                --piece-length 1MiB --tracker colocated --json r{rank}.json --progress none -vv";
    let orders = World::new(args).dir(Path::new("/w")).orders();
    let job = orders.job;
    assert_eq!(job.wants, patterns(&["*.h5", "{a,b}/**"]));
    assert_eq!((job.batch, job.threads, job.patience), (3, 5, Duration::from_millis(500)));
    assert_eq!(job.piece_len, PieceLen::from_bytes(1 << 20).ok());
    assert_eq!(job.tracker, TrackerPlace::Colocated);
    assert_eq!(orders.json, Some(PathBuf::from("/w/r1.json")));
    assert_eq!(orders.verbosity, 2);
}

#[test]
fn caps_are_each_ranks_own_and_nothing_unless_given() {
    let capped = World::new("cast a b --limit-upload 150MB --limit-download 1.5GiB/s").orders();
    let limits = Limits { upload: Some(150_000_000), download: Some(3 << 29) };
    assert_eq!(capped.job.limits, limits);
    assert_eq!(World::new("cast a b").orders().job.limits, Limits::default());
}

#[test]
fn an_empty_pattern_wants_nothing() {
    let job = World::new("run --share a --want ''").orders().job;
    assert_eq!((job.wants.len(), job.into), (0, None));
}

#[test]
fn a_dedicated_tracker_has_no_files_whatever_all_were_told() {
    let job = World::new("run --share a --into b").rank(0, 3).orders().job;
    assert!(job.shares.is_empty() && job.wants.is_empty() && job.into.is_none());
    let job = World::new("run --share a --into b --tracker colocated").rank(0, 3).orders().job;
    assert_eq!((job.shares.len(), job.wants.len()), (1, 1));
}

#[test]
fn cast_shares_its_sources_by_name_and_wants_everything() {
    let job = World::new("cast /a/x{rank} . ../.. b/ dest").rank(0, 3).orders().job;
    assert_eq!(job.command, Command::Cast);
    assert_eq!(job.tracker, TrackerPlace::Colocated);
    assert!(job.shares.iter().all(|share| share.naming == Naming::WithOwnName));
    assert!(job.shares.iter().all(|share| share.prefix.is_empty()));
    let paths: Vec<_> = job.shares.iter().map(|share| share.path.as_os_str()).collect();
    assert_eq!(paths, ["/a/x0", ".", "../..", "b/"]);
    assert_eq!((job.wants, job.into), (patterns(&["**"]), Some("dest".into())));
}

#[test]
fn what_is_shared_is_hashed_on_all_cores_unless_told_otherwise() {
    for (cores, told, expected) in [(1, "", 1), (4, "", 4), (256, "", 16), (4, " --threads 3", 3)] {
        let mut world = World::new(&format!("run --into x{told}"));
        world.cores = cores;
        assert_eq!(world.orders().job.hashers, expected, "of {cores} cores{told}");
    }
}

#[test]
fn threads_are_the_ranks_part_of_the_cores_within_bounds() {
    for (cores, expected) in [(1, 2), (4, 2), (6, 3), (12, 6), (256, 8)] {
        let mut world = World::new("run --into x");
        world.cores = cores;
        assert_eq!(world.orders().job.threads, expected, "of {cores} cores, two ranks a host");
    }
}

#[test]
fn paths_need_not_be_utf8() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(b"/x\xff/{rank}".to_vec());
    let job = World::new("run --into d --share").arg(odd).orders().job;
    assert_eq!(job.shares[0].path.as_os_str(), &*OsString::from_vec(b"/x\xff/1".to_vec()));
}

#[test]
fn a_path_of_which_nothing_is_left_is_wrong_usage() {
    let world = World::new("run --into {env:D}").var("D", "");
    assert_eq!(world.mistake(), "--into: the path is empty on rank 1");
}

fn launched(world: &World) -> String {
    match world.decide() {
        Ok(Action::Launch(launch)) => launch.shown(),
        other => panic!("no launch: {other:?}"),
    }
}

#[test]
fn inside_a_slurm_allocation_ranks_start_under_srun() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("srun"), "").unwrap();
    let path = dir.path().display();
    let world = World::new("run --into x{rank} --ranks 4 --batch 3")
        .without_launcher()
        .var("PATH", &path.to_string())
        .var("SLURM_JOB_ID", "7");
    assert_eq!(
        launched(&world),
        format!(
            "{path}/srun --overcommit --cpu-bind=none -n 4 /opt/shoal run --into x{{rank}} \
             --batch 3"
        )
    );
}

#[test]
fn where_slurm_has_no_default_srun_is_told_how_this_mpi_finds_its_ranks() {
    use cli::launch::{BuiltFor, Family, Launch};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    std::fs::write(dir.path().join("srun"), "").unwrap();
    let scontrol = dir.path().join("scontrol");
    let option = |default: &str, family, vars: &[&str]| {
        // Written by another process: while this one has it open, no thread's child could run it.
        let text = format!("#!/bin/sh\necho 'MpiDefault              = {default}'\n");
        let script = "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"";
        let mut write = std::process::Command::new("sh");
        write.args(["-c", script, "sh", &text]).arg(&scontrol);
        assert!(write.status().unwrap().success());
        let world = World::new("cast --ranks=9 a b").without_launcher().var("PATH", &path);
        let world = world.var("SLURM_JOB_ID", "7");
        let world = vars.iter().fold(world, |world, name| world.var(name, "x"));
        let built_for = BuiltFor { family, name: "Some MPI 1.0", launcher: "" };
        let shown = Launch::new(&world.env(), built_for, 9).unwrap().shown();
        shown.split(' ').find_map(|word| word.strip_prefix("--mpi=").map(str::to_owned))
    };
    assert_eq!(option("none", Family::OpenMpi, &[]).unwrap(), "pmix");
    assert_eq!(option("none", Family::Mpich, &[]).unwrap(), "pmi2");
    assert_eq!(option("none", Family::Other, &[]), None);
    assert_eq!(option("pmi2", Family::OpenMpi, &[]), None, "the cluster has said");
    assert_eq!(option("none", Family::OpenMpi, &["SLURM_MPI_TYPE"]), None, "the user has said");
    assert_eq!(option("none", Family::Mpich, &["I_MPI_PMI_LIBRARY"]), None);
}

#[test]
fn ranks_start_under_the_launcher_of_the_binarys_own_mpi() {
    use cli::launch::{BuiltFor, Family, Launch};
    let dir = tempfile::tempdir().unwrap();
    for name in ["mpirun", "mpirun.openmpi", "mpirun.mpich"] {
        std::fs::write(dir.path().join(name), "").unwrap();
    }
    let path = dir.path().display().to_string();
    let mut world = World::new("cast --ranks=9 a b").without_launcher().var("PATH", &path);
    let shown = |world: &World, family| {
        let built_for = BuiltFor { family, name: "Some MPI 1.0", launcher: "/gone/mpirun" };
        Launch::new(&world.env(), built_for, 9).map(|launch| launch.shown())
    };
    let open_mpi =
        format!("{path}/mpirun.openmpi --oversubscribe --bind-to none -n 9 /opt/shoal cast a b");
    assert_eq!(shown(&world, Family::OpenMpi).unwrap(), open_mpi);
    let mpich = format!("{path}/mpirun.mpich -n 9 /opt/shoal cast a b");
    assert_eq!(shown(&world, Family::Mpich).unwrap(), mpich);
    let other = format!("{path}/mpirun -n 9 /opt/shoal cast a b");
    assert_eq!(shown(&world, Family::Other).unwrap(), other);

    world.is_root = true;
    let as_root = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
                   PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1 ";
    assert_eq!(shown(&world, Family::OpenMpi).unwrap(), format!("{as_root}{open_mpi}"));
    assert_eq!(shown(&world, Family::Mpich).unwrap(), mpich);

    let nowhere = World::new("cast --ranks=9 a b").without_launcher().var("PATH", "/gone");
    assert_eq!(
        shown(&nowhere, Family::Mpich).unwrap_err().to_string(),
        "--ranks 9 needs the launcher of Some MPI 1.0, and there is none: install it (Debian and \
         Ubuntu: apt-get install mpich), or start shoal under a launcher of that MPI yourself"
    );
}

#[test]
fn placeholders_wait_for_the_ranks_that_are_launched() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("srun"), "").unwrap();
    let world = World::new("run --into {env:SLURM_PROCID} --ranks 4")
        .without_launcher()
        .var("PATH", &dir.path().display().to_string())
        .var("SLURM_JOB_ID", "7");
    assert!(matches!(world.decide(), Ok(Action::Launch(_))));
}
