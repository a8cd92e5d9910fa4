"""Objects with known answers: every formula against a route of its own, every count against counting."""

import math
from collections import Counter
from itertools import pairwise, product

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neuromfa_lite as nmfa
from neuromfa_lite import SCALE_FREE, NeuroMFAError, analyze
from neuromfa_lite.fractals import Cascade, Flower, Lattice, ParetoFanOut, Ring, WeightedFractal

Q = [-3.0, -1.0, -0.3, 0.0, 0.5, 1.0, 1.3, 2.0, 2.6, 5.0]
SMALL_AND_LARGE = [*Q, -1e6, -50.0, 1 - 1e-9, 1 + 1e-9, 1 + 2e-5, 50.0, 1e6]

STANDARD = [
    Cascade([0.3, 0.7], 5),
    Cascade([1 / 3, 0, 2 / 3], 5),
    Cascade([0.1, 0.2, 0.2, 0.5], 3),
    Cascade([1, 0], 3),
    Flower(2, 2, 2),
    Flower(2, 3, 2),
    Flower(3, 4, 2),
    WeightedFractal([0.5, 0.25], 3),
    WeightedFractal([0.9, 0.3, 0.02], 3),
    WeightedFractal.sierpinski(3),
    WeightedFractal.cantor_dust(3),
    Lattice((9, 9)),
    Lattice((5, 5, 5)),
    Ring(20, 4),
]
FAN = ParetoFanOut(1.5, 4, 30)
every_standard = pytest.mark.parametrize("known", STANDARD, ids=str)
every_object = pytest.mark.parametrize("known", [*STANDARD, FAN], ids=str)

weights = st.lists(st.floats(0.01, 1), min_size=2, max_size=5).map(lambda p: (np.array(p) / sum(p)).tolist())
scales = st.lists(st.floats(0.02, 0.95), min_size=2, max_size=5)
moments = st.floats(-8, 8)


def root(rising, low=-1e3, high=1e3):
    """Where a rising function is 0, by halving."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def balls(graph, centre):
    """Sorted distances of all nodes from one."""
    return np.array(sorted(nx.single_source_dijkstra_path_length(graph, centre, weight="distance").values()))


def counted(distances, r):
    return np.searchsorted(distances, np.asarray(r) + 1e-9, side="right")


def coarse(box, side):
    """Masses of the cubes of a given side in a cube of masses."""
    for axis in range(box.ndim):
        box = np.add.reduceat(box, np.arange(0, box.shape[axis], side), axis=axis)
    return box.ravel()


def tau_of_boxes(box, q, sides):
    """Slope of ln sum mu^q on ln(side/size), by least squares over the box sizes."""
    z = [np.log((coarse(box, side)[coarse(box, side) > 0] ** q).sum()) for side in sides]
    return np.polyfit(np.log(np.array(sides) / len(box)), z, 1)[0]


# what holds for all of them


@pytest.mark.small
@every_object
def test_alpha_is_the_slope_of_tau(known):
    step = 1e-4
    for q in Q:
        slope = (known.exact_tau(q + step) - known.exact_tau(q - step)) / (2 * step)
        if isinstance(known, Flower) and abs(q - math.log2(known.u + known.v)) < 2 * step:
            continue  # alpha jumps there: see the flowers
        assert known.exact_alpha(q) == pytest.approx(slope, abs=1e-6)


@pytest.mark.small
@every_object
def test_f_is_the_legendre_transform_of_tau(known):
    for q in Q:
        assert known.exact_f(q) == pytest.approx(q * known.exact_alpha(q) - known.exact_tau(q), abs=1e-12)


@pytest.mark.small
@every_standard
def test_dimensions_are_those_of_tau_and_their_limit_at_1(known):
    for q in Q:
        assert known.exact_dimension(q) * (q - 1) == pytest.approx(known.exact_tau(q), abs=1e-12)
    assert known.exact_tau(1) == pytest.approx(0, abs=1e-15)
    assert known.exact_dimension(1) == known.exact_alpha(1) == pytest.approx(known.exact_f(1), abs=1e-15)
    step = 1e-3  # where tau/(q-1) has 12 digits left; D is smooth, so the mean of both sides is D_1 to step^2
    sides = [known.exact_tau(1 + s) / s for s in (-step, step)]
    assert known.exact_dimension(1) == pytest.approx(np.mean(sides), abs=1e-5)


@pytest.mark.small
@every_standard
def test_dimension_next_to_1_loses_no_digits(known):
    for step in (1e-12, 1e-7, 0.9e-5, 1.1e-5, 1e-4):
        expected = np.mean(known.exact_alpha(1 + step * np.linspace(0.005, 0.995, 100)))
        assert known.exact_dimension(1 + step) == pytest.approx(expected, abs=1e-10)


@pytest.mark.small
@every_standard
def test_tau_at_0_is_minus_the_dimension_of_the_support(known):
    assert known.exact_tau(0) == pytest.approx(-known.exact_dimension(0), abs=1e-15)
    assert known.exact_tau(0) == pytest.approx(-max(known.exact_f(np.linspace(-5, 5, 101))), abs=1e-12)


@pytest.mark.small
@every_object
def test_numbers_and_arrays_of_any_shape(known):
    for ask in (known.exact_tau, known.exact_alpha, known.exact_f, known.exact_dimension):
        assert type(ask(2)) is type(ask(np.float32(2))) is type(ask(np.array(2))) is float
        table = ask(np.array(SMALL_AND_LARGE[:-1]).reshape(4, 4))
        assert table.shape == (4, 4) and table.dtype == np.float64
        assert table.ravel() == pytest.approx([ask(q) for q in SMALL_AND_LARGE[:-1]], rel=1e-14)
        assert ask([]).shape == (0,)
        assert ask(range(3)).tolist() == pytest.approx([ask(0), ask(1), ask(2)], rel=1e-14)


@pytest.mark.small
@every_object
def test_never_a_nan_and_alpha_falls_with_q(known):
    for ask in (known.exact_tau, known.exact_alpha, known.exact_f, known.exact_dimension):
        assert np.all(np.isfinite(ask(SMALL_AND_LARGE)))
    assert np.all(np.diff(known.exact_alpha(np.sort(SMALL_AND_LARGE))) <= 1e-12)
    assert np.all(known.exact_f(SMALL_AND_LARGE) >= 0)


@pytest.mark.small
@pytest.mark.parametrize("q", [math.nan, math.inf, -math.inf, 1e7, "2", None, 1j, True, [1, math.nan], [[1], [1, 2]]])
@every_object
def test_moments_that_are_no_finite_numbers(known, q):
    for ask in (known.exact_tau, known.exact_alpha, known.exact_f, known.exact_dimension):
        with pytest.raises(NeuroMFAError, match="q must be"):
            ask(q)


@pytest.mark.small
@pytest.mark.parametrize("r", [-1, math.nan, math.inf, "far", None, [1, -2]])
def test_radii_that_are_no_distances(r):
    for known in (Flower(2, 2, 2), WeightedFractal.sierpinski(2), Lattice((9, 9)), Ring(9, 2)):
        with pytest.raises(NeuroMFAError, match="radius"):
            known.exact_ball(r)


@pytest.mark.small
def test_the_room_is_a_name_of_the_package():
    assert nmfa.fractals.Cascade is Cascade
    for known in [*STANDARD, FAN]:
        assert hash(known) == hash(type(known)(**vars(known)))  # frozen, and made of what it shows


LARGE = [
    Flower(2, 2, 7),  # 10,924 nodes; generation 8 has 43,692
    Flower(2, 2, 8),
    Flower(1, 2, 9),
    Flower(2, 20_000, 1),
    WeightedFractal.sierpinski(9),
    WeightedFractal([0.5, 0.25], 14),
    Lattice((50_000,)),
    Lattice((223, 223)),
    Lattice((36, 36, 36)),
    Ring(50_000, 6, rewire=0.1),
]


@pytest.mark.parametrize("known", LARGE, ids=str)
def test_graphs_have_the_size_of_their_formula_and_positive_distances(known):
    graph = known.graph()
    assert graph.number_of_nodes() == known.nodes
    assert sorted(graph) == list(range(known.nodes))
    assert not nx.number_of_selfloops(graph)
    distances = np.array([distance for _, _, distance in graph.edges(data="distance")])
    assert np.all(np.isfinite(distances) & (distances > 0))
    if not isinstance(known, Ring):  # a rewired one may fall into pieces
        assert nx.is_connected(graph)


# cascades


@pytest.mark.small
@pytest.mark.parametrize(
    "p, tau",
    [
        ([0.3, 0.7], {-3: -5.320213, -1: -2.251539, 0: -1.0, 2: 0.785875, 3: 1.434403, 5: 2.552156}),
        ([1 / 3, 0, 2 / 3], {-3: -3.107211, 0: -0.630930, 2: 0.535026, 3: 1.0, 5: 1.817342}),
        ([0.5, 0, 0.5], {q: (q - 1) * 0.6309297535714574 for q in (-3, 0, 1, 2, 5)}),
    ],
)
def test_cascade_known_values(p, tau):
    for q, value in tau.items():
        assert Cascade(p, 1).exact_tau(q) == pytest.approx(value, abs=1e-6)


@pytest.mark.small
def test_cascade_known_dimensions():
    cascade = Cascade([0.3, 0.7], 4)
    assert cascade.exact_dimension(1) == pytest.approx(0.881291, abs=1e-6)
    assert cascade.exact_alpha(0) == pytest.approx(1.125769, abs=1e-6)
    assert cascade.exact_alpha([1e6, -1e6]) == pytest.approx([0.514573, 1.736966], abs=1e-6)
    assert Cascade([1 / 3, 0, 2 / 3], 4).exact_alpha(0) == pytest.approx(0.684535, abs=1e-6)
    assert Cascade([1 / 3, 0, 2 / 3], 4).exact_f(0) == pytest.approx(0.630930, abs=1e-6)
    assert Cascade([0.5, 0, 0.5], 4).exact_alpha(Q) == pytest.approx(0.630930, abs=1e-6)


@pytest.mark.small
@given(weights, moments)
@settings(deadline=None, max_examples=60)
def test_cascade_tau_solves_its_own_equation(p, q):
    """A share p_i of the mass in a part of size 1/b: sum_i p_i^q b^tau = 1, whatever its solution."""
    expected = root(lambda tau: tau + math.log(sum(x**q for x in p)) / math.log(len(p)))
    assert Cascade(p, 1).exact_tau(q) == pytest.approx(expected, abs=1e-9)


@pytest.mark.small
@pytest.mark.parametrize("p", [[0.3, 0.7], [0.2, 0, 0.5, 0.3]])
def test_cascade_tau_is_that_of_boxes_counted_on_the_measure(p):
    """Box counting at sizes b^-level is exact for a cascade."""
    cascade = Cascade(p, 6)
    sides = [len(p) ** level for level in range(5)]
    for q in Q:
        assert cascade.exact_tau(q) == pytest.approx(tau_of_boxes(cascade.measure(), q, sides), abs=1e-9)


@pytest.mark.small
@pytest.mark.parametrize("p, levels", [([0.3, 0.7], 1), ([0.3, 0.7], 7), ([0.5, 0, 0.25, 0.25], 4)])
def test_cascade_measure_box_by_box(p, levels):
    cascade = Cascade(p, levels)
    expected = [math.prod(digits) for digits in product(p, repeat=levels)]
    np.testing.assert_allclose(cascade.measure(), expected, rtol=1e-14)
    assert cascade.boxes == len(expected) and cascade.measure().sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.small
@pytest.mark.parametrize("p", [[0.3, 0.7], [0.5, 0, 0.25, 0.25]])
def test_cascade_balls_are_those_counted(p):
    cascade = Cascade(p, 4)
    measure = cascade.measure()
    for centre, r in product(range(cascade.boxes), (0, 1, 3, 10, 500)):
        expected = measure[max(centre - r, 0) : centre + r + 1].sum()
        assert cascade.exact_ball(centre, r) == pytest.approx(expected, rel=1e-12)


@pytest.mark.small
@pytest.mark.parametrize(
    "p, levels, words",
    [
        ([0.3, 0.6], 3, "sum to 0.9, not 1"),
        ([0.5, 0.5 + 1e-6], 3, "not 1"),
        ([1.2, -0.2], 3, "not negative"),
        ([math.nan, 1.0], 3, "finite"),
        ([math.inf, 0.0], 3, "finite"),
        ([1.0], 3, "at least two"),
        ([], 3, "at least two"),
        ([[0.5, 0.5]], 3, "flat list"),
        (0.3, 3, "flat list"),
        (["a", "b"], 3, "list of numbers"),
        ([0.3, 0.7], 0, "levels=0"),
        ([0.3, 0.7], 2.0, "levels=2.0"),
        ([0.3, 0.7], True, "levels=True"),
        ([0.3, 0.7], 30, "1,073,741,824 boxes"),
        ([0.3, 0.7], 10**12, "about 1e301029995664 boxes"),
        ([0.3, 0.7], 10**4000, "levels=a number of that size"),
        ([1e-200, 1.0], 2, "lighter than 1e-300"),
    ],
)
def test_cascades_that_cannot_be(p, levels, words):
    with pytest.raises(NeuroMFAError, match=words):
        Cascade(p, levels)


@pytest.mark.small
def test_balls_that_are_not_there():
    cascade = Cascade([0.3, 0.7], 3)
    for centre, r in ((8, 1), (-1, 1), (0, -1), (0, 0.5)):
        with pytest.raises(NeuroMFAError):
            cascade.exact_ball(centre, r)


# flowers


def flower_by_hand(u, v, generation):
    """Edge by edge, as the definition says it."""
    edges, born = [(0, 1)], 2
    for _ in range(generation):
        longer = []
        for a, b in edges:
            for length in (u, v):
                path = [a, *range(born, born + length - 1), b]
                born += length - 1
                longer += pairwise(path)
        edges = longer
    return nx.Graph(edges)


FLOWERS = [(1, 2), (1, 4), (2, 2), (2, 3), (3, 3), (2, 5)]


@pytest.mark.small
@pytest.mark.parametrize("u, v", FLOWERS)
def test_flower_is_the_graph_of_its_definition(u, v):
    for generation in range(4):
        graph, expected = Flower(u, v, generation).graph(), flower_by_hand(u, v, generation)
        assert graph.number_of_nodes() == len(expected) == Flower(u, v, generation).nodes
        assert graph.number_of_edges() == expected.number_of_edges() == (u + v) ** generation
        nx.set_edge_attributes(expected, 1.0, "distance")
        hashes = [nx.weisfeiler_lehman_graph_hash(g, edge_attr="distance", iterations=4) for g in (graph, expected)]
        assert hashes[0] == hashes[1]
        assert set(nx.get_edge_attributes(graph, "distance").values()) == {1.0}


@pytest.mark.small
@pytest.mark.parametrize("u, v", FLOWERS)
def test_flower_balls_are_those_counted(u, v):
    for generation in range(5 if u + v < 6 else 4):
        flower = Flower(v, u, generation)  # the order does not matter
        graph = flower_by_hand(u, v, generation)
        radii = np.arange(nx.eccentricity(graph, 0) + 2)
        assert flower.exact_ball(radii).tolist() == counted(balls(graph, 0), radii).tolist()
        own = flower.graph()
        for hub in flower.centres():
            assert flower.exact_ball(radii).tolist() == counted(balls(own, hub), radii).tolist()


@pytest.mark.small
def test_flower_ball_of_a_radius_that_is_not_whole():
    flower = Flower(2, 2, 3)
    assert flower.exact_ball(1.9) == flower.exact_ball(1) == 9
    assert flower.exact_ball(1e300) == flower.nodes


def flower_tau_by_renormalisation(u, v, q, n=3000):
    """tau between generations n and n + 1, from the masses of the boxes one node each is left with.

    A box of size u^k around a node holds a flower of generation k for each of its edges, so its mass goes as its
    degree. A node keeps its edges doubling: w^j (w - 2) nodes are new in generation j + 1, and w are there from the
    first. All in logarithms.
    """
    w = u + v

    def log_partition(size):
        born = [(math.log(w), size)]  # ln number, ln_2 degree
        born += [(j * math.log(w) + math.log(w - 2), size - j) for j in range(1, size)]
        terms = [number + q * (age * math.log(2) - math.log(2) - size * math.log(w)) for number, age in born]
        return np.logaddexp.reduce(terms)

    return (log_partition(n) - log_partition(n + 1)) / math.log(u)


@pytest.mark.small
@pytest.mark.parametrize("u, v", [(2, 2), (2, 3), (3, 3), (2, 5), (4, 7)])
def test_flower_tau_is_that_of_its_renormalised_graphs(u, v):
    """Where the two lines meet both terms are alike and convergence is slow: 0.02 away it is e^-40."""
    meet = math.log2(u + v)
    for q in [-3, -0.5, 0, 1, 1.5, meet - 0.02, meet + 0.02, 3.3, 5, 20]:
        expected = flower_tau_by_renormalisation(u, v, q)
        assert Flower(u, v, 1).exact_tau(q) == pytest.approx(expected, abs=1e-6)


@pytest.mark.small
@pytest.mark.parametrize("u, v", FLOWERS)
def test_flower_degrees_are_those_of_the_renormalisation(u, v):
    """What the route above takes for granted, on the graph itself."""
    w, generation = u + v, 4 if u + v < 6 else 3
    degrees = Counter(dict(Flower(u, v, generation).graph().degree()).values())
    expected = {2 ** (generation - j): w**j * (w - 2) for j in range(1, generation)} | {2**generation: w}
    assert degrees == expected


@pytest.mark.small
def test_flower_known_values():
    assert Flower(2, 2, 4).exact_tau([-3, 0, 2, 3, 5]).tolist() == [-8, -2, 2, 3, 5]
    assert [Flower(2, 2, n).nodes for n in range(5)] == [2, 4, 12, 44, 172]


@pytest.mark.small
@pytest.mark.parametrize("u, v", [(2, 2), (2, 3), (3, 5)])
def test_flower_tau_bends_where_its_lines_meet(u, v):
    flower, meet = Flower(u, v, 1), math.log2(u + v)
    left, right = flower.exact_tau([meet - 1e-9, meet + 1e-9])
    assert left == pytest.approx(right, abs=1e-7)
    left, right = flower.exact_alpha([meet - 1e-9, meet + 1e-9])
    assert left - right == pytest.approx(math.log(2) / math.log(u), rel=1e-12)
    assert flower.exact_f([meet + 1e-9, 10]) == pytest.approx(0, abs=1e-12)


@pytest.mark.small
def test_flower_without_a_dimension():
    flower = Flower(1, 2, 3)
    assert (flower.exact_tau(2), flower.exact_alpha([2]), flower.exact_f(2), flower.exact_dimension(2)) == (None,) * 4
    with pytest.raises(NeuroMFAError, match="q must be"):
        flower.exact_tau(math.nan)


@pytest.mark.small
@pytest.mark.parametrize(
    "u, v, generation, words",
    [
        (1, 1, 2, "such as .2, 2."),
        (0, 3, 2, "u=0"),
        (2, -1, 2, "=-1"),
        (2, 2.5, 2, "v=2.5"),
        (None, 2, 2, "u=None"),
        (2, 2, -1, "generation=-1"),
        (2, 2, 10, "699,052 nodes"),
        (2, 2, 500, "about 1e301 nodes"),
        (2, 2, 10**17, "nodes, too many for memory"),
    ],
)
def test_flowers_that_cannot_be(u, v, generation, words):
    with pytest.raises(NeuroMFAError, match=words):
        Flower(u, v, generation)


# weighted fractal networks


def weighted_by_hand(scales, generation):
    """Copy by copy, as the definition says it; the root is node 0."""
    graph = nx.Graph()
    graph.add_node(0)
    for _ in range(generation):
        larger = nx.Graph()
        larger.add_node(0)
        for scale in scales:
            first = len(larger)
            larger.add_weighted_edges_from(
                ((a + first, b + first, d * scale) for a, b, d in graph.edges(data="distance")), weight="distance"
            )
            larger.add_edge(0, first, distance=1.0)
        graph = larger
    return graph


NETWORKS = [(0.5, 0.5), (0.5, 0.25), (0.25, 0.5), (1 / 3,) * 3, (0.9, 0.1, 0.4), (0.05, 0.95)]


@pytest.mark.small
@pytest.mark.parametrize("factors", NETWORKS, ids=str)
def test_weighted_network_is_the_graph_of_its_definition(factors):
    for generation in range(4):
        known = WeightedFractal(factors, generation)
        graph, expected = known.graph(), weighted_by_hand(factors, generation)
        assert len(graph) == len(expected) == known.nodes
        every = [
            np.sort([d for _, to in nx.all_pairs_dijkstra_path_length(g, weight="distance") for d in to.values()])
            for g in (graph, expected)
        ]
        np.testing.assert_allclose(*every, rtol=1e-12)


@pytest.mark.small
@pytest.mark.parametrize("factors", NETWORKS, ids=str)
def test_weighted_network_balls_are_those_counted(factors):
    known = WeightedFractal(factors, 5)
    distances = balls(weighted_by_hand(factors, 5), 0)
    radii = np.unique([*distances, *(distances + 1e-6), 0.3, 100])
    assert known.exact_ball(radii).tolist() == counted(distances, radii).tolist()
    assert known.exact_ball(distances[-1]) == known.nodes
    assert known.centres().tolist() == [0]


@pytest.mark.small
@pytest.mark.parametrize("factors", [*NETWORKS, (0.9, 0.05), (0.99, 0.01)], ids=str)
def test_weighted_network_diameters_are_those_of_its_copies(factors):
    def copies(generation, scale):
        if generation:
            graph = weighted_by_hand(factors, generation)
            yield scale * nx.diameter(graph, weight="distance")
            for factor in factors:
                yield from copies(generation - 1, scale * factor)

    expected = np.unique(np.round(list(copies(4, 1.0)), 9))
    np.testing.assert_allclose(WeightedFractal(factors, 4).natural_radii(), expected, atol=1e-9)


@pytest.mark.small
def test_weighted_network_of_one_node():
    known = WeightedFractal([0.5, 0.5], 0)
    assert (known.nodes, len(known.graph()), known.exact_ball(3), known.natural_radii().tolist()) == (1, 1, 1, [])


@pytest.mark.small
@given(scales, moments)
@settings(deadline=None, max_examples=80)
def test_weighted_network_tau_solves_its_equation(factors, q):
    logs = np.log(factors)
    expected = root(lambda tau: np.logaddexp.reduce(-tau * logs) - q * math.log(len(factors)))
    assert WeightedFractal(factors, 1).exact_tau(q) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.small
def test_weighted_network_equal_scales_are_the_limit_of_unequal_ones():
    """Two branches of the code: the closed form and Newton's."""
    closed, solved = WeightedFractal([0.4] * 3, 1), WeightedFractal([0.4, 0.4, 0.4 + 1e-14], 1)
    for ask in ("exact_tau", "exact_alpha", "exact_f", "exact_dimension"):
        np.testing.assert_allclose(getattr(closed, ask)(Q), getattr(solved, ask)(Q), atol=1e-12)


@pytest.mark.small
def test_weighted_network_known_values():
    known = WeightedFractal([0.5, 0.25], 3)
    assert known.exact_tau([0, 2, 3, 5]) == pytest.approx([-0.694242, 0.642981, 1.246275, 2.372648], abs=1e-6)
    assert WeightedFractal([0.5] * 3, 3).exact_dimension(Q) == pytest.approx(1.5850, abs=5e-5)
    assert WeightedFractal([1 / 3] * 3, 3).exact_dimension(Q) == pytest.approx(1.0, abs=1e-12)
    assert WeightedFractal.sierpinski(3) == WeightedFractal([0.5] * 3, 3)
    assert WeightedFractal.cantor_dust(3).exact_dimension(Q) == pytest.approx(math.log(4) / math.log(5), abs=1e-12)


@pytest.mark.small
@pytest.mark.parametrize(
    "factors, generation, words",
    [
        ([0.5, 1.0], 2, "above 0 and below 1"),
        ([0.5, 0.0], 2, "above 0 and below 1"),
        ([0.5, -0.5], 2, "above 0 and below 1"),
        ([0.5, math.nan], 2, "above 0 and below 1"),
        ([0.5], 2, "at least two"),
        (0.5, 2, "flat list"),
        ("half", 2, "list of numbers"),
        ([0.5, 0.5], 1.0, "generation=1.0"),
        ([0.5, 0.5], -1, "generation=-1"),
        ([0.5] * 3, 12, "797,161 nodes"),
        ([0.5] * 3, 10**6, "about 1e477121 nodes"),
        ([0.5, 1e-200], 2, "shorter than 1e-300"),
    ],
)
def test_weighted_networks_that_cannot_be(factors, generation, words):
    with pytest.raises(NeuroMFAError, match=words):
        WeightedFractal(factors, generation)


# lattices and rings


@pytest.mark.small
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_lattice_tau_is_that_of_boxes_counted(d):
    box = np.full((8,) * d, 8.0**-d)
    for q in Q:
        assert Lattice((8,) * d).exact_tau(q) == pytest.approx(tau_of_boxes(box, q, [1, 2, 4, 8]), abs=1e-9)


@pytest.mark.small
@pytest.mark.parametrize("shape", [(9,), 12, (7, 8), (9, 9), (5, 7, 6), (4, 3, 5, 4), (2, 2)])
def test_lattice_is_the_grid_and_its_balls_are_those_counted(shape):
    lattice = Lattice(shape)
    grid, graph = nx.grid_graph([range(side) for side in reversed(lattice.shape)]), lattice.graph()
    order = {point: int(np.ravel_multi_index(np.atleast_1d(point), lattice.shape)) for point in grid}
    assert nx.utils.graphs_equal(nx.Graph(graph.edges), nx.Graph(nx.relabel_nodes(grid, order).edges))
    assert len(graph) == lattice.nodes
    for r in range((min(lattice.shape) - 1) // 2 + 1):
        centres = lattice.centres(r)
        assert len(centres) == math.prod(side - 2 * r for side in lattice.shape)
        assert {int(counted(balls(graph, centre), r)) for centre in centres.tolist()} == {lattice.exact_ball(r)}


@pytest.mark.small
def test_lattice_ball_in_two_dimensions():
    r = np.arange(101)
    assert Lattice((210, 210)).exact_ball(r).tolist() == (2 * r**2 + 2 * r + 1).tolist()
    assert Lattice((9, 9)).exact_ball(2.7) == 13
    for far in (5, [1, 60]):
        with pytest.raises(NeuroMFAError, match=r"border.*at most 4"):
            Lattice((9, 10)).exact_ball(far)


@pytest.mark.small
@pytest.mark.parametrize(
    "shape, words",
    [
        ((), "empty"),
        ((5, 1), "side of shape=1"),
        ((5, 0), "side of shape=0"),
        ((5, 2.5), "side of shape=2.5"),
        ("55", "side of shape='55'"),
        (None, "side of shape=None"),
        ((1000, 1000), "1,000,000 nodes"),
        ((2,) * 100, "about 1e30 nodes"),
    ],
)
def test_lattices_that_cannot_be(shape, words):
    with pytest.raises(NeuroMFAError, match=words):
        Lattice(shape)


@pytest.mark.small
@pytest.mark.parametrize("n, k", [(9, 2), (10, 2), (20, 4), (21, 6), (8, 6), (7, 6)])
def test_ring_balls_are_those_counted(n, k):
    ring, radii = Ring(n, k), np.arange(n)
    graph = ring.graph()
    assert set(dict(graph.degree()).values()) == {k}
    for node in ring.centres():
        assert ring.exact_ball(radii).tolist() == counted(balls(graph, node), radii).tolist()
    assert ring.exact_ball(1.5) == ring.exact_ball(1) == 1 + k
    assert ring.exact_ball(1e300) == n


@pytest.mark.small
def test_ring_has_dimension_one():
    """Boxes of 1 ... 32 nodes on a ring of 64; and the mass k r without the node, over n - 1, has alpha 1, width 0."""
    ring, r = Ring(64, 4), np.arange(1, 16)
    for q in Q:
        expected = tau_of_boxes(np.full(64, 1 / 64), q, [1, 2, 4, 8, 16, 32])
        assert ring.exact_tau(q) == pytest.approx(expected, abs=1e-9)
    slope = np.polyfit(np.log(r), np.log((ring.exact_ball(r) - 1) / (ring.n - 1)), 1)[0]
    assert slope == pytest.approx(ring.exact_alpha(0), abs=1e-12)
    alpha = ring.exact_alpha(Q)
    assert alpha.max() - alpha.min() == 0


@pytest.mark.small
def test_rewired_rings():
    first, again, other = (set(Ring(60, 4, rewire=0.3, seed=seed).graph().edges) for seed in (1, 1, 2))
    assert first == again != other
    ring = Ring(60, 4, rewire=0.3)
    assert ring.exact_tau(2) is ring.exact_alpha(2) is ring.exact_f(2) is ring.exact_dimension(2) is None
    assert ring.exact_ball(2) is None
    assert ring.graph().number_of_edges() == 120
    assert set(Ring(60, 4, seed=1).graph().edges) == set(Ring(60, 4, seed=2).graph().edges)


@pytest.mark.small
@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"n": 20, "k": 3}, "even"),
        ({"n": 20, "k": 0}, "k=0"),
        ({"n": 6, "k": 6}, "below n=6"),
        ({"n": 2, "k": 2}, "n=2"),
        ({"n": 20, "k": 4, "rewire": 1.1}, "probability"),
        ({"n": 20, "k": 4, "rewire": -0.1}, "probability"),
        ({"n": 20, "k": 4, "rewire": math.nan}, "probability"),
        ({"n": 20, "k": 4, "rewire": "often"}, "probability"),
        ({"n": 20, "k": 4, "seed": -1}, "seed=-1"),
        ({"n": 20, "k": 4, "seed": None}, "seed=None"),
        ({"n": 10**6, "k": 4}, "1,000,000 nodes"),
        ({"n": 10**5, "k": 10**4}, "500,000,000 edges"),
    ],
)
def test_rings_that_cannot_be(arguments, words):
    with pytest.raises(NeuroMFAError, match=words):
        Ring(**arguments)


# Pareto fan-out


@pytest.mark.small
@pytest.mark.parametrize("m", [0.1, 0.7, 1, 1.5, 3, 40.0])
def test_pareto_exponent_is_the_slope_of_the_mean_mass(m):
    """The paper's convention: every neuron has N ~ r^m, so Z_q = neurons N^q has the slope m q, and tau(0) = 0."""
    fan = ParetoFanOut(m, 5, 1000)
    r = 150 * np.geomspace(0.05, 1, 8) ** (1 / m)
    masses = 1000 * (r / 150) ** m
    for q in Q:
        slope = np.polyfit(np.log(r / 150), np.log(5 * (masses / masses[-1]) ** q), 1)[0]
        assert fan.exact_tau(q) == pytest.approx(slope, abs=1e-9 * max(1, m))
        assert (fan.exact_alpha(q), fan.exact_f(q), fan.exact_dimension(q)) == (m, 0.0, m)
        assert fan.exact_dimension(q) * (q - 1) == pytest.approx(fan.exact_tau(q - 1), abs=1e-12)


@pytest.mark.parametrize("m", [0.5, 1, 2.5])
def test_pareto_distances_follow_their_distribution(m):
    """200,000 connections: the number within r is binomial, 5 standard deviations; so is the number of signs."""
    fan = ParetoFanOut(m, 100, 2000, seed=3)
    weights = fan.network().blocks[0].weights()
    distances = 1 / np.abs(weights)
    assert weights.shape == (2000, 100) and distances.max() <= 150
    for r in (5, 20, 50, 75, 100, 140):
        share = (r / 150) ** m
        assert np.mean(distances <= r) == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / weights.size))
    assert np.mean(weights < 0) == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(weights.size))


@pytest.mark.parametrize("m", [1, 2])
def test_pareto_alpha0_is_measured(m):
    """300 neurons of 3,000 connections; the grid starts at the 2 % quantile, N = 60.

    There ln N of one neuron has deviation .13 and bias -1/(2 N) + 1/N < .01, over a range of ln 45 = 3.8 in ln N: a
    slope is off by at most .3 % and scatters by less than 3.5 % / sqrt(300) = .2 %: 1 % is four deviations and bias.
    """
    network = ParetoFanOut(m, 300, 3000, seed=0).network()
    assert analyze(network, SCALE_FREE).alpha0 == pytest.approx(ParetoFanOut(m, 300, 3000).exact_alpha(0), rel=0.01)


@pytest.mark.small
def test_pareto_networks_of_a_seed():
    first, again, other = (ParetoFanOut(2, 6, 40, seed=seed).network() for seed in (4, 4, 5))
    assert first.content_hash() == again.content_hash() != other.content_hash()
    assert ParetoFanOut(2, 6, 40, seed=4).graph().content_hash() == first.content_hash()
    assert first.neurons == ParetoFanOut(2, 6, 40).nodes == 46 and first.connections == 240
    assert np.all(np.isfinite(ParetoFanOut(0.1, 100, 1000).network().blocks[0].weights()))


@pytest.mark.small
@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"exponent": 0}, "exponent=0"),
        ({"exponent": -1}, "exponent=-1"),
        ({"exponent": 0.05}, "exponent=0.05"),
        ({"exponent": math.nan}, "exponent=nan"),
        ({"exponent": math.inf}, "exponent=inf"),
        ({"exponent": "two"}, "exponent='two'"),
        ({"neurons": 0}, "neurons=0"),
        ({"fan_out": 2.5}, "fan_out=2.5"),
        ({"seed": -3}, "seed=-3"),
        ({"neurons": 10_000, "fan_out": 10_000}, "100,000,000 connections"),
        ({"neurons": 10**18, "fan_out": 10**18}, "about 1e36 connections"),
    ],
)
def test_pareto_fan_outs_that_cannot_be(arguments, words):
    with pytest.raises(NeuroMFAError, match=words):
        ParetoFanOut(**({"exponent": 1.5, "neurons": 4, "fan_out": 30} | arguments))


# by hand, all in one: what test_mutants.py spoils


def natural_radii_by_hand():
    """The widest balls in a part of a cascade, ends of younger flowers, balls inside a lattice, growing ones."""
    for p in ((0.3, 0.7), (1 / 3, 0.0, 2 / 3), (0.1, 0.2, 0.3, 0.4)):
        widths = [len(p) ** level for level in range(5)]
        halves = {max(r for r in range(width) if 2 * r + 1 <= width) + 0.5 for width in widths}
        assert Cascade(p, 5).natural_radii().tolist() == sorted(halves)
    for u, v in ((2, 2), (2, 3)):
        ends = [nx.shortest_path_length(flower_by_hand(u, v, younger), 0, 1) for younger in range(3)]
        assert Flower(u, v, 3).natural_radii().tolist() == ends
    for shape in ((5, 7), (41,)):
        inside = [r for r in range(1, 50) if all(r <= side - 1 - r for side in shape)]
        assert Lattice(shape).natural_radii().tolist() == inside
    around = [min(50, 1 + 4 * r) for r in range(20)]
    assert Ring(50, 4).natural_radii().tolist() == [r for r in range(1, 20) if around[r] == around[r - 1] + 4]
    network = WeightedFractal([0.5, 0.25], 3)
    diameters = [2 / 16, 2 / 8, 2 / 4, 2.75 / 4, 2.75 / 2, 3.125]  # 2, 2.75 and 3.125 of one, two, three generations
    assert network.natural_radii().tolist() == diameters
    for known in (Flower(2, 3, 3), Lattice((5, 7)), Ring(50, 4), network):
        assert known.graph().graph["natural_radii"] == known.natural_radii().tolist()


def sizes_and_edges_by_hand():
    """Every node of a ring, the nodes of largest degree in a flower, all lengths of the edges."""
    assert Ring(50, 4).nodes == 50 and Ring(50, 4).centres().tolist() == list(range(50))
    degrees = dict(Flower(2, 3, 3).graph().degree())
    hubs = sorted(node for node, degree in degrees.items() if degree == max(degrees.values()))
    assert Flower(2, 3, 3).centres().tolist() == hubs
    for known, edges in ((Lattice((5, 7)), 4 * 7 + 5 * 6), (Ring(50, 4), 100), (Flower(2, 3, 3), 125)):
        assert [length for _, _, length in known.graph().edges(data="distance")] == [1.0] * edges


def pareto_by_hand():
    """The distances from the numbers that a seed draws."""
    for m in (0.7, 2.0):
        fan = ParetoFanOut(m, 5, 20, seed=3)
        drawn = np.sort(1 - np.random.default_rng(3).random(100))
        for made in (fan.network(), fan.graph()):
            lengths = np.sort(1 / np.abs(made.blocks[0].weights().ravel()))
            assert lengths == pytest.approx(150 * drawn ** (1 / m), rel=1e-11)
            assert fan.nodes == sum(len(layer) for layer in made.layers) == 25


BY_HAND = (natural_radii_by_hand, sizes_and_edges_by_hand, pareto_by_hand)


@pytest.mark.small
@pytest.mark.parametrize("case", BY_HAND)
def test_what_objects_state_by_hand(case):
    case()
