"""Quantiles of numbers that come piece by piece and are never in one list.

Floats >= 0 are ordered as their bits are. One pass counts the upper bits and finds the bins in which the quantiles lie,
a second one sorts what lies there.
"""

import numpy as np

FINE = 44  # bits of a float64 below those that its bin is read from: 256 bins between two powers of two
BINS = 1 << (63 - FINE)


def quantiles(pieces, shares):
    """The quantiles of all numbers >= 0 in pieces(), an iterable of arrays, as numpy.quantile has them (shares,).

    Example:
        >>> quantiles(lambda: [np.array([4.0, 1.0]), np.array([3.0, 2.0])], [0.5, 0.9])
        array([2.5, 3.7])
    """
    pairs, places = _around(pieces, np.asarray(shares, np.float64))
    return np.array([np.quantile(pair, place % 1) for pair, place in zip(pairs, places, strict=True)])


def median(pieces):
    """Their median, as numpy.median has it; NaN of none.

    Example:
        >>> median(lambda: [np.array([4.0, 1.0]), np.array([2.0])])
        2.0
    """
    (pair,), (place,) = _around(pieces, np.array([0.5]))
    return float(pair.mean() if place % 1 else pair[0])


def _around(pieces, shares):
    """The two neighbours in size of each quantile (shares, 2), and its place among all numbers in order (shares,)."""
    histogram = sum((np.bincount(_bins(piece), minlength=BINS) for piece in pieces()), np.zeros(BINS, np.int64))
    ends = np.cumsum(histogram)
    if not ends[-1]:
        return np.full((len(shares), 2), np.nan), np.zeros(len(shares))
    places = shares * (ends[-1] - 1)
    below = np.floor(places).astype(np.int64)
    ranks = np.array([below, np.minimum(below + 1, ends[-1] - 1)])
    bins = np.searchsorted(ends, ranks, side="right")
    wanted = np.zeros(BINS, bool)
    wanted[bins] = True
    in_order = np.sort(np.concatenate([piece[wanted[_bins(piece)]] for piece in pieces()]))
    smaller = np.cumsum(np.where(wanted, 0, histogram))[bins]  # those that were not sorted
    return in_order[ranks - smaller].T, places


def _bins(values):
    return np.ascontiguousarray(values, np.float64).view(np.int64) >> FINE
