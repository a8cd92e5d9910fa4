"""What a task is: batches to train on, sequences to be tested with, and the abilities measured on them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from ...errors import NeuroMFAError

NOT_ASKED = -100  # a target that does not count in the loss; the value torch's cross_entropy ignores by default


class Examples(NamedTuple):
    """Sequences and what is to be predicted at each position.

    Attributes:
        tokens: (sequences, context) int64, what the model reads.
        targets: (sequences, context) int64, the token that position t should predict, NOT_ASKED where none counts.
    """

    tokens: np.ndarray
    targets: np.ndarray


class Task(Protocol):
    """What the training asks of a task; made from its recipe by :func:`find_task`."""

    def training_batch(self, generator: np.random.Generator) -> Examples:
        """Draw the next batch."""

    def about(self) -> dict:
        """Say which data of this machine are trained on (plain values); nothing if all are drawn from a seed."""

    def questions(self) -> np.ndarray:
        """Return the sequences, (sequences, context) int64, that a model reads when it is tested: always the same."""

    def abilities(self, logits: np.ndarray) -> dict[str, float]:
        """Measure the abilities, shares from 0 to 1, from a model's logits (sequences, context, vocabulary)."""


def next_tokens(tokens: np.ndarray) -> Examples:
    """Ask for the next token at every position but the last.

    Args:
        tokens: (sequences, context) int64.

    Returns:
        Examples.

    Example:
        >>> next_tokens(np.array([[7, 8, 9]])).targets
        array([[   8,    9, -100]])
    """
    targets = np.full_like(tokens, NOT_ASKED)
    targets[:, :-1] = tokens[:, 1:]
    return Examples(tokens, targets)


def share_right(right: np.ndarray, counted: np.ndarray, what: str) -> float:
    """Return the share of the counted positions that are right.

    Args:
        right, counted: bool arrays of one shape.
        what: name of the ability, for the message.

    Returns:
        float, from 0 to 1.

    Raises:
        NeuroMFAError: no position counts.

    Example:
        >>> share_right(np.array([True, False, False]), np.array([True, True, False]), "ability")
        0.5
    """
    if not counted.any():
        raise NeuroMFAError(f"no position of these sequences counts for {what}: give longer or other sequences")
    return float(right[counted].mean())
