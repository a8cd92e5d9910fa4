"""What is done to a trained checkpoint to see what a measure of it feels: functions of a checkpoint, by name."""

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

SCALE, WIRING = "a common factor", "permuted connections"
WIRING_AND_TOKENS = "permuted connections and embeddings"

CHANGES = {
    SCALE: lambda checkpoint: scaled(checkpoint, 2.0),
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
    """The last checkpoint of a run, training seed ``seed``, after the change that EVERY_CHANGE calls ``words``.

    Example:
        >>> from neuromfa_lite import load_run
        >>> changed(load_run("induction"), "random signs")
        <ChangedCheckpoint induction@724 (random signs)>
    """
    if words not in EVERY_CHANGE:
        raise NeuroMFAError(f"no change is called {words!r}; there are {', '.join(map(repr, EVERY_CHANGE))}")
    return EVERY_CHANGE[words](run.checkpoint(run.steps(seed)[-1], seed))
