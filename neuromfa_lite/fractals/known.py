"""What all objects with a known answer share: the exact exponents, and the checks of what they are asked for."""

import math

import numpy as np

from ..errors import NeuroMFAError, arguments
from ..method.choices import LARGEST_Q

LARGEST_GRAPH = 500_000  # nodes; networkx takes about 1 kB a node
NEAR_ONE = 1e-5


class KnownFractal:
    """An object whose mass exponents are known.

    The convention is the standard one: sum_i mu_i^q ~ r^tau(q) over boxes of size r, or <(M(r)/M_0)^(q-1)> ~ r^tau(q)
    over balls around nodes; so tau(1) = 0 and tau(0) = -D_0. (ParetoFanOut alone follows the paper of NeuroMFA, where
    tau(0) = 0.) A subclass says ``_tau`` and ``_alpha`` for an array q, and ``closed_form`` is False where no formula
    is known: all exponents are None then.
    """

    closed_form = True
    base = None  # the sizes of its boxes are powers of it

    def exact_tau(self, q):
        """Return the mass exponent tau(q).

        Args:
            q: moment order, a number or an array of them; finite and at most 1e6 in size, else a NeuroMFAError.

        Returns:
            float, or float64 array of the shape of q; None where no closed form is known.
        """
        return self._answer(self._tau, q)

    def exact_alpha(self, q):
        """Return the singularity strength alpha(q) = d tau/d q; arguments and errors of :meth:`exact_tau`."""
        return self._answer(self._alpha, q)

    def exact_f(self, q):
        """Return f(alpha(q)) = q alpha - tau; arguments and errors of :meth:`exact_tau`."""
        return self._answer(self._f, q)

    def exact_dimension(self, q):
        """Return the generalised dimension D_q = tau(q)/(q - 1); arguments and errors of :meth:`exact_tau`.

        D_1, where this is 0/0, is the limit alpha(1). Since tau(1) = 0, D_q is the mean of alpha between 1 and q:
        closer to 1 than 1e-5 its value in the middle is taken, which loses no digits.
        """
        return self._answer(self._dimension, q)

    def natural_radii(self):
        """Return the (radii,) at which the object looks like itself again, ascending, or None where it has no scale."""
        return None

    def _f(self, q):
        return q * self._alpha(q) - self._tau(q)

    def _dimension(self, q):
        near = np.abs(q - 1) < NEAR_ONE
        apart = np.where(near, 2.0, q)
        return np.where(near, self._alpha((q + 1) / 2), self._tau(apart) / (apart - 1))

    def _answer(self, formula, q):
        q = _moment_orders(q)
        if not self.closed_form:
            return None
        values = formula(q) + 0.0  # no negative zero
        return float(values) if q.ndim == 0 else values


class KnownGraph(KnownFractal):
    """A graph whose balls can be counted; a subclass says ``nodes``, ``_edges`` (ends, lengths) and ``_balls``."""

    def graph(self):
        """Return a networkx.Graph: nodes 0, 1, ..., edge attribute distance, its natural radii in graph.graph."""
        import networkx as nx

        graph, (ends, lengths) = nx.Graph(), self._edges()
        graph.add_nodes_from(range(self.nodes))
        edges = ((a, b, length) for (a, b), length in zip(ends, lengths, strict=True))
        graph.add_weighted_edges_from(edges, weight="distance")
        graph.graph["natural_radii"] = self.natural_radii().tolist()
        return graph

    def exact_ball(self, r):
        """Return the number of nodes within distance r of one of :meth:`centres`, itself included.

        Args:
            r: distance, a number or an array of them; a NeuroMFAError where it is none or reaches beyond every border.

        Returns:
            int, or int64 array of the shape of r; None where no formula is known.
        """
        radii = as_radii(r)
        counts = self._balls(radii)
        if counts is None:
            return None
        return int(counts) if radii.ndim == 0 else np.asarray(counts, dtype=np.int64)


def _moment_orders(q):
    q = arguments.numbers("q", q, None)
    if not np.all(np.abs(q) <= LARGEST_Q):  # NaN fails too
        raise NeuroMFAError(
            f"q must be finite and at most {LARGEST_Q:,.0f} in size: alpha has reached its limit long before"
        )
    return q


def size_within(limit, who, unit, magnitude, count):
    """Refuse an object of more than ``limit`` nodes; of a hopeless ``magnitude`` (log10) they are never counted."""
    number = count() if magnitude < 15 else None
    if number is not None and number <= limit:
        return
    text = f"{number:,}" if number is not None else f"about 1e{magnitude:.0f}"
    raise NeuroMFAError(f"{who} has {text} {unit}, too many for memory: at most {limit:,}; ask for a smaller one")


def entropy(shares):
    """Return - sum_i p_i ln p_i over the last axis; shares that are 0 add nothing."""
    return -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(-1)


def as_radii(r):
    """Return radii as a float64 array; anything but finite numbers >= 0 is an error."""
    radii = arguments.numbers("radius r", r, None)
    if not np.all((radii >= 0) & (radii < math.inf)):
        raise NeuroMFAError("a radius must be a finite number >= 0, or an array of them")
    return radii
