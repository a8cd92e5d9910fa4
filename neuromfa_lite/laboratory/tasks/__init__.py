"""Tasks: what a run is trained on and tested with. A module a task, one small interface (:class:`Task`)."""

from __future__ import annotations

from ..recipes import Recipe
from .code import Code
from .induction import Induction
from .modular_addition import ModularAddition
from .task import NOT_ASKED, Examples, Task, seed_sequence

__all__ = ["NOT_ASKED", "TASKS", "Examples", "Task", "find_task", "measure_abilities", "seed_sequence"]

TASKS = {"induction": Induction, "code": Code, "modular addition": ModularAddition}


def find_task(recipe: Recipe) -> Task:
    """Make the task of a recipe."""
    return TASKS[recipe.task](recipe)


def measure_abilities(model, recipe: Recipe, task: Task | None = None) -> dict[str, float]:
    """Measure what a model can do on the held-out data of a recipe.

    Args:
        model: a callable that maps token ids, a torch tensor (sequences, context), to an object with ``logits``
            (sequences, context, vocabulary).
        recipe: Recipe.
        task: the recipe's task, if it is there already.

    Returns:
        dict from names to shares from 0 to 1, e.g. {"copy_accuracy": 0.98}.

    Example:
        A model that always guesses token 0, which never occurs:

        >>> import torch, types
        >>> from neuromfa_lite.laboratory.recipes import find_recipe
        >>> def guess(tokens):
        ...     return types.SimpleNamespace(logits=torch.eye(64)[torch.zeros_like(tokens)])
        >>> measure_abilities(guess, find_recipe("induction"))
        {'copy_accuracy': 0.0}
    """
    import torch

    task = task or find_task(recipe)
    with torch.no_grad():
        return task.abilities(model(torch.from_numpy(task.questions())).logits.numpy())
