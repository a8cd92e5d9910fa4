"""Trying a method's own parts on a few numbers before the work starts, so that a bad one is named at once."""

import numpy as np

from ..errors import ONE_ANSWER, NeuroMFAError
from ..masses.distances import usable_radii
from ..spectrum.partition import shares_of
from .emergence import degree_of_emergence

PROBE = 64  # neurons on each side of the first matrix


def refuse_bad_parts(network, method):
    """Try every part of a method that is not shipped: distances and radii on a network's first matrix."""
    own = method.own_parts()
    method = method.replace(name=method.name, **{part: _asked_twice(method, part) for part in own if part != "wiring"})
    if {"distance", "radii"} & set(own) and network.weight_blocks:
        _try_distances(network.weight_blocks[0].corner(PROBE), method, own)
    if "mass" in own:
        counts = np.array([[1, 2, 4], [2, 3, 5], [1, 1, 7]], np.uint32).T  # laid out as the masses of networks are
        counts.setflags(write=False)
        shares_of(counts, method)
    if "score" in own:
        degree_of_emergence([1.2, 1.1], [0.3, 0.4], 1.3, 0.2, method)


def _asked_twice(method, field):
    """A part that is asked twice at each call: its answer must depend on what it is given, and on nothing else."""

    def part(*arguments):
        given = [np.array(argument) for argument in arguments]
        first = method.call(field, *arguments)
        try:
            first = np.array(first)
        except (TypeError, ValueError):
            return first  # no array at all, which the checks of this part name
        if not all(map(_equal, given, arguments)):
            raise NeuroMFAError(
                f"{field} of method {method.name!r} changes the numbers that it is given: let it work on a copy"
            )
        if not _equal(first, method.call(field, *arguments)):
            raise NeuroMFAError(f"{field} of method {method.name!r} gave two answers to one question: {ONE_ANSWER}")
        return first

    return part


def _equal(one, other):
    one, other = np.asarray(one), np.asarray(other)
    numbers = one.dtype.kind in "fc" and other.dtype.kind in "fc"
    return np.array_equal(one, other, equal_nan=numbers)


def _try_distances(block, method, own):
    lengths = block.lengths(method)
    weights = np.abs(block.weights()[~np.isnan(lengths)])
    lengths = lengths[~np.isnan(lengths)]
    # Paths of several steps have several lengths even so.
    if "distance" in own and method.reach == "one-hop" and np.ptp(weights) > 0 and not np.ptp(lengths) > 0:
        raise NeuroMFAError(
            f"distance of method {method.name!r} is {lengths[0]:g} for all {len(lengths)} weights of matrix "
            f"{block.name!r}, whatever they are: there are no two radii and so no exponent; let it depend on the weight"
        )
    if method.window is not None:
        lengths = lengths[(lengths > method.window[0]) & (lengths <= method.window[1])]
    lengths = np.rint(lengths) if method.rounding else lengths
    if "radii" in own and len(lengths):
        radii = usable_radii(method.call("radii", lengths), method)
        if len(radii) < 2:
            raise NeuroMFAError(
                f"radii of method {method.name!r} gave the single radius {radii[0]:g} for {len(lengths)} distances "
                f"between {lengths.min():g} and {lengths.max():g}: an exponent needs two"
            )
