"""Tasks: what a run is trained on and tested with. A module a task, one small interface (:class:`Task`)."""

from ..recipes import Recipe
from .code import Code
from .induction import Induction
from .modular_addition import ModularAddition
from .task import NOT_ASKED, Examples, Task, seed_sequence

__all__ = ["NOT_ASKED", "TASKS", "Examples", "Task", "find_task", "measure_abilities", "seed_sequence"]

TASKS = {"induction": Induction, "code": Code, "modular addition": ModularAddition}


def find_task(recipe: Recipe) -> Task:
    """The task of a recipe."""
    return TASKS[recipe.task](recipe)


def measure_abilities(model, recipe: Recipe, task: Task | None = None) -> dict[str, float]:
    """What a model, token ids (sequences, context) to ``logits``, can do on held-out data: {"copy_accuracy": 0.98}."""
    import torch

    task = task or find_task(recipe)
    with torch.no_grad():
        return task.abilities(model(torch.from_numpy(task.questions())).logits.numpy())
