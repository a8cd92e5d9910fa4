"""What a task is: batches to train on, sequences to be tested with, and the abilities measured on them."""

from typing import NamedTuple

import numpy as np

from ...errors import NeuroMFAError, arguments
from ..recipes import Recipe

NOT_ASKED = -100  # a target that does not count in the loss; the value torch's cross_entropy ignores by default
STREAMS = ("init", "train", "held-out")
LARGEST_SEED = 2**63 - 1


class Examples(NamedTuple):
    """Sequences (sequences, context) int64, and what each position should predict, NOT_ASKED where none counts."""

    tokens: np.ndarray
    targets: np.ndarray


class Task:
    """What the training asks of a task; made from its recipe by :func:`find_task`."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    def training_batch(self, generator: np.random.Generator) -> Examples:
        """The next batch."""

    def about(self) -> dict:
        """Which data of this machine are trained on (plain values); nothing if all are drawn from a seed."""
        return {}

    def questions(self) -> np.ndarray:
        """The sequences (sequences, context) int64 that a model reads when it is tested: always the same."""

    def abilities(self, logits: np.ndarray) -> dict[str, float]:
        """The abilities, shares from 0 to 1, from a model's logits (sequences, context, vocabulary)."""


def seed_sequence(stream: str, seed: int = 0) -> np.random.SeedSequence:
    """The root of a stream of random numbers: "init" (weights) and "train" (batches) of a seed, "held-out" of all."""
    seed = arguments.whole("seed", seed, 0, LARGEST_SEED)
    return np.random.SeedSequence(seed, spawn_key=(STREAMS.index(stream),))


def next_tokens(tokens: np.ndarray) -> Examples:
    """Ask for the next token at every position of (sequences, context) but the last."""
    targets = np.full_like(tokens, NOT_ASKED)
    targets[:, :-1] = tokens[:, 1:]
    return Examples(tokens, targets)


def share_right(right: np.ndarray, counted: np.ndarray, what: str) -> float:
    """The share of the counted positions that are right; NeuroMFAError where none counts for the ability ``what``."""
    if not counted.any():
        raise NeuroMFAError(f"no position of these sequences counts for {what}: give longer or other sequences")
    return float(right[counted].mean())
