"""Controls: a network or a checkpoint with one thing changed, to see what a measure feels and what it does not."""

from .checkpoint import ChangedCheckpoint
from .comparison import emergence_from
from .function_preserving import FUNCTION_PRESERVING
from .models import abilities_of
from .weights import gaussian_like, permuted_outgoing, random_signs, rescaled, rescaled_start, scaled, shuffled

__all__ = [
    "FUNCTION_PRESERVING",
    "ChangedCheckpoint",
    "abilities_of",
    "emergence_from",
    "gaussian_like",
    "permuted_outgoing",
    "random_signs",
    "rescaled",
    "rescaled_start",
    "scaled",
    "shuffled",
]
