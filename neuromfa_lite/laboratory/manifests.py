"""The manifest of a run: one JSON file that says how the run was made and holds the hash of every file in it.

A run folder holds manifest.json and, per checkpoint, seed-0/step-000724/{config.json, model.safetensors}; a seed that
was overwritten lies in seed-0-again, and in seed-0 after the next time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..errors import NeuroMFAError, SourceError

try:
    import fcntl
except ImportError:  # Windows has no such locks: train one seed at a time there
    fcntl = None

SCHEMA = 1
FILE_NAME, UNFINISHED = "manifest.json", ".seed-*-unfinished"
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


def seed_folders(seed: int | str) -> tuple[str, str]:
    """Return the two names that the folder of a training seed can have: a new one never overwrites the one before."""
    return f"seed-{seed}", f"seed-{seed}-again"


def step_folder(step: int) -> str:
    """Return the name of a checkpoint's folder within that of its seed."""
    return f"step-{step:06d}"


def checkpoint_folder(run_folder: Path, manifest: dict, seed: int, step: int) -> Path:
    """Say where the weights of one step of one training seed lie.

    Args:
        run_folder: folder of the run.
        manifest: its manifest.
        seed: training seed.
        step: training step.

    Returns:
        Path of the folder, which need not exist.

    Example:
        >>> checkpoint_folder(Path("mine"), {}, seed=0, step=724).as_posix()
        'mine/seed-0/step-000724'
    """
    training = manifest.get("trainings", {}).get(str(seed), {})
    return run_folder / training.get("folder", seed_folders(seed)[0]) / step_folder(step)


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
        SourceError: it is missing, is not JSON, lacks an entry, holds one of the wrong kind or was written by a newer
            version; the message names the file.

    Example:
        >>> read_manifest(Path(__file__).parent / "data" / "induction")["ability"]
        'copy_accuracy'
    """
    path = folder / FILE_NAME
    try:
        if path.exists() and not path.is_file():  # a pipe or a device would be read for ever
            raise SourceError(f"{path} cannot be read (not an ordinary file): make it a readable file")
        manifest = json.loads(path.read_text(encoding="utf-8"))
        _check(manifest, path)
        return manifest
    except FileNotFoundError:
        raise SourceError(
            f"{path} is missing: {folder} is not a run folder; give a folder that `neuromfa-lite train` wrote"
        ) from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror}): make it a readable file") from None
    except SourceError:
        raise
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not JSON ({error}): train the run again or restore the file") from None


def _check(manifest, path: Path) -> None:
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if type(schema) is not int or schema < 1:
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
        what = ", ".join(lacking[:9]) or "checkpoints"
        raise SourceError(f"{path} lacks {what}: train the run again or restore the file")
    for wrong in _wrong(manifest):
        raise SourceError(f"{path}: {wrong:.300}; train the run again or restore the file")


def _lacking(entries, needed: dict[str, type]) -> list[str]:
    """Keys of ``needed`` that a dictionary does not hold, or holds with a value of another type."""
    found = entries if isinstance(entries, dict) else {}
    return [key for key, kind in needed.items() if type(found.get(key)) is not kind]


def _wrong(manifest: dict):
    """Say what in a manifest that lacks nothing the rest of the room could not work with."""
    for key in ("run", "ability", "control", "control_of"):
        value = manifest.get(key)
        if value is not None and not (isinstance(value, str) and value.isprintable() and value.strip()):
            yield f"{key}={value!r} must be a line of text"
    seen = set()
    for number, entry in enumerate(manifest["checkpoints"]):
        where, seed, step = f"checkpoints[{number}]", entry["seed"], entry["step"]
        if not (0 <= seed < 2**63 and 0 <= step < 10**6):
            yield f"{where}: seed {seed} and step {step} must be 0 or larger, the step below a million"
        if (seed, step) in seen:
            yield f"{where}: seed {seed} has a step {step} already"
        seen.add((seed, step))
        if not entry["files"]:
            yield f"{where} lists no files"
        for name, value in entry["files"].items():
            if not re.fullmatch(r"[\w-][\w.-]{0,99}", name) or not isinstance(value, str):
                yield f"{where}: files must be names inside the folder with their hashes, not {name!r}: {value!r}"
        for name, value in entry["abilities"].items():
            if not name.isprintable():
                yield f"{where}: the name of an ability must be a line of text, not {name!r}"
            if type(value) not in (int, float) or not 0 <= value <= 1:
                yield f"{where}: {name} must be a share from 0 to 1, not {value!r}"
        if str(seed) not in manifest["trainings"]:
            yield f"seed {seed} is not among the trainings"
    for seed, training in manifest["trainings"].items():
        if not re.fullmatch("0|[1-9][0-9]{0,18}", seed) or not isinstance(training, dict):
            yield f"training {seed!r} must be an object under the number of its seed"
        elif training.get("folder", seed_folders(seed)[0]) not in seed_folders(seed):
            yield f"the folder of seed {seed} must be {' or '.join(seed_folders(seed))}, not {training['folder']!r}"
        elif not _is_table(training.get("curve", {})):
            yield f"the curve of seed {seed} must have columns of numbers, all of one length"


def _is_table(value) -> bool:
    columns = list(value.values()) if isinstance(value, dict) else [None]
    lists = all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns)
    return lists and all(type(each) in (int, float) for column in columns for each in column)


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


@contextmanager
def workshop(folder: Path, seed: int):
    """Open the hidden folder, inside a run folder, in which one training seed is made; gone afterwards.

    What a killed training left in the run folder is cleared away first.

    Args:
        folder: the run folder; it need not exist.
        seed: training seed.

    Returns:
        Context manager that gives the Path of the hidden folder.

    Raises:
        NeuroMFAError: another process trains this seed there.
        OSError: the place cannot be written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place, workshop(Path(place) / "mine", 0) as hidden:
        ...     hidden.name
        '.seed-0-unfinished'
    """
    hidden = folder / UNFINISHED.replace("*", str(seed))
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    owner = ExitStack()
    try:
        with _alone(folder / ".lock"):
            _clear_leftovers(folder)
            try:
                owner.enter_context(_alone(hidden / "lock", wait=False))
            except BlockingIOError:
                raise NeuroMFAError(f"another process trains seed {seed} in {folder}: wait for it") from None
        try:
            yield hidden
        finally:
            with _alone(folder / ".lock"), owner:
                shutil.rmtree(hidden, ignore_errors=True)
    finally:
        with suppress(OSError):  # not empty: there is a run in it
            for path in made:
                path.rmdir()


def publish(hidden: Path, folder: Path, seed: int, manifest: dict) -> dict:
    """Enter a finished training seed in its run: replacing the manifest there, in one go, is what makes it count.

    Until then its checkpoints lie under a name that the manifest does not mention; afterwards what they replace does,
    and goes.

    Args:
        hidden: the :func:`workshop`, with the checkpoints in its folder "seed".
        folder: folder of the run.
        seed: the training seed.
        manifest: manifest with that one seed.

    Returns:
        dict, the manifest of the whole run.

    Raises:
        NeuroMFAError: the folder holds a run of another recipe.
        SourceError: the manifest there is damaged.
    """
    path, new = folder / FILE_NAME, hidden / FILE_NAME
    with _alone(folder / ".lock"):
        _set_aside(folder, seed, hidden)
        old = read_manifest(folder) if path.exists() else None
        name = next(name for name in seed_folders(seed) if not (folder / name).exists())
        manifest["trainings"][str(seed)]["folder"] = name
        whole = merge(old, manifest, path) if old else manifest
        with open(new, "w", encoding="utf-8") as file:
            file.write(json.dumps(whole, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.replace(hidden / "seed", folder / name)
            os.replace(new, path)
        finally:
            _set_aside(folder, seed, hidden)
    return whole


def _clear_leftovers(folder: Path) -> None:
    """Remove the workshops whose process is gone, and what they had moved but not yet entered in the manifest."""
    for hidden in folder.glob(UNFINISHED):
        with suppress(BlockingIOError), _alone(hidden / "lock", wait=False):
            _set_aside(folder, hidden.name.split("-")[1], hidden)
            shutil.rmtree(hidden, ignore_errors=True)


def _set_aside(folder: Path, seed: int | str, hidden: Path) -> None:
    """Move a seed's folders that the manifest does not mention into a hidden folder, to go with it."""
    manifest = read_manifest(folder) if (folder / FILE_NAME).exists() else {"trainings": {}}
    training = manifest["trainings"].get(str(seed))
    mentioned = training and training.get("folder", seed_folders(seed)[0])
    for name in seed_folders(seed):
        if name != mentioned and (folder / name).exists():
            os.replace(folder / name, Path(tempfile.mkdtemp(dir=hidden)) / name)


@contextmanager
def _alone(path: Path, wait: bool = True):
    """Keep other processes out by a locked file, gone afterwards; the system lets go when a process ends, however."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = _locked(path, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _locked(path: Path, how: int) -> int:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process has just removed the file or its folder: once more
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, how)
                if os.path.samestat(os.fstat(handle), os.stat(path)):
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)
