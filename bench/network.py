"""Several hosts on this machine: network namespaces on bridges, links shaped in both directions.

Each host is a namespace with one interface, `eth0`, and a host name of its own; one more is the
switch. A link is shaped by a token bucket at both of its ends, so that a host sends and receives at
its rate; its queue holds 20 ms. TCP uses reno everywhere, so that nothing depends on the kernel's
default. Needs root and iproute2. Nothing outside its own namespaces is touched; their names begin
with the id of this process, so that two runs on one machine do not collide, and they go when the
`with` block ends.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Sequence

from measure import Failed

#: Where all hosts live; each network has a switch of its own, so that two of them never meet.
SUBNET = "10.79.0.0/24"
#: What a link's queue holds, and what may leave at once: the longest packet of segments.
QUEUE_MS = 20
BURST = "64kb"
#: Addresses of the subnet that are given out.
HOSTS_MAX = 200
#: How long the processes of a namespace may take to be gone.
END_MAX_S = 5
#: How long any of the commands here may take.
COMMAND_MAX_S = 60
MEGABIT = 1_000_000


def missing() -> str | None:
    """What keeps this machine from having networks, as a sentence; none where nothing does."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    for tool in ("ip", "tc", "nsenter", "unshare"):
        if shutil.which(tool) is None:
            return f"{tool} is missing (apt install iproute2 util-linux)"
    try:
        with Network.switch(1, MEGABIT):
            return None
    except Failed as failure:
        return f"no networks can be made here: {failure}"


def bucket(bits: int) -> list[str]:
    """The words of `tc` for a token bucket of so many bits a second."""
    return ["tbf", "rate", f"{bits}bit", "burst", BURST, "latency", f"{QUEUE_MS}ms"]


@dataclass
class Network:
    """Racks of hosts: `racks` holds, for each rack, the rates of its hosts' links in bits a second.

    With one rack all hosts hang on one switch. With more each rack has its own, joined to the core
    by a link of `uplink` bits a second. Host numbers run through the racks.
    """

    racks: Sequence[Sequence[int]]
    uplink: int = 0
    _namespaces: list[str] = field(default_factory=list)

    @staticmethod
    def switch(hosts: int, bits: int) -> Network:
        """So many hosts on one switch, all links alike."""
        return Network([[bits] * hosts])

    @staticmethod
    def prefix() -> str:
        return f"shoal{os.getpid()}-"

    @property
    def hosts(self) -> int:
        return sum(len(rack) for rack in self.racks)

    def address(self, host: int) -> str:
        return f"10.79.0.{10 + host}"

    def namespace(self, host: int) -> str:
        return f"{self.prefix()}h{host}"

    def rack_of(self, host: int) -> int:
        for number, rack in enumerate(self.racks):
            if host < len(rack):
                return number
            host -= len(rack)
        raise IndexError(host)

    def __enter__(self) -> Network:
        if self.hosts > HOSTS_MAX:
            raise ValueError(f"more than {HOSTS_MAX} hosts")
        sweep()
        atexit.register(self.remove)
        try:
            self._make()
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _make(self) -> None:
        switch = self._add_namespace("switch")
        # A switch does not look into packets; where the kernel's does, that costs a fifth of all
        # that the network costs. Where it does not, the kernel does not know the key.
        inside(switch, "sysctl", "-eqw", "net.bridge.bridge-nf-call-iptables=0")
        host = 0
        bridge(switch, "core")
        for number, rack in enumerate(self.racks):
            at = "core"
            if len(self.racks) > 1:
                at = f"rack{number}"
                bridge(switch, at)
                self._join_racks(switch, number, at)
            for bits in rack:
                self._add_host(switch, host, at, bits)
                host += 1

    def _add_namespace(self, name: str) -> str:
        namespace = self.prefix() + name
        ip("netns", "add", namespace)
        self._namespaces.append(namespace)
        ip("-n", namespace, "link", "set", "lo", "up")
        return namespace

    def _join_racks(self, switch: str, number: int, at: str) -> None:
        up, down = f"up{number}", f"down{number}"
        ip("-n", switch, "link", "add", up, "type", "veth", "peer", "name", down)
        for end, master in ((up, at), (down, "core")):
            ip("-n", switch, "link", "set", end, "master", master, "up")
            shape(switch, end, self.uplink)

    def _add_host(self, switch: str, host: int, at: str, bits: int) -> None:
        namespace, port = self._add_namespace(f"h{host}"), f"port{host}"
        ip("-n", switch, "link", "add", port, "type", "veth",
           "peer", "name", "eth0", "netns", namespace)
        ip("-n", switch, "link", "set", port, "master", at, "up")
        ip("-n", namespace, "addr", "add", f"{self.address(host)}/24", "brd", "+", "dev", "eth0")
        ip("-n", namespace, "link", "set", "eth0", "up")
        ip("-n", namespace, "route", "add", "224.0.0.0/4", "dev", "eth0")
        shape(namespace, "eth0", bits)
        shape(switch, port, bits)
        # Written where only this namespace sees it.
        inside(namespace, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno")

    def remove(self) -> None:
        """Ends what still runs in the namespaces, and removes them; may be called twice."""
        atexit.unregister(self.remove)
        while self._namespaces:
            remove(self._namespaces.pop())

    def command(self, host: int, argv: Sequence[str | Path] = ()) -> list[str]:
        """The command that runs `argv` on a host: its network and its name."""
        name = f'hostname {self.host_name(host)}; exec "$@"'
        return ["nsenter", f"--net=/run/netns/{self.namespace(host)}", "unshare", "--uts",
                "sh", "-c", name, "sh", *map(str, argv)]

    def host_name(self, host: int) -> str:
        return f"host{host}"

    def agent(self, path: Path) -> Path:
        """Writes a script for launchers that use ssh: `SCRIPT [options] ADDRESS COMMAND…`."""
        words = (f'exec nsenter --net=/run/netns/{self.prefix()}h$i unshare --uts '
                 'sh -c \'hostname "$0"; exec bash -c "$*"\' "host$i" "$@"')
        Path(path).write_text(
            '#!/bin/sh\nwhile [ "${1#-}" != "$1" ]; do shift; done\n'
            f"i=$((${{1##*.}} - 10)); shift\n{words}\n"
        )
        os.chmod(path, 0o755)
        return Path(path)

    def sent(self) -> list[int]:
        """The bytes that each host's interface has sent so far, headers included."""
        return [counter(self.namespace(host), "eth0", "transmit") for host in range(self.hosts)]

    def uplinks(self) -> list[tuple[int, int]]:
        """For each rack, the bytes that went out of it and into it so far."""
        switch = self.prefix() + "switch"
        numbers = range(len(self.racks) if len(self.racks) > 1 else 0)
        return [(counter(switch, f"up{n}", "transmit"), counter(switch, f"up{n}", "receive"))
                for n in numbers]


def bridge(switch: str, name: str) -> None:
    ip("-n", switch, "link", "add", name, "type", "bridge", "mcast_snooping", "0")
    ip("-n", switch, "link", "set", name, "up")


def shape(namespace: str, device: str, bits: int) -> None:
    if bits:
        check(["tc", "-n", namespace, "qdisc", "add", "dev", device, "root", *bucket(bits)])


def counter(namespace: str, device: str, way: str) -> int:
    text = inside(namespace, "cat", "/proc/net/dev")
    numbers = re.search(rf"^ *{device}: *(.*)$", text, re.MULTILINE).group(1).split()
    return int(numbers[8 if way == "transmit" else 0])


def inside(namespace: str, *words: str) -> str:
    return check(["ip", "netns", "exec", namespace, *words])


def ip(*words: str) -> str:
    return check(["ip", *words])


def check(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_MAX_S)
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def remove(namespace: str) -> None:
    until = time.monotonic() + END_MAX_S
    while time.monotonic() < until:
        listed = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True,
                                text=True, timeout=COMMAND_MAX_S)
        pids = [int(pid) for pid in listed.stdout.split()]
        if not pids:
            break
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.05)
    subprocess.run(["ip", "netns", "del", namespace], capture_output=True, timeout=COMMAND_MAX_S)


def sweep() -> None:
    """Removes the networks of runs that were killed before they could."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True,
                            timeout=COMMAND_MAX_S)
    for line in listed.stdout.splitlines():
        found = re.match(r"shoal(\d+)-", line)
        if found and not Path(f"/proc/{found.group(1)}").exists():
            remove(line.split()[0])
