"""Recipes of the bundled runs: everything that decides what a training produces, and nothing else.

A recipe is a plain record, so that a manifest can hold it whole and a reader can compare two line by line. Every task
has a record of its own with what that task needs; the model, the optimiser and what is stored are common to all.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from ..errors import NeuroMFAError

EVERY_STEP = (0, 1, 2, 4, 8, 16, 32, 64, 128, 152, 181, 215, 256, 304, 362, 512, 724)
COMMON_STEPS = (0, 128, 256, 724)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is common to the recipes of all tasks: the GPT-NeoX model, the optimiser, and what is stored.

    Attributes:
        name, title: what the run is called, and one line that says what is trained.
        control, control_of: names of the run without a chance to gain the ability, and of the run this one controls.
        ability: name of the main ability measured.
        context, batch: tokens in a sequence, sequences in a batch.
        vocabulary, hidden_size, layers, heads, intermediate_size: tokens, neurons, blocks, heads, MLP neurons.
        rotary_fraction, rotary_base, parallel_residual, tied_embeddings, dropout, initializer_range: as in GPT-NeoX.
        initialisation: "normal", every matrix of deviation ``initializer_range``, or "pythia", as the Pythia models.
        learning_rate: the one after ``warmup_steps`` updates; betas, weight_decay: of AdamW; steps: updates in all.
        first_seed_checkpoints, other_seed_checkpoints: steps stored of training seed 0, and of every other.
        measured_every: the abilities are measured after every so many updates too, without storing weights; 0: not.

    Example:
        >>> find_recipe("induction").checkpoints(seed=1)
        (0, 128, 256, 724)
    """

    # Only the tasks that choose these make fields of them: the manifests of older runs hold neither.
    initialisation: ClassVar[str] = "normal"
    measured_every: ClassVar[int] = 0

    name: str
    title: str
    control: str | None = None
    control_of: str | None = None
    ability: str
    context: int
    # the model
    vocabulary: int
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
    batch: int
    steps: int
    # what is stored
    first_seed_checkpoints: tuple[int, ...]
    other_seed_checkpoints: tuple[int, ...]

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


@dataclass(frozen=True, kw_only=True)
class InductionRecipe(Recipe):
    """Copy a random block that repeats.

    Attributes:
        repeated: True trains on blocks that repeat, False on tokens that never do.
        smallest_token, largest_token, shortest_period, longest_period: ranges drawn from, both ends included.
        held_out_sequences: sequences of the test.
        The others: as in :class:`Recipe`.
    """

    repeated: bool
    ability: str = "copy_accuracy"
    context: int = 48
    smallest_token: int = 1
    largest_token: int = 63
    shortest_period: int = 12
    longest_period: int = 24
    vocabulary: int = 64
    batch: int = 64
    steps: int = 724
    held_out_sequences: int = 256
    first_seed_checkpoints: tuple[int, ...] = EVERY_STEP
    other_seed_checkpoints: tuple[int, ...] = COMMON_STEPS


@dataclass(frozen=True, kw_only=True)
class PythiaInductionRecipe(InductionRecipe):
    """Induction from initial weights drawn as those of the Pythia models."""

    initialisation: str = "pythia"
    first_seed_checkpoints: tuple[int, ...] = (0, 16, 128, 256, 724)


@dataclass(frozen=True, kw_only=True)
class CodeRecipe(Recipe):
    """Predict the next token of Python's standard library.

    Attributes:
        shuffled: True trains on the same tokens in random order.
        held_out_sequences: sequences of the test, out of files that are not trained on.
        The others: as in :class:`Recipe`.
    """

    shuffled: bool
    ability: str = "next_token_accuracy"
    context: int = 128
    vocabulary: int = 512
    layers: int = 4
    batch: int = 16
    steps: int = 1448
    held_out_sequences: int = 256
    measured_every: int = 100
    first_seed_checkpoints: tuple[int, ...] = (0, 32, 128, 256, 512, 1024, 1448)
    other_seed_checkpoints: tuple[int, ...] = (0, 128, 256, 1448)


@dataclass(frozen=True, kw_only=True)
class ModularAdditionRecipe(Recipe):
    """Add two numbers modulo a prime, trained on a share of all pairs.

    With this weight decay the accuracy on trained pairs falls for some steps now and then, and a stored step may lie in
    such a fall: the last of seed 0 of modular-addition-control does. Look at train_accuracy.

    Attributes:
        modulus: p; the numbers are the tokens 0 to p - 1, and token p asks for their sum.
        trained_share: share of the unordered pairs {a, b} trained on; both orders of a pair fall on the same side.
        random_labels: True trains on answers drawn at random, one for each unordered pair.
        The others: as in :class:`Recipe`. A batch is all of the training pairs; ``batch`` says how many they are.
    """

    modulus: int = 59
    trained_share: float = 0.5
    random_labels: bool = False
    ability: str = "test_accuracy"
    context: int = 3
    vocabulary: int = 60
    layers: int = 1
    parallel_residual: bool = False  # in a parallel block the MLP at the last position would not see the numbers
    weight_decay: float = 1.0
    warmup_steps: int = 10
    batch: int = 1738
    steps: int = 2500
    measured_every: int = 50
    first_seed_checkpoints: tuple[int, ...] = (0, 64, 256, 512, 724, 1024, 1448, 1792, 2500)
    other_seed_checkpoints: tuple[int, ...] = (0, 256, 1024, 2500)


_RECIPES = (
    InductionRecipe(
        name="induction",
        title="Induction: copy a random block that repeats",
        repeated=True,
        control="induction-control",
    ),
    InductionRecipe(
        name="induction-control",
        title="Control of induction: the same training on tokens that never repeat",
        repeated=False,
        control_of="induction",
    ),
    PythiaInductionRecipe(
        name="induction-pythia",
        title="Induction from the initial weights of the Pythia models",
        repeated=True,
        control="induction-pythia-control",
    ),
    PythiaInductionRecipe(
        name="induction-pythia-control",
        title="Control of induction-pythia: the same training on tokens that never repeat",
        repeated=False,
        control_of="induction-pythia",
    ),
    CodeRecipe(
        name="code-lm",
        title="Code: predict the next token of Python's standard library",
        shuffled=False,
        control="code-lm-control",
    ),
    CodeRecipe(
        name="code-lm-control",
        title="Control of code-lm: the same tokens in random order",
        shuffled=True,
        control_of="code-lm",
    ),
    ModularAdditionRecipe(
        name="modular-addition",
        title="Addition modulo 59 with strong weight decay",
        control="modular-addition-control",
    ),
    ModularAdditionRecipe(
        name="modular-addition-memorised",
        title="Addition modulo 59 without weight decay: memorises and stays there",
        weight_decay=0.0,
        control_of="modular-addition",
    ),
    ModularAdditionRecipe(
        name="modular-addition-control",
        title="Control of modular-addition: the same training on random answers",
        random_labels=True,
        control_of="modular-addition",
    ),
)
RECIPES = {recipe.name: recipe for recipe in _RECIPES}


def find_recipe(name: str) -> Recipe:
    """Find a recipe by its name.

    Args:
        name: of a bundled run, e.g. "induction".

    Returns:
        Recipe of its task.

    Raises:
        NeuroMFAError: no recipe of that name; the message lists those there are.

    Example:
        >>> find_recipe("induction").steps
        724
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise NeuroMFAError(f"no recipe is called {name!r}; the recipes are {', '.join(sorted(RECIPES))}")
    return RECIPES[name]
