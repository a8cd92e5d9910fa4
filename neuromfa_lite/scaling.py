"""The scaling range: the radii that exponents are fitted on, all of them, chosen by hand, or found."""

import numpy as np

from .errors import NeuroMFAError


def radii_in_range(partition, method):
    """Return (radii,) bool: the radii of a PartitionFunction that the method's scaling range takes.

    Raises:
        NeuroMFAError: fewer than two radii lie in it.
    """
    radii = partition.radii
    if method.scaling_range == "whole":
        return np.ones(len(radii), bool)
    low, high = method.scaling_range
    chosen = (radii >= low) & (radii <= high)
    if chosen.sum() < 2:
        raise NeuroMFAError(
            f"scaling_range=({low:g}, {high:g}) holds {chosen.sum()} of the {len(radii)} radii, which lie between "
            f"{radii[0]:g} and {radii[-1]:g}: a line needs two"
        )
    return chosen
