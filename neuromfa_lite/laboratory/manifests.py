"""The manifest of a run: one JSON file that says how the run was made and holds the hash of every file in it.

A run folder holds manifest.json and, per checkpoint, seed-0/step-000724/{config.json, model.safetensors}.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path

from ..errors import NeuroMFAError, SourceError

SCHEMA = 1
FILE_NAME = "manifest.json"
NEEDED = {
    "run": str,
    "title": str,
    "ability": str,
    "recipe": dict,
    "recipes_tried": list,
    "trainings": dict,
    "checkpoints": list,
}
NEEDED_BY_CHECKPOINT = {"seed": int, "step": int, "files": dict, "abilities": dict}


def checkpoint_folder(run_folder: Path, seed: int, step: int) -> Path:
    """Say where the weights of one step of one training seed lie.

    Args:
        run_folder: folder of the run.
        seed: training seed.
        step: training step, below a million.

    Returns:
        Path of the folder, which need not exist.

    Example:
        >>> checkpoint_folder(Path("mine"), seed=0, step=724).as_posix()
        'mine/seed-0/step-000724'
    """
    return run_folder / f"seed-{seed}" / f"step-{step:06d}"


def file_hash(path: Path) -> str:
    """Compute the SHA-256 of a file's content.

    Args:
        path: the file.

    Returns:
        str of 64 hexadecimal digits.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     path = Path(place) / "empty"
        ...     path.touch()
        ...     file_hash(path)[:16]
        'e3b0c44298fc1c14'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict:
    """Read the manifest of a run folder, checked for what the rest of the room relies on.

    Args:
        folder: folder of the run.

    Returns:
        dict, the manifest.

    Raises:
        SourceError: it is missing, is not JSON, lacks an entry or was written by a newer version; the message names the
            file.

    Example:
        >>> read_manifest(Path(__file__).parent / "data" / "induction")["ability"]
        'copy_accuracy'
    """
    path = folder / FILE_NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SourceError(
            f"{path} is missing: {folder} is not a run folder; give a folder that `neuromfa-lite train` wrote"
        ) from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}): make it a readable file") from None
    except ValueError as error:
        raise SourceError(f"{path} is not JSON ({error}): train the run again or restore the file") from None
    _check(manifest, path)
    return manifest


def _check(manifest, path: Path) -> None:
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if not isinstance(schema, int) or schema < 1:
        raise SourceError(f"{path} is not the manifest of a run (no schema number): train the run again")
    if schema > SCHEMA:
        raise SourceError(
            f"{path} has schema {schema}, this version reads up to {SCHEMA}: install a newer neuromfa-lite"
        )
    lacking = _lacking(manifest, NEEDED)
    if "checkpoints" not in lacking:
        for number, entry in enumerate(manifest["checkpoints"]):
            lacking += [f"checkpoints[{number}].{key}" for key in _lacking(entry, NEEDED_BY_CHECKPOINT)]
    if lacking or not manifest["checkpoints"]:
        what = ", ".join(lacking) or "checkpoints"
        raise SourceError(f"{path} lacks {what}: train the run again or restore the file")


def _lacking(entries, needed: dict[str, type]) -> list[str]:
    """Keys of ``needed`` that a dictionary does not hold, or holds with a value of another type."""
    found = entries if isinstance(entries, dict) else {}
    return [key for key, kind in needed.items() if not isinstance(found.get(key), kind)]


def merge(old: dict, new: dict, path: Path) -> dict:
    """Add the one training seed of a new manifest to an old one, or put it in the place of the same seed.

    Args:
        old: manifest of the run so far.
        new: manifest with one training seed.
        path: the old manifest's file, for error messages.

    Returns:
        dict, the manifest of both; seeds and steps ascend.

    Raises:
        NeuroMFAError: the two were made by different recipes or on different texts, so they are not one run.

    Example:
        >>> old = read_manifest(Path(__file__).parent / "data" / "induction")
        >>> again = old | {"trainings": {"1": {}}, "checkpoints": [{"seed": 1, "step": 0}]}
        >>> [entry["step"] for entry in merge(old, again, Path("mine"))["checkpoints"] if entry["seed"] == 1]
        [0]
    """
    if any(old.get(key) != new.get(key) for key in ("run", "recipe", "data")):
        raise NeuroMFAError(
            f"{path} belongs to run {old['run']!r} with another recipe or text: give an empty folder for {new['run']!r}"
        )
    trainings = old["trainings"] | new["trainings"]
    kept = [entry for entry in old["checkpoints"] if str(entry["seed"]) not in new["trainings"]]
    return new | {
        "trainings": dict(sorted(trainings.items(), key=lambda item: int(item[0]))),
        "checkpoints": sorted(kept + new["checkpoints"], key=lambda entry: (entry["seed"], entry["step"])),
    }


def write_manifest(folder: Path, manifest: dict) -> None:
    """Write a manifest into a folder in one go: under a temporary name, then renamed.

    Args:
        folder: folder of the run.
        manifest: dict of plain values.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     write_manifest(Path(place), {"schema": 1})
        ...     os.listdir(place)
        ['manifest.json']
    """
    temporary = folder / f".{FILE_NAME}.{os.getpid()}"
    try:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, folder / FILE_NAME)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def workspace(folder: Path, seed: int, state: str):
    """Open the hidden folder beside a run folder in which a training is made, as it was left if it was stopped.

    Gone afterwards, unless the training was stopped and its state lies in it.

    Args:
        folder: the run folder; it need not exist.
        seed: training seed.
        state: name of the file of the state.

    Returns:
        Context manager that gives the Path of the hidden folder, on the same disk as ``folder``.

    Raises:
        NeuroMFAError: the disk beside ``folder`` cannot be written to, or another process trains there already.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place, workspace(Path(place) / "mine", 0, "state") as hidden:
        ...     hidden.parent == Path(place), hidden.name
        (True, '.mine-seed-0-unfinished')
    """
    beside = next(parent for parent in folder.parents if parent.exists())
    path = beside / f".{folder.name}-seed-{seed}-unfinished"
    try:
        path.mkdir(exist_ok=True)
        (path / "run").mkdir(exist_ok=True)
    except OSError as error:
        raise NeuroMFAError(f"cannot write in {beside} ({error.strerror}): give another folder") from None
    with _alone(path):
        try:
            yield path
        except BaseException:
            if not (path / state).exists():
                shutil.rmtree(path, ignore_errors=True)
            raise
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _alone(path: Path):
    """Keep other processes out of a folder; the system lets go when this one ends, however it ends."""
    try:
        import fcntl
    except ImportError:  # Windows locks no folders
        yield
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NeuroMFAError(f"another process is training in {path}: wait for it, or stop it") from None
        yield
    finally:
        os.close(handle)


def publish(built: Path, folder: Path, seed: int, manifest: dict) -> dict:
    """Move one finished training seed to its run's folder and enter it in the manifest there.

    A new run appears as a whole by one rename. In an existing run the seed's folder is exchanged first, then the
    manifest; if that fails all is put back where it was.

    Args:
        built: folder that holds ``seed-SEED``, on the same disk.
        folder: folder of the run; it need not exist.
        seed: the training seed.
        manifest: manifest with that one seed.

    Returns:
        dict, the manifest of the whole run.

    Raises:
        NeuroMFAError: the folder holds a run of another recipe.
        SourceError: the manifest there is damaged.
    """
    if not folder.exists():
        write_manifest(built, manifest)
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.replace(built, folder)
        return manifest
    whole = manifest
    if (folder / FILE_NAME).exists():
        whole = merge(read_manifest(folder), manifest, folder / FILE_NAME)
    target, aside = folder / f"seed-{seed}", built / "replaced"
    if target.exists():
        os.replace(target, aside)
    try:
        os.replace(built / f"seed-{seed}", target)
        write_manifest(folder, whole)
    except BaseException:
        if target.exists():
            os.replace(target, built / f"seed-{seed}")
        if aside.exists():
            os.replace(aside, target)
        raise
    return whole
