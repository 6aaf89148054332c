"""Measures Shoal beside its rivals: `python3 bench [WORKLOAD[:VARIANT] ...]`, or `make bench`.

Each workload is a module below `workloads/`; it gives one table a variant, printed here and
written as JSON into `target/bench/`. This file only finds the workloads and runs them.
"""

import argparse
import importlib
import pkgutil
import signal
import sys
from pathlib import Path
from types import ModuleType

import machine
import workloads
from context import BEFORE, PYTHON, SHOAL, Context
from measure import adopt_orphans

REPEATS = 5


def main() -> int:
    """Runs what the command line names; 1 where a run failed."""
    known = {module.NAME: module for module in modules()}
    options = arguments(known)
    # A batch system's end is ours: what was started is ended on the way out, as after Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    adopt_orphans()
    here = machine.describe()
    print(f"{here['processor']}, {here['cores']} cores, {here['memory_gib']} GiB, {here['mpi']}")
    failed = False
    for module, variant in chosen(known, options.workloads):
        only = tuple(options.only)
        context = Context(module.NAME, variant, options.repeats, only, options.before)
        with context:
            table = module.run(context, variant)
        print(table.text(), flush=True)
        context.write_json(table, here)
        failed |= table.has_failures()
    return 1 if failed else 0


def modules() -> list[ModuleType]:
    """All workloads there are, in the order of their files' names."""
    names = sorted(module.name for module in pkgutil.iter_modules(workloads.__path__))
    return [importlib.import_module(f"workloads.{name}") for name in names]


def arguments(known: dict[str, ModuleType]) -> argparse.Namespace:
    """Parses the command line; the help names each workload with its docstring's first line."""
    lines = []
    for name, module in known.items():
        lines.append(f"  {name:12} {module.__doc__.splitlines()[0]}")
        lines.append(f"  {'':12} variants: {', '.join(module.VARIANTS)}")
    parser = argparse.ArgumentParser(
        prog="bench",
        description="Measures Shoal beside its rivals.",
        epilog="workloads:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD[:VARIANT]", help="default: all")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="rounds of each table (5)")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT",
        help="only contenders whose name holds TEXT; may be given several times",
    )
    parser.add_argument(
        "--before", type=Path, metavar="BINARY",
        help=f"another build of Shoal, measured in the same rounds as {BEFORE!r}",
    )
    options = parser.parse_args()
    for wanted in options.workloads:
        name, _, variant = wanted.partition(":")
        if name not in known or (variant and variant not in known[name].VARIANTS):
            parser.error(f"no workload {wanted!r}")
    for needed in (SHOAL, PYTHON):
        if not needed.exists():
            parser.error(f"{needed} is missing: `make bench` builds and installs what is needed")
    if options.before and not options.before.is_file():
        parser.error(f"--before {options.before} is no file")
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    return options


def chosen(known: dict[str, ModuleType], wanted: list[str]) -> list[tuple[ModuleType, str]]:
    """Each workload with each of its variants that is wanted, in the order given."""
    pairs = []
    for text in wanted or known:
        name, _, variant = text.partition(":")
        variants = [variant] if variant else known[name].VARIANTS
        pairs += [(known[name], each) for each in variants]
    return pairs


if __name__ == "__main__":
    sys.exit(main())
