"""Modular addition: read a, b and "=", and say (a + b) mod p."""

from __future__ import annotations

import numpy as np

from ..recipes import Recipe
from .task import NOT_ASKED, Examples, seed_sequence, share_right


class ModularAddition:
    """The task of a model that shall add modulo p; see :class:`~neuromfa_lite.laboratory.tasks.Task`.

    A batch is all of the training pairs. Both orders (a, b) and (b, a) are trained on or neither is, so that no answer
    of the test can be had by exchanging a pair trained on. Trained on random labels, a model is tested on the true
    sums: the question is the same, only the training differs.

    Choices of its recipe:
        modulus: p; the numbers are the tokens 0 to p - 1, and token p asks for their sum.
        trained_share: share of the unordered pairs {a, b} trained on.
        random_labels: True trains on answers drawn at random, one for each unordered pair.

    Attributes:
        pairs: (p * p, 2) int64, all ordered pairs; trained: (p * p,) bool, those trained on.
        labels, sums: (p * p,) int64, the answers trained on and the true ones.
    """

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self.pairs, self.trained, self.labels, self.sums = addition_table(**recipe.choices)

    def training_batch(self, generator: np.random.Generator) -> Examples:
        """Return all of the training pairs; only the answer is asked for, and nothing is drawn."""
        tokens = self.questions()[self.trained]
        targets = np.full_like(tokens, NOT_ASKED)
        targets[:, -1] = self.labels[self.trained]
        return Examples(tokens, targets)

    def about(self) -> dict:
        """Return nothing: all is drawn from a seed."""
        return {}

    def questions(self) -> np.ndarray:
        """Return all p * p questions, those trained on among them: the abilities keep the two apart."""
        return np.column_stack([self.pairs, np.full(len(self.pairs), self.recipe.choices["modulus"])])

    def abilities(self, logits: np.ndarray) -> dict[str, float]:
        """Measure test_accuracy, on true sums of pairs not trained on, and train_accuracy, on the answers trained."""
        answers = logits[:, -1, : self.recipe.choices["modulus"]].argmax(-1)
        return {
            "test_accuracy": share_right(answers == self.sums, ~self.trained, "test_accuracy"),
            "train_accuracy": share_right(answers == self.labels, self.trained, "train_accuracy"),
        }


def addition_table(modulus: int, trained_share: float, random_labels: bool) -> tuple[np.ndarray, ...]:
    """(pairs, trained, labels, sums) as of :class:`ModularAddition`, the same ones for every training seed.

    Example:
        >>> pairs, trained, labels, sums = addition_table(modulus=3, trained_share=0.5, random_labels=False)
        >>> sums.reshape(3, 3)
        array([[0, 1, 2],
               [1, 2, 0],
               [2, 0, 1]])
    """
    numbers = np.arange(modulus)
    generator = np.random.default_rng(seed_sequence("held-out"))
    first, second = np.triu_indices(modulus)  # a <= b: every unordered pair once
    chosen = generator.permutation(len(first)) < round(trained_share * len(first))
    labels = sums = np.add.outer(numbers, numbers) % modulus
    if random_labels:
        labels = _symmetric(modulus, first, second, generator.integers(modulus, size=len(first)))
    pairs = np.stack(np.meshgrid(numbers, numbers, indexing="ij"), axis=-1).reshape(-1, 2)
    return pairs, _symmetric(modulus, first, second, chosen).ravel(), labels.ravel(), sums.ravel()


def _symmetric(size, first, second, values):
    """The (size, size) array with values at (first, second) and at (second, first)."""
    table = np.empty((size, size), values.dtype)
    table[first, second] = table[second, first] = values
    return table
