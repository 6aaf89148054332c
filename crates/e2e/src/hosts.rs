//! Two hosts on this machine: network namespaces joined by one link, each with a host name of its
//! own. The kernel counts what crosses the link. They go when this is dropped; needs root.

use crate::binary::Mpi;
use crate::is_root;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many hosts there are. Addresses are 10.79.1.10 and on.
const HOST_COUNT: u32 = 2;

/// What the link carries each way: less than memory does, or it would be no network.
const RATE: &str = "100mbit";

/// The hosts of one test.
#[derive(Debug)]
pub struct Hosts {
    /// What the names of the namespaces begin with; the number of a host follows.
    prefix: String,
}

impl Hosts {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// Says what this machine lacks: a reason to skip a test.
    pub fn up() -> Result<Self, String> {
        if !is_root() {
            return Err("network namespaces need root".into());
        }
        if Mpi::tested() != Mpi::OpenMpi {
            return Err("only the mpirun of Open MPI 4 is told of the hosts".into());
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let hosts = Self { prefix: format!("shoal-e2e{}-{number}-", std::process::id()) };
        for host in 0..HOST_COUNT {
            ip(&["netns", "add", &hosts.name(host)])?;
            ip(&["-n", &hosts.name(host), "link", "set", "lo", "up"])?;
        }
        let (first, second) = (hosts.name(0), hosts.name(1));
        let link = ["-n", &first, "link", "add", "eth0", "type", "veth"];
        ip(&[&link[..], &["peer", "name", "eth0", "netns", &second]].concat())?;
        for host in 0..HOST_COUNT {
            let address = format!("10.79.1.{}/24", 10 + host);
            ip(&["-n", &hosts.name(host), "addr", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &hosts.name(host), "link", "set", "eth0", "up"])?;
            let bucket = ["rate", RATE, "burst", "64kb", "latency", "20ms"];
            let shape = ["-n", &hosts.name(host), "qdisc", "add", "dev", "eth0", "root", "tbf"];
            run("tc", &[&shape[..], &bucket].concat())?;
        }
        Ok(hosts)
    }

    /// The words that start a program on the first host under its `mpirun`, with so many ranks
    /// dealt to the hosts in turn; and the variables that they need.
    pub fn mpirun(&self, ranks: u32) -> (Vec<String>, Vec<(String, String)>) {
        let agent = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shims/agent");
        let slots = ranks.div_ceil(HOST_COUNT);
        let of_host = |host: u32| format!("10.79.1.{}:{slots}", 10 + host);
        let list: Vec<String> = (0..HOST_COUNT).map(of_host).collect();
        let net = format!("--net=/run/netns/{}", self.name(0));
        let enter = ["nsenter", &net, "unshare", "--uts", "sh", "-c"];
        let mut words: Vec<String> = enter.map(str::to_owned).to_vec();
        words.extend(["hostname host0; exec \"$@\"", "sh"].map(str::to_owned));
        words.push(Mpi::tested().launcher().display().to_string());
        let subnet = "10.79.1.0/24";
        let options = ["-n", &ranks.to_string(), "--host", &list.join(","), "--map-by", "node"];
        words.extend(options.map(str::to_owned));
        words.extend(["--bind-to", "none"].map(str::to_owned));
        for (name, value) in [
            ("plm_rsh_agent", agent.to_str().expect("a path in UTF-8")),
            ("btl_tcp_if_include", subnet),
            ("oob_tcp_if_include", subnet),
            ("orte_keep_fqdn_hostnames", "1"),
        ] {
            words.extend(["--mca", name, value].map(str::to_owned));
        }
        (words, vec![("SHOAL_E2E_HOSTS".to_owned(), self.prefix.clone())])
    }

    /// The bytes that have entered a host over its link so far, headers included.
    ///
    /// # Panics
    ///
    /// Panics where the kernel does not say.
    pub fn bytes_into(&self, host: u32) -> u64 {
        let output = Command::new("ip")
            .args(["netns", "exec", &self.name(host), "cat", "/proc/net/dev"])
            .output()
            .expect("ip can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix("eth0:"));
        let bytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        bytes.unwrap_or_else(|| panic!("no counter of eth0 in {text}"))
    }

    fn name(&self, host: u32) -> String {
        format!("{}{host}", self.prefix)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in 0..HOST_COUNT {
            let _ = Command::new("ip").args(["netns", "del", &self.name(host)]).output();
        }
    }
}

fn ip(words: &[&str]) -> Result<(), String> {
    run("ip", words)
}

fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let shown = format!("{program} {}", words.join(" "));
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| format!("{shown}: {error} (apt: iproute2)"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{shown}: {}", said.trim())) }
}
