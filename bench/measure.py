"""Measures a run: wall time, CPU seconds of all its processes, the most anonymous memory of one.

A run is a `Group`: everything that one contender starts, one process or many, with their
children. It knows nothing of any contender.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Mapping, Sequence

#: How often memory is looked at. A sample costs about a millisecond.
SAMPLE_S = 0.05
#: How often a program's output is looked at, where that tells that it is done.
POLL_S = 0.005
#: A run that takes longer is ended, and counts as failed.
RUN_MAX_S = 120
PR_SET_CHILD_SUBREAPER = 36
#: Cores that all runs together may use.
CORES = len(os.sched_getaffinity(0))
OWN_COMMAND_LINE = Path("/proc/self/cmdline").read_bytes()


class Failed(Exception):
    """A run went wrong; the text says how, with the end of what the program printed."""


def adopt_orphans() -> None:
    """Grandchildren whose parent dies become ours: their CPU time is counted, and none is left."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


class Group:
    """The processes of one run; a context manager that ends what is left of them.

    `cpu_s` and `anonymous_peak_bytes` are there after the `with`; `wall_s` is from its beginning to
    `stop_clock()`, or to its end where nobody called that.
    """

    def __init__(self, max_s: float = RUN_MAX_S):
        self.max_s = max_s
        self.cpu_s = 0.0
        self.wall_s = 0.0
        self.anonymous_peak_bytes = 0
        self._processes: list[tuple[subprocess.Popen, object]] = []
        self._began = 0.0
        self._ended = 0.0
        self._over = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Group:
        self._cpu_before = children_cpu_s()
        self._began = time.monotonic()
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_clock()
        self.wall_s = self._ended - self._began
        self._over.set()
        self._sampler.join()
        for process, _ in self._processes:
            end(process)
        reap()
        self.cpu_s = children_cpu_s() - self._cpu_before
        for _, output in self._processes:
            output.close()

    def start(
        self, command: Sequence[str | Path], env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen:
        """Starts a process of the run in a session of its own. `env` is on top of ours."""
        output = tempfile.TemporaryFile()
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, **(env or {})}, cwd=cwd, start_new_session=True,
        )
        self._processes.append((process, output))
        return process

    def wait(self, *processes: subprocess.Popen) -> None:
        """Waits for these (for all that were started, without any); each must succeed."""
        for process, output in self._processes:
            if processes and process not in processes:
                continue
            left_s = self._began + self.max_s - time.monotonic()
            try:
                status = process.wait(max(left_s, 0.01))
            except subprocess.TimeoutExpired:
                raise self._too_long(process) from None
            if status != 0:
                name = Path(str(process.args[0])).name
                raise Failed(f"{name} ended with {status}: {last_lines(text(output))}")

    def wait_for(self, word: str, processes: Sequence[subprocess.Popen]) -> None:
        """Waits until each has printed a word, then stops the clock; none may end before."""
        waiting = list(processes)
        while waiting:
            for process in waiting[:]:
                ended = process.poll() is not None
                if word in self.output(process):
                    waiting.remove(process)
                elif ended:
                    raise Failed(f"ended too early: {last_lines(self.output(process))}")
            if time.monotonic() > self._began + self.max_s:
                raise self._too_long(waiting[0])
            time.sleep(POLL_S)
        self.stop_clock()

    def output(self, process: subprocess.Popen) -> str:
        """What a process printed so far, standard error included."""
        return next(text(output) for each, output in self._processes if each is process)

    def stop_clock(self) -> None:
        """The run has done what it was measured for; only the first call counts."""
        self._ended = self._ended or time.monotonic()

    def _too_long(self, process: subprocess.Popen) -> Failed:
        return Failed(f"took longer than {self.max_s} s: {last_lines(self.output(process))}")

    def _sample(self) -> None:
        while not self._over.wait(SAMPLE_S):
            peak = max(map(anonymous_bytes, descendants(os.getpid())), default=0)
            self.anonymous_peak_bytes = max(self.anonymous_peak_bytes, peak)


def children_cpu_s() -> float:
    """CPU seconds, user and system, of all children that were waited for, theirs included."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def descendants(root: int) -> list[int]:
    """The process ids of all children, theirs included; without the root."""
    found = []
    open_ids = [root]
    while open_ids:
        parent = open_ids.pop()
        try:
            tasks = os.listdir(f"/proc/{parent}/task")
            for task in tasks:
                children = Path(f"/proc/{parent}/task/{task}/children").read_text().split()
                open_ids += map(int, children)
                found += map(int, children)
        except OSError:
            continue  # It ended meanwhile.
    return found


def anonymous_bytes(process_id: int) -> int:
    """Resident anonymous memory: no page cache, no file's pages, no tmpfs.

    None for a child that has not begun to be another program yet: its memory is still ours.
    """
    try:
        if Path(f"/proc/{process_id}/cmdline").read_bytes() == OWN_COMMAND_LINE:
            return 0
        status = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8", errors="replace")
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # It ended meanwhile.
    return 0


def end(process: subprocess.Popen) -> None:
    """Ends a process and its session, in order at first."""
    for number, patience_s in ((signal.SIGTERM, 3), (signal.SIGKILL, 3)):
        if process.poll() is not None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue


def reap() -> None:
    """Ends and waits for orphans that became ours, so that their CPU time is counted."""
    for process_id in descendants(os.getpid()):
        try:
            os.kill(process_id, signal.SIGKILL)
        except ProcessLookupError:
            pass
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return


def text(output) -> str:
    """All that is in a process's output file, which the process goes on writing."""
    length = os.fstat(output.fileno()).st_size
    return os.pread(output.fileno(), length, 0).decode(errors="replace")


def last_lines(output: str) -> str:
    """The end of what a program printed, on one line."""
    return " | ".join(output.strip().splitlines()[-5:]) or "it said nothing"
