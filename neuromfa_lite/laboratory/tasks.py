"""Sequences a run is trained and tested on, and the ability measured on them.

Three streams of random numbers are kept apart: "init" (weights) and "train" (batches) depend on the training
seed, "held-out" does not. So every run and seed is tested on the same sequences, and none was drawn to train.
"""

from __future__ import annotations

import numpy as np

from ..errors import NeuroMFAError
from .recipes import Recipe

STREAMS = ("init", "train", "held-out")


def seed_sequence(stream: str, seed: int = 0) -> np.random.SeedSequence:
    """Return the root of one stream of random numbers.

    Args:
        stream: "init", "train" or "held-out".
        seed: the training seed, 0 or larger; the held-out stream takes no other than 0.

    Returns:
        numpy SeedSequence.

    Raises:
        NeuroMFAError: an unknown stream, or a seed that is not a whole number >= 0.

    Example:
        >>> seed_sequence("train", 3).spawn_key
        (1,)
    """
    if stream not in STREAMS:
        raise NeuroMFAError(f"no stream is called {stream!r}; the streams are {', '.join(STREAMS)}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise NeuroMFAError(f"seed must be a whole number, 0 or larger, not {seed!r}")
    if stream == "held-out" and seed != 0:
        raise NeuroMFAError("the held-out sequences are the same for every training seed: leave seed at 0")
    return np.random.SeedSequence(int(seed), spawn_key=(STREAMS.index(stream),))


def repeated_sequences(generator: np.random.Generator, count: int, recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
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


def unrepeated_sequences(generator: np.random.Generator, count: int, recipe: Recipe) -> np.ndarray:
    """Draw sequences of independent uniform tokens: nothing in them can be copied.

    Args:
        generator: where the random numbers come from.
        count: number of sequences.
        recipe: gives the context and the range of tokens.

    Returns:
        (count, context) int64.

    Example:
        >>> from neuromfa_lite.laboratory.recipes import find_recipe
        >>> unrepeated_sequences(np.random.default_rng(0), 5, find_recipe("induction-control")).shape
        (5, 48)
    """
    return _random_tokens(generator, (count, recipe.context), recipe)


def training_batch(generator: np.random.Generator, recipe: Recipe) -> np.ndarray:
    """Draw the next training batch of a recipe.

    Args:
        generator: where the random numbers come from.
        recipe: Recipe; repeated or unrepeated sequences, as it says.

    Returns:
        (batch, context) int64.

    Example:
        >>> from neuromfa_lite.laboratory.recipes import find_recipe
        >>> training_batch(np.random.default_rng(0), find_recipe("induction")).shape
        (64, 48)
    """
    if recipe.repeated:
        return repeated_sequences(generator, recipe.batch, recipe)[0]
    return unrepeated_sequences(generator, recipe.batch, recipe)


def held_out_sequences(recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Draw the repeated sequences that test a run, the same ones every time.

    Always repeated, for a control too: the question is the same, only the training differs.

    Args:
        recipe: Recipe.

    Returns:
        (tokens, periods): (held_out_sequences, context) int64, and (held_out_sequences,) int64, in tokens.

    Example:
        >>> from neuromfa_lite.laboratory.recipes import find_recipe
        >>> held_out_sequences(find_recipe("induction"))[0].shape
        (256, 48)
    """
    generator = np.random.default_rng(seed_sequence("held-out"))
    return repeated_sequences(generator, recipe.held_out_sequences, recipe)


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
    right = predictions[:, :-1] == tokens[:, 1:]
    return float(right[counted].mean())


def measure_abilities(model, recipe: Recipe) -> dict[str, float]:
    """Measure what a model can do on the held-out sequences of a recipe.

    Args:
        model: a callable that maps token ids, a torch tensor (sequences, context), to an object with ``logits``
            (sequences, context, vocabulary).
        recipe: Recipe.

    Returns:
        dict from names to shares from 0 to 1, e.g. {"copy_accuracy": 0.98}.

    Example:
        A model that always guesses token 0, which never occurs:

        >>> import torch, types
        >>> from neuromfa_lite.laboratory.recipes import find_recipe
        >>> def guess(tokens):
        ...     return types.SimpleNamespace(logits=torch.eye(64)[torch.zeros_like(tokens)])
        >>> measure_abilities(guess, find_recipe("induction"))
        {'copy_accuracy': 0.0}
    """
    import torch

    tokens, periods = held_out_sequences(recipe)
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens)).logits
    return {"copy_accuracy": copy_accuracy(logits.argmax(-1).numpy(), tokens, periods)}


def _random_tokens(generator: np.random.Generator, shape: tuple[int, int], recipe: Recipe) -> np.ndarray:
    return generator.integers(recipe.smallest_token, recipe.largest_token, size=shape, endpoint=True)
