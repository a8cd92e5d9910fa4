"""Recipes of the bundled runs: everything that decides what a training produces, and nothing else.

A recipe is a plain record, so that a manifest can hold it whole and a reader can compare two line by line.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..errors import NeuroMFAError

EVERY_STEP = (0, 1, 2, 4, 8, 16, 32, 64, 128, 152, 181, 215, 256, 304, 362, 512, 724)
COMMON_STEPS = (0, 128, 256, 724)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one run is trained: the task, the GPT-NeoX model, the optimiser, and what is stored.

    Attributes:
        name, title: what the run is called, and one line that says what is trained.
        repeated: True trains on blocks that repeat, False on tokens that never do.
        control, control_of: names of the run without a chance to gain the ability, and of the run this one controls.
        ability: name of the ability measured.
        context, batch, held_out_sequences: tokens in a sequence, sequences in a batch, sequences of the test.
        smallest_token, largest_token, shortest_period, longest_period: ranges drawn from, both ends included.
        vocabulary, hidden_size, layers, heads, intermediate_size: tokens, neurons, blocks, heads, MLP neurons.
        rotary_fraction, rotary_base, parallel_residual, tied_embeddings, dropout, initializer_range: as in GPT-NeoX.
        learning_rate: the one after ``warmup_steps`` updates; betas, weight_decay: of AdamW; steps: updates in all.
        first_seed_checkpoints, other_seed_checkpoints: steps stored of training seed 0, and of every other.

    Example:
        >>> find_recipe("induction").checkpoints(seed=1)
        (0, 128, 256, 724)
    """

    name: str
    title: str
    repeated: bool
    control: str | None = None
    control_of: str | None = None
    ability: str = "copy_accuracy"
    # the task
    context: int = 48
    smallest_token: int = 1
    largest_token: int = 63
    shortest_period: int = 12
    longest_period: int = 24
    # the model
    vocabulary: int = 64
    hidden_size: int = 64
    layers: int = 2
    heads: int = 4
    intermediate_size: int = 256
    rotary_fraction: float = 1.0
    rotary_base: float = 10000.0
    parallel_residual: bool = True
    tied_embeddings: bool = False
    dropout: float = 0.0
    initializer_range: float = 0.02
    # the optimiser: AdamW; weight decay on parameters of two dimensions, none on biases and norms
    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    warmup_steps: int = 50
    batch: int = 64
    steps: int = 724
    # what is stored and measured
    held_out_sequences: int = 256
    first_seed_checkpoints: tuple[int, ...] = EVERY_STEP
    other_seed_checkpoints: tuple[int, ...] = COMMON_STEPS

    def checkpoints(self, seed: int = 0) -> tuple[int, ...]:
        """Return the steps at which a training seed's weights are stored: all for seed 0, four for the others."""
        return self.first_seed_checkpoints if seed == 0 else self.other_seed_checkpoints

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of the update from ``step`` to ``step + 1``: linear warm-up, then constant.

        Example:
            >>> [round(find_recipe("induction").learning_rate_at(step), 6) for step in (0, 24, 49, 700)]
            [6e-05, 0.0015, 0.003, 0.003]
        """
        return self.learning_rate * min(1.0, (step + 1) / self.warmup_steps)

    def as_dict(self) -> dict:
        """Return the recipe as plain values (dict) for a JSON manifest; tuples become lists."""
        values = dataclasses.asdict(self)
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


RECIPES = {
    "induction": Recipe(
        name="induction",
        title="Induction: copy a random block that repeats",
        repeated=True,
        control="induction-control",
    ),
    "induction-control": Recipe(
        name="induction-control",
        title="Control of induction: the same training on tokens that never repeat",
        repeated=False,
        control_of="induction",
    ),
}

# Every recipe tried for a run, as what it changed in the recipe above. Looking for a recipe is a choice made
# on the result, so it is reported: a manifest with one entry says that nothing was searched.
TRIED = {
    "induction": [{"changed": {}, "outcome": "kept"}],
    "induction-control": [{"changed": {}, "outcome": "kept"}],
}


def find_recipe(name: str) -> Recipe:
    """Find a recipe by its name.

    Args:
        name: "induction" or "induction-control".

    Returns:
        Recipe.

    Raises:
        NeuroMFAError: no recipe of that name; the message lists those there are.

    Example:
        >>> find_recipe("induction").steps
        724
    """
    if name not in RECIPES:
        raise NeuroMFAError(f"no recipe is called {name!r}; the recipes are {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
