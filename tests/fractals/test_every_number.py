"""Every number that a Spectrum and the dimensions of neurons hold, over every kind of object and choice: plain loops.

CASES counts masses one by one, by formulas of the object or by networkx, and puts them through the oracle. Spoiling one
number after another of the package (test_mutants.py) asks whether one of them or `verify` notices.
"""

import math
import statistics
from itertools import pairwise, product
from typing import NamedTuple

import networkx as nx
import numpy as np
import oracle
import pytest

from neuromfa_lite import (
    GEODESIC,
    ONE_GRAPH,
    PAPER,
    PUBLISHED,
    SANDBOX,
    SCALE_FREE,
    NeuronNetwork,
    analyze,
    box_counting,
    neuron_fractal_dimension,
)
from neuromfa_lite.fractals import Cascade, Flower, Lattice, ParetoFanOut, Ring, WeightedFractal
from neuromfa_lite.masses import geodesic_distances
from neuromfa_lite.network import NeuronLayer
from neuromfa_lite.network.connections import Dense, Fixed
from neuromfa_lite.weights.matrix import WeightMatrix

Q = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0)
ANY = PAPER.replace(window=None, rounding=False, minimum_connections=1)
NINETY = 1.6448536269514722  # standard deviations of a normal variable on either side hold 90 % of it
ROUNDING = 1e-9


class Counted(NamedTuple):
    """The masses of an object, counted exactly, and what they are shares of.

    radii: list; masses: for each radius the list of masses of all centres, None for boxes; shares, weights: the same of
    mu_i and w_i in Z_q = sum_i w_i mu_i^q, of q - 1 in place of q where ``balls``; centres: their positions; total:
    neurons there are; inside: share of the connections inside the window that leave a centre; groups: of every centre,
    those that a band compares with each other; sizes: {group: how many it has}, those that are no centre included.
    """

    radii: list
    masses: list | None
    shares: list
    weights: list
    centres: list | None
    total: int
    inside: float = 1.0
    balls: bool = True
    groups: list | None = None
    sizes: dict | None = None


def of_nodes(radii, balls, nodes, centres):
    """Balls of a graph, alike around all centres, as shares of the largest."""
    n = len(centres)
    shares = [[mass / max(balls)] * n for mass in balls]
    return Counted(
        list(radii), [[mass] * n for mass in balls], shares, [[1 / n] * n] * len(balls), centres, nodes, n / nodes
    )


def of_measure(radii, masses):
    """Balls around all boxes of a measure, the masses of the first radius their weights."""
    shares = [[mass / max(map(max, masses)) for mass in of_radius] for of_radius in masses]
    n = len(masses[0])
    return Counted(radii, masses, shares, [masses[0]] * len(radii), list(range(n)), n)


def shares_of_own(masses):
    return [[a / b for a, b in zip(of_radius, masses[-1], strict=True)] for of_radius in masses]


def same(what, exact, measured):
    """All numbers, absolutely where they are below 1 and else relatively."""
    exact, measured = (np.ravel(np.asarray(values, np.float64)) for values in (exact, measured))
    assert exact.shape == measured.shape, f"{what}: {measured.size} in place of {exact.size}"
    off = np.abs(measured - exact) / np.maximum(1, np.abs(exact))
    assert (off <= ROUNDING).all(), f"{what}: off by {off.max():g}"


def same_ratio(what, exact, measured):
    """The same for numbers so small that one per cent of them would pass."""
    exact, measured = np.ravel(exact), np.ravel(measured)
    assert exact.shape == measured.shape and ((exact == 0) == (measured == 0)).all(), what
    same(what, np.ones(exact.size), np.divide(measured, exact, out=np.ones(exact.size), where=exact != 0))


def held_against(spectrum, counted, method):
    """Hold everything that a Spectrum of the orders Q says against plain loops over counted masses."""
    given = isinstance(method.scaling_range, tuple)
    low, high = method.scaling_range if given else (0.0, math.inf)
    fitted = [k for k, radius in enumerate(counted.radii) if low <= radius <= high]
    x = oracle.relative_log_radii(counted.radii)

    def near(values):
        return [values[k] for k in fitted]

    standard, bends, r2, tau, alpha, pulls = spectrum.convention == "standard", [], [], [], [], []
    for number, q in enumerate(Q):
        log_z, mean_log = oracle.partition(counted.shares, counted.weights, q - counted.balls)
        flat = q == standard
        tau.append(0.0 if flat else oracle.slope(near(x), near(log_z)))
        alpha.append(oracle.slope(near(x), near(mean_log)))
        r2.append(oracle.r2(near(x), near(mean_log if flat else log_z)))
        same(f"ln Z_{q}", log_z, spectrum.log_partition[number])
        same(f"residuals at {q}", oracle.residuals(x, log_z, fitted), spectrum.residuals[number])
        if abs(q - standard) >= 0.5:
            bends.append(oracle.bend(near(x), near(log_z)))
        if q == 0:
            bends.append(oracle.bend(near(x), near(mean_log)))
        if spectrum.masses is not None:
            given = near(x), near(counted.shares), near(counted.weights)
            pulls.append(oracle.pulls(*given, q - counted.balls, flat))
    same("tau", tau, spectrum.tau)
    if standard:
        D = [a if q == 1 else t / (q - 1) for q, t, a in zip(Q, tau, alpha, strict=True)]
        same("dimension", D, spectrum.dimension)
    zero = Q.index(0.0)
    if method.derivative == "forward":
        alpha = [(b - a) / (d - c) for (a, b), (c, d) in zip(pairwise(tau), pairwise(Q), strict=True)]
        zero -= 1  # f is 0 in both intervals around q = 0, and nowhere above: the first of the two counts
    f = [q * a - t for q, t, a in zip(Q, tau, alpha, strict=False)]
    exact = {"alpha": alpha, "f": f, "alpha0": alpha[zero], "width": max(alpha) - min(alpha), "q": Q, "r2": min(r2)}
    exact |= {"r2_by_q": r2, "curvature": max(bends, key=abs), "radii": counted.radii, "share_inside": counted.inside}
    ends = near(counted.radii)
    exact |= {"scaling_range": (ends[0], ends[-1]), "neurons_total": counted.total}
    exact["neurons_used"] = counted.total if counted.centres is None else len(counted.centres)
    for name, value in exact.items():
        same(name, value, getattr(spectrum, name))
    assert spectrum.quality.radii == len(fitted)
    if spectrum.masses is not None:
        same("centres", counted.centres, spectrum.masses.number)
        same_ratio("masses", np.transpose(counted.masses), spectrum.masses.counts)
        if spectrum.masses.weight is not None:  # a measure: the smallest balls are the boxes themselves
            same_ratio("weights", counted.masses[0], spectrum.masses.weight)
        bands_held_against(spectrum, counted, pulls, alpha)


def bands_held_against(spectrum, counted, pulls, alpha):
    """Hold the bands of all exponents against the spread of what each centre pulls."""
    groups = counted.groups or [0] * len(counted.centres)
    sizes = counted.sizes or {group: groups.count(group) for group in groups}
    if max(map(groups.count, groups)) < 2 or len(groups) < 10:
        assert spectrum.band("tau") is None
        return
    of_tau, of_alpha = map(list, zip(*pulls, strict=True))
    zero = Q.index(0.0)
    if len(alpha) < len(Q):  # differences
        of_alpha = [np.subtract(b, a) / (d - c) for (a, b), (c, d) in zip(pairwise(of_tau), pairwise(Q), strict=True)]
        zero -= 1
    of_f = [q * np.array(a) - t for q, t, a in zip(Q, of_tau, of_alpha, strict=False)]
    of_width = np.subtract(of_alpha[alpha.index(max(alpha))], of_alpha[alpha.index(min(alpha))])
    for name, pulled in (("tau", of_tau), ("alpha", of_alpha), ("f", of_f)):
        half = [NINETY * oracle.standard_error(list(each), groups, sizes) for each in pulled]
        value = getattr(spectrum, name)
        same(f"band of {name}", [value - half, value + half], spectrum.band(name))
    for name, pulled in (("alpha0", of_alpha[zero]), ("width", of_width)):
        value, half = getattr(spectrum, name), NINETY * oracle.standard_error(list(pulled), groups, sizes)
        same(f"band of {name}", [value - half, value + half], spectrum.band(name))


def measured(thing, method, counted, **choices):
    method = method.replace(q=Q, name=method.name)
    held_against(analyze(thing, method, **choices), counted, method)


# --- graphs and measures -----------------------------------------------------------------------------------------


def lattice():
    thing, radii = Lattice((41, 41)), list(range(3, 19))
    centres = thing.centres(18).tolist()
    counted = of_nodes(radii, [2 * r * r + 2 * r + 1 for r in radii], thing.nodes, centres)
    for method in (SANDBOX, SANDBOX.replace(scaling_range=(5, 12))):
        measured(thing, method.replace(radii=radii), counted, centres=centres)


def ring():
    """Every node without itself, k r; and with itself, 1 + k r."""
    thing, radii = Ring(300, 6), list(range(1, 50))
    counted = of_nodes(radii, [6 * r + 1 for r in radii], 300, list(range(300)))
    shares, weights = [[r / 49] * 300 for r in radii], [[1.0] * 300] * 49
    measured(thing, ONE_GRAPH.replace(radii=radii), counted._replace(shares=shares, weights=weights, balls=False))
    counted = of_nodes(radii, [6 * r + 1 for r in radii], 300, [0, 100])
    measured(thing, SANDBOX.replace(radii="natural"), counted, centres=[0, 100])


def flower():
    thing = Flower(2, 3, 4)
    farthest = next(r for r in range(thing.nodes) if thing.exact_ball(r) >= thing.nodes)
    radii, hubs = list(range(1, farthest + 1)), thing.centres().tolist()
    counted = of_nodes(radii, [thing.exact_ball(r) for r in radii], thing.nodes, hubs)
    measured(thing, SANDBOX, counted, centres=hubs)
    measured(thing, SANDBOX.replace(mass="final-share"), counted, centres=hubs)  # all reach every node


def weighted():
    for scales in ((1 / 2,) * 3, (0.5, 0.25)):
        thing = WeightedFractal(scales, 6)
        radii = thing.natural_radii().tolist()
        counted = of_nodes(radii, [thing.exact_ball(r) for r in radii], thing.nodes, [0])
        measured(thing, SANDBOX.replace(radii="natural"), counted, centres=thing.centres())
    small = WeightedFractal((0.5, 0.25), 4).graph()
    away = dict(nx.all_pairs_dijkstra_path_length(small, weight="distance"))
    exact = [away[a][b] for a in small for b in small]
    same("distances", exact, geodesic_distances(NeuronNetwork.from_networkx(small), SANDBOX))


def cascade():
    """Balls on three grids of radii, and each ball as a share of the last of its own centre."""
    thing = Cascade([0.3, 0.7], 6)
    every = list(range(thing.boxes // 2))
    spaced = {math.floor(0.5 * (every[-1] / 0.5 + 1) ** (step / 19) - 0.5 + 1e-9) for step in range(20)}
    for rule, reaches in (("natural", [0, 1, 3, 7, 15]), ("every", every), ("log-spaced", sorted(spaced))):
        radii = [r + 0.5 for r in reaches]
        masses = [[thing.exact_ball(centre, r) for centre in range(thing.boxes)] for r in reaches]
        counted = of_measure(radii, masses)
        measured(thing, SANDBOX.replace(radii=rule), counted)
        if rule == "natural":
            ones = [[1.0] * thing.boxes] * len(radii)
            counted = counted._replace(shares=shares_of_own(masses), weights=ones, balls=False)
            measured(thing, SANDBOX.replace(radii=radii, convention="paper", mass="final-share"), counted)


def grid():
    """Squares on the product of two cascades: their mass is the product of the masses of two intervals."""
    down, across, reaches = Cascade([0.3, 0.7], 4), Cascade([0.2, 0.5, 0.3], 3), [0, 1, 2, 5, 7]
    masses = []
    for r in reaches:
        columns = [across.exact_ball(centre, r) for centre in range(across.boxes)]
        masses.append([down.exact_ball(centre, r) * column for centre in range(down.boxes) for column in columns])
    radii = [r + 0.5 for r in reaches]
    measure = np.multiply.outer(down.measure(), across.measure())
    measured(measure, SANDBOX.replace(radii=radii), of_measure(radii, masses))


def boxes():
    """Of a cascade; and greedy ones of a star, whose rays are 2 apart, so that boxes of size 2 hold one each."""
    thing, method = Cascade([0.1, 0.2, 0.3, 0.4], 5), SANDBOX.replace(q=Q)
    mass = [[math.prod(shares) for shares in product(thing.p, repeat=level)] for level in range(5, 0, -1)]
    number = [[1] * len(each) for each in mass]
    counted = Counted([4.0**level for level in range(5)], None, mass, number, None, sum(number[0]), balls=False)
    held_against(box_counting(thing, method=method), counted, method)
    star = nx.star_graph(9)
    nx.set_edge_attributes(star, 1.0, "distance")
    mass = [[0.1] * 10, [0.2] + [0.1] * 8, [1.0]]
    counted = Counted([1.0, 2.0, 2.015], None, mass, [[1] * len(each) for each in mass], None, 10, balls=False)
    held_against(box_counting(star, counted.radii, method=method), counted, method)


# --- networks of weights -----------------------------------------------------------------------------------------


def transformer(hidden=8, wide=20):
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
        blocks.append(Dense(name, name, *ends, WeightMatrix.from_array(name, weights)))
    for part in ("query", "key", "value"):
        kind = "one-to-one" if part == "query" else "all-to-all"
        ends = names.index(part), names.index("attention")
        blocks.append(Fixed.of_kind(f"attend {part}", "attention", *ends, kind, (hidden, hidden)))
    return NeuronNetwork(layers, blocks)


def one_hop(network, divide=False):
    """[(number in its layer, distances of its connections)] of every neuron with outgoing weights."""
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


def by_paths(network, reach):
    """[(number in its layer, distance to every neuron of the layers that its own leads to)], Dijkstra by networkx."""
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


def counted_in(distances, method, radii=None):
    """Counted, of [(number, distances)]: the paper's shares of own final masses, compared within layers."""
    low, high = method.window or (0.0, math.inf)
    inside = [[d for d in of_neuron if low < d <= high and d < math.inf] for _, of_neuron in distances]
    inside = [[round(d) for d in of_neuron] if method.rounding else of_neuron for of_neuron in inside]
    kept = [number for number, of_neuron in enumerate(inside) if len(of_neuron) >= method.minimum_connections]
    radii = sorted({d for number in kept for d in inside[number]}) if radii is None else list(radii)
    masses = [[1 + sum(d <= r for d in inside[number]) for number in kept] for r in radii]
    share = sum(len(inside[number]) for number in kept) / sum(len(of_neuron) for _, of_neuron in distances)
    weights, centres = [[1.0] * len(kept)] * len(radii), [distances[number][0] for number in kept]
    layers = [0]
    for (before, _), (number, _) in pairwise(distances):
        layers.append(layers[-1] + (number <= before))  # numbers begin anew in each layer
    groups = [layers[number] for number in kept]
    sizes = {group: layers.count(group) for group in groups}
    return Counted(radii, masses, shares_of_own(masses), weights, centres, len(distances), share, False, groups, sizes)


def dimensions(curves, table):
    """Hold the dimension of every neuron, its r2 and its error against its curve (radii, N(r))."""
    logs = [([math.log(r) for r in radii], [math.log(n) for n in curve]) for radii, curve in curves]
    same("dimension", [oracle.slope(*each) for each in logs], table["dimension"])
    same("r2", [oracle.r2(*each) for each in logs], table["r2"])
    same("errors", [oracle.error_of_one_dimension(*each) for each in curves], table["error"])
    assert table["radii"].tolist() == [len(radii) for radii, _ in curves]


def own_curve(lengths):
    """A neuron's curve on its own radii, 0 < d <= 200; None for one of too few connections."""
    rounded = [round(d) for d in lengths if 0 < d <= 200]
    radii = sorted(set(rounded) - {0})
    return (radii, oracle.mass_curve(rounded, radii)) if len(rounded) > 10 else None


def pareto():
    network = ParetoFanOut(1.5, 20, 300).network()
    counted = counted_in(one_hop(network), PAPER)
    measured(network, PAPER, counted)
    curves = [(counted.radii, masses) for masses in zip(*counted.masses, strict=True)]
    dimensions(curves, neuron_fractal_dimension(network))
    curves = [own_curve(lengths) for _, lengths in one_hop(network)]
    dimensions(curves, neuron_fractal_dimension(network, grid="own"))


def connections():
    """One hop: the paper's way, the authors' difference quotients, without rounding, in units of medians."""
    network = transformer()
    distances = one_hop(network)
    for method in (PAPER, PUBLISHED):
        measured(network, method, counted_in(distances, method))
    radii = (20.0, 40.5, 90.0)
    measured(network, ANY.replace(radii=radii), counted_in(distances, ANY, radii))
    relative = one_hop(network, divide=True)
    pooled = sorted(d for _, of_neuron in relative for d in of_neuron)
    spaced = oracle.log_radii(oracle.quantile(pooled, 0.02), oracle.quantile(pooled, 0.90))
    measured(network, SCALE_FREE, counted_in(relative, SCALE_FREE, spaced))


def paths():
    network = transformer()
    for reach in ("geodesic", "geodesic-undirected"):
        distances = by_paths(network, reach)
        measured(network, GEODESIC.replace(reach=reach), counted_in(distances, GEODESIC))
        radii = (20.0, 40.5, 90.0)
        measured(network, ANY.replace(reach=reach, radii=radii), counted_in(distances, ANY, radii))
        graph = network.to_networkx()
        for block in network.weight_blocks:
            unit = statistics.median(1 / abs(w) for w in block.weights().astype(np.float64).ravel().tolist())
            for _, _, edge in graph.edges(data=True):
                edge["distance"] /= unit if edge["role"] == block.role else 1.0
        graph = graph.to_undirected() if reach == "geodesic-undirected" else graph
        away = dict(nx.all_pairs_dijkstra_path_length(graph, weight="distance"))
        found = geodesic_distances(network, SCALE_FREE.replace(reach=reach))
        exact = [away[a].get(b, -1.0) for a in graph for b in graph]
        same("scale-free distances", exact, np.where(np.isinf(found), -1.0, found))


def some_centres():
    """Every other neuron of two layers as centres: a band compares the chosen ones of a layer alone."""
    network, radii = transformer(), (20.0, 40.5, 90.0)
    every = one_hop(network)
    of_input, of_wide = every[:8:2], every[-20::2]
    counted = counted_in([*of_input, *of_wide], ANY, radii)
    chosen, there = (sum(len(lengths) for _, lengths in part) for part in ([*of_input, *of_wide], every))
    counted = counted._replace(total=len(every), inside=counted.inside * chosen / there)
    counted = counted._replace(groups=[0] * 4 + [1] * 10, sizes={0: 4, 1: 10})
    places = [*range(0, 8, 2), *range(48, 68, 2)]  # the wide layer comes after six of eight neurons
    measured(network, ANY.replace(radii=radii), counted, centres=places)


def edges():
    """The connections of a matrix as a list of edges."""
    network = ParetoFanOut(1.5, 12, 30).network()
    weights = network.blocks[0].weights()
    targets, sources = (place.ravel() for place in np.indices(weights.shape))
    listed = NeuronNetwork.from_edges(sources, 12 + targets, weights.ravel())
    distances = one_hop(network) + [(number, []) for number in range(12, 42)]
    radii = (30.0, 60.5, 100.0, 140.0)
    measured(listed, PAPER, counted_in(distances, PAPER))
    measured(listed, ANY.replace(radii=radii), counted_in(distances, ANY, radii))


def choices():
    """The numbers that the authors' code chooses, stated here once more, and distances on either side of each.

    Neuron 0 has 11 distances with 1 < d <= 150 and is kept, neurons 1 and 2 have 10 and are not; for the dimension on
    own radii, 0 < d <= 200, neuron 1 is kept as well.
    """
    stated = PAPER.replace(window=(1, 150), rounding=True, minimum_connections=11)
    near = [3.0, 5.0, 8.0, 12.0, 20.0, 33.0, 54.0, 90.0, 140.0]
    lengths = [[0.995, 1.005, *near, 149.0, 151.0, 199.0, 201.0], [*near, 149.0, 151.0], [*near, 149.0, 201.0]]
    lengths += [list(map(float, range(2, 22))), [1.5 * d for d in range(2, 22)]]
    sources = np.repeat(np.arange(5), list(map(len, lengths)))
    ends = 5 + np.arange(len(sources))
    network = NeuronNetwork.from_edges(sources, ends, 1 / np.concatenate(lengths))
    distances = list(enumerate(lengths)) + [(number, []) for number in ends.tolist()]
    measured(network, PAPER, counted_in(distances, stated))
    same("orders", oracle.PAPER_Q, analyze(network).q)
    curves = [curve for curve in map(own_curve, lengths) if curve]
    assert len(curves) == 4
    dimensions(curves, neuron_fractal_dimension(network, grid="own"))


CASES = (
    weighted,
    flower,
    choices,
    some_centres,
    connections,
    edges,
    lattice,
    boxes,
    grid,
    ring,
    paths,
    cascade,
    pareto,
)


@pytest.mark.parametrize("case", CASES)
def test_every_number_is_that_of_plain_loops(case):
    case()
