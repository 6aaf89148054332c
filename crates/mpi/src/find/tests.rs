//! Each rule of the search, in a world made up.

use super::*;
use std::collections::BTreeMap;

/// A world in which little is there.
#[derive(Default)]
struct World {
    vars: BTreeMap<&'static str, &'static str>,
    ancestors: Vec<PathBuf>,
    files: BTreeMap<PathBuf, Seen>,
}

const DEBIAN_OPEN_MPI: &str = "/usr/lib/ARCH-linux-gnu/libmpi.so.40";
const DEBIAN_MPICH: &str = "/usr/lib/ARCH-linux-gnu/libmpich.so.12";

fn of_this_machine(path: &str) -> PathBuf {
    path.replace("ARCH", std::env::consts::ARCH).into()
}

impl World {
    /// Debian with both MPIs, where `mpirun` is Open MPI's.
    fn debian() -> Self {
        Self::default()
            .file(DEBIAN_OPEN_MPI)
            .file(DEBIAN_MPICH)
            .link("/usr/bin/mpirun", "/usr/bin/orterun")
            .link("/usr/bin/mpiexec", "/usr/bin/orterun")
            .var("PATH", "/usr/local/bin:/usr/bin")
    }

    fn var(mut self, name: &'static str, value: &'static str) -> Self {
        self.vars.insert(name, value);
        self
    }

    /// One more program above, above those that are there.
    fn below(mut self, program: &str) -> Self {
        self.ancestors.push(program.into());
        self
    }

    fn of_kind(mut self, path: &str, kind: Kind) -> Self {
        let path = of_this_machine(path);
        self.files.insert(path.clone(), Seen { real: path, kind });
        self
    }

    fn file(self, path: &str) -> Self {
        self.of_kind(path, Kind::Ours)
    }

    fn link(mut self, path: &str, real: &str) -> Self {
        self.files.insert(path.into(), Seen { real: real.into(), kind: Kind::Ours });
        self
    }

    fn search(&self) -> Search {
        let var = |name: &str| self.vars.get(name).map(OsString::from);
        let look = |path: &Path| self.files.get(path).cloned();
        Search::new(&Surroundings { var: &var, ancestors: &self.ancestors, look: &look })
    }

    /// The files that would be tried, with the reasons.
    fn files(&self) -> Vec<(PathBuf, Why)> {
        let candidates = self.search().candidates.into_iter();
        candidates
            .filter_map(|Candidate { place, why }| match place {
                Place::File(path) => Some((path, why)),
                _ => None,
            })
            .collect()
    }

    /// The file that is tried before all others.
    fn first(&self) -> (PathBuf, Why) {
        self.files().into_iter().next().expect("there is a library")
    }

    fn families(&self) -> Vec<Family> {
        self.search().launcher.expect("there is a launcher").families
    }
}

#[test]
fn what_the_user_names_is_all_that_is_tried() {
    let world = World::debian().below("/usr/bin/orterun").var(OVERRIDE, "/opt/x/libmpi.so.12");
    assert_eq!(world.files(), [("/opt/x/libmpi.so.12".into(), Why::Told)]);
    assert_eq!(world.search().candidates.len(), 1);
    let by_name = World::debian().var(OVERRIDE, "libmpi.so.12").search().candidates;
    assert_eq!(by_name, [Candidate { place: Place::Name("libmpi.so.12".into()), why: Why::Told }]);
    assert!(!World::debian().var(OVERRIDE, "").files().is_empty(), "an empty variable is none");
}

#[test]
fn a_file_that_the_user_names_and_that_is_no_library_is_not_even_opened() {
    for kind in [Kind::Text, Kind::Foreign] {
        let search = World::default().of_kind("/x/libmpi.so", kind).var(OVERRIDE, "/x/libmpi.so");
        let search = search.search();
        assert_eq!(search.candidates, []);
        assert_eq!(search.unfit, [("/x/libmpi.so".into(), kind)]);
    }
}

#[test]
fn what_the_process_has_already_comes_before_all_that_is_looked_for() {
    let candidates = World::debian().below("/usr/bin/orterun").search().candidates;
    assert_eq!(candidates[0], Candidate { place: Place::Process, why: Why::Here });
}

#[test]
fn of_two_mpis_in_one_installation_the_launchers_is_taken() {
    let open_mpi = World::debian().below("/usr/bin/orterun");
    let why = Why::OfLauncher("/usr/bin/orterun".into());
    assert_eq!(open_mpi.first(), (of_this_machine(DEBIAN_OPEN_MPI), why));
    assert_eq!(open_mpi.families(), [Family::OpenMpi]);
    let mpich = World::debian().below("/usr/bin/hydra_pmi_proxy");
    let why = Why::OfLauncher("/usr/bin/hydra_pmi_proxy".into());
    assert_eq!(mpich.files(), [(of_this_machine(DEBIAN_MPICH), why)]);
}

#[test]
fn a_launcher_is_found_behind_shells_and_scripts_that_it_started() {
    let world = World::debian().below("/bin/dash").below("/usr/bin/python3");
    let world = world.below("/usr/bin/hydra_pmi_proxy").below("/usr/bin/mpiexec.hydra");
    assert_eq!(world.first().0, of_this_machine(DEBIAN_MPICH));
}

#[test]
fn the_nearest_launcher_counts() {
    let world = World::debian().below("/usr/bin/hydra_pmi_proxy").below("/usr/bin/orterun");
    assert_eq!(world.families(), [Family::Mpich]);
}

#[test]
fn open_mpi_5_names_the_directory_of_its_library() {
    let world = World::debian().below("/opt/ompi/bin/prterun").file("/elsewhere/libmpi.so.40");
    let world = world.var("OMPI_COMM_WORLD_RANK", "0").var("OMPI_LIBDIR_LOC", "/elsewhere");
    let why = Why::LauncherSays("OMPI_LIBDIR_LOC");
    assert_eq!(world.first(), ("/elsewhere/libmpi.so.40".into(), why));
}

#[test]
fn an_open_mpi_that_was_moved_says_where_it_is() {
    let world = World::debian().below("/opt/moved/bin/orterun").file("/moved/lib/libmpi.so.40");
    let world = world.var("OPAL_PREFIX", "/moved");
    let why = Why::LauncherSays("OPAL_PREFIX");
    assert_eq!(world.first(), ("/moved/lib/libmpi.so.40".into(), why));
}

#[test]
fn what_open_mpi_says_is_nothing_to_hydra() {
    let world = World::debian().below("/usr/bin/hydra_pmi_proxy").file("/moved/lib/libmpi.so.40");
    let world = world.var("OPAL_PREFIX", "/moved");
    assert_eq!(world.first().0, of_this_machine(DEBIAN_MPICH));
}

#[test]
fn a_program_that_is_hidden_below_its_installation_leads_to_it() {
    let world = World::default().below("/venv/bin/.libs/mpiexec.hydra");
    let world = world.file("/venv/lib/libmpi.so.12");
    assert_eq!(world.first().0, Path::new("/venv/lib/libmpi.so.12"));
}

#[test]
fn an_installation_keeps_its_library_in_one_of_four_places() {
    for place in ["lib/ARCH-linux-gnu", "lib", "lib64", "lib/release"] {
        let file = format!("/opt/mpi/{place}/libmpi.so.12");
        let world = World::default().below("/opt/mpi/bin/hydra_pmi_proxy").file(&file);
        assert_eq!(world.first().0, of_this_machine(&file), "{place}");
    }
}

#[test]
fn a_librarys_own_abi_comes_before_that_of_mpi_5() {
    let world = World::default().below("/opt/mpi/bin/hydra_pmi_proxy");
    let world = world.file("/opt/mpi/lib/libmpi_abi.so.1").file("/opt/mpi/lib/libmpi.so.12");
    let names: Vec<_> = world.files().into_iter().map(|(path, _)| path).collect();
    let expected = ["/opt/mpi/lib/libmpi.so.12", "/opt/mpi/lib/libmpi_abi.so.1"];
    assert_eq!(names, expected.map(PathBuf::from));
}

#[test]
fn the_library_path_comes_after_the_launchers_place_and_before_modules() {
    let world = World::default().below("/gone/bin/hydra_pmi_proxy").file("/a/libmpi.so.12");
    let world = world.file("/m/lib/libmpi.so.12").var("LD_LIBRARY_PATH", ":/none:/a");
    let files = world.var("MPICH_DIR", "/m").files();
    let expected = [
        ("/a/libmpi.so.12".into(), Why::LibraryPath),
        ("/m/lib/libmpi.so.12".into(), Why::Module("MPICH_DIR")),
    ];
    assert_eq!(files, expected);
}

#[test]
fn every_module_leads_to_its_own_family_only() {
    for (name, family) in MODULES {
        let world = World::default().file("/m/lib/libmpi.so.12").file("/m/lib/libmpi.so.40");
        let found = world.var(name, "/m").files().into_iter().map(|(path, why)| {
            assert_eq!(why, Why::Module(name));
            Family::of_library(&path).unwrap()
        });
        let expected = family.map_or(Family::ALL.to_vec(), |family| vec![family]);
        assert_eq!(found.collect::<Vec<_>>(), expected, "{name}");
    }
}

#[test]
fn without_a_launcher_the_first_mpirun_on_the_path_decides() {
    let why = Why::OnPath("/usr/bin/mpirun".into());
    assert_eq!(World::debian().first(), (of_this_machine(DEBIAN_OPEN_MPI), why));
    let venv = World::debian().var("PATH", "/venv/bin:/usr/bin").file("/venv/bin/mpirun");
    let venv = venv.file("/venv/lib/libmpi.so.12");
    let why = Why::OnPath("/venv/bin/mpirun".into());
    assert_eq!(venv.first(), ("/venv/lib/libmpi.so.12".into(), why));
    assert_eq!(World::debian().search().launcher, None);
}

#[test]
fn under_srun_the_plugin_decides_the_family_before_any_place() {
    let world = |rank| World::debian().below("/usr/sbin/slurmstepd").var(rank, "3");
    assert_eq!(world("PMIX_RANK").families(), [Family::OpenMpi, Family::Mpich]);
    assert_eq!(world("PMI_RANK").families(), [Family::Mpich, Family::OpenMpi]);
    assert_eq!(world("PMIX_RANK").first().0, of_this_machine(DEBIAN_OPEN_MPI));
    // Open MPI's mpirun on the PATH leads to Open MPI's alone, the system to MPICH's.
    let tried = world("PMI_RANK").search().candidates;
    let at = |place: Place| tried.iter().position(|candidate| candidate.place == place).unwrap();
    let mpich = at(Place::Name("libmpich.so.12".into()));
    assert!(mpich < at(Place::File(of_this_machine(DEBIAN_OPEN_MPI))), "{tried:?}");
}

#[test]
fn the_mpirun_that_started_the_slurm_job_did_not_start_its_steps() {
    let world = World::debian().below("/usr/sbin/slurmstepd").below("/usr/bin/orterun");
    assert_eq!(world.search().launcher, None);
}

#[test]
fn prte_starts_whatever_speaks_pmix() {
    let world = World::debian().below("/opt/prrte/bin/prterun").var("PMIX_RANK", "0");
    assert_eq!(world.families(), [Family::OpenMpi, Family::Mpich]);
    let of_open_mpi = world.var("OMPI_COMM_WORLD_RANK", "0");
    assert_eq!(of_open_mpi.families(), [Family::OpenMpi]);
}

#[test]
fn variables_tell_the_family_where_no_program_is_seen() {
    for (name, family) in [
        ("OMPI_COMM_WORLD_RANK", Family::OpenMpi),
        ("MPI_LOCALRANKID", Family::Mpich),
        ("MV2_COMM_WORLD_RANK", Family::Mpich),
    ] {
        assert_eq!(World::debian().var(name, "0").families(), [family], "{name}");
    }
}

#[test]
fn a_file_that_has_a_librarys_name_and_is_none_is_passed_by_and_remembered() {
    for kind in [Kind::Text, Kind::Foreign] {
        let world = World::default().below("/m/bin/orterun").of_kind("/m/lib/libmpi.so.40", kind);
        let world = world.file("/n/libmpi.so.40").var("LD_LIBRARY_PATH", "/n");
        assert_eq!(world.first().0, Path::new("/n/libmpi.so.40"));
        assert_eq!(world.search().unfit, [("/m/lib/libmpi.so.40".into(), kind)]);
    }
}

#[test]
fn the_system_is_asked_last_by_versioned_names_alone() {
    let tried = World::debian().below("/usr/bin/hydra_pmi_proxy").search().candidates;
    let by_name = tried.iter().filter_map(|candidate| match &candidate.place {
        Place::Name(name) => Some(&**name),
        _ => None,
    });
    let by_name: Vec<_> = by_name.collect();
    assert_eq!(by_name, ["libmpi.so.12", "libmpich.so.12", "libmpi_abi.so.1"]);
    assert_eq!(tried.last().unwrap().why, Why::System);
}

#[test]
fn hpe_mpt_is_known_by_where_it_lies() {
    let is_mpt = |program| World::default().below(program).search().launcher.unwrap().is_mpt();
    assert!(is_mpt("/opt/hpe/hpc/mpt/mpt-2.25/bin/mpirun"));
    assert!(!is_mpt("/usr/bin/orterun"));
    assert!(!is_mpt("/opt/hpe/hmpt-2.30/bin/mpirun"));
}
