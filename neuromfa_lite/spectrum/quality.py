"""Fit quality: is a straight line the right model at all, and does the spectrum obey what exact power laws obey?"""

import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from ..errors import QualityWarning

POOR_FIT = 0.9  # the r2 below which a line is called curved
# Change of the local slope over the range, as a share of the slope. At 1/2 the exponent of the lower half of the range
# and that of the upper half differ by a quarter; a two-dimensional lattice, r = 5 ... 100, has 0.1.
CURVED = 0.5
FEW_NEURONS = 10
FLAT = 0.5  # orders so close to the one whose line is flat by definition have no slope to compare a change with


class Quality(NamedTuple):
    """How far an exponent can be trusted.

    Attributes:
        r2: the smallest coefficient of determination of all fits.
        curvature: how much the local slope changes from one end of the scaling range to the other, as a share of the
            slope, of the parabola through the points; the largest in size of alpha0's line and those of tau(q). A line
            steep at both ends and flat between has none: of such an S only r2 tells.
        neurons, radii: how many were used; radii: those in the scaling range.
        share_inside: share of all connections that lie inside the window and leave a neuron used.
        verdict: "straight", "curved: alpha depends on the window (...)" or "too few neurons: ...".
    """

    r2: float
    curvature: float
    neurons: int
    radii: int
    share_inside: float
    verdict: str


def curvature_of_lines(x, curves, slopes):
    """(curves,) the change of the local slope over the range x (points,) as a share of the slope of each line.

    A parabola y = a + b x + c x^2 through the points has slopes that differ by 2 c (x_end - x_start) at its ends.
    """
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
