"""Streams of random numbers that are kept apart, so that what is tested was never drawn to train."""

from __future__ import annotations

import numpy as np

from ...errors import NeuroMFAError

STREAMS = ("init", "train", "held-out")


def seed_sequence(stream: str, seed: int = 0) -> np.random.SeedSequence:
    """Return the root of one stream of random numbers.

    "init" (weights) and "train" (batches) depend on the training seed, "held-out" does not: every run and seed of a
    task is tested on the same data.

    Args:
        stream: "init", "train" or "held-out".
        seed: the training seed, 0 or larger; the held-out stream takes no other than 0.

    Returns:
        numpy SeedSequence.

    Raises:
        NeuroMFAError: an unknown stream, or a seed that is not a whole number >= 0 and below 2**63.

    Example:
        >>> seed_sequence("train", 3).spawn_key
        (1,)
    """
    if stream not in STREAMS:
        raise NeuroMFAError(f"no stream is called {stream!r}; the streams are {', '.join(STREAMS)}")
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise NeuroMFAError(f"seed must be a whole number, 0 or larger and below 2**63, not {seed!r:.50}")
    if stream == "held-out" and seed != 0:
        raise NeuroMFAError("the held-out sequences are the same for every training seed: leave seed at 0")
    return np.random.SeedSequence(int(seed), spawn_key=(STREAMS.index(stream),))
