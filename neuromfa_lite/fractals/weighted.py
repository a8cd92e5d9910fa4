"""Weighted fractal networks: trees of scaled copies, where the lengths of the edges make the dimension."""

import math
from dataclasses import dataclass

import numpy as np

from ..errors import NeuroMFAError
from ..errors.arguments import numbers, whole
from .known import LARGEST_GRAPH, KnownGraph, entropy, size_within

ROUNDING = 1e-9  # sums of lengths that are equal in theory differ by less


@dataclass(frozen=True)
class WeightedFractal(KnownGraph):
    """A weighted fractal network: s copies, their lengths scaled by f_1 ... f_s, joined to a new node by edges of 1.

    Generation 0 is a single node. Generation n is a tree of (s^(n+1) - 1)/(s - 1) nodes; the newest node is its root,
    number 0.

    Formula: sum_i s^(-q) f_i^(-tau) = 1, solved for tau; alpha(q) = ln s/sum_i W_i ln(1/f_i) with the terms W_i of that
    sum. For equal scales tau(q) = (q-1) ln s/ln(1/f). Finite networks follow it for q >= 0 only: at negative q
    isolated hubs dominate.

    Source: T. Carletti and S. Righi, "Weighted fractal networks", Physica A 389, 2010; unequal scales: T. Carletti,
    2010, arXiv:1002.0203; sandbox on both: Y.-Q. Song, J.-L. Liu, Z.-G. Yu and B.-G. Li, 2015, arXiv:1511.07248.

    Args:
        scales: (s,) scale of each copy, above 0 and below 1, equal or not.
        generation: whole number >= 0.

    Raises:
        NeuroMFAError: fewer than two scales, one outside (0, 1), or nodes too many or edges too short for a float64.

    Example:
        >>> network = WeightedFractal([0.5, 0.25], generation=2)
        >>> network.nodes, network.exact_tau([0, 2]).round(6).tolist()
        (7, [-0.694242, 0.642981])
    """

    scales: tuple
    generation: int

    def __post_init__(self):
        object.__setattr__(self, "scales", _scales(self.scales))
        object.__setattr__(self, "generation", whole("generation", self.generation, 0))
        copies = len(self.scales)
        who = f"a weighted fractal network of {copies} copies and generation {self.generation}"
        size_within(LARGEST_GRAPH, who, "nodes", self.generation * math.log10(copies), lambda: self.nodes)
        if self.generation * math.log(min(self.scales)) < math.log(1e-300):
            raise NeuroMFAError(
                f"in generation {self.generation} of this network edges are shorter than 1e-300: use a smaller "
                f"generation or a larger scale than {min(self.scales):g}"
            )

    @classmethod
    def sierpinski(cls, generation):
        """Return the Sierpinski network, three copies of scale 1/2: D = ln 3/ln 2 = 1.585."""
        return cls((1 / 2,) * 3, generation)

    @classmethod
    def cantor_dust(cls, generation):
        """Return the Cantor dust network, four copies of scale 1/5: D = ln 4/ln 5 = 0.861."""
        return cls((1 / 5,) * 4, generation)

    @property
    def nodes(self) -> int:
        """Number of nodes, (s^(n+1) - 1)/(s - 1) in generation n."""
        copies = len(self.scales)
        return (copies ** (self.generation + 1) - 1) // (copies - 1)

    def _edges(self):
        """A tree; node 0 is the root, parents come first."""
        copies, lengths = len(self.scales), [length for length, _ in self._levels()]
        lengths = np.repeat(np.concatenate([np.empty(0), *lengths]), copies)
        children = np.arange(1, self.nodes)
        return np.column_stack([(children - 1) // copies, children]).tolist(), lengths.tolist()

    def _levels(self):
        """For each depth that has children: (nodes,) length of the edges below a node, its distance to the root."""
        lengths, depth = np.ones(1), np.zeros(1)
        for _ in range(self.generation):
            yield lengths, depth
            depth = np.repeat(depth + lengths, len(self.scales))
            lengths = np.multiply.outer(lengths, self.scales).ravel()

    def centres(self, r=None):
        """Return the node whose balls :meth:`exact_ball` counts: the root, as an array of one."""
        return np.arange(1)

    def _balls(self, radii):
        """A node at depth k lies at 1 + f_i + f_i f_j + ..., k terms; equal up to rounding is within."""
        distances = [np.zeros(1)]
        for lengths, depth in self._levels():
            distances.append(np.repeat(depth + lengths, len(self.scales)))
        distances = np.sort(np.concatenate(distances))
        return np.searchsorted(distances, radii * (1 + ROUNDING), side="right")

    def natural_radii(self):
        """Return the different diameters of the copies that the network is made of, ascending.

        Formula: generation m has height h_m = 1 + f_1 h_(m-1) and diameter 2 + (f_1 + f_2) h_(m-1), f_1 >= f_2 its
        two largest scales; a copy of generation m has this times the product of the n - m scales on its way.
        Generation 0 (diameter 0) is left out.
        """
        second, first = sorted(self.scales)[-2:]
        height, whole = 0.0, []
        for _ in range(self.generation):
            whole.append(2 + (first + second) * height)
            height = 1 + first * height
        products, found = np.ones(1), []
        for diameter in reversed(whole):
            found.append(diameter * products)
            products = _distinct(np.multiply.outer(products, sorted(set(self.scales))).ravel())
        return _distinct(np.concatenate(found)) if found else np.empty(0)

    def _solved(self, q):
        """(tau, (..., s) terms W_i of the sum at that tau)."""
        copies, logs = len(self.scales), -np.log(self.scales)
        if len(set(self.scales)) == 1:
            tau = (q - 1) * (math.log(copies) / logs[0])
            return tau, np.full((*q.shape, copies), 1 / copies)
        tau, terms = np.zeros(q.shape), None
        # ln sum_i f_i^(-tau) is convex in tau: after one step Newton comes down to the root and never passes it.
        for _ in range(100):
            powers = tau[..., None] * logs
            top = powers.max(-1, keepdims=True)
            terms = np.exp(powers - top)
            total = terms.sum(-1, keepdims=True)
            terms = terms / total
            excess = (top + np.log(total))[..., 0] - q * math.log(copies)
            step = excess / (terms @ logs)
            tau = tau - step
            if np.all(np.abs(step) <= 1e-15 * np.maximum(1, np.abs(tau))):
                break
        return tau, terms

    def _tau(self, q):
        return self._solved(q)[0]

    def _alpha(self, q):
        return math.log(len(self.scales)) / (self._solved(q)[1] @ -np.log(self.scales))

    def _f(self, q):
        """q alpha - tau as the entropy of the terms over their mean ln(1/f): exact where the two are large."""
        terms = self._solved(q)[1]
        return entropy(terms) / (terms @ -np.log(self.scales))


def _distinct(values):
    """Ascending values, of those equal up to rounding only the first."""
    values = np.sort(values)
    return values[np.append(True, np.diff(values) > ROUNDING * values[1:])]


def _scales(scales):
    values = numbers("scales", scales)
    if len(values) < 2:
        raise NeuroMFAError("scales must be a flat list of at least two scales, one for each copy")
    if not np.all((values > 0) & (values < 1)):
        raise NeuroMFAError(f"the scales {values.tolist()!s:.60} must lie above 0 and below 1: every copy is smaller")
    return tuple(values.tolist())
