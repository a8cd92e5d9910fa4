"""Everything that the laboratory does to a trained checkpoint to see what a measure of it feels, by its name in words.

A change is a function of a checkpoint and of the checkpoint of step 0 to a changed checkpoint.
"""

from __future__ import annotations

from ..errors import NeuroMFAError
from .controls import (
    FUNCTION_PRESERVING,
    gaussian_like,
    permuted_outgoing,
    random_signs,
    rescaled,
    scaled,
    shuffled,
)

COMMON_FACTOR = 2.0

SCALE, WIRING = "a common factor", "permuted connections"
WIRING_AND_TOKENS = "permuted connections and embeddings"

CHANGES = {
    SCALE: lambda checkpoint, start: scaled(checkpoint, COMMON_FACTOR),
    WIRING: lambda checkpoint, start: permuted_outgoing(checkpoint),
    WIRING_AND_TOKENS: lambda checkpoint, start: permuted_outgoing(checkpoint, embeddings=True),
    "weights shuffled within each matrix": lambda checkpoint, start: shuffled(checkpoint),
    "random signs": lambda checkpoint, start: random_signs(checkpoint),
    "Gaussian noise of the same mean and deviation": lambda checkpoint, start: gaussian_like(checkpoint),
    "untrained weights, rescaled": lambda checkpoint, start: rescaled(start, like=checkpoint),
}
PRESERVING = {
    words: (lambda checkpoint, start, change=change: change(checkpoint))
    for words, change in FUNCTION_PRESERVING.items()
}
EVERY_CHANGE = CHANGES | PRESERVING


def changed(run, words, seed=0):
    """Change the last checkpoint of a run.

    Args:
        run: Run; words: a name in EVERY_CHANGE; seed: training seed.

    Returns:
        ChangedCheckpoint.

    Raises:
        NeuroMFAError: no change of that name, or a seed that the run does not have.

    Example:
        >>> from neuromfa_lite import load_run
        >>> changed(load_run("induction"), "random signs").step
        724
    """
    if words not in EVERY_CHANGE:
        raise NeuroMFAError(f"no change is called {words!r}; there are {', '.join(map(repr, EVERY_CHANGE))}")
    steps = run.steps(seed)
    return EVERY_CHANGE[words](run.checkpoint(steps[-1], seed), run.checkpoint(steps[0], seed))
