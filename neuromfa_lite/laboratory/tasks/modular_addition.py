"""Modular addition: read a, b and "=", and say (a + b) mod p."""

import numpy as np

from ..recipes import Recipe
from .task import NOT_ASKED, Examples, Task, seed_sequence, share_right


class ModularAddition(Task):
    """A :class:`Task`: add modulo p, the numbers tokens 0 to p - 1, and token p asks for their sum.

    A batch is all of the training pairs. Both orders (a, b) and (b, a) are trained on or neither is, so that no answer
    of the test can be had by exchanging a pair trained on. The test is of true sums, a control's too.

    Choices: modulus p; trained_share of the unordered pairs {a, b}; random_labels trains on an answer drawn for each.
    """

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.pairs, self.trained, self.labels, self.sums = addition_table(**recipe.choices)

    def training_batch(self, generator: np.random.Generator) -> Examples:
        """All of the training pairs; only the answer is asked for, and nothing is drawn."""
        tokens = self.questions()[self.trained]
        targets = np.full_like(tokens, NOT_ASKED)
        targets[:, -1] = self.labels[self.trained]
        return Examples(tokens, targets)

    def questions(self) -> np.ndarray:
        """All p * p questions, those trained on among them: the abilities keep the two apart."""
        return np.column_stack([self.pairs, np.full(len(self.pairs), self.recipe.choices["modulus"])])

    def abilities(self, logits: np.ndarray) -> dict[str, float]:
        """test_accuracy, on true sums of pairs not trained on, and train_accuracy, on the answers trained."""
        answers = logits[:, -1, : self.recipe.choices["modulus"]].argmax(-1)
        return {
            "test_accuracy": share_right(answers == self.sums, ~self.trained, "test_accuracy"),
            "train_accuracy": share_right(answers == self.labels, self.trained, "train_accuracy"),
        }


def addition_table(modulus: int, trained_share: float, random_labels: bool) -> tuple[np.ndarray, ...]:
    """Of all p * p ordered pairs (p * p, 2): trained on or not, answers trained, true sums; the same for every seed."""
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
