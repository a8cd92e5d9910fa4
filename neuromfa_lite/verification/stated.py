"""(a) The masses, sizes, radii and centres that objects state, and the graphs they make, against counting by hand."""

import math
from itertools import pairwise, product

import numpy as np

from ..fractals import Cascade, Flower, Lattice, ParetoFanOut, Ring, WeightedFractal
from .checks import compare, worst_ratio
from .formulas import TOLERANCE, lattice_balls, pareto_share, short


def _row(name, quantity, way, exact, measured):
    """A Check of a list of numbers: the one that is farthest off, relatively."""
    why = f"{way}; tolerance: that of all formulas"
    return compare("formula", name, quantity, None, worst_ratio(exact, measured), TOLERANCE, why)


def _cascade():
    rows, way = [], "every box of four levels by itself"
    for p in ((0.3, 0.7), (1 / 3, 0.0, 2 / 3), (0.1, 0.2, 0.3, 0.4)):
        cascade, name, b = Cascade(p, 4), f"cascade {short(p)}", len(p)
        boxes = {level: [math.prod(parts) for parts in product(p, repeat=level)] for level in range(5)}
        rows.append(_row(name, "number of boxes", way, [len(boxes[4])], [cascade.boxes]))
        rows.append(_row(name, "measure", way, boxes[4], cascade.measure().tolist()))
        for level in (None, 2, 3):
            mass, number = cascade.exact_boxes(level)
            exact = sorted(box for box in boxes[4 if level is None else level] if box > 0)
            own = sorted(float(m) for m, n in zip(mass, number, strict=True) for _ in range(n))
            rows.append(_row(name, f"boxes of level {4 if level is None else level}", way, exact, own))
        exact, own = [], []
        for centre, r in product(range(0, b**4, 5), (0, 1, 4, 20)):
            exact.append(math.fsum(boxes[4][max(centre - r, 0) : centre + r + 1]))
            own.append(cascade.exact_ball(centre, r))
        rows.append(_row(name, "balls", way, exact, own))
        halves = {max(r for r in range(b**level) if 2 * r + 1 <= b**level) + 0.5 for level in range(7)}
        way_of_radii = "the widest ball in a part of each level, tried one by one"
        rows.append(_row(name, "natural radii", way_of_radii, sorted(halves), Cascade(p, 7).natural_radii().tolist()))
    # numbers above 100, of which 1 % is not lost among whole numbers
    exact = sorted(math.prod(parts) for parts in product((0.3, 0.7), repeat=10))
    own = sorted(float(m) for m, n in zip(*Cascade((0.3, 0.7), 10).exact_boxes(), strict=True) for _ in range(n))
    return [*rows, _row("cascade (0.3, 0.7)", "boxes of level 10", "every box of ten levels by itself", exact, own)]


def _of_graph(name, way, thing, edges):
    """Rows for the nodes, the edges and the distances of an object's graph; edges: {(a, b): length}, made by hand.

    Nodes may be numbered in another way, so the sums of distances are compared in their order of size.
    """
    own = thing.graph()
    lengths = sorted(length for _, _, length in own.edges(data="distance"))
    rows = [_row(name, "number of nodes", way, [len({end for edge in edges for end in edge})], [thing.nodes])]
    rows.append(_row(name, "edges", way, sorted(edges.values()), lengths))
    rows.append(_row(name, "distances of nodes", way, _sums(_graph(edges)), _sums(own)))
    stated = own.graph["natural_radii"]
    rows.append(_row(name, "natural radii of graph", "those of the object", thing.natural_radii().tolist(), stated))
    return rows


def _graph(edges):
    import networkx as nx

    graph = nx.Graph()
    graph.add_weighted_edges_from(((a, b, length) for (a, b), length in edges.items()), weight="distance")
    return graph


def _away(graph, node):
    import networkx as nx

    return nx.single_source_dijkstra_path_length(graph, node, weight="distance")


def _sums(graph):
    return sorted(math.fsum(_away(graph, node).values()) for node in graph)


def _balls(graph, node, radii):
    away = _away(graph, node).values()
    return [sum(distance <= radius + 1e-9 for distance in away) for radius in radii]


def _flower():
    rows, way = [], "edge by edge as the definition says"
    for u, v in ((2, 2), (2, 3)):
        flower, name = Flower(u, v, 3), f"({u},{v})-flower"
        edges, radii = _flower_edges(u, v, 3), range(30)
        rows += _of_graph(name, way, flower, edges)
        balls = _balls(_graph(edges), 0, radii)
        rows.append(_row(name, "balls", way, balls, flower.exact_ball(radii).tolist()))
        rows.append(_row(name, "balls one by one", way, balls, [flower.exact_ball(r) for r in radii]))
        apart = [_away(_graph(_flower_edges(u, v, younger)), 0)[1] for younger in range(3)]
        rows.append(_row(name, "natural radii", way, apart, flower.natural_radii().tolist()))
        degrees = dict(flower.graph().degree())
        hubs = sorted(node for node, degree in degrees.items() if degree == max(degrees.values()))
        rows.append(_row(name, "centres", "nodes of the largest degree", hubs, flower.centres().tolist()))
    radii = range(0, 400, 7)
    balls = _balls(_graph(_flower_edges(2, 60, 2)), 0, radii)
    return [*rows, _row("(2,60)-flower", "balls", way, balls, Flower(2, 60, 2).exact_ball(radii).tolist())]


def _flower_edges(u, v, generation):
    edges, born = [(0, 1)], 2
    for _ in range(generation):
        longer = []
        for a, b in edges:
            for length in (u, v):
                longer += pairwise([a, *range(born, born + length - 1), b])
                born += length - 1
        edges = longer
    return dict.fromkeys(edges, 1.0)


def _weighted():
    rows, way = [], "copy by copy as the definition says"
    for scales in ((1 / 2,) * 3, (0.5, 0.25), (0.7, 0.4, 0.2)):
        network, name = WeightedFractal(scales, 4), f"weighted {short(scales)}"
        edges = _weighted_edges(scales, 4)
        rows += _of_graph(name, way, network, edges)
        diameters = _diameters(scales, 4)
        rows.append(_row(name, "diameters", "two sweeps of every copy", diameters, network.diameters().tolist()))
        rows.append(_row(name, "natural radii", "the diameters", diameters, network.natural_radii().tolist()))
        balls = _balls(_graph(edges), (), diameters)
        rows.append(_row(name, "balls", way, balls, network.exact_ball(diameters).tolist()))
        rows.append(_row(name, "balls one by one", way, balls, [network.exact_ball(r) for r in diameters]))
        own = _balls(network.graph(), network.centres().tolist()[0], diameters)
        rows.append(_row(name, "balls around the centre", way, balls, own))
    for known, copies, scale in ((WeightedFractal.sierpinski(2), 3, 1 / 2), (WeightedFractal.cantor_dust(2), 4, 1 / 5)):
        name, exact = f"{copies} copies of {scale:g}", math.log(copies) / math.log(1 / scale)
        rows.append(_row(name, "dimension", "ln s/ln(1/f)", [exact], [known.exact_dimension(0)]))
    return rows


def _weighted_edges(scales, generation):
    """The tree; a node is the way from the root, the numbers of the copies gone into."""
    edges = {}
    for depth in range(generation):
        for way in product(range(len(scales)), repeat=depth):
            length = math.prod(scales[copy] for copy in way)
            edges |= {(way, (*way, copy)): length for copy in range(len(scales))}
    return edges


def _diameters(scales, generation):
    """Diameters of all copies: of a tree, the farthest node from a node that is farthest from another."""
    found = []
    for own in range(1, generation + 1):
        tree, end = _graph(_weighted_edges(scales, own)), ()
        for _ in range(2):
            away = _away(tree, end)
            end = max(away, key=away.get)
        found += [away[end] * math.prod(way) for way in product(scales, repeat=generation - own)]
    # those that differ from the one before by rounding only are one
    return [b for a, b in pairwise([-1.0, *sorted(found)]) if b - a > 1e-9]


def _lattice():
    rows = []
    for dimension in (1, 2, 3):
        own = Lattice((25,) * dimension)
        way = "points within r - 1 steps and those of one dimension less, added up"
        name, balls = f"lattice in {dimension} dimensions", lattice_balls(dimension)
        rows.append(_row(name, "balls", way, balls, own.exact_ball(range(13)).tolist()))
        rows.append(_row(name, "balls one by one", way, balls, [own.exact_ball(r) for r in range(13)]))
        rows.append(_row(name, "dimension", "number of sides", [len(own.shape)], [own.dimension]))
    lattice, name, way = Lattice((5, 7)), "lattice of 5 x 7", "point by point"
    points = list(product(range(5), range(7)))
    pairs = [(a, b) for a, b in product(points, points) if a < b and abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1]
    rows += _of_graph(name, way, lattice, dict.fromkeys(pairs, 1.0))

    def inside(r):
        return [n for n, (i, j) in enumerate(points) if r <= i <= 4 - r and r <= j <= 6 - r]

    free = [r for r in range(1, 8) if inside(r)]
    rows.append(_row(name, "natural radii", way, free, lattice.natural_radii().tolist()))
    for r in (1, 2):
        rows.append(_row(name, f"centres for r = {r}", way, inside(r), lattice.centres(r).tolist()))
    line, name = Lattice((401,)), "lattice of 401"
    free = [r for r in range(1, 401) if r <= 400 - r]
    rows.append(_row(name, "natural radii", way, free, line.natural_radii().tolist()))
    inside = [i for i in range(401) if 150 <= i <= 400 - 150]
    return [*rows, _row(name, "centres for r = 150", way, inside, line.centres(150).tolist())]


def _ring():
    ring, way = Ring(50, 4), "nodes looked at one by one"
    steps = [-(-min(i, 50 - i) // 2) for i in range(50)]  # two nodes a step
    around = [sum(step <= r for step in steps) for r in range(16)]
    pairs = [(a, b) for a in range(50) for b in range(a + 1, 50) if steps[b - a] == 1]
    rows = _of_graph("ring", way, ring, dict.fromkeys(pairs, 1.0))
    rows.append(_row("ring", "balls", way, around, ring.exact_ball(range(16)).tolist()))
    rows.append(_row("ring", "balls one by one", way, around, [ring.exact_ball(r) for r in range(16)]))
    growing = [r for r in range(1, 16) if around[r] == around[r - 1] + 4]
    rows.append(_row("ring", "natural radii", "while every step adds 4 nodes", growing, ring.natural_radii().tolist()))
    rows.append(_row("ring", "centres", "every node", list(range(50)), ring.centres().tolist()))
    radii = (0, 1, 130, 200, 249, 250, 400)
    around = [sum(-(-min(i, 1000 - i) // 2) <= r for i in range(1000)) for r in radii]
    return [*rows, _row("ring of 1000", "balls", way, around, Ring(1000, 4).exact_ball(radii).tolist())]


def _pareto():
    rows, radii = [], (10, 50, 150)
    for exponent in (0.7, 2.0):
        fan, name = ParetoFanOut(exponent, 5, 20, seed=3), f"Pareto fan-out {exponent:g}"
        expected = [1 + 20 * pareto_share(exponent, r) for r in radii]
        way = "numerical integration of the density of the weights"
        rows.append(_row(name, "mean balls", way, expected, fan.expected_ball(radii).tolist()))
        rows.append(_row(name, "mean balls one by one", way, expected, [fan.expected_ball(r) for r in radii]))
        way = "the numbers that the seed draws, each a share of all distances"
        drawn = np.sort(1 - np.random.default_rng(3).random(100)).tolist()
        exact = [150 * share ** (1 / exponent) for share in drawn]
        for made in (fan.network(), fan.graph()):
            lengths = sorted(1 / abs(w) for w in made.blocks[0].weights().ravel().tolist())
            rows.append(_row(name, "distances", way, exact, lengths))
            sizes = sum(len(layer) for layer in made.layers)
            rows.append(_row(name, "number of nodes", "neurons and targets", [5 + 20, 25], [fan.nodes, sizes]))
    return rows


SECTIONS = {"cascade": _cascade, "flower": _flower, "weighted": _weighted, "lattice": _lattice}
SECTIONS |= {"ring": _ring, "pareto": _pareto}
