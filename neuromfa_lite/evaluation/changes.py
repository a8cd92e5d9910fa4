"""Everything that the laboratory does to a trained checkpoint to see what a measure of it feels, by its name in words.

A change is a function of a checkpoint of a run to a ChangedCheckpoint.
"""

from __future__ import annotations

from ..errors import NeuroMFAError
from .controls import (
    FUNCTION_PRESERVING,
    gaussian_like,
    permuted_outgoing,
    random_signs,
    rescaled_start,
    scaled,
    shuffled,
)

COMMON_FACTOR = 2.0

SCALE, WIRING = "a common factor", "permuted connections"
WIRING_AND_TOKENS = "permuted connections and embeddings"

CHANGES = {
    SCALE: lambda checkpoint: scaled(checkpoint, COMMON_FACTOR),
    WIRING: permuted_outgoing,
    WIRING_AND_TOKENS: lambda checkpoint: permuted_outgoing(checkpoint, embeddings=True),
    "weights shuffled within each matrix": shuffled,
    "random signs": random_signs,
    "Gaussian noise of the same mean and deviation": gaussian_like,
    "untrained weights, rescaled": rescaled_start,
}
PRESERVING = FUNCTION_PRESERVING
EVERY_CHANGE = CHANGES | PRESERVING


def changed(run, words, seed=0):
    """Change the last checkpoint of a run.

    Args:
        run: Run; words: a name in EVERY_CHANGE; seed: training seed.

    Returns:
        ChangedCheckpoint.

    Example:
        >>> from neuromfa_lite import load_run
        >>> changed(load_run("induction"), "random signs").step
        724
    """
    if words not in EVERY_CHANGE:
        raise NeuroMFAError(f"no change is called {words!r}; there are {', '.join(map(repr, EVERY_CHANGE))}")
    return EVERY_CHANGE[words](run.checkpoint(run.steps(seed)[-1], seed))
