"""What all tests share: cheap tests run first."""

import os

os.environ.setdefault("MPLBACKEND", "Agg")  # no window opens

# From quick to slow; a test without any of these comes after "small".
ORDER = ("small", None, "install", "notebooks", "retraining", "browser")


def pytest_collection_modifyitems(items):
    items.sort(key=_place)


def _place(item):
    """The place in ORDER of the slowest mark a test has (the sort is stable: files stay together)."""
    return max((ORDER.index(mark.name) for mark in item.iter_markers() if mark.name in ORDER), default=1)
