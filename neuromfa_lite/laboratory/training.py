"""Train a run from its recipe and store its checkpoints. torch is loaded when a training starts.

The arithmetic runs on one thread: the same order of additions on every number of cores, so two trainings on
one machine agree to the last bit, and their first steps on two machines to a few units of half precision.
"""

from __future__ import annotations

import os
import platform
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import NeuroMFAError
from . import manifests, states
from .model import as_stored, build_model, build_optimizer, save_checkpoint
from .recipes import Recipe, find_recipe
from .tasks import NOT_ASKED, Task, find_task, measure_abilities, seed_sequence
from .tried import TRIED

THREADS = 1
SECONDS_BETWEEN_STATES = 10.0


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
        training = _Training(recipe, int(seed), task, unfinished, about | {"seed": int(seed), "versions": _versions()})
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


@dataclass
class _Training:
    """One training in the making.

    Attributes:
        recipe, seed, task: what is trained.
        unfinished: folder of the state and of the checkpoints stored so far.
        key: what a stored state must have been made by to go on from it.
        entries, curve: of the manifest: one entry per stored step; columns of values measured in between.
        seconds, interruptions: spent before this call, and how often it was stopped.
    """

    recipe: Recipe
    seed: int
    task: Task
    unfinished: Path
    key: dict
    entries: list[dict] = field(default_factory=list)
    curve: dict[str, list] = field(default_factory=dict)
    seconds: float = 0.0
    interruptions: int = 0

    @property
    def built(self) -> Path:
        """The run folder in the making."""
        return self.unfinished / "run"

    def _folder(self, step: int) -> Path:
        return manifests.checkpoint_folder(self.built, self.seed, step)

    def run(self, stored_steps: list[int], progress: bool) -> None:
        """Train up to the last of the steps."""
        import torch

        start = time.perf_counter()
        with _threads(THREADS), torch.random.fork_rng(devices=[]), torch.enable_grad():
            self.model = build_model(self.recipe, self.seed).train()
            self.optimizer = build_optimizer(self.model, self.recipe)
            self.batches = np.random.default_rng(seed_sequence("train", self.seed))
            torch.manual_seed(self.seed)  # only dropout would draw from it
            first = self._go_on(stored_steps[-1])
            self.clock = start - self.seconds
            self._steps(first, stored_steps, progress)
            self.seconds = time.perf_counter() - self.clock

    def _steps(self, first: int, stored_steps: list[int], progress: bool) -> None:
        from tqdm.auto import tqdm

        last, saved = stored_steps[-1], time.perf_counter()
        label, shown = f"{self.recipe.name}, seed {self.seed}", {}
        with tqdm(total=last, initial=first, desc=label, unit="step", disable=not progress) as bar:
            for step in range(first, last + 1):
                due = step - 1 in stored_steps or time.perf_counter() - saved > SECONDS_BETWEEN_STATES
                if step > first and due:
                    self._save(step)
                    saved = time.perf_counter()
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
        folder = self._folder(step)
        shutil.rmtree(folder, ignore_errors=True)  # from a training stopped between this and its state
        save_checkpoint(self.model, folder)
        abilities = measure_abilities(as_stored(folder, self.model), self.recipe, self.task)
        files = {path.name: manifests.file_hash(path) for path in sorted(folder.iterdir())}
        self.entries.append(
            {"seed": self.seed, "step": step, "train_loss": loss, "abilities": abilities, "files": files}
        )
        return abilities

    def _save(self, step: int) -> None:
        facts = {
            "key": self.key,
            "step": step,
            "batches": self.batches.bit_generator.state,
            "entries": self.entries,
            "curve": self.curve,
            "seconds": time.perf_counter() - self.clock,
            "interruptions": self.interruptions,
        }
        states.save_state(self.unfinished, self.model, self.optimizer, facts)

    def _go_on(self, last: int) -> int:
        """Take up a stored state if there is one; the step to go on from."""
        if not (self.unfinished / states.FILE_NAME).exists():
            return 0
        tensors, facts = states.load_state(self.unfinished)
        if facts["key"] != self.key:
            different = ", ".join(name for name in self.key if facts["key"].get(name) != self.key[name])
            raise NeuroMFAError(
                f"{self.unfinished} holds an unfinished training with another {different}: delete it to start anew"
            )
        if facts["step"] > last:
            raise NeuroMFAError(
                f"{self.unfinished} holds an unfinished training at step {facts['step']}, past {last}: finish it with "
                "more steps, or delete it to start anew"
            )
        gone = [entry["step"] for entry in facts["entries"] if not self._folder(entry["step"]).is_dir()]
        if gone:
            raise NeuroMFAError(f"{self.unfinished} lacks the checkpoints {gone}: delete it to start anew")
        states.restore(tensors, self.model, self.optimizer)
        self.batches.bit_generator.state = facts["batches"]
        self.entries, self.curve, self.seconds = facts["entries"], facts["curve"], facts["seconds"]
        self.interruptions = facts["interruptions"] + 1
        return facts["step"]

    def manifest(self) -> dict:
        """Return the manifest of a run folder with this training alone."""
        recipe = self.recipe
        training = {
            "last_step": self.entries[-1]["step"],
            "seconds": round(self.seconds, 1),
            "interruptions": self.interruptions,
            "threads": THREADS,
            "cores": os.cpu_count(),
            **_machine(),
            "versions": _versions(),
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
            **({"data": self.key["data"]} if self.key["data"] else {}),
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


def _machine() -> dict:
    import torch

    return {
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
    }


def _versions() -> dict:
    import safetensors
    import torch
    import transformers

    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "safetensors": safetensors.__version__,
    }


@contextmanager
def _threads(count: int):
    """Run torch on ``count`` threads, then on as many as before."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
