"""(u, v)-flowers: scale-free graphs grown edge by edge, whose hubs make them bifractal."""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from ..errors import NeuroMFAError
from ..errors.arguments import whole
from .known import LARGEST_GRAPH, KnownGraph, size_within


@dataclass(frozen=True)
class Flower(KnownGraph):
    """The (u, v)-flower: in each generation every edge becomes two paths, of u and of v edges, between its ends.

    Generation 0 is a single edge, generation 1 a cycle of w = u + v nodes: the hubs.

    Formula (u <= v): tau(q) = (q-1) ln w/ln u for q < ln w/ln 2, else q ln(w/2)/ln u; alpha is the slope of these
    lines, the right one where they meet. For u = 1 distances grow with the logarithm of the size: there is no
    dimension, and all exponents are None.

    Source: S. Furuya and K. Yakubo, "Multifractality of complex networks", 2011, arXiv:1110.0272; the graphs are
    those of H. D. Rozenfeld, S. Havlin and D. ben-Avraham, 2007.

    Args:
        u, v: numbers of edges of the two paths, in either order, with u + v >= 3.
        generation: whole number >= 0.

    Raises:
        NeuroMFAError: u + v < 3, or more nodes than fit in memory.

    Example:
        >>> flower = Flower(2, 2, generation=3)
        >>> flower.nodes, flower.exact_tau([-3, 0, 2, 3, 5]).tolist(), flower.exact_ball([0, 1, 2, 100]).tolist()
        (44, [-8.0, -2.0, 2.0, 3.0, 5.0], [1, 9, 13, 44])
    """

    u: int
    v: int
    generation: int

    def __post_init__(self):
        lengths = sorted(whole(name, getattr(self, name), 1) for name in ("u", "v"))
        for name, value in zip("uv", lengths, strict=True):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "generation", whole("generation", self.generation, 0))
        if self._w < 3:
            raise NeuroMFAError("u + v = 2 puts the same edge twice and never grows: use u + v >= 3, such as (2, 2)")
        who = f"the ({self.u}, {self.v})-flower of generation {self.generation}"
        size_within(LARGEST_GRAPH, who, "nodes", self.generation * math.log10(self._w), lambda: self.nodes)

    @property
    def _w(self):
        return self.u + self.v

    @property
    def closed_form(self) -> bool:
        """False for u = 1, where there is no power law."""
        return self.u > 1

    @property
    def nodes(self) -> int:
        """Number of nodes, ((w-2) w^n + w)/(w-1) in generation n."""
        w = self._w
        return ((w - 2) * w**self.generation + w) // (w - 1)

    def _edges(self):
        """Nodes are numbered in the order in which they appear; all edges are 1 long."""
        ends, born = np.array([[0, 1]]), 2
        for _ in range(self.generation):
            paths = []
            for length in (self.u, self.v):
                new = born + np.arange(len(ends) * (length - 1)).reshape(len(ends), length - 1)
                born += new.size
                walk = np.column_stack([ends[:, 0], new, ends[:, 1]])
                paths.append(np.stack([walk[:, :-1], walk[:, 1:]], axis=-1).reshape(-1, 2))
            ends = np.concatenate(paths)
        return ends.tolist(), [1.0] * len(ends)

    def natural_radii(self):
        """Return u^k, k < generation: how far apart the ends of its younger copies are; 1 alone for u = 1."""
        return np.unique([float(self.u**k) for k in range(max(1, self.generation))])

    def centres(self, r=None):
        """Return the nodes whose balls :meth:`exact_ball` counts: the w hubs, alike in every generation."""
        return np.arange(min(self.nodes, self._w))

    def _balls(self, radii):
        """Recursion: a flower is a cycle whose w edges are flowers one generation younger."""
        if self.generation == 0:
            return np.where(radii >= 1, 2, 1)
        side = self.u ** (self.generation - 1)
        around = [min(i, self._w - i) * side for i in range(self._w + 1)]
        counts = _along(self.u, self.v, self.generation, around)
        counts[0] += 1  # the hub itself
        within = np.cumsum(counts)
        return within[np.minimum(radii, len(within) - 1).astype(np.int64)]

    def _tau(self, q):
        w, scale = self._w, math.log(self.u)
        lines = (q - 1) * (math.log(w) / scale), q * (math.log(w / 2) / scale)
        return np.where(q < math.log2(w), *lines)

    def _alpha(self, q):
        w, scale = self._w, math.log(self.u)
        return np.where(q < math.log2(w), math.log(w) / scale, math.log(w / 2) / scale)


def _along(u, v, generation, corners):
    """Nodes by distance on a path of parts between its ends (not counted), whose corners lie at these distances."""
    parts = [_inside(u, v, generation - 1, abs(first - second)) for first, second in pairwise(corners)]
    counts = np.zeros(max(corners) + max(map(len, parts)), dtype=np.int64)
    np.add.at(counts, corners[1:-1], 1)
    for nearer, part in zip(map(min, pairwise(corners)), parts, strict=True):
        counts[nearer : nearer + len(part)] += part
    return counts


@lru_cache(maxsize=256)
def _inside(u, v, generation, gap):
    """Nodes by distance inside a flower, its ends not counted: one end at 0, the other at gap <= u^generation."""
    if generation == 0:
        return np.zeros(1, dtype=np.int64)
    side = u ** (generation - 1)
    paths = []
    for length in (u, v):
        corners = [min(i * side, gap + (length - i) * side) for i in range(length + 1)]
        paths.append(_along(u, v, generation, corners))
    counts = np.zeros(max(map(len, paths)), dtype=np.int64)
    for path in paths:
        counts[: len(path)] += path
    return np.trim_zeros(counts, "b") if counts.any() else counts[:1]
