"""The fit behind every exponent: straight lines through many curves, the range they are fitted on, their quality."""

import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from ..errors import NeuroMFAError, QualityWarning

AGREEMENT = 0.1  # of the slope of a range: how far the slopes of its thirds may differ from it
FEWEST_RADII = 6  # two for each third
SHORTEST = np.log(4)  # in ln r: over less than two doublings any smooth curve looks straight
POOR_FIT = 0.9  # the r2 below which a line is called curved
# Change of the local slope over the range, as a share of the slope. At 1/2 the exponent of the lower half of the range
# and that of the upper half differ by a quarter; a two-dimensional lattice, r = 5 ... 100, has 0.1.
CURVED = 0.5
FEW_NEURONS = 10
FLAT = 0.5  # orders so close to the one whose line is flat by definition have no slope to compare a change with


# --- lines ---------------------------------------------------------------------------------------------------------


class Lines(NamedTuple):
    """slope, intercept, r2 (curves,) and residuals (curves, points) of least squares lines."""

    slope: np.ndarray
    intercept: np.ndarray
    r2: np.ndarray
    residuals: np.ndarray

    def distance_from(self, x, curves):
        """(curves, points) how far curves lie above the lines at any abscissas x (points,)."""
        return curves - self.intercept[:, None] - self.slope[:, None] * x


def fit_lines(x, curves):
    """The least squares Lines through curves (curves, points) at x (points,); the r2 of a constant curve is 1."""
    centred, slope = x - x.mean(), fit_slopes(x, curves)
    start = curves[:, -1:]
    raised = curves - start
    level = raised.mean(axis=1)
    residuals = raised - level[:, None] - slope[:, None] * centred
    variation = ((raised - level[:, None]) ** 2).sum(axis=1)
    unexplained = (residuals**2).sum(axis=1)
    r2 = np.where(variation > 0, 1 - unexplained / np.where(variation > 0, variation, 1), 1.0)
    return Lines(slope, level + start[:, 0] - slope * x.mean(), r2, residuals)


def fit_slopes(x, curves):
    """(curves,) slopes alone, sum (x - mean x) y / sum (x - mean x)^2; fewer than two abscissas define none."""
    if not np.ptp(x) > 0:
        raise NeuroMFAError(
            f"an exponent needs at least two different radii, this network gives {len(x)}: draw a larger "
            "sample, widen the window, or name radii with method.replace(radii=...)"
        )
    # The last value is taken off first, so that a constant curve has slope 0 exactly.
    return (curves - curves[:, -1:]) @ weights_of_fit(x)


def r2_of_slopes(x, curves, slopes):
    """(curves,) the r2 of :func:`fit_lines` alone, of lines with known slopes."""
    centred = x - x.mean()
    variation = ((curves - curves.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    explained = slopes**2 * (centred @ centred)
    return np.where(variation > 0, explained / np.where(variation > 0, variation, 1), 1.0)


def weights_of_fit(x):
    """(points,) the weight c of every point in a slope: slope = sum c y, where sum c = 0."""
    centred = x - x.mean()
    return centred / (centred @ centred)


# --- range -----------------------------------------------------------------------------------------------------------


def radii_in_range(partition, method):
    """(radii,) bool: the radii of a PartitionFunction that the method's scaling range takes.

    "automatic" is the longest range, in ln r, of six or more radii, whose thirds have slopes within 10 % of its own,
    for ln Z at the smallest and the largest q and for the line of alpha0; where there is none, all radii are taken.
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


# --- quality ---------------------------------------------------------------------------------------------------------


class Quality(NamedTuple):
    """How far an exponent can be trusted.

    Attributes:
        r2: the smallest coefficient of determination of all fits.
        curvature: how much the local slope of the parabola through the points changes over the scaling range, as a
            share of the slope; the largest in size of alpha0's line and those of tau(q). An S has none: only r2 tells.
        neurons, radii: how many were used, in the scaling range.
        share_inside: share of all connections that lie inside the window and leave a neuron used.
        verdict: "straight (...)", "curved: alpha depends on the window (...)" or "too few neurons: ...".
    """

    r2: float
    curvature: float
    neurons: int
    radii: int
    share_inside: float
    verdict: str


def curvature_of_lines(x, curves, slopes):
    """(curves,) 2 c (x_end - x_start)/slope, c of the parabola a + b x + c x^2 through each of the curves."""
    if len(x) < 3:
        return np.zeros(len(curves))
    centred = x - x.mean()
    square = centred**2 - (centred**2).mean()
    bend = square - (square @ centred) / (centred @ centred) * centred
    size = bend @ bend
    if not size > 1e-12 * (square @ square):
        return np.zeros(len(curves))
    change = 2 * (curves - curves[:, -1:]) @ (bend / size) * (x[-1] - x[0])
    return np.where(slopes != 0, change / np.where(slopes != 0, slopes, 1.0), 0.0)


def judge(x, partition, tau, r2, alpha0, method):
    """Return (r2, curvature) of all fits: x (points,), a PartitionFunction of those points, tau and r2 (q,)."""
    flat = np.abs(np.array(method.q) - (method.convention == "standard")) < FLAT
    lines = np.concatenate([partition.log_z[~flat], partition.mean_log[-1:]])
    bends = curvature_of_lines(x, lines, np.append(tau[~flat], alpha0))
    return float(r2.min()), float(bends[np.argmax(np.abs(bends))])


def verdict(r2, curvature, neurons):
    """The quality in words."""
    if neurons < FEW_NEURONS:
        return f"too few neurons: {neurons}"
    if r2 < POOR_FIT or abs(curvature) > CURVED:
        return f"curved: alpha depends on the window (r2 = {r2:.3f}, local slopes change by {abs(curvature):.0%})"
    return f"straight (r2 = {r2:.3f}, local slopes change by {abs(curvature):.0%})"


def flags_of(quality, q, alpha, f, alone, convention):
    """What to distrust, in words, the verdict first; alone: neurons without anything within the largest radius."""
    flags = [] if quality.verdict.startswith("straight") else [quality.verdict]
    if quality.neurons < FEW_NEURONS and verdict(quality.r2, quality.curvature, FEW_NEURONS).startswith("curved"):
        flags.append(verdict(quality.r2, quality.curvature, FEW_NEURONS))
    rises = np.diff(alpha)
    if (rises > 1e-9).any():
        flags.append(f"tau is not concave near q = {q[int(np.argmax(rises))]:g}")
    if convention == "paper" and (f > 1e-9).any():
        flags.append(f"f reaches {f.max():.3g} > 0, which no mass exponent of exact power laws does")
    if 2 * alone > quality.neurons:
        flags.append(f"{alone} of {quality.neurons} neurons have no connection within the largest radius")
    return tuple(flags)


def word_on(verdict, flags=()):
    """One word on the fit: "straight", "curved", "too few neurons", or "flagged" for anything else to distrust."""
    word = verdict.split(":")[0].split(" (")[0]
    return "flagged" if flags and word == "straight" else word


_WARNED = set()  # the kinds of flag that this session has been warned of
_QUIET = ContextVar("quiet", default=False)


def warn_once(flags, stacklevel):
    """Give a QualityWarning of flags, unless the session has seen all their kinds, or the caller shows flags itself."""
    kinds = {" ".join(word for word in flag.split() if word.isalpha()) for flag in flags}
    if not _QUIET.get() and not kinds <= _WARNED:
        _WARNED.update(kinds)
        warnings.warn("; ".join(flags), QualityWarning, stacklevel=stacklevel + 1)


@contextmanager
def quietly():
    """Give no QualityWarning within: for callers that show or gather the flags themselves."""
    before = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(before)
