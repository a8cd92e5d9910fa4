"""Box counting: the standard way to a multifractal spectrum, as the contrast to balls."""

import numpy as np

from ..errors import NeuroMFAError, arguments
from ..kernels.partition import log_partition
from ..masses import geodesic_distances
from ..masses.balls import checked_measure, content_hash, known_object
from ..method import GEODESIC, ROUNDING, SANDBOX, refuse_no_method
from ..network import NeuronNetwork
from ..network.graphs import is_graph
from .partition import PartitionFunction
from .spectrum import spectrum_of_partition

LARGEST_COVERING = 1500  # nodes: the graph to be coloured has up to half their square of edges
SIZES_OF_GRAPH = 10


def box_counting(what, sizes=None, method=SANDBOX):
    """Compute the multifractal spectrum by boxes that cover the object once, instead of balls around its points.

    Z_q(s) = sum over the boxes of size s of mu^q, mu the share of the measure in a box; empty boxes are left out.
    tau(q) = slope of ln Z_q on ln s, so tau(1) = 0 and tau(0) = -D_0: the standard convention, whatever the method's.

    Args:
        what: measure on a line (n,) or a grid (m, n), networkx graph with edge attribute distance (all nodes have one
            mass; see :func:`greedy_boxes`), or an object of :mod:`neuromfa_lite.fractals`.
        sizes: of the boxes, increasing: whole numbers that divide the sides of the measure, or distances. None: powers
            of a cascade's base, or of the smallest number that divides the sides; at most ten of a graph's distances.
        method: Method; its q, scaling_range and derivative act here.

    Returns:
        Spectrum; its radii are the sizes.

    Raises:
        NeuroMFAError: sizes that do not tile the measure, a graph too large or in pieces, another object.

    Source: measures: T. C. Halsey et al., Phys. Rev. A 33, 1986; alpha: A. Chhabra and R. V. Jensen, Phys. Rev. Lett.
        62, 1989; graphs: C. Song, L. K. Gallos, S. Havlin and H. A. Makse, J. Stat. Mech. P03006, 2007.

    Example:
        >>> from neuromfa_lite.fractals import Cascade
        >>> cascade = Cascade([0.3, 0.7], levels=6)
        >>> box_counting(cascade, method=SANDBOX.replace(q=[-1, 2])).tau.round(6), cascade.exact_tau([-1, 2]).round(6)
        (array([-2.251539,  0.785875]), array([-2.251539,  0.785875]))
    """
    refuse_no_method(method)
    method = method.replace(convention="standard", name=f"boxes ({method.name})")
    base, (what, _) = getattr(what, "base", None), known_object(what)
    if is_graph(what):
        sizes, shares, source = _boxes_of_graph(what, sizes)
        content = NeuronNetwork.from_networkx(what).content_hash()
    elif isinstance(what, NeuronNetwork):
        raise NeuroMFAError("box_counting() covers graphs and measures: give network.to_networkx() of a small sample")
    else:
        measure = checked_measure(what)
        sizes, shares = _boxes_of_measure(measure, sizes, base)
        source, content = "measure", content_hash(measure)
    partition = _partition_of_boxes(sizes, shares, np.append(method.q, 0.0))
    return spectrum_of_partition(partition, method, source=source, hashed=content)


def _partition_of_boxes(sizes, shares, orders):
    log_z, mean_log = np.empty((len(orders), len(sizes))), np.empty((len(orders), len(sizes)))
    for number, share in enumerate(shares):
        row = (np.log(share)[None], orders, log_z[:, number : number + 1], mean_log[:, number : number + 1], None)
        log_partition(*row)
    log_z[orders == 1] = 0.0  # shares sum to 1 in any order of summation
    return PartitionFunction(np.array(sizes, np.float64), log_z[:-1], mean_log, len(shares[0]))


def _boxes_of_measure(measure, sizes, base):
    """(sizes, the shares in the boxes of each size that are not empty)."""
    if sizes is None:
        sizes = _powers(measure.shape, base)
    sizes = [int(size) if size.is_integer() else size for size in arguments.numbers("sizes", sizes).tolist()]
    whole = all(isinstance(size, int) and size > 0 for size in sizes)
    tiling = whole and not any(side % size for size in sizes for side in measure.shape)
    if not tiling or len(sizes) < 2 or sorted(set(sizes)) != sizes:
        raise NeuroMFAError(
            f"boxes of sizes {sizes} do not tile a measure of shape {measure.shape}: give at least two increasing "
            "whole numbers that divide its sides"
        )
    shares = []
    for size in sizes:
        cut = [part for side in measure.shape for part in (side // size, size)]
        boxes = measure.reshape(cut).sum(axis=tuple(range(1, len(cut), 2))).ravel()
        shares.append(boxes[boxes > 0] / measure.sum())
    return sizes, shares


def _powers(shape, base):
    divisor = np.gcd.reduce(shape)
    if base is None:
        base = next((number for number in range(2, int(divisor) + 1) if divisor % number == 0), 0)
    sizes = [1]
    while base and divisor % (sizes[-1] * base) == 0 and sizes[-1] * base < min(shape):
        sizes.append(sizes[-1] * base)
    return sizes


def greedy_boxes(graph, size, seed=0):
    """Cover a graph with boxes whose nodes are pairwise nearer than size.

    Nodes too far apart are joined in a second graph, whose greedy colouring, those with the most far ones first, is the
    covering. The fewest boxes are not guaranteed (that is as hard as colouring).

    Args:
        graph: connected networkx graph with edge attribute distance, at most 1500 nodes.
        size: box size l_B, in units of the distances.
        seed: of the order of nodes that are alike.

    Returns:
        dict from node to the number of its box, 0, 1, ...

    Raises:
        NeuroMFAError: a graph too large or in pieces, edges without a length, a size that is not positive.

    Source: C. Song, L. K. Gallos, S. Havlin and H. A. Makse, J. Stat. Mech. P03006, 2007.

    Example:
        >>> import networkx as nx
        >>> path = nx.path_graph(6)
        >>> nx.set_edge_attributes(path, 1.0, "distance")
        >>> len(set(greedy_boxes(path, 2).values()))
        3
    """
    boxes = _colour(_distances(graph), _size(size), arguments.seed(seed))
    return dict(zip(graph, boxes.tolist(), strict=True))


def _size(size):
    value = arguments.number(size)
    if not 0 < value < np.inf:
        raise NeuroMFAError(
            f"size={arguments.shown(size)}: a box needs a positive finite size, in units of the graph's distances"
        )
    return value


def _distances(graph):
    if not is_graph(graph):
        raise NeuroMFAError(f"graph must be a networkx graph, not {type(graph).__name__}")
    if len(graph) > LARGEST_COVERING:
        raise NeuroMFAError(
            f"covering {len(graph):,} nodes by boxes is too much (limit {LARGEST_COVERING:,}): use balls, "
            "analyze(graph, SANDBOX)"
        )
    network = NeuronNetwork.from_networkx(graph)
    distances = geodesic_distances(network, GEODESIC.replace(reach="geodesic-undirected"))
    if not np.isfinite(distances).all():
        raise NeuroMFAError(
            f"{network.origin} is in pieces, which no box can join: cover the largest one, "
            "graph.subgraph(max(networkx.connected_components(graph), key=len))"
        )
    return distances


def _colour(distances, size, seed):
    """(nodes,) the box of each node."""
    import networkx as nx

    apart = distances >= size * (1 - ROUNDING)
    far = nx.Graph()
    far.add_nodes_from(range(len(distances)))
    far.add_edges_from(zip(*(ends.tolist() for ends in np.nonzero(np.triu(apart, 1))), strict=True))
    shuffled = np.random.default_rng(seed).permutation(len(distances))
    order = shuffled[np.argsort(-apart.sum(axis=1)[shuffled], kind="stable")].tolist()
    boxes = nx.greedy_color(far, strategy=lambda graph, colours: order)
    return np.array([boxes[node] for node in range(len(distances))])


def _boxes_of_graph(graph, sizes):
    distances = _distances(graph)
    if sizes is None:
        every = np.unique(distances[distances > 0])
        picked = np.geomspace(every[0], every[-1], SIZES_OF_GRAPH)
        sizes = (
            every if len(every) <= SIZES_OF_GRAPH else np.unique(every[np.searchsorted(every, picked * (1 - 1e-12))])
        )
    sizes = [_size(size) for size in arguments.numbers("sizes", sizes).tolist()]
    if len(sizes) < 2 or sorted(set(sizes)) != sizes:
        raise NeuroMFAError(f"sizes={sizes}: give at least two increasing box sizes, in units of the distances")
    shares = [np.bincount(_colour(distances, size, seed=0)) / len(graph) for size in sizes]
    return sizes, shares, graph.name or "graph"
