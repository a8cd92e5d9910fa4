"""Memory: what a computation will need against what there is, asked before it begins."""

import os
from pathlib import Path

from . import NeuroMFAError

UNASKED = 1 << 28  # bytes, 256 MB: so little is there, and asking takes longer than a small measurement
GROUPS = (  # of a container: its limit and its use, of which "anon" or "rss" is what cannot be given up
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.stat", "anon"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.stat", "total_rss"),
)


def refuse_above(needed, what, way_out):
    """Refuse a computation, named by ``what``, that needs more bytes than there are."""
    if needed <= UNASKED:
        return
    there = at_hand()
    if there is not None and needed > there:
        needed, there = (f"{number / 2**30:,.1f} GiB" for number in (needed, there))
        raise NeuroMFAError(f"{what}: about {needed} of memory are needed and {there} are free; {way_out}")


def fits(needed):
    """Whether so many bytes are there, and as many again for others."""
    there = None if needed <= UNASKED else at_hand()
    return there is None or 2 * needed <= there


def at_hand():
    """Bytes that can be had, within the limit of a container; None where the system does not tell."""
    known = [each for each in (_of_the_machine(), *(_of_a_container(*group) for group in GROUPS)) if each is not None]
    return min(known, default=None)


def _of_the_machine():
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):  # not Linux: all that is built in
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, ValueError, OSError):
            return None


def _of_a_container(limit, statistics, kept):
    try:
        known = dict(line.split() for line in Path(statistics).read_text(encoding="ascii").splitlines())
        return max(0, int(Path(limit).read_text(encoding="ascii")) - int(known[kept]))
    except (OSError, ValueError, KeyError):  # no such group, or "max": no limit
        return None
