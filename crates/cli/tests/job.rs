//! From a command line to the job of one rank.

mod support;

use cli::Action;
use content::PieceLen;
use shoal::{Command, Job, Keeps, Links, Naming, Share, TrackerPlace};
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
    assert_eq!((Job::BATCH, Job::PATIENCE), (job.batch, job.patience), "the library's own");
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

/// A world outside of any launcher, with these empty programs on its path.
fn world_with(dir: &std::path::Path, programs: &[&str]) -> World {
    for name in programs {
        std::fs::write(dir.join(name), "").unwrap();
    }
    let path = dir.display().to_string();
    World::new("cast --ranks=9 a b").without_launcher().var("PATH", &path)
}

#[test]
fn where_slurm_has_no_default_srun_is_told_how_this_mpi_finds_its_ranks() {
    let option = |default: &str, launchers: &[&str], vars: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let scontrol = dir.path().join("scontrol");
        // Written by another process: while this one has it open, no thread's child could run it.
        let text = format!("#!/bin/sh\necho 'MpiDefault              = {default}'\n");
        let script = "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"";
        let mut write = std::process::Command::new("sh");
        write.args(["-c", script, "sh", &text]).arg(&scontrol);
        assert!(write.status().unwrap().success());
        let world = world_with(dir.path(), &[&["srun"], launchers].concat());
        let world = world.var("SLURM_JOB_ID", "7");
        let world = vars.iter().fold(world, |world, name| world.var(name, "x"));
        let shown = launched(&world);
        assert!(shown.contains("/srun --overcommit --cpu-bind=none "), "{shown}");
        shown.split(' ').find_map(|word| word.strip_prefix("--mpi=").map(str::to_owned))
    };
    let (open_mpi, mpich): (&[&str], &[&str]) = (&["mpirun.openmpi"], &["mpirun.mpich"]);
    assert_eq!(option("none", open_mpi, &[]).unwrap(), "pmix");
    assert_eq!(option("none", mpich, &[]).unwrap(), "pmi2");
    assert_eq!(option("none", &[], &[]), None, "no MPI is seen");
    assert_eq!(option("pmi2", open_mpi, &[]), None, "the cluster has said");
    assert_eq!(option("none", open_mpi, &["SLURM_MPI_TYPE"]), None, "the user has said");
    assert_eq!(option("none", mpich, &["I_MPI_PMI_LIBRARY"]), None);
}

#[test]
fn ranks_start_under_the_first_launcher_on_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    let mut world = world_with(dir.path(), &["mpirun.mpich"]);
    let mpich = format!("{path}/mpirun.mpich -n 9 /opt/shoal cast a b");
    assert_eq!(launched(&world), mpich);
    world.is_root = true;
    assert_eq!(launched(&world), mpich);

    let mut world = world_with(dir.path(), &["mpirun.openmpi"]);
    let open_mpi =
        format!("{path}/mpirun.openmpi --oversubscribe --bind-to none -n 9 /opt/shoal cast a b");
    assert_eq!(launched(&world), open_mpi);
    world.is_root = true;
    let as_root = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
                   PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1 ";
    assert_eq!(launched(&world), format!("{as_root}{open_mpi}"));

    // Whose it is, nobody knows.
    let dir = dir.path().join("unknown/bin");
    std::fs::create_dir_all(&dir).unwrap();
    let world = world_with(&dir, &["mpirun"]);
    let other = format!("{}/mpirun -n 9 /opt/shoal cast a b", dir.display());
    assert_eq!(launched(&world), other);
}

#[test]
fn a_launcher_whose_name_says_nothing_is_known_by_the_library_of_its_installation() {
    let dir = tempfile::tempdir().unwrap();
    for sub in ["bin", "lib"] {
        std::fs::create_dir(dir.path().join(sub)).unwrap();
    }
    // As much of a library as a look at it reads.
    std::fs::copy(std::env::current_exe().unwrap(), dir.path().join("lib/libmpi.so.40")).unwrap();
    let shown = launched(&world_with(&dir.path().join("bin"), &["mpirun"]));
    assert!(shown.contains("/bin/mpirun --oversubscribe "), "{shown}");
}

#[test]
fn the_launcher_fits_the_library_that_the_user_names() {
    let dir = tempfile::tempdir().unwrap();
    let world = || world_with(dir.path(), &["mpirun.openmpi", "mpirun.mpich"]);
    for (library, launcher) in [
        ("/x/libmpi.so.12", "mpirun.mpich"),
        ("libmpich.so.12.3.1", "mpirun.mpich"),
        ("/x/libmpi.so.40", "mpirun.openmpi"),
        ("/x/libother.so", "mpirun.openmpi"),
    ] {
        let shown = launched(&world().var("SHOAL_LIBMPI", library));
        assert!(shown.contains(&format!("/{launcher} ")), "{library}: {shown}");
    }
}

#[test]
fn without_a_launcher_there_are_no_ranks_to_start() {
    let nowhere = World::new("cast --ranks=9 a b").without_launcher().var("PATH", "/gone");
    assert_eq!(
        nowhere.decide().unwrap_err(),
        "--ranks 9 needs an MPI launcher, and there is no mpirun or mpiexec on the PATH: load an \
         MPI module, or install one (Debian and Ubuntu: apt-get install openmpi-bin), or start \
         shoal under a launcher yourself"
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
