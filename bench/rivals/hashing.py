"""What hashing costs elsewhere: reading alone, `openssl speed`, and mktorrent."""

from __future__ import annotations

import re
from pathlib import Path

from files import MIB
from measure import CORES, Failed, Group


def read(source: Path) -> Group:
    """Reads a file once, each core a part of it, and does nothing with it."""
    length = source.stat().st_size
    part = -(-length // CORES)
    with Group() as group:
        for number in range(CORES):
            group.start(["dd", f"if={source}", "of=/dev/null", "bs=1M", f"skip={number * part}",
                         f"count={part}", "iflag=skip_bytes,count_bytes", "status=none"])
        group.wait()
    return group


def sha256_bytes_per_s(processes: int) -> float:
    """What OpenSSL hashes in a second, in cache, by so many processes at once."""
    command = ["openssl", "speed", "-elapsed", "-seconds", "1", "-bytes", "65536", "-mr"]
    if processes > 1:
        command += ["-multi", str(processes)]
    with Group() as group:
        process = group.start([*command, "sha256"])
        group.wait()
        # The last such line is the sum of all processes.
        rates = re.findall(r"^\+F:\d+:sha256:([0-9.]+)$", group.output(process), re.MULTILINE)
    if not rates:
        raise Failed("openssl told no rate")
    return float(rates[-1])


def mktorrent(source: Path, torrent: Path, threads: int = CORES) -> Group:
    """Makes a torrent of version 1 (SHA-1) with mktorrent, in pieces of 1 MiB."""
    torrent.unlink(missing_ok=True)
    with Group() as group:
        group.start(["mktorrent", "-a", "http://127.0.0.1/", "-l", str(MIB.bit_length() - 1),
                     "-t", str(threads), "-o", torrent, source])
        group.wait()
    return group
