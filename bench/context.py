"""What every workload is given: where it may write, what it runs, and the rounds.

`Context.compare` interleaves the contenders round by round, in another order each round, so that
a slow minute of the machine hits all of them alike.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping, Sequence

import files
from ballast import Ballast
from measure import Failed
from table import Table

REPOSITORY = Path(__file__).resolve().parent.parent
#: Everything that is built, installed or written stays below it, or in a `scratch` that is removed.
TARGET = REPOSITORY / "target" / "bench"
SHOAL = Path(os.environ.get("SHOAL_BIN", REPOSITORY / "target" / "release" / "shoal"))
PROGRAMS = TARGET / "programs"
#: How the other build of Shoal is called in a table.
BEFORE = "shoal before"
PYTHON = TARGET / "venv" / "bin" / "python"
TMPFS = Path("/dev/shm")


@dataclass(frozen=True)
class Contender:
    """One line of a table. `run` does one run and gives its sample; it raises `Failed`."""

    name: str
    verifies: bool
    run: Callable[[], Mapping[str, float]]

    @staticmethod
    def delivering(
        name: str, verifies: bool, method: Callable[[], Mapping[str, float]], source: Path,
        destinations: Sequence[Path],
    ) -> Contender:
        """A run that begins with empty directories, and ends with a comparison of all copies.

        The memory that the copies will take, where that is a tmpfs, is in use until then.
        """
        def run_once() -> Mapping[str, float]:
            for directory in destinations:
                files.fresh(directory)
            with Ballast(TMPFS, len(destinations) * source.stat().st_size):
                sample = method()
            files.must_equal(source, [directory / source.name for directory in destinations])
            return sample
        return Contender(name, verifies, run_once)


@dataclass(frozen=True)
class Context:
    """One workload's run; a context manager that makes its directories and removes them."""

    workload: str
    variant: str
    repeats: int
    only: tuple[str, ...] = ()
    #: Another build of Shoal, to be measured beside this one.
    before: Path | None = None

    @property
    def scratch(self) -> Path:
        """A directory of this run alone, in tmpfs."""
        return TMPFS / f"shoal-bench-{os.getpid()}"

    @property
    def disk(self) -> Path:
        """A directory of this run alone, on the disk that the repository is on."""
        return TARGET / f"scratch-{os.getpid()}"

    def __enter__(self) -> Context:
        for directory in (self.scratch, self.disk):
            sweep(directory)
            directory.mkdir(parents=True)
        return self

    def __exit__(self, *_: object) -> None:
        for directory in (self.scratch, self.disk):
            shutil.rmtree(directory, ignore_errors=True)

    def compare(self, table: Table, contenders: Sequence[Contender]) -> Table:
        """Runs all contenders `repeats` times, interleaved; a failure stays in the table."""
        wanted = self.only or ("",)
        chosen = [c for c in contenders if any(part in c.name for part in wanted)]
        for number in range(self.repeats):
            results: dict[str, Mapping[str, float] | Failed] = {}
            # Nobody runs after the same one each time: what a run leaves behind would count.
            for contender in random.Random(number).sample(chosen, len(chosen)):
                try:
                    results[contender.name] = sample = contender.run()
                    told = ", ".join(f"{key} {figure:.3g}" for key, figure in sample.items())
                except Failed as failure:
                    results[contender.name] = failure
                    told = f"FAILED: {failure}"
                self.say(f"round {number + 1} of {self.repeats}: {contender.name}: {told}")
            # Rows stay in the order in which the workload names them.
            for contender in chosen:
                result = results[contender.name]
                if isinstance(result, Failed):
                    table.fail(contender.name, contender.verifies, str(result))
                else:
                    table.add(contender.name, contender.verifies, result)
        return table

    def say(self, text: str) -> None:
        """Tells on standard error what goes on."""
        print(f"bench: {self.workload}:{self.variant}: {text}", file=sys.stderr, flush=True)

    def write_json(self, table: Table, machine: Mapping[str, str | int]) -> None:
        """Writes `target/bench/<workload>-<variant>.json`."""
        path = TARGET / f"{self.workload}-{self.variant}.json"
        document = {
            "workload": self.workload, "variant": self.variant, "machine": machine, **table.json(),
        }
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def sweep(directory: Path) -> None:
    """Removes what runs that were killed left beside a directory whose name ends with a process."""
    kind = directory.name.removesuffix(str(os.getpid()))
    for left in directory.parent.glob(f"{kind}*"):
        process = left.name.removeprefix(kind)
        if process.isdigit() and not Path(f"/proc/{process}").exists():
            shutil.rmtree(left, ignore_errors=True)
