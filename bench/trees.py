"""One tree from one holder to several receivers on this host: what each tool does, and its figures.

Wall time from the first start to the last process's end, launch included. Every tool keeps modes
and times, as Shoal does, and none syncs to the disk. Before each run what an earlier one wrote is
removed, synced and forgotten, and the tree is read, for all to find it in memory; after it all
trees are compared byte for byte.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Sequence

import files
from context import BEFORE, TMPFS, Contender
from measure import Group
from rivals import cp, shoal, tree
from table import Metric

CP = "cp -a each"
SHOAL = "shoal"
METRICS = (
    Metric("wall_s", "wall s"),
    Metric("cpu_s", "CPU s"),
    Metric("anonymous_mb", "memory MB", 0),
)

Method = Callable[[Path, Sequence[Path]], Group]


@dataclass(frozen=True)
class Trees:
    """The tree, a directory that is on the same disk, and how many are to have a copy."""

    source: Path
    directory: Path
    receivers: int
    #: What all files of the tree hold, in bytes.
    length: int
    #: What each copy must pass beside the comparison.
    check: Callable[[Path], None] = lambda _: None
    #: Another build of Shoal, measured beside this one.
    before: Path | None = None

    def contenders(self) -> list[Contender]:
        """`cp`, `tar`, `rsync`, and Shoal."""
        methods: list[tuple[str, bool, Method]] = [
            (CP, False, cp.copy),
            ("tar | tar each", False, tree.tar),
            ("rsync -a each", False, tree.rsync),
            (SHOAL, True, self.shoal),
        ]
        if before := self.before:
            methods.append((BEFORE, True, lambda *job: self.shoal(*job, program=before)))
        return [Contender(name, verifies, lambda method=method: self.once(method))
                for name, verifies, method in methods]

    def shoal(
        self, source: Path, destinations: Sequence[Path], program: Path = shoal.SHOAL,
    ) -> Group:
        """Short files' digests are not cached, so that its start is about cold."""
        cache = self.directory / "cache"
        job = shoal.deliver(source, destinations, self.directory, cache, program=program)
        return job.group

    def once(self, method: Method) -> dict[str, float]:
        """One run into empty directories, and the comparison."""
        numbers = range(self.receivers)
        destinations = [files.fresh(self.directory / f"receiver{number}") for number in numbers]
        subprocess.run(["sync", "-f", self.directory], check=True)
        files.forget_disks()
        files.read_all(self.source)
        # Removing takes so long that a virtual machine gives what is freed back to its host.
        files.touch_pages(TMPFS, (self.receivers + 1) * self.length)
        group = method(self.source, destinations)
        copies = [landed(destination, self.source) for destination in destinations]
        files.must_equal(self.source, copies)
        for copy in copies:
            self.check(copy)
        return {
            "wall_s": group.wall_s,
            "cpu_s": group.cpu_s,
            "anonymous_mb": group.anonymous_peak_bytes / 1e6,
        }


def landed(destination: Path, source: Path) -> Path:
    """Where the tree lies: all but `shoal run` make a directory of the source's name."""
    below = destination / source.name
    return below if below.is_dir() else destination
