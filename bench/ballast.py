"""Keeps memory in use until a run needs it. It knows nothing of what runs.

A virtual machine's memory costs far more on its first use, and with free page reporting it is a
first use again when memory was free for two seconds: whoever takes longer than that, with what an
earlier run freed, pays for being slow a second time. So a ballast holds as much memory as a run
will write to a tmpfs, and lets it go a little ahead of what is written there.
"""

from __future__ import annotations

import mmap
import shutil
import threading
from pathlib import Path

from files import MIB, must_fit

#: How often it is looked how much the run has written.
LOOK_S = 0.01
#: Memory is let go in parts of this size.
PART = 64 * MIB
#: What is free beyond what the run has written.
AHEAD = 768 * MIB


class Ballast:
    """A context manager that holds memory for `length` bytes which a run will write to a tmpfs."""

    def __init__(self, tmpfs: Path, length: int):
        self._tmpfs = tmpfs
        self._length = length // PART * PART
        self._held = self._length
        self._over = threading.Event()
        self._releaser = threading.Thread(target=self._release, daemon=True)

    def __enter__(self) -> Ballast:
        must_fit(self._tmpfs, self._length)
        self._memory = mmap.mmap(-1, max(self._length, PART), flags=mmap.MAP_PRIVATE)
        # What is in large pages is let go in a moment: the run has the cores for itself.
        self._memory.madvise(mmap.MADV_HUGEPAGE)
        ones = b"\1" * PART
        for start in range(0, self._length, PART):
            self._memory[start:start + PART] = ones
        self._before = self._used()
        self._let_go(AHEAD)
        self._releaser.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._releaser.join()
        self._memory.close()

    def held(self) -> int:
        """Bytes that it still holds."""
        return self._held

    def _used(self) -> int:
        return shutil.disk_usage(self._tmpfs).used

    def _release(self) -> None:
        while self._held and not self._over.wait(LOOK_S):
            self._let_go(self._used() - self._before + AHEAD)

    def _let_go(self, wanted: int) -> None:
        """Sees to it that so many bytes of the whole length are free, or written by the run."""
        while self._held and self._length - self._held < wanted:
            self._held -= PART
            self._memory.madvise(mmap.MADV_DONTNEED, self._held, PART)
