"""Lattices in any dimension: the monofractal that every estimator must call one."""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import NeuroMFAError
from ..errors.arguments import whole
from .known import LARGEST_GRAPH, KnownGraph, as_radii, size_within


@dataclass(frozen=True)
class Lattice(KnownGraph):
    """A d-dimensional box of points; each is joined to its 2d nearest neighbours (fewer at the border), distance 1.

    Formula: tau(q) = (q-1) d, alpha = f = D_q = d, for centres whose ball does not reach the border; in two
    dimensions this has 2 r^2 + 2 r + 1 points.

    Args:
        shape: number of points along each of the d directions, each at least 2; a single number is a line.

    Raises:
        NeuroMFAError: no direction, a side below 2, or more nodes than fit in memory.

    Example:
        >>> lattice = Lattice((21, 31))
        >>> lattice.nodes, lattice.exact_tau(3), lattice.exact_ball(2)
        (651, 4.0, 13)
    """

    shape: tuple

    def __post_init__(self):
        sides = self.shape if np.iterable(self.shape) and not isinstance(self.shape, str) else (self.shape,)
        sides = tuple(whole("a side of shape", side, 2) for side in sides)
        if not sides:
            raise NeuroMFAError("shape is empty: give the number of points along each direction, such as (50, 50)")
        object.__setattr__(self, "shape", sides)
        magnitude = sum(math.log10(side) for side in sides)
        size_within(LARGEST_GRAPH, f"a lattice of shape {sides!s:.60}", "nodes", magnitude, lambda: self.nodes)

    @property
    def dimension(self) -> int:
        """Number of directions, d."""
        return len(self.shape)

    @property
    def nodes(self) -> int:
        """Number of points."""
        return math.prod(self.shape)

    def _edges(self):
        """All of length 1; nodes are numbered with the last direction fastest."""
        points, ends = np.arange(self.nodes).reshape(self.shape), []
        for axis, side in enumerate(self.shape):
            here, there = (np.take(points, range(first, first + side - 1), axis).ravel() for first in (0, 1))
            ends += np.column_stack([here, there]).tolist()
        return ends, [1.0] * len(ends)

    def natural_radii(self):
        """Return 1, 2, ... up to the largest radius whose ball around the middle does not reach beyond the border."""
        return np.arange(1.0, max(1, (min(self.shape) - 1) // 2) + 1)

    def centres(self, r):
        """Return the nodes whose balls of radius r :meth:`exact_ball` counts: those at least r from every border."""
        inside = np.ones(self.shape, dtype=bool)
        reach = int(as_radii(r).max(initial=0))
        for axis, side in enumerate(self.shape):
            along = np.arange(side)
            keep = (along >= reach) & (along <= side - 1 - reach)
            inside &= keep.reshape([-1 if other == axis else 1 for other in range(self.dimension)])
        return np.flatnonzero(inside)

    def _balls(self, radii):
        """Choose the k directions gone, their signs, and the steps in each: sum_k 2^k C(d, k) C(r, k)."""
        if len(radii.ravel()) and radii.max() >= (min(self.shape) + 1) // 2:
            raise NeuroMFAError(
                f"radius {radii.max():g} reaches the border of a lattice of shape {self.shape!s:.60} from every "
                f"centre: at most {(min(self.shape) - 1) // 2}"
            )
        d = self.dimension
        counts = [sum(2**k * math.comb(d, k) * math.comb(int(x), k) for k in range(d + 1)) for x in radii.ravel()]
        return np.reshape(counts, radii.shape)

    def _tau(self, q):
        return (q - 1) * self.dimension

    def _alpha(self, q):
        return np.full(q.shape, float(self.dimension))
