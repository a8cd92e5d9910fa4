"""Geodesic reach: the shortest paths through a network, and how many neurons they bring within each radius.

The paper speaks of shortest paths; the published code takes one hop only, so what follows is our reading of the text:

* A path may run through every block, the fixed joins of attention (query to its own output, every key and value to
  every output) included: each of their connections has length 1, whatever the method's distance.
* "geodesic" follows the flow of the model; "geodesic-undirected" lets connections be used both ways.
* The distance of two neurons is the sum of the lengths along the shortest path. Window and rounding act on that sum
  once, never on its parts: a connection shorter or longer than the window still carries paths.
* Every neuron of every layer can be a source and a target. One that no path reaches is at infinite distance and never
  counts; a neuron is no target of its own, its mass starts from 1 as in one hop.
* A radius reaches a distance, a sum of lengths, that is above it by rounding only (1 part in 1e9).
* A neuron is kept if at least minimum_connections neurons lie at a distance inside the window.
* The share inside the window is taken of all pairs whose layers are joined by some path of blocks.
"""

from dataclasses import dataclass

import numpy as np

from .distances import WIDEST_HISTOGRAM, bins_within, choose_radii, refuse_too_many
from .errors import NeuroMFAError
from .kernels.geodesic import count_paths, count_rounded_paths
from .kernels.one_hop import cumulate, total_bins
from .method import GEODESIC, ROUNDING, distinct, refuse_no_method
from .network import refuse_no_network
from .paths import NO_LIMIT, GraphPaths, shortest_paths

LARGEST_POOL = 1 << 22  # distances shown to a rule for radii, 32 MB
LARGEST_MATRIX = 8192  # neurons, 512 MB


def geodesic_distances(network, method=GEODESIC):
    """Compute the matrix of shortest-path distances between all neurons, for a look or a comparison.

    d_ij = min over paths i = n_0, n_1, ..., n_m = j of sum_k d(n_k, n_{k+1}), d the method's distance.

    Args:
        network: NeuronNetwork of at most 8192 neurons.
        method: Method whose reach is "geodesic" or "geodesic-undirected"; only its distance acts besides.

    Returns:
        (neurons, neurons) float64 in the order of the network's layers: 0 on the diagonal, infinite where no path
        leads.

    Raises:
        NeuroMFAError: a one-hop method, too many neurons, or weights and distances that are none.

    Source: Xiao et al. 2025, section 3.2 (the text); published code measures one hop.

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
    refuse_no_network("network", network).refuse_other_join(method)
    if network.neurons > LARGEST_MATRIX:
        raise NeuroMFAError(
            f"{network.origin}: a matrix of {network.neurons:,} neurons squared is too large (limit "
            f"{LARGEST_MATRIX:,}): draw a sample, or analyze(), which never holds the matrix"
        )
    matrix = np.full((network.neurons, network.neurons), np.inf)
    for sources, targets, lengths, both_ways in shortest_paths(network, method).tiles():
        matrix[_block(sources, targets)] = lengths
        if both_ways:
            matrix[_block(targets, sources)] = lengths.T
    np.fill_diagonal(matrix, 0.0)
    return matrix


def _block(rows, columns):
    """Both as slices where they are runs of neighbours, which NumPy copies several times faster."""
    runs = [slice(part[0], part[-1] + 1) if (np.diff(part) == 1).all() else None for part in (rows, columns)]
    return np.ix_(rows, columns) if None in runs else tuple(runs)


@dataclass(frozen=True, eq=False)
class AllNeurons:
    """Every neuron of a network, layer after layer: layer, number and places (other neurons in reach), (total,)."""

    layers: tuple
    layer: np.ndarray
    number: np.ndarray
    places: np.ndarray
    total: int

    @classmethod
    def of(cls, network, undirected):
        sizes = np.array([len(layer) for layer in network.layers])
        onwards = [set() for _ in sizes]
        for block in network.blocks:
            onwards[block.source].add(block.target)
            if undirected:
                onwards[block.target].add(block.source)
        places = [_within_reach(onwards, layer) for layer in range(len(sizes))]
        places = [sum(sizes[other] for other in reach) - (layer in reach) for layer, reach in enumerate(places)]
        number = np.concatenate([layer.numbers for layer in network.layers])
        layer = np.repeat(np.arange(len(sizes)), sizes)
        return cls(network.layers, layer, number, np.repeat(np.array(places, np.int64), sizes), int(sizes.sum()))


def _within_reach(onwards, layer):
    reach, front = set(), [layer]
    while front:
        fresh = onwards[front.pop()] - reach
        reach |= fresh
        front += fresh
    return reach


def count_geodesics(network, method, centres=None):
    """Count, for every neuron of a network, the neurons within each radius by the shortest path.

    Args:
        network: NeuronNetwork, sampled or whole.
        method: Method whose reach is "geodesic" or "geodesic-undirected".
        centres: (neurons,) bool, the neurons to measure; None: every one.

    Returns:
        radii (radii,); counts (radii, kept neurons) uint32, the masses; kept (neurons,) bool; AllNeurons; inside
        (neurons,), the neurons at a distance inside the window.

    Raises:
        NeuroMFAError: as :func:`neuromfa_lite.masses.count_masses`.
    """
    radii, histogram, last_bins, kept, neurons, inside = _histogram(network, method, centres)
    counts = np.empty((len(radii), np.count_nonzero(kept)), np.uint32)
    cumulate(histogram, np.flatnonzero(kept), last_bins.astype(np.int64), counts)
    return radii, counts, kept, neurons, inside


def _histogram(network, method, centres):
    """radii, histogram (neurons, bins), the last bin of each radius, kept, AllNeurons, inside."""
    paths = shortest_paths(network, method, centres)
    neurons = AllNeurons.of(network, method.reach == "geodesic-undirected")
    low, high = method.window or (-1.0, NO_LIMIT)
    integers = method.radii == "integer" or isinstance(method.radii, tuple)
    if not (method.rounding and integers and high <= WIDEST_HISTOGRAM):
        return _count_generally(network, method, paths, neurons, centres)
    histogram = np.zeros((neurons.total, bins_within(network, high)), np.uint32)
    for sources, targets, lengths, both_ways in paths.tiles(high):
        count_rounded_paths(lengths, low, high, sources, targets, both_ways, histogram)
    inside, in_bin = np.empty(neurons.total, np.int64), np.zeros(histogram.shape[1] - 1, np.int64)
    total_bins(histogram, method.minimum_connections, inside, in_bin)
    kept = _kept(network, method, inside, centres)
    occurring = in_bin if centres is None else histogram[kept, :-1].sum(axis=0, dtype=np.int64)
    radii = choose_radii(method, network, np.count_nonzero(kept), lambda: np.flatnonzero(occurring))
    return radii, histogram, np.minimum(radii, len(in_bin) - 1), kept, neurons, inside


def _count_generally(network, method, paths, neurons, centres):
    """Any radii: the paths are found once for the neurons to keep, once for the radii, and once to count."""
    _refuse_too_many_distances(network, method, paths, centres)
    inside = np.zeros(neurons.total, np.int64)
    for sources, targets, lengths, both_ways in _inside_window(paths, method):
        there = np.isfinite(lengths)
        inside[sources] += np.count_nonzero(there, axis=1)
        if both_ways:
            inside[targets] += np.count_nonzero(there, axis=0)
    kept = _kept(network, method, inside, centres)
    radii = choose_radii(
        method, network, np.count_nonzero(kept), lambda: _pool(_inside_window(paths, method), method, kept, inside)
    )
    reaching = radii if method.rounding else radii * (1 + ROUNDING)
    histogram = np.zeros((neurons.total, len(radii) + 1), np.uint32)
    for sources, targets, lengths, both_ways in _inside_window(paths, method):
        count_paths(lengths, reaching, sources, targets, both_ways, histogram)
    return radii, histogram, np.arange(len(radii)), kept, neurons, inside


def _refuse_too_many_distances(network, method, paths, centres):
    """Refuse radii="every" before all paths are found, where the distances from one neuron are too many already.

    Only where it is sure how many neurons are kept: both ways and without a window all that reach every other are.
    """
    if method.radii != "every" or method.window is not None or not isinstance(paths, GraphPaths):
        return
    if not _both_ways(network, method):
        return
    lengths = paths.lengths_from(paths.centres[0])
    lengths = lengths[np.isfinite(lengths)]
    if len(lengths) == paths.neurons - 1 >= method.minimum_connections:
        radii = distinct(np.rint(lengths) if method.rounding else lengths)
        refuse_too_many(network, len(radii), len(paths.centres))


def _inside_window(paths, method):
    """The tiles, rounded where the method asks for it, infinite outside the window."""
    low, high = method.window or (-1.0, NO_LIMIT)
    for sources, targets, lengths, both_ways in paths.tiles(high):
        there = (lengths > low) & (lengths <= high)
        yield sources, targets, np.where(there, np.rint(lengths) if method.rounding else lengths, np.inf), both_ways


def _pool(tiles, method, kept, inside):
    """The distances of the kept neurons in one list; above 4,194,304 of them those of every second, third, ... neuron.

    For radii="integer" the whole numbers that occur among all of them, which is all that this rule looks at; likewise
    for "every" the different distances.
    """
    look = {"integer": lambda lengths: np.unique(np.rint(lengths)), "every": distinct}.get(method.radii)
    chosen = np.zeros(len(kept), bool)
    chosen[np.flatnonzero(kept)[:: 1 if look else -(-int(inside[kept].sum()) // LARGEST_POOL)]] = True
    pooled = [np.empty(0)]
    for sources, targets, lengths, both_ways in tiles:
        parts = [lengths[chosen[sources]].ravel()] + [lengths[:, chosen[targets]].ravel()] * both_ways
        fresh = [part[np.isfinite(part)] for part in parts]
        pooled = [look(np.concatenate(pooled + fresh))] if look else pooled + fresh
    return np.concatenate(pooled)


def _kept(network, method, inside, centres):
    kept = inside >= method.minimum_connections
    if centres is not None:
        kept &= centres
    if kept.any():
        _refuse_pieces(network, method, inside, np.ones(len(inside), bool) if centres is None else centres)
        return kept
    window = f"{method.window[0]:g} < d <= {method.window[1]:g}" if method.window else "any distance"
    raise NeuroMFAError(
        f"{network.origin}: no usable neuron. The neurons have at most {inside.max()} others at a shortest-path "
        f"distance inside the window ({window}), and {method.minimum_connections} are asked for: widen the window or "
        "lower minimum_connections (method.replace(...)), or draw a larger sample"
    )


def _refuse_pieces(network, method, inside, centres):
    """Shares of a whole that most centres cannot reach would mix the dimension of a piece with the size of others."""
    shares = method.convention == "standard" or method.mass in ("total-share", "others-share")
    if not shares:
        return
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
            "the largest piece, graph.subgraph(max(networkx.connected_components(graph), key=len)), of a directed "
            "graph max(networkx.weakly_connected_components(graph), key=len)"
        )


def _both_ways(network, method):
    """Whether every path leads back, too."""
    return method.reach == "geodesic-undirected" or all(getattr(b, "both_ways", False) for b in network.blocks)
