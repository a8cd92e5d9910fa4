"""What all tests share: cheap tests run first."""

import os
from contextlib import contextmanager

import pytest

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


@pytest.fixture
def full_disk():
    """A context in which no file grows beyond 100 bytes."""
    resource = pytest.importorskip("resource")

    @contextmanager
    def limited():
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited
