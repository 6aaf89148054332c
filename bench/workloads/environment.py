"""A Python environment with numpy, scipy and pandas to 7 receivers on this host, on one disk.

Eight ranks with the holder. The packages come from PyPI; in each copy `import scipy` must work.
`trees.py` says what is fair about it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from context import Context
from measure import Failed
from rivals import cp
from table import Table, Target
from trees import CP, METRICS, SHOAL, Trees

NAME = "environment"
VARIANTS = ("disk",)
RECEIVERS = 7
PACKAGES = ("numpy", "scipy", "pandas")
INSTALL_MAX_S = 600
IMPORT_MAX_S = 60


def run(context: Context, variant: str) -> Table:
    """The table; an empty one, which says why, where PyPI cannot be reached."""
    title = f"Python environment ({', '.join(PACKAGES)}), {RECEIVERS} receivers, {variant}"
    source = context.disk / "source" / "environment"
    made = succeeds(["python3", "-m", "venv", source], INSTALL_MAX_S)
    pip = [source / "bin" / "python", "-m", "pip", "install", "--quiet", *PACKAGES]
    if not made or not succeeds(pip, INSTALL_MAX_S):
        note = "SKIPPED: the packages cannot be installed from PyPI"
        return Table(title, METRICS, CP, notes=[note])
    # A first import writes what Python compiles, which belongs to the tree.
    imports_scipy(source)
    length = sum(path.lstat().st_size for path in source.rglob("*") if path.is_file())
    trees = Trees(
        source, context.disk, RECEIVERS, length, imports_scipy, context.before)
    trees.once(cp.copy)
    targets = [Target(SHOAL, "wall_s", 1.5, (CP,))]
    return context.compare(Table(title, METRICS, CP, targets), trees.contenders())


def imports_scipy(environment: Path) -> None:
    """Fails where an environment does not work."""
    if not succeeds([environment / "bin" / "python", "-B", "-c", "import scipy"], IMPORT_MAX_S):
        raise Failed(f"{environment} cannot import scipy")


def succeeds(command: list[str | Path], max_s: float) -> bool:
    """Whether a command ends with status 0, in time."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=max_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
