"""Train a run from its recipe and store its checkpoints. torch is loaded when a training starts.

The arithmetic runs on one thread: the same order of additions on every number of cores, so two trainings on
one machine agree to the last bit, and their first steps on two machines to a few units of half precision.
"""

from __future__ import annotations

import os
from pathlib import Path

from .. import arguments
from ..errors import NeuroMFAError
from . import manifests
from .recipes import Recipe, find_recipe
from .tasks import Task, find_task, seed_sequence
from .trainer import Training


def train(
    name: str,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    steps: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
) -> dict:
    """Train one seed of a run and store it, in one to five minutes on one core.

    The run changes only when the training is done. One that is stopped or fails leaves nothing; the same call starts
    again. What a killed one leaves, a hidden folder in the run folder, goes with the next training there.

    Args:
        name: the recipe's name, e.g. "induction".
        seed: decides the initial weights and the batches, 0 or larger.
        folder: the run folder to write, by default ``name`` in the working directory. A run of the same recipe that
            lies there already gains the seed.
        steps: stop early: store only the recipe's checkpoints up to this step; None: all of them.
        progress: show a progress bar with the loss (nats per token) and, now and then, the main ability.
        overwrite: replace the seed if the folder holds it already.

    Returns:
        dict, the manifest of the run folder.

    Raises:
        NeuroMFAError: before any work: an unknown recipe, an impossible seed or number of steps, a folder that cannot
            be written to or would be overwritten, a seed that another process trains there; later: a full disk.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as place:
        ...     manifest = train("induction", folder=pathlib.Path(place) / "mine", steps=1, progress=False)
        >>> [checkpoint["step"] for checkpoint in manifest["checkpoints"]]
        [0, 1]
    """
    recipe = find_recipe(name)
    folder = arguments.path("folder", name if folder is None else folder).absolute()
    _refuse_without_torch()
    seed_sequence("train", seed)  # refuses an impossible seed before any work
    stored_steps = _stored_steps(recipe, seed, steps)
    task = find_task(recipe)
    try:
        _refuse_what_is_no_run(folder, name)
        with manifests.workshop(folder, seed) as hidden:
            _refuse_to_overwrite(folder, recipe, task, seed, overwrite)
            training = Training(recipe, int(seed), task, hidden / "seed")
            training.run(stored_steps, progress)
            return manifests.publish(hidden, folder, seed, training.manifest())
    except OSError as error:
        why = error.strerror or error
        raise NeuroMFAError(f"cannot write in {folder} ({why}): give another folder or make room") from error


def _refuse_without_torch():
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise NeuroMFAError(
            f"training needs torch and transformers ({error}): pip install 'neuromfa_lite[train]'"
        ) from None


def _stored_steps(recipe: Recipe, seed: int, steps: int | None) -> list[int]:
    last = recipe.steps if steps is None else arguments.whole("steps", steps, 0, recipe.steps)
    return [step for step in recipe.checkpoints(seed) if step <= last]


def _refuse_what_is_no_run(folder: Path, name: str) -> None:
    """Leave alone what is neither a run nor empty; hidden files are no hindrance."""
    if folder.exists() and not folder.is_dir():
        raise NeuroMFAError(f"{folder} is a file: give a folder to store {name!r} in")
    if not folder.exists() or (folder / manifests.FILE_NAME).exists() or any(folder.glob(manifests.UNFINISHED)):
        return
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        raise NeuroMFAError(f"{folder} is not empty and not a run: give a new folder")


def _refuse_to_overwrite(folder: Path, recipe: Recipe, task: Task, seed: int, overwrite: bool) -> None:
    """Stop before the work if storing would destroy something or mix two runs."""
    if not (folder / manifests.FILE_NAME).exists():
        return
    name, found = recipe.name, manifests.read_manifest(folder)
    if found["run"] != name or found["recipe"] != recipe.as_dict():
        raise NeuroMFAError(f"{folder} holds run {found['run']!r} made by another recipe: give a new folder")
    if found.get("data", {}) != task.about():
        raise NeuroMFAError(f"{folder} holds {name!r} trained on another text than this Python's: give a new folder")
    if str(seed) in found["trainings"] and not overwrite:
        raise NeuroMFAError(f"{folder} already holds seed {seed} of {name!r}: give a new folder or overwrite it")
