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
    """The two names that the folder of a training seed can have: a new one never overwrites the one before."""
    return f"seed-{seed}", f"seed-{seed}-again"


def step_folder(step: int) -> str:
    """The name of a checkpoint's folder within that of its seed."""
    return f"step-{step:06d}"


def checkpoint_folder(run_folder: Path, manifest: dict, seed: int, step: int) -> Path:
    """Where the weights of one step of one training seed lie, e.g. mine/seed-0/step-000724; it need not exist."""
    training = manifest["trainings"].get(str(seed), {})
    return run_folder / training.get("folder", seed_folders(seed)[0]) / step_folder(step)


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


def _check(manifest, path: Path) -> None:
    schema = manifest.get("schema")
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
    """Open the hidden folder, inside a run folder, in which one training seed is made; gone afterwards.

    What a killed training of this seed left is cleared away first. NeuroMFAError where another process trains it there.
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
    """Enter a finished training seed in its run: replacing the manifest there, in one go, is what makes it count.

    Until then the checkpoints in the folder "seed" of the :func:`workshop` lie under a name that the manifest does not
    mention; afterwards what they replace does, and goes. Returns the manifest of the whole run.
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
    training = manifest["trainings"].get(str(seed))
    mentioned = training and training.get("folder", seed_folders(seed)[0])
    for name in seed_folders(seed):
        if name != mentioned:
            shutil.rmtree(folder / name, ignore_errors=True)


@contextmanager
def _locked(folder: Path, busy: str = ""):
    """Keep other processes out of a folder, made where it is missing; busy: do not wait for them, say this.

    The system unlocks when a process ends, however.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
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
