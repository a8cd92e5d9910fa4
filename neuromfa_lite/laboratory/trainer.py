"""One training: step by step from a recipe, with its checkpoints, its state and its manifest."""

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
from .recipes import Recipe
from .tasks import NOT_ASKED, Task, measure_abilities, seed_sequence
from .tried import TRIED

THREADS = 1
SECONDS_BETWEEN_STATES = 10.0


@dataclass
class Training:
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
