"""aria2 as a BitTorrent client: one process each, which find each other through our own tracker.

The seeder is told that its file is complete and hashes nothing first. All seed until the last one
is complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

from measure import Group
from rivals.torrent import OnHost, loopback
from tracker import Tracker

NAME = "aria2"

#: aria2 listens on all addresses, so that each client has a port of its own, from this one on.
PORT = 6890
#: What aria2 runs when a download is complete.
HOOK = "#!/bin/sh\necho all-pieces-verified\n"
OPTIONS = (
    "--enable-dht=false", "--enable-dht6=false", "--disable-ipv6", "--bt-enable-lpd=false",
    "--enable-peer-exchange=false", "--async-dns=false",
    # All friends, no limit, no encryption.
    "--bt-max-peers=0", "--bt-request-peer-speed-limit=1024M", "--bt-min-crypto-level=plain",
    "--max-upload-limit=0", "--max-overall-upload-limit=0", "--seed-ratio=0.0",
    # Files grow as pieces come; a cache for each process; no second pass.
    "--file-allocation=none", "--disk-cache=64M", "--socket-recv-buffer-size=4194304",
    "--bt-seed-unverified=true", "--check-integrity=false",
    "--allow-overwrite=true", "--auto-save-interval=0", "--summary-interval=0",
    "--show-console-readout=false",
)


def deliver(
    torrent: Path, tracker: Tracker | None, source: Path, destinations: Sequence[Path],
    directory: Path, address: Callable[[int], str] = loopback, on_host: OnHost = lambda number: [],
) -> Group:
    """From one seeder into each of these directories, until all are complete.

    Without a `tracker` of this process the torrent names one that is there and knows nobody yet.
    """
    if tracker is not None:
        tracker.forget()
    hook = directory / "aria2-complete"
    hook.write_text(HOOK, encoding="utf-8")
    hook.chmod(0o755)
    with Group() as group:
        clients = []
        for number, place in enumerate([source.parent, *destinations]):
            clients.append(group.start(
                [*on_host(number), "aria2c", *OPTIONS, f"--dir={place}",
                 f"--interface={address(number)}",
                 f"--listen-port={PORT + number}", f"--on-bt-download-complete={hook}",
                 f"--torrent-file={torrent}"], {"HOME": str(directory)}))
        group.wait_for("all-pieces-verified", clients[1:])
    return group
