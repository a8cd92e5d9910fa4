"""(b) The measures of a network of weights against its connections and paths, looked at one by one."""

import math
import statistics
from itertools import pairwise

import numpy as np

from ..blocks import FixedJoin, NeuronLayer, WeightBlock
from ..dimension import neuron_fractal_dimension
from ..emergence import degree_of_emergence
from ..fractals import ParetoFanOut
from ..geodesic import geodesic_distances
from ..method import GEODESIC, PAPER, PUBLISHED, SCALE_FREE
from ..network import NeuronNetwork
from ..sources.matrix import WeightMatrix
from ..study import analyze
from .held import ORDERS, Counted, bands_held_against, held_against, row, row_of_many
from .plain import plain_error_of_one, plain_line, plain_partition, plain_pulls, plain_slope

ANY = PAPER.replace(window=None, rounding=False, minimum_connections=1)


def _pareto():
    network, name = ParetoFanOut(1.5, 20, 300).network(), "Pareto fan-out 1.5, connections"
    distances = [of_neuron for _, of_neuron in _one_hop(network)]
    counted = _counted(_one_hop(network), PAPER)
    spectrum = analyze(network, PAPER.replace(q=ORDERS))
    rows = held_against(name, spectrum, counted)
    x = [math.log(r) for r in counted.radii]
    curves = [(x, masses) for masses in zip(*counted.masses, strict=True)]
    slopes = [plain_slope(x, [math.log(mass) for mass in masses]) for x, masses in curves]
    rows.append(row(name, "alpha0, mean dimension", None, math.fsum(slopes) / len(slopes), spectrum.alpha0))
    rows += _dimensions(name, "common radii", curves, neuron_fractal_dimension(network))
    curves = [_own_curve([round(d) for d in of_neuron if 0 < d <= 200]) for of_neuron in distances]
    return rows + _dimensions(name, "own radii", curves, neuron_fractal_dimension(network, grid="own"))


def _dimensions(name, grid, curves, table):
    """Rows for the dimension of every neuron, its r2 and its error, from its curve (ln r, N(r))."""
    lines = [plain_line(x, [math.log(mass) for mass in masses]) for x, masses in curves]
    rows = [row(name, f"neurons, {grid}", None, len(lines), len(table))]
    if len(lines) != len(table):
        return rows
    found = zip(lines, table["dimension"], table["r2"], strict=True)
    for line, dimension, r2 in found:
        rows.append(row(name, f"dimension, {grid}", None, line.slope, dimension))
        rows.append(row(name, f"r2 of it, {grid}", None, line.r2, r2))
    errors = [plain_error_of_one(*curve) for curve in curves]
    rows.append(row_of_many(name, f"errors of it, {grid}", None, errors, table["error"]))
    rows.append(row_of_many(name, f"radii of it, {grid}", None, [len(x) for x, _ in curves], table["radii"]))
    return rows


def _own_curve(distances):
    radii = sorted({d for d in distances if d > 0})
    return [math.log(r) for r in radii], [1 + sum(d <= r for d in distances) for r in radii]


def _network():
    network = _transformer()
    counted = _counted(_one_hop(network), PAPER)
    rows = held_against("network, connections", analyze(network, PAPER.replace(q=ORDERS)), counted)
    rows += _scale_free(network, [20.0, 40.5, 90.0]) + _forward(network, counted) + _some_centres(network)
    for reach in ("geodesic", "geodesic-undirected"):
        paths = _paths(network, reach)
        spectrum = analyze(network, GEODESIC.replace(reach=reach, q=ORDERS))
        rows += held_against(f"network, {reach}", spectrum, _counted(paths, GEODESIC))
        method = ANY.replace(reach=reach, radii=(20.0, 40.5, 90.0), q=ORDERS)
        spectrum = analyze(network, method)
        rows += held_against(f"network, {reach}, not rounded", spectrum, _counted(paths, method, method.radii))
        rows.append(_distances(network, reach))
    rows += _edges() + _choices()
    exact = 0.5 / 0.4 * (math.log(1.6) - math.log(1.2))
    return [*rows, row("E", "E(1.2, 0.5; 1.6, 0.4)", None, exact, degree_of_emergence(1.2, 0.5, 1.6, 0.4))]


def _some_centres(network):
    """Every other neuron of two layers as centres: a band compares the chosen ones of a layer alone."""
    radii, every = (20.0, 40.5, 90.0), _one_hop(network)
    of_input, of_wide = every[:8:2], every[-20::2]
    counted = _counted([*of_input, *of_wide], ANY, radii)
    connections = [sum(len(distances) for _, distances in part) for part in (of_input, of_wide, every)]
    counted = counted._replace(
        total=len(every),
        inside=counted.inside * sum(connections[:2]) / connections[2],
        groups=[0] * len(of_input) + [1] * len(of_wide),
        sizes={0: len(of_input), 1: len(of_wide)},
    )
    places = [*range(0, 8, 2), *range(48, 68, 2)]  # the wide layer comes after six of eight neurons
    spectrum = analyze(network, ANY.replace(radii=radii, q=ORDERS), centres=places)
    return held_against("network, some centres", spectrum, counted)


def _distances(network, reach):
    """All shortest paths, lengths over the median of their matrix."""
    import networkx as nx

    graph = network.to_networkx()
    for block in network.weight_blocks:
        unit = statistics.median(1 / abs(w) for w in block.weights().astype(np.float64).ravel().tolist())
        for _, _, edge in graph.edges(data=True):
            edge["distance"] /= unit if edge["role"] == block.role else 1.0
    away = dict(
        nx.all_pairs_dijkstra_path_length(
            graph.to_undirected() if reach == "geodesic-undirected" else graph, weight="distance"
        )
    )
    exact = [away[a].get(b, -1.0) for a in graph for b in graph]
    measured = geodesic_distances(network, SCALE_FREE.replace(reach=reach))
    measured = np.where(np.isinf(measured), -1.0, measured)
    return row_of_many(f"network, {reach}, scale-free", "distances", None, exact, measured)


def _edges():
    """The same connections as a list of edges."""
    network = ParetoFanOut(1.5, 12, 30).network()
    weights = network.blocks[0].weights()
    targets, sources = (place.ravel() for place in np.indices(weights.shape))
    listed = NeuronNetwork.from_edges(sources, 12 + targets, weights.ravel())
    rows, distances = [], _one_hop(network) + [(number, []) for number in range(12, 42)]
    for method in (PAPER, ANY.replace(radii=(30.0, 60.5, 100.0, 140.0))):
        counted = _counted(distances, method, method.radii if isinstance(method.radii, tuple) else None)
        rows += held_against(
            f"list of edges, {method.radii}", analyze(listed, method.replace(q=ORDERS)), counted
        )
    return rows


def _choices():
    """The numbers that the authors' code chooses, stated here once more, and distances on either side of each.

    Neuron 0 has 11 distances with 1 < d <= 150 and is kept, neurons 1 and 2 have 10 and are not; for the dimension on
    own radii, 0 < d <= 200, neuron 1 is kept as well.
    """
    name = "published choices"
    stated = PAPER.replace(window=(1, 150), rounding=True, minimum_connections=11)
    near = [3.0, 5.0, 8.0, 12.0, 20.0, 33.0, 54.0, 90.0, 140.0]
    lengths = [[0.995, 1.005, *near, 149.0, 151.0, 199.0, 201.0], [*near, 149.0, 151.0], [*near, 149.0, 201.0]]
    lengths += [list(map(float, range(2, 22))), [1.5 * d for d in range(2, 22)]]
    sources = np.repeat(np.arange(5), list(map(len, lengths)))
    ends = 5 + np.arange(len(sources))
    network = NeuronNetwork.from_edges(sources, ends, 1 / np.concatenate(lengths))
    distances = list(enumerate(lengths)) + [(number, []) for number in ends.tolist()]
    counted = _counted(distances, stated)
    rows = held_against(name, analyze(network, PAPER.replace(q=ORDERS)), counted)
    tenths = [tenth / 10 for tenth in range(-30, 31)]
    rows.append(row_of_many(name, "all orders", None, tenths, analyze(network, PAPER).q))
    own = [[round(d) for d in of_neuron if 0 < d <= 200] for of_neuron in lengths]
    curves = [_own_curve(of_neuron) for of_neuron in own if len(of_neuron) > 10]
    return rows + _dimensions(name, "own radii", curves, neuron_fractal_dimension(network, grid="own"))


def _transformer(hidden=8, wide=20):
    """One block: input -> query, key, value -> attention output -> middle -> wide -> output; Gaussian weights."""
    draw = np.random.default_rng(0)
    names = ["input", "query", "key", "value", "attention", "middle", "wide", "output"]
    layers = [NeuronLayer(name, wide if name == "wide" else hidden) for name in names]
    joins = [("input", part) for part in ("query", "key", "value")]
    joins += [("attention", "middle"), ("middle", "wide"), ("wide", "output")]
    blocks = []
    for source, target in joins:
        ends = names.index(source), names.index(target)
        weights = draw.standard_normal((len(layers[ends[1]]), len(layers[ends[0]]))).astype(np.float32) / 16
        name = f"{source} to {target}"
        blocks.append(WeightBlock(name, name, *ends, WeightMatrix.from_array(name, weights)))
    for part in ("query", "key", "value"):
        kind = "one-to-one" if part == "query" else "all-to-all"
        ends = names.index(part), names.index("attention")
        blocks.append(FixedJoin(f"attend {part}", "attention", *ends, kind, (hidden, hidden)))
    return NeuronNetwork(layers, blocks)


def _one_hop(network, divide=False):
    """[(number in its layer, distances of its connections)] of every neuron with outgoing weights.

    Args:
        divide: by the median of the matrix.
    """
    found = []
    for layer, sources in enumerate(network.layers):
        blocks = [block for block in network.weight_blocks if block.source == layer]
        for number in range(len(sources)) if blocks else ():
            distances = []
            for block in blocks:
                weights = block.weights().astype(np.float64).tolist()
                unit = statistics.median(1 / abs(w) for of_target in weights for w in of_target) if divide else 1.0
                distances += [1 / abs(of_target[number]) / unit for of_target in weights]
            found.append((number, distances))
    return found


def _paths(network, reach):
    """[(number in its layer, distance to every neuron of the layers that its own leads to)], Dijkstra by networkx."""
    import networkx as nx

    graph = network.to_networkx()
    names = [layer.name for layer in network.layers]
    layers = nx.DiGraph((names[block.source], names[block.target]) for block in network.blocks)
    if reach == "geodesic-undirected":
        graph, layers = graph.to_undirected(), layers.to_undirected()
    found = []
    for node in graph:
        onwards = nx.descendants(layers, node[0]) | ({node[0]} if not layers.is_directed() else set())
        away = nx.single_source_dijkstra_path_length(graph, node, weight="distance")
        there = [away.get(other, math.inf) for other in graph if other != node and other[0] in onwards]
        found.append((node[1], there))
    return found


def _counted(distances, method, radii=None):
    """Counted, of [(number, distances)]: the paper's shares of own final masses."""
    low, high = method.window or (0.0, math.inf)
    inside = [[d for d in of_neuron if low < d <= high and d < math.inf] for _, of_neuron in distances]
    inside = [[round(d) for d in of_neuron] if method.rounding else of_neuron for of_neuron in inside]
    kept = [number for number, of_neuron in enumerate(inside) if len(of_neuron) >= method.minimum_connections]
    radii = sorted({d for number in kept for d in inside[number]}) if radii is None else list(radii)
    masses = [[1 + sum(d <= r for d in inside[number]) for number in kept] for r in radii]
    shares = [[a / b for a, b in zip(of_radius, masses[-1], strict=True)] for of_radius in masses]
    share = sum(len(inside[number]) for number in kept) / sum(len(of_neuron) for _, of_neuron in distances)
    weights, centres = [[1.0] * len(kept)] * len(radii), [distances[number][0] for number in kept]
    layers = _layers([number for number, _ in distances])
    groups = [layers[number] for number in kept]
    sizes = {group: layers.count(group) for group in groups}
    return Counted(radii, masses, shares, weights, centres, len(distances), share, False, groups, sizes)


def _layers(numbers):
    """The layer of every neuron, by their numbers, which begin anew in each."""
    layers = [0]
    for before, number in pairwise(numbers):
        layers.append(layers[-1] + (number <= before))
    return layers


def _scale_free(network, radii):
    """Distances over the median of their matrix, on radii between two quantiles; and any distance on given radii."""
    distances = _one_hop(network, divide=True)
    pooled = sorted(d for _, of_neuron in distances for d in of_neuron)
    low, high = (_quantile(pooled, share) for share in (0.02, 0.90))
    spaced = [low * (high / low) ** (step / 19) for step in range(20)]
    spectrum = analyze(network, SCALE_FREE.replace(q=ORDERS))
    rows = held_against("network, scale-free", spectrum, _counted(distances, SCALE_FREE, spaced))
    spectrum = analyze(network, ANY.replace(radii=radii, q=ORDERS))
    return rows + held_against("network, not rounded", spectrum, _counted(_one_hop(network), ANY, radii))


def _quantile(ascending, share):
    """Between two numbers on a straight line."""
    place = share * (len(ascending) - 1)
    below = math.floor(place)
    return ascending[below] + (place - below) * (ascending[below + 1] - ascending[below])


def _forward(network, counted):
    """The authors' difference quotients."""
    spectrum, name, rows = analyze(network, PUBLISHED.replace(q=ORDERS)), "network, published", []
    x = [math.log(r / counted.radii[-1]) for r in counted.radii]
    tau = [plain_line(x, plain_partition(counted.shares, counted.weights, q)[0]).slope for q in ORDERS]
    alpha = [(tau[k + 1] - tau[k]) / (ORDERS[k + 1] - ORDERS[k]) for k in range(len(ORDERS) - 1)]
    f = [ORDERS[k] * alpha[k] - tau[k] for k in range(len(alpha))]
    for k, q in enumerate(ORDERS[:-1]):
        rows.append(row(name, "alpha", q, alpha[k], spectrum.alpha[k]))
        rows.append(row(name, "f", q, f[k], spectrum.f[k]))
    # f is 0 in both intervals around q = 0, and nowhere above: the first of the two counts
    rows.append(row(name, "alpha0", None, alpha[ORDERS.index(0.0) - 1], spectrum.alpha0))
    rows.append(row(name, "width", None, max(alpha) - min(alpha), spectrum.width))
    of_tau = [plain_pulls(x, counted.shares, counted.weights, q, q == 0)[0] for q in ORDERS]
    steps = [[b - a for a, b in zip(*each, strict=True)] for each in pairwise(of_tau)]
    of_alpha = [[step / (b - a) for step in each] for each, (a, b) in zip(steps, pairwise(ORDERS), strict=True)]
    pulls = list(zip(of_tau, of_alpha, strict=False))
    return rows + bands_held_against(name, spectrum, counted, pulls, alpha, ORDERS.index(0.0) - 1)


SECTIONS = {"pareto": _pareto, "network": _network}
