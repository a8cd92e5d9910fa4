"""One training: step by step from a recipe, with its checkpoints and its manifest."""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import manifests
from .model import as_stored, build_model, build_optimizer, save_checkpoint
from .recipes import Recipe
from .tasks import NOT_ASKED, Task, measure_abilities, seed_sequence

THREADS = 1
# Every recipe tried for a run, as what it changed in the recipe kept, and what came out. Looking for a recipe is a
# choice made on the result, so it is reported: a run with one entry was not searched for. "In full" is a training as of
# a kept recipe; the other trials were single ones, with another draw of the pairs, looked at every 100 steps.
TRIED = json.loads(Path(__file__).with_name("tried.json").read_text(encoding="utf-8"))


@dataclass
class Training:
    """One training in the making.

    Attributes:
        recipe, seed, task: what is trained.
        built: folder for the checkpoints.
        entries, curve: of the manifest: one entry per stored step; columns of values measured in between.
        seconds: spent.
    """

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

        start = time.perf_counter()
        with _threads(THREADS), torch.random.fork_rng(devices=[]), torch.enable_grad():
            self.model = build_model(self.recipe, self.seed).train()
            self.optimizer = build_optimizer(self.model, self.recipe)
            self.batches = np.random.default_rng(seed_sequence("train", self.seed))
            torch.manual_seed(self.seed)  # only dropout would draw from it
            self._steps(stored_steps, progress)
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
        self.entries.append(
            {"seed": self.seed, "step": step, "train_loss": loss, "abilities": abilities, "files": files}
        )
        return abilities

    def manifest(self) -> dict:
        """Return the manifest of a run folder with this training alone."""
        recipe, data = self.recipe, self.task.about()
        training = {
            "last_step": self.entries[-1]["step"],
            "seconds": round(self.seconds, 1),
            "threads": THREADS,
            "cores": os.cpu_count(),
            **_machine(),
            "versions": versions(),
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
    import torch

    return {
        "processor": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
    }


def versions() -> dict:
    """Return the versions (dict from name to str) of all that decides what a training produces."""
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
