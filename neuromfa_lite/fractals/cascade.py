"""Multiplicative cascades: the measure that a multifractal is explained by, Cantor sets among them."""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import NeuroMFAError
from ..errors.arguments import numbers, whole
from .known import KnownFractal, entropy, size_within

LARGEST_MEASURE = 100_000_000  # boxes, 0.8 GB


@dataclass(frozen=True)
class Cascade(KnownFractal):
    """A multinomial cascade on a line: the mass of every box is shared among its b parts by the weights p.

    Formula: tau(q) = -ln(sum_i p_i^q)/ln b, alpha(q) = -sum_i p_i^q ln p_i/(ln b sum_i p_i^q), over p_i > 0.
    A weight 0 leaves that part empty: p = (1/2, 0, 1/2) is the uniform measure on Cantor's middle-third set.

    Source: multinomial measures, e.g. C. J. G. Evertsz and B. B. Mandelbrot, "Multifractal measures", 1992.

    Args:
        p: (b,) weights of the b parts, >= 0, with sum 1.
        levels: number of divisions; there are b^levels boxes.

    Raises:
        NeuroMFAError: the weights are no shares of 1, or the boxes are too many or too light for a float64.

    Example:
        >>> cascade = Cascade([0.3, 0.7], levels=2)
        >>> cascade.measure().round(2).tolist()
        [0.09, 0.21, 0.21, 0.49]
        >>> round(cascade.exact_tau(2), 6), round(cascade.exact_dimension(1), 6)
        (0.785875, 0.881291)
    """

    p: tuple
    levels: int

    def __post_init__(self):
        object.__setattr__(self, "p", _weights(self.p))
        object.__setattr__(self, "levels", whole("levels", self.levels, 1))
        size = len(self.p)
        who = f"a cascade of {size} parts and {self.levels} levels"
        size_within(LARGEST_MEASURE, who, "boxes", self.levels * math.log10(size), lambda: size**self.levels)
        if self.levels * math.log(min(self._positive)) < math.log(1e-300):
            raise NeuroMFAError(
                f"after {self.levels} levels the lightest box of this cascade would be lighter than 1e-300: use fewer "
                f"levels, or set the smallest weight ({min(self._positive):g}) to 0"
            )

    @property
    def base(self) -> int:
        """Number of parts, b: the sizes of its boxes are powers of it."""
        return len(self.p)

    @property
    def boxes(self) -> int:
        """Number of boxes, b^levels, empty ones included."""
        return len(self.p) ** self.levels

    @property
    def _positive(self):
        return [weight for weight in self.p if weight > 0]

    def measure(self):
        """Return the (b^levels,) masses of the boxes from left to right; their sum is 1."""
        masses = np.ones(1)
        for _ in range(self.levels):
            masses = np.multiply.outer(masses, self.p).ravel()
        return masses

    def natural_radii(self):
        """Return half the widths, in boxes, of the balls about as wide as a part of each level: b^k or one box less."""
        widths = [len(self.p) ** level for level in range(self.levels)]
        return np.unique([(width - 1) // 2 + 0.5 for width in widths])

    def exact_ball(self, centre, r):
        """Return the mass of the boxes centre - r ... centre + r (those that exist), without making the measure.

        Args:
            centre: number of a box, 0 ... b^levels - 1; r: whole number of boxes >= 0 on either side.

        Example:
            >>> round(Cascade([0.3, 0.7], 2).exact_ball(1, 1), 2)
            0.51
        """
        centre, r = whole("centre", centre, 0), whole("r", r, 0)
        if centre >= self.boxes:
            raise NeuroMFAError(f"centre={centre}: this cascade has the boxes 0 ... {self.boxes - 1}")
        return self._interval(max(centre - r, 0), min(centre + r + 1, self.boxes), self.boxes)

    def _interval(self, start, stop, size):
        """Mass of the boxes start ... stop - 1 of a (sub-)cascade of size boxes and mass 1: a part cut is divided."""
        if start <= 0 and stop >= size:
            return 1.0
        part = size // len(self.p)
        touched = range(max(start, 0) // part, min(-(-stop // part), len(self.p)))
        return sum(self.p[i] * self._interval(start - i * part, stop - i * part, part) for i in touched)

    def _shares(self, q):
        """(b',) ln p of the parts that are not empty, (..., b') shares p_i^q/sum_j p_j^q, and ln of that sum."""
        logs = np.log(self._positive)
        powers = q[..., None] * logs
        top = powers.max(-1, keepdims=True)  # no overflow
        weights = np.exp(powers - top)
        total = weights.sum(-1, keepdims=True)
        return logs, weights / total, (top + np.log(total))[..., 0]

    def _tau(self, q):
        return -self._shares(q)[2] / math.log(len(self.p))

    def _alpha(self, q):
        logs, shares, _ = self._shares(q)
        return -(shares @ logs) / math.log(len(self.p))

    def _f(self, q):
        """q alpha - tau as the entropy of the shares: exact where the two are large."""
        return entropy(self._shares(q)[1]) / math.log(len(self.p))


def _weights(p):
    weights = numbers("p", p)
    if len(weights) < 2:
        raise NeuroMFAError("p must be a flat list of at least two weights, one for each part of a box")
    if not np.all(np.isfinite(weights) & (weights >= 0)):
        raise NeuroMFAError(f"the weights p={weights.tolist()!s:.60} must be finite and not negative: they are masses")
    if abs(weights.sum() - 1) > 1e-9:
        raise NeuroMFAError(f"the weights p sum to {weights.sum():.12g}, not 1: divide them by their sum")
    return tuple((weights / weights.sum()).tolist())
