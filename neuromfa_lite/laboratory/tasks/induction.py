"""Induction: sequences in which one random block repeats, and how well a model copies it."""

from __future__ import annotations

import numpy as np

from ...errors import NeuroMFAError
from ..recipes import InductionRecipe
from .streams import seed_sequence
from .task import Examples, next_tokens, share_right


class Induction:
    """The task of a model that shall copy a random block; see :class:`~neuromfa_lite.laboratory.tasks.Task`.

    The test always repeats, for a control too: the question is the same, only the training differs.

    Example:
        >>> from neuromfa_lite.laboratory.recipes import find_recipe
        >>> task = Induction(find_recipe("induction"))
        >>> task.training_batch(np.random.default_rng(0)).tokens.shape, task.questions().shape
        ((64, 48), (256, 48))
    """

    def __init__(self, recipe: InductionRecipe):
        self.recipe = recipe
        generator = np.random.default_rng(seed_sequence("held-out"))
        self.held_out, self.periods = repeated_sequences(generator, recipe.held_out_sequences, recipe)

    def training_batch(self, generator: np.random.Generator) -> Examples:
        """Draw the next batch, every next token asked for."""
        draw = repeated_sequences if self.recipe.repeated else unrepeated_sequences
        return next_tokens(draw(generator, self.recipe.batch, self.recipe)[0])

    def about(self) -> dict:
        """Return nothing: all is drawn from a seed."""
        return {}

    def questions(self) -> np.ndarray:
        """Return the held-out sequences."""
        return self.held_out

    def abilities(self, logits: np.ndarray) -> dict[str, float]:
        """Measure the copy accuracy."""
        return {"copy_accuracy": copy_accuracy(logits.argmax(-1), self.held_out, self.periods)}


def repeated_sequences(
    generator: np.random.Generator, count: int, recipe: InductionRecipe
) -> tuple[np.ndarray, np.ndarray]:
    """Draw sequences in which one random block repeats until the context is full.

    Args:
        generator: where the random numbers come from.
        count: number of sequences.
        recipe: gives the context, the range of tokens and the range of periods (both ends included).

    Returns:
        (tokens, periods): (count, context) int64, and (count,) int64, the length of each sequence's block in tokens.

    Example:
        >>> from neuromfa_lite.laboratory.recipes import find_recipe
        >>> tokens, periods = repeated_sequences(np.random.default_rng(0), 5, find_recipe("induction"))
        >>> tokens.shape, bool((tokens[0, periods[0]:] == tokens[0, :-periods[0]]).all())
        ((5, 48), True)
    """
    periods = generator.integers(recipe.shortest_period, recipe.longest_period, size=count, endpoint=True)
    blocks = _random_tokens(generator, (count, recipe.longest_period), recipe)
    place_in_block = np.arange(recipe.context)[None, :] % periods[:, None]
    return np.take_along_axis(blocks, place_in_block, axis=1), periods


def unrepeated_sequences(
    generator: np.random.Generator, count: int, recipe: InductionRecipe
) -> tuple[np.ndarray, np.ndarray]:
    """Draw sequences of independent uniform tokens: nothing in them can be copied.

    Args:
        generator: where the random numbers come from.
        count: number of sequences.
        recipe: gives the context and the range of tokens.

    Returns:
        (tokens, periods): (count, context) int64, and (count,) int64, the context: no block ends before it.

    Example:
        >>> from neuromfa_lite.laboratory.recipes import find_recipe
        >>> unrepeated_sequences(np.random.default_rng(0), 5, find_recipe("induction-control"))[0].shape
        (5, 48)
    """
    return _random_tokens(generator, (count, recipe.context), recipe), np.full(count, recipe.context)


def copy_accuracy(predictions: np.ndarray, tokens: np.ndarray, periods: np.ndarray) -> float:
    """Return the share of tokens past the first period that are predicted rightly.

    The token that opens the second block is not asked for: until it is read nothing shows that a block repeats. So
    position t counts if t >= period, and its prediction is compared with the token at t + 1.

    Args:
        predictions: (sequences, context) int; predictions[i, t] is the guess for tokens[i, t + 1].
        tokens: (sequences, context) int.
        periods: (sequences,) int, in tokens.

    Returns:
        float, from 0 to 1.

    Raises:
        NeuroMFAError: the shapes do not belong together, or no position counts.

    Example:
        Block 7 8, then its repetition; the only position that counts is the third, where 8 is right:

        >>> copy_accuracy(np.array([[8, 1, 8, 1]]), np.array([[7, 8, 7, 8]]), np.array([2]))
        1.0
    """
    if predictions.shape != tokens.shape or periods.shape != tokens.shape[:1]:
        raise NeuroMFAError(
            f"predictions {predictions.shape}, tokens {tokens.shape} and periods {periods.shape} do not "
            "belong together: give (sequences, context), (sequences, context) and (sequences,)"
        )
    counted = np.arange(tokens.shape[1] - 1)[None, :] >= periods[:, None]
    if not counted.any():
        raise NeuroMFAError("no sequence is longer than its period + 1: give longer ones or shorter periods")
    return share_right(predictions[:, :-1] == tokens[:, 1:], counted, "copy_accuracy")


def _random_tokens(generator: np.random.Generator, shape: tuple[int, int], recipe: InductionRecipe) -> np.ndarray:
    return generator.integers(recipe.smallest_token, recipe.largest_token, size=shape, endpoint=True)
