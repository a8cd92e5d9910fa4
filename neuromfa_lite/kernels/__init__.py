"""numba kernels: arrays in, arrays out; no validation, no defaults, no files.

Every kernel is compiled with nogil, so that a thread pool can run it on several stripes at once, and cached on disk,
so that only the first call on a machine pays for compiling.
"""

import os
import sys
import tempfile
from pathlib import Path


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _choose_cache_folder() -> None:
    # numba raises while it decorates ("no locator available") when it finds no place for its cache,
    # so the place is chosen before numba is imported.
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    candidates = [Path(__file__).parent / "__pycache__"]
    try:
        candidates.append(Path.home() / ".cache" / "numba")
    except RuntimeError:
        pass
    if not any(_writable(folder) for folder in candidates):
        folder = tempfile.mkdtemp(prefix="neuromfa_lite-numba-")
        os.environ["NUMBA_CACHE_DIR"] = folder
        if "numba" in sys.modules:
            sys.modules["numba"].config.CACHE_DIR = folder


_choose_cache_folder()
