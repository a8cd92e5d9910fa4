"""Code: predict the next token of Python's standard library; its four abilities are in `code_abilities`."""

import functools

import numpy as np

from ..recipes import Recipe
from . import code_abilities
from .python_text import stored_text, training_tokens
from .task import Examples, Task

SHUFFLE_SEED = 0


class Code(Task):
    """A :class:`Task`: predict code. Tested on real code, a control too.

    Choices: shuffled trains on the same tokens in random order; held_out_sequences of the test, out of other files.
    """

    def __init__(self, recipe: Recipe):
        super().__init__(recipe)
        self.text = stored_text()

    def training_batch(self, generator: np.random.Generator) -> Examples:
        """Windows that begin anywhere in the training text, every next token asked for."""
        tokens = _trained_on(self.recipe.choices["shuffled"])
        starts = generator.integers(len(tokens) - self.recipe.context, size=self.recipe.batch)
        windows = tokens[starts[:, None] + np.arange(self.recipe.context + 1)].astype(np.int64)
        return Examples(windows[:, :-1], windows[:, 1:])

    def about(self) -> dict:
        return training_tokens()[1]

    def questions(self) -> np.ndarray:
        """The held-out sequences without the last token of each, which is only asked for."""
        return self._held_out()[:, :-1]

    def abilities(self, logits: np.ndarray) -> dict[str, float]:
        tokens, vocabulary, usual = self._held_out(), self.text["vocabulary"], self.text["usual_next"]
        return {
            "next_token_accuracy": code_abilities.next_token_accuracy(logits, tokens),
            "closing_brackets": code_abilities.closing_brackets(logits, tokens, vocabulary),
            "indentation": code_abilities.indentation(logits, tokens, vocabulary),
            "copying_identifier": code_abilities.copying_identifier(logits, tokens, vocabulary, usual),
        }

    def _held_out(self):
        return np.array(self.text["held_out"][: self.recipe.choices["held_out_sequences"]], np.int64)


@functools.cache
def _trained_on(shuffled: bool) -> np.ndarray:
    tokens = training_tokens()[0]
    return np.random.default_rng(SHUFFLE_SEED).permutation(tokens) if shuffled else tokens
