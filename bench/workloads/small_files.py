"""50,000 files of 0 to 64 KiB in a tree on one disk, from one holder to 4 receivers on this host.

Wall time from the first start to the last process's end, launch included; `trees.py` says what is
fair about it.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import files
from context import Context
from rivals import cp
from table import Table, Target
from trees import CP, METRICS, SHOAL, Trees

NAME = "small-files"
VARIANTS = ("disk", "tmpfs")

COUNT = 50_000
LENGTH_MAX = 64 * files.KIB
FILES_PER_DIRECTORY = 100
RECEIVERS = 4
SEED = 1


def run(context: Context, variant: str) -> Table:
    """The table, with all files on the repository's disk or in tmpfs."""
    directory = context.disk if variant == "disk" else context.scratch
    source = make_tree(directory / "source" / "tree")
    trees = Trees(
        source, directory, RECEIVERS, COUNT * LENGTH_MAX // 2, before=context.before)
    # What a tree is written over counts: only the first would find a disk with nothing removed.
    trees.once(cp.copy)
    targets = [Target(SHOAL, "wall_s", 1.5, (CP,))]
    title = f"{COUNT} files of 0 to 64 KiB, {RECEIVERS} receivers on one host, {variant}"
    return context.compare(Table(title, METRICS, CP, targets), trees.contenders())


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
