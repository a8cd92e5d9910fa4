"""Measures on a line or a grid of boxes: how much of one lies within each radius of a box."""

import hashlib

import numpy as np

from ..errors import NeuroMFAError, arguments
from ..method import SANDBOX, refuse_no_method
from ..network import NeuronLayer
from .count import Masses
from .distances import LARGEST_MASSES, natural_radii_of, usable_radii

FEWEST_BOXES = 4
LIGHTEST = 1e-300


def known_object(what):
    """(the measure or graph that an object of fractals is measured as, its natural radii); anything else, None."""
    if not hasattr(what, "exact_tau"):
        return what, None
    return what.measure() if hasattr(what, "measure") else what.graph(), what.natural_radii()


def ball_masses(measure, method=SANDBOX, centres=None, natural_radii=None):
    """Masses of the balls around the boxes of a line (n,) or a grid (m, n), each a sum of positive terms.

    The ball of r boxes to every side, on a grid a square, has the radius r + 1/2; boxes beyond the end hold nothing.
    The sandbox method: T. Tel, A. Fulop and T. Vicsek, Physica A 159, 1989.
    """
    refuse_no_method(method)
    measure = checked_measure(measure)
    if method.mass == "others-share":
        raise NeuroMFAError(
            f"method {method.name!r} takes 1 from every mass, a neuron's own, but a measure is not counted in neurons: "
            'use method.replace(mass="total-share")'
        )
    chosen = _centres(measure, centres)
    radii = _radii(measure, method, natural_radii)
    if len(radii) * len(chosen) > LARGEST_MASSES:
        raise NeuroMFAError(
            f"{len(radii):,} radii around {len(chosen):,} centres are too many balls for memory (limit "
            f'{LARGEST_MASSES:,}): take fewer centres, or radii="log-spaced"'
        )
    balls = _balls_on_line if measure.ndim == 1 else _balls_on_grid
    counts = np.empty((len(radii), len(chosen)))
    balls(measure, chosen, (radii - 0.5).astype(np.int64), counts)
    boxes = np.full(len(chosen), measure.size, np.int64)  # all of them are inside: there is no window
    return Masses(
        radii=radii,
        counts=counts.T,
        layer=np.zeros(len(chosen), np.int64),
        number=chosen,
        inside=boxes,
        places=boxes.copy(),
        layers=(NeuronLayer("boxes", measure.size, block=None),),
        neurons_total=len(chosen),
        places_total=int(boxes.sum()),
        weight=measure.ravel()[chosen] / measure.sum(),
    )


def checked_measure(measure):
    """Return a measure as float64; refuse what is none."""
    said = "a measure, the masses of boxes on a line (n,) or a grid (m, n),"
    if isinstance(measure, np.ndarray) and measure.dtype == bool:  # a picture in black and white
        measure = measure.astype(np.float64)
    measure = np.array(arguments.numbers(said, measure, (1, 2)), order="C")  # its bytes are hashed
    if not np.all(np.isfinite(measure) & (measure >= 0)):
        raise NeuroMFAError("the masses of a measure must be finite and not negative: leave out or repair those boxes")
    if measure.max(initial=0) > np.finfo(np.float64).max / max(1, measure.size):
        raise NeuroMFAError("the masses of this measure sum to more than a float64 holds: divide them by the largest")
    if min(measure.shape) < FEWEST_BOXES or not measure.any():
        raise NeuroMFAError(
            f"a measure of shape {measure.shape} and mass {measure.sum():g}: at least {FEWEST_BOXES} boxes to a side, "
            "and some mass in them, are needed to see it scale"
        )
    if measure[measure > 0].min() < LIGHTEST * measure.sum():
        raise NeuroMFAError(f"the lightest box of this measure holds less than {LIGHTEST:g} of it: set such boxes to 0")
    return measure


def content_hash(measure):
    """A short hash of a measure, as :func:`checked_measure` returns it."""
    return hashlib.blake2b(measure, digest_size=8).hexdigest()


def _centres(measure, centres):
    """The flat numbers of the boxes with mass, of all or of those named."""
    there = np.flatnonzero(measure.ravel() > 0)
    if centres is None:
        return there
    centres = arguments.positions("centres", centres, "the flat numbers of boxes")
    if centres.max() >= measure.size:
        raise NeuroMFAError(
            f"centres {centres.min()} to {centres.max()}: this measure has the boxes 0 to {measure.size - 1}"
        )
    chosen = np.intersect1d(centres, there)
    if not len(chosen):
        raise NeuroMFAError("none of the centres is a box with mass, and balls are grown around mass only")
    return chosen


def _radii(measure, method, natural_radii):
    """Numbers r + 1/2, every one below half the shorter side where the method has no rule of its own."""
    every = np.arange(max(1, (min(measure.shape) - 1) // 2 + 1)) + 0.5
    if isinstance(method.radii, tuple):
        radii = np.array(method.radii)
    elif method.radii == "natural":
        radii = natural_radii_of("this measure", natural_radii)
    elif method.radii in ("integer", "every"):
        radii = every
    elif method.radii == "log-spaced":
        radii = np.geomspace(every[0], every[-1], 20)
    else:
        radii = usable_radii(method.call("radii", every), method)
    radii = np.unique(np.floor(radii - 0.5) + 0.5)
    if radii[0] < 0:
        raise NeuroMFAError("a radius below 1/2 is smaller than a box: the smallest ball is the box itself, radius 0.5")
    return radii


def _balls_on_line(measure, centres, reaches, counts):
    """counts (radii, centres) receives the balls; one more box on either side is added at a time."""
    n, width = len(measure), reaches[-1]
    padded = np.zeros(n + 2 * width)
    padded[width : width + n] = measure
    at, ball = centres + width, measure[centres].copy()
    row = 0
    for reach in range(width + 1):
        if reach:
            ball += padded[at - reach] + padded[at + reach]
        if reach == reaches[row]:
            counts[row] = ball
            row += 1


def _balls_on_grid(measure, centres, reaches, counts):
    """The same for squares: sums over 2r + 1 boxes along the rows, then over 2r + 1 of these along the columns."""
    rows, columns = np.unravel_index(centres, measure.shape)
    for row, reach in enumerate(reaches):
        counts[row] = _sliding(_sliding(measure, reach).T, reach).T[rows, columns]


def _sliding(values, reach):
    """Along the last axis: the sum of the values up to reach places away, of powers of two of them already summed."""
    n, width = values.shape[-1], 2 * reach + 1
    padded = np.zeros((len(values), n + 2 * width))
    padded[:, width : width + n] = values
    total, block, size, start = np.zeros((len(values), n)), padded, 1, width - reach
    while width:
        if width & 1:
            total += block[:, start : start + n]
            start += size
        width >>= 1
        if width:
            block = block[:, :-size] + block[:, size:]
            size *= 2
    return total
