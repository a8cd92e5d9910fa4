"""What all tests share: cheap tests run first, and what needs torch is skipped where it is missing."""

import importlib.util
import os

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # no window opens
# Two threads of OpenBLAS that share a busy processor wait for each other thirty times longer than they compute.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# From quick to slow; a test without any of these comes after "small".
ORDER = ("small", None, "install", "notebooks", "retraining", "browser")


def pytest_collection_modifyitems(items):
    items.sort(key=_place)
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    for item in filter(_needs_torch, items if missing else ()):
        item.add_marker(pytest.mark.skip(reason=f"needs {missing[0]}, which is not installed"))


def _needs_torch(item):
    """Marked so, or an example in a module that loads torch."""
    example = isinstance(item, pytest.DoctestItem) and "import torch" in item.path.read_text(encoding="utf-8")
    return example or item.get_closest_marker("torch")


def _place(item):
    """The place in ORDER of the slowest mark a test has (the sort is stable: files stay together)."""
    return max((ORDER.index(mark.name) for mark in item.iter_markers() if mark.name in ORDER), default=1)
