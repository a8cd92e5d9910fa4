"""Train a run from its recipe and store its checkpoints. torch is loaded when a training starts.

The arithmetic runs on one thread: the same order of additions on every number of cores, so two trainings on
one machine agree to the last bit, and their first steps on two machines to a few units of half precision.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..errors import NeuroMFAError
from . import manifests, states
from .recipes import Recipe, find_recipe
from .tasks import find_task, seed_sequence
from .trainer import Training, versions


def train(
    name: str,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    steps: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
) -> dict:
    """Train one seed of a run and store it, in one to five minutes on one core.

    The run folder changes only when the training is done. One that is stopped or fails leaves its state in a hidden
    folder beside the run folder, at most ten seconds or one checkpoint old; the same call goes on from there and ends
    with the same weights, bit for bit. At the end the hidden folder is gone.

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
        NeuroMFAError: an unknown recipe, an impossible seed or number of steps, a folder that would be overwritten, or
            an unfinished training that cannot be gone on with.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as place:
        ...     manifest = train("induction", folder=pathlib.Path(place) / "mine", steps=1, progress=False)
        >>> [checkpoint["step"] for checkpoint in manifest["checkpoints"]]
        [0, 1]
    """
    recipe = find_recipe(name)
    _refuse_without_torch()
    seed_sequence("train", seed)  # refuses an impossible seed before any work
    stored_steps = _stored_steps(recipe, seed, steps)
    folder = Path(name if folder is None else folder).absolute()
    task = find_task(recipe)
    about = {"recipe": recipe.as_dict(), "data": task.about()}
    _refuse_to_overwrite(folder, about, seed, overwrite)
    with manifests.workspace(folder, seed, states.FILE_NAME) as unfinished:
        training = Training(recipe, int(seed), task, unfinished, about | {"seed": int(seed), "versions": versions()})
        training.run(stored_steps, progress)
        return manifests.publish(training.built, folder, seed, training.manifest())


def _refuse_without_torch():
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise NeuroMFAError(
            f"training needs torch and transformers ({error}): pip install 'neuromfa_lite[train]'"
        ) from None


def _stored_steps(recipe: Recipe, seed: int, steps: int | None) -> list[int]:
    last = recipe.steps if steps is None else steps
    if isinstance(last, bool) or not isinstance(last, (int, np.integer)) or not 0 <= last <= recipe.steps:
        raise NeuroMFAError(f"steps must be a whole number from 0 to {recipe.steps}, not {steps!r}")
    return [step for step in recipe.checkpoints(seed) if step <= last]


def _refuse_to_overwrite(folder: Path, about: dict, seed: int, overwrite: bool) -> None:
    """Stop before the work if storing would destroy something or mix two runs."""
    name = about["recipe"]["name"]
    if not folder.exists():
        return
    if not folder.is_dir():
        raise NeuroMFAError(f"{folder} is a file: give a folder to store {name!r} in")
    if not (folder / manifests.FILE_NAME).exists():
        if any(folder.iterdir()):
            raise NeuroMFAError(f"{folder} is not empty and not a run: give a new folder")
        return
    found = manifests.read_manifest(folder)
    if found["run"] != name or found["recipe"] != about["recipe"]:
        raise NeuroMFAError(f"{folder} holds run {found['run']!r} made by another recipe: give a new folder")
    if found.get("data", {}) != about["data"]:
        raise NeuroMFAError(f"{folder} holds {name!r} trained on another text than this Python's: give a new folder")
    if str(seed) in found["trainings"] and not overwrite:
        raise NeuroMFAError(f"{folder} already holds seed {seed} of {name!r}: give a new folder or overwrite it")
