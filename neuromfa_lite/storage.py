"""Results in files: npz with a JSON header, never pickle, never half a file."""

import json
import os
import platform
import tempfile
import zipfile
import zlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from . import __version__
from .errors import NeuroMFAError

SCHEMA = 1


@cache
def versions():
    """Return the versions a result depends on, as a dict of name to text."""
    return {
        "neuromfa_lite": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "numba")},
    }


def target(path):
    """The file that :func:`save` writes for a path; a folder that does not exist is refused by name."""
    path = Path(path)
    path = path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
    if not path.parent.is_dir():
        raise NeuroMFAError(f"{path.parent}: no such folder to save {path.name} in; create it first")
    return path


def save(path, kind, values):
    """Write arrays and plain values under a temporary name, then rename; returns the path (with .npz)."""
    path = target(path)
    arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
    plain = {name: value for name, value in values.items() if name not in arrays}
    header = json.dumps({"schema": SCHEMA, "kind": kind, "plain": plain})
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, header=np.array(header), **arrays)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def load(path, kind):
    """Read what :func:`save` wrote, as a dict; another kind, a newer schema or a damaged file is refused by name."""
    path = Path(path)
    try:
        # NumPy takes what is no archive for a pickle, and its message tells how to load that.
        if path.is_file() and not zipfile.is_zipfile(path):
            raise ValueError("no .npz archive")
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            arrays = {name: file[name] for name in file.files if name != "header"}
    except FileNotFoundError:
        raise NeuroMFAError(f"{path}: no such file") from None
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise NeuroMFAError(
            f"{path} is damaged or not a file of neuromfa_lite ({error}): save the result again"
        ) from None
    if header.get("kind") != kind:
        raise NeuroMFAError(f"{path} holds a {header.get('kind')}, not a {kind}")
    if header.get("schema", 0) > SCHEMA:
        raise NeuroMFAError(
            f"{path} has schema {header['schema']}, newer than {SCHEMA}: update neuromfa_lite to read it"
        )
    return {**header["plain"], **arrays}
