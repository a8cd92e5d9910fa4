"""Geodesic reach: the shortest paths through a network, and how many neurons they bring within each radius.

The paper's text, as we read it: paths run through every block (the fixed joins of attention have length 1), between any
two neurons of any layers; window and rounding act on the length of a whole path, never on its parts.
"""

import numpy as np

from ..errors import NeuroMFAError
from ..kernels.geodesic import count_paths, count_rounded_paths
from ..method import GEODESIC, ROUNDING, distinct, refuse_no_method
from ..network import refuse_no_network
from .distances import Neurons, bins_within, cumulated, has_a_bin_for_each, looked_at, refuse_too_many
from .paths import NO_LIMIT, GraphPaths, shortest_paths

LARGEST_POOL = 1 << 22  # distances shown to a rule for radii, 32 MB
LARGEST_MATRIX = 8192  # neurons, 512 MB


def geodesic_distances(network, method=GEODESIC):
    """Compute the matrix of shortest-path distances between all neurons, for a look or a comparison.

    d_ij = min over paths i = n_0, n_1, ..., n_m = j of sum_k d(n_k, n_{k+1}), with the method's distance and reach:
    (neurons, neurons) float64 in the order of the layers, infinite where no path leads.

    Example:
        >>> from neuromfa_lite import NeuronNetwork
        >>> geodesic_distances(NeuronNetwork.from_edges([0, 1, 0], [1, 2, 2], [1 / 2, 1 / 3, 1 / 9]))
        array([[ 0.,  2.,  5.],
               [inf,  0.,  3.],
               [inf, inf,  0.]])
    """
    refuse_no_method(method)
    if method.reach == "one-hop":
        raise NeuroMFAError(f'method {method.name!r} reaches one hop: ask with method.replace(reach="geodesic")')
    refuse_no_network("network", network).refuse_other_wiring(method)
    if network.neurons > LARGEST_MATRIX:
        raise NeuroMFAError(
            f"{network.origin}: a matrix of {network.neurons:,} neurons squared is too large (limit "
            f"{LARGEST_MATRIX:,}): draw a sample"
        )
    matrix = np.full((network.neurons, network.neurons), np.inf)
    for sources, targets, lengths, both_ways in shortest_paths(network, method).tiles():
        matrix[np.ix_(sources, targets)] = lengths
        if both_ways:
            matrix[np.ix_(targets, sources)] = lengths.T
    np.fill_diagonal(matrix, 0.0)
    return matrix


def paths_of(network, method, centres=None):
    """The shortest paths from every neuron to every other, which answer inside, pooled(kept), masses(radii, kept)."""
    return (RoundedPaths if has_a_bin_for_each(method) else Paths)(network, method, centres)


class _ShortestPaths:
    def __init__(self, network, method, centres):
        self.network, self.method = network, method
        self.low, self.high = method.window or (-1.0, NO_LIMIT)
        self.paths = shortest_paths(network, method, centres)
        self.neurons = Neurons(network.layers, _places(network, method.reach == "geodesic-undirected"))
        self.count()

    def found(self, window):
        """How many others the neurons reach, in words, where no neuron reaches enough."""
        return (
            f"The neurons have at most {self.inside.max()} others at a shortest-path distance inside the window "
            f"({window}), and {self.method.minimum_connections} are asked for"
        )


class RoundedPaths(_ShortestPaths):
    """Whole distances, straight from the paths into a histogram."""

    def count(self):
        self._histogram = np.zeros((len(self.neurons), bins_within(self.network, self.high)), np.uint32)
        for sources, targets, lengths, both_ways in self.paths.tiles(self.high):
            count_rounded_paths(lengths, self.low, self.high, sources, targets, both_ways, self._histogram)
        inside = self._histogram[:, :-1].sum(axis=1, dtype=np.uint32)  # the last bin is outside the window
        self.inside = inside.astype(np.int64)

    def pooled(self, kept):
        """The distances that occur among the kept neurons."""
        return np.flatnonzero(self._histogram[kept].max(axis=0)[:-1])

    def masses(self, radii, kept):
        """(radii, kept neurons) uint32."""
        refuse_too_many(self.network, len(radii), np.count_nonzero(kept))
        return cumulated(self._histogram, kept, np.minimum(radii, self._histogram.shape[1] - 2).astype(np.int64))


class Paths(_ShortestPaths):
    """Any radii: the paths are found once for the neurons to keep, once for the radii, and once to count."""

    def count(self):
        self._refuse_too_many()
        self.inside = np.zeros(len(self.neurons), np.int64)
        for sources, targets, lengths, both_ways in self._in_window():
            there = np.isfinite(lengths)
            self.inside[sources] += np.count_nonzero(there, axis=1)
            if both_ways:
                self.inside[targets] += np.count_nonzero(there, axis=0)

    def _refuse_too_many(self):
        """Refuse radii="every" before all paths are found, where the distances from one neuron are too many already."""
        method, paths = self.method, self.paths
        everyone_is_kept = method.window is None and _both_ways(self.network, method)
        if method.radii != "every" or not everyone_is_kept or not isinstance(paths, GraphPaths):
            return
        lengths = paths.lengths_from(paths.centres[0])
        lengths = lengths[np.isfinite(lengths)]
        if len(lengths) == paths.neurons - 1 >= method.minimum_connections:
            radii = distinct(np.rint(lengths) if method.rounding else lengths)
            refuse_too_many(self.network, len(radii), len(paths.centres))

    def _in_window(self):
        """The tiles, rounded where the method asks for it, infinite outside the window."""
        for sources, targets, lengths, both_ways in self.paths.tiles(self.high):
            there = (lengths > self.low) & (lengths <= self.high)
            lengths = np.where(there, np.rint(lengths) if self.method.rounding else lengths, np.inf)
            yield sources, targets, lengths, both_ways

    def pooled(self, kept):
        """The distances of the kept neurons; above 4,194,304 of them those of every second, third, ... neuron."""
        # Rules that look at the different numbers alone are shown all distances.
        few = self.method.radii in ("integer", "every")
        chosen = np.zeros(len(kept), bool)
        apart = 1 if few else -(-int(self.inside[kept].sum()) // LARGEST_POOL)
        chosen[np.flatnonzero(kept)[::apart]] = True
        pooled = [np.empty(0)]
        for sources, targets, lengths, both_ways in self._in_window():
            parts = [lengths[chosen[sources]].ravel()] + [lengths[:, chosen[targets]].ravel()] * both_ways
            fresh = [part[np.isfinite(part)] for part in parts]
            pooled = [looked_at(self.method, np.concatenate(pooled + fresh))] if few else pooled + fresh
        return np.concatenate(pooled)

    def masses(self, radii, kept):
        """(radii, kept neurons) uint32."""
        refuse_too_many(self.network, len(radii), np.count_nonzero(kept))
        reaching = radii if self.method.rounding else radii * (1 + ROUNDING)  # sums of lengths are rounded
        histogram = np.zeros((len(self.neurons), len(radii) + 1), np.uint32)
        for sources, targets, lengths, both_ways in self._in_window():
            count_paths(lengths, reaching, sources, targets, both_ways, histogram)
        return cumulated(histogram, kept, np.arange(len(radii)))


def refuse_pieces(network, method, inside, centres):
    """Shares of a whole that most centres cannot reach would mix the dimension of a piece with the size of others."""
    if method.convention != "standard" and method.mass not in ("total-share", "others-share"):
        return
    if centres is None:
        centres = np.ones(len(inside), bool)
    if method.window is None and _both_ways(network, method):
        cut_off = centres & (inside < len(inside) - 1)
        first = int(cut_off.argmax())
        found = f"{np.count_nonzero(cut_off)} of its {len(inside)} nodes do not reach every other (node {first} only "
        found += f"{inside[first]})"
    else:  # a window or a direction stops paths, too
        paths = shortest_paths(network, method.replace(reach="geodesic-undirected"))
        if not isinstance(paths, GraphPaths):
            return
        first = int(centres.argmax())
        cut_off = np.isinf(paths.lengths_from(first))
        cut_off[first] = False
        found = f"{np.count_nonzero(cut_off)} of its {len(inside)} nodes are not joined with node {first} by any path"
    if cut_off.any():
        raise NeuroMFAError(
            f"{network.origin} is in pieces: {found}, and method {method.name!r} takes shares of the whole: measure "
            "the largest piece, graph.subgraph(max(networkx.connected_components(graph), key=len)) (of a directed "
            "graph, weakly_connected_components)"
        )


def _both_ways(network, method):
    """Whether every path leads back, too."""
    return method.reach == "geodesic-undirected" or all(block.both_ways for block in network.blocks)


def _places(network, undirected):
    """{layer: how many other neurons each of its neurons has a way to}, through the layers that blocks join."""
    onwards = [set() for _ in network.layers]
    for block in network.blocks:
        onwards[block.source].add(block.target)
        if undirected:
            onwards[block.target].add(block.source)
    places = {}
    for layer in range(len(onwards)):
        reach, front = set(), [layer]
        while front:
            fresh = onwards[front.pop()] - reach
            reach |= fresh
            front += fresh
        places[layer] = sum(len(network.layers[other]) for other in reach) - (layer in reach)
    return places
