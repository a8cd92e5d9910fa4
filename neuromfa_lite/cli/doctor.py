"""Is this installation sound? Versions, the place for compiled kernels, threads, and the bundled files."""

import importlib
import os
import pkgutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import kernels, results
from ..errors import NeuroMFAError
from ..kernels import threads as parallel

REQUIRED = ("jupyterlab", "ipywidgets", "safetensors")
OPTIONAL = ("torch", "transformers")
MISSING = "not installed"


def check():
    """Return {"ok": bool, "checks": [{"what", "found", "ok"}]}; nothing is changed or downloaded."""
    checks = [_line(name, found) for name, found in results.versions().items()]
    checks += [_line(name, _version(name), _version(name) != MISSING) for name in REQUIRED]
    checks += [_line(f"{name} (for training and .bin files)", _version(name)) for name in OPTIONAL]
    checks += [_line("kernel cache", *_kernel_cache()), _threads(), *_bundled_files()]
    return {"ok": all(line["ok"] for line in checks), "checks": checks}


def _line(what, found, ok=True):
    return {"what": what, "found": str(found), "ok": bool(ok)}


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return MISSING


def _kernel_cache():
    """(what was found, whether all is well)."""
    for module in pkgutil.iter_modules(kernels.__path__):
        importlib.import_module(f"{kernels.__name__}.{module.name}")
    if kernels.numba.config.DISABLE_JIT:
        return "compiling is switched off (NUMBA_DISABLE_JIT)", True
    folders = {Path(cache.cache_path).absolute() for cache in kernels.CACHES}
    if not folders:
        return "no folder can be written, so every session compiles anew: set NUMBA_CACHE_DIR to one", False
    folder, named = min(folders), os.environ.get("NUMBA_CACHE_DIR")
    if named and not folder.is_relative_to(Path(named).absolute()):
        return f"NUMBA_CACHE_DIR={named} is no folder that can be written, {folder} serves: name another", False
    faults = [fault for fault in (cache.fault() for cache in kernels.CACHES) if fault]
    if faults:
        return f"damaged: {faults[0]}. The next command that needs it compiles it again; or delete {folder}", False
    return folder, True


def _threads():
    try:
        used = parallel.threads()
    except NeuroMFAError as error:
        return _line("threads", error, False)
    return _line("threads", f"{used} used, of {os.cpu_count()} processors (NEUROMFA_THREADS sets another number)")


def _bundled_files():
    from ..laboratory import list_runs, load_run
    from ..laboratory.runs import verify_run

    lines = []
    for name in list_runs()["run"]:
        wrong = [row["file"] for row in verify_run(load_run(name)).to_dict("records") if not row["ok"]]
        found = "all files as recorded" if not wrong else f"damaged or missing: {', '.join(wrong)}; install again"
        lines.append(_line(f"bundled run {name}", found, not wrong))
    return lines
