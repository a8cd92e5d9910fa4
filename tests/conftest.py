"""What all tests share: cheap tests run first."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")  # no window opens
# Two threads of OpenBLAS that share a busy processor wait for each other thirty times longer than they compute.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# From quick to slow; a test without any of these comes after "small".
ORDER = ("small", None, "install", "notebooks", "retraining", "browser")


def pytest_collection_modifyitems(items):
    items.sort(key=_place)


def _place(item):
    """The place in ORDER of the slowest mark a test has (the sort is stable: files stay together)."""
    return max((ORDER.index(mark.name) for mark in item.iter_markers() if mark.name in ORDER), default=1)
