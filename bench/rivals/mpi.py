"""How MPI programs are started on this host, Shoal among them: the launcher and its flags."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

#: Open MPI refuses root without these; MPICH does not look at them.
ENV = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


@functools.cache
def launcher(binary: Path) -> str:
    """The launcher of the MPI that a program is linked with: both may be installed side by side.
    Shoal is linked with none, and runs beside the others under Open MPI's."""
    linked = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
    is_mpich = re.search(r"libmpich\.so|libmpi\.so\.12", linked)
    name = "mpirun.mpich" if is_mpich else "mpirun.openmpi"
    return name if shutil.which(name) else "mpirun"


def mpirun(binary: Path, ranks: int) -> list[str]:
    """The start of a command that runs a program on this host alone."""
    command = [launcher(binary), "-n", str(ranks)]
    if "mpich" not in command[0]:
        # More ranks than cores: none is bound, and a rank that waits yields its core. Without a
        # network to look at, neither the launcher nor the ranks need look for one: Shoal's do not
        # anyway, and to the others it would be 0.2 s of their time.
        command += ["--oversubscribe", "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1",
                    "--mca", "oob_tcp_if_include", "lo", "--mca", "pml", "^cm"]
    return command
