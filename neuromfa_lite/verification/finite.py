"""(b) The estimators against masses of objects that can be counted exactly, put through a regression in plain loops."""

import math

import numpy as np

from ..boxes import box_counting
from ..fractals import Cascade, Flower, Lattice, Ring, WeightedFractal
from ..geodesic import geodesic_distances
from ..method import ONE_GRAPH, SANDBOX
from ..network import NeuronNetwork
from ..study import analyze
from .held import ORDERS, Counted, held_against, row, row_of_many


def _alike(values, centres):
    """The lists of all centres, where every one has the same masses."""
    return [[value] * centres for value in values]


def _lattice():
    lattice, radii = Lattice((41, 41)), list(range(3, 19))
    centres = lattice.centres(18).tolist()
    masses = _alike([2 * r * r + 2 * r + 1 for r in radii], len(centres))
    spectrum = analyze(lattice, SANDBOX.replace(radii=radii, q=ORDERS), centres=centres)
    counted = Counted.of_nodes(radii, masses, lattice.nodes, centres)
    rows = held_against("lattice, balls 2 r^2 + 2 r + 1", spectrum, counted)
    shorter = SANDBOX.replace(radii=radii, q=ORDERS, scaling_range=(5, 12))
    name = "lattice, radii 5 to 12 of these"
    return rows + held_against(name, analyze(lattice, shorter, centres=centres), counted, (5, 12))


def _ring():
    ring, radii = Ring(300, 6), list(range(1, 50))
    masses = _alike([6 * r + 1 for r in radii], ring.n)
    spectrum = analyze(ring, ONE_GRAPH.replace(radii=radii, q=ORDERS))
    counted = Counted.of_nodes(radii, masses, ring.n, list(range(ring.n)))
    shares, weights = _alike([r / 49 for r in radii], ring.n), _alike([1.0] * 49, ring.n)
    counted = counted._replace(shares=shares, weights=weights, balls=False)
    rows = held_against("ring without the node itself, k r", spectrum, counted)
    few = [0, 100]
    spectrum = analyze(ring, SANDBOX.replace(radii="natural", q=ORDERS), centres=few)
    counted = Counted.of_nodes(radii, _alike([6 * r + 1 for r in radii], 2), ring.n, few)
    return rows + held_against("ring with it, 1 + k r", spectrum, counted)


def _flower():
    flower = Flower(2, 3, 4)
    farthest = next(r for r in range(flower.nodes) if flower.exact_ball(r) >= flower.nodes)
    radii, hubs = list(range(1, farthest + 1)), flower.centres().tolist()
    masses = _alike([flower.exact_ball(r) for r in radii], len(hubs))
    spectrum = analyze(flower, SANDBOX.replace(q=ORDERS), centres=hubs)
    counted = Counted.of_nodes(radii, masses, flower.nodes, hubs)
    rows = held_against("(2,3)-flower, balls of hubs by recursion", spectrum, counted)
    spectrum = analyze(flower, SANDBOX.replace(mass="final-share", q=ORDERS), centres=hubs)
    return rows + held_against("(2,3)-flower, shares of last balls", spectrum, counted)  # all reach every node


def _weighted():
    import networkx as nx

    rows = []
    for scales in ((1 / 2,) * 3, (0.5, 0.25)):
        network = WeightedFractal(scales, 6)
        radii = network.diameters().tolist()
        spectrum = analyze(network, SANDBOX.replace(radii="natural", q=ORDERS), centres=network.centres())
        masses = _alike([network.exact_ball(r) for r in radii], 1)
        name = f"weighted ({', '.join(f'{scale:.3g}' for scale in scales)}), balls of the root"
        rows += held_against(name, spectrum, Counted.of_nodes(radii, masses, network.nodes, [0]))
    small = WeightedFractal((0.5, 0.25), 4).graph()
    exact = dict(nx.all_pairs_dijkstra_path_length(small, weight="distance"))
    exact = [exact[a][b] for a in small for b in small]
    measured = geodesic_distances(NeuronNetwork.from_networkx(small), SANDBOX)
    return [*rows, row_of_many("weighted (0.5, 0.25), paths by networkx", "distances", None, exact, measured)]


def _cascade():
    cascade, reaches = Cascade([0.3, 0.7], 6), [0, 1, 3, 7, 15]
    radii = [r + 0.5 for r in reaches]
    masses = [[cascade.exact_ball(centre, r) for centre in range(cascade.boxes)] for r in reaches]
    counted = Counted.of_measure(radii, masses)
    spectrum = analyze(cascade, SANDBOX.replace(radii="natural", q=ORDERS))
    rows = held_against("cascade (0.3, 0.7), balls", spectrum, counted)
    # Each ball as a share of the last of its own centre, all of equal weight: the paper's way with a measure.
    method = SANDBOX.replace(radii=radii, q=ORDERS, convention="paper", mass="final-share")
    shares = [[a / b for a, b in zip(of_radius, masses[-1], strict=True)] for of_radius in masses]
    counted = counted._replace(shares=shares, weights=_alike([1.0] * len(radii), cascade.boxes), balls=False)
    rows += held_against("cascade (0.3, 0.7), shares of last balls", analyze(cascade, method), counted)
    return rows + _radii_of_a_measure(cascade) + _grid() + _boxes() + _star()


def _radii_of_a_measure(cascade):
    """The two rules for radii that a measure has: all below half its length, and about 20 of these."""
    rows, every = [], list(range(cascade.boxes // 2))
    spaced = {math.floor(0.5 * (every[-1] / 0.5 + 1) ** (step / 19) - 0.5 + 1e-9) for step in range(20)}
    for rule, reaches in (("every", every), ("log-spaced", sorted(spaced))):
        spectrum = analyze(cascade, SANDBOX.replace(radii=rule, q=ORDERS))
        masses = [[cascade.exact_ball(centre, r) for centre in range(cascade.boxes)] for r in reaches]
        counted = Counted.of_measure([r + 0.5 for r in reaches], masses)
        rows += held_against(f"cascade (0.3, 0.7), {rule} radii", spectrum, counted)
    return rows


def _grid():
    """Squares on the product of two cascades: their mass is the product of the masses of two intervals."""
    down, across, reaches = Cascade([0.3, 0.7], 4), Cascade([0.2, 0.5, 0.3], 3), [0, 1, 2, 5, 7]
    radii = [r + 0.5 for r in reaches]
    measure = np.multiply.outer(down.measure(), across.measure())
    masses = []
    for r in reaches:
        columns = [across.exact_ball(centre, r) for centre in range(across.boxes)]
        masses.append([down.exact_ball(centre, r) * column for centre in range(down.boxes) for column in columns])
    spectrum = analyze(measure, SANDBOX.replace(radii=radii, q=ORDERS))
    return held_against("product of two cascades, squares", spectrum, Counted.of_measure(radii, masses))


def _boxes():
    cascade, name = Cascade([0.1, 0.2, 0.3, 0.4], 5), "cascade (0.1, 0.2, 0.3, 0.4), boxes"
    spectrum = box_counting(cascade, method=SANDBOX.replace(q=ORDERS))
    levels = [cascade.exact_boxes(level) for level in range(5, 0, -1)]
    masses, numbers = ([part[which].tolist() for part in levels] for which in (0, 1))
    counted = Counted.of_boxes([4.0**level for level in range(5)], masses, numbers)
    rows = held_against(name, spectrum, counted)
    found = math.exp(spectrum.log_partition[ORDERS.index(0.0)][0])
    return [*rows, row(name, "boxes", None, 4**5, found)]


def _star():
    """Greedy boxes of a star: its rays are 2 apart, so boxes of size 2 hold one each, one of them the middle too."""
    import networkx as nx

    rays = 9
    star = nx.star_graph(rays)
    nx.set_edge_attributes(star, 1.0, "distance")
    sizes, share = [1.0, 2.0, 2.015], 1 / (rays + 1)
    masses = [[share] * (rays + 1), [2 * share] + [share] * (rays - 1), [1.0]]
    counted = Counted.of_boxes(sizes, masses, [[1] * len(of_size) for of_size in masses])
    spectrum = box_counting(star, sizes, method=SANDBOX.replace(q=ORDERS))
    return held_against("star of 9 rays, greedy boxes", spectrum, counted)


SECTIONS = {"lattice": _lattice, "ring": _ring, "flower": _flower, "weighted": _weighted, "cascade": _cascade}
