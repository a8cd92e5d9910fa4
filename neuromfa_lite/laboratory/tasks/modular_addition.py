"""Modular addition: read a, b and "=", and say (a + b) mod p."""

from __future__ import annotations

import numpy as np

from ..recipes import ModularAdditionRecipe
from .streams import seed_sequence
from .task import NOT_ASKED, Examples, share_right


class ModularAddition:
    """The task of a model that shall add modulo p; see :class:`~neuromfa_lite.laboratory.tasks.Task`.

    A batch is all of the training pairs. Both orders (a, b) and (b, a) are trained on or neither is, so that no answer
    of the test can be had by exchanging a pair trained on. Trained on random labels, a model is tested on the true
    sums: the question is the same, only the training differs.

    Attributes:
        pairs: (p * p, 2) int64, all ordered pairs.
        trained: (p * p,) bool, the pairs trained on.
        labels: (p * p,) int64, the answers trained on.
        sums: (p * p,) int64, the true answers.

    Example:
        >>> from neuromfa_lite.laboratory.recipes import find_recipe
        >>> task = ModularAddition(find_recipe("modular-addition"))
        >>> batch = task.training_batch(np.random.default_rng(0))
        >>> a, b, equals = batch.tokens[0]
        >>> bool(batch.targets[0, 2] == (a + b) % 59), int(equals)
        (True, 59)
    """

    def __init__(self, recipe: ModularAdditionRecipe):
        self.recipe = recipe
        self.pairs, self.trained, self.labels, self.sums = addition_table(recipe)

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
        return np.column_stack([self.pairs, np.full(len(self.pairs), self.recipe.modulus)])

    def abilities(self, logits: np.ndarray) -> dict[str, float]:
        """Measure test_accuracy, on true sums of pairs not trained on, and train_accuracy, on the answers trained."""
        answers = logits[:, -1, : self.recipe.modulus].argmax(-1)
        return {
            "test_accuracy": share_right(answers == self.sums, ~self.trained, "test_accuracy"),
            "train_accuracy": share_right(answers == self.labels, self.trained, "train_accuracy"),
        }


def addition_table(recipe: ModularAdditionRecipe) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make the addition table of a recipe, and draw which pairs are trained on, and random labels if it wants them.

    Args:
        recipe: gives p, the share of unordered pairs trained on, and whether the labels are random.

    Returns:
        (pairs, trained, labels, sums): (p * p, 2), (p * p,) bool, (p * p,) and (p * p,) int64; the same ones for every
        training seed.

    Example:
        >>> recipe = ModularAdditionRecipe(name="mine", title="mine", modulus=3, trained_share=0.5, batch=5)
        >>> pairs, trained, labels, sums = addition_table(recipe)
        >>> sums.reshape(3, 3)
        array([[0, 1, 2],
               [1, 2, 0],
               [2, 0, 1]])
        >>> symmetric = trained.reshape(3, 3)
        >>> bool((symmetric == symmetric.T).all())
        True
    """
    p = recipe.modulus
    generator = np.random.default_rng(seed_sequence("held-out"))
    first, second = np.triu_indices(p)  # a <= b: every unordered pair once
    chosen = generator.permutation(len(first)) < round(recipe.trained_share * len(first))
    sums = np.add.outer(np.arange(p), np.arange(p)) % p
    labels = sums
    if recipe.random_labels:
        labels = _symmetric(p, first, second, generator.integers(p, size=len(first)))
    pairs = np.stack(np.meshgrid(np.arange(p), np.arange(p), indexing="ij"), axis=-1).reshape(-1, 2)
    return pairs, _symmetric(p, first, second, chosen).ravel(), labels.ravel(), sums.ravel()


def _symmetric(size, first, second, values):
    """The (size, size) array with values at (first, second) and at (second, first)."""
    table = np.empty((size, size), values.dtype)
    table[first, second] = table[second, first] = values
    return table
