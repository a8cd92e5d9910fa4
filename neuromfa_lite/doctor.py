"""Is this installation sound? Versions, the place for compiled kernels, threads, and the bundled files."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import storage

REQUIRED = ("jupyterlab", "ipywidgets", "safetensors")
OPTIONAL = ("torch", "transformers")
MISSING = "not installed"


def check():
    """Return {"ok": bool, "checks": [{"what", "found", "ok"}]}; nothing is changed or downloaded.

    Example:
        >>> check()["ok"]
        True
    """
    checks = [_line(name, found) for name, found in storage.versions().items()]
    checks += [_line(name, _version(name), _version(name) != MISSING) for name in REQUIRED]
    checks += [_line(f"{name} (for training and .bin files)", _version(name)) for name in OPTIONAL]
    checks.append(_cache_folder())
    checks.append(_line("threads", f"{os.cpu_count()} processors, numba {_numba_threads()}"))
    checks += _bundled_files()
    return {"ok": all(line["ok"] for line in checks), "checks": checks}


def _line(what, found, ok=True):
    return {"what": what, "found": str(found), "ok": bool(ok)}


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return MISSING


def _cache_folder():
    from .kernels import one_hop

    folder = Path(one_hop.count_distances._cache.cache_path) if hasattr(one_hop.count_distances, "_cache") else None
    if folder is None:
        return _line("kernel cache", "compiling is switched off (NUMBA_DISABLE_JIT)")
    writable = os.access(folder, os.W_OK)
    return _line("kernel cache", f"{folder}{'' if writable else ' cannot be written: set NUMBA_CACHE_DIR'}", writable)


def _numba_threads():
    import numba

    return numba.get_num_threads()


def _bundled_files():
    from .laboratory import list_runs, load_run
    from .laboratory.runs import verify_run

    lines = []
    for name in list_runs()["run"]:
        wrong = [row["file"] for row in verify_run(load_run(name)).to_dict("records") if not row["ok"]]
        found = "all files as recorded" if not wrong else f"damaged or missing: {', '.join(wrong)}; install again"
        lines.append(_line(f"bundled run {name}", found, not wrong))
    return lines
