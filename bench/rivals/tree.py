"""Trees by the tools everybody has: `tar | tar` and `rsync -a`, one for each receiver, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from measure import Group


def tar(source: Path, destinations: Sequence[Path]) -> Group:
    """A tar that packs and a tar that unpacks, with a pipe between them."""
    script = 'set -o pipefail; tar -C "$1" -cf - "$2" | tar -C "$3" -xf -'
    with Group() as group:
        for destination in destinations:
            group.start(["bash", "-c", script, "tar", source.parent, source.name, destination])
        group.wait()
    return group


def rsync(source: Path, destinations: Sequence[Path]) -> Group:
    """On one host rsync sends whole files, which is its fastest."""
    with Group() as group:
        for destination in destinations:
            # Without a slash at its end the source itself is copied, as `cp -a` does.
            group.start(["rsync", "-a", "--whole-file", "--inplace", source, f"{destination}/"])
        group.wait()
    return group
