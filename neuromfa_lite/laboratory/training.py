"""Train a run from its recipe and store its checkpoints. torch is loaded when a training starts.

The arithmetic runs on one thread, so that two trainings on one machine agree to the last bit.
"""

import json
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import NeuroMFAError, arguments
from . import manifests
from .model import as_stored, build_model, build_optimizer, refuse_without_torch, save_checkpoint
from .recipes import Recipe, find_recipe
from .tasks import NOT_ASKED, Task, find_task, measure_abilities, seed_sequence

THREADS = 1
# Every recipe tried for a run, as what it changed in the recipe kept, and what came out: a choice made on the result is
# reported. "In full" is a training as of a kept recipe; the other trials were single ones, with another draw of the
# pairs, looked at every 100 steps.
TRIED = json.loads(Path(__file__).with_name("tried.json").read_text(encoding="utf-8"))


def train(
    name: str,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    steps: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
) -> dict:
    """Train one seed of a run and store it, in one to five minutes on one core.

    The run changes only when the training is done: one that is stopped or fails leaves nothing.

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
    refuse_without_torch("training")
    seed_sequence("train", seed)  # refuses an impossible seed before any work
    last = recipe.steps if steps is None else arguments.whole("steps", steps, 0, recipe.steps)
    stored_steps = [step for step in recipe.checkpoints(seed) if step <= last]
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
        why = f"run {found['run']!r} made by another recipe"
    elif found.get("data", {}) != task.about():
        why = f"{name!r} trained on another text than this Python's"
    elif str(seed) in found["trainings"] and not overwrite:
        why = f"seed {seed} of {name!r}, which is not to be overwritten"
    else:
        return
    raise NeuroMFAError(f"{folder} already holds {why}: give a new folder")


@dataclass
class Training:
    """One training in the making; entries (per stored step) and curve (columns) go into the manifest."""

    recipe: Recipe
    seed: int
    task: Task
    built: Path
    entries: list[dict] = field(default_factory=list)
    curve: dict[str, list] = field(default_factory=dict)
    seconds: float = 0.0

    def run(self, stored_steps: list[int], progress: bool) -> None:
        """Train up to the last of the steps."""
        import torch

        start, threads = time.perf_counter(), torch.get_num_threads()
        torch.set_num_threads(THREADS)
        try:
            with torch.random.fork_rng(devices=[]), torch.enable_grad():
                self.model = build_model(self.recipe, self.seed).train()
                self.optimizer = build_optimizer(self.model, self.recipe)
                self.batches = np.random.default_rng(seed_sequence("train", self.seed))
                torch.manual_seed(self.seed)  # only dropout would draw from it
                self._steps(stored_steps, progress)
        finally:
            torch.set_num_threads(threads)
        self.seconds = time.perf_counter() - start

    def _steps(self, stored_steps: list[int], progress: bool) -> None:
        from tqdm.auto import tqdm

        last = stored_steps[-1]
        label, shown = f"{self.recipe.name}, seed {self.seed}", {}
        with tqdm(total=last, desc=label, unit="step", disable=not progress) as bar:
            for step in range(last + 1):
                loss = _loss(self.model, self.task.training_batch(self.batches))
                shown |= self._measured(step, loss.item(), step in stored_steps)
                if step == last:
                    break
                _update(loss, self.optimizer, self.recipe.learning_rate_at(step))
                bar.update()
                bar.set_postfix({"loss": f"{loss.item():.3f}", **shown}, refresh=False)

    def _measured(self, step: int, loss: float, stored: bool) -> dict[str, str]:
        """Store the step or measure it if it is time; the main ability, to be shown."""
        every = self.recipe.measured_every
        if stored:
            abilities = self._store(step, loss)
        elif every and step % every == 0:
            abilities = measure_abilities(self.model.eval(), self.recipe, self.task)
            self.model.train()
        else:
            return {}
        if every:
            for name, value in {"step": step, "train_loss": loss, **abilities}.items():
                self.curve.setdefault(name, []).append(value)
        return {self.recipe.ability: f"{abilities[self.recipe.ability]:.3f}"}

    def _store(self, step: int, loss: float) -> dict[str, float]:
        """Store a checkpoint; its abilities are those of the weights as stored."""
        folder = self.built / manifests.step_folder(step)
        save_checkpoint(self.model, folder)
        abilities = measure_abilities(as_stored(folder, self.model), self.recipe, self.task)
        files = {path.name: manifests.file_hash(path) for path in sorted(folder.iterdir())}
        entry = {"seed": self.seed, "step": step, "train_loss": loss, "abilities": abilities, "files": files}
        self.entries.append(entry)
        return abilities

    def manifest(self) -> dict:
        """The manifest of a run folder with this training alone."""
        recipe, data = self.recipe, self.task.about()
        training = {
            "last_step": self.entries[-1]["step"],
            "seconds": round(self.seconds, 1),
            "threads": THREADS,
            "cores": os.cpu_count(),
            **_machine(),
        }
        return {
            "schema": manifests.SCHEMA,
            "run": recipe.name,
            "title": recipe.title,
            "ability": recipe.ability,
            "control": recipe.control,
            "control_of": recipe.control_of,
            "recipe": recipe.as_dict(),
            "recipes_tried": TRIED[recipe.name],
            **({"data": data} if data else {}),
            "trainings": {str(self.seed): training | ({"curve": self.curve} if self.curve else {})},
            "checkpoints": self.entries,
        }


def _update(loss, optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _loss(model, examples):
    """Mean cross-entropy over the positions that are asked, in nats."""
    import torch

    targets = torch.from_numpy(examples.targets)
    asked = targets != NOT_ASKED
    logits = model(torch.from_numpy(examples.tokens), use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits[asked], targets[asked])


def _machine() -> dict:
    """What decides, beside the recipe, what a training produces."""
    import safetensors
    import torch
    import transformers

    return {
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "safetensors": safetensors.__version__,
        },
    }
