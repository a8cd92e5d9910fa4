"""Threads: parts of one piece of work shared among the processors; results never depend on who does which part."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, wraps

from threadpoolctl import ThreadpoolController

WORKERS = os.cpu_count() or 1


@lru_cache(maxsize=1)
def _libraries():
    return ThreadpoolController()


def one_thread_of_algebra(function):
    """Let a function's matrix products run on one thread each.

    Where another program keeps a processor busy, two threads of one small product wait for each other many times longer
    than they compute: thirty times was seen for the resamples of a band.
    """

    @wraps(function)
    def limited(*args, **kwargs):
        with _libraries().limit(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return limited


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
