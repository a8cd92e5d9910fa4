"""The laboratory: small networks trained here, what they could do at each step, and how to train them again.

Loads neither torch nor transformers; `train` does when it is called.
"""

from .recipes import RECIPES, Recipe, find_recipe
from .runs import Checkpoint, Run, list_runs, load_checkpoint, load_run, verify_run
from .training import train

__all__ = [
    "RECIPES",
    "Checkpoint",
    "Recipe",
    "Run",
    "find_recipe",
    "list_runs",
    "load_checkpoint",
    "load_run",
    "train",
    "verify_run",
]
