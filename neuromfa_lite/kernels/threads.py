"""Threads: parts of one piece of work shared among the processors; results never depend on who does which part."""

import os
import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

from ..errors import NeuroMFAError

# How much of the processors the container may take, "quota period" in microseconds: of control groups v2, and of v1.
SHARES = (("/sys/fs/cgroup/cpu.max",), ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "/sys/fs/cgroup/cpu/cpu.cfs_period_us"))


def threads():
    """How many threads share the work: NEUROMFA_THREADS, or else as many as processors that this process may use."""
    named = os.environ.get("NEUROMFA_THREADS")
    if not named:
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(allowed, _share_of_container() or allowed)
    if not re.fullmatch(r"[1-9][0-9]{0,4}", named):
        raise NeuroMFAError(
            f"NEUROMFA_THREADS={named!r} is no number of threads: set a whole number of at least 1, or leave it out"
        )
    return int(named)


@lru_cache(maxsize=1)
def _share_of_container():
    """The processors that a container's limit comes to, rounded up; None without a limit."""
    for files in SHARES:
        try:
            quota, period = " ".join(Path(file).read_text() for file in files).split()
            return max(1, -(-int(quota) // int(period))) if int(quota) > 0 else None
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return None


@lru_cache(maxsize=1)
def _helpers(process, helpers):
    """The threads that help the calling one; a forked process, which inherits none, makes its own."""
    return ThreadPoolExecutor(max(1, helpers), thread_name_prefix=f"neuromfa-{process}")


def together(work, parts):
    """Call work(part) for every part on threads(), this one among them; calls must not share what they write."""
    waiting = deque(parts)

    def take():
        while waiting:
            try:
                part = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            work(part)

    helpers = threads() - 1
    others = [_helpers(os.getpid(), helpers).submit(take) for _ in range(min(helpers, len(waiting) - 1))]
    try:
        take()
    finally:
        waiting.clear()
    for other in others:
        if not other.cancel():  # one that has not begun has nothing left to do
            other.result()
