"""Rings of Watts and Strogatz: one-dimensional until they are rewired."""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import NeuroMFAError
from ..errors.arguments import number, shown, whole
from .known import LARGEST_GRAPH, KnownGraph, size_within


@dataclass(frozen=True)
class Ring(KnownGraph):
    """A Watts-Strogatz ring: n nodes, each joined to its k nearest (k/2 on either side); edges rewired at random.

    Formula, without rewiring: tau(q) = q - 1, alpha = f = D_q = 1. With rewiring no closed form is known, and all
    exponents are None.

    Source: D. J. Watts and S. H. Strogatz, Nature 393, 1998; alpha = 1 and width 0 in the one-graph analysis (mass
    without the node itself, over n - 1): X. Xiao, H. Chen and P. Bogdan, 2021, Sci. Rep. 11:22964.

    Args:
        n: number of nodes, above k.
        k: neighbours of each node, both sides together as in networkx.watts_strogatz_graph: an even number.
        rewire: probability of an edge to be rewired, 0 ... 1.
        seed: whole number >= 0; the same seed gives the same ring.

    Raises:
        NeuroMFAError: k is odd, not below n, rewire is no probability, or more nodes than fit in memory.

    Example:
        >>> ring = Ring(100, 4)
        >>> ring.exact_tau([0, 1, 2]).tolist(), ring.exact_ball(3)
        ([-1.0, 0.0, 1.0], 13)
        >>> Ring(100, 4, rewire=0.1).exact_tau(2) is None
        True
    """

    n: int
    k: int = 2
    rewire: float = 0.0
    seed: int = 0

    def __post_init__(self):
        for name, smallest in (("n", 3), ("k", 2), ("seed", 0)):
            object.__setattr__(self, name, whole(name, getattr(self, name), smallest))
        if self.k % 2:
            raise NeuroMFAError(f"k={self.k} must be even: k/2 neighbours on either side")
        if self.k >= self.n:
            raise NeuroMFAError(f"k={self.k} must be below n={self.n}: a node has only n - 1 others to be joined to")
        rewire = number(self.rewire)
        if not 0 <= rewire <= 1:
            raise NeuroMFAError(f"rewire={shown(self.rewire)} must be a probability, 0 ... 1")
        object.__setattr__(self, "rewire", rewire)
        size_within(LARGEST_GRAPH, "this ring", "nodes", math.log10(self.n), lambda: self.n)
        edges = self.n * self.k // 2
        size_within(10 * LARGEST_GRAPH, "this ring", "edges", math.log10(edges), lambda: edges)

    @property
    def closed_form(self) -> bool:
        """False for a rewired ring."""
        return self.rewire == 0

    @property
    def nodes(self) -> int:
        """Number of nodes, n."""
        return self.n

    def graph(self):
        """Return a networkx.Graph with edge attribute distance = 1; rewiring can cut it into pieces."""
        import networkx as nx

        graph = nx.watts_strogatz_graph(self.n, self.k, self.rewire, seed=self.seed)
        nx.set_edge_attributes(graph, 1.0, "distance")
        graph.graph["natural_radii"] = self.natural_radii().tolist()
        return graph

    def natural_radii(self):
        """Return 1, 2, ... up to the largest radius at which the ball of the ring without rewiring does not close."""
        return np.arange(1.0, max(1, (self.n - 1) // self.k) + 1)

    def centres(self, r=None):
        """Return the nodes whose balls :meth:`exact_ball` counts: all of them."""
        return np.arange(self.n)

    def _balls(self, radii):
        """1 + k r until the ring closes; the one-graph analysis of 2021 leaves the node itself out, k r."""
        if not self.closed_form:
            return None
        return np.minimum(self.n, 1 + self.k * np.floor(np.minimum(radii, self.n)).astype(np.int64))

    def _tau(self, q):
        return q - 1

    def _alpha(self, q):
        return np.ones(q.shape)
