"""Multicast: udpcast and uftp, from one sender to all at once. Neither verifies a hash.

Both are told what the link carries: left alone they send faster than a shaped link takes, and
lose most of it. On a network whose switches do not pass multicast on neither works at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from measure import Group
from network import MEGABIT, Network

#: What of the link's rate they may take: beyond it packets are lost and sent again.
SHARE = 0.93
#: Where udpcast's receivers and its sender find each other.
RENDEZVOUS = "239.79.0.1"
#: Receivers that heard nothing of a sender would wait for ever.
RUN_MAX_S = 60


def udpcast(network: Network, bits: int, source: Path, destinations: Sequence[Path]) -> Group:
    """All of the links are switched, so both directions carry at once: --full-duplex."""
    megabits = int(bits * SHARE / MEGABIT)
    with Group(RUN_MAX_S) as group:
        for host, directory in enumerate(destinations, start=1):
            group.start(network.command(host, [
                "udp-receiver", "--nokbd", "--interface", "eth0", "--nosync",
                "--mcast-rdv-address", RENDEZVOUS, "--file", directory / source.name]))
        group.start(network.command(0, [
            "udp-sender", "--nokbd", "--interface", "eth0", "--full-duplex", "--file", source,
            "--mcast-rdv-address", RENDEZVOUS,
            "--min-receivers", str(len(destinations)), "--max-bitrate", f"{megabits}m"]))
        group.wait()
    return group


def uftp(network: Network, bits: int, source: Path, destinations: Sequence[Path]) -> Group:
    """The receivers are daemons, which are there beforehand; rates are in kbit/s of all headers."""
    with Group(RUN_MAX_S) as daemons:
        for host, directory in enumerate(destinations, start=1):
            daemons.start(network.command(host, ["uftpd", "-d", "-I", "eth0", "-D", directory]))
        with Group(RUN_MAX_S) as group:
            sender = group.start(network.command(0, [
                "uftp", "-I", "eth0", "-R", str(int(bits * SHARE / 1000)), "-t", "2", source]))
            group.wait(sender)
    return group
