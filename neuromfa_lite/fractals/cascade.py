"""Multiplicative cascades: the measure that a multifractal is explained by, Cantor sets among them."""

import math
from collections import Counter
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from ..errors import NeuroMFAError
from ..errors.arguments import numbers, whole
from .known import KnownFractal, entropy, size_within

LARGEST_MEASURE = 100_000_000  # boxes, 0.8 GB
LARGEST_LIST = 1_000_000  # different masses


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
        NeuroMFAError: fewer than two weights, a negative one, a sum other than 1, more boxes than fit in memory, or
            boxes so light that their mass would be rounded to 0.

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
                f"after {self.levels} levels the lightest box of this cascade is lighter than 1e-300 and would be "
                f"rounded to nothing: use fewer levels, or set the smallest weight ({min(self._positive):g}) to 0"
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
        """Return the (b^levels,) masses of the boxes from left to right; their sum is 1.

        Example:
            >>> Cascade([0.5, 0, 0.5], 2).measure().tolist()
            [0.25, 0.0, 0.25, 0.0, 0.0, 0.0, 0.25, 0.0, 0.25]
        """
        masses = np.ones(1)
        for _ in range(self.levels):
            masses = np.multiply.outer(masses, self.p).ravel()
        return masses

    def natural_radii(self):
        """Return half the widths, in boxes, of the balls about as wide as a part of each level: b^k or one box less.

        Example:
            >>> Cascade([0.5, 0, 0.5], 3).natural_radii().tolist(), Cascade([0.5, 0.5], 4).natural_radii().tolist()
            ([0.5, 1.5, 4.5], [0.5, 1.5, 3.5])
        """
        widths = [len(self.p) ** level for level in range(self.levels)]
        return np.unique([(width - 1) // 2 + 0.5 for width in widths])

    def exact_boxes(self, level=None):
        """Return (mass, number): the different masses of the boxes of size b^-level, and how many boxes have each.

        Formula: the multinomial distribution; a box that took n_i times the part i has mass prod_i p_i^n_i, and
        level!/prod_i n_i! boxes did. Empty boxes are left out.

        Args:
            level: 0 ... levels; all levels if left out.

        Raises:
            NeuroMFAError: no such level, or more than a million different masses.

        Example:
            >>> mass, number = Cascade([0.3, 0.7], 10).exact_boxes(2)
            >>> mass.round(2).tolist(), number.tolist()
            ([0.09, 0.21, 0.49], [1, 2, 1])
        """
        level = self.levels if level is None else whole("level", level, 0)
        if level > self.levels:
            raise NeuroMFAError(f"level={level}: this cascade has {self.levels} levels")
        parts = sorted(set(self._positive))
        having = Counter(self.p)  # equal weights make boxes of equal mass
        ways = [having[part] for part in parts]
        kinds = math.comb(level + len(parts) - 1, level)
        if kinds > LARGEST_LIST:
            raise NeuroMFAError(f"{kinds:,} different masses at level {level}: ask for a smaller level")
        mass, number = [], []
        for taken in combinations_with_replacement(range(len(parts)), level):
            times = Counter(taken).items()
            mass.append(math.prod(parts[i] ** n for i, n in times))
            orders = math.factorial(level) // math.prod(math.factorial(n) for _, n in times)
            number.append(orders * math.prod(ways[i] ** n for i, n in times))
        return np.array(mass), np.array(number, dtype=np.int64)

    def exact_ball(self, centre, r):
        """Return the mass of the boxes centre - r ... centre + r (those that exist), without making the measure.

        Formula: recursion over the levels; a part that lies inside counts with its whole mass, one that is cut is
        divided again. Only positive terms are added, so light balls keep all their digits.

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
        """Mass of the boxes start ... stop - 1 of a (sub-)cascade of size boxes and mass 1."""
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
        raise NeuroMFAError(
            f"the weights p sum to {weights.sum():.12g}, not 1, so mass would be lost or made: divide them by their sum"
        )
    return tuple((weights / weights.sum()).tolist())
