"""Makes input, touches memory, and compares copies byte for byte. It measures nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Iterable

from measure import Failed

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


def random_file(path: Path, length: int) -> Path:
    """Makes a file of random bytes, and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, length, 16 * MIB):
            file.write(os.urandom(min(16 * MIB, length - start)))
    return path


def available_memory() -> int:
    """Bytes of memory that the kernel says are to be had."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * KIB
    raise OSError("/proc/meminfo does not say what memory is available")


def must_fit(tmpfs: Path, length: int) -> None:
    """Fails where a tmpfs, or memory, has no room: a tmpfs that fills memory takes all along."""
    free = min(shutil.disk_usage(tmpfs).free, available_memory())
    if length > free:
        raise OSError(f"{tmpfs} needs {length} bytes, and {free} are free: make room in memory")


def touch_pages(tmpfs: Path, length: int) -> None:
    """Writes `length` bytes to a tmpfs and removes them: what is used next was used before.

    A virtual machine's memory costs far more on its first use. With free page reporting it is a
    first use again when memory was free for two seconds.
    """
    must_fit(tmpfs, length)
    path = tmpfs / f"touched-{os.getpid()}"
    zeros = bytes(16 * MIB)
    with path.open("wb") as file:
        for _ in range(0, length, len(zeros)):
            file.write(zeros)
    path.unlink()


def forget_disks() -> None:
    """Lets the kernel forget what it remembers of disks; where it may not be told, nothing.

    ext4 without a journal looks through all inodes that it knows were removed in the last minutes
    before it finds one for a new file: whoever writes where much was removed pays for the one
    before. What it has to read again counts as removed long ago; so it reads the programs again,
    too. To flush the disk's buffers alone (`blockdev --flushbufs`) is not enough.
    """
    # Only root may; in a container not even root.
    with suppress(OSError):
        Path("/proc/sys/vm/drop_caches").write_text("1", encoding="ascii")


def read_all(tree: Path) -> None:
    """Reads every file below a directory: they are in memory then, where there is room."""
    for path in tree.rglob("*"):
        if path.is_file():
            path.read_bytes()


def fresh(directory: Path) -> Path:
    """An empty directory in the place of whatever stood there."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def must_equal(original: Path, copies: Iterable[Path]) -> None:
    """Fails where a copy, of a file or of a tree, is not what the original is."""
    tool = ["diff", "-rq", "--no-dereference"] if original.is_dir() else ["cmp"]
    running = [subprocess.Popen([*tool, original, copy], stdout=subprocess.PIPE, text=True,
                                stderr=subprocess.STDOUT) for copy in copies]
    outputs = [process.communicate()[0] for process in running]
    for process, output in zip(running, outputs):
        if process.returncode != 0:
            raise Failed(f"a copy is not what it should be: {output.strip()[:500]}")


def sha256(path: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
