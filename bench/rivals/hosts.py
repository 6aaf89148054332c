"""How MPI programs are started across the hosts of a `Network`: one rank a host, over TCP only."""

from __future__ import annotations

from pathlib import Path

from network import SUBNET, Network
from rivals import mpi

#: MPICH finds that all hosts are one machine and takes shared memory unless it is told not to.
ENV = {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "eth0", "MPIR_CVAR_NOLOCAL": "1",
       "FI_PROVIDER": "tcp", "FI_TCP_IFACE": "eth0"}


def mpirun(network: Network, binary: Path, directory: Path, ranks: int = 0) -> list[str]:
    """The start of a command that runs a program, one rank on each host, from host 0."""
    agent = network.agent(directory / "agent")
    launcher = mpi.launcher(binary)
    addresses = [network.address(host) for host in range(network.hosts)]
    start = [launcher, "-n", str(ranks or network.hosts)]
    if "mpich" in launcher:
        start += ["-hosts", ",".join(addresses), "-launcher", "ssh", "-launcher-exec", str(agent),
                  "-iface", "eth0"]
    else:
        start += ["--host", ",".join(f"{address}:1" for address in addresses), "--map-by", "node",
                  "--bind-to", "none", "--mca", "plm_rsh_agent", str(agent),
                  "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", SUBNET,
                  "--mca", "oob_tcp_if_include", SUBNET,
                  "--mca", "orte_keep_fqdn_hostnames", "1"]
    return network.command(0, start)
