"""50,000 files of 0 to 64 KiB in a tree on one disk, from one holder to 4 receivers on this host.

Wall time from the first start to the last process's end, launch included. Every tool keeps modes
and times, as Shoal does, and none syncs to the disk. Before each run what an earlier one wrote is
removed and synced, after it all trees are compared byte for byte. Short files' digests are not
cached, so that Shoal's start is always cold.
"""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path
from typing import Callable, Sequence

import files
from context import TMPFS, Contender, Context
from measure import Group
from rivals import cp, shoal, tree
from table import Metric, Table, Target

NAME = "small-files"
VARIANTS = ("disk", "tmpfs")

COUNT = 50_000
LENGTH_MAX = 64 * files.KIB
FILES_PER_DIRECTORY = 100
RECEIVERS = 4
SEED = 1
CP = "cp -a each"
SHOAL = "shoal"
METRICS = (
    Metric("wall_s", "wall s"),
    Metric("cpu_s", "CPU s"),
    Metric("anonymous_mb", "memory MB", 0),
)

Method = Callable[[Path, Sequence[Path]], Group]


def run(context: Context, variant: str) -> Table:
    """The table, with all files on the repository's disk or in tmpfs."""
    directory = context.disk if variant == "disk" else context.scratch
    source = make_tree(directory / "source" / "tree")

    def deliver(source: Path, destinations: Sequence[Path]) -> Group:
        return shoal.deliver(source, destinations, directory, directory / "cache").group

    methods: list[tuple[str, bool, Method]] = [
        (CP, False, cp.copy),
        ("tar | tar each", False, tree.tar),
        ("rsync -a each", False, tree.rsync),
        (SHOAL, True, deliver),
    ]
    contenders = [Contender(name, verifies, lambda method=method: once(directory, source, method))
                  for name, verifies, method in methods]
    # What a tree is written over counts: only the first would find a disk with nothing removed.
    once(directory, source, cp.copy)
    targets = [Target(SHOAL, "wall_s", 1.5, (CP,))]
    title = f"{COUNT} files of 0 to 64 KiB, {RECEIVERS} receivers on one host, {variant}"
    return context.compare(Table(title, METRICS, CP, targets), contenders)


def once(directory: Path, source: Path, method: Method) -> dict[str, float]:
    """One run into empty directories, and the comparison."""
    destinations = [files.fresh(directory / f"receiver{number}") for number in range(RECEIVERS)]
    subprocess.run(["sync", "-f", directory], check=True)
    # Removing takes so long that a virtual machine gives what is freed back to its host meanwhile.
    files.touch_pages(TMPFS, (RECEIVERS + 1) * COUNT * LENGTH_MAX // 2)
    group = method(source, destinations)
    files.must_equal(source, [landed(destination, source) for destination in destinations])
    return {
        "wall_s": group.wall_s,
        "cpu_s": group.cpu_s,
        "anonymous_mb": group.anonymous_peak_bytes / 1e6,
    }


def landed(destination: Path, source: Path) -> Path:
    """Where the tree lies: all but `shoal run` make a directory of the source's name."""
    below = destination / source.name
    return below if below.is_dir() else destination


def make_tree(root: Path) -> Path:
    """Files of random lengths and bytes, equal in each run, in directories of a hundred."""
    chooser = random.Random(SEED)
    for number in range(COUNT):
        directory = root / f"{number // 10_000}" / f"{number // FILES_PER_DIRECTORY}"
        if number % FILES_PER_DIRECTORY == 0:
            directory.mkdir(parents=True)
        length = chooser.randint(0, LENGTH_MAX)
        (directory / f"{number}.dat").write_bytes(os.urandom(length))
    return root
