"""The manifest of a run: one JSON file that says how the run was made and holds the hash of every file in it.

Beside it lie, per checkpoint, seed-0/step-000724/{config.json, model.safetensors}; a seed that was overwritten lies in
seed-0-again, and in seed-0 after the next time.
"""

import hashlib
import json
import os
import re
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

from .. import results
from ..errors import NeuroMFAError, SourceError
from ..weights.files import read_json

try:
    import fcntl
except ImportError:  # Windows has no such locks: train one seed at a time there
    fcntl = None

SCHEMA = 1
FILE_NAME, UNFINISHED = "manifest.json", ".seed-*-unfinished"


def _is_line(value) -> bool:
    return isinstance(value, str) and value.isprintable() and bool(value.strip())


def _are_objects(value) -> bool:
    return isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())


def _are_files(value) -> bool:
    names = isinstance(value, dict) and all(re.fullmatch(r"[\w-][\w.-]{0,99}", name) for name in value)
    return bool(value) and names and all(isinstance(content, str) for content in value.values())


def _are_shares(value) -> bool:
    names = isinstance(value, dict) and all(name.isprintable() for name in value)
    return names and all(type(share) in (int, float) and 0 <= share <= 1 for share in value.values())


def _is_curve(value) -> bool:
    columns = list(value.values()) if isinstance(value, dict) else [None]
    lists = all(isinstance(column, list) and len(column) == len(columns[0]) for column in columns)
    return lists and all(type(each) in (int, float) for column in columns for each in column)


# What a manifest holds, in words and as a check of the value, which is None where it is missing.
MANIFEST = {
    "schema": ("a number of at least 1", lambda value: type(value) is int and value >= 1),
    "run": ("a line of text", _is_line),
    "title": ("a text", lambda value: isinstance(value, str)),
    "ability": ("a line of text", _is_line),
    "control": ("a line of text or null", lambda value: value is None or _is_line(value)),
    "control_of": ("a line of text or null", lambda value: value is None or _is_line(value)),
    "recipe": ("an object", lambda value: isinstance(value, dict)),
    "trainings": ("an object of objects", _are_objects),
    "checkpoints": ("a list of at least one", lambda value: isinstance(value, list) and bool(value)),
}
CHECKPOINT = {
    "seed": ("a whole number of at least 0", lambda value: type(value) is int and 0 <= value < 2**63),
    "step": ("a whole number below a million", lambda value: type(value) is int and 0 <= value < 10**6),
    "files": ("names inside the folder with their hashes", _are_files),
    "abilities": ("shares from 0 to 1 by name", _are_shares),
}
TRAINING = {"curve": ("columns of numbers, all of one length", lambda value: value is None or _is_curve(value))}


def seed_folders(seed: int | str) -> tuple[str, str]:
    """The two names that the folder of a training seed can have: a new one never overwrites the one before."""
    return f"seed-{seed}", f"seed-{seed}-again"


def step_folder(step: int) -> str:
    """The name of a checkpoint's folder within that of its seed."""
    return f"step-{step:06d}"


def checkpoint_folder(run_folder: Path, manifest: dict, seed: int, step: int) -> Path:
    """Where the weights of one step of one training seed lie, e.g. mine/seed-0/step-000724; it need not exist."""
    return run_folder / _seed_folder(manifest, seed) / step_folder(step)


def _seed_folder(manifest: dict, seed: int) -> str:
    return manifest["trainings"].get(str(seed), {}).get("folder") or seed_folders(seed)[0]


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(folder: Path) -> dict:
    """The manifest of a run folder, checked for what the rest of the room relies on; SourceError names the file."""
    path = folder / FILE_NAME
    manifest = read_json(path, f"{folder} is not a run folder; give a folder that `neuromfa-lite train` wrote")
    _check(manifest, path)
    return manifest


def _check(manifest: dict, path: Path) -> None:
    _refuse_misfit(f"{path}:", manifest, {"schema": MANIFEST["schema"]})
    if manifest["schema"] > SCHEMA:
        raise SourceError(f"{path} has schema {manifest['schema']}, newer than {SCHEMA}: install a newer neuromfa-lite")
    _refuse_misfit(f"{path}:", manifest, MANIFEST)
    for seed, training in manifest["trainings"].items():
        where = f"{path}: training {seed!r:.40}"
        if not re.fullmatch("0|[1-9][0-9]{0,18}", seed):
            raise SourceError(f"{where} must stand under the number of its seed: restore the file")
        if training.get("folder") not in (None, *seed_folders(seed)):
            raise SourceError(f"{where} must lie in {' or '.join(seed_folders(seed))}: restore the file")
        _refuse_misfit(where, training, TRAINING)
    seen = set()
    for number, entry in enumerate(manifest["checkpoints"]):
        _refuse_misfit(f"{path}: checkpoints[{number}]", entry, CHECKPOINT)
        seed, step = entry["seed"], entry["step"]
        if str(seed) not in manifest["trainings"] or (seed, step) in seen:
            why = "there twice" if (seed, step) in seen else "of no training"
            raise SourceError(f"{path}: step {step} of seed {seed} is {why}: train the run again or restore the file")
        seen.add((seed, step))


def _refuse_misfit(where: str, values, table: dict) -> None:
    """Refuse, by name, the first value that is not what a table says."""
    for key, (wanted, fits) in table.items():
        found = values.get(key) if isinstance(values, dict) else None
        if not isinstance(values, dict) or not fits(found):
            found = "missing" if found is None else f"{found!r:.60}"
            raise SourceError(f"{where} {key} must be {wanted}, and is {found}: restore the file or train again")


def merge(old: dict, new: dict, path: Path) -> dict:
    """Add the one training seed of a new manifest to the old one of the file ``path``, or replace the same seed."""
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
    """The hidden folder in which a training seed is made, gone afterwards; refused where another process uses it.

    What a killed training of this seed left is cleared away first.
    """
    hidden = folder / UNFINISHED.replace("*", str(seed))
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with _locked(hidden, f"another process trains seed {seed} in {folder}: wait for it"):
            try:
                with _locked(folder):
                    _drop_unmentioned(folder, seed)
                    for unfinished in folder.glob(".neuromfa-*.tmp"):  # of results.written
                        unfinished.unlink()
                shutil.rmtree(hidden / "seed", ignore_errors=True)
                yield hidden
            finally:
                shutil.rmtree(hidden, ignore_errors=True)
    finally:
        with suppress(OSError):  # not empty: there is a run in it
            for path in made:
                path.rmdir()


def publish(hidden: Path, folder: Path, seed: int, manifest: dict) -> dict:
    """Enter a finished training seed of a :func:`workshop` in its run; returns the manifest of the whole run.

    Replacing the manifest, in one go, is what makes it count: until then its checkpoints lie under a name that the
    manifest does not mention; afterwards what they replace does, and goes.
    """
    path = folder / FILE_NAME
    with _locked(folder):
        old = read_manifest(folder) if path.exists() else None
        name = next(name for name in seed_folders(seed) if not (folder / name).exists())
        manifest["trainings"][str(seed)]["folder"] = name
        whole = merge(old, manifest, path) if old else manifest
        content = json.dumps(whole, indent=1) + "\n"
        try:
            os.replace(hidden / "seed", folder / name)
            with results.written(path) as file:
                file.write(content.encode())
        finally:
            _drop_unmentioned(folder, seed)
    return whole


def _drop_unmentioned(folder: Path, seed: int) -> None:
    """Remove a seed's folders that the manifest does not mention: never entered, or replaced."""
    manifest = read_manifest(folder) if (folder / FILE_NAME).exists() else {"trainings": {}}
    mentioned = _seed_folder(manifest, seed) if str(seed) in manifest["trainings"] else None
    for name in seed_folders(seed):
        if name != mentioned:
            shutil.rmtree(folder / name, ignore_errors=True)


@contextmanager
def _locked(folder: Path, busy: str = ""):
    """Keep other processes out of a folder, made where it is missing; busy: do not wait for them, say this."""
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)  # the system unlocks it when the process ends, however
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError:
            raise NeuroMFAError(busy) from None
        if not os.path.samestat(os.fstat(handle), os.stat(folder)):
            raise NeuroMFAError(busy or f"{folder} was made anew by another process: start again")
        yield
    finally:
        os.close(handle)
