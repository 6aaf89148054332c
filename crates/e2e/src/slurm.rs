//! A real Slurm of four nodes on this machine: Debian's daemons with a configuration, ports and
//! directories of their own, which end when it is dropped.
//!
//! It touches no Slurm that the machine may have: nothing lies outside the test's directory, and
//! only what carries its mark is ended. Each node is a `slurmd` with a host name and a
//! directory for its local disk of its own, two to a rack.

use crate::binary::Mpi;
use crate::is_root;
use crate::launch::{MARK, new_mark};
use crate::process::RankProcess;
use rustix::process::Signal;
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How many nodes there are: `node0` and on.
pub const NODE_COUNT: u32 = 4;
/// How long the daemons may take until every node is idle, and to be gone.
const START: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// A Slurm that runs.
#[derive(Debug)]
pub struct Slurm {
    directory: TempDir,
    daemons: Vec<Child>,
    mark: String,
}

impl Slurm {
    /// Starts one, and waits until all its nodes are idle.
    ///
    /// # Errors
    ///
    /// Says what this machine lacks: a reason to skip a test.
    ///
    /// # Panics
    ///
    /// Panics where everything is there and it does not come up: with the daemons' logs.
    pub fn start() -> Result<Self, String> {
        if !is_root() {
            return Err("a Slurm of several nodes on one machine needs root".into());
        }
        for program in ["munged", "slurmctld", "slurmd", "srun", "salloc", "unshare", "setpriv"] {
            if !is_there(program) {
                return Err(format!("there is no {program} (scripts/install-deps test)"));
            }
        }
        if !Command::new("unshare")
            .args(["--uts", "--mount", "true"])
            .status()
            .is_ok_and(|s| s.success())
        {
            return Err("this root may give no process a host name and mounts of its own".into());
        }
        // Where the path is short: munge's socket has at most 107 bytes.
        let directory = tempfile::Builder::new().prefix("shoal-slurm-").tempdir().unwrap();
        // munged wants every directory above its socket to be closed to others' writing or sticky.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let mut slurm = Self { directory, daemons: Vec::new(), mark: new_mark() };
        slurm.configure();
        slurm.start_daemons();
        Ok(slurm)
    }

    /// What `srun` and its like must be told to find this Slurm.
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![("SLURM_CONF".to_owned(), self.path("slurm.conf").display().to_string())]
    }

    /// The plugin of Slurm through which the tested binary's MPI finds its ranks.
    pub fn mpi_plugin() -> &'static str {
        match Mpi::tested() {
            // Debian's has PMIx and nothing else; Debian's MPICH speaks PMI-1 and PMI-2.
            Mpi::OpenMpi | Mpi::Ulfm => "pmix",
            Mpi::Mpich => "pmi2",
        }
    }

    /// Runs one of Slurm's commands to its end, and returns its standard output.
    ///
    /// # Panics
    ///
    /// Panics where it fails.
    pub fn command<const N: usize>(&self, words: [&str; N]) -> String {
        let output = Command::new("timeout")
            .arg("20")
            .args(words)
            .envs(self.environment())
            .output()
            .expect("timeout can be started");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {stderr}\n{}", self.logs());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Where each node has its own disk, under the same path.
    pub fn local_disk(&self) -> PathBuf {
        self.path("local")
    }

    /// The same disk of one node, seen from outside.
    pub fn disk_of(&self, node: u32) -> PathBuf {
        self.path(format!("disk/node{node}"))
    }

    fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(relative)
    }

    fn configure(&self) {
        for node in 0..NODE_COUNT {
            for directory in ["spool", "tmp", "disk"] {
                fs::create_dir_all(self.path(format!("{directory}/node{node}"))).unwrap();
            }
        }
        for directory in ["state", "log", "local"] {
            fs::create_dir(self.path(directory)).unwrap();
        }
        let key = self.path("munge.key");
        let mut secret = [0; 128];
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut secret)).unwrap();
        fs::write(&key, secret).unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let ports = free_ports(1 + NODE_COUNT as usize);
        fs::write(self.path("slurm.conf"), self.slurm_conf(&ports)).unwrap();
        let racks = "SwitchName=rack0 Nodes=node[0-1]\nSwitchName=rack1 Nodes=node[2-3]\n\
                     SwitchName=core Switches=rack[0-1]\n";
        fs::write(self.path("topology.conf"), racks).unwrap();
        fs::write(self.path("cgroup.conf"), "CgroupPlugin=cgroup/v1\n").unwrap();
        fs::write(self.path("plugstack.conf"), "").unwrap();
    }

    fn slurm_conf(&self, ports: &[u16]) -> String {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let at = self.directory.path().display();
        let mut text = format!(
            "ClusterName=shoal\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={}\n\
             SlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\nCredType=cred/munge\n\
             AuthInfo=socket={at}/munge.socket\nStateSaveLocation={at}/state\n\
             SlurmctldPidFile={at}/slurmctld.pid\nSlurmctldLogFile={at}/log/slurmctld\n\
             SlurmdSpoolDir={at}/spool/%n\nSlurmdPidFile={at}/slurmd-%n.pid\n\
             SlurmdLogFile={at}/log/slurmd-%n\nTmpFS={at}/tmp/%n\n",
            ports[0]
        );
        // A container has no cgroups of its own, and four nodes have the cores of one machine.
        text.push_str(
            "ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n\
             JobAcctGatherType=jobacct_gather/none\n\
             AccountingStorageType=accounting_storage/none\nSwitchType=switch/none\n\
             SlurmdParameters=config_overrides\nSelectType=select/cons_tres\n\
             SelectTypeParameters=CR_CPU\nSchedulerType=sched/backfill\n\
             SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1\n\
             TopologyPlugin=topology/tree\nMpiDefault=none\nReturnToService=2\nKillWait=5\n\
             PartitionName=all Nodes=ALL Default=YES MaxTime=120 State=UP OverSubscribe=FORCE\n",
        );
        for (node, port) in ports[1..].iter().enumerate() {
            text.push_str(&format!(
                "NodeName=node{node} NodeHostname=node{node} NodeAddr=127.0.0.1 Port={port} \
                 CPUs=4 State=UNKNOWN\n"
            ));
        }
        text
    }

    fn start_daemons(&mut self) {
        let at = self.directory.path().display().to_string();
        self.daemon(&[
            "munged",
            "--foreground",
            &format!("--key-file={at}/munge.key"),
            &format!("--socket={at}/munge.socket"),
            &format!("--pid-file={at}/munged.pid"),
            &format!("--log-file={at}/log/munged"),
            &format!("--seed-file={at}/munge.seed"),
        ]);
        self.wait_until("munge answers", |slurm| slurm.path("munge.socket").exists());
        self.daemon(&["slurmctld", "-D"]);
        for node in 0..NODE_COUNT {
            let start = format!(
                "hostname node{node} && mount --bind disk/node{node} local && \
                 exec slurmd -D -N node{node}"
            );
            self.daemon(&["unshare", "--uts", "--mount", "sh", "-c", &start]);
        }
        self.wait_until("every node is idle", |slurm| {
            let output = Command::new("timeout")
                .args(["5", "sinfo", "--noheader", "--states=idle", "--format=%D"])
                .envs(slurm.environment())
                .stderr(Stdio::null())
                .output();
            output.is_ok_and(|o| o.stdout.trim_ascii() == NODE_COUNT.to_string().as_bytes())
        });
    }

    /// Starts a daemon that stays in the foreground, and dies with this test whatever happens.
    fn daemon(&mut self, words: &[&str]) {
        let name = format!("log/output-{}", self.daemons.len());
        let output = File::create(self.path(name)).unwrap();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .args(words)
            .env("PATH", search_path())
            .env(MARK, &self.mark)
            .envs(self.environment())
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn();
        self.daemons.push(child.unwrap_or_else(|error| panic!("{words:?}: {error}")));
    }

    fn wait_until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            let dead = self.daemons.iter_mut().any(|d| d.try_wait().is_ok_and(|s| s.is_some()));
            let late = began.elapsed() > START;
            assert!(!dead && !late, "no Slurm: not so far that {what}\n{}", self.logs());
            std::thread::sleep(POLL);
        }
    }

    /// The ends of all logs, for a test that fails.
    pub fn logs(&self) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(self.path("log")).into_iter().flatten().flatten() {
            let log = fs::read(entry.path()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(20)..].join("\n");
            text.push_str(&format!("--- {}\n{last}\n", entry.file_name().display()));
        }
        text
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        // The nodes first, while there is somebody whom they can tell.
        for daemon in self.daemons.iter().rev() {
            let pid = daemon.id().try_into().expect("a process id");
            RankProcess { pid, rank: None }.signal(Signal::TERM);
        }
        let began = Instant::now();
        while began.elapsed() < END
            && self.daemons.iter_mut().any(|d| d.try_wait().is_ok_and(|status| status.is_none()))
        {
            std::thread::sleep(POLL);
        }
        for daemon in &mut self.daemons {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        RankProcess::marked(&self.mark).into_iter().for_each(RankProcess::kill);
    }
}

/// Where daemons are, for a user whose search path lacks their directory.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn is_there(program: &str) -> bool {
    std::env::split_paths(&search_path()).any(|directory| directory.join(program).is_file())
}

/// Ports that nobody listens on, all different: kept open until all are known.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback is up")).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
