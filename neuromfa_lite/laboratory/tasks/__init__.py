"""Tasks: what a run is trained on and tested with. A module a task, one small interface (:class:`Task`)."""

from __future__ import annotations

from ..recipes import CodeRecipe, InductionRecipe, ModularAdditionRecipe, Recipe
from .code import Code
from .induction import Induction
from .modular_addition import ModularAddition
from .streams import STREAMS, seed_sequence
from .task import NOT_ASKED, Examples, Task

__all__ = [
    "NOT_ASKED",
    "STREAMS",
    "Code",
    "Examples",
    "Induction",
    "ModularAddition",
    "Task",
    "find_task",
    "measure_abilities",
    "seed_sequence",
]

TASKS = {InductionRecipe: Induction, CodeRecipe: Code, ModularAdditionRecipe: ModularAddition}


def find_task(recipe: Recipe) -> Task:
    """Make the task of a recipe.

    Args:
        recipe: Recipe.

    Returns:
        Task.

    Example:
        >>> from neuromfa_lite.laboratory.recipes import find_recipe
        >>> find_task(find_recipe("induction")).questions().shape
        (256, 48)
    """
    return next(task(recipe) for kind, task in TASKS.items() if isinstance(recipe, kind))


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
