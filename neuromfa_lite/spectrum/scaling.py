"""The scaling range: the radii that exponents are fitted on, all of them, chosen by hand, or found."""

import numpy as np

from ..errors import NeuroMFAError

AGREEMENT = 0.1  # of the slope of a range: how far the slopes of its thirds may differ from it
FEWEST_RADII = 6  # two for each third
SHORTEST = np.log(4)  # in ln r: over less than two doublings any smooth curve looks straight


def radii_in_range(partition, method):
    """(radii,) bool: the radii of a PartitionFunction that the method's scaling range takes.

    "automatic" is the longest range, in ln r, whose local slopes agree: those of its three thirds differ from its own
    by at most 10 %, for ln Z at the smallest and the largest q and for the line of alpha0. Where no range of six radii
    does, all radii are taken, and the verdict of the fit says what that is worth.
    """
    radii = partition.radii
    if method.scaling_range == "whole":
        return np.ones(len(radii), bool)
    if method.scaling_range == "automatic":
        curves = np.stack([partition.log_z[0], partition.log_z[-1], partition.mean_log[-1]])
        first, last = longest_straight_range(np.log(radii), curves)
        return (radii >= radii[first]) & (radii <= radii[last])
    low, high = method.scaling_range
    chosen = (radii >= low) & (radii <= high)
    if chosen.sum() < 2:
        raise NeuroMFAError(
            f"scaling_range=({low:g}, {high:g}) holds {chosen.sum()} of the {len(radii)} radii, which lie between "
            f"{radii[0]:g} and {radii[-1]:g}: a line needs two"
        )
    return chosen


def longest_straight_range(x, curves):
    """(first, last) places of the longest range of x in which every one of the curves has one slope; else of all."""
    points = len(x)
    if points < FEWEST_RADII:
        return 0, points - 1
    sums = _Sums(x - x.mean(), curves - curves.mean(axis=1, keepdims=True))
    best = (SHORTEST, 0, points - 1)
    for first in range(points - FEWEST_RADII + 1):
        last = np.arange(points - 1, first + FEWEST_RADII - 2, -1)
        last = last[x[last] - x[first] > best[0]]  # shorter ones than the best so far need no look
        if not len(last):
            break  # from here on all are shorter
        agree = _thirds_agree(x, sums, first, last)
        if agree.any():
            longest = last[agree.argmax()]
            best = (x[longest] - x[first], first, int(longest))
    return best[1], best[2]


def _thirds_agree(x, sums, first, last):
    """(ranges,) bool for the ranges first ... last (ranges,)."""
    edges = [np.searchsorted(x, x[first] + (x[last] - x[first]) * third / 3) for third in (1, 2)]
    starts, stops = (np.full(len(last), first), *edges), (*edges, last)
    left = np.flatnonzero(np.all([stop > start for start, stop in zip(starts, stops, strict=True)], axis=0))
    for curve in range(sums.curves):
        whole = sums.slopes(curve, first, last)
        for start, stop in zip(starts, stops, strict=True):  # only those that the parts before have left
            parts = sums.slopes(curve, start[left], stop[left])
            left = left[np.abs(parts - whole[left]) <= AGREEMENT * np.abs(whole[left])]
    agree = np.zeros(len(last), bool)
    agree[left] = True
    return agree


class _Sums:
    """Running sums, from which the least squares slope of any range follows at once."""

    def __init__(self, x, curves):
        ones = np.ones_like(x)
        self.x = [np.append(0.0, np.cumsum(values)) for values in (ones, x, x * x)]
        self.y = [np.pad(np.cumsum(values, axis=1), ((0, 0), (1, 0))) for values in (curves, x * curves)]
        self.curves = len(curves)

    def slopes(self, curve, first, last):
        """(ranges,) slopes of one curve over the ranges first ... last, ends included."""
        n, x, xx = (values[last + 1] - values[first] for values in self.x)
        y, xy = (values[curve][last + 1] - values[curve][first] for values in self.y)
        with np.errstate(divide="ignore", invalid="ignore"):  # points so near that sums tell no difference
            return (n * xy - x * y) / (n * xx - x * x)
