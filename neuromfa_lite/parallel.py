"""Threads: parts of one piece of work shared among the processors; results never depend on who does which part."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

WORKERS = os.cpu_count() or 1


@lru_cache(maxsize=1)
def _helpers(process):
    return ThreadPoolExecutor(max(1, WORKERS - 1), thread_name_prefix=f"neuromfa-{process}")


def _own_helpers():
    """The threads that help the calling one; a forked process, which inherits none, makes its own."""
    return _helpers(os.getpid())


def together(work, parts):
    """Call work(part) for every part, on all processors.

    Args:
        work: callable; its calls must not share what they write, and gain only where they leave Python (kernels).
        parts: the arguments, taken one by one by whoever is free, the calling thread among them.

    Raises:
        Whatever work raises first.
    """
    waiting = deque(parts)

    def take():
        while waiting:
            try:
                part = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            work(part)

    others = [_own_helpers().submit(take) for _ in range(min(WORKERS, len(waiting)) - 1)]
    try:
        take()
    finally:
        waiting.clear()
    for other in others:
        if not other.cancel():  # one that has not begun has nothing left to do
            other.result()
