"""Induction: sequences in which one random block repeats, and how well a model copies it."""

import numpy as np

from ..recipes import Recipe
from .task import Examples, Task, next_tokens, seed_sequence, share_right


class Induction(Task):
    """A :class:`Task`: copy a random block. The test always repeats, a control's too.

    Choices: repeated trains on blocks that repeat, else on tokens that never do; smallest_token, largest_token,
    shortest_period, longest_period are drawn from, both ends included; held_out_sequences of the test.
    """

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        generator = np.random.default_rng(seed_sequence("held-out"))
        self.held_out, self.periods = repeated_sequences(generator, recipe.choices["held_out_sequences"], recipe)

    def training_batch(self, generator: np.random.Generator) -> Examples:
        recipe = self.recipe
        if recipe.choices["repeated"]:
            return next_tokens(repeated_sequences(generator, recipe.batch, recipe)[0])
        return next_tokens(_random_tokens(generator, (recipe.batch, recipe.context), recipe.choices))

    def questions(self) -> np.ndarray:
        return self.held_out

    def abilities(self, logits: np.ndarray) -> dict[str, float]:
        return {"copy_accuracy": copy_accuracy(logits.argmax(-1), self.held_out, self.periods)}


def repeated_sequences(generator: np.random.Generator, count: int, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Sequences (count, context) in which one random block repeats to the end, and the periods (count,)."""
    longest = recipe.choices["longest_period"]
    periods = generator.integers(recipe.choices["shortest_period"], longest, size=count, endpoint=True)
    blocks = _random_tokens(generator, (count, longest), recipe.choices)
    place_in_block = np.arange(recipe.context)[None, :] % periods[:, None]
    return np.take_along_axis(blocks, place_in_block, axis=1), periods


def copy_accuracy(predictions: np.ndarray, tokens: np.ndarray, periods: np.ndarray) -> float:
    """The share of tokens past the first period that are predicted rightly; predictions[i, t] is of tokens[i, t + 1].

    The token that opens the second block is not asked for: until it is read nothing shows that a block repeats.
    """
    counted = np.arange(tokens.shape[1] - 1)[None, :] >= periods[:, None]
    return share_right(predictions[:, :-1] == tokens[:, 1:], counted, "copy_accuracy")


def _random_tokens(generator, shape, choices):
    return generator.integers(choices["smallest_token"], choices["largest_token"], size=shape, endpoint=True)
